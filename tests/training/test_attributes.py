"""Whether captions name what images show."""

import pathlib
import re

import pytest

from mmdata import optional
from mmdata.training.attributes import Attributes

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


def test_a_missing_library_says_what_to_install() -> None:
    with pytest.raises(ImportError, match=re.escape('pip install "mmdata[train]"')):
        optional.require("a_library_that_nobody_has", extra="train")
