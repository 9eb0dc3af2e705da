"""Text of any origin -> what a font can draw, and how much room that takes."""

import bisect
import functools
import unicodedata
from collections.abc import Iterator
from typing import Any

from mmdata.optional import require

LINE = 1.3
"""Height of a line, in font sizes."""

_MEASURED = 100.0  # the font size at which text is measured, in points
_HINTED = 1.08  # how much wider letters may be drawn: hinting moves them to whole pixels
_READ = 2000  # characters of a text that are looked at: more never fits
_STAND_INS = "\N{WHITE SQUARE}?"
_SPACES = ("Cc", "Zl", "Zp", "Zs")
_MARKS = ("Me", "Mn")


def drawable(text: str, space: str = " ") -> str:
    """The text as one line that the font of the moment can draw.

    White space and control characters become `space`; what has no glyph becomes a box. Characters
    that only say how to set others go: they could turn the order of what stands around them.
    """
    known = _glyphs(_families())
    box = next((mark for mark in _STAND_INS if ord(mark) in known), "")
    drawn = []
    for character in text[:_READ]:
        category = unicodedata.category(character)
        if category in _SPACES:
            drawn.append(space)
        elif category == "Cf":
            continue
        elif ord(character) in known:
            drawn.append(character)
        elif category not in _MARKS:
            drawn.append(box)
    return "".join(drawn)


def width(text: str, size: float) -> float:
    """Room that drawable text needs at a font size, both in points."""
    return size * _HINTED * _width(text, _families())


def wrap(text: str, room: float, size: float, most: int) -> list[str]:
    """At most `most` lines of drawable text, none wider than `room` points.

    A word that is wider than a line is parted. What does not fit ends in an ellipsis.
    """
    lines: list[str] = []
    for word in _parted(text, room, size):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width(longer, size) <= room:
            lines[-1] = longer
        elif len(lines) < most:
            lines.append(word)
        else:
            lines[-1] = shorten(longer, room, size)
            break
    return lines


def shorten(text: str, room: float, size: float) -> str:
    """The text, or its beginning and an ellipsis, no wider than `room` points."""
    if width(text, size) <= room:
        return text
    return f"{text[: _fitting(text, room - width('…', size), size)].rstrip()}…"


def _parted(text: str, room: float, size: float) -> Iterator[str]:
    for word in text.split():
        rest = word
        while (end := _fitting(rest, room, size)) < len(rest):
            yield rest[:end]
            rest = rest[end:]
        yield rest


def _fitting(text: str, room: float, size: float) -> int:
    """How many characters of a text fit, at least 1."""
    ends = range(1, len(text) + 1)
    return max(bisect.bisect_right(ends, room, key=lambda end: width(text[:end], size)), 1)


@functools.lru_cache(maxsize=1 << 14)
def _width(text: str, families: tuple[str, ...]) -> float:
    """Width of a text in font sizes."""
    font = _fonts().FontProperties(family=list(families), size=_MEASURED)
    to_path = require("matplotlib.textpath", extra="plot").text_to_path
    return float(to_path.get_text_width_height_descent(text, font, ismath=False)[0]) / _MEASURED


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
