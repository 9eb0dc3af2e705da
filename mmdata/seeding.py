"""Random numbers as pure functions of integers, without a generator's state.

All arithmetic is on 32 bits, so that `web/loader/order.js` computes the same numbers.
"""

import enum
import functools

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]

_ROUNDS = 3
_WORD = 2**32 - 1

# Arrays without axes: NumPy is faster with these than with its scalars.
_STEP = np.array(0x9E3779B9, np.uint32)
_SHIFTS = np.array(16, np.uint32), np.array(15, np.uint32)
_FACTORS = np.array(0x7FEB352D, np.uint32), np.array(0x846CA68B, np.uint32)


class Purpose(enum.IntEnum):
    """What numbers are for: those of two purposes are independent."""

    ORDER = 0
    BATCHES = 1
    BLOCKS = 2
    WINDOWS = 3
    CAPTIONS = 4
    AUGMENTATION = 5


def mix(numbers: Words) -> Words:
    """Hashes numbers one by one: a bijection of all 32-bit integers.

    Source: lowbias32, https://github.com/skeeto/hash-prospector.
    """
    mixed = numbers ^ (numbers >> _SHIFTS[0])
    mixed *= _FACTORS[0]
    mixed ^= mixed >> _SHIFTS[1]
    mixed *= _FACTORS[1]
    mixed ^= mixed >> _SHIFTS[0]
    return mixed


@functools.lru_cache(maxsize=256)
def keys(count: int, seed: int, epoch: int, purpose: Purpose) -> tuple[Words, ...]:
    """Keys that are a function of (seed, epoch, purpose), each uint32 [].

    The first ones do not depend on `count`. Of `seed` and `epoch`, 64 bits count.
    """
    hashed = np.arange(count, dtype=np.uint32)
    for word in (seed & _WORD, seed >> 32 & _WORD, epoch & _WORD, epoch >> 32 & _WORD, purpose):
        hashed = mix((hashed + _STEP) ^ np.uint32(word))
    return tuple(map(np.array, hashed))


def random_numbers(index: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """Random numbers from 0 to 2^32 - 1, each a function of (seed, epoch, index).

    index: int64 [b], below 2^32  ->  int64 [b]

    Each is an entry of a permutation of all these numbers, so it does not depend on the batch.
    Independent of the order of the same seed.
    """
    return _mixed(index, keys(_ROUNDS, seed, epoch, Purpose.CAPTIONS)).astype(np.int64)


def random_keys(index: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int32]:
    """Keys for `tf.random.stateless_*`, all different, each a function of (seed, epoch, index).

    index: int64 [b], below 2^32  ->  int32 [b, 2]

    As `random_numbers`, and independent of them.
    """
    of_rounds = keys(2 * _ROUNDS, seed, epoch, Purpose.AUGMENTATION)
    both = [_mixed(index, part) for part in (of_rounds[:_ROUNDS], of_rounds[_ROUNDS:])]
    return np.stack(both, axis=-1).view(np.int32)


def _mixed(index: NDArray[np.int64], of_rounds: tuple[Words, ...]) -> Words:
    mixed = index.astype(np.uint32)
    for key in of_rounds:
        mixed = mix(mixed ^ key)
    return mixed
