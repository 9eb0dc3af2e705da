"""Breaks any text into lines that a font can draw, and measures them."""

import functools
import textwrap
from typing import Any

from mmdata.optional import require
from mmdata.printable import printable

_MEASURED = 100.0  # the font size at which text is measured, in points
_HINTED = 1.08  # how much wider letters may be drawn: hinting moves them to whole pixels
_READ = 2000  # characters of a text that are read: more never fit
_ELLIPSIS = "…"


def drawable(text: str) -> str:
    """Returns one line that the current font can draw; characters without a glyph become boxes."""
    known = _glyphs(_families())
    box = "□" if ord("□") in known else "?"
    line = printable(" ".join(text[:_READ].split()))
    return "".join(character if ord(character) in known else box for character in line)


def wrap(text: str, room: float, size: float, most: int) -> list[str]:
    """Returns at most `most` lines of drawable text, none wider than `room` points.

    Text that is cut ends with an ellipsis.
    """
    columns = max(int(1.5 * len(text) * room / max(width(text, size), room)), 1)
    for letters in range(columns, 0, -1):
        lines = textwrap.wrap(text, letters, max_lines=most, placeholder=_ELLIPSIS)
        if all(width(line, size) <= room for line in lines):
            return lines
    return [_ELLIPSIS]


def shorten(text: str, room: float, size: float) -> str:
    """Returns the text, or its beginning and an ellipsis, at most `room` points wide."""
    if width(text, size) <= room:
        return text
    while text and width(text + _ELLIPSIS, size) > room:
        text = text[:-1]
    return text + _ELLIPSIS


@functools.lru_cache(maxsize=1 << 14)
def _width(text: str, families: tuple[str, ...]) -> float:
    """Width of a text, in multiples of the font size."""
    font = _fonts().FontProperties(family=list(families), size=_MEASURED)
    to_path = require("matplotlib.textpath", extra="plot").text_to_path
    return float(to_path.get_text_width_height_descent(text, font, ismath=False)[0]) / _MEASURED


def width(text: str, size: float) -> float:
    """Width of drawable text at a font size, both in points."""
    return size * _HINTED * _width(text, _families())


@functools.lru_cache(maxsize=4)
def _glyphs(families: tuple[str, ...]) -> frozenset[int]:
    """All characters that at least one family has."""
    fonts, known = _fonts(), frozenset[int]()
    for family in families:
        try:
            path = fonts.findfont(fonts.FontProperties(family=[family]), fallback_to_default=False)
        except ValueError:  # not installed: matplotlib warns when it draws
            continue
        known |= frozenset(fonts.get_font(path).get_charmap())
    return known or frozenset(fonts.get_font(fonts.findfont(fonts.FontProperties())).get_charmap())


def _families() -> tuple[str, ...]:
    """The font families, in the order in which a glyph is looked up."""
    return tuple(_fonts().FontProperties().get_family())


def _fonts() -> Any:
    return require("matplotlib.font_manager", extra="plot")
