"""Matching caption files and frames with images on disk: splits, columns, links, cells."""

import json
import math
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest

import mmdata
from mmdata import Problems
from mmdata.pairing.listing import IfAny
from mmdata.pairs.findings import Finding, PairingError
from mmdata.pairs.pairs import Pairs

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]

LAYOUTS = ["sidecar", "metadata", "coco", "karpathy", "flickr", "webdataset", "frame", "images"]


def rows(pairs: Pairs) -> dict[str, list[str]]:
    return {image: pairs.captions_of(row) for row, image in enumerate(pairs.images)}


def seen(pairs: Pairs) -> list[tuple[str, str, int]]:
    return [(finding.kind, finding.path, finding.count) for finding in pairs.report.findings]


def table(*lines: str, header: str = "image,caption,split") -> str:
    return "\n".join([header, *lines, ""])


# Splits.

SPLITS = table("a.jpg,A,train", "a.jpg,B,train", "b.jpg,C,test", "c.jpg,D,", "gone.jpg,E,test")
PARTS = [("a", "restval"), ("b", "val"), ("c", "test")]
ENTRIES = [{"filename": f"{n}.jpg", "split": s, "sentences": [{"raw": "A"}]} for n, s in PARTS]
KARPATHY = json.dumps({"images": ENTRIES})
FLICKR = {"c.token.txt": "a.jpg#0\tA\nb.jpg#0\tB\nc.jpg#0\tC\n", "train.txt": "a.jpg\nc.jpg\n"}


@pytest.mark.parametrize(
    ("files", "split", "expected", "others"),
    [
        ({"c.csv": SPLITS}, "train", ["a.jpg"], ("b.jpg", 3)),
        ({"c.csv": SPLITS}, ["train"], ["a.jpg"], ("b.jpg", 3)),
        ({"c.json": KARPATHY}, "train", ["a.jpg"], ("b.jpg", 2)),
        ({"c.json": KARPATHY}, ("validation", "test"), ["b.jpg", "c.jpg"], ("a.jpg", 1)),
        (FLICKR, "train", ["a.jpg", "c.jpg"], ("b.jpg", 1)),
    ],
)
def test_chosen_splits(
    tmp_path: pathlib.Path, write: Write, files: Any, split: Any, expected: Any, others: Any
) -> None:
    images = write(tmp_path / "images", {"a.jpg": "", "b.jpg": "", "c.jpg": ""})
    write(tmp_path, files)
    pairs = mmdata.read(images, tmp_path / next(iter(files)), split=split)
    assert list(pairs.images) == expected
    assert ("other_split", *others) in seen(pairs)
    assert all(name in split for name in pairs.split_names)
    with pytest.raises(ValueError, match=r"split=\.\.\. must be among \['t.*; got \['val'\]"):
        mmdata.read(images, tmp_path / next(iter(files)), split="val")


@pytest.mark.parametrize("captions", ["c.csv", None], ids=["table", "sidecar"])
def test_splits_of_a_source_that_names_none(
    tmp_path: pathlib.Path, write: Write, captions: str | None
) -> None:
    write(tmp_path, {"a.jpg": "", "a.txt": "A", "c.csv": "image,caption\na.jpg,A\n"})
    source = None if captions is None else tmp_path / captions
    with pytest.raises(ValueError, match=r"got \['test'\], but .* has no splits. Read all"):
        mmdata.read(tmp_path, source, split="test")
    assert rows(mmdata.read(tmp_path, source, split=IfAny(["test"]))) == {"a.jpg": ["A"]}


@pytest.mark.parametrize("split", [3, [1], {"train": None, 2: None}])
def test_splits_that_are_no_names(tmp_path: pathlib.Path, split: Any) -> None:
    with pytest.raises(
        TypeError, match=r"split=\.\.\. must be a name, several names, or None; got "
    ):
        mmdata.read(tmp_path, split=split)


def test_one_of_several_splits_is_not_there(tmp_path: pathlib.Path, write: Write) -> None:
    write(tmp_path, {"a.jpg": "", "c.csv": table("a.jpg,A,train")})
    with pytest.raises(ValueError, match=r"among \['train'\], the splits of c.csv; got"):
        mmdata.read(tmp_path, tmp_path / "c.csv", split=["train", "tset"])


