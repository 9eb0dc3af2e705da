"""Step -> what is known of the examples before a file is opened."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmdata.example import Example
from mmdata.order import Order
from mmdata.pairing.pairs import Pairs
from mmdata.pairing.strings import Strings
from mmdata.scan import Scan
from mmdata.tasks import Task


class Lookup:
    """Looks up the examples of a step inside the graph: pairs, or images with one caption each.

    step: int64 []  ->  step, epoch, index, row, image_id: int64 [b]; format, orientation: int8 [b];
    path: string [b]; caption: string [b], if the task has text; and each of `values` [b, ...]

    Keeps paths and captions as the two buffers that `Pairs` has them in. Of an image with n
    captions, epoch e takes caption (row + e) % n.

    Args:
      pairs, scan: The images and captions.
      order: What `index` a step has.
      task: What is permuted, pairs or images, and whether it has text.
      values: More columns, [rows, ...].
      by_bucket: All indices, bucket by bucket, if `order` has buckets.
    """

    def __init__(
        self,
        pairs: Pairs,
        scan: Scan,
        order: Order,
        task: Task,
        values: Mapping[str, NDArray[np.generic]],
        by_bucket: NDArray[np.int64] | None = None,
    ) -> None:
        self._order = order
        self._task = task
        with tf.device("CPU:0"):
            self._root = tf.constant(os.fsencode(os.path.join(pairs.root, "")))
            self._images = _column(pairs.images)
            self._captions = _column(pairs.captions)
            self._first = tf.constant(pairs.offsets)
            self._by_bucket = None if by_bucket is None else tf.constant(by_bucket)
            self._facts = {
                "image_id": tf.constant(scan.keys),
                "format": tf.constant(scan.formats),
                "orientation": tf.constant(scan.orientations),
                **{name: tf.constant(column) for name, column in values.items()},
            }

    def __call__(self, step: Any) -> Example:
        epoch, index = self._order.epoch(step), self._order.indices(step)
        if self._by_bucket is not None:
            index = tf.gather(self._by_bucket, index)
        if self._task.permutes == "pairs":
            row = tf.searchsorted(self._first, index, side="right", out_type=tf.int64) - 1
        else:
            row = index
        example = {
            "step": tf.fill(tf.shape(index), step),
            "epoch": tf.fill(tf.shape(index), epoch),
            "index": index,
            "row": row,
            "path": self._root + _texts(self._images, row),
            **{name: tf.gather(column, row) for name, column in self._facts.items()},
        }
        if self._task.has_text:
            pair = index if self._task.permutes == "pairs" else self._turn(row, epoch)
            example["caption"] = _texts(self._captions, pair)
        return example

    def _turn(self, row: Any, epoch: Any) -> Any:
        """The pair of each row whose turn it is."""
        first, end = tf.gather(self._first, row), tf.gather(self._first, row + 1)
        return first + (row + epoch) % (end - first)


def _column(strings: Strings) -> tuple[Any, Any]:
    return tf.constant(strings.data), tf.constant(strings.offsets)


def _texts(column: tuple[Any, Any], index: Any) -> Any:
    data, offsets = column
    begin = tf.gather(offsets, index)
    return tf.strings.substr(data, begin, tf.gather(offsets, index + 1) - begin)
