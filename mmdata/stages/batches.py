"""Batches of less than full size between full ones, for a pipeline that takes them apart."""

import dataclasses

import tensorflow as tf

from mmdata.example import Example
from mmdata.headers import Format


@dataclasses.dataclass(frozen=True, kw_only=True)
class FillUp:
    """Fills a batch up, with examples that decode to nothing.

    format: int8 [b]; each feature [b, ...]  ->  each [size, ...]; real: bool [size]

    Attributes:
      size: Examples of a full batch, >= b.
    """

    size: int

    def __call__(self, example: Example) -> Example:
        count = tf.shape(example["format"])[0]
        real = tf.range(self.size) < count
        places = tf.minimum(tf.range(self.size), count - 1)
        full = {name: tf.gather(column, places) for name, column in example.items()}
        unknown = tf.cast(Format.UNKNOWN, tf.int8)
        return {**full, "format": tf.where(real, full["format"], unknown), "real": real}


@dataclasses.dataclass(frozen=True, kw_only=True)
class CutBack:
    """Takes from a batch what filled it up.

    real: bool [size]; each feature [size, ...]  ->  each [b, ...]; `real` goes
    """

    def __call__(self, example: Example) -> Example:
        count = tf.math.count_nonzero(example["real"])
        return {name: column[:count] for name, column in example.items() if name != "real"}
