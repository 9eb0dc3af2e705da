"""What images look like: their mean colours, and which of them are near duplicates."""

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
_BANDS = 3  # fewer: more bits of a band to flip; more: more hashes that agree in one by chance
_FIRST = 256
_QUERIES = 2**14
_FOUND = 2**21
"""Pairs to find at once, of which each takes about 50 bytes: where many hashes lie near each other,
the next block of queries is made smaller."""

_Rows = NDArray[np.int64]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Looks:
    """What was seen of n images.

    Attributes:
      seen: bool [n], whether an image could be decoded.
      colors: uint8 [n, 3], the mean of its pixels, RGB, 0-255; 0 where it was not seen. Stands on
        white where it is transparent; the colour profile of a JPEG is not applied.
      hashed: bool [n], whether it has a perceptual hash. Not so if its greys span less than 8 of
        255: the hash of a flat image is rounding noise, and a red square is no copy of a blue one.
        No image has one where imagehash or faiss is not installed; `clusters_of` then says so.
      hashes: uint64 [n], of the image upright, in grey, at 32 x 32 pixels; 0 where there is none.

    Source: The hash is `imagehash.phash`, of the signs of an image's lowest DCT coefficients.
    """

    seen: NDArray[np.bool_]
    colors: NDArray[np.uint8]
    hashed: NDArray[np.bool_]
    hashes: NDArray[np.uint64]


def clusters(
    open_image: Callable[[int], BinaryIO], count: int, *, distance: int = 4
) -> NDArray[np.int64]:
    """Labels images so that near duplicates have equal labels: `clusters_of` what `look` sees.

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
    """Decodes every image once, small where its format can, with a progress bar.

    Args:
      open_image: Opens image i as a binary file; called from threads, the file is closed.
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
        warnings.simplefilter("ignore")  # of images that are odd and decode nevertheless
        for done in pool.map(see, blocks):
            bar.update(done)
    return Looks(seen=seen, colors=colors, hashed=hashed, hashes=hashes)


def clusters_of(looks: Looks, *, distance: int = 4) -> NDArray[np.int64]:
    """Labels images so that near duplicates have equal labels, whatever their order.

    Two images are near duplicates if their perceptual hashes, 64 bits each, differ in at most
    `distance` bits; a cluster is what near duplicates connect, so its ends may differ in more.
    Re-encoded and resized copies are found; mirrored, rotated and strongly cropped ones are not.
    An image that has no hash is alone in its cluster.

    Args:
      looks: What was seen of the images.
      distance: Most bits that the hashes of near duplicates differ in, 0-8. Those of unrelated
        photos differ in 31 on average, and hardly ever in less than 10.

    Returns:
      int64 [n], hashes. That of an image without a perceptual hash depends on its index.

    Raises:
      ImportError: imagehash or faiss is not installed.
      ValueError: `distance` is out of range.
    """
    _require_search(distance)
    # Of a hash's 64 bits at most 32 are set, being above their median; of ~index at least 33 are.
    # So no two clusters have one label, before and, one to one, after the shuffle.
    labels = ~np.arange(len(looks.hashed))
    bits = looks.hashes[looks.hashed]
    labels[looks.hashed] = _least_of_cluster(bits, distance).view(np.int64)
    return shuffled(labels).view(np.int64)


def _require_search(distance: int) -> None:
    if not 0 <= distance <= _MOST_DISTANCE:
        raise ValueError(f"distance=... must be 0-{_MOST_DISTANCE} bits; got {distance!r}.")
    _libraries()


def _libraries() -> list[Any]:
    """What hashes, and what searches: an image has a hash only if it can be searched for."""
    return [require(name, extra="duplicates") for name in ("imagehash", "faiss")]


def _phash() -> Any:
    """`imagehash.phash`; None where a library is not installed."""
    try:
        return _libraries()[0].phash
    except ImportError:
        return None


def _small(open_image: Callable[[int], BinaryIO], row: int) -> Image.Image | None:
    """The image upright, RGB, at 32 x 32 pixels; None where it cannot be decoded."""
    whole = picture(functools.partial(open_image, row), _DRAFT)
    return whole and whole.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)


def _least_of_cluster(bits: NDArray[np.uint64], distance: int) -> NDArray[np.uint64]:
    """The least hash of the cluster that each hash, [n], is in."""
    unique, inverse = np.unique(bits, return_inverse=True)
    labels = np.arange(len(unique))
    for left, right in _neighbours(unique, distance):
        labels = connect(labels, left, right)
    return unique[labels][inverse]


def _neighbours(unique: NDArray[np.uint64], distance: int) -> Iterator[tuple[_Rows, _Rows]]:
    """Yields, block by block, the index pairs of hashes that differ in at most `distance` bits."""
    _, faiss = _libraries()
    index = faiss.IndexBinaryMultiHash(64, _BANDS, 64 // _BANDS)
    # Finds all: were more than this many bits other in each band, more than `distance` would be.
    index.nflip = distance // _BANDS
    codes = unique.view(np.uint8).reshape(-1, 8)
    index.add(codes)
    order = np.random.default_rng(0).permutation(len(codes))  # where many are near, spreads them
    begin, size = 0, _FIRST
    with progress(total=len(codes), what="comparing hashes", unit="hash") as bar:
        while len(rows := order[begin : begin + size]):
            ends, _, found = index.range_search(codes[rows], distance + 1)  # less than that
            yield np.repeat(rows, np.diff(ends.astype(np.int64))), found
            bar.update(len(rows))
            begin += len(rows)
            size = max(1, min(_QUERIES, _FOUND * len(rows) // len(found)))
