"""Step -> everything about its examples that is known before a file is opened."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmdata.example import Example
from mmdata.files.scan import Scan
from mmdata.pairs.pairs import Pairs
from mmdata.pairs.strings import Strings
from mmdata.sampling.epoch import EpochIndex
from mmdata.sampling.order import Order
from mmdata.seeding import random_numbers
from mmdata.tasks import Task

LIST_SEPARATOR = b"\xff"
"""Separates the captions of one image, if a task takes a list of them: never part of UTF-8."""

_LONGEST = 2**31 - 1


class Lookup:
    """Looks up the examples of a step, in the graph: pairs, or images with their captions.

    step: int64 []  ->  step, epoch, index, row, image_id: int64 [b]; format, orientation: int8 [b];
    path: string [b]; caption: string [b], if the task has text; and each of `by_row` and `by_index`
    [b, ...]

    Stores paths and captions as the two buffers of `Pairs`. For index i with n captions, epoch e
    takes caption (i + e) % n for "cycle"; for "random", the caption is a function of (seed, e, i).

    Args:
      pairs, scan: The images and captions.
      epoch_index: Index -> row and captions.
      order: Step -> indices.
      task: Sets which captions are used.
      by_row: More columns, [rows, ...].
      by_index: More columns, [indices, ...].
      by_group: All indices, sorted by bucket or block, if `order` has any.
      same: Whether every epoch takes the same captions as the first one.
    """

    def __init__(
        self,
        pairs: Pairs,
        scan: Scan,
        epoch_index: EpochIndex,
        order: Order,
        task: Task,
        by_row: Mapping[str, NDArray[np.generic]],
        by_index: Mapping[str, NDArray[np.generic]],
        by_group: NDArray[np.int64] | None = None,
        *,
        same: bool = False,
    ) -> None:
        self._order = order
        self._same = same
        self._choice = task.captions
        with tf.device("CPU:0"):
            self._root = tf.constant(os.fsencode(os.path.join(pairs.root, "")))
            self._images = _column(pairs.images)
            self._captions = _column(pairs.captions)
            self._row_begins = tf.constant(pairs.offsets)
            self._first = _constant(epoch_index.first)
            self._pairs = _constant(epoch_index.pairs)
            self._by_group = _constant(by_group)
            self._by_index = {name: tf.constant(column) for name, column in by_index.items()}
            self._by_row = {
                "image_id": tf.constant(scan.keys),
                "format": tf.constant(scan.formats),
                "orientation": tf.constant(scan.orientations),
                **{name: tf.constant(column) for name, column in by_row.items()},
            }

    def __call__(self, step: Any) -> Example:
        epoch, index = self._order.epoch(step), self._order.indices(step)
        if self._by_group is not None:
            index = tf.gather(self._by_group, index)
        chosen = self._chosen(index, tf.zeros_like(epoch) if self._same else epoch)
        return {
            "step": tf.fill(tf.shape(index), step),
            "epoch": tf.fill(tf.shape(index), epoch),
            "index": index,
            **{name: tf.gather(column, index) for name, column in self._by_index.items()},
            **chosen,
            **self.of_rows(chosen["row"]),
        }

    def of_rows(self, row: Any) -> Example:
        """The columns of the images of some rows: row, path and `by_row`, [b, ...]."""
        return {
            "row": row,
            "path": self._root + _texts(self._images, row),
            **{name: tf.gather(column, row) for name, column in self._by_row.items()},
        }

    def _chosen(self, index: Any, epoch: Any) -> Example:
        """The row of each index, and its caption."""
        if self._choice == "none":
            return {"row": index}
        if self._choice in ("join", "list"):
            return self._joined(index, b" " if self._choice == "join" else LIST_SEPARATOR)
        place = index if self._first is None else self._place_of_epoch(index, epoch)
        pair = self._pair(place)
        return {"row": self._row(pair), "caption": _texts(self._captions, pair)}

    def _place_of_epoch(self, index: Any, epoch: Any) -> Any:
        """The place that each index takes in an epoch."""
        begin, end = self._places(index)
        if self._choice == "random":
            number = random_numbers(index, self._order.seed, epoch)
        else:
            number = index + epoch
        return begin + number % (end - begin)

    def _joined(self, index: Any, separator: bytes) -> Example:
        begin, end = self._places(index)
        pairs = tf.ragged.map_flat_values(self._pair, tf.ragged.range(begin, end))

        def add_separator(pair: Any) -> Any:
            return separator + _texts(self._captions, pair)

        # reduce_join(separator=...) omits the separator after empty texts.
        joined = tf.strings.reduce_join(tf.ragged.map_flat_values(add_separator, pairs), axis=-1)
        caption = tf.strings.substr(joined, len(separator), _LONGEST)
        return {"row": self._row(self._pair(begin)), "caption": caption}

    def _places(self, index: Any) -> tuple[Any, Any]:
        return tf.gather(self._first, index), tf.gather(self._first, index + 1)

    def _pair(self, place: Any) -> Any:
        return place if self._pairs is None else tf.gather(self._pairs, place)

    def _row(self, pair: Any) -> Any:
        return tf.searchsorted(self._row_begins, pair, side="right", out_type=tf.int64) - 1


def _constant(column: NDArray[np.int64] | None) -> Any:
    return None if column is None else tf.constant(column)


def _column(strings: Strings) -> tuple[Any, Any]:
    return tf.constant(strings.data), tf.constant(strings.offsets)


def _texts(column: tuple[Any, Any], index: Any) -> Any:
    data, offsets = column
    begin = tf.gather(offsets, index)
    return tf.strings.substr(data, begin, tf.gather(offsets, index + 1) - begin)
