"""Options and stages as plain data, which JSON can hold and any language can read."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

_LARGEST = 2**53


def as_dict(value: Any) -> dict[str, Any]:
    """A dataclass as plain data: its name under "type", then its fields; see `plain`.

    Omits the fields that its `repr` omits.
    """
    fields = [field.name for field in dataclasses.fields(value) if field.repr]
    return {"type": _name(type(value)), **{name: plain(getattr(value, name)) for name in fields}}


def plain(value: Any) -> Any:
    """A value as None, bools, numbers, texts, lists and dicts.

    Bytes become hex digits. Integers beyond 2^53, which JavaScript rounds, become texts. Anything
    else without a `to_dict` becomes the name of its type: code is not compared.
    """
    if isinstance(value, int) and abs(value) > _LARGEST:
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(inner) for inner in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return value.to_dict() if hasattr(value, "to_dict") else as_dict(value)
    if hasattr(value, "to_dict") and not isinstance(value, type):
        return value.to_dict()
    return {"type": _name(value if hasattr(value, "__qualname__") else type(value))}


def fingerprint(settings: Any, *contents: bytes) -> str:
    """32 hex digits that differ if settings (plain data) or contents differ, to name a file."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for content in contents:
        digest.update(b"%d:" % len(content))
        digest.update(content)
    return digest.hexdigest()


def _name(kind: Any) -> str:
    """The name of a class or function, with its module unless it is one of mmdata's."""
    is_ours = kind.__module__.startswith("mmdata.")
    return kind.__qualname__ if is_ours else f"{kind.__module__}.{kind.__qualname__}"
