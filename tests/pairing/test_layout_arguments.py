"""Arguments of `read` that a layout does not use are refused; all others have an effect."""

import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import pytest

import mmdata
from mmdata.pairing.layouts import LAYOUTS
from mmdata.pairs.pairs import Pairs

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]

GIVEN: dict[str, Any] = {
    "image_column": "picture",
    "caption_column": "words",
    "weight_column": None,
    "extensions": (".txt",),
    "lines": "one",
    "repeats": False,
    "key": "first_dot",
    "links": "follow",
    "encoding": "latin-1",
    "encoding_errors": "replace",
}
_TEXT, _TABLE = {"links", "encoding", "encoding_errors"}, {"caption_column", "weight_column"}
MEANT: dict[str, set[str]] = {
    "sidecar": _TEXT | {"extensions", "lines", "repeats"},
    "metadata": _TEXT | _TABLE | {"image_column"},
    "coco": _TEXT,
    "karpathy": _TEXT,
    "flickr": _TEXT,
    "webdataset": _TEXT | _TABLE | {"extensions", "lines", "key"},
    "frame": _TABLE | {"image_column", "links"},
    "images": {"links"},
}


def source(folder: pathlib.Path, layout: str) -> tuple[Any, Any]:
    """Images and captions of a layout: a.jpg with the caption A, also in columns of other names."""
    record = {"image": "a.jpg", "picture": "a.jpg", "caption": "A", "words": "A", "weight": 2}
    (folder / "images").mkdir()
    (folder / "images" / "a.jpg").touch()
    if layout in ("sidecar", "webdataset"):
        (folder / "images" / "a.txt").write_text("A")
    if layout == "webdataset":
        mmdata.read(folder / "images").to_webdataset(folder / "shards")
        return folder / "shards", None
    if layout in ("sidecar", "images"):
        return folder / "images", None
    if layout == "frame":
        return folder / "images", pd.DataFrame([record])
    contents = {
        "metadata": json.dumps(record) + "\n",
        "flickr": "a.jpg#0\tA\n",
        "coco": json.dumps(
            {
                "images": [{"id": 1, "file_name": "a.jpg"}],
                "annotations": [{"image_id": 1, "caption": "A"}],
            }
        ),
        "karpathy": json.dumps({"images": [{"filename": "a.jpg", "sentences": [{"raw": "A"}]}]}),
    }
    ends = {"metadata": "jsonl", "flickr": "token"}
    path = folder / f"c.{ends.get(layout, 'json')}"
    path.write_text(contents[layout])
    return folder / "images", path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_argument_in_every_layout(tmp_path: pathlib.Path, layout: Any) -> None:
    images, captions = source(tmp_path, layout)
    read = mmdata.read(images, captions, layout=layout, on_problem="drop")
    assert list(read.captions) == ([] if layout == "images" else ["A"])
    for name, value in GIVEN.items():
        arguments = {name: value}
        if name not in MEANT[layout]:
            with pytest.raises(ValueError, match=rf"{name}=\.\.\. is for layout .*{layout!r}"):
                mmdata.read(images, captions, layout=layout, **arguments)
        elif (layout, name) != ("webdataset", "caption_column"):  # its captions are not in .json
            assert len(mmdata.read(images, captions, layout=layout, **arguments)) == 1


@pytest.mark.parametrize("layout", sorted(set(LAYOUTS) - {"sidecar"}))
def test_no_captions(tmp_path: pathlib.Path, layout: Any) -> None:
    pairs = mmdata.read(*source(tmp_path, layout), layout=layout, caption_column=None)
    assert (len(pairs), pairs.pair_count) == (1, 0)


def test_no_captions_beside_a_folder_of_captions(tmp_path: pathlib.Path) -> None:
    images, _ = source(tmp_path, "sidecar")
    assert mmdata.read(images, caption_column=None).report.layout == "images"
    with pytest.raises(ValueError, match=r"caption_column=\.\.\. is for layout .* got None"):
        mmdata.read(images, images, caption_column=None)


@pytest.mark.parametrize("end", [".json", ".JSONL", ".csv", ".parquet"])
def test_files_with_a_structure_are_no_captions(
    tmp_path: pathlib.Path, write: Write, end: str
) -> None:
    write(tmp_path, {"a.jpg": "", f"a{end}": '{"caption": "A"}'})
    with pytest.raises(ValueError, match=r"extensions=\.\.\. must be those of text files; got \['"):
        mmdata.read(tmp_path, extensions=(".txt", end))


# Weights.


def weights(pairs: Pairs) -> tuple[Any, list[str]]:
    found = [finding for finding in pairs.report.findings if finding.kind == "weights"]
    return (
        None if pairs.weights is None else pairs.weights.tolist(),
        [finding.detail.partition(";")[0] for finding in found],
    )


def test_weights_are_reported_chosen_and_turned_off(tmp_path: pathlib.Path, write: Write) -> None:
    table = "image,caption,weight,times\na.jpg,A,80,1\nb.jpg,B,62.5,3\n"
    write(tmp_path, {"a.jpg": "", "b.jpg": "", "c.csv": table})
    both = tmp_path, tmp_path / "c.csv"
    assert weights(mmdata.read(*both)) == ([80, 62.5], ["62.5 to 80"])
    assert weights(mmdata.read(*both, weight_column="times")) == ([1, 3], ["1 to 3"])
    without = mmdata.read(*both, weight_column=None)
    assert weights(without) == (None, [])
    assert list(without.columns) == ["weight", "times"]
    without.to_csv(tmp_path / "again.csv")
    without.to_webdataset(tmp_path / "shards")
    assert weights(mmdata.read(tmp_path / "shards")) == ([80, 62.5], ["62.5 to 80"])
    assert weights(mmdata.read(tmp_path / "shards", weight_column="times"))[0] == [1, 3]
    shards = mmdata.read(tmp_path / "shards", weight_column=None)
    assert (weights(shards), list(shards.columns)) == ((None, []), ["weight", "times"])


def test_no_such_column_of_weights(tmp_path: pathlib.Path, write: Write) -> None:
    write(tmp_path, {"a.jpg": "", "c.csv": "image,caption\na.jpg,A\n"})
    with pytest.raises(ValueError, match=r"weight_column=\.\.\. must name columns of .*got 'w'"):
        mmdata.read(tmp_path, tmp_path / "c.csv", weight_column="w")
