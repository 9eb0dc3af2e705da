"""Lengths of captions, and sizes of images."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmdata.captions.length_report import LengthReport
from mmdata.dataset import Dataset
from mmdata.explore.sheet import BLUE, VERMILION
from mmdata.optional import require
from mmdata.pairs.pairs import Pairs
from mmdata.sampling.size_buckets import upright_sizes
from mmdata.stages.resize import Size, require_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS = 80  # a side
_AREA = 500.0  # of the largest dot, in square points
_LEAST_AREA = 2.0  # which is still seen
_NAMED = 0.4  # of the way along a line, where dots are few
_MOST = 0.99  # share of the images that the axes must hold


def plot_lengths(ds: Dataset | LengthReport, *, ax: "Axes | None" = None) -> "Axes":
    """Draws how many captions have how many tokens, and what is cut; see `LengthReport.plot`.

    Args:
      ds: What `mmdata.build` returns, or the `length_report` of it.
      ax: Where to draw; None makes a figure.

    Returns:
      The axes.

    Raises:
      AttributeError: The task has no text.
      ImportError: matplotlib is not installed.
    """
    report = ds if isinstance(ds, LengthReport) else ds.length_report
    return report.plot(ax)


def plot_sizes(
    pairs: Pairs | Dataset, *, buckets: Sequence[Size] = (), ax: "Axes | None" = None
) -> "Axes":
    """Draws how wide and how high images are, upright: dots whose areas say how many they are.

    Reads headers, and decodes nothing. At most 1 % of the images, the largest, lie outside; how
    many is then said below the axis. Smallest dots are larger than they should be, to be seen.

    Args:
      pairs: What `mmdata.read` returns, or `mmdata.build`.
      buckets: Sizes (height, width), of whose aspect ratio a line is drawn each; where it is empty
        and `pairs` is a dataset, those of its `pixels`.
      ax: Where to draw; None makes a figure.

    Returns:
      The axes.

    Raises:
      ImportError: matplotlib is not installed.
      ValueError: A bucket is no size, or the size of no image is known.
    """
    if isinstance(pairs, Dataset):
        buckets = buckets or pairs.pixels.buckets
        pairs = pairs.pairs
    for size in buckets:
        require_size("plot_sizes(buckets=...)", "size", size)
    sizes = upright_sizes(pairs.scanned()[0])
    known = sizes[sizes.all(axis=1)]
    if not len(known):
        raise ValueError(
            f"plot_sizes(pairs) needs an image whose size is known; got {pairs!r}. "
            "See pairs.scanned()[1].report."
        )
    if ax is None:
        pyplot = require("matplotlib.pyplot", extra="plot")
        ax = pyplot.figure(figsize=(5.2, 5.2), layout="constrained").add_subplot()
    longer = known.max(axis=1)
    end = 1.06 * float(np.quantile(longer, _MOST, method="higher"))
    _draw_dots(ax, known[longer <= end])
    for bucket in buckets:
        _draw_aspect(ax, bucket, end)
    _describe(ax, known, end, unknown=len(sizes) - len(known))
    return ax


def _draw_dots(ax: "Axes", sizes: NDArray[np.int32]) -> None:
    """Draws a dot where sizes, int32 [n, 2], are near to each other, at the middle of these."""
    step = sizes.max() / _BINS
    cells = (sizes / step).astype(np.int64) @ [2 * _BINS, 1]
    _, cells, counts = np.unique(cells, return_inverse=True, return_counts=True)
    height, width = (np.bincount(cells, weights=side) / counts for side in sizes.T)
    areas = np.maximum(_AREA * counts / counts.max(), _LEAST_AREA)
    ax.scatter(width, height, areas, color=BLUE, alpha=0.6, linewidths=0)


def _draw_aspect(ax: "Axes", size: Size, end: float) -> None:
    """Draws a line of one aspect ratio from the corner to the edge, and says along it which."""
    height, width = (end * side / max(size) for side in size)
    ax.plot([0, width], [0, height], color=VERMILION, linewidth=1)
    ax.text(
        _NAMED * width,
        _NAMED * height,
        f"{size[0]} x {size[1]}",
        fontsize="x-small",
        color=VERMILION,
        rotation=math.degrees(math.atan2(height, width)),
        rotation_mode="anchor",
        ha="center",
        va="bottom",
    )


def _describe(ax: "Axes", sizes: NDArray[np.int32], end: float, *, unknown: int) -> None:
    height, width = np.median(sizes, axis=0)
    ax.set_title(
        f"{len(sizes):,} images, median height {height:,.0f}, median width {width:,.0f}",
        loc="left",
        fontsize="medium",
    )
    outside = sizes[sizes.max(axis=1) > end]
    notes = ["width in pixels"]
    if len(outside):
        notes.append(f"(not drawn: {len(outside):,} of up to {outside.max():,} pixels a side)")
    if unknown:
        notes.append(f"(not drawn: {unknown:,} of unknown size)")
    ax.set(xlim=(0, end), ylim=(0, end), xlabel="\n".join(notes), ylabel="height in pixels")
    ax.set_aspect("equal")
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.spines[["top", "right"]].set_visible(False)
