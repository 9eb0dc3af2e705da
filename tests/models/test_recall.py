"""Recall at k, against a loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmdata.models import recall_at_k


def recall_loop(queries: Any, gallery: Any, query_ids: Any, gallery_ids: Any, k: int) -> float:
    hits = 0
    for query, query_id in zip(queries, query_ids, strict=True):
        rows = []
        for row, row_id in zip(gallery, gallery_ids, strict=True):
            rows.append((-float(query @ row), row_id == query_id))  # Its own rows last in a tie.
        hits += any(own for _, own in sorted(rows)[:k])
    return hits / len(queries)


@pytest.mark.parametrize("k", [1, 2, 5, 40])
@pytest.mark.parametrize("seed", range(4))
def test_recall_equals_a_loop(k: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    queries = random.integers(-2, 3, [30, 3]).astype(np.float32)  # Small integers tie often.
    gallery = random.integers(-2, 3, [20, 3]).astype(np.float32)
    query_ids, gallery_ids = random.integers(0, 12, 30), random.integers(0, 12, 20)
    expected = recall_loop(queries, gallery, query_ids, gallery_ids, k)
    assert recall_at_k(queries, gallery, query_ids, gallery_ids, k) == pytest.approx(expected)


@pytest.mark.parametrize("k", [1, 5, 10])
@pytest.mark.parametrize("seed", range(4))
def test_recall_with_five_captions_an_image_is_that_of_clip_benchmark(k: int, seed: int) -> None:
    """The share of queries with at least one right row among the k largest scores."""
    random = np.random.default_rng(seed)
    images, owners = random.normal(size=[40, 3]), np.repeat(np.arange(40), 5)
    captions = images[owners] + random.normal(size=[200, 3])
    for rows, ids, others, other_ids in (
        (images, np.arange(40), captions, owners),
        (captions, owners, images, np.arange(40)),
    ):
        nearest = np.argsort(-(rows @ others.T), axis=1)[:, :k]
        expected = (other_ids[nearest] == ids[:, None]).any(axis=1).mean()
        assert 0 < expected < 1
        assert recall_at_k(rows, others, ids, other_ids, k) == expected


def test_recall_of_a_collapsed_model_is_zero() -> None:
    """Equal embeddings find each other by the order of rows, or by rounding, unless ties lose."""
    rows = np.tile(np.random.default_rng(0).normal(size=[1, 128]).astype(np.float32), [50, 1])
    assert recall_at_k(rows, rows, range(50), range(50), 1) == 0.0
    assert recall_at_k(rows, rows, range(50), range(50), 49) == 0.0
    assert recall_at_k(rows, rows, range(50), range(50), 50) == 1.0


@pytest.mark.parametrize("own", [0, 1])
def test_recall_does_not_let_rounding_break_a_tie(own: int) -> None:
    gallery = [[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]]
    sums = [(row[0] + row[1]) + row[2] for row in gallery]
    assert sums[0] != sums[1]  # 0.6 both, but for the order of adding.
    assert recall_at_k([[1.0, 1.0, 1.0]], gallery, [own], [0, 1], 1) == 0.0


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([0.5, np.nan], 0.0), ([np.nan, 0.5], 0.0), ([np.nan, np.nan], 0.0), ([0.6, 0.5], 1.0)],
)
def test_recall_of_nan_is_a_miss(scores: list[float], expected: float) -> None:
    assert recall_at_k([[1.0]], [[score] for score in scores], [7], [7, 8], 1) == expected


def test_recall_counts_a_query_without_a_match_as_a_miss() -> None:
    assert recall_at_k([[1.0], [1.0]], [[1.0]], [5, 6], [5], 9) == 0.5


def test_recall_keeps_every_bit_of_an_id() -> None:
    ids = np.asarray([2**60, 2**60 + 1])
    assert recall_at_k([[1.0]], [[0.0], [1.0]], ids[:1], ids, 1) == 0.0


def test_recall_takes_many_queries() -> None:
    random = np.random.default_rng(1)
    rows = random.normal(size=[2500, 16])
    ids = np.arange(2500)
    assert recall_at_k(rows / np.linalg.norm(rows, axis=1, keepdims=True), rows, ids, ids, 1) < 1
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert recall_at_k(unit, unit, ids, ids, 1) == 1.0
    assert recall_at_k(unit, unit, ids, ids[::-1].copy(), 1) == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0]], [[1.0]], [1], [1], 0), "k=...) must be an int >= 1; got k=0"),
        (([[1.0]], [[1.0, 2.0]], [1], [1], 1), "got [1, 1] and [1, 2]"),
        (([[1.0]], [[1.0]], [1, 2], [1], 1), "query_ids=...) must be one int per row, 1"),
        (([[1.0]], [[1.0]], [1], [1.0], 1), "gallery_ids=...) must be one int per row, 1"),
        ((np.zeros([0, 2]), [[1.0, 2.0]], np.zeros(0, int), [1], 1), "0 and at least 1"),
    ],
)
def test_recall_refuses(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"^recall_at_k") as caught:
        recall_at_k(*arguments)
    assert message in str(caught.value)
