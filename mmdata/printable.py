"""Text that comes from a user's files -> text that is safe to print and to show."""

import unicodedata

_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Controls, invisible characters that set others, halves of characters, ends of lines."""

_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
"""Persian, Indic scripts and emoji need them, and they change nothing but their neighbours."""

_NO_CHARACTERS = "\ufffe\uffff"


def printable(text: str) -> str:
    r"""Returns a text from a file as one line that does nothing but show itself.

    A terminal obeys control characters, a bidirectional control turns round what follows it, and a
    file name that is not UTF-8 cannot be printed. All these become escapes, as `repr` writes them:
    `\x1b`, `\n`, `\u202e`, `\udcff`. Letters of all scripts, spaces and emoji stay as they are.
    Does not double backslashes.

    >>> printable("a dog \x1b[2J")
    'a dog \\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(repr(char)[1:-1] if _is_hidden(char) else char for char in text)


def printable_lines(text: str) -> str:
    """Returns a message of several lines with each of them printable: only their ends stay."""
    return "\n".join(map(printable, text.split("\n")))


def _is_hidden(char: str) -> bool:
    if char in _JOINERS:
        return False
    return unicodedata.category(char) in _HIDDEN or char in _NO_CHARACTERS
