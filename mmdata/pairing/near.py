"""Near duplicates: images that look the same although their files differ."""

import itertools
import struct
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from tqdm import tqdm

from mmdata.optional import require
from mmdata.pairing.splits import connect, shuffled

_SIDE = 32
_DRAFT = (8 * _SIDE, 8 * _SIDE)
_LEAST_CONTRAST = 8
_MOST_DISTANCE = 8
_AGREE = 3  # fewer: larger buckets; more: more bands to sort by
_BLOCK = 64


def clusters(
    open_image: Callable[[int], BinaryIO], count: int, *, distance: int = 4
) -> NDArray[np.int64]:
    """Labels images so that near duplicates have equal labels, whatever their order.

    Two images are near duplicates if their perceptual hashes (64 bits each, of the image upright,
    in grey, at 32 x 32 pixels) differ in at most `distance` bits; a cluster is what near duplicates
    connect, so its ends may differ in more. Re-encoded and resized copies are found; mirrored,
    rotated and strongly cropped ones are not.

    An image is alone in its cluster if it cannot be decoded, or if its greys span less than 8 of
    255: the hash of a flat image is rounding noise, and a red square is no copy of a blue one.

    Args:
      open_image: Opens image i as a binary file; called from threads, the file is closed.
      count: Number of images.
      distance: Most bits that the hashes of near duplicates differ in, 0-8. Those of unrelated
        photos differ in 31 on average, and hardly ever in less than 10.

    Returns:
      int64 [count], hashes. That of an image without a perceptual hash depends on its index.

    Raises:
      ImportError: imagehash is not installed.
      ValueError: `distance` is out of range.

    Source: The hash is `imagehash.phash`, of the signs of an image's lowest DCT coefficients.
    """
    if not 0 <= distance <= _MOST_DISTANCE:
        raise ValueError(f"distance=... must be 0-{_MOST_DISTANCE} bits; got {distance!r}.")
    seen = _hash_all(open_image, count)
    hashed = np.array([bits is not None for bits in seen], bool)
    # Of a hash's 64 bits at most 32 are set, being above their median; of ~index at least 33 are.
    # So no two clusters have one label, before and, one to one, after the shuffle.
    labels = ~np.arange(count)
    bits = np.array([bits for bits in seen if bits is not None], np.uint64)
    labels[hashed] = _least_of_cluster(bits, distance).view(np.int64)
    return shuffled(labels).view(np.int64)


def _hash_all(open_image: Callable[[int], BinaryIO], count: int) -> list[int | None]:
    """The perceptual hash of each image; None where it has none."""
    phash = require("imagehash", extra="duplicates").phash

    def hash_block(block: range) -> list[int | None]:
        return [_hash(open_image, index, phash) for index in block]

    blocks = [range(i, min(i + _BLOCK, count)) for i in range(0, count, _BLOCK)]
    bar = tqdm(total=count, desc="hashing images", unit="image", delay=2, leave=False)
    seen: list[int | None] = []
    with bar, warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")  # of images that are odd and decode nevertheless
        for block in pool.map(hash_block, blocks):
            seen += block
            bar.update(len(block))
    return seen


def _hash(open_image: Callable[[int], BinaryIO], index: int, phash: Any) -> int | None:
    try:
        with open_image(index) as file, Image.open(file) as image:
            image.draft("L", _DRAFT)
            grey = ImageOps.exif_transpose(image).convert("L")
    except (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError):
        return None
    small = grey.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    if np.ptp(np.asarray(small)) < _LEAST_CONTRAST:
        return None
    return int.from_bytes(np.packbits(phash(small).hash).tobytes(), "big")


def _least_of_cluster(bits: NDArray[np.uint64], distance: int) -> NDArray[np.uint64]:
    """The least hash of the cluster that each hash, [n], is in."""
    unique, inverse = np.unique(bits, return_inverse=True)
    labels = np.arange(len(unique))
    for left, right in _batches(_neighbours(unique, distance), len(unique)):
        labels = connect(labels, left, right)
    return unique[labels][inverse]


def _neighbours(unique: NDArray[np.uint64], distance: int) -> Iterator[NDArray[np.int64]]:
    """Yields index pairs, [2, edges], of hashes that differ in at most `distance` bits.

    Of distance + 3 bands of the 64 bits, such hashes agree in three at least: only hashes that do
    are compared, each with the next of its bucket, then with the one after, and so on, so that
    memory is O(n) however large a bucket is. Some pairs come more than once.
    """
    count = distance + _AGREE
    bands = [sum(1 << bit for bit in range(band, 64, count)) for band in range(count)]
    for agreeing in itertools.combinations(bands, _AGREE):
        keys = unique & np.uint64(sum(agreeing))
        order = np.argsort(keys)
        keys = keys[order]
        left = np.arange(len(keys))
        for step in range(1, len(keys)):
            left = left[: np.searchsorted(left, len(keys) - step)]
            left = left[keys[left] == keys[left + step]]
            if not len(left):
                break
            pairs = order[np.stack([left, left + step])]
            yield pairs[:, _within(unique[pairs[0]] ^ unique[pairs[1]], distance)]


def _within(bits: NDArray[np.uint64], distance: int) -> NDArray[np.bool_]:
    """Whether at most `distance` bits are set, [n]."""
    for _ in range(distance):
        bits = bits & (bits - np.uint64(1))  # clears the lowest that is set
    return np.equal(bits, 0)


def _batches(edges: Iterable[NDArray[np.int64]], size: int) -> Iterator[NDArray[np.int64]]:
    """Gathers edges, [2, any], to batches of at least `size`, and one of those that are left."""
    batch = [np.empty((2, 0), np.int64)]
    gathered = 0
    for more in edges:
        if more.size:
            batch.append(more)
            gathered += more.shape[1]
        if gathered >= size:
            yield np.concatenate(batch, axis=1)
            batch, gathered = batch[:1], 0
    yield np.concatenate(batch, axis=1)
