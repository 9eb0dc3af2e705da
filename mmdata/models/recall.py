"""Recall at k, the measure of retrieval."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mmdata.models import checks
from mmdata.progress import progress

_ROWS_AT_ONCE = 1024
_NOWHERE = np.iinfo(np.int64).max


def recall_at_k(
    queries: npt.ArrayLike,
    gallery: npt.ArrayLike,
    query_ids: npt.ArrayLike,
    gallery_ids: npt.ArrayLike,
    k: int,
) -> float:
    """Measures the share of queries that find a row of their own id among their k nearest.

    The nearest row has the largest dot product. Ties count as misses: a row of another id that is
    as near as the best row of the own id ranks before it, and so does a NaN. A query whose id is
    not in the gallery is a miss. Does not normalize; `DualEncoder` gives rows of norm 1.

    Args:
      queries: float [q, d], q >= 1.
      gallery: float [g, d], g >= 1; may swap roles with `queries`.
      query_ids: int [q].
      gallery_ids: int [g].
      k: how many of the nearest rows count, >= 1.

    Returns:
      A share from 0 to 1.

    Raises:
      ValueError: the shapes do not match, or k < 1.

    Example:
      >>> recall_at_k([[1.0, 0.0], [0.0, 1.0]], [[0.9, 0.1], [0.8, 0.2]], [7, 8], [7, 8], 1)
      1.0
      >>> recall_at_k([[1.0, 0.0], [0.0, 1.0]], [[0.9, 0.1], [0.8, 0.2]], [7, 8], [8, 7], 1)
      0.0

    Source: Hodosh et al. 2013, Journal of Artificial Intelligence Research 47, section 4.
    """
    k = checks.count("recall_at_k", "k", k)
    return float(np.mean(ranks(queries, gallery, query_ids, gallery_ids) < k))


def ranks(
    queries: npt.ArrayLike,
    gallery: npt.ArrayLike,
    query_ids: npt.ArrayLike,
    gallery_ids: npt.ArrayLike,
) -> npt.NDArray[np.int64]:
    """Counts the rows of other ids that rank before the nearest row of the own id.

    See `recall_at_k` for the arguments, ties and errors; shows a progress bar after two seconds.

    Returns:
      int64 [q]: 0 if the nearest row has the own id; the largest int64 if no row has it.
    """
    who = "recall_at_k"
    # float32 sums depend on the order of addition, which would break ties by chance.
    queries, gallery = np.asarray(queries, np.float64), np.asarray(gallery, np.float64)
    query_ids, gallery_ids = np.asarray(query_ids), np.asarray(gallery_ids)
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise ValueError(
            f"{who}(queries=..., gallery=...) must have shapes [q, d] and [g, d]; "
            f"got {list(queries.shape)} and {list(gallery.shape)}."
        )
    for name, ids, rows in (
        ("query_ids", query_ids, queries),
        ("gallery_ids", gallery_ids, gallery),
    ):
        if ids.shape != rows.shape[:1] or not len(ids) or not np.issubdtype(ids.dtype, np.integer):
            raise ValueError(
                f"{who}({name}=...) must be one int per row, {len(rows)} and at least 1; "
                f"got {ids.dtype} of shape {list(ids.shape)}."
            )
    largest = np.linalg.norm(gallery, axis=1).max()
    found = []
    with progress(total=len(queries), what="ranking", unit="query") as bar:
        for start in range(0, len(queries), _ROWS_AT_ONCE):
            rows = queries[start : start + _ROWS_AT_ONCE]
            own = query_ids[start : start + _ROWS_AT_ONCE, None] == gallery_ids
            scores = rows @ gallery.T
            best = np.where(own, scores, -np.inf).max(axis=1, keepdims=True)
            rounding = 1e-11 * largest * np.linalg.norm(rows, axis=1, keepdims=True)
            before = ~own & ~(scores < best - rounding)
            found.append(np.where(own.any(axis=1), before.sum(axis=1), _NOWHERE))
            bar.update(len(rows))
    return np.concatenate(found)
