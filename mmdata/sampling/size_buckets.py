"""Chooses the size of each image from its header, without decoding it."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from mmdata.files.headers import Format
from mmdata.files.scan import Scan
from mmdata.stages.resize import Size, require_size

ENOUGH = 1.5
"""A JPEG decoded at a smaller size has at least this many times the target size."""


def aspect_buckets(size: Size, *, step: int = 32, max_aspect: float = 2.0) -> tuple[Size, ...]:
    """Sizes of many aspect ratios with about the same number of pixels, for `Pixels(buckets=)`.

    For each multiple of `step` as the shorter side, takes the longest other side that keeps the
    number of pixels at or below that of `size`; both in landscape and in portrait.

        >>> aspect_buckets((256, 256), step=64)
        ((192, 320), (256, 256), (320, 192))

    Args:
      size: (height, width) in pixels; no bucket has more pixels than this.
      step: Every side is a multiple of this many pixels.
      max_aspect: The longer side is at most this many times the shorter one, >= 1.

    Returns:
      Sizes (height, width), from the widest to the tallest.

    Raises:
      ValueError: An argument is out of range, or no size is left.
    """
    require_size("aspect_buckets(size=...)", "size", size)
    if not (isinstance(step, int) and step >= 1):
        raise ValueError(f"aspect_buckets(step=...) must be an int of at least 1; got {step!r}.")
    if not max_aspect >= 1:
        raise ValueError(f"aspect_buckets(max_aspect=...) must be at least 1; got {max_aspect!r}.")
    pixels = size[0] * size[1]
    sizes: set[Size] = set()
    for short in range(step, int(pixels**0.5) + 1, step):
        long = pixels // short // step * step
        if long <= max_aspect * short:
            sizes |= {(short, long), (long, short)}
    if not sizes:
        raise ValueError(
            f"aspect_buckets(step=...) must leave a size of at most {pixels:,} pixels; got "
            f"step={step!r}, max_aspect={max_aspect!r}."
        )
    return tuple(sorted(sizes, key=lambda side: side[0] / side[1]))


def upright_sizes(scan: Scan) -> NDArray[np.int32]:
    """Height and width of each image after EXIF rotation, int32 [n, 2]; 0 if unknown."""
    stored = np.stack([scan.heights, scan.widths], 1)
    is_rotated = scan.orientations >= 5
    return np.where(is_rotated[:, np.newaxis], stored[:, ::-1], stored)


def nearest_sizes(scan: Scan, sizes: tuple[Size, ...]) -> NDArray[np.int64]:
    """For each image, which of `sizes` has the nearest aspect ratio, int64 [rows].

    An image of unknown size, which cannot be decoded, counts as square.
    """
    height, width = np.maximum(upright_sizes(scan), 1).T
    aspects = np.log([size[0] / size[1] for size in sizes])
    chosen: NDArray[np.int64] = (
        np.abs(np.log(height / width)[:, np.newaxis] - aspects).argmin(1).astype(np.int64)
    )
    return chosen


@dataclasses.dataclass(frozen=True, eq=False)
class Groups:
    """Indices, sorted by group.

    Attributes:
      indices: int64 [indices], one group after another.
      counts: Number of indices of each group, in that order.
    """

    indices: NDArray[np.int64]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, numbers: NDArray[np.int64]) -> "Groups":
        """Groups indices that have the same number, int64 [indices]."""
        _, counts = np.unique(numbers, return_counts=True)
        return cls(np.argsort(numbers, kind="stable"), tuple(counts.tolist()))


def decode_ratios(scan: Scan, sizes: NDArray[np.integer]) -> NDArray[np.int8]:
    """The divisor of each image's height and width in decoding, int8 [n]: 1, 2, 4 or 8.

    Args:
      scan: The n images.
      sizes: [n, 2], or [1, 2] for all: target (height, width); a decoded image is at least 1.5
        times as large on both sides.
    """
    ratios = np.ones(len(scan.keys), np.int8)
    upright = upright_sizes(scan)
    for ratio in (2, 4, 8):
        large = (upright >= ENOUGH * ratio * sizes).all(1)
        ratios[large & (scan.formats == Format.JPEG)] = ratio
    return ratios
