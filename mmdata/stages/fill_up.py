"""Batches filled up for a pipeline that takes them apart, so that they come together again."""

import dataclasses
from typing import Any

import tensorflow as tf

from mmdata.example import Example
from mmdata.files.headers import Format
from mmdata.settings import as_dict


@dataclasses.dataclass(frozen=True, kw_only=True)
class FillUp:
    """Fills a batch up, with examples that decode to nothing.

    format: int8 [b]; each feature [b, ...]
      ->  each [size, ...]; place: int32 [size], its number in the batch; real: bool [size]

    Attributes:
      size: Examples of a full batch, >= b; None is b + 1.
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
    """Promises that batches have one size, in the shapes of all tensors of a batch as `fit` has it.

    Attributes:
      size: Examples of each batch.
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
    """Takes from a batch what filled it up.

    real: bool [size]; each feature [size, ...]  ->  each [b, ...]; `place` and `real` go
    """

    to_dict = as_dict

    def __call__(self, example: Example) -> Example:
        count = tf.math.count_nonzero(example["real"])
        rest = {name: example[name] for name in example.keys() - {"place", "real"}}
        return {name: column[:count] for name, column in rest.items()}
