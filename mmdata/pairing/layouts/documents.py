"""JSON -> plain values, read strictly: an object that has a key twice is not an object."""

import json
import os
import re
import reprlib
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeGuard

import msgspec

from mmdata.pairing import texts
from mmdata.pairing.findings import Finding, PairingError

SURROGATE = re.compile("[\ud800-\udfff]")
"""JSON can spell one alone; UTF-8 cannot."""

_KEY_WITH_SPACE = re.compile(rb'"\s+:')
_SHOWN = 80
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _SHOWN


class Doubled:
    """In place of a JSON object that has a key twice: one of the two values would be lost."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __repr__(self) -> str:
        return f"an object with the key {self._key[:_SHOWN]!r} twice"


class Document(NamedTuple):
    """The content of a JSON file.

    Attributes:
      path: The file, for errors.
      value: What it holds, with `Doubled` in place of each object that has a key twice.
      findings: What was made of its bytes.
    """

    path: str
    value: Any
    findings: list[Finding]

    @property
    def source(self) -> str:
        """The file's name, for findings."""
        return os.path.basename(self.path)


def load(path: str, decoder: texts.TextDecoder) -> Document:
    """Reads a JSON file.

    Raises:
      PairingError: It is not JSON, not text, or its outermost object has a key twice.
    """
    with open(path, "rb") as file:
        content = file.read()
    try:
        text, note = decoder.decode(content)
        value = decode(text)
    except UnicodeDecodeError as err:
        raise PairingError(
            f"{path}: must be a JSON file in UTF-8; got {texts.explain(err)}. Pass encoding=... "
            'or encoding_errors="replace".'
        ) from err
    except (ValueError, RecursionError) as err:
        raise PairingError(
            f"{path}: must be a JSON file; got {err}. A file of one object a line is named .jsonl."
        ) from err
    if isinstance(value, Doubled):
        raise PairingError(f"{path}: must have each key once; got {value!r}.")
    findings = [Finding("coerced", os.path.basename(path), note)] if note else []
    return Document(path, value, findings)


def decode(text: str) -> Any:
    """Parses JSON, with `Doubled` in place of each object that has a key twice.

    Raises:
      ValueError, RecursionError: It is not JSON, or nested too deeply.
    """
    content = text.encode("utf-8", "surrogatepass")
    try:
        value = msgspec.json.decode(content)
    except msgspec.DecodeError:  # NaN and lone surrogates occur, which only Python's parser takes
        pass
    else:
        # Each key is followed by `":`, which else occurs inside of texts alone. So as many as there
        # are keys means that no key was lost, unless white space stands before a colon.
        if content.count(b'":') == _key_count(value) and not _KEY_WITH_SPACE.search(content):
            return value
    return json.loads(text, object_pairs_hook=_object)


def _key_count(value: Any) -> int:
    """The number of keys in all objects of a value."""
    count, level = 0, [value]
    while level:
        objects = [each for each in level if type(each) is dict]
        parts: list[Iterable[Any]] = [each for each in level if type(each) is list]
        count += sum(map(len, objects))
        parts += [each.values() for each in objects]
        level = [
            each for part in parts for each in part if type(each) is dict or type(each) is list
        ]
    return count


def _object(items: list[tuple[str, Any]]) -> dict[str, Any] | Doubled:
    found = dict(items)
    if len(found) == len(items):
        return found
    [(key, _)] = Counter(key for key, _ in items).most_common(1)
    return Doubled(key)


def is_text(value: object) -> TypeGuard[str]:
    """Whether a value is text that UTF-8 can write."""
    return isinstance(value, str) and (value.isascii() or not SURROGATE.search(value))


def one_line(text: str) -> str:
    """The text without white space around it, and with single spaces in it."""
    return " ".join(text.split())


def shown(value: object) -> str:
    """The beginning of a value, for messages, however large or deep it is."""
    return f"{_REPR.repr(value):.{_SHOWN}}"
