"""A random permutation of `range(count)` as a pure function of keys, without a buffer."""

import numpy as np
from numpy.typing import NDArray

from mmdata.seeding import Purpose, Words, keys, mix

Ints = NDArray[np.int64]

ROUNDS = 24
"""Enough for any count: with 16 rounds, some permutations of 7 or 8 are too frequent."""

_ROUNDS_OF_MANY = 12
_MANY = 256


def permuted_by(seed: int, epoch: int, purpose: Purpose, places: Ints, count: int) -> Ints:
    """Where the permutation of an epoch puts places, each in [0, count): int64 [b]."""
    rounds = ROUNDS if count < _MANY else _ROUNDS_OF_MANY
    return permuted(places, count, keys(rounds, seed, epoch, purpose)[:, np.newaxis])


def permuted(places: Ints, count: int | Ints, of_rounds: Words) -> Ints:
    """Where permutations of `range(count)` put places.

    places: int64 [b], each in [0, count)  ->  int64 [b], each in [0, count)

    Puts place i at row i // columns and column i % columns of a table with at least `count` cells.
    Each round moves a cell in its column by a hash of the column, or in its row by a hash of the
    row. A place that leaves `range(count)` moves on until it returns.

    Args:
      places: The places.
      count: Below 2^62; one for all places, or int64 [b].
      of_rounds: A key for each round, uint32 [rounds, 1] or [rounds, b].

    Source: Black and Rogaway 2002, "Ciphers with arbitrary finite domains": generalized Feistel
    network, cycle walking.
    """
    counts = np.broadcast_to(np.asarray(count, np.uint64), places.shape)
    rows = np.ceil(np.sqrt(counts)).astype(np.uint64)
    rows += rows & np.uint64(1)  # in an odd number of rows and columns, all moves would be even
    columns = (counts + rows - np.uint64(1)) // rows
    of_rounds = np.broadcast_to(of_rounds, (len(of_rounds), *places.shape))
    moved = _moved(places.astype(np.uint64), rows, columns, of_rounds)
    while (left := np.flatnonzero(moved >= counts)).size:
        moved[left] = _moved(moved[left], rows[left], columns[left], of_rounds[:, left])
    return moved.view(np.int64)


def _moved(
    cells: NDArray[np.uint64],
    rows: NDArray[np.uint64],
    columns: NDArray[np.uint64],
    of_rounds: Words,
) -> NDArray[np.uint64]:
    row, column = np.divmod(cells, columns)
    for to_column, to_row in zip(of_rounds[::2], of_rounds[1::2], strict=True):
        row = (row + mix(column.astype(np.uint32) ^ to_column)) % rows
        column = (column + mix(row.astype(np.uint32) ^ to_row)) % columns
    return row * columns + column
