"""JSON -> plain values, read strictly: an object that has a key twice is not an object."""

import json
import os
import re
import reprlib
from collections import Counter
from itertools import chain
from typing import Any, NamedTuple, TypeGuard

import msgspec

from mmdata.pairing import texts
from mmdata.pairs.findings import Finding, PairingError

SURROGATE = re.compile("[\ud800-\udfff]")
"""JSON can hold half of a surrogate pair; UTF-8 cannot."""

_KEY_WITH_SPACE = re.compile(rb'"\s+:')
_SHOWN = 80
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _SHOWN


class DuplicateKey:
    """Replaces a JSON object that has a key twice: a dict would lose one of the two values."""

    def __init__(self, key: str, keys: frozenset[str]) -> None:
        self.keys = keys
        self._key = key

    def __repr__(self) -> str:
        return f"an object with the key {self._key[:_SHOWN]!r} twice"


class Document(NamedTuple):
    """The content of a JSON file.

    Attributes:
      path: The file, for errors.
      value: Its value, with `DuplicateKey` in place of each object that has a key twice.
      findings: What was coerced in its bytes.
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
    note = None
    try:
        value = _decoded(content)
        if value is None:
            text, note = decoder.decode(content)
            value = decode(text)
    except UnicodeDecodeError as err:
        raise PairingError(
            f"{path}: must be a JSON file in UTF-8; got {texts.explain(err)}. Pass encoding=... "
            'or encoding_errors="replace".'
        ) from err
    except (ValueError, RecursionError) as err:
        raise PairingError(
            f"{path}: must be a JSON file; got {err}. With one object per line, it must be named "
            ".jsonl."
        ) from err
    if isinstance(value, DuplicateKey):
        raise PairingError(f"{path}: must have each key once; got {value!r}.")
    findings = [Finding("coerced", os.path.basename(path), note)] if note else []
    return Document(path, value, findings)


def decode(text: str) -> Any:
    """Parses JSON, with `DuplicateKey` in place of each object that has a key twice.

    Raises:
      ValueError, RecursionError: It is not JSON, or nested too deeply.
    """
    value = _decoded(text.encode("utf-8", "surrogatepass"))
    return json.loads(text, object_pairs_hook=_object) if value is None else value


def _decoded(content: bytes) -> Any:
    """Parses JSON in UTF-8; None if that fails, or if an object may have a key twice.

    Each key is followed by `":`, which otherwise occurs only inside texts. So if there are as many
    of these as keys, no key was lost, unless white space is between quote and colon.
    """
    try:
        value = msgspec.json.decode(content)
    except msgspec.DecodeError:  # NaN or a lone surrogate: only Python's parser accepts them
        return None
    keys = _key_count(value, most=content.count(b"{"))
    is_sure = content.count(b'":') == keys and not _KEY_WITH_SPACE.search(content)
    return value if is_sure else None


def _key_count(value: Any, most: int) -> int:
    """The number of keys in all objects of a value, of which there are at most `most`."""
    count, found, level = 0, 0, [value]
    while level:
        objects = [each for each in level if type(each) is dict]
        lists = [each for each in level if type(each) is list]
        count += sum(map(len, objects))
        found += len(objects)
        if found == most:
            break  # below are only texts and numbers, and there are many
        values = chain.from_iterable(each.values() for each in objects)
        below = chain(chain.from_iterable(lists), values)
        level = [each for each in below if type(each) is dict or type(each) is list]
    return count


def _object(items: list[tuple[str, Any]]) -> dict[str, Any] | DuplicateKey:
    found = dict(items)
    if len(found) == len(items):
        return found
    [(key, _)] = Counter(key for key, _ in items).most_common(1)
    return DuplicateKey(key, frozenset(found))


def is_text(value: object) -> TypeGuard[str]:
    """Whether a value is text that UTF-8 can encode."""
    return isinstance(value, str) and (value.isascii() or not SURROGATE.search(value))


def one_line(text: str) -> str:
    """The text without white space around it, and with single spaces in it."""
    return " ".join(text.split())


def shown(value: object) -> str:
    """The beginning of a value, for messages, however large or deep it is."""
    return f"{_REPR.repr(value):.{_SHOWN}}"
