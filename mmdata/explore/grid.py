"""Pictures with text around them, in rows and columns, on one Axes."""

import dataclasses
import io
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mmdata.explore.files import writable
from mmdata.explore.lettering import LINE, drawable, shorten, width, wrap
from mmdata.optional import require
from mmdata.storage.atomic import write

if TYPE_CHECKING:
    from _typeshed import StrPath
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, VERMILION = "#0072B2", "#D55E00"
"""Which people of any colour vision tell apart.

Source: Okabe and Ito 2008, "Color Universal Design".
"""

GREY = "#606060"
PLAIN, TINTED = "#EBEBEB", "#BFDDEE"

_COLUMN = 150.0  # points, as are all lengths here
_GAP = 14.0
_SPACE = 4.0
_MARGIN = 10.0
_TITLE = 24.0
_LEAST = 300.0
_TOKEN = 7.0  # font size
_PAD = 0.25  # between a token and the edge of its box, in font sizes
_TOKEN_ROW = (LINE + 2 * _PAD) * _TOKEN + 1
_TOKEN_GAP = 2.0
_TOKEN_ROWS = 8


def displayed(images: Any, normalize: str) -> NDArray[np.uint8]:
    """The pixels that a model gets, as they were before they were normalized.

    Args:
      images: [..., H, W, 3].
      normalize: By which name; see `Normalize`.

    Returns:
      uint8 [..., H, W, 3], RGB, 0-255.
    """
    from mmdata.stages.normalize import (
        Normalize,  # TensorFlow, which a plot of figures does without
    )

    corners = 255 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.uint8)
    made = Normalize(to=normalize)({"image": corners[np.newaxis]})["image"]
    black, *colors = np.asarray(made, np.float64)[0]
    # Whatever it does is affine, so these four say all about it.
    shares = (np.asarray(images, np.float64) - black) @ np.linalg.inv(np.array(colors) - black)
    pixels: NDArray[np.uint8] = np.clip(255 * shares, 0, 255).round().astype(np.uint8)
    return pixels


class Block(Protocol):
    """Part of a cell, as wide as its column."""

    def height(self, room: float) -> float:
        """How high it is where it has so much room."""

    def draw(self, page: "Page", left: float, top: float, room: float) -> None:
        """Draws it."""


Cell = Sequence[Block]
"""Blocks, one below the other."""


@dataclasses.dataclass(frozen=True)
class Page:
    """What blocks are drawn on.

    Attributes:
      ax: Its x and y are points of the layout, from the left and from the top.
      scale: How much larger or smaller these are drawn.
    """

    ax: "Axes"
    scale: float

    def write(
        self, x: float, top: float, text: str, size: float, color: str, **options: Any
    ) -> None:
        """Writes a line of text as it is: neither as mathematics nor as TeX."""
        self.ax.text(
            x,
            top + size,
            text,
            fontsize=size * self.scale,
            color=color,
            va="baseline",
            parse_math=False,
            usetex=False,
            **options,
        )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """An image, whole, as large as a square of its column's width holds it.

    Attributes:
      image: [H, W, 3], float from 0 to 1 or uint8.
      frame: The colour of the frame around it; None draws none.
      note: Stands on it.
    """

    image: NDArray[Any]
    frame: str | None = None
    note: str = ""

    def _size(self, room: float) -> tuple[float, float]:
        high, wide = self.image.shape[:2]
        return room * high / max(high, wide), room * wide / max(high, wide)

    def height(self, room: float) -> float:
        """See `Block`."""
        return self._size(room)[0]

    def draw(self, page: Page, left: float, top: float, room: float) -> None:
        """See `Block`."""
        high, wide = self._size(room)
        left += (room - wide) / 2
        page.ax.imshow(self.image, extent=(left, left + wide, top + high, top), aspect="equal")
        if self.frame:
            frame = require("matplotlib.patches", extra="plot").Rectangle(
                (left, top), wide, high, fill=False, edgecolor=self.frame, linewidth=4 * page.scale
            )
            page.ax.add_patch(frame)
        if self.note:
            around = {"facecolor": "white", "edgecolor": "none", "pad": 2 * page.scale}
            middle = left + wide / 2, top + high / 2 - 6
            page.write(*middle, self.note, 9, VERMILION, ha="center", bbox=around)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Words:
    """Text, in lines; what does not fit into `lines` of them is left out."""

    text: str
    size: float = 9
    color: str = "black"
    lines: int = 6

    def _wrapped(self, room: float) -> list[str]:
        return wrap(drawable(self.text), room, self.size, self.lines)

    def height(self, room: float) -> float:
        """See `Block`."""
        return LINE * self.size * len(self._wrapped(room))

    def draw(self, page: Page, left: float, top: float, room: float) -> None:
        """See `Block`."""
        for line, text in enumerate(self._wrapped(room)):
            page.write(left, top + LINE * self.size * line, text, self.size, self.color)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tokens:
    """A box a token, side by side; those that are left out are counted.

    Attributes:
      texts: Each token.
      fills: The colour of each box; text on vermilion is white.
      note: Stands behind them.
    """

    texts: Sequence[str]
    fills: Sequence[str]
    note: str = ""

    def height(self, room: float) -> float:
        """See `Block`."""
        return max((box.row + 1 for box in self._boxes(room)), default=0) * _TOKEN_ROW

    def draw(self, page: Page, left: float, top: float, room: float) -> None:
        """See `Block`."""
        for box in self._boxes(room):
            color = {"": GREY, VERMILION: "white"}.get(box.fill, "black")
            style = {"boxstyle": f"square,pad={_PAD}", "facecolor": box.fill, "edgecolor": "none"}
            page.write(
                left + box.x,
                top + box.row * _TOKEN_ROW + _PAD * _TOKEN,
                box.text,
                _TOKEN,
                color,
                bbox=style if box.fill else None,
            )

    def _boxes(self, room: float) -> list["_Box"]:
        boxes: list[_Box] = []
        edges = 2 * _PAD * _TOKEN
        for text, fill in zip(self.texts, self.fills, strict=True):
            text = shorten(drawable(text, "\N{OPEN BOX}"), room - edges, _TOKEN)
            box = _Box.behind(boxes, text, fill, room)
            if box.row == _TOKEN_ROWS:
                break
            boxes.append(box)
        hidden = len(self.texts) - len(boxes)
        notes = [f"+ {hidden:,} more"] * bool(hidden) + [self.note] * bool(self.note)
        for note in notes:
            boxes.append(_Box.behind(boxes, note, "", room))
        return boxes


