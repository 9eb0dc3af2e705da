"""How well a sequence length fits the captions: how much it cuts, and how much it pads."""

import dataclasses
import functools
import html
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmdata.optional import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RECOMMENDED_CUT = 1000
"""A recommended length cuts at most one caption in this many.

So a few outliers, e.g. a whole page instead of a sentence, do not set the length for all captions.
"""

_ACCEPTED_CUT = 100
"""One caption in this many may be cut without a warning, or be left out of the plot."""

_MAX_BUCKETS = 4
"""Recommended buckets at most: each is a shape to compile, and a fifth one saves little.

COCO's captions of 2017 for validation, in word pieces, 30 at most: 56 % of the positions are
padding with 1 bucket, 23 % with 2, 13 % with 3, 8 % with 4, 6 % with 5.
"""

_MIN_CAPTIONS = 256
"""Captions per recommended bucket, at least: eight batches of 32, of which one may be short."""

_FITS, _CUT = "#0072B2", "#D55E00"
"""Blue and vermilion, which can be distinguished with any kind of colour vision.

Source: Okabe and Ito 2008, "Color Universal Design".
"""

Ints = NDArray[np.int64]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class LengthReport:
    """How well a sequence length fits n captions.

    >>> report = LengthReport(
    ...     token_counts=np.array([5, 5, 6, 12], np.int32),
    ...     unknown_counts=np.array([0, 1, 0, 1], np.int32),
    ...     special_tokens=2,
    ...     sequence_length=8,
    ... )
    >>> print(report)
    4 caption(s), 7.0 tokens on average, 12 at most, 2 of them special; 10.0 % unknown tokens
                   lengths  captions cut  padding
      now                8    1 (25.0 %)   25.0 %
      recommended       12     0 (0.0 %)   41.7 %

    Attributes:
      token_counts: int32 [n], tokens of each caption before cutting, special ones included: start,
        end, prompt.
      unknown_counts: int32 [n], how many of them are the unknown token.
      special_tokens: Number of special tokens in each caption, >= 0.
      sequence_length: Length that captions are cut to, in tokens, special ones included, >= 1.
      buckets: Lengths that batches are padded to, ascending; the last is `sequence_length`. Each
        caption gets the shortest length that holds it. Empty pads all to `sequence_length`.

    Raises:
      ValueError: A field is out of range, or two fields do not fit together.
    """

    token_counts: NDArray[np.int32]
    unknown_counts: NDArray[np.int32]
    special_tokens: int
    sequence_length: int
    buckets: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name, least in (("special_tokens", 0), ("sequence_length", 1)):
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= least):
                raise ValueError(
                    f"LengthReport({name}=...) must be an int of at least {least}; got {value!r}."
                )
        _require_counts(self.token_counts, self.unknown_counts, self.special_tokens)
        _require_buckets(self.buckets, self.sequence_length)

    @property
    def captions(self) -> int:
        """Number of captions, n, >= 1."""
        return len(self.token_counts)

    @property
    def mean(self) -> float:
        """Tokens of a caption on average, before cutting, special ones included."""
        return float(self.token_counts.mean(dtype=np.float64))

    @property
    def longest(self) -> int:
        """Tokens of the longest caption, before cutting, special ones included."""
        return int(self.token_counts.max())

    @property
    def cut(self) -> int:
        """Number of captions that are longer than `sequence_length`, 0 to n."""
        return self._cut_at(self.sequence_length)

    @property
    def cut_share(self) -> float:
        """Captions that are cut, as a share of all, 0 to 1."""
        return self.cut / self.captions

    @property
    def unknown_share(self) -> float:
        """Unknown tokens, as a share of all tokens that are not special, 0 to 1, before cutting.

        0 if all tokens are special.
        """
        tokens = int(self.token_counts.sum()) - self.captions * self.special_tokens
        return int(self.unknown_counts.sum()) / tokens if tokens else 0.0

    @property
    def padding_share(self) -> float:
        """Padding, as a share of the positions in all batches, 0 to 1."""
        return self._padding_share(self.buckets or (self.sequence_length,))

    @property
    def recommended_length(self) -> int:
        """The smallest length that cuts at most one caption in a thousand, in tokens.

        Special ones are included; there is room for at least one other token.
        """
        return max(self._length_that_cuts(self.captions // _RECOMMENDED_CUT), self._shortest)

    @functools.cached_property
    def recommended_buckets(self) -> tuple[int, ...]:
        """One to four lengths that need the least padding, ascending, in tokens.

        The last is `recommended_length`. Each bucket holds at least 256 captions, unless it is the
        only one, and has room for a token that is not special.
        """
        lengths = np.clip(self.token_counts, self._shortest, self.recommended_length)
        return _cheapest_buckets(*_counted(lengths))

    @property
    def recommended_padding_share(self) -> float:
        """The `padding_share` with `recommended_buckets`, 0 to 1."""
        return self._padding_share(self.recommended_buckets)

    def warning(self, most: int | None = None) -> str | None:
        """A warning about captions that are cut, and what to do; None if at most 1 % are cut.

        Args:
          most: The longest sequence that the model accepts, if there is a limit.
        """
        if self.cut <= self.captions // _ACCEPTED_CUT:
            return None
        message = (
            f"sequence_length={self.sequence_length} cuts {self.cut:,} of {self.captions:,} "
            f"captions ({_percent(self.cut_share)}); the longest has {self.longest:,} tokens, "
            "special ones included."
        )
        length = self.recommended_length
        if most is not None:
            length = min(length, most)
        if length <= self.sequence_length:
            return message
        still_cut = f"{self._cut_at(length):,}" if self._cut_at(length) else "none"
        return (
            f"{message} sequence_length={length}, or text=Text(length={length}), cuts {still_cut} "
            "of them."
        )

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values for JSON.

        "histogram" maps each number of tokens, as text since JSON needs it, to the number of
        captions that have it.
        """
        lengths, captions = self._histogram
        return {
            "captions": self.captions,
            "mean": self.mean,
            "longest": self.longest,
            "special_tokens": self.special_tokens,
            "unknown_share": self.unknown_share,
            "sequence_length": self.sequence_length,
            "buckets": list(self.buckets),
            "cut": self.cut,
            "cut_share": self.cut_share,
            "padding_share": self.padding_share,
            "recommended_length": self.recommended_length,
            "recommended_buckets": list(self.recommended_buckets),
            "recommended_padding_share": self.recommended_padding_share,
            "histogram": dict(zip(map(str, lengths.tolist()), captions.tolist(), strict=True)),
        }

    def __str__(self) -> str:
        rows = (
            ("", "lengths", "captions cut", "padding"),
            ("now", *self._figures(self.buckets or (self.sequence_length,))),
            ("recommended", *self._figures(self.recommended_buckets)),
        )
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            [
                f"{self.captions:,} caption(s), {self.mean:,.1f} tokens on average, "
                f"{self.longest:,} at most, {self.special_tokens} of them special; "
                f"{_percent(self.unknown_share)} unknown tokens",
                *(_line(row, widths) for row in rows),
            ]
        )

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draws a histogram of tokens per caption, and marks the captions that are cut.

        At most the longest 1 % of the captions are not drawn; the label of the axis counts them.

        Args:
          ax: The axes to draw on; None makes a figure.

        Returns:
          The axes.

        Raises:
          ImportError: matplotlib is not installed.
        """
        if ax is None:
            pyplot = require("matplotlib.pyplot", extra="plot")
            ax = pyplot.figure(figsize=(7.0, 3.6), layout="constrained").add_subplot()
        nearly_all = max(
            self.sequence_length, self._length_that_cuts(self.captions // _ACCEPTED_CUT)
        )
        end = 11 * nearly_all // 10 + 1  # a margin, so that the last line is not the edge
        self._draw_captions(ax, end)
        self._draw_lengths(ax)
        self._describe(ax, end)
        return ax

    def _draw_captions(self, ax: "Axes", end: int) -> None:
        lengths, captions = self._histogram
        fits, drawn = lengths <= self.sequence_length, lengths <= end
        for label, color, bars in (("fits", _FITS, fits), ("is cut", _CUT, drawn & ~fits)):
            if bars.any():
                _draw_bars(ax, lengths[bars], captions[bars], color=color, label=label)

    def _draw_lengths(self, ax: "Axes") -> None:
        """Draws a line after the last position of each bucket."""
        shorter = self.buckets[:-1]
        for bucket in shorter:
            label = f"buckets {', '.join(map(str, shorter))}" if bucket == shorter[0] else None
            ax.axvline(bucket + 0.5, color="black", linestyle=":", linewidth=1, label=label)
        label = f"length {self.sequence_length}"
        ax.axvline(self.sequence_length + 0.5, color="black", linewidth=1, label=label)

    def _describe(self, ax: "Axes", end: int) -> None:
        """Sets title, legend and axes; the legend is above the axes, so it covers no bar."""
        ax.set_title(
            f"{_percent(self.cut_share)} of captions cut, {_percent(self.padding_share)} padding",
            loc="left",
            fontsize="medium",
            pad=22,
        )
        ax.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=4,
            borderaxespad=0.2,
            handlelength=1.2,
            columnspacing=1.2,
            fontsize="small",
            frameon=False,
        )
        ax.set(
            xlim=(-0.5, end + 0.5),
            xlabel="\n".join(["tokens of a caption, special ones included", *self._outside(end)]),
            ylabel=f"captions (n = {self.captions:,})",
        )
        ax.locator_params(integer=True)
        ax.xaxis.set_major_formatter("{x:,.0f}")
        ax.yaxis.set_major_formatter("{x:,.0f}")
        ax.spines[["top", "right"]].set_visible(False)

    def _outside(self, end: int) -> list[str]:
        outside = self.token_counts[self.token_counts > end]
        if not outside.size:
            return []
        return [f"(not drawn: {outside.size:,} of {outside.min():,} to {self.longest:,} tokens)"]

    @functools.cached_property
    def _histogram(self) -> tuple[Ints, Ints]:
        return _counted(self.token_counts)

    @property
    def _shortest(self) -> int:
        return self.special_tokens + 1

    def _length_that_cuts(self, most: int) -> int:
        """The smallest length that cuts at most `most` captions."""
        lengths, captions = self._histogram
        return int(lengths[np.searchsorted(np.cumsum(captions), self.captions - most)])

    def _cut_at(self, length: int) -> int:
        return int((self.token_counts > length).sum())

    def _padding_share(self, buckets: tuple[int, ...]) -> float:
        lengths, captions = self._histogram
        lengths = np.minimum(lengths, buckets[-1])
        padded = np.array(buckets)[np.searchsorted(buckets, lengths)]
        return int((padded - lengths) @ captions) / int(padded @ captions)

    def _figures(self, buckets: tuple[int, ...]) -> tuple[str, str, str]:
        cut = self._cut_at(buckets[-1])
        return (
            ", ".join(map(str, buckets)),
            f"{cut:,} ({_percent(cut / self.captions)})",
            _percent(self._padding_share(buckets)),
        )


def _require_counts(tokens: NDArray[np.int32], unknown: NDArray[np.int32], special: int) -> None:
    if not (tokens.ndim == 1 and tokens.size and tokens.shape == unknown.shape):
        raise ValueError(
            "LengthReport(token_counts=..., unknown_counts=...) must be two arrays [n], n >= 1; "
            f"got the shapes {tokens.shape} and {unknown.shape}."
        )
    wrong = np.flatnonzero((unknown < 0) | (unknown > tokens - special))
    if wrong.size:
        first = int(wrong[0])
        raise ValueError(
            "LengthReport(unknown_counts=...) must be from 0 to the tokens that are not special; "
            f"got {unknown[first]} of {tokens[first]} token(s), {special} special, at index "
            f"{first}."
        )


def _require_buckets(buckets: tuple[int, ...], length: int) -> None:
    valid = isinstance(buckets, tuple) and all(isinstance(bucket, int) for bucket in buckets)
    if valid and buckets:
        ascending = all(low < high for low, high in itertools.pairwise((0, *buckets)))
        valid = ascending and buckets[-1] == length
    if not valid:
        raise ValueError(
            "LengthReport(buckets=...) must be a tuple of ascending ints, >= 1, of which the last "
            f"is sequence_length; got buckets={buckets!r}, sequence_length={length!r}."
        )


def _counted(tokens: NDArray[np.int32]) -> tuple[Ints, Ints]:
    """The distinct numbers of tokens, ascending, and the number of captions with each."""
    lengths, captions = np.unique(tokens, return_counts=True)
    return lengths.astype(np.int64), captions.astype(np.int64)


def _cheapest_buckets(lengths: Ints, captions: Ints) -> tuple[int, ...]:
    """Chooses the lengths, always with the last one, that need the least padding for all captions.

    Args:
      lengths: [k], ascending.
      captions: [k], number of captions of each length, >= 1.
    """
    held = np.append(0, np.cumsum(captions))
    full = min(_MIN_CAPTIONS, int(held[-1]))
    cost = np.append(0.0, np.full(len(lengths), np.inf))  # positions for captions up to a length
    plans: list[tuple[int, ...]] = [()] * len(cost)
    for _ in range(_MAX_BUCKETS):
        for end in range(len(lengths), 0, -1):  # down: plans before `end` have one bucket less
            starts = np.searchsorted(held, held[end] - full, side="right")
            costs = cost[:starts] + lengths[end - 1] * (held[end] - held[:starts])
            if costs.min(initial=np.inf) < cost[end]:
                start = int(costs.argmin())
                cost[end] = costs[start]
                plans[end] = (*plans[start], int(lengths[end - 1]))
    return plans[-1]


def _draw_bars(ax: "Axes", places: Ints, heights: Ints, *, color: str, label: str) -> None:
    """Draws all bars as one shape: a thousand calls of `ax.bar` take a second."""
    edges = np.stack([places - 0.45, places + 0.45], 1).ravel()
    steps = np.stack([heights, np.zeros_like(heights)], 1).ravel()[:-1]  # zeros are the gaps
    ax.stairs(steps, edges, fill=True, color=color, label=label)


def _percent(share: float) -> str:
    return "<0.1 %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    name, *figures = (
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(["", name, *figures])