def test_folders_with_metadata_are_splits(tmp_path: pathlib.Path, write: Write) -> None:
    metadata = "file_name,text\na.jpg,A\n"
    files = {f"{n}/metadata.csv": metadata for n in ("train", "Val", "test", "more")}
    write(tmp_path, files | {f"{n}/a.jpg": n for n in ("train", "Val", "test", "more")})
    pairs = mmdata.read(tmp_path)
    assert dict(zip(pairs.images, pairs.split_labels, strict=True)) == {
        "Val/a.jpg": "validation",
        "more/a.jpg": None,
        "test/a.jpg": "test",
        "train/a.jpg": "train",
    }
    assert list(mmdata.read(tmp_path, split="test").images) == ["test/a.jpg"]


def test_columns_make_lines_a_table(tmp_path: pathlib.Path, write: Write) -> None:
    rest = 'a.jpg,"one, two"\nb.jpg,"[""x"", ""y""]"\n'
    images = write(tmp_path / "images", {"a.jpg": "", "b.jpg": ""})
    write(
        tmp_path, {"quoted.csv": f"image,caption\n{rest}", "bare.csv": "image,caption\na.jpg,b, c"}
    )
    pairs = mmdata.read(images, tmp_path / "quoted.csv")
    assert (pairs.report.layout, list(pairs.captions)) == ("metadata", ["one, two", "x", "y"])
    bare = mmdata.read(images, tmp_path / "bare.csv", on_problem="drop")
    assert (bare.report.layout, list(bare.captions)) == ("flickr", ["b, c"])
    with pytest.raises(PairingError, match="columns are 'image', 'caption'"):
        mmdata.read(images, tmp_path / "bare.csv", caption_column="text")


def test_other_splits_have_no_problems(tmp_path: pathlib.Path, write: Write) -> None:
    content = table("a.jpg,A,train", "../x.jpg,B,test", "b.jpg,,test", "gone.jpg,C,test")
    write(tmp_path, {"a.jpg": "", "b.jpg": "", "c.csv": content})
    pairs = mmdata.read(tmp_path, tmp_path / "c.csv", split="train")
    assert seen(pairs) == [("other_split", "../x.jpg", 3)]
    with pytest.raises(PairingError) as caught:
        mmdata.read(tmp_path, tmp_path / "c.csv", split="test")
    kinds = {finding.kind for finding in caught.value.findings}
    assert kinds == {"missing_image", "empty_caption", "outside"}


def test_what_is_not_listed_is_filled_into_no_split(tmp_path: pathlib.Path, write: Write) -> None:
    write(tmp_path, {"a.jpg": "", "x/b.jpg": "", "c.csv": table("a.jpg,A,train")})
    filling = Problems(missing="folder")
    pairs = mmdata.read(tmp_path, tmp_path / "c.csv", split="train", on_problem=filling)
    assert rows(pairs) == {"a.jpg": ["A"]}
    assert seen(pairs) == [("missing_caption", "x/b.jpg", 1)]
    everything = mmdata.read(tmp_path, tmp_path / "c.csv", on_problem=filling)
    assert rows(everything) == {"a.jpg": ["A"], "x/b.jpg": ["x"]}
    assert everything.split_of is not None
    assert everything.split_of.tolist() == [0, -1]


@pytest.mark.parametrize(
    ("lines", "detail"),
    [
        (["a.jpg,A,train,1", "a.jpg,B,test,1"], "split 'train' at c.csv:2, 'test' at c.csv:3"),
        (["a.jpg,A,test,1", "./a.jpg,B,train,1"], "split 'test' at c.csv:2, 'train' at c.csv:3"),
        (["a.jpg,A,train,1", "a.jpg,B,,1"], "split 'train' at c.csv:2, '' at c.csv:3"),
        (["a.jpg,A,train,1", "a.jpg,B,train,2"], "weight 1.0 at c.csv:2, 2.0 at c.csv:3"),
    ],
)
@pytest.mark.parametrize("split", [None, "train"])
def test_rows_of_one_image_that_disagree(
    tmp_path: pathlib.Path, write: Write, lines: list[str], detail: str, split: str | None
) -> None:
    content = table(*lines, "k.jpg,K,train,1", header="image,caption,split,weight")
    write(tmp_path, {"a.jpg": "", "k.jpg": "", "c.csv": content})
    pairs = mmdata.read(tmp_path, tmp_path / "c.csv", split=split, on_problem="drop")
    assert rows(pairs) == {"k.jpg": ["K"]}
    assert pairs.report.problems == (Finding("disagreement", "a.jpg", detail),)


