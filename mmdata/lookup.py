"""Step -> what is known of the examples before a file is opened."""

import os
from typing import Any

import tensorflow as tf

from mmdata.example import Example
from mmdata.order import Order, Permutes
from mmdata.pairing.pairs import Pairs
from mmdata.pairing.strings import Strings
from mmdata.scan import Scan


class Lookup:
    """Looks up the examples of a step inside the graph: pairs, or images with one caption each.

    step: int64 []  ->  epoch, index, row, image_id: int64 [b]; format, orientation: int8 [b];
    path, caption: string [b]

    Keeps paths and captions as the two buffers that `Pairs` has them in. Of an image with n
    captions, epoch e takes caption (row + e) % n.
    """

    def __init__(self, pairs: Pairs, scan: Scan, order: Order, permutes: Permutes) -> None:
        self._order = order
        self._permutes = permutes
        with tf.device("CPU:0"):
            self._root = tf.constant(os.fsencode(os.path.join(pairs.root, "")))
            self._images = _column(pairs.images)
            self._captions = _column(pairs.captions)
            self._first = tf.constant(pairs.offsets)
            self._facts = {
                "image_id": tf.constant(scan.keys),
                "format": tf.constant(scan.formats),
                "orientation": tf.constant(scan.orientations),
            }

    def __call__(self, step: Any) -> Example:
        epoch, index = self._order.epoch(step), self._order.indices(step)
        if self._permutes == "pairs":
            pair = index
            row = tf.searchsorted(self._first, index, side="right", out_type=tf.int64) - 1
        else:
            row = index
            first, end = tf.gather(self._first, row), tf.gather(self._first, row + 1)
            pair = first + (row + epoch) % (end - first)
        return {
            "epoch": tf.fill(tf.shape(index), epoch),
            "index": index,
            "row": row,
            "path": self._root + _texts(self._images, row),
            "caption": _texts(self._captions, pair),
            **{name: tf.gather(column, row) for name, column in self._facts.items()},
        }


def _column(strings: Strings) -> tuple[Any, Any]:
    return tf.constant(strings.data), tf.constant(strings.offsets)


def _texts(column: tuple[Any, Any], index: Any) -> Any:
    data, offsets = column
    begin = tf.gather(offsets, index)
    return tf.strings.substr(data, begin, tf.gather(offsets, index + 1) - begin)
