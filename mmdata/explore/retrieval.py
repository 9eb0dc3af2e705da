"""What a model finds for captions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mmdata.explore.grid import BLUE, GREY, Block, Cell, Grid, Picture, Words, require_count
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
    """Draws captions, each beside the images that lie nearest to it, best first.

    The image that belongs to it is framed; where it stands among all is said below the caption.
    The number below an image is the dot product of its embedding with that of the caption. As in
    `recall_at_k`, ties never count in favour.

    Args:
      queries: float [q, d], embeddings of the captions, as `DualEncoder.encode_text` gives them.
      gallery: float [g, d], embeddings of the images, as `DualEncoder.encode_images` does.
      query_ids: int [q]; ids that no image has, e.g. -1, for captions that belong to none.
      gallery_ids: int [g]; an image belongs to a caption where their ids are equal.
      captions: [q], the text of each query.
      images: [g, H, W, 3], float from 0 to 1 or uint8.
      k: How many images a caption gets, >= 1.
      n: How many captions are drawn, >= 1, from all over them.
      ax: Where to draw; None makes a figure.

    Returns:
      The axes; its title has the recall at k of all captions, where any has a right image.

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
    has_right = np.isin(query_ids, gallery_ids)
    rows: list[list[Cell]] = []
    for row in np.unique(np.linspace(0, len(queries) - 1, n).round().astype(np.int64)).tolist():
        right = gallery_ids == query_ids[row]
        scores = gallery @ queries[row]
        best = np.lexsort((right, -scores))  # of equal scores, those that are right come last
        said: list[Block] = [Words(text=captions[row], size=10)]
        if has_right[row]:
            place = int(right[best].argmax()) + 1
            said.append(Words(text=f"right one: place {place:,}", color=GREY))
        found: list[Cell] = [
            [
                Picture(image=images[i], frame=BLUE if right[i] else None),
                Words(text=f"{scores[i]:.3f}", color=BLUE if right[i] else GREY),
            ]
            for i in best[:k].tolist()
        ]
        rows.append([said, *found])
    title = f"The nearest of {len(gallery):,} images"
    if has_right.any():
        title += (
            f"; framed: the right one; recall@{k} {100 * recall:.1f} % of {len(queries):,} captions"
        )
    return Grid(rows=rows, title=title).plot(ax)


def _require_shown(
    captions: Sequence[str], images: npt.NDArray[Any], queries: int, gallery: int
) -> None:
    if len(captions) != queries:
        raise ValueError(
            f"plot_retrieval(captions=...) must be a text a query, {queries:,}; got "
            f"{len(captions):,}."
        )
    if images.ndim != 4 or images.shape[0] != gallery or images.shape[3] != 3:
        raise ValueError(
            f"plot_retrieval(images=...) must have the shape [{gallery}, H, W, 3]; got "
            f"{list(images.shape)}."
        )
    low, high = images.min(), images.max()
    if images.dtype != np.uint8 and not (low >= 0 and high <= 1):
        raise ValueError(
            'plot_retrieval(images=...) must be uint8, or float from 0 to 1 as pixels="unit" has '
            f"them; got {low} to {high}."
        )