# Columns.


def test_columns(tmp_path: pathlib.Path, write: Write) -> None:
    content = table(
        *("b.jpg,B,1.5,7,x,nan,1", "b.jpg,C,1.5,7,y,nan,1", "a.jpg,A,2,8,z,1,2"),
        header="image,caption,weight,same,other,maybe,n",
    )
    write(tmp_path, {"a.jpg": "", "b.jpg": "", "u.jpg": "", "c.csv": content})
    pairs = mmdata.read(tmp_path, tmp_path / "c.csv", on_problem=Problems(missing="blank"))
    assert rows(pairs) == {"a.jpg": ["A"], "b.jpg": ["B", "C"], "u.jpg": [""]}
    assert pairs.weights is not None
    assert pairs.weights.tolist() == [2, 1.5, 1]
    assert list(pairs.columns) == ["same", "maybe", "n"]
    assert np.array_equal(np.asarray(pairs.columns["same"]), [8, 7, math.nan], equal_nan=True)
    assert np.array_equal(np.asarray(pairs.columns["maybe"]), [1, *[math.nan] * 2], equal_nan=True)
    assert [f for f in pairs.report.findings if f.kind == "ignored"] == [
        Finding("ignored", "c.csv", "column 'other' has different values for one image")
    ]


def test_no_captions_wanted(tmp_path: pathlib.Path, write: Write) -> None:
    write(tmp_path, {"a.jpg": "", "b.jpg": "", "c.csv": "image,label\na.jpg,cat\nb.jpg,dog\n"})
    pairs = mmdata.read(tmp_path, tmp_path / "c.csv", caption_column=None)
    assert rows(pairs) == {"a.jpg": [], "b.jpg": []}
    assert list(pairs.columns["label"]) == ["cat", "dog"]
    assert pairs.report.findings == ()


@pytest.mark.parametrize("found", [True, False])
def test_known_defects(tmp_path: pathlib.Path, write: Write, found: bool) -> None:
    write(tmp_path, {"k.jpg": "", **({"a.jpg": ""} if found else {})})
    write(tmp_path, {"c.token.txt": "k.jpg#0\tK\na.jpg.1#0\tA\na.jpg.1#1\tB\n"})
    pairs = mmdata.read(tmp_path, tmp_path / "c.token.txt")
    assert rows(pairs) == {**({"a.jpg": ["A", "B"]} if found else {}), "k.jpg": ["K"]}
    assert seen(pairs) == [("known_defect", "a.jpg", 1)]


def test_links(tmp_path: pathlib.Path, write: Write) -> None:
    write(tmp_path / "far", {"x.jpg": "", "f/y.jpg": ""})
    names = ["a.jpg", "in.jpg", "out.jpg", "folder/y.jpg", "real/b.jpg", "alias/../a2.jpg"]
    content = table(*(f"{name},A" for name in names), header="file_name,text")
    root = write(tmp_path / "near", {"a.jpg": "", "a2.jpg": "", "real/b.jpg": "", "c.csv": content})
    (root / "in.jpg").symlink_to("a.jpg")
    (root / "out.jpg").symlink_to(tmp_path / "far" / "x.jpg")
    (root / "folder").symlink_to(tmp_path / "far" / "f", target_is_directory=True)
    (root / "alias").symlink_to("real", target_is_directory=True)
    (root / "self").symlink_to("self")
    pairs = mmdata.read(root, root / "c.csv", on_problem="drop")
    assert list(pairs.images) == ["a.jpg", "a2.jpg", "in.jpg", "real/b.jpg"]
    lost = ["folder/", "folder/y.jpg", "out.jpg"]
    assert [(f.kind, f.path) for f in pairs.report.problems] == [("outside", path) for path in lost]
    assert all(str(tmp_path / "far") in f.detail for f in pairs.report.problems)
    assert all('links="follow"' in f.detail for f in pairs.report.problems)
    followed = mmdata.read(root, root / "c.csv", links="follow")
    assert set(followed.images) == {*pairs.images, "folder/y.jpg", "out.jpg"}


# Caption files among the images, and which layout they have.


