"""Texts that attack a terminal or a page, and how to detect it."""

import unicodedata

CAPTIONS = (
    "a dog \x1b[2Jcleared",
    "a cat \x9b31mred",
    "a bell \x1b]0;a title\x07",
    "over\x08\x7fwritten",
    "evil \u202egnp.exe",
    "open \u2066isolate",
    "closed \u2069\u202etwice",
    "\u05e9\u05dc\u05d5\u05dd",
)
"""Each can be a line of a caption file."""

NAMES = (
    "a\x1b[2J",
    "b\x9b31m",
    "c\x1b]0;t\x07",
    "d\r",
    "e\udcff",
    "f\u202egpj",
    "g\u2066",
    "\u05e9\u05dc\u05d5\u05dd",
)
"""File names without extension; one of them is not UTF-8."""


def obeyed(text: str) -> set[str]:
    r"""What a terminal or a page would obey, or could not show, beside `\n`."""
    joiners = {"\u200c", "\u200d"}
    kinds = ("Cc", "Cf", "Cs", "Zl", "Zp")
    found = {char for char in text if unicodedata.category(char) in kinds}
    return found - joiners - {"\n"}
