"""Which caption of an image a step gives, when the image has several."""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmdata.example import Example
from mmdata.pairs.pairs import Pairs
from mmdata.pairs.strings import Strings
from mmdata.sampling.epoch import EpochIndex
from mmdata.seeding import random_numbers
from mmdata.tasks.task import CaptionChoice

LIST_SEPARATOR = b"\xff"
"""Between the captions of one image, where a task takes a list of them: never in UTF-8."""

_LONGEST = 2**31 - 1
_JOINED = ("join", "list")

Ints = NDArray[np.int64]


class ChooseCaption:
    """Chooses a caption for each index.

    begin, end: int64 [b], from `places`  ->  row: int64 [b]; caption: string [b], if the task has
    text

    Of index i, which has n captions, epoch e takes caption (i + e) % n for "cycle"; for "random",
    the caption is a function of (seed, e, i). "first", "longest" and "all" have one caption per
    index: `EpochIndex` chose it. "join" puts all captions into one text; "list" does so with a
    separator.

    Args:
      pairs: The images and captions.
      epoch_index: Index -> row and captions.
      choice: See `CaptionChoice`.
      seed: Another seed chooses other captions for "random".
    """

    def __init__(
        self, pairs: Pairs, epoch_index: EpochIndex, choice: CaptionChoice, seed: int
    ) -> None:
        self._choice = choice
        self._seed = seed
        self._first = epoch_index.first
        with tf.device("CPU:0"):
            self._captions = constant_strings(pairs.captions)
            self._row_begins = tf.constant(pairs.offsets)
            self._pairs = None if epoch_index.pairs is None else tf.constant(epoch_index.pairs)

    def places(self, index: Ints, epoch: int) -> tuple[Ints, Ints]:
        """Begin and end of the places whose captions each index takes in an epoch, int64 [b]."""
        if self._first is None:
            return index, index + 1
        begin, end = self._first[index], self._first[index + 1]
        if self._choice in _JOINED:
            return begin, end
        random = self._choice == "random"
        number = random_numbers(index, self._seed, epoch) if random else index + epoch
        place = begin + number % (end - begin)
        return place, place + 1

    def __call__(self, begin: Any, end: Any) -> Example:
        if self._choice == "none":
            return {"row": begin}
        if self._choice in _JOINED:
            return self._joined(begin, end, b" " if self._choice == "join" else LIST_SEPARATOR)
        pair = self._pair(begin)
        return {"row": self._row(pair), "caption": strings_at(self._captions, pair)}

    def _joined(self, begin: Any, end: Any, separator: bytes) -> Example:
        pairs = tf.ragged.map_flat_values(self._pair, tf.ragged.range(begin, end))

        def add_separator(pair: Any) -> Any:
            return separator + strings_at(self._captions, pair)

        # reduce_join(separator=...) omits the separator after empty texts.
        joined = tf.strings.reduce_join(tf.ragged.map_flat_values(add_separator, pairs), axis=-1)
        caption = tf.strings.substr(joined, len(separator), _LONGEST)
        return {"row": self._row(self._pair(begin)), "caption": caption}

    def _pair(self, place: Any) -> Any:
        return place if self._pairs is None else tf.gather(self._pairs, place)

    def _row(self, pair: Any) -> Any:
        return tf.searchsorted(self._row_begins, pair, side="right", out_type=tf.int64) - 1


def constant_strings(strings: Strings) -> tuple[Any, Any]:
    """Texts as two constants of a graph, for `strings_at`: their buffer and offsets."""
    return tf.constant(strings.data), tf.constant(strings.offsets)


def strings_at(column: tuple[Any, Any], index: Any) -> Any:
    """The texts at some places: int64 [b] -> string [b]."""
    data, offsets = column
    begin = tf.gather(offsets, index)
    return tf.strings.substr(data, begin, tf.gather(offsets, index + 1) - begin)
