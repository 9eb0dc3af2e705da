"""Splits by folders and by lists of names: no photo leaves its split, in any layout."""

import csv
import io
import json
import pathlib
import posixpath
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mmdata
from mmdata import PairingError, Pairs, Problems
from mmdata.pairing.listing import IfAny

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]
Layout = Callable[[pathlib.Path, list[str]], Pairs]

WORDS = {
    "train": ["train", "Training", "TRAIN"],
    "validation": ["val", "valid", "dev", "Validation"],
    "test": ["test", "Testing", "eval", "evaluation"],
}
SPLIT_OF = {word: split for split, words in WORDS.items() for word in words}


def put(root: pathlib.Path, files: Mapping[str, str]) -> pathlib.Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def stem(name: str) -> str:
    return posixpath.splitext(name)[0]


def table(names: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([("file_name", "caption"), *((name, "A") for name in names)])
    return text.getvalue()


def images(root: pathlib.Path, names: list[str]) -> pathlib.Path:
    return put(root / "images", dict.fromkeys(names, ""))


def sidecar(root: pathlib.Path, names: list[str]) -> Pairs:
    put(root / "images", {f"{stem(name)}.txt": "A" for name in names})
    return mmdata.read(images(root, names))


def two_trees(root: pathlib.Path, names: list[str]) -> Pairs:
    captions = put(root / "captions", {f"{stem(name)}.txt": "A" for name in names})
    return mmdata.read(images(root, names), captions)


def names_of_folders(root: pathlib.Path, names: list[str]) -> Pairs:
    return mmdata.read(images(root, names), on_problem=Problems(missing="folder"))


def metadata(root: pathlib.Path, names: list[str]) -> Pairs:
    put(root / "images", {"metadata.csv": table(names)})
    return mmdata.read(images(root, names))


def metadata_in_folders(root: pathlib.Path, names: list[str]) -> Pairs:
    below = sorted({name.partition("/")[0] for name in names})
    tables = {
        f"{folder}/metadata.csv": table(
            n.partition("/")[2] for n in names if n.startswith(f"{folder}/")
        )
        for folder in below
    }
    put(root / "images", tables)
    return mmdata.read(images(root, names))


def table_file(root: pathlib.Path, names: list[str]) -> Pairs:
    return mmdata.read(images(root, names), put(root, {"c.csv": table(names)}) / "c.csv")


def coco(root: pathlib.Path, names: list[str]) -> Pairs:
    listed = [{"id": number, "file_name": name} for number, name in enumerate(names)]
    texts = [{"image_id": number, "caption": "A"} for number in range(len(names))]
    put(root, {"c.json": json.dumps({"images": listed, "annotations": texts})})
    return mmdata.read(images(root, names), root / "c.json")


def karpathy(root: pathlib.Path, names: list[str]) -> Pairs:
    listed = [{"filename": name, "sentences": [{"raw": "A"}]} for name in names]
    put(root, {"c.json": json.dumps({"images": listed})})
    return mmdata.read(images(root, names), root / "c.json")


def flickr(root: pathlib.Path, names: list[str]) -> Pairs:
    put(root, {"c.token": "".join(f"{name}#0\tA\n" for name in names)})
    return mmdata.read(images(root, names), root / "c.token")


def frame(root: pathlib.Path, names: list[str]) -> Pairs:
    return mmdata.read(images(root, names), pd.DataFrame({"image": names, "caption": "A"}))


def frame_of_paths(root: pathlib.Path, names: list[str]) -> Pairs:
    paths = [str(images(root, names) / name) for name in names]
    return mmdata.read(pd.DataFrame({"image": paths, "caption": "A"}))


def shard(path: pathlib.Path, names: Iterable[str]) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name in names:
            for member in (name, f"{stem(name)}.txt"):
                info = tarfile.TarInfo(member)
                info.size = 1
                archive.addfile(info, io.BytesIO(b"A"))
    return path


def one_shard(root: pathlib.Path, names: list[str]) -> Pairs:
    return mmdata.read(shard(root / "shards" / "all.tar", names))


def two_shards(root: pathlib.Path, names: list[str]) -> Pairs:
    shard(root / "shards" / "0.tar", names[::2])
    shard(root / "shards" / "1.tar", names[1::2])
    return mmdata.read(root / "shards")


def shards_in_folders(root: pathlib.Path, names: list[str]) -> Pairs:
    below = sorted({name.partition("/")[0] for name in names})
    for folder in below:
        shard(
            root / folder / "0.tar",
            (n.replace("/", "-") for n in names if n.startswith(f"{folder}/")),
        )
    return mmdata.read(f"{root}/{{{','.join(below)}}}/0.tar")


def named_shards(root: pathlib.Path, names: list[str]) -> Pairs:
    for folder in sorted({name.partition("/")[0] for name in names}):
        inside = (name.replace("/", "-") for name in names if name.startswith(f"{folder}/"))
        shard(root / "shards" / f"set-{folder}-000.tar", inside)
    return mmdata.read(root / "shards")


LAYOUTS: list[Layout] = [
    *(sidecar, two_trees, names_of_folders, metadata, metadata_in_folders, table_file),
    *(coco, karpathy, flickr, frame, frame_of_paths),
    *(one_shard, two_shards, shards_in_folders, named_shards),
]
AT_THE_TOP = (metadata_in_folders, shards_in_folders, named_shards)


@st.composite
def trees(draw: st.DrawFn) -> list[str]:
    """Names of images in folders that are splits, with classes or numbers below."""
    splits = ["train", *draw(st.permutations(["validation", "test"]))[: draw(st.integers(1, 2))]]
    names: list[str] = []
    for number, split in enumerate(splits):
        for folder in draw(st.lists(st.sampled_from(WORDS[split]), min_size=1, max_size=2)):
            below = draw(st.sampled_from(["", "cats/", "dogs/train/", "val/"]))
            names += [f"{folder}/{below}{number}{count}.jpg" for count in range(2)]
    return sorted(set(names))


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@given(names=trees(), above=st.sampled_from(["", "photos/", "a/b/"]))
def test_no_photo_leaves_its_split(layout: Layout, names: list[str], above: str) -> None:
    above = "" if layout in AT_THE_TOP else above
    with tempfile.TemporaryDirectory() as folder:
        pairs = layout(pathlib.Path(folder), [above + name for name in names])
        assert len(pairs) == len(names)
        words = {word for word in SPLIT_OF if any(n.startswith(f"{word}/") for n in names)}
        for image, split in zip(pairs.images, pairs.split_labels, strict=True):
            parts = image.removeprefix(above).replace("-", "/").split("/")
            word = next(part for part in parts if part in words)
            assert split == SPLIT_OF[word], image
        assert pairs.split() is pairs  # not split again
        assert [f.kind for f in pairs.report.findings if f.kind == "splits"] == ["splits"]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("folders", [("train", "car", "boat"), ("val", "test"), ("a", "b")])
def test_classes_are_no_splits(
    tmp_path: pathlib.Path, layout: Layout, folders: tuple[str, ...]
) -> None:
    names = [f"{folder}/{number}.jpg" for folder in folders for number in range(2)]
    pairs = layout(tmp_path, names)
    if layout is metadata_in_folders and "val" in folders:  # these need no folder "train"
        assert set(pairs.split_names) == {"validation", "test"}
        return
    assert pairs.split_of is None
    assert "splits" not in {finding.kind for finding in pairs.report.findings}


def test_files_beside_the_folders(tmp_path: pathlib.Path, write: Write) -> None:
    names = ["extra.jpg", "train/a.jpg", "val/b.jpg"]
    files = {"README.md": "text", "notes/todo.md": "", **dict.fromkeys(names, "")}
    write(tmp_path, files | {f"{stem(name)}.txt": "A" for name in names})
    pairs = mmdata.read(tmp_path)
    assert pairs.split_labels == [None, "train", "validation"]
    note = next(found for found in pairs.report.findings if found.kind == "splits")
    assert "'val/' is 'validation'; 1 image(s) beside them are in no split" in note.detail


@pytest.mark.parametrize("two", [False, True], ids=["one tree", "two trees"])
def test_other_folders_are_not_problems(tmp_path: pathlib.Path, write: Write, two: bool) -> None:
    images = {"train/a.jpg": "", "train/none.jpg": "", "dev/b.jpg": "", "x.jpg": ""}
    captions = {"train/a.txt": "A", "train/lost.txt": "A", "dev/b.txt": "B", "y.txt": "A"}
    write(tmp_path / "images", images)
    write(tmp_path / ("captions" if two else "images"), captions)
    source = (tmp_path / "images", tmp_path / "captions" if two else None)
    pairs = mmdata.read(*source, split="dev")
    assert list(pairs.images) == ["dev/b.jpg"]
    [others] = [found for found in pairs.report.findings if found.kind == "other_split"]
    assert (others.count, others.detail) == (3, "split=... keeps validation")
    with pytest.raises(PairingError) as caught:
        mmdata.read(*source, split=IfAny(["train"]))
    assert {f.path for f in caught.value.findings} == {"train/lost.txt", "train/none.jpg"}
    with pytest.raises(ValueError, match=r"among \['train', 'validation'\], the splits of layout"):
        mmdata.read(*source, split="test")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("train", "val", "Dev"), ("train", "validation", "validation")),
        (("TRAINING", "eval", "fold 1"), ("train", "test", "fold 1")),
        (("train", "validation", ""), ("train", "validation", None)),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "jsonl", "frame", "karpathy", "shard"])
