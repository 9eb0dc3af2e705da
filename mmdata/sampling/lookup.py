"""Step -> everything about its examples that is known before a file is opened."""

import os
import weakref
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
from mmdata.seeding import random_keys
from mmdata.tasks import Task


class Lookup:
    """Looks up the examples of a step: pairs, or images with their captions.

    step: int64 []  ->  step, epoch, index, row: int64 [b]; image_id: int32 [b], the row of the
    first copy of the image; format, orientation: int8 [b]; path: string [b]; caption: string [b],
    if the task has text; seed: int32 [b, 2], if asked for; and each of `by_row` and `by_index`
    [b, ...]

    Draws all that is random in one call of Python; the graph does the rest, and stores paths and
    captions as the two buffers of `Pairs`. Captions are chosen by `ChooseCaption`.

    Args:
      pairs, scan: The images and captions.
      epoch_index: Index -> row and captions.
      order: Step -> indices.
      task: Sets which captions are used.
      by_row: More columns, [rows, ...].
      by_index: More columns, [indices, ...].
      by_group: All indices, sorted by bucket or block, if `order` has any.
      same_captions: Whether every epoch takes the same captions as the first one.
      with_seeds: Whether each example has a key of its own for `tf.random.stateless_*`.
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
        with_seeds: bool = False,
    ) -> None:
        self._order = order
        self._by_group = by_group
        self._with_seeds = with_seeds
        self._choose_caption = ChooseCaption(pairs, epoch_index, task.captions, order.seed)
        self._same_captions = same_captions
        with tf.device("CPU:0"):
            self._root = tf.constant(os.fsencode(os.path.join(pairs.root, "")))
            self._images = constant_strings(pairs.images)
            self._by_index = {name: tf.constant(column) for name, column in by_index.items()}
            self._by_row = {
                "image_id": tf.constant(first_copies(scan.keys).astype(np.int32)),
                "format": tf.constant(scan.formats),
                "orientation": tf.constant(scan.orientations),
                **{name: tf.constant(column) for name, column in by_row.items()},
            }

    def __call__(self, step: Any) -> Example:
        proxy = weakref.proxy(self)  # TensorFlow never frees what this function refers to
        drawn = tf.numpy_function(
            lambda step: proxy._draw(int(step)),
            [step],
            [tf.int64] * 3 + [tf.int32] * self._with_seeds,
            stateful=False,
        )
        size = self._order.batch_size // self._order.shard[1] if self._order.full else None
        index, begin, end = (tf.ensure_shape(numbers, [size]) for numbers in drawn[:3])
        chosen = self._choose_caption(begin, end)
        return {
            "step": tf.fill(tf.shape(index), step),
            "epoch": tf.fill(tf.shape(index), self._order.epoch(step)),
            "index": index,
            **({"seed": tf.ensure_shape(drawn[3], [size, 2])} if self._with_seeds else {}),
            **{name: tf.gather(column, index) for name, column in self._by_index.items()},
            **chosen,
            **self.of_rows(chosen["row"]),
        }

    def _draw(self, step: int) -> list[NDArray[Any]]:
        """The index, begin and end of places, and seed of each example of a step."""
        epoch, index = self._order.epoch(step), self._order.indices(step)
        if self._by_group is not None:
            index = self._by_group[index]
        places = self._choose_caption.places(index, 0 if self._same_captions else epoch)
        seeds = [random_keys(index, self._order.seed, epoch)] if self._with_seeds else []
        return [index, *places, *seeds]

    def of_rows(self, row: Any) -> Example:
        """The columns of the images of some rows: row, path and `by_row`, [b, ...]."""
        return {
            "row": row,
            "path": self._root + strings_at(self._images, row),
            **{name: tf.gather(column, row) for name, column in self._by_row.items()},
        }
