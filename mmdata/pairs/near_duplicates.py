"""Mean colours of images, and which images are near duplicates."""

import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmdata.images.thumbnails import picture
from mmdata.optional import require
from mmdata.pairs.splits import connect, shuffled
from mmdata.progress import progress

_SIDE = 32
_DRAFT = 4 * _SIDE
_LEAST_CONTRAST = 8
_BLOCK = 64

_MOST_DISTANCE = 8
_BANDS = 3  # fewer: more bits to flip in a band; more: more hashes share a band by chance
_FIRST = 256
_QUERIES = 2**14
_FOUND = 2**21
"""Pairs to find at once, about 50 bytes each; where there are more, the next block is smaller."""

_Rows = NDArray[np.int64]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Looks:
    """Mean colours and perceptual hashes of n images.

    Attributes:
      seen: bool [n], whether an image could be decoded.
      colors: uint8 [n, 3], the mean of its pixels, RGB, 0-255; 0 if it was not decoded. Transparent
        images are drawn on white; the colour profile of a JPEG is not applied.
      hashed: bool [n], whether it has a perceptual hash. False if its grey levels span less than 8
        of 255: the hash of a flat image is rounding noise, and a red square is not a copy of a blue
        one. False for all if imagehash or faiss is not installed; `clusters_of` then raises.
      hashes: uint64 [n], of the image upright, in grey, at 32 x 32 pixels; 0 if it has none.

    Source: `imagehash.phash`, which compares the lowest DCT coefficients with their median.
    """

    seen: NDArray[np.bool_]
    colors: NDArray[np.uint8]
    hashed: NDArray[np.bool_]
    hashes: NDArray[np.uint64]


def clusters(
    open_image: Callable[[int], BinaryIO], count: int, *, distance: int = 4
) -> NDArray[np.int64]:
    """Labels images so that near duplicates have equal labels: `look`, then `clusters_of`.

    Args:
      open_image: See `look`.
      count: Number of images.
      distance: See `clusters_of`.

    Raises:
      ImportError: imagehash or faiss is not installed; no image was opened.
      ValueError: `distance` is out of range; no image was opened.
    """
    _require_search(distance)
    return clusters_of(look(open_image, count), distance=distance)


def look(open_image: Callable[[int], BinaryIO], count: int) -> Looks:
    """Decodes every image once, reduced if its format allows it, with a progress bar.

    Args:
      open_image: Opens image i as a binary file. Called from threads; `look` closes the file.
      count: Number of images.
    """
    seen, hashed = np.zeros(count, bool), np.zeros(count, bool)
    colors, hashes = np.zeros((count, 3), np.uint8), np.zeros(count, np.uint64)
    phash = _phash()

    def see(rows: range) -> int:
        for row in rows:
            small = _small(open_image, row)
            if small is None:
                continue
            seen[row], colors[row] = True, np.asarray(small).mean((0, 1)).round()
            grey = small.convert("L")
            if phash is not None and np.ptp(np.asarray(grey)) >= _LEAST_CONTRAST:
                hashed[row], hashes[row] = True, np.packbits(phash(grey).hash).view(">u8")[0]
        return len(rows)

    blocks = [range(i, min(i + _BLOCK, count)) for i in range(0, count, _BLOCK)]
    bar = progress(total=count, what="looking at images", unit="image")
    with bar, warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")  # about unusual images that decode nevertheless
        for done in pool.map(see, blocks):
            bar.update(done)
    return Looks(seen=seen, colors=colors, hashed=hashed, hashes=hashes)


def clusters_of(looks: Looks, *, distance: int = 4) -> NDArray[np.int64]:
    """Labels images so that near duplicates have equal labels, whatever their order.

    Two images are near duplicates if their perceptual hashes, 64 bits each, differ in at most
    `distance` bits. A cluster is connected by near duplicates, so two of its images may differ in
    more bits.
    Re-encoded and resized copies are found; mirrored, rotated and strongly cropped ones are not.
    An image without a hash is alone in its cluster.

    Args:
      looks: The images.
      distance: Maximum number of bits in which hashes of near duplicates differ, 0-8. Hashes of
        unrelated photos differ in 31 on average, and rarely in less than 10.

    Returns:
      int64 [n], labels. That of an image without a perceptual hash depends on its index.

    Raises:
      ImportError: imagehash or faiss is not installed.
      ValueError: `distance` is out of range.
    """
    _require_search(distance)
    # At most 32 bits of a hash are set, those above its median; at least 33 bits of ~index are.
    # So no two clusters share a label. The shuffle is one to one, and keeps them different.
    labels = ~np.arange(len(looks.hashed))
    bits = looks.hashes[looks.hashed]
    labels[looks.hashed] = _smallest_in_cluster(bits, distance).view(np.int64)
    return shuffled(labels).view(np.int64)


def _require_search(distance: int) -> None:
    if not 0 <= distance <= _MOST_DISTANCE:
        raise ValueError(f"distance=... must be 0-{_MOST_DISTANCE} bits; got {distance!r}.")
    _libraries()


def _libraries() -> list[Any]:
    """The modules imagehash and faiss: hashes are only computed for the search."""
    return [require(name, extra="duplicates") for name in ("imagehash", "faiss")]


def _phash() -> Any:
    """`imagehash.phash`; None if a library is not installed."""
    try:
        return _libraries()[0].phash
    except ImportError:
        return None


def _small(open_image: Callable[[int], BinaryIO], row: int) -> Image.Image | None:
    """The image upright, RGB, at 32 x 32 pixels; None if it cannot be decoded."""
    whole = picture(functools.partial(open_image, row), _DRAFT)
    return whole and whole.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)


def _smallest_in_cluster(bits: NDArray[np.uint64], distance: int) -> NDArray[np.uint64]:
    """The smallest hash in the cluster of each hash, [n]."""
    unique, inverse = np.unique(bits, return_inverse=True)
    labels = np.arange(len(unique))
    for left, right in _neighbours(unique, distance):
        labels = connect(labels, left, right)
    return unique[labels][inverse]


def _neighbours(unique: NDArray[np.uint64], distance: int) -> Iterator[tuple[_Rows, _Rows]]:
    """Yields, block by block, the index pairs of hashes that differ in at most `distance` bits."""
    _, faiss = _libraries()
    index = faiss.IndexBinaryMultiHash(64, _BANDS, 64 // _BANDS)
    # Finds all: if each band differed in more bits than this, the hashes would in > `distance`.
    index.nflip = distance // _BANDS
    codes = unique.view(np.uint8).reshape(-1, 8)
    index.add(codes)
    order = np.random.default_rng(0).permutation(len(codes))  # spreads similar hashes over blocks
    begin, size = 0, _FIRST
    with progress(total=len(codes), what="comparing hashes", unit="hash") as bar:
        while len(rows := order[begin : begin + size]):
            ends, _, found = index.range_search(codes[rows], distance + 1)  # below this
            yield np.repeat(rows, np.diff(ends.astype(np.int64))), found
            bar.update(len(rows))
            begin += len(rows)
            size = max(1, min(_QUERIES, _FOUND * len(rows) // len(found)))