def test_aliases_of_every_source(
    tmp_path: pathlib.Path, kind: str, words: tuple[str, ...], expected: tuple[str | None, ...]
) -> None:
    rows = [{"image": f"{n}.jpg", "caption": "A", "split": w} for n, w in enumerate(words)]
    folder = put(tmp_path / "images", {row["image"]: "" for row in rows})
    source: tuple[Any, ...] = (folder, tmp_path / f"c.{kind}")
    if kind == "frame":
        source = (folder, pd.DataFrame(rows))
    elif kind == "csv":
        pd.DataFrame(rows).to_csv(source[1], index=False)
    elif kind == "jsonl":
        source[1].write_text("\n".join(map(json.dumps, rows)) + "\n")
    elif kind == "karpathy":
        listed = [{"filename": r["image"], "sentences": [{"raw": "A"}], **r} for r in rows]
        source = (folder, put(tmp_path, {"c.json": json.dumps({"images": listed})}) / "c.json")
    else:
        with tarfile.open(tmp_path / "c.tar", "w") as archive:
            for number, row in enumerate(rows):
                for end, text in (("jpg", "x"), ("json", json.dumps(row))):
                    info = tarfile.TarInfo(f"{number}.{end}")
                    info.size = len(text)
                    archive.addfile(info, io.BytesIO(text.encode()))
        source = (tmp_path / "c.tar",)
    pairs = mmdata.read(*source)
    assert tuple(pairs.split_labels) == expected
    assert pairs.subset(words[1]).split_labels == pairs.subset(str(expected[1])).split_labels
    notes = [f.detail for f in pairs.report.findings if f.kind == "splits"]
    renamed = [w for w, e in zip(words, expected, strict=True) if w.lower() != (e or "")]
    if kind != "karpathy":  # whose own names are documented
        assert notes == (
            [", ".join(f"{w!r} is read as {mmdata_name(w)!r}" for w in sorted(renamed))]
            if renamed
            else []
        )
    kept = mmdata.read(*source, split=words[1])
    assert len(kept) == sum(split == expected[1] for split in expected)


