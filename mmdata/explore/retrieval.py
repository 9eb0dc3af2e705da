"""Plots the images that a model finds for captions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mmdata.explore.sheet import BLUE, GREY, Cell, draw_sheet, picture, require_count, words
from mmdata.models import recall_at_k

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_retrieval(
    queries: npt.ArrayLike,
    gallery: npt.ArrayLike,
    query_ids: npt.ArrayLike,
    gallery_ids: npt.ArrayLike,
    *,
    captions: Sequence[str],
    images: npt.ArrayLike,
    k: int = 5,
    n: int = 6,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draws captions, each beside the nearest images, best first.

    The right image is framed; its rank among all images is written below the caption. The number
    below an image is the dot product of its embedding and the caption's. As in `recall_at_k`, ties
    count as misses.

    Args:
      queries: float [q, d], embeddings of the captions, as `DualEncoder.encode_text` gives them.
      gallery: float [g, d], embeddings of the images, as `DualEncoder.encode_images` does.
      query_ids: int [q]; an id that no image has, e.g. -1, if no image is right.
      gallery_ids: int [g]; an image is right for a caption if their ids are equal.
      captions: [q], the text of each query.
      images: [g, H, W, 3], float from 0 to 1 or uint8.
      k: How many images are drawn per caption, >= 1.
      n: How many captions are drawn, >= 1, evenly spread.
      ax: Where to draw; None makes a figure.

    Returns:
      The axes; the title has the recall at k of all captions, if any has a right image.

    Raises:
      ImportError: matplotlib is not installed.
      ValueError: The shapes do not match, an embedding is not finite, or an argument is out of
        range.
    """
    require_count("plot_retrieval(n=...)", n)
    queries, gallery = np.asarray(queries, np.float64), np.asarray(gallery, np.float64)
    query_ids, gallery_ids, images = map(np.asarray, (query_ids, gallery_ids, images))
    recall = recall_at_k(queries, gallery, query_ids, gallery_ids, k)
    _require_shown(captions, images, len(queries), len(gallery))
    if not (np.isfinite(queries).all() and np.isfinite(gallery).all()):
        raise ValueError("plot_retrieval(queries=..., gallery=...) must be finite; got NaN or inf.")
    rows: list[list[Cell]] = []
    for row in np.unique(np.linspace(0, len(queries) - 1, n).round().astype(np.int64)).tolist():
        right = gallery_ids == query_ids[row]
        scores = gallery @ queries[row]
        rows.append(_found(captions[row], right, scores, images, k))
    title = f"The nearest of {len(gallery):,} images"
    if np.isin(query_ids, gallery_ids).any():
        share = f"recall@{k} {100 * recall:.1f} % of {len(queries):,} captions"
        title += f"; the right one is framed; {share}"
    return draw_sheet(rows, title=title, ax=ax)


def _found(
    caption: str,
    right: npt.NDArray[np.bool_],
    scores: npt.NDArray[np.float64],
    images: npt.NDArray[Any],
    k: int,
) -> list[Cell]:
    """A caption, and the k images with the highest scores."""
    best = np.lexsort((right, -scores))  # of equal scores, right images come last
    asked = [words(caption, size=10)]
    if right.any():
        asked.append(words(f"right image: rank {int(right[best].argmax()) + 1:,}", color=GREY))
    found = [
        [
            picture(images[i], frame=BLUE if right[i] else None),
            words(f"{scores[i]:.3f}", color=BLUE if right[i] else GREY),
        ]
        for i in best[:k].tolist()
    ]
    return [asked, *found]


def _require_shown(
    captions: Sequence[str], images: npt.NDArray[Any], queries: int, gallery: int
) -> None:
    if len(captions) != queries:
        raise ValueError(
            f"plot_retrieval(captions=...) must be one text per query, {queries:,}; got "
            f"{len(captions):,}."
        )
    if images.ndim != 4 or images.shape[0] != gallery or images.shape[3] != 3:
        raise ValueError(
            f"plot_retrieval(images=...) must have shape [{gallery}, H, W, 3]; got "
            f"{list(images.shape)}."
        )
    low, high = images.min(), images.max()
    if images.dtype != np.uint8 and not (low >= 0 and high <= 1):
        raise ValueError(
            'plot_retrieval(images=...) must be uint8, or float from 0 to 1 as pixels="unit" gives '
            f"them; got {low} to {high}."
        )