@pytest.mark.parametrize("captions", [None, ".", "metadata.csv"])
def test_caption_file_is_not_ignored(
    tmp_path: pathlib.Path, write: Write, captions: str | None
) -> None:
    write(tmp_path, {"a.jpg": "", "metadata.csv": "image,caption\na.jpg,A\n", "n.md": ""})
    source = None if captions is None else tmp_path / captions
    pairs = mmdata.read(tmp_path, source, layout="metadata")
    assert (rows(pairs), seen(pairs)) == ({"a.jpg": ["A"]}, [("ignored", "n.md", 1)])


def test_flickr_file_is_not_ignored(tmp_path: pathlib.Path, write: Write) -> None:
    write(tmp_path, {"a.jpg": "", "captions.txt": "image,caption\na.jpg,A\n"})
    assert mmdata.read(tmp_path, tmp_path).report == mmdata.PairingReport("flickr", 1, 1)


def test_metadata_in_folders(tmp_path: pathlib.Path, write: Write) -> None:
    files = {"train/a.jpg": "", "train/metadata.csv": "file_name,text,n\na.jpg,A,1\n"}
    more = {"test/x/a.jpg": "", "test/metadata.jsonl": '{"file_name": "x/a.jpg", "text": "B"}\n'}
    hidden = {".old/metadata.csv": "file_name,text\ngone.jpg,A\n", "__MACOSX/metadata.csv": "x"}
    write(tmp_path, {**files, **more, **hidden})
    (tmp_path / "self").symlink_to("self")
    pairs = mmdata.read(tmp_path)
    assert pairs.report.layout == "metadata"
    assert rows(pairs) == {"test/x/a.jpg": ["B"], "train/a.jpg": ["A"]}
    assert seen(pairs) == [("ignored", ".", 2), ("ignored", "self", 1)]
    write(tmp_path, {"lonely.jpg": ""})
    with pytest.raises(PairingError, match=r"'lonely\.jpg' \(not in any of the files\)"):
        mmdata.read(tmp_path)


@pytest.mark.parametrize("folder", ["", "train/"])
def test_two_metadata_files(tmp_path: pathlib.Path, write: Write, folder: str) -> None:
    names = [f"{folder}metadata.csv", f"{folder}metadata.jsonl"]
    write(tmp_path, {f"{folder}a.jpg": "", **dict.fromkeys(names, "")})
    with pytest.raises(PairingError, match=r"needs one metadata\.csv, .*; got .*jsonl"):
        mmdata.read(tmp_path)


def test_text_that_cannot_be_opened_is_a_finding(
    tmp_path: pathlib.Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"a.jpg": "", "k.jpg": "", "texts/k.txt": "k"})
    (tmp_path / "texts" / "a.txt").symlink_to("a.txt")
    monkeypatch.setattr(os.path, "isfile", os.path.lexists)
    pairs = mmdata.read(tmp_path, tmp_path / "texts", on_problem="drop")
    assert rows(pairs) == {"k.jpg": ["k"]}
    assert ("unreadable", "a.txt", 1) in seen(pairs)


@pytest.mark.parametrize(
    ("layout", "captions", "error", "message"),
    [
        ("sidecar", "c.csv", NotADirectoryError, "captions=... must be a folder; got the file"),
        ("metadata", None, PairingError, "layout='metadata' needs one metadata.csv"),
        ("coco", None, ValueError, "layout='coco' needs captions=..., a file; got None"),
        ("flickr", None, ValueError, "layout='flickr' needs captions=..., a file; got None"),
        ("coco", ".", IsADirectoryError, "captions=... must be a file; got the folder"),
        ("karpathy", ".", IsADirectoryError, "captions=... must be a file; got the folder"),
        ("karpathy", "c.csv", PairingError, "must be a JSON file"),
        ("webdataset", None, ValueError, "needs .tar shards as images=..., and captions=None"),
        ("webdataset", "c.csv", ValueError, "needs .tar shards as images=..., and captions=None"),
        ("frame", None, ValueError, "needs a DataFrame or a Dataset; got paths"),
        ("images", "c.csv", ValueError, "reads images alone, so captions=... must be None; got '"),
        ("Coco", None, ValueError, f"must be \"auto\" or one of {LAYOUTS}; got 'Coco'"),
    ],
)
def test_layouts_that_do_not_fit(
    tmp_path: pathlib.Path, write: Write, layout: Any, captions: Any, error: Any, message: str
) -> None:
    write(tmp_path, {"a.jpg": "", "c.csv": "image,caption\na.jpg,A\n"})
    with pytest.raises(error) as caught:
        mmdata.read(tmp_path, None if captions is None else tmp_path / captions, layout=layout)
    assert message in str(caught.value)


