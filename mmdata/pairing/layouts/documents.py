"""JSON files -> plain values."""

import codecs
import json
import re
import reprlib
from typing import Any, TypeGuard

import msgspec

from mmdata.pairing.findings import PairingError

SURROGATE = re.compile("[\ud800-\udfff]")
"""JSON can spell one alone; UTF-8 cannot."""

_SHOWN = 80
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _SHOWN


def load(path: str) -> Any:
    """Reads a JSON file in UTF-8, with or without a byte order mark.

    Raises:
      PairingError: It is none.
    """
    with open(path, "rb") as file:
        content = file.read().removeprefix(codecs.BOM_UTF8)
    try:
        return _decode(content)
    except (ValueError, RecursionError) as err:
        raise PairingError(f"{path}: not a JSON file in UTF-8: {err}.") from err


def _decode(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError:  # NaN and lone surrogates are about, which only Python's takes
        return json.loads(content.decode("utf-8"))


def is_text(value: object) -> TypeGuard[str]:
    """Whether a value is text that UTF-8 can write."""
    return isinstance(value, str) and (value.isascii() or not SURROGATE.search(value))


def one_line(text: str) -> str:
    """The text without white space around it, and with single spaces in it."""
    return " ".join(text.split())


def shown(value: object) -> str:
    """The beginning of a value, for messages, however large or deep it is."""
    return f"{_REPR.repr(value):.{_SHOWN}}"
