"""Scores of captions."""

import pathlib
import re

import pytest

from mmdata import optional
from mmdata.training.evaluate import Attributes, bleu, commonest

TABLE = "image,object,colour\na.jpg,car|cars,red\nb.jpg,boat|boats,blue\n"


@pytest.fixture
def attributes(tmp_path: pathlib.Path) -> Attributes:
    """Two images: red cars and a blue boat."""
    (tmp_path / "attributes.csv").write_text(TABLE)
    return Attributes.load(tmp_path / "attributes.csv")


@pytest.mark.parametrize(
    ("caption", "right"),
    [
        ("Two red cars on the left.", True),
        ("a car, Red", True),
        ("a red boat", False),
        ("a blue car", False),
        ("a car", False),
        ("a red and blue car", False),
        ("a red car and a boat", False),
        ("a redcar", False),
        ("", False),
    ],
)
def test_a_caption_names_everything_and_nothing_else(
    attributes: Attributes, caption: str, right: bool
) -> None:
    assert attributes.named("a.jpg", caption) is right


def test_accuracy_is_a_share(attributes: Attributes) -> None:
    assert attributes.accuracy(["a.jpg", "b.jpg"], ["red car", "red boat"]) == 0.5
    with pytest.raises(ValueError, match=r"c\.jpg"):
        attributes.accuracy(["c.jpg"], ["red car"])


@pytest.mark.parametrize("text", ["", "image\na.jpg\n", "image,object\na.jpg,car,red\n"])
def test_malformed_attributes(tmp_path: pathlib.Path, text: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        Attributes.load(path)


def test_bleu() -> None:
    references = [["a red car", "one red car is here"], ["two blue boats on the sea"]]
    assert bleu(["A red car", "two blue boats on the sea"], references) == pytest.approx(
        {"BLEU-1": 100, "BLEU-2": 100, "BLEU-3": 100, "BLEU-4": 100}
    )
    # 4 of 6 words, and 2 of the 4 pairs of words, are in a reference; no brevity penalty.
    some = bleu(["a red boat", "a red car"], [["a red car"], ["the red car"]])
    assert some["BLEU-1"] == pytest.approx(100 * 4 / 6)
    assert some["BLEU-2"] == pytest.approx(100 * (4 / 6 * 2 / 4) ** 0.5)


def test_commonest() -> None:
    assert commonest(["b", "a", "b", "c", "a"]) == "a"
    assert commonest(["a", "b", "b"]) == "b"


def test_a_missing_library_says_what_to_install() -> None:
    with pytest.raises(ImportError, match=re.escape('pip install "mmdata[train]"')):
        optional.require("a_library_that_nobody_has", extra="train")
