"""Text from a user's files -> text that is safe to print and to show."""

import unicodedata

_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories: controls, invisible format characters, surrogates, line and paragraph separators."""

_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
"""Kept: Persian, Indic scripts and emoji need them, and they change only their neighbours."""

_NONCHARACTERS = "\ufffe\uffff"


def printable(text: str) -> str:
    r"""Returns text from a file as one line without active characters.

    A terminal obeys control characters, a bidirectional control reverses the text after it, and a
    file name that is not UTF-8 cannot be printed. All these become escapes, as `repr` writes them:
    `\x1b`, `\n`, `\u202e`, `\udcff`. Letters of all scripts, spaces and emoji stay unchanged. Does
    not double backslashes.

    >>> printable("a dog \x1b[2J")
    'a dog \\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(repr(char)[1:-1] if _is_hidden(char) else char for char in text)


def printable_lines(text: str) -> str:
    """Returns a message of several lines, each printable; keeps the line ends."""
    return "\n".join(map(printable, text.split("\n")))


def _is_hidden(char: str) -> bool:
    if char in _JOINERS:
        return False
    return unicodedata.category(char) in _HIDDEN or char in _NONCHARACTERS
