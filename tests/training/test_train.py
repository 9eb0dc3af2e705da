"""The baselines of `mmdata train`."""

import itertools

import pytest

import mmdata
from mmdata.pairs.pairs import Row
from mmdata.training.train import chance_recalls, commonest


def test_commonest() -> None:
    assert commonest(["b", "a", "b", "c", "a"]) == "a"
    assert commonest(["a", "b", "b"]) == "b"


def test_chance_is_the_mean_over_all_orders() -> None:
    rows = [Row("a.png", ["a", "b", "c"]), Row("b.png", ["d"]), Row("c.png", ["e"])]
    chance = chance_recalls(mmdata.Pairs.of_rows("images", rows, layout="rows"))
    assert chance["text_to_image_recall_at_1"] == pytest.approx(1 / 3)
    assert chance["text_to_image_recall_at_5"] == 1
    orders = list(itertools.permutations("aaabc"))
    first = [sum(order[0] == image for order in orders) / len(orders) for image in "abc"]
    assert chance["image_to_text_recall_at_1"] == pytest.approx(sum(first) / 3)
    assert chance["image_to_text_recall_at_5"] == chance["image_to_text_recall_at_10"] == 1
