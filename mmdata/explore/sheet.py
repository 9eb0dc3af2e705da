"""Images with the captions that a model gave them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmdata.explore.grid import GREY, Cell, Grid, Picture, Words, rows_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = 4
_SHOWN = 12


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
      references: A caption that a person gave each image.
      title: Stands above the sheet.

    Raises:
      ImportError: matplotlib is not installed.
    """
    shown = np.linspace(0, len(images) - 1, min(len(images), _SHOWN)).round().astype(int)
    cells: list[Cell] = [
        [
            Words(text=captions[i], size=10),
            Picture(image=images[i]),
            Words(text=references[i], color=GREY),
        ]
        for i in shown.tolist()
    ]
    return Grid(rows=rows_of(cells, _COLUMNS), title=title).figure()
