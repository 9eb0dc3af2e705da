"""What users pass as paths: home folders, patterns, swapped arguments; and in whose words."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import pytest

import mmdata

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]


@pytest.fixture(autouse=True)
def _files(tmp_path: pathlib.Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images, their captions, and tables, in the working directory."""
    tables: dict[str, str | bytes] = {
        "unclear.csv": "x,caption\na.jpg,A\n",
        "two.csv": "image,caption,text\na.jpg,A,B\n",
        "rows.csv": "a.jpg,a brown dog\n",
        "latin.csv": b"image,caption\na.jpg,\xe9\n",
    }
    write(tmp_path, {"images/a.jpg": "", "texts/a.txt": "A", "[x]/a.jpg": "", **tables})
    monkeypatch.chdir(tmp_path)


SWAPPED = "Are images and captions swapped?"
FRAME = pd.DataFrame({"image": ["a.jpg"], "caption": ["A"]})
WRONG: dict[str, tuple[Any, Any, str]] = {
    "two folders": ("texts", "images", f"There are images in 'images'. {SWAPPED}"),
    "a file": ("two.csv", "images", f"the folder 'images' as captions=.... {SWAPPED}"),
    "a frame": (FRAME, "images", f"must be None if images=... is a frame; got a str. {SWAPPED}"),
    "a pattern": (
        "images/*.jpg",
        None,
        "got the pattern 'images/*.jpg'. Pass the folder 'images'.",
    ),
    "of texts": (
        "images",
        "texts/?.txt",
        "got the pattern 'texts/?.txt'. Pass the folder 'texts'.",
    ),
    "here": ("[a-z].jpg", None, "got the pattern '[a-z].jpg'. Pass the folder '.'."),
    "deep": ("images/**/*.jpg", None, "Pass the folder 'images'."),
    "a number": (
        3,
        None,
        "images=... must be a path, a DataFrame or a datasets.Dataset; got a int.",
    ),
    "a row": ("images", "rows.csv", "the first row must name the columns; got a row of data. Add"),
}


@pytest.mark.parametrize("call", [mmdata.read, mmdata.build])
@pytest.mark.parametrize("case", WRONG)
def test_wrong_paths(call: Callable[..., Any], case: str) -> None:
    images, captions, message = WRONG[case]
    with pytest.raises((OSError, ValueError, TypeError)) as caught:
        call(images, captions)
    assert message in str(caught.value)
    assert "brown dog" not in str(caught.value)


def test_a_name_that_looks_like_a_pattern() -> None:
    with pytest.raises(mmdata.PairingError, match=r"without a caption"):
        mmdata.read("[x]")


def test_a_home_folder_is_expanded(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "list.txt").write_text("a")
    pairs = mmdata.read("~/images", "~/texts", splits={"test": "~/list.txt"})
    assert pairs.root == str(tmp_path / "images")
    assert pairs.split_labels == ["test"]
    assert list(mmdata.read("~/images", FRAME).images) == ["a.jpg"]


OF_READ = {
    "unclear.csv": ("image_column=...", "with the one that does."),
    "two.csv": ('caption_column="caption"', ""),
    "latin.csv": ("encoding=...", ""),
}


@pytest.mark.parametrize("table", OF_READ)
def test_build_names_the_arguments_of_read(table: str) -> None:
    argument, rest = OF_READ[table]
    with pytest.raises(mmdata.PairingError) as of_read:
        mmdata.read("images", table)
    assert argument in str(of_read.value)
    assert "mmdata.read" not in str(of_read.value)
    with pytest.raises(mmdata.PairingError) as of_build:
        mmdata.build("images", table)
    message = str(of_build.value)
    assert f"mmdata.read(..., {argument}) {rest}".strip() in message
    assert message.endswith("Then build from the pairs: build(pairs).")
    assert of_build.value.findings == of_read.value.findings