# Paths from elsewhere.


@pytest.mark.parametrize("place", ["images", "link", "link/../images", "/no/such/folder"])
def test_absolute_paths(tmp_path: pathlib.Path, write: Write, place: str) -> None:
    root = write(tmp_path / "images", {"x/0.jpg": "", "y/0.jpg": ""})
    (tmp_path / "link").symlink_to("images", target_is_directory=True)
    names = [f"{tmp_path / place}/{name}/0.jpg" for name in "xy"]
    write(tmp_path, {"c.csv": table(*(f"{name},A" for name in names), header="image,caption")})
    pairs = mmdata.read(root, tmp_path / "c.csv")
    assert rows(pairs) == {"x/0.jpg": ["A"], "y/0.jpg": ["A"]}
    moved = [("name_mismatch", "x/0.jpg", 2)] if place.startswith("/") else []
    assert seen(pairs) == moved


def test_absolute_paths_elsewhere_on_this_machine(tmp_path: pathlib.Path, write: Write) -> None:
    root = write(tmp_path / "images", {"x/0.jpg": "", "k.jpg": ""})
    name = write(tmp_path / "other", {"x/0.jpg": ""}) / "x" / "0.jpg"
    write(tmp_path, {"c.csv": table(f"{name},A", "k.jpg,K", header="image,caption")})
    pairs = mmdata.read(root, tmp_path / "c.csv", on_problem="drop")
    assert rows(pairs) == {"k.jpg": ["K"]}
    assert seen(pairs) == [("missing_caption", "x/0.jpg", 1), ("outside", str(name), 1)]


# Layout "frame".


@pytest.mark.parametrize("kind", [str, pathlib.Path])
@pytest.mark.parametrize("where", ["absolute", "relative to a folder"])
def test_frame(tmp_path: pathlib.Path, write: Write, kind: type, where: str) -> None:
    write(tmp_path, {"a.jpg": "", "x/b.jpg": "", "c.jpg": "", "other.jpg": ""})
    at = tmp_path if where == "absolute" else pathlib.Path()
    names = [kind(at / name) for name in ("x/b.jpg", "a.jpg", "gone.jpg", "c.jpg")]
    texts = ["B", ["A", "C"], "D", np.float64("nan")]
    frame = pd.DataFrame({"path": names, "caption": texts, "n": [1, 2, 3, None]})
    sources = (frame, None) if where == "absolute" else (tmp_path, frame)
    pairs = mmdata.read(*sources, on_problem="drop")
    assert (pairs.root, pairs.report.layout) == (str(tmp_path), "frame")
    assert rows(pairs) == {"a.jpg": ["A", "C"], "x/b.jpg": ["B"]}
    assert np.asarray(pairs.columns["n"]).tolist() == [2, 1]
    lost = ["c.jpg"] if where == "absolute" else ["c.jpg", "other.jpg"]
    assert [(f.kind, f.path) for f in pairs.report.problems] == [
        *(("missing_caption", name) for name in lost),
        ("missing_image", "gone.jpg"),
    ]


@pytest.mark.parametrize("missing", [None, math.nan, pd.NA, pd.NaT, np.float32("nan")], ids=repr)
def test_missing_cells(tmp_path: pathlib.Path, write: Write, missing: Any) -> None:
    write(tmp_path, {"a.jpg": "", "b.jpg": "", "c.jpg": ""})
    cells = {"image": ["a.jpg", "b.jpg", missing], "caption": ["A", missing, "C"]}
    pairs = mmdata.read(tmp_path, pd.DataFrame(cells, dtype=object), on_problem="drop")
    assert rows(pairs) == {"a.jpg": ["A"]}
    assert [path for _, path, _ in seen(pairs)] == ["b.jpg", "c.jpg", "DataFrame row 2"]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            pd.DataFrame([["a.jpg", "A", "B"]], columns=["image", "text", "text"]),
            "'text' more than",
        ),
        (pd.DataFrame([["a.jpg", 1, 2]], columns=["image", 1, "1"]), "'1' more than once"),
        (pd.DataFrame({"image": ["a.jpg"]}), "one column must hold the captions"),
        (pd.DataFrame({"caption": ["a.jpg"]}), "one column must name the images"),
        (pd.DataFrame({"image": [], "caption": []}), "must hold image files"),
    ],
)
def test_invalid_frames(tmp_path: pathlib.Path, frame: Any, message: str) -> None:
    with pytest.raises(PairingError) as caught:
        mmdata.read(tmp_path, frame)
    assert message in str(caught.value)


