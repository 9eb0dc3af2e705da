"""Further columns of `Pairs`: numbers in arrays, everything else as text."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.pairs.strings import Strings

Column = NDArray[Any] | Strings
"""int64, float64 or bool [rows], or a text for each row."""

_MOST_SPLITS = 127
_LARGEST = 2**53  # float64 holds every int up to it
_INT = re.compile(r"[+-]?(0|[1-9]\d{0,17})")
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE)


def column(values: Sequence[Any]) -> Column | None:
    """Packs values of one kind: bools, ints, numbers (None is NaN) or texts (None is "").

    Returns:
      The column; None if the values are of mixed kinds or of another kind, or if an int is too
      large for its column.
    """
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return np.array(values, np.bool_)
    if kinds == {int}:
        fits = all(-(2**63) <= value < 2**63 for value in values)
        return np.array(values, np.int64) if fits else None
    if kinds and kinds <= {int, float, type(None)} and kinds & {int, float}:
        if any(type(value) is int and abs(value) > _LARGEST for value in values):
            return None
        return np.array([np.nan if value is None else float(value) for value in values])
    if kinds <= {str, type(None)}:
        return Strings.of(value or "" for value in values)
    return None


def parsed(cells: Sequence[str]) -> list[Any]:
    """Parses the cells of a text table as bools, ints or floats if all of them are; else as text.

    A cell is a bool or an int only if Python would write it in the same way, so "007" stays text.
    An empty cell in a column of numbers is None.
    """
    given = {cell for cell in cells if cell}
    if given and given <= {"True", "False"} and "" not in cells:
        return [cell == "True" for cell in cells]
    if given and all(map(_INT.fullmatch, given)) and ("" not in cells or _are_floats(given)):
        return [int(cell) if cell else None for cell in cells]
    if given and all(map(_FLOAT.fullmatch, given)) and _are_floats(given):
        return [float(cell) if cell else None for cell in cells]
    return list(cells)


def _are_floats(cells: Iterable[str]) -> bool:
    """Whether no cell is a code, such as "007", or an int that float64 would round."""
    return not any(map(_is_code, cells))


def _is_code(cell: str) -> bool:
    digits = cell.lstrip("+-")
    return digits.isdigit() and (
        (len(digits) > 1 and digits[0] == "0") or len(digits) > 16 or int(digits) > _LARGEST
    )


def take(column: Column, rows: NDArray[np.int64]) -> Column:
    """The values at `rows`, int64 [k]; a row of -1 gives NaN, or "" in a column of texts."""
    missing = rows < 0
    if isinstance(column, Strings):
        if not missing.any():
            return column.take(rows)
        return Strings.of("" if row < 0 else column[row] for row in rows.tolist())
    if not missing.any():
        return column[rows]
    return np.where(missing, np.nan, column[rows].astype(np.float64))


def labels(
    entry_splits: Sequence[str | None], rows: NDArray[np.int64]
) -> tuple[tuple[str, ...], NDArray[np.int8] | None]:
    """The names of the splits, and which split each row is in.

    Args:
      entry_splits: The split of each entry; None or "" if it has no split.
      rows: int64 [n], the entry of each row; -1 if it has no entry.

    Returns:
      The names, "train", "validation", "test" first; int8 [n], -1 if a row is in no split; None
      if no row is in a split.

    Raises:
      ValueError: There are more than 127 names.
    """
    row_splits = [entry_splits[row] if row >= 0 else None for row in rows.tolist()]
    names = sorted({name for name in row_splits if name}, key=lambda name: (_rank(name), name))
    if len(names) > _MOST_SPLITS:
        raise ValueError(
            f"The source must name at most {_MOST_SPLITS} splits; got {len(names):,}, e.g. "
            f"{names[0]!r}. Does its column 'split' hold something else?"
        )
    if not names:
        return (), None
    places = {name: place for place, name in enumerate(names)}
    return tuple(names), np.array([places.get(name or "", -1) for name in row_splits], np.int8)


def _rank(name: str) -> int:
    known = ("train", "validation", "test")
    return known.index(name) if name in known else len(known)


def values(column: Column) -> list[Any]:
    """The values as plain Python objects."""
    return list(column) if isinstance(column, Strings) else column.tolist()


def equal(left: Mapping[str, Column], right: Mapping[str, Column]) -> bool:
    """Whether both hold the same columns, in the same order, of the same kinds and values."""
    return list(left) == list(right) and all(_same(left[name], right[name]) for name in left)


def _same(left: Column, right: Column) -> bool:
    if isinstance(left, Strings) or isinstance(right, Strings):
        return type(left) is type(right) and list(left) == list(right)
    floats = left.dtype == np.float64
    return left.dtype == right.dtype and np.array_equal(left, right, equal_nan=bool(floats))
