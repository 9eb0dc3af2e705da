"""Blocks in another order each epoch, some at a time, with their indices permuted together."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mmdata.sampling.permutation import ROUNDS, Ints, permuted, permuted_by
from mmdata.seeding import Purpose, keys, mix


class Windows:
    """Place in an epoch -> index, where windows of a few blocks are permuted.

    Keeps the order of the blocks of the last epoch, which all its batches need.

    Args:
      sizes: The number of indices of each block.
      window: Number of blocks that are permuted together.
      seed: The permutations are a function of (seed, epoch).
    """

    def __init__(self, sizes: Sequence[int], window: int, seed: int) -> None:
        self._sizes = np.array(sizes, np.int64)
        self._firsts = np.cumsum(self._sizes) - self._sizes
        self._window = window
        self._seed = seed
        self._last = self._shuffled(0)

    def permuted(self, places: Ints, epoch: int) -> Ints:
        """The indices at some places of an epoch, int64 [b]."""
        if (blocks := self._last).epoch != epoch:
            self._last = blocks = self._shuffled(epoch)
        window = np.searchsorted(blocks.borders, places, side="right") - 1
        begin = blocks.borders[window]
        of_epoch = keys(ROUNDS, self._seed, epoch, Purpose.WINDOWS)
        of_window = mix(np.stack(of_epoch)[:, np.newaxis] ^ window.astype(np.uint32))
        count = blocks.borders[window + 1] - begin
        places = begin + permuted(places - begin, count, [*of_window])
        turn = np.searchsorted(blocks.begins, places, side="right") - 1
        return self._firsts[blocks.order[turn]] + places - blocks.begins[turn]

    def _shuffled(self, epoch: int) -> "_Blocks":
        count = len(self._sizes)
        order = permuted_by(self._seed, epoch, Purpose.BLOCKS, np.arange(count), count)
        ends = np.cumsum(self._sizes[order])
        begins = ends - self._sizes[order]
        return _Blocks(epoch, order, begins, np.append(begins[:: self._window], ends[-1]))


class _Blocks(NamedTuple):
    """The blocks of an epoch.

    Attributes:
      epoch: The epoch.
      order: int64 [blocks], the blocks in their order.
      begins: int64 [blocks], the place where each of them begins.
      borders: int64 [windows + 1], the places where windows begin, and the end.
    """

    epoch: int
    order: Ints
    begins: Ints
    borders: Ints
