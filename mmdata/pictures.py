"""Draws images with the captions that a model gave them."""

import os
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.optional import require

_COLUMNS = 4
_SHOWN = 12
_INCHES = 3.2


def caption_sheet(
    images: NDArray[np.float32],
    captions: Sequence[str],
    references: Sequence[str],
    *,
    title: str,
) -> Any:
    """Draws up to twelve of the images, each between a generated caption and a reference.

    Args:
      images: float32 [b, H, W, 3], RGB, 0-1.
      captions: The generated caption of each image.
      references: A caption that a person gave each image.
      title: Stands above the sheet.

    Returns:
      A `matplotlib.figure.Figure`.

    Raises:
      ImportError: matplotlib is not installed.
    """
    figure_module = require("matplotlib.figure", extra="train")
    shown = min(len(images), _SHOWN)
    rows = -(-shown // _COLUMNS)
    size = (_COLUMNS * _INCHES, rows * (_INCHES + 0.8))
    figure = figure_module.Figure(figsize=size, layout="constrained")
    figure.suptitle(title)
    for place, i in enumerate(np.linspace(0, len(images) - 1, shown).round().astype(int), start=1):
        axes = figure.add_subplot(rows, _COLUMNS, place)
        axes.imshow(images[i])
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_title(textwrap.fill(captions[i], 34), fontsize=10)
        axes.set_xlabel(textwrap.fill(references[i], 42), fontsize=8, color="dimgray")
    return figure


def save(figure: Any, path: str | os.PathLike[str]) -> None:
    """Writes a figure as PNG; the file is never half-written."""
    partial = f"{os.fspath(path)}.part"
    figure.savefig(partial, format="png", dpi=100)
    os.replace(partial, path)
