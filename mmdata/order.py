"""The order of an epoch: step -> indices of its batch. A pure function of integers; no buffer.

A step counts batches from the beginning of training, so epoch = step // steps_per_epoch.
"""

import dataclasses
from typing import Any, Literal

import tensorflow as tf

Permutes = Literal["pairs", "images"]
"""What an epoch visits once each: every pair, or every image with one of its captions."""

_ROUNDS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Order:
    """Which indices out of `range(count)` each step takes. Every epoch takes each of them once.

    The last batch of an epoch is shorter where `batch_size` does not divide `count`.

    Attributes:
      count: Number of indices, >= 1.
      batch_size: Indices a step, over all shards together, >= 1.
      shuffle: Whether each epoch has a permutation of its own; False counts up.
      seed: The permutations are a function of (seed, epoch).
      shard: (k, w): this worker takes slice k of the w equal slices of each batch.

    Raises:
      ValueError: A field is out of range, or `batch_size`, or the last batch, cannot be shared.
    """

    count: int
    batch_size: int
    shuffle: bool = True
    seed: int = 0
    shard: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        if not self.count >= 1:
            raise ValueError(f"count=... must be at least 1; got {self.count!r}.")
        worker, workers = self.shard
        if not 0 <= worker < workers:
            raise ValueError(
                f"shard=... must be (index, count) with 0 <= index < count; got {self.shard!r}."
            )
        if not (isinstance(self.batch_size, int) and self.batch_size >= 1):
            raise ValueError(
                f"batch_size=... must be an int of at least 1; got {self.batch_size!r}."
            )
        if self.batch_size % workers:
            raise ValueError(
                f"batch_size=... is shared by all {workers} shards and must be a multiple of their "
                f"number; got {self.batch_size!r}."
            )
        if 0 < self.count % self.batch_size < workers:
            raise ValueError(
                f"the last batch of {self.count % self.batch_size} cannot be shared by {workers} "
                f"shards; choose another batch_size than {self.batch_size!r} for {self.count:,}."
            )

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches of an epoch."""
        return -(-self.count // self.batch_size)

    def epoch(self, step: Any) -> Any:
        """The epoch that a step (int64 []) falls into, int64 []."""
        return step // self.steps_per_epoch

    def indices(self, step: Any) -> Any:
        """The indices of a step (int64 []) for this shard, int64 [b], each in [0, count)."""
        worker, workers = self.shard
        begin = step % self.steps_per_epoch * self.batch_size
        size = tf.minimum(begin + self.batch_size, self.count) - begin
        places = tf.range(begin + size * worker // workers, begin + size * (worker + 1) // workers)
        return self._permute(places, self.epoch(step)) if self.shuffle else places

    def _permute(self, places: Any, epoch: Any) -> Any:
        # RandomIndexShuffle looks at the low 8 bits of each seed word only, so hash first.
        words = tf.random.stateless_uniform([3], [self.seed, epoch], None, None, tf.int32)
        return tf.raw_ops.RandomIndexShuffle(
            index=places,
            seed=tf.bitcast(words, tf.uint32),
            max_index=tf.constant(self.count - 1, tf.int64),
            rounds=_ROUNDS,
        )
