"""Numbers -> the geometry of small charts, which a page draws as SVG."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

WIDTH, HEIGHT = 360, 150
"""Of what is drawn, in units of the SVG; axes and their labels lie outside."""

_BARS = 60
_TICKS = 5
_LEAST_BAR = 1.5
_RADII = 1.5, 9.0
_OUTSIDE = 0.005


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """A bar or a dot: a bar from (x, y), `width` by `height`; or a dot of `radius` around it."""

    x: float
    y: float
    label: str
    width: float = 0.0
    height: float = 0.0
    radius: float = 0.0
    marked: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chart:
    """What a page needs to draw a chart.

    Attributes:
      title: What is shown.
      told: The same in a sentence, for who cannot see it; stands below the chart.
      x_label, y_label: What the axes are, with units.
      shapes: Bars or dots.
      ticks: Places on the x axis, with their labels.
      y_ticks: The same of the y axis.
      lines: Places on the x axis at which a line stands, with their labels.
    """

    title: str
    told: str
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
    told: str,
    x_label: str,
    y_label: str,
    whole: bool = False,
    limit: float | None = None,
    lines: Sequence[tuple[float, str]] = (),
) -> Chart:
    """Bars: how many of the values lie in each of at most 60 equal intervals.

    At most one value in 200, the largest, lies outside; the last bar holds these, too.

    Args:
      values: Numbers [n], n >= 1.
      title: See `Chart`, as for the three that follow.
      told: What the chart says, in a sentence.
      x_label: Of the values.
      y_label: Of their numbers.
      whole: Whether values are ints >= 0: bars begin at 0, and hold the same number of ints each.
      limit: Bars of values above it are marked.
      lines: Values at which a line stands, with their labels.
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
        told=told,
        x_label=x_label,
        y_label=y_label,
        shapes=shapes,
        ticks=[(place(value), _number(value)) for value in _ticks(edges[0], edges[-1], whole)],
        y_ticks=[(0.0, f"{most:,}"), (HEIGHT, "0")],
        lines=[(place(value), label) for value, label in lines],
    )


def scatter(
    heights: ArrayLike, widths: ArrayLike, *, title: str, told: str, x_label: str, y_label: str
) -> Chart:
    """Dots on logarithmic axes, whose areas say how many points lie there.

    Args:
      heights: Numbers [n] above 0, n >= 1, along y.
      widths: As many, along x.
      title: See `Chart`, as for the three that follow.
      told: What the chart says, in a sentence.
      x_label: Of the widths.
      y_label: Of the heights.
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
        told=told,
        x_label=x_label,
        y_label=y_label,
        shapes=shapes,
        ticks=[(WIDTH * place(side), f"{side:,.0f}") for side in sides],
        y_ticks=[(HEIGHT * (1 - place(side)), f"{side:,.0f}") for side in sides],
    )


def _ticks(low: float, high: float, whole: bool) -> list[float]:
    """Round numbers between two others, about five."""
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
        told = f"{first:,}" if first == final else f"{first:,} to {final:,}"
    else:
        told = f"{begin:.3g} to {end:.3g}"
    return f"{told} and above" if last else told