class _Box(NamedTuple):
    """A text, its colour, and its place in rows of them: `x` is where its text begins."""

    text: str
    fill: str
    x: float
    row: int

    @classmethod
    def behind(cls, boxes: Sequence["_Box"], text: str, fill: str, room: float) -> "_Box":
        """The next box; it begins a row where it does not fit behind the last one."""
        pad = _PAD * _TOKEN
        if not boxes:
            return cls(text, fill, pad, 0)
        last = boxes[-1]
        x = last.x + width(last.text, _TOKEN) + 2 * pad + _TOKEN_GAP
        if x + width(text, _TOKEN) + pad > room:
            return cls(text, fill, pad, last.row + 1)
        return cls(text, fill, x, last.row)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid:
    """Cells in rows, and a title; all columns have one width.

    Text has the size at which it fits into the axes as they are when it is drawn.
    """

    rows: Sequence[Sequence[Cell]]
    title: str

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draws all on an Axes; None makes a figure that it fits into."""
        if ax is None:
            ax = self._axes_of(require("matplotlib.pyplot", extra="plot").figure)
        wide, high = self._size
        ax.set(xlim=(0, wide), ylim=(high, 0), autoscale_on=False)
        ax.set_aspect("equal", anchor="NW")
        ax.set_axis_off()
        ax.set_title(
            drawable(self.title), loc="left", fontsize="medium", parse_math=False, usetex=False
        )
        page = Page(
            ax, min(room / size for room, size in zip(_room(ax), (wide, high), strict=True))
        )
        for cells, top in zip(self.rows, self._tops, strict=False):
            for place, cell in enumerate(cells):
                _draw(cell, page, place * (_COLUMN + _GAP), top)
        return ax

    def figure(self) -> "Figure":
        """A figure of all, which pyplot knows nothing of."""
        ax = self._axes_of(require("matplotlib.figure", extra="plot").Figure)
        figure: Figure = self.plot(ax).figure.figure
        return figure

    @property
    def _tops(self) -> list[float]:
        """Where each row begins, and where one behind the last would."""
        heights = (max(map(_height, cells)) + _GAP for cells in self.rows)
        return list(itertools.accumulate(heights, initial=0.0))

    @property
    def _size(self) -> tuple[float, float]:
        columns = max(map(len, self.rows))
        return max(columns * (_COLUMN + _GAP) - _GAP, _LEAST), self._tops[-1] - _GAP

    def _axes_of(self, make: Callable[..., Any]) -> "Axes":
        """The axes of a new figure, a point long where the layout is."""
        wide, high = self._size
        width, height = wide + 2 * _MARGIN, high + 2 * _MARGIN + _TITLE
        figure = make(figsize=(width / 72, height / 72))
        place = (_MARGIN / width, _MARGIN / height, wide / width, high / height)
        axes: Axes = figure.add_axes(place)
        return axes


def require_count(what: str, value: object) -> None:
    """Raises a ValueError, about the argument `what`, unless `value` is an int of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{what} must be an int of at least 1; got {value!r}.")


def _room(ax: "Axes") -> tuple[float, float]:
    """Width and height of an Axes in points."""
    figure = ax.figure.canvas.figure  # of a subfigure, too, the one that holds all
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()  # only now all have their places
    window = ax.get_position(original=True).transformed(ax.figure.transSubfigure)
    return 72 * window.width / figure.dpi, 72 * window.height / figure.dpi


def rows_of(cells: Sequence[Cell], columns: int) -> list[Sequence[Cell]]:
    """Cells in rows of so many."""
    return [cells[begin : begin + columns] for begin in range(0, len(cells), columns)]


def _height(cell: Cell) -> float:
    return sum(block.height(_COLUMN) + _SPACE for block in cell)


def _draw(cell: Cell, page: Page, left: float, top: float) -> None:
    for block in cell:
        block.draw(page, left, top, _COLUMN)
        top += block.height(_COLUMN) + _SPACE


def save(figure: Any, path: "StrPath") -> None:
    """Writes a figure as PNG, in one step: no half-written file is ever there."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    write(writable(path), content.getvalue())
