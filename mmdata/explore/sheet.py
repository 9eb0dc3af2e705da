"""Draws pictures with text in rows and columns, on one Axes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmdata.explore.lettering import drawable, shorten, width, wrap
from mmdata.optional import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backend_bases import RendererBase
    from matplotlib.figure import Figure
    from matplotlib.offsetbox import OffsetBox

BLUE, VERMILION = "#0072B2", "#D55E00"
"""Distinct also for people with a colour vision deficiency.

Source: Okabe and Ito 2008, "Color Universal Design".
"""

GREY = "#606060"
PLAIN, TINTED = "#EBEBEB", "#BFDDEE"

_COLUMN = 150.0  # all lengths are in points
_GAP = 14.0
_SPACE = 4.0
_MARGIN = 10.0
_LEAST = 300.0
_TITLE = 10.0  # font size
_TITLE_LINE = 14.0
_TITLE_LINES = 3
_TOKEN = 7.0  # font size
_PAD = 1.75
_TOKEN_ROWS = 8
_TOLERANCE = 0.003
_COLUMNS = 4
_SHOWN = 12

Cell = Sequence["OffsetBox"]
"""Pictures and texts, one below the other."""


def picture(image: NDArray[Any], *, frame: str | None = None) -> "OffsetBox":
    """A whole image, scaled to fit a square as wide as the column.

    Args:
      image: [H, W, 3], float from 0 to 1 or uint8.
      frame: The colour of the frame around it; None draws none.
    """
    boxes = _boxes()
    framed = boxes.PaddedBox(
        boxes.OffsetImage(image, zoom=_COLUMN / max(image.shape[:2]), origin="upper"),
        draw_frame=frame is not None,
        patch_attrs={"fill": False, "edgecolor": frame, "linewidth": 6},
    )
    return _column([_strut(), framed], 0, align="center")


def noted(image: NDArray[Any], note: str) -> Cell:
    """An image, and a note in vermilion below it, unless the note is empty."""
    return [picture(image), *([words(note, color=VERMILION)] if note else [])]


def words(text: str, *, size: float = 9, color: str = "black") -> "OffsetBox":
    """Text in at most six lines; the rest is left out."""
    return _text("\n".join(wrap(drawable(text), _COLUMN, size, 6)), size, color)


def tokens(texts: Sequence[str], fills: Sequence[str], note: str = "") -> "OffsetBox":
    """Tokens in boxes, side by side; tokens that do not fit are counted.

    Args:
      texts: Each token.
      fills: The colour of each box; text on vermilion is white.
      note: Written below them.
    """
    rows: list[list[tuple[str, str]]] = []
    end = _COLUMN
    for text, fill in zip(texts, fills, strict=True):
        seen = "".join("␣" if character.isspace() else character for character in text)
        label = shorten(drawable(seen), _COLUMN - 2 * _PAD, _TOKEN)
        room = width(label, _TOKEN) + 2 * _PAD
        if end + room > _COLUMN:
            rows.append([])
            end = 0
        rows[-1].append((label, fill))
        end += room + _PAD
    hidden = sum(map(len, rows[_TOKEN_ROWS:]))
    notes = [f"+ {hidden:,} more"] * bool(hidden) + [note] * bool(note)
    lines = [_row([_token(*token) for token in row], _PAD) for row in rows[:_TOKEN_ROWS]]
    if notes:
        lines.append(_text("   ".join(notes), _TOKEN, GREY))
    return _column(lines, _PAD)


def _token(text: str, fill: str) -> "OffsetBox":
    style = {"facecolor": fill, "edgecolor": "none"}
    color = "white" if fill == VERMILION else "black"
    box = _text(text, _TOKEN, color)
    return _boxes().PaddedBox(box, pad=_PAD, draw_frame=True, patch_attrs=style)  # type: ignore[no-any-return]


def draw_sheet(
    rows: Sequence[Sequence[Cell]],
    *,
    title: str,
    ax: "Axes | None" = None,
    figure: "Figure | None" = None,
) -> "Axes":
    """Draws cells in rows below a title; all columns have one width.

    Args:
      rows: The cells of each row.
      title: Above them.
      ax: Where to draw: the cells are scaled to fit. None draws into `figure`.
      figure: An empty figure, which is resized to the cells; None makes one.

    Returns:
      The axes.
    """
    cells = [_row([_column([_strut(), *cell], _SPACE) for cell in row], _GAP) for row in rows]
    whole = _column(cells, _GAP)
    into = ax
    if into is None:
        figure = figure or require("matplotlib.pyplot", extra="plot").figure()
        into = figure.add_axes((0, 0, 1, 1))
    into.set_axis_off()
    into.add_artist(_fitting(whole))
    if ax is None:
        _fit_figure(into, whole, title)
    else:
        _set_title(into, title, _room(into))
    return into


def _fitting(whole: "OffsetBox") -> "OffsetBox":
    """A box in the upper left corner of its axes, which scales to fit them at each drawing."""

    class Fitting(_boxes().AnchoredOffsetbox):  # type: ignore[misc]
        def draw(self, renderer: "RendererBase") -> None:
            room = self.axes.bbox
            for _ in range(2):  # widths of hinted letters are not exactly proportional to the size
                box = whole.get_bbox(renderer)
                scale = min(room.width / box.width, room.height / box.height)
                if abs(scale - 1) > _TOLERANCE:
                    _scale(whole, scale)
            super().draw(renderer)

    fitting: OffsetBox = Fitting(loc="upper left", child=whole, pad=0, borderpad=0, frameon=False)
    fitting.set_in_layout(False)
    return fitting


def _fit_figure(ax: "Axes", whole: "OffsetBox", title: str) -> None:
    """Resizes the figure of an Axes to its content."""
    dpi = ax.figure.dpi
    agg = require("matplotlib.backends.backend_agg", extra="plot")
    box = whole.get_bbox(agg.RendererAgg(1, 1, dpi))
    wide, high = max(72 * box.width / dpi, _LEAST), 72 * box.height / dpi
    lines = _set_title(ax, title, wide)
    width, height = wide + 2 * _MARGIN, high + 2 * _MARGIN + _TITLE_LINE * lines
    ax.figure.set_size_inches(width / 72, height / 72)  # type: ignore[union-attr]
    ax.set_position((_MARGIN / width, _MARGIN / height, wide / width, high / height))


def _scale(box: "OffsetBox", scale: float) -> None:
    """Multiplies all lengths in a box."""
    boxes = _boxes()
    for part in box.findobj():
        if isinstance(part, boxes.TextArea):
            (text,) = part.get_children()
            text.set_fontsize(scale * text.get_fontsize())
        elif isinstance(part, boxes.OffsetImage):
            part.set_zoom(scale * part.get_zoom())
        elif isinstance(part, boxes.DrawingArea):
            part.width *= scale
        elif isinstance(part, boxes.PaddedBox):
            part.pad *= scale
            part.patch.set_linewidth(scale * part.patch.get_linewidth())
        elif isinstance(part, boxes.PackerBase):
            part.sep *= scale


def _set_title(ax: "Axes", title: str, room: float) -> int:
    """Writes the title, and returns the number of its lines."""
    lines = wrap(drawable(title), room, _TITLE, _TITLE_LINES)
    ax.set_title("\n".join(lines), loc="left", fontsize=_TITLE, parse_math=False, usetex=False)
    return len(lines)


def _room(ax: "Axes") -> float:
    """Width of an Axes in points."""
    figure = ax.figure.canvas.figure  # the outermost figure, also for a subfigure
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()  # which computes the layout
    return 72 * ax.get_window_extent().width / figure.dpi


def _text(text: str, size: float, color: str) -> "OffsetBox":
    """Plain text, without mathematics or TeX."""
    style = {"fontsize": size, "color": color, "parse_math": False, "usetex": False}
    return _boxes().TextArea(text, textprops=style)  # type: ignore[no-any-return]


def _row(boxes: Sequence["OffsetBox"], space: float) -> "OffsetBox":
    return _boxes().HPacker(children=boxes, align="top", pad=0, sep=space)  # type: ignore[no-any-return]


def _column(boxes: Sequence["OffsetBox"], space: float, align: str = "left") -> "OffsetBox":
    return _boxes().VPacker(children=boxes, align=align, pad=0, sep=space)  # type: ignore[no-any-return]


def _strut() -> "OffsetBox":
    """An empty box as wide as a column."""
    return _boxes().DrawingArea(_COLUMN, 0)  # type: ignore[no-any-return]


def _boxes() -> Any:
    return require("matplotlib.offsetbox", extra="plot")


def rows_of(cells: Sequence[Cell]) -> list[Sequence[Cell]]:
    """Cells in rows of four."""
    return [cells[begin : begin + _COLUMNS] for begin in range(0, len(cells), _COLUMNS)]


def require_count(what: str, value: object) -> None:
    """Raises a ValueError for the argument `what`, unless `value` is an int of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{what} must be an int of at least 1; got {value!r}.")


def caption_sheet(
    images: NDArray[np.float32],
    captions: Sequence[str],
    references: Sequence[str],
    *,
    title: str,
) -> "Figure":
    """Draws up to twelve of the images, each between a generated caption and a reference.

    Args:
      images: float32 [b, H, W, 3], RGB, 0-1.
      captions: The generated caption of each image.
      references: A human caption for each image.
      title: Above the sheet.

    Returns:
      A figure that is not registered with pyplot, so it need not be closed.

    Raises:
      ImportError: matplotlib is not installed.
    """
    figure: Figure = require("matplotlib.figure", extra="plot").Figure()
    shown = np.linspace(0, len(images) - 1, min(len(images), _SHOWN)).round().astype(int)
    cells: list[Cell] = [
        [words(captions[i], size=10), picture(images[i]), words(references[i], color=GREY)]
        for i in shown.tolist()
    ]
    draw_sheet(rows_of(cells), title=title, figure=figure)
    return figure
