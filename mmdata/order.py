"""The order of an epoch: step -> indices of its batch. A pure function of integers; no buffer.

A step counts batches from the beginning of training, so epoch = step // steps_per_epoch.
"""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

_ROUNDS = 8
_ROUNDS_OF_NUMBERS = 32
_LARGEST = 2**31 - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Order:
    """Which indices out of `range(count)` each step takes. Every epoch takes each of them once.

    The last batch of an epoch, or of each bucket, is shorter where `batch_size` does not divide its
    indices.

    Attributes:
      count: Number of indices, >= 1.
      batch_size: Indices a step, over all shards together, >= 1.
      shuffle: Whether each epoch has a permutation of its own; False counts up.
      seed: The permutations are a function of (seed, epoch).
      shard: (k, w): this worker takes slice k of the w equal slices of each batch.
      buckets: Numbers of indices, `count` in all, that go together: no batch mixes the first
        `buckets[0]` with the next `buckets[1]`, and so on. Empty is one bucket.

    Raises:
      ValueError: A field is out of range, or `batch_size`, or a last batch, cannot be shared.
    """

    count: int
    batch_size: int
    shuffle: bool = True
    seed: int = 0
    shard: tuple[int, int] = (0, 1)
    buckets: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.count >= 1:
            raise ValueError(f"count=... must be at least 1; got {self.count!r}.")
        if self.buckets and not (min(self.buckets) >= 1 and sum(self.buckets) == self.count):
            raise ValueError(
                f"buckets=... must be numbers of at least 1, {self.count:,} in all; got "
                f"{self.buckets!r}."
            )
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
        for size in self.buckets or (self.count,):
            if 0 < size % self.batch_size < workers:
                raise ValueError(
                    f"the last batch of {size % self.batch_size} cannot be shared by {workers} "
                    f"shards; choose another batch_size than {self.batch_size!r} for {size:,}"
                    f"{' indices of one bucket' if self.buckets else ''}."
                )

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches of an epoch."""
        return sum(self._steps())

    def epoch(self, step: Any) -> Any:
        """The epoch that a step (int64 []) falls into, int64 []."""
        return step // self.steps_per_epoch

    def indices(self, step: Any) -> Any:
        """The indices of a step (int64 []) for this shard, int64 [b], each in [0, count)."""
        batch, epoch = step % self.steps_per_epoch, self.epoch(step)
        if not self.buckets:
            return self._permuted(self._places(batch, self.count), epoch, self.count)
        batch = self._permuted(batch, epoch, self.steps_per_epoch)
        ends = tf.constant(np.cumsum(self._steps()))
        bucket = tf.searchsorted(ends, batch[tf.newaxis], side="right")[0]
        size = tf.gather(tf.constant(self.buckets, tf.int64), bucket)
        places = self._places(batch - tf.gather(ends - self._steps(), bucket), size)
        first = tf.gather(np.cumsum(self.buckets) - self.buckets, bucket)
        return first + self._permuted(places, epoch, size)

    def _steps(self) -> list[int]:
        """Number of batches of each bucket."""
        return [-(-size // self.batch_size) for size in self.buckets or (self.count,)]

    def _places(self, batch: Any, count: Any) -> Any:
        """Where a batch out of `count` indices lies, as far as it is this shard's."""
        worker, workers = self.shard
        begin = batch * self.batch_size
        size = tf.minimum(begin + self.batch_size, count) - begin
        return tf.range(begin + size * worker // workers, begin + size * (worker + 1) // workers)

    def _permuted(self, places: Any, epoch: Any, count: Any) -> Any:
        if not self.shuffle:
            return places
        return _shuffled(places, [self.seed, epoch], tf.cast(count, tf.int64) - 1, _ROUNDS)


def random_numbers(index: Any, seed: int, epoch: Any) -> Any:
    """Numbers from 0 to 2^31 - 1 at random, each a function of (seed, epoch, index).

    index: int64 [b], below 2^31  ->  int64 [b]

    A permutation of so many numbers, looked up where it is needed, is a draw for each index by
    itself, whatever batch it is in. Independent of the order of the same seed.
    """
    return _shuffled(index, [seed, -1 - epoch], tf.constant(_LARGEST, tf.int64), _ROUNDS_OF_NUMBERS)


def _shuffled(index: Any, key: Any, largest: Any, rounds: int) -> Any:
    # RandomIndexShuffle looks at the low 8 bits of each seed word only, so hash first.
    words = tf.random.stateless_uniform([3], key, None, None, tf.int32)
    return tf.raw_ops.RandomIndexShuffle(
        index=index, seed=tf.bitcast(words, tf.uint32), max_index=largest, rounds=rounds
    )