def test_frame_takes_no_other_layout_or_captions(tmp_path: pathlib.Path) -> None:
    frame = pd.DataFrame({"image": ["a.jpg"], "caption": ["A"]})
    with pytest.raises(ValueError, match="must be \"frame\" for a frame; got 'coco'"):
        mmdata.read(frame, layout="coco")
    with pytest.raises(ValueError, match=r"captions=\.\.\. must be None if images=... is a frame"):
        mmdata.read(frame, tmp_path)


def images_of(cells: list[Any]) -> Any:
    found = datasets.Dataset.from_dict({"image": cells, "caption": ["A", "B"]})
    return found.cast_column("image", datasets.Image())


def test_dataset_of_files(tmp_path: pathlib.Path, write: Write) -> None:
    write(tmp_path, {"a.jpg": "no image", "b.jpg": "", "gone.jpg": ""})
    (tmp_path / "gone.jpg").unlink()
    pairs = mmdata.read(images_of([str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg")]))
    assert rows(pairs) == {"a.jpg": ["A"], "b.jpg": ["B"]}
    gone = images_of([str(tmp_path / "a.jpg"), str(tmp_path / "gone.jpg")])
    assert seen(mmdata.read(gone, on_problem="drop")) == [("missing_image", "gone.jpg", 1)]


def labelled(folder: pathlib.Path) -> Any:
    """Two images with labels that are not in the order of their names; the third has none."""
    kinds = {
        "image": datasets.Image(),
        "caption": datasets.Value("string"),
        "label": datasets.ClassLabel(names=["zebra", "ape"]),
    }
    names = [str(folder / name) for name in ("a.jpg", "b.jpg", "c.jpg")]
    cells = {"image": names, "caption": ["A", "B", "C"], "label": [0, 1, -1]}
    return datasets.Dataset.from_dict(cells, features=datasets.Features(kinds))


def test_labels_keep_their_names(tmp_path: pathlib.Path, write: Write) -> None:
    write(tmp_path, {"a.jpg": "", "b.jpg": "", "c.jpg": ""})
    dataset = labelled(tmp_path)
    kinds = pd.Categorical.from_codes([0, 1, -1], categories=pd.Index(["zebra", "ape"]))
    frame = pd.DataFrame({"image": ["a.jpg", "b.jpg", "c.jpg"], "caption": ["A", "B", "C"]})
    table = dataset.remove_columns("image").add_column("image", ["a.jpg", "b.jpg", "c.jpg"])
    table.to_parquet(tmp_path / "t.parquet")
    for pairs in (
        mmdata.read(dataset),
        mmdata.read(tmp_path, frame.assign(label=kinds)),
        mmdata.read(tmp_path, tmp_path / "t.parquet"),
    ):
        assert list(pairs.columns["label"]) == ["zebra", "ape", ""]
        assert pairs.classes == {"label": ("zebra", "ape")}
        assert pairs.filter([True, True, False]).merge(pairs).classes == pairs.classes
        assert pairs.drop("label").classes == {}


@pytest.mark.parametrize("path", [None, "b.jpg"])
def test_dataset_of_bytes(
    path: str | None, tmp_path: pathlib.Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write(tmp_path, {"b.jpg": "another image of this name"}))
    embedded = [{"bytes": b"1", "path": path}, {"bytes": b"2", "path": path}]
    with pytest.raises(PairingError, match="must name image files; got images with paths and b"):
        mmdata.read(images_of(embedded), on_problem="drop")


def test_blank_captions_beside_others_are_counted(tmp_path: pathlib.Path, write: Write) -> None:
    lines = ["file_name,caption", "a.jpg,one", "a.jpg,", "a.jpg,  ", "b.jpg,two", "b.jpg,"]
    write(tmp_path, {"a.jpg": "", "b.jpg": "", "metadata.csv": "\n".join([*lines, ""])})
    pairs = mmdata.read(tmp_path)
    assert list(pairs.captions) == ["one", "two"]
    assert pairs.report.findings == (Finding("blank_caption", "a.jpg", "", 3),)