def mmdata_name(word: str) -> str:
    return SPLIT_OF.get(word, "train" if word == "TRAINING" else "validation")


# Lists of names.

PHOTOS = ["a.jpg", "b.jpg", "sub/c.jpg", "sub/d.jpg", "e.png"]


def listed(layout: Layout, root: pathlib.Path, splits: Any, **options: Any) -> dict[str, Any]:
    """The split of each image, by its name without the shard."""
    layout(root, PHOTOS)
    if (root / "shards").exists():
        source: tuple[Any, ...] = (root / "shards",)
    else:
        others = [path for path in root.iterdir() if path.name != "images"]
        source = (root / "images", *others)
    pairs = mmdata.read(*source, splits=splits, **options)
    names = [image.removeprefix("all.tar/") for image in pairs.images]
    return dict(zip(names, pairs.split_labels, strict=True))


LISTED = [sidecar, two_trees, metadata, table_file, coco, karpathy, flickr, one_shard]


@pytest.mark.parametrize("layout", LISTED, ids=lambda layout: layout.__name__)
def test_lists_of_names(tmp_path: pathlib.Path, layout: Layout) -> None:
    names = put(tmp_path / "lists", {"val.txt": "b.jpg\n\nc.jpg\r\n"}) / "val.txt"
    splits = {"val": names, "test": ["e", "sub/d.jpg"]}
    (tmp_path / "set").mkdir()
    expected = {"a.jpg": "train", "b.jpg": "validation", "e.png": "test"}
    expected |= {"sub/c.jpg": "validation", "sub/d.jpg": "test"}
    assert listed(layout, tmp_path / "set", splits) == expected
    kept = listed(layout, tmp_path / "set", splits, split=["dev"])
    assert kept == {"b.jpg": "validation", "sub/c.jpg": "validation"}


