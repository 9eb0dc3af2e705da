"""The order of an epoch: step -> indices of its batch. A pure function of integers; no buffer.

A step counts batches from the start of training, so epoch = step // steps_per_epoch.
"""

import dataclasses
import reprlib
from typing import Any, Literal, get_args

import numpy as np
import tensorflow as tf

from mmdata.seeding import permuted, random_words, without_autograph

Remainder = Literal["keep", "drop", "wrap"]

_ROUNDS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Order:
    """The indices out of `range(count)` that each step takes. An epoch takes each index once.

    The last batch of an epoch, or of each bucket, is short if `batch_size` does not divide the
    number of indices. With `remainder` "drop" or "wrap", an epoch misses or repeats some indices.

    Attributes:
      count: Number of indices, >= 1.
      batch_size: Indices per step, over all shards, >= 1.
      shuffle: Whether each epoch has another permutation; False takes indices in ascending order.
      seed: The permutations are a function of (seed, epoch).
      shard: (k, w): this worker takes slice k of the w equal slices of each batch.
      buckets: The number of indices of each bucket, `count` in total: no batch mixes the first
        `buckets[0]` indices with the next `buckets[1]`, and so on. Empty means one bucket.
      remainder: "keep" keeps a short batch. "drop" leaves it out: other indices each epoch, if
        shuffled. "wrap" fills it with the first indices of its bucket in the same epoch.
      blocks: The number of indices of each block, `count` in total, each >= 1; a block is stored
        together on disk. If shuffled, each epoch takes the blocks in another order, `window` blocks
        at a time, and permutes the indices of these. Empty permutes all indices. A step costs
        0.2 ms with 10,000 blocks, 1.3 ms with 100,000.
      window: Number of blocks that are permuted together, >= 1.

    Raises:
      ValueError: A field is out of range; two fields exclude each other; `batch_size`, or a last
        batch, cannot be divided among the shards; "drop" leaves no batch; "wrap" would take an
        index twice in one batch.
    """

    count: int
    batch_size: int
    shuffle: bool = True
    seed: int = 0
    shard: tuple[int, int] = (0, 1)
    buckets: tuple[int, ...] = ()
    remainder: Remainder = "keep"
    blocks: tuple[int, ...] = ()
    window: int = 8

    def __post_init__(self) -> None:
        self._require_fields()
        self._require_parts()
        self._require_batches()

    def _require_fields(self) -> None:
        if not self.count >= 1:
            raise ValueError(f"count=... must be at least 1; got {self.count!r}.")
        worker, workers = self.shard
        if not 0 <= worker < workers:
            raise ValueError(
                f"shard=... must be (index, count) with 0 <= index < count; got {self.shard!r}."
            )
        for name in ("batch_size", "window"):
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= 1):
                raise ValueError(f"{name}=... must be an int of at least 1; got {value!r}.")
        if self.batch_size % workers:
            raise ValueError(
                f"batch_size=... is shared by all {workers} shards and must be a multiple of their "
                f"number; got {self.batch_size!r}."
            )
        if self.remainder not in get_args(Remainder):
            raise ValueError(
                f"remainder=... must be one of {list(get_args(Remainder))}; got {self.remainder!r}."
            )

    def _require_parts(self) -> None:
        for name in ("buckets", "blocks"):
            sizes = getattr(self, name)
            if sizes and not (min(sizes) >= 1 and sum(sizes) == self.count):
                raise ValueError(
                    f"{name}=... must be numbers of at least 1, {self.count:,} in all; got "
                    f"{reprlib.repr(sizes)}, {sum(sizes):,} in all."
                )
        if self.buckets and self.blocks:
            raise ValueError(
                "buckets=... and blocks=... exclude each other, so leave one empty; got "
                f"{len(self.buckets):,} buckets and {len(self.blocks):,} blocks."
            )

    def _require_batches(self) -> None:
        workers, of_one = self.shard[1], " of one bucket" if self.buckets else ""
        instead = 'choose a smaller batch_size, or remainder="keep".'
        for size in self._sizes:
            rest = size % self.batch_size
            if self.remainder == "keep" and 0 < rest < workers:
                raise ValueError(
                    f"the last batch of {rest} cannot be shared by {workers} shards; choose "
                    f"another batch_size than {self.batch_size!r} for {size:,} indices{of_one}, or "
                    "shard=(0, 1), e.g. for a small split for evaluation."
                )
            if self.remainder == "wrap" and size < self.batch_size:
                raise ValueError(
                    'remainder="wrap" would take an index twice in one batch of '
                    f"{self.batch_size!r}: there are {size:,} indices{of_one}; {instead}"
                )
        if not self.steps_per_epoch:
            raise ValueError(
                f'remainder="drop" leaves no batch of {self.batch_size!r} out of '
                f"{max(self._sizes):,} indices{of_one}; {instead}"
            )

    def require_replicas(self, replicas: int) -> None:
        """Raises a ValueError unless each replica of a model gets an example of each batch.

        TensorFlow would fail inside the graph, or train on a mean of nothing.
        """
        workers = self.shard[1]
        if self.batch_size // workers % replicas:
            raise ValueError(
                f"batch_size=... must be a multiple of the {replicas} replicas of the model; got "
                f"{self.batch_size // workers} on each worker."
            )
        rests = [size % self.batch_size // workers for size in self._sizes]
        if self.remainder == "keep" and any(0 < rest < replicas for rest in rests):
            raise ValueError(
                f"each of the {replicas} replicas of the model needs an example of every batch; "
                f"the last batch has {min(filter(None, rests))}. Pass "
                f'batch_size=Batching(size={self.batch_size}, remainder="drop") to mmdata.build.'
            )

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches of an epoch."""
        return sum(self._steps())

    @property
    def full(self) -> bool:
        """Whether batches have one static size; False for "keep", even if no batch is short."""
        return self.remainder != "keep"

    @without_autograph
    def epoch(self, step: Any) -> Any:
        """The epoch of a step (int64 []), int64 []."""
        return step // self.steps_per_epoch

    @without_autograph
    def indices(self, step: Any) -> Any:
        """The indices of a step (int64 []) for this shard, int64 [b], each in [0, count)."""
        batch, epoch = step % self.steps_per_epoch, self.epoch(step)
        if self.blocks and self.shuffle:
            return self._permuted_in_windows(self._places(batch, self.count), epoch)
        if not self.buckets:
            return self._permuted(self._places(batch, self.count), epoch, self.count)
        batch = self._permuted(batch, epoch, self.steps_per_epoch)
        ends = tf.constant(np.cumsum(self._steps()))
        bucket = tf.searchsorted(ends, batch[tf.newaxis], side="right")[0]
        size = tf.gather(tf.constant(self.buckets, tf.int64), bucket)
        places = self._places(batch - tf.gather(ends - self._steps(), bucket), size)
        first = tf.gather(np.cumsum(self.buckets) - self.buckets, bucket)
        return first + self._permuted(places, epoch, size)

    @property
    def _sizes(self) -> tuple[int, ...]:
        return self.buckets or (self.count,)

    def _steps(self) -> list[int]:
        """Number of batches of each bucket."""
        short = 0 if self.remainder == "drop" else self.batch_size - 1
        return [(size + short) // self.batch_size for size in self._sizes]

    def _places(self, batch: Any, count: Any) -> Any:
        """The places of a batch in `range(count)` that belong to this shard."""
        worker, workers = self.shard
        begin, size = batch * self.batch_size, self.batch_size
        if not self.full:
            size = tf.minimum(begin + size, count) - begin
        in_slice = tf.range(
            size * worker // workers, size * (worker + 1) // workers, dtype=tf.int64
        )
        return (begin + in_slice) % count

    def _permuted(self, places: Any, epoch: Any, count: Any) -> Any:
        if not self.shuffle:
            return places
        words = random_words([3], [self.seed, epoch])
        return permuted(places, words, tf.cast(count, tf.int64) - 1, _ROUNDS)

    def _permuted_in_windows(self, places: Any, epoch: Any) -> Any:
        keys = tf.random.experimental.stateless_split([self.seed, epoch], 2)
        sizes = np.array(self.blocks, np.int64)
        # Not RandomIndexShuffle: all blocks are needed, and this is up to ten times as fast.
        blocks = tf.random.experimental.stateless_shuffle(tf.range(len(sizes)), keys[0])
        begins = tf.cumsum(tf.gather(sizes, blocks), exclusive=True)

        borders = tf.concat([begins[:: self.window], [self.count]], 0)
        window = tf.searchsorted(borders, places, side="right") - 1
        begin, end = tf.gather(borders, window), tf.gather(borders, window + 1)
        words = tf.gather(random_words([-(-len(sizes) // self.window), 3], keys[1]), window)
        places = begin + permuted(places - begin, words, end - begin - 1, _ROUNDS)

        turn = tf.searchsorted(begins, places, side="right") - 1
        first = tf.gather(np.cumsum(sizes) - sizes, tf.gather(blocks, turn))
        return first + places - tf.gather(begins, turn)
