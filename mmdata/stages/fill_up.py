"""Fills batches up, so that a pipeline can split them into examples and batch them again."""

import dataclasses
from typing import Any

import tensorflow as tf

from mmdata.example import Example
from mmdata.files.headers import Format
from mmdata.settings import as_dict


@dataclasses.dataclass(frozen=True, kw_only=True)
class FillUp:
    """Fills a batch up with examples that cannot be decoded.

    format: int8 [b]; each feature [b, ...]
      ->  each [size, ...]; place: int32 [size], index in the batch; real: bool [size]

    Attributes:
      size: Examples in a full batch, >= b; None means b + 1.
    """

    size: int | None = None

    to_dict = as_dict

    def __call__(self, example: Example) -> Example:
        count = tf.shape(example["format"])[0]
        place = tf.range(count + 1 if self.size is None else self.size)
        real = place < count
        full = {
            name: tf.gather(column, tf.minimum(place, count - 1))
            for name, column in example.items()
        }
        kind = tf.where(real, full["format"], tf.cast(Format.UNKNOWN, tf.int8))
        return {**full, "format": kind, "place": place, "real": real}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Full:
    """Sets the static batch size of all tensors in a batch for `fit`.

    Attributes:
      size: Examples in each batch.
    """

    size: int

    to_dict = as_dict

    def __call__(self, batch: Any) -> Any:
        def sized(tensor: Any) -> Any:
            if isinstance(tensor, tf.RaggedTensor):
                return tensor
            return tf.ensure_shape(tensor, [self.size, *tensor.shape[1:]])

        return tf.nest.map_structure(sized, batch)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CutBack:
    """Removes from a batch what `FillUp` added.

    real: bool [size]; each feature [size, ...]  ->  each [b, ...], without `place` and `real`
    """

    to_dict = as_dict

    def __call__(self, example: Example) -> Example:
        count = tf.math.count_nonzero(example["real"])
        rest = {name: example[name] for name in example.keys() - {"place", "real"}}
        return {name: column[:count] for name, column in rest.items()}
