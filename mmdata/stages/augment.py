"""What augmentation stages need: randomness that depends on nothing but the place in training."""

import dataclasses

import tensorflow as tf

from mmdata.example import Example


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seed:
    """Gives each example a key of its own for `tf.random.stateless_*`.

    index: int64 [], epoch: int64 []  ->  seed: int32 [2]

    Attributes:
      seed: Another seed, other keys.
    """

    seed: int

    def __call__(self, example: Example) -> Example:
        key = tf.constant([self.seed, 0], tf.int32)
        for number in (example["epoch"], example["index"]):
            key = tf.random.experimental.stateless_fold_in(key, number)
        return {**example, "seed": key}
