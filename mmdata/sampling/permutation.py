"""A random permutation of `range(count)` as a pure function of keys, without a buffer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.seeding import Purpose, Words, keys, mix

Ints = NDArray[np.int64]
Numbers = NDArray[np.uint64]

ROUNDS = 24
"""Enough for any count: with 16 rounds, some permutations of 7 or 8 are too frequent."""

_ROUNDS_OF_MANY = 12
_MANY = 256
_ONE = np.array(1, np.uint64)


def permuted_by(seed: int, epoch: int, purpose: Purpose, places: Ints, count: int) -> Ints:
    """Where the permutation of an epoch puts places, each in [0, count): int64 [b]."""
    rounds = ROUNDS if count < _MANY else _ROUNDS_OF_MANY
    return permuted(places, count, keys(rounds, seed, epoch, purpose))


def permuted(places: Ints, count: int | Ints, of_rounds: Sequence[Words]) -> Ints:
    """Where permutations of `range(count)` put places.

    places: int64 [b], each in [0, count)  ->  int64 [b], each in [0, count)

    Puts place i at row i // columns and column i % columns of a table with at least `count` cells.
    Each round moves a cell in its column by a hash of the column, or in its row by a hash of the
    row. A place that leaves `range(count)` moves on until it returns.

    Args:
      places: The places.
      count: Below 2^62; one for all places, or int64 [b].
      of_rounds: A key for each round, an even number: uint32 [] for all places, or [b].

    Source: Black and Rogaway 2002, "Ciphers with arbitrary finite domains": generalized Feistel
    network, cycle walking.
    """
    counts = np.asarray(count, np.uint64)
    rows = np.asarray(np.ceil(np.sqrt(counts))).astype(np.uint64)
    rows += rows & _ONE  # in an odd number of rows and columns, all moves would be even
    columns = np.asarray((counts + rows - _ONE) // rows)
    moved = _moved(places.astype(np.uint64), rows, columns, of_rounds)
    while (left := np.flatnonzero(moved >= counts)).size:
        of_left = _at(left, rows), _at(left, columns), [_at(left, key) for key in of_rounds]
        moved[left] = _moved(moved[left], *of_left)
    return moved.view(np.int64)


def _moved(cells: Numbers, rows: Numbers, columns: Numbers, of_rounds: Sequence[Words]) -> Numbers:
    row, column = np.divmod(cells, columns)
    for to_column, to_row in zip(of_rounds[::2], of_rounds[1::2], strict=True):
        row = (row + mix(column.astype(np.uint32) ^ to_column)) % rows
        column = (column + mix(row.astype(np.uint32) ^ to_row)) % columns
    return row * columns + column


def _at(places: Ints, numbers: NDArray[Any]) -> NDArray[Any]:
    """The numbers of some places, if each place has one of its own."""
    return numbers[places] if numbers.ndim else numbers
