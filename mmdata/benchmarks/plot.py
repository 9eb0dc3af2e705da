"""Draws how many images a second each contender gives."""

import itertools
import pathlib
from collections.abc import Sequence
from typing import Any

from mmdata.benchmarks.epochs import Comparison, Entry
from mmdata.explore.grid import save
from mmdata.optional import require

_COLORS = {"floor": "#a8a8a8", "mmdata": "#1b6ca8", "peer": "#d98c3f"}
_GAP = 0.6  # bars, between kinds
_INCHES = 0.3


def require_drawable(path: pathlib.Path) -> None:
    """Makes sure that `draw` will do: minutes lie between.

    Raises:
      ImportError: matplotlib is not installed.
      OSError: The folder of the file is not there and cannot be made.
    """
    require("matplotlib.figure", extra="plot")
    path.parent.mkdir(parents=True, exist_ok=True)


def draw(comparison: Comparison, path: pathlib.Path) -> None:
    """Draws a bar a contender that has figures, on a logarithmic axis, into a PNG file."""
    save(figure(comparison), path)


def figure(comparison: Comparison) -> Any:
    """What `draw` draws, as a `matplotlib.figure.Figure`; kinds stand apart."""
    drawn = [entry for entry in comparison.entries if entry.figures]
    places = _places([entry.kind for entry in drawn])
    made = require("matplotlib.figure", extra="plot").Figure(
        figsize=(9, 1.5 + _INCHES * len(drawn)), layout="constrained"
    )
    axes = made.add_subplot()
    for place, entry in zip(places, drawn, strict=True):
        _bar(axes, place, entry)
    height, width = comparison.size
    made.suptitle(f"From JPEG files to batches of {height} x {width}: images a second")
    made.supxlabel(f"{comparison.photos}\n{comparison.machine}", fontsize=7, color="dimgray")
    axes.set_yticks(places, [entry.result.contender.name for entry in drawn])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.margins(x=0.14, y=0.02)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="x", color="#dddddd", zorder=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return made


def _places(kinds: Sequence[str]) -> list[float]:
    gaps = itertools.accumulate(
        (kind != last for last, kind in itertools.pairwise(kinds)), initial=0
    )
    return [place + _GAP * gap for place, gap in zip(range(len(kinds)), gaps, strict=False)]


def _bar(axes: Any, place: float, entry: Entry) -> None:
    if entry.figures is None:
        return
    rate = entry.figures.items_per_second
    axes.barh(place, rate, color=_COLORS[entry.kind], height=0.76, zorder=2)
    label = f" {rate:,.0f}   {entry.result.contender.note}"
    axes.annotate(label, (rate, place), va="center", fontsize=7, color="dimgray")
