"""Plots how augmentation changes images and their captions."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mmdata.example import Stage
from mmdata.explore.sheet import (
    GREY,
    VERMILION,
    Cell,
    draw_sheet,
    noted,
    require_count,
    words,
)
from mmdata.options import Text
from mmdata.pairs.pairs import Pairs
from mmdata.pipeline import build
from mmdata.stages.resize import Size
from mmdata.tasks import Retrieval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GROWTH = 4  # by how much a caption may grow, relative to the longest
_SPECIAL = 32


def plot_augmentations(
    pairs: Pairs,
    augment: Sequence[Stage],
    *,
    n: int = 4,
    draws: int = 4,
    image_size: Size = (160, 160),
    seed: int = 0,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draws images, and beside each the augmented versions of some epochs.

    The first caption is below an image. If augmentation changed it, the new one is in vermilion.

    Args:
      pairs: What `mmdata.read` returns; images are evenly spread over it.
      augment: Stages, as `mmdata.build` takes them.
      n: How many images, >= 1, one per row.
      draws: How many epochs, >= 1.
      image_size: (height, width) in pixels.
      seed: See `mmdata.build`.
      ax: Where to draw; None makes a figure.

    Returns:
      The axes.

    Raises:
      ImportError: matplotlib is not installed.
      ValueError: An argument is out of range, or there are no captions.
    """
    require_count("plot_augmentations(n=...)", n)
    require_count("plot_augmentations(draws=...)", draws)
    rows = np.unique(np.linspace(0, len(pairs) - 1, n).round().astype(np.int64))
    chosen = pairs.take(rows)
    options = {"image_size": image_size, "seed": seed}
    epochs = [*_epochs(chosen, (), 1, **options), *_epochs(chosen, augment, draws, **options)]
    head = ["original", *(f"epoch {epoch}" for epoch in range(draws))]
    cells: list[list[Cell]] = [[[words(text, color=GREY)] for text in head]]
    for (plain, caption), *drawn in zip(*epochs, strict=True):
        row: list[Cell] = [[*plain, words(caption)]]
        for augmented, changed in drawn:
            below = [words(changed, color=VERMILION)] if changed != caption else []
            row.append([*augmented, *below])
        cells.append(row)
    return draw_sheet(cells, title="Augmented images, with captions that changed", ax=ax)


def _epochs(
    pairs: Pairs, augment: Sequence[Stage], count: int, **options: Any
) -> Iterator[list[tuple[Cell, str]]]:
    """The images of each epoch, in one order, with one caption each."""
    longest = max((len(caption.encode()) for caption in pairs.captions), default=0)
    ds = build(
        pairs.drop("split"),  # all that is plotted
        task=Retrieval(captions="first"),
        text=Text(tokenizer="byte", clean=None, length=_GROWTH * longest + _SPECIAL),
        batch_size=len(pairs),
        augment=augment,
        shuffle=False,
        on_problem="drop",
        **options,
    )
    for _ in range(count):  # each iteration is the next epoch
        batch = next(iter(ds))
        captions = ds.tokenizer.detokenize(batch["token_ids"]).numpy()
        valid = batch["padding_mask"].numpy().any(axis=1)
        yield [
            (noted(image, "" if is_valid else "not valid"), caption.decode())
            for image, caption, is_valid in zip(
                batch["images"].numpy(), captions, valid, strict=True
            )
        ]
