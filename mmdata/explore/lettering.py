"""Text of any origin -> lines that a font can draw, and how wide they are."""

import functools
import textwrap
from typing import Any

from mmdata.optional import require
from mmdata.printable import printable

_MEASURED = 100.0  # the font size at which text is measured, in points
_HINTED = 1.08  # how much wider letters may be drawn: hinting moves them to whole pixels
_READ = 2000  # characters of a text that are looked at: more never fits
_ELLIPSIS = "…"


def drawable(text: str) -> str:
    """The text as one line that the font of the moment can draw; what has no glyph is a box."""
    known = _glyphs(_families())
    box = "□" if ord("□") in known else "?"
    line = printable(" ".join(text[:_READ].split()))
    return "".join(character if ord(character) in known else box for character in line)


def wrap(text: str, room: float, size: float, most: int) -> list[str]:
    """At most `most` lines of drawable text, none wider than `room` points.

    What does not fit ends in an ellipsis.
    """
    columns = max(int(1.5 * len(text) * room / max(width(text, size), room)), 1)
    for letters in range(columns, 0, -1):
        lines = textwrap.wrap(text, letters, max_lines=most, placeholder=_ELLIPSIS)
        if all(width(line, size) <= room for line in lines):
            return lines
    return [_ELLIPSIS]


def shorten(text: str, room: float, size: float) -> str:
    """The text, or its beginning and an ellipsis, no wider than `room` points."""
    if width(text, size) <= room:
        return text
    while text and width(text + _ELLIPSIS, size) > room:
        text = text[:-1]
    return text + _ELLIPSIS


@functools.lru_cache(maxsize=1 << 14)
def _width(text: str, families: tuple[str, ...]) -> float:
    """Width of a text in font sizes."""
    font = _fonts().FontProperties(family=list(families), size=_MEASURED)
    to_path = require("matplotlib.textpath", extra="plot").text_to_path
    return float(to_path.get_text_width_height_descent(text, font, ismath=False)[0]) / _MEASURED


def width(text: str, size: float) -> float:
    """Room that drawable text needs at a font size, both in points."""
    return size * _HINTED * _width(text, _families())


@functools.lru_cache(maxsize=4)
def _glyphs(families: tuple[str, ...]) -> frozenset[int]:
    """All characters that one of the families has."""
    fonts, known = _fonts(), frozenset[int]()
    for family in families:
        try:
            path = fonts.findfont(fonts.FontProperties(family=[family]), fallback_to_default=False)
        except ValueError:  # not installed, which matplotlib says when it draws
            continue
        known |= frozenset(fonts.get_font(path).get_charmap())
    return known or frozenset(fonts.get_font(fonts.findfont(fonts.FontProperties())).get_charmap())


def _families() -> tuple[str, ...]:
    """The families that text is drawn in; what one lacks is taken from the next."""
    return tuple(_fonts().FontProperties().get_family())


def _fonts() -> Any:
    return require("matplotlib.font_manager", extra="plot")