@pytest.mark.parametrize("layout", [sidecar, table_file, one_shard])
def test_a_list_of_train_names_all_of_it(tmp_path: pathlib.Path, layout: Layout) -> None:
    splits = {"train": ["a.jpg"], "test": ("b.jpg",)}
    found = listed(layout, tmp_path, splits)
    assert found == dict.fromkeys(PHOTOS) | {"a.jpg": "train", "b.jpg": "test"}


@pytest.mark.parametrize("layout", [sidecar, table_file, one_shard])
def test_faults_of_lists(tmp_path: pathlib.Path, layout: Layout) -> None:
    splits = {"validation": ["a.jpg", "gone.jpg"], "test": ["a", "b.jpg", "../x.jpg"]}
    with pytest.raises(PairingError) as caught:
        listed(layout, tmp_path, splits)
    found = {(f.kind, f.path.removeprefix("all.tar/"), f.detail) for f in caught.value.findings}
    assert found == {
        ("unknown_name", "gone.jpg", "list of 'validation'"),
        ("unknown_name", "../x.jpg", "list of 'test'"),
        ("disagreement", "a.jpg", "in the lists of both 'validation' and 'test'"),
    }
    kept = listed(layout, tmp_path, splits, on_problem="drop")
    assert "a.jpg" not in kept  # in which split is not known
    assert kept["b.jpg"] == "test"
    with pytest.raises(PairingError, match=r"a list of 'test' with 1 name\(s\), of which none is"):
        listed(layout, tmp_path, {"test": ["gone.jpg"]}, on_problem="drop")


def test_lists_replace_the_splits_of_a_source(tmp_path: pathlib.Path) -> None:
    text = "image,caption,split\na.jpg,A,train\nb.jpg,B,test\n"
    put(tmp_path, {"a.jpg": "", "b.jpg": "", "c.csv": text})
    pairs = mmdata.read(tmp_path, tmp_path / "c.csv", splits={"validation": ["a.jpg"]})
    assert pairs.split_labels == ["validation", "train"]
    details = [found.detail for found in pairs.report.findings if found.kind == "splits"]
    assert "splits=... is used instead of the splits of this source" in details


def test_a_source_that_contradicts_its_folders(tmp_path: pathlib.Path) -> None:
    text = "image,caption,split\ntrain/a.jpg,A,train\nval/b.jpg,B,train\nval/c.jpg,C,\n"
    names = ["train/a.jpg", "val/b.jpg", "val/c.jpg"]
    put(tmp_path, {"c.csv": text, **dict.fromkeys(names, "")})
    pairs = mmdata.read(tmp_path, tmp_path / "c.csv")
    assert pairs.split_labels == ["train", "train", None]
    [note] = [found for found in pairs.report.findings if found.kind == "splits"]
    assert note.path == "val/b.jpg"
    assert note.detail.startswith("2 image(s) are in the folder of another split than the source")
    assert note.detail.endswith("this one is in 'train'")


@pytest.mark.parametrize(
    ("splits", "error", "message"),
    [
        ("val.txt", TypeError, r"must be a dict such as .*; got 'val.txt'"),
        ({}, TypeError, r"must be a dict such as"),
        ({1: ["a"]}, TypeError, r"names of splits as keys; got 1"),
        ({"val": ["a"], "dev": ["b"]}, ValueError, r"each split once; got \['val', 'dev'\]"),
        ({"val": 0.2}, TypeError, r"a file or a list of names for each split; got 0.2"),
        ({"val": [3]}, TypeError, r"a file or a list of names for each split; got \[3\]"),
        ({"val": "gone.txt"}, FileNotFoundError, r"must exist; got 'gone.txt'"),
    ],
)
def test_wrong_lists(tmp_path: pathlib.Path, splits: Any, error: Any, message: str) -> None:
    put(tmp_path, {"a.jpg": "", "a.txt": "A"})
    with pytest.raises(error, match=rf"splits=\.\.\. .*{message}"):
        mmdata.read(tmp_path, splits=splits)
