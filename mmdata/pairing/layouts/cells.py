"""Cells of a table -> names, captions, splits and weights; and faults of their rows."""

import ast
import json
import math
import re
import reprlib
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

_QUOTED = r"'[^'\\]*(?:\\.[^'\\]*)*'|\"[^\"\\]*(?:\\.[^\"\\]*)*\""
_STRING = re.compile(_QUOTED)
# As `str` writes a list, or a NumPy array, without commas: Python would join its strings.
_WRITTEN = re.compile(rf"\[\s*(?:{_QUOTED})(?:(?:\s*,\s*|\s+)(?:{_QUOTED}))*\s*\]")
_LIST = re.compile(r"\[\s*['\"].*|.*['\"]\s*\]", re.DOTALL)

Faults = dict[int, str]
"""The rows that cannot become entries, and the first fault that was found in each."""


def names(cells: Sequence[Any], column: str, faults: Faults) -> list[str]:
    """The names of images, unchanged; an int becomes text."""
    found = [str(cell) if type(cell) is int else cell for cell in cells]
    for row, name in enumerate(found):
        if not isinstance(name, str) or not name or name.isspace():
            faults[row] = f"no image in column {column!r}: {reprlib.repr(name)}"
        elif "\0" in name:
            faults[row] = f"a NUL character in column {column!r}"
    add_surrogate_faults(faults, found, f"column {column!r}")
    return found


def captions(cells: Sequence[Any], column: str, faults: Faults) -> list[list[str]]:
    """The captions in cells that hold texts, lists of texts, or None."""
    found: list[list[str]] = []
    for row, cell in enumerate(cells):
        of_cell = _of_value(cell)
        if of_cell is None:
            faults.setdefault(row, f"no text in column {column!r}: {reprlib.repr(cell)}")
        found.append(of_cell or [])
    add_surrogate_faults(faults, list(map("".join, found)), f"column {column!r}")
    return found


def captions_in_text(cells: Sequence[str], column: str, faults: Faults) -> list[list[str]]:
    """The captions in cells of a format that has only text: one, or a list as text."""
    found: list[list[str]] = []
    for row, cell in enumerate(map(str.strip, cells)):
        listed = _listed(cell) if cell[:1] == "[" or cell[-1:] == "]" else [cell]
        if listed is None:
            got = reprlib.repr(cell)
            faults.setdefault(row, f"an invalid list of texts in column {column!r}: {got}")
        found.append(listed or [])
    add_surrogate_faults(faults, list(map("".join, found)), f"column {column!r}")
    return found


def _of_value(cell: Any) -> list[str] | None:
    """The captions in a cell that may hold any value; None if it holds something else."""
    if isinstance(cell, str):
        return [cell.strip()]
    if isinstance(cell, np.ndarray):
        cell = cell.tolist()
    if isinstance(cell, list) and all(isinstance(text, str) for text in cell):
        return [text.strip() for text in cell]
    return [] if cell is None else None


def _listed(cell: str) -> list[str] | None:
    """The captions in a list of strings as JSON, Python or NumPy write it; else the cell itself.

    None if it begins or ends like such a list, but is not a valid one.
    """
    strings = _STRING.findall(cell) if _WRITTEN.fullmatch(cell) else []
    if strings and "\\" not in cell:
        return [string[1:-1].strip() for string in strings]
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        found = _evaluated(strings)
    is_list = isinstance(found, list) and all(isinstance(text, str) for text in found)
    if is_list:
        return [text.strip() for text in found]
    return None if _LIST.fullmatch(cell) else [cell]


def _evaluated(strings: list[str]) -> list[str] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about an unknown escape, which stays as it is
            return [ast.literal_eval(string) for string in strings] or None
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def splits(cells: Sequence[Any], faults: Faults) -> list[str | None]:
    """The names of splits, stripped; None for no split."""
    for row, cell in enumerate(cells):
        if cell is not None and not isinstance(cell, str):
            faults.setdefault(row, f"a split must be text; got {reprlib.repr(cell)}")
    add_surrogate_faults(faults, cells, "the split")
    return [cell.strip() if isinstance(cell, str) else None for cell in cells]


MOST_WEIGHT = 1e30
"""Weights, and their products with other weights, must be finite in float32."""


def weights(cells: Sequence[Any], faults: Faults) -> list[float]:
    """The weights, 1 in an empty cell."""
    found = list(map(_weight, cells))
    for row, weight in enumerate(found):
        if not 0 <= weight < MOST_WEIGHT:
            got = reprlib.repr(cells[row])
            detail = f"a weight must be a number from 0 to below {MOST_WEIGHT:g}; got {got}"
            faults.setdefault(row, detail)
    return found


def _weight(cell: Any) -> float:
    """The weight in a cell; NaN if it holds no number."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return 1.0
    if isinstance(cell, bool):
        return math.nan
    try:
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def add_surrogate_faults(faults: Faults, cells: Sequence[Any], where: str) -> None:
    """Adds faults for texts that UTF-8 cannot encode: JSON can hold half of a character."""
    try:
        "".join([cell for cell in cells if isinstance(cell, str)]).encode()
    except UnicodeEncodeError:
        for row, cell in enumerate(cells):
            if isinstance(cell, str) and has_surrogate(cell):
                faults.setdefault(row, f"a lone surrogate in {where}")


def has_surrogate(text: str) -> bool:
    """Whether a text holds half of a character."""
    return any("\ud800" <= character <= "\udfff" for character in text)
