"""Plots lengths of captions, and sizes of images."""

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

_BINS = 80  # per side
_AREA = 500.0  # of the largest dot, in square points
_LEAST_AREA = 2.0  # still visible
_NAMED = 0.4  # position of the label along a line, where dots are few
_MOST = 0.99  # share of the images that the axes must hold


def plot_lengths(ds: Dataset | LengthReport, *, ax: "Axes | None" = None) -> "Axes":
    """Draws a histogram of tokens per caption, and how many are cut; see `LengthReport.plot`.

    Args:
      ds: What `mmdata.build` returns, or its `length_report`.
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
    """Draws widths and heights of upright images: the area of a dot shows how many there are.

    Reads headers, and decodes nothing. The largest images, at most 1 %, are not drawn; their number
    is then below the axis. The smallest dots are enlarged, to be visible.

    Args:
      pairs: What `mmdata.read` returns, or `mmdata.build`.
      buckets: Sizes (height, width); a line is drawn for the aspect ratio of each. If it is empty
        and `pairs` is a dataset, those of its `pixels`.
      ax: Where to draw; None makes a figure.

    Returns:
      The axes.

    Raises:
      ImportError: matplotlib is not installed.
      ValueError: A bucket is not a size, or no size of an image is known.
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
    """Draws a dot for each group of close sizes, int32 [n, 2], at their mean."""
    step = sizes.max() / _BINS
    cells = (sizes / step).astype(np.int64) @ [2 * _BINS, 1]
    _, cells, counts = np.unique(cells, return_inverse=True, return_counts=True)
    height, width = (np.bincount(cells, weights=side) / counts for side in sizes.T)
    areas = np.maximum(_AREA * counts / counts.max(), _LEAST_AREA)
    ax.scatter(width, height, areas, color=BLUE, alpha=0.6, linewidths=0)


def _draw_aspect(ax: "Axes", size: Size, end: float) -> None:
    """Draws a labelled line of one aspect ratio, from the corner to the edge."""
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
