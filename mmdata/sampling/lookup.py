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
from mmdata.sampling.caption_choice import ChooseCaption, constant_strings, strings_at
from mmdata.sampling.epoch import EpochIndex, first_copies
from mmdata.sampling.order import Order
from mmdata.tasks import Task


class Lookup:
    """Looks up the examples of a step, in the graph: pairs, or images with their captions.

    step: int64 []  ->  step, epoch, index, row: int64 [b]; image_id: int32 [b], the row of the
    first copy of the image; format, orientation: int8 [b]; path: string [b]; caption: string [b],
    if the task has text; and each of `by_row` and `by_index` [b, ...]

    Stores paths and captions as the two buffers of `Pairs`. Captions are chosen by `ChooseCaption`.

    Args:
      pairs, scan: The images and captions.
      epoch_index: Index -> row and captions.
      order: Step -> indices.
      task: Sets which captions are used.
      by_row: More columns, [rows, ...].
      by_index: More columns, [indices, ...].
      by_group: All indices, sorted by bucket or block, if `order` has any.
      same_captions: Whether every epoch takes the same captions as the first one.
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
        same_captions: bool = False,
    ) -> None:
        self._order = order
        self._choose_caption = ChooseCaption(pairs, epoch_index, task.captions, order.seed)
        self._same_captions = same_captions
        with tf.device("CPU:0"):
            self._root = tf.constant(os.fsencode(os.path.join(pairs.root, "")))
            self._images = constant_strings(pairs.images)
            self._by_group = None if by_group is None else tf.constant(by_group)
            self._by_index = {name: tf.constant(column) for name, column in by_index.items()}
            self._by_row = {
                "image_id": tf.constant(first_copies(scan.keys).astype(np.int32)),
                "format": tf.constant(scan.formats),
                "orientation": tf.constant(scan.orientations),
                **{name: tf.constant(column) for name, column in by_row.items()},
            }

    def __call__(self, step: Any) -> Example:
        epoch, index = self._order.epoch(step), self._order.indices(step)
        if self._by_group is not None:
            index = tf.gather(self._by_group, index)
        chosen = self._choose_caption(index, tf.zeros_like(epoch) if self._same_captions else epoch)
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
            "path": self._root + strings_at(self._images, row),
            **{name: tf.gather(column, row) for name, column in self._by_row.items()},
        }
