"""Computes the geometry of small charts, which a page draws as SVG."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

WIDTH, HEIGHT = 360, 150
"""Of the drawing, in units of the SVG; axes and their labels are outside."""

_BARS = 60
_TICKS = 5
_LEAST_BAR = 1.5
_RADII = 1.5, 9.0
_OUTSIDE = 0.005


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """A bar with its corner at (x, y), `width` by `height`; or a dot of `radius` around (x, y)."""

    x: float
    y: float
    label: str
    width: float = 0.0
    height: float = 0.0
    radius: float = 0.0
    marked: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chart:
    """The data of a chart.

    Attributes:
      title: What is shown.
      summary: The chart in a sentence, also for readers who cannot see it; shown below it.
      x_label, y_label: Labels of the axes, with units.
      shapes: Bars or dots.
      ticks: Positions on the x axis, with their labels.
      y_ticks: Positions on the y axis, with their labels.
      lines: Positions of vertical lines on the x axis, with their labels.
    """

    title: str
    summary: str
    x_label: str
    y_label: str
    shapes: Sequence[Shape]
    ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]] = ()
    lines: Sequence[tuple[float, str]] = ()


def histogram(
    values: ArrayLike,
    *,
    title: str,
    summary: str,
    x_label: str,
    y_label: str,
    whole: bool = False,
    limit: float | None = None,
    lines: Sequence[tuple[float, str]] = (),
) -> Chart:
    """Makes bars of the numbers of values in at most 60 equal intervals.

    The largest values, at most one in 200, are outside; the last bar counts these, too.

    Args:
      values: Numbers [n], n >= 1.
      title: See `Chart`.
      summary: See `Chart`.
      x_label: Label of the values.
      y_label: Label of their numbers.
      whole: Whether values are ints >= 0: bars begin at 0, and each covers the same number of ints.
      limit: Bars of larger values are marked.
      lines: Values at which a vertical line is drawn, with their labels.
    """
    numbers = np.asarray(values, np.float64)
    low, high = float(numbers.min()), float(np.quantile(numbers, 1 - _OUTSIDE))
    places = [value for value, _ in lines]
    low, high = min([low, *places]), max([high, *places])
    if whole:
        step = math.ceil((high + 1) / _BARS)
        edges = np.arange(0, high + step + 1, step) - 0.5
    else:
        edges = np.linspace(low, high if high > low else low + 1, _BARS // 2 + 1)
    counts, _ = np.histogram(np.clip(numbers, edges[0], (edges[-2] + edges[-1]) / 2), edges)

    def place(value: float) -> float:
        return WIDTH * (value - float(edges[0])) / float(edges[-1] - edges[0])

    most = max(int(counts.max()), 1)
    shapes = []
    for i in np.flatnonzero(counts).tolist():
        begin, end, count = float(edges[i]), float(edges[i + 1]), int(counts[i])
        height = max(HEIGHT * count / most, _LEAST_BAR)
        shapes.append(
            Shape(
                x=place(begin),
                y=HEIGHT - height,
                width=max(0.88 * (place(end) - place(begin)), 0.5),
                height=height,
                label=f"{_interval(begin, end, whole, last=i == len(counts) - 1)}: {count:,}",
                marked=limit is not None and end - 0.5 * whole > limit,
            )
        )
    return Chart(
        title=title,
        summary=summary,
        x_label=x_label,
        y_label=y_label,
        shapes=shapes,
        ticks=[(place(value), _number(value)) for value in _ticks(edges[0], edges[-1], whole)],
        y_ticks=[(0.0, f"{most:,}"), (HEIGHT, "0")],
        lines=[(place(value), label) for value, label in lines],
    )


def scatter(
    heights: ArrayLike, widths: ArrayLike, *, title: str, summary: str, x_label: str, y_label: str
) -> Chart:
    """Makes dots on logarithmic axes; the area of a dot is the number of points.

    Args:
      heights: Numbers [n] above 0, n >= 1, along y.
      widths: Numbers [n] above 0, along x.
      title: See `Chart`.
      summary: See `Chart`.
      x_label: Label of the widths.
      y_label: Label of the heights.
    """
    points = np.log2(np.stack([np.asarray(widths, float), np.asarray(heights, float)], 1))
    low, high = max(math.floor(points.min() - 0.1), 0), math.ceil(points.max() + 0.1)
    step = (high - low) / (_BARS / 2)
    cells, counts = np.unique(np.floor((points - low) / step), axis=0, return_counts=True)
    scale = _RADII[1] / math.sqrt(counts.max())

    def place(value: float) -> float:
        share: float = (math.log2(value) - low) / (high - low)
        return share

    shapes = []
    for (column, row), count in zip(cells.tolist(), counts.tolist(), strict=True):
        width, height = (2.0 ** (low + (cell + 0.5) * step) for cell in (column, row))
        shapes.append(
            Shape(
                x=WIDTH * place(width),
                y=HEIGHT * (1 - place(height)),
                radius=max(scale * math.sqrt(count), _RADII[0]),
                label=f"about {width:,.0f} x {height:,.0f}: {count:,}",
            )
        )
    sides = [2.0**power for power in range(low, high + 1)]
    sides = sides[:: math.ceil(len(sides) / 6)]
    return Chart(
        title=title,
        summary=summary,
        x_label=x_label,
        y_label=y_label,
        shapes=shapes,
        ticks=[(WIDTH * place(side), f"{side:,.0f}") for side in sides],
        y_ticks=[(HEIGHT * (1 - place(side)), f"{side:,.0f}") for side in sides],
    )


def _ticks(low: float, high: float, whole: bool) -> list[float]:
    """About five round numbers between two numbers."""
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    if whole:
        step = max(step, 1.0)
    first = math.ceil(low / step)
    return [round(step * i, 10) for i in range(first, math.floor(high / step) + 1)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:g}"


def _interval(begin: float, end: float, whole: bool, *, last: bool) -> str:
    if whole:
        first, final = math.ceil(begin), math.floor(end)
        text = f"{first:,}" if first == final else f"{first:,} to {final:,}"
    else:
        text = f"{begin:.3g} to {end:.3g}"
    return f"{text} and above" if last else text
