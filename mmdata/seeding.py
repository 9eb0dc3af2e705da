"""Random numbers as pure functions of integers, without a generator's state."""

import functools
from typing import Any

import tensorflow as tf

_ROUNDS_OF_NUMBERS = 32
_LARGEST = 2**31 - 1
_KEYS = -(2**62)

# AutoGraph would rewrite all called functions, though none branches on a tensor: 0.2 s more until
# the first batch.
without_autograph = functools.partial(tf.autograph.experimental.do_not_convert)


@without_autograph
def random_numbers(index: Any, seed: int, epoch: Any) -> Any:
    """Random numbers from 0 to 2^31 - 1, each a function of (seed, epoch, index).

    index: int64 [b], below 2^31  ->  int64 [b]

    Each is an entry of a permutation of all these numbers, so it does not depend on the batch.
    Independent of the order of the same seed.
    """
    words = random_words([3], [seed, -1 - epoch])
    return permuted(index, words, tf.constant(_LARGEST, tf.int64), _ROUNDS_OF_NUMBERS)


@without_autograph
def random_keys(index: Any, seed: int, epoch: Any) -> Any:
    """Keys for `tf.random.stateless_*`, all different, each a function of (seed, epoch, index).

    index: int64 [...], below 2^31  ->  int32 [..., 2]

    As `random_numbers`, and independent of them.
    """
    both = tf.unstack(random_words([2, 3], [seed, _KEYS - epoch]))
    largest = tf.constant(_LARGEST, tf.int64)
    numbers = [permuted(index, words, largest, _ROUNDS_OF_NUMBERS) for words in both]
    return tf.cast(tf.stack(numbers, axis=-1), tf.int32)


def random_words(shape: list[int], key: Any) -> Any:
    """Seed words for `permuted`, uint32 [*shape]: a function of a key of two integers."""
    # RandomIndexShuffle uses only the low 8 bits of each seed word, so hash first.
    return tf.bitcast(tf.random.stateless_uniform(shape, key, None, None, tf.int32), tf.uint32)


def permuted(index: Any, words: Any, largest: Any, rounds: int) -> Any:
    """Where a permutation of 0 to `largest` puts each index; words: uint32 [3] or [..., 3]."""
    return tf.raw_ops.RandomIndexShuffle(index=index, seed=words, max_index=largest, rounds=rounds)
