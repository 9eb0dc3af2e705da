"""The index of an epoch: one index for each pair, or for each image with some of its captions."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from mmdata.pairs.pairs import Pairs
from mmdata.pairs.strings import Strings
from mmdata.tasks import Task

Ints = NDArray[np.int64]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class EpochIndex:
    """The indices of an epoch, and the captions of each index.

    Attributes:
      count: Number of indices.
      first: int64 [count + 1]; index i has the places `first[i]` to `first[i + 1]`, and a step
        takes one of them, or all. None: index i has only place i.
      pairs: int64 [places], the pair at each place. None: place i is pair i.
      has_text: Whether captions are read; if not, index i is row i.
    """

    count: int
    first: Ints | None = None
    pairs: Ints | None = None
    has_text: bool = True

    @classmethod
    def of(cls, task: Task, pairs: Pairs, keys: Ints) -> "EpochIndex":
        """Makes the index of an epoch for a task.

        Args:
          task: Sets which captions are used, and whether copies of a file are one image.
          pairs: Images, each with at least one caption, unless the task reads no captions.
          keys: int64 [rows], equal for copies of a file, 0 if the file was not read.
        """
        if not task.has_text:
            return cls(count=len(pairs), has_text=False)
        if task.captions == "all":
            return cls(count=pairs.pair_count)
        first, of_place = by_file(pairs, keys) if task.once_per_file else (pairs.offsets, None)
        if task.captions in ("first", "longest"):
            places = first[:-1] if task.captions == "first" else _longest(pairs, first, of_place)
            chosen = places if of_place is None else of_place[places]
            return cls(count=len(chosen), pairs=chosen)
        return cls(count=len(first) - 1, first=first, pairs=of_place)

    def captions(self, task: Task, pairs: Pairs) -> Strings:
        """All texts that examples may have; one per index, if the text is always the same."""
        if task.captions == "join" and self.first is not None:
            texts = pairs.captions if self.pairs is None else pairs.captions.take(self.pairs)
            ends = zip(self.first, self.first[1:], strict=False)
            return Strings.of(" ".join(texts[begin:end]) for begin, end in ends)
        if self.first is None and self.pairs is not None:
            return pairs.captions.take(self.pairs)
        return pairs.captions

    def rows(self, pairs: Pairs) -> Ints:
        """The row of each index, int64 [count]; that of its first caption, if it has several."""
        if not self.has_text:
            return np.arange(self.count)
        places = np.arange(self.count) if self.first is None else self.first[:-1]
        chosen = places if self.pairs is None else self.pairs[places]
        return np.searchsorted(pairs.offsets, chosen, side="right").astype(np.int64) - 1


def first_copies(keys: Ints) -> Ints:
    """The row of the first copy of each file, int64 [rows]; a file that was not read has no copy.

    Args:
      keys: int64 [rows], equal for copies of a file, 0 if the file was not read.
    """
    _, first, number = np.unique(keys, return_index=True, return_inverse=True)
    return np.where(keys == 0, np.arange(len(keys)), first[number])


def by_file(pairs: Pairs, keys: Ints) -> tuple[Ints, Ints | None]:
    """The offset of each file's captions, and the pairs in that order; copies are one file."""
    copies = first_copies(keys)
    if np.array_equal(copies, np.arange(len(keys))):
        return pairs.offsets, None
    file = np.repeat(np.unique(copies, return_inverse=True)[1], np.diff(pairs.offsets))
    first = np.concatenate([[0], np.cumsum(np.bincount(file))]).astype(np.int64)
    return first, np.argsort(file, kind="stable")


def _longest(pairs: Pairs, first: Ints, of_place: Ints | None) -> Ints:
    """The place of the longest caption of each index; the first of equally long ones."""
    lengths = np.diff(pairs.captions.offsets)
    if of_place is not None:
        lengths = lengths[of_place]
    index = np.repeat(np.arange(len(first) - 1), np.diff(first))
    ranked = np.lexsort((np.arange(len(lengths)), -lengths, index))
    return ranked[first[:-1]]
