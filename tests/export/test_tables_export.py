"""`Pairs.to_csv` and similar methods: files read back as the same pairs, or are not written."""

import dataclasses
import os
import pathlib
import re
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mmdata
from mmdata.pairs import columns
from mmdata.pairs.pairs import Pairs, Row

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs file names that are plain bytes")
Path = pathlib.Path
Rows = dict[str, list[str]]
NFC, NFD = "caf\u00e9", "cafe\u0301"


def pairs_of(root: Path, rows: Rows, **values: Any) -> Pairs:
    """Pairs of files that it makes; `values` are their splits, weights and further columns."""
    root.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(rows):
        (root / image).parent.mkdir(parents=True, exist_ok=True)
        (root / image).write_bytes(b"image %d" % number)
    made = Pairs.of_rows(str(root), [Row(*row) for row in sorted(rows.items())], layout="sidecar")
    splits, weights = values.pop("splits", []), values.pop("weights", None)
    names, split_of = columns.labels(splits, np.arange(len(splits)))
    return dataclasses.replace(
        made,
        split_names=names,
        split_of=split_of,
        weights=None if weights is None else np.array(weights, np.float32),
        columns={n: one for n, each in values.items() if (one := columns.column(each)) is not None},
    )


def content_of(pairs: Pairs) -> dict[str, Any]:
    """Everything that a file must keep; names of images are without the shard."""
    names = [image if pairs.blobs is None else image.partition("/")[2] for image in pairs.images]
    return {
        "images": names,
        "captions": [pairs.captions_of(row) for row in range(len(pairs))],
        "splits": pairs.split_labels,
        "weights": None if pairs.weights is None else pairs.weights.tolist(),
        "columns": [(n, type(c), repr(columns.values(c))) for n, c in pairs.columns.items()],
        "bytes": [pairs.open(row).read() for row in range(len(pairs))],
    }


# How each format is written, and read as a user reads it.

WRITE: dict[str, Callable[[Pairs, Path], None]] = {
    "t.csv": lambda pairs, path: pairs.to_csv(path),
    "t.jsonl": lambda pairs, path: pairs.to_jsonl(path),
    "t.parquet": lambda pairs, path: pairs.to_parquet(path),
    "each": lambda pairs, path: pairs.to_sidecar(path),
    "one": lambda pairs, path: pairs.to_sidecar(path, lines="one"),
    "shards": lambda pairs, path: pairs.to_webdataset(path, images_per_shard=2),
}


def read_back(pairs: Pairs, path: Path) -> Pairs:
    how: dict[str, Any] = {"lines": "one"} if path.name == "one" else {}
    if pairs.weights is None and path.name not in ("each", "one"):
        how["weight_column"] = None
    if path.name == "shards":
        return mmdata.read(path, on_problem="drop", **how)
    if not pairs.pair_count:
        how["caption_column"] = None
    return mmdata.read(pairs.root, path, on_problem="drop", **how)


def held(pairs: Pairs, base: Path, name: str) -> bool:
    """Whether a format holds the pairs: then all reads back, or else nothing is left behind."""
    before = sorted(os.listdir(base))
    path = base / "new" / "deep" / name
    try:
        WRITE[name](pairs, path)
    except ValueError as err:
        refused = str(err)
        assert refused.startswith((f"{path}: this format cannot hold", "Pairs.to_sidecar(...)"))
        assert ".mmdata-" not in refused
        assert sorted(os.listdir(base)) == before
        return False
    assert os.listdir(path.parent) == [name]
    assert content_of(read_back(pairs, path)) == content_of(pairs)
    return True


# What the formats hold: images with captions, splits and so on; the formats that hold them.

TABLES = {"t.csv", "t.jsonl", "t.parquet"}
TYPED = {"t.jsonl", "t.parquet", "shards"}
ONE = {"a.jpg": ["x"], "b.jpg": ["y"]}
CASES: dict[str, tuple[Rows, dict[str, Any], set[str]]] = {
    "a caption an image": (ONE, {}, set(WRITE)),
    "folders and dots": ({"x/y/a.b.jpg": ["x"], "x/c.jpg": ["y"]}, {}, set(WRITE)),
    "names with commas, quotes": ({"a,\"b\",'c' #1 .jpg": ["x"], "a 1.jpg": ["y"]}, {}, set(WRITE)),
    "two captions": ({"a.jpg": ["x", "x"], "b.jpg": ["y"]}, {}, set(WRITE) - {"one"}),
    "a line end": ({"a.jpg": ["x\ny"], "b.jpg": ["z"]}, {}, set(WRITE) - {"each"}),
    "a carriage return": ({"a.jpg": ["x\ry"]}, {}, TYPED),
    "a NUL": ({"a.jpg": ["x\0y"]}, {}, TYPED),
    "quotes, commas, tabs": ({"a.jpg": ['"x", \'y\'\t#,"']}, {}, set(WRITE)),
    "a list in a cell": ({"a.jpg": ['["x", "y"]']}, {}, set(WRITE) - {"t.csv"}),
    "white space around": ({"a.jpg": [" x"]}, {}, set()),
    "an empty caption beside another": ({"a.jpg": ["", "x"]}, {}, set()),
    "half a character": ({"a.jpg": ["\udcff"]}, {}, set()),
    "no captions": ({"a.jpg": [], "b.jpg": []}, {}, TABLES),
    "one without captions": ({"a.jpg": [], "b.jpg": ["y"]}, {}, set()),
    "one stem": ({"a.jpg": ["x"], "a.png": ["y"]}, {}, TABLES),
    "no rows": ({}, {}, set()),
    "splits": (ONE, {"splits": ["test", None], "weights": [0.5, 3.0]}, TABLES | {"shards"}),
    "weights below 0": (ONE, {"weights": [-1.0, 3.0]}, set()),
    "weights by folder": ({"2_x/a.jpg": ["x"]}, {"weights": [2.0]}, set(WRITE)),
    "folders that would be weights": ({"2_x/a.jpg": ["x"]}, {}, TABLES | {"shards"}),
    "ints": (ONE, {"n": [7, -(2**62)]}, TYPED),
    "small ints": (ONE, {"n": [7, -1]}, TABLES | {"shards"}),
    "floats": (ONE, {"f": [float("nan"), -1e300], "b": [True, False]}, TABLES | {"shards"}),
    "texts like numbers": (ONE, {"n": ["7", "8"]}, TYPED),
    "texts": (ONE, {"n": ["x, y", ""], "m": ["07", "8"]}, TABLES | {"shards"}),
    "a column of another meaning": (ONE, {"text": ["x", "y"]}, set()),
    "a column that would be the splits": (ONE, {"split": ["x", "y"]}, set()),
    "a column called like the splits": (ONE, {"split ": ["x", "y"]}, {"shards"}),
    "a column called like the images": (ONE, {"image": ["x", "y"]}, TABLES | {"shards"}),
    "a column without a name": (ONE, {"": [1, 2]}, {"shards"}),
}


@pytest.mark.parametrize("name", WRITE)
@pytest.mark.parametrize("case", CASES)
def test_what_formats_hold(tmp_path: Path, case: str, name: str) -> None:
    rows, further, formats = CASES[case]
    assert held(pairs_of(tmp_path / "images", rows, **further), tmp_path, name) == (name in formats)


some = st.sampled_from
stems = st.one_of(
    some(["a", "b", "A", "0", "007", "1e5", "a.b", "a.0", " a", "a ", "a,b", 'a"b', "#1", "a#0"]),
    some(["a_mask", "[a]", ".a", "a\\b", "\\a", "c:", "x.tar", "a\nb", "a\tb", NFC, NFD, "\udcff"]),
)
folders = some(["", "", "x/", "10_y/", ".h/", f"{NFD}/"])
images = st.builds("{}{}{}".format, folders, stems, some([".jpg", ".JPG", ".png"]))
texts = st.one_of(
    some(["a", "One. Two.\n\nThree.", 'say "a"', "a,b;c|d\te", '["a", "b"]', "['a']", "[a]"]),
    some(["a\rb", "a\0b", " a", "a\n", "", "\ufeffa", "\x85", "\udce9", "7", "a.jpg#0\tb"]),
    st.text('ab1,"[]#\n\r\t \\', max_size=6),
)
values = [
    *(st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans(), texts),
    some(["7", "-1.5", "nan", "", "True", "007", " 1"]),
]
titles = st.one_of(
    some(["x", "a;b;c;d", "a,b", "text", "caption", "captions", "caption_1", "image", "id", "cls"]),
    some(["split", "split ", "Split", "weight", "problem", "", " x", "a.b", "file_name", "\udcff"]),
)


@st.composite
def contents(draw: st.DrawFn) -> tuple[list[str], Rows, dict[str, Any]]:
    """Files, rows for some of them, and the rest."""
    files = draw(st.lists(images, min_size=1, max_size=5, unique=True))
    least, most = draw(some([(0, 0), (0, 3), (1, 1), (1, 1), (1, 3)]))
    several = st.lists(texts, min_size=least, max_size=most)
    rows = {image: draw(several) for image in files[: draw(st.integers(1, len(files)))]}

    def each(value: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(value, min_size=len(rows), max_size=len(rows)))

    further: dict[str, Any] = {}
    if draw(st.booleans()):
        further["splits"] = each(some(["train", "test", "my, own", " train", None]))
    if draw(st.booleans()):
        further["weights"] = each(some([0.0, 0.1, 1.0, 10.0, 1e31, -1.0, float("nan")]))
    for title in draw(st.lists(titles, max_size=2, unique=True)):
        further[title] = each(draw(some(values)))
    return files, rows, further


@linux
@pytest.mark.parametrize("name", WRITE)
@given(content=contents())
def test_written_pairs_read_back_or_are_not_there(
    name: str, content: tuple[list[str], Rows, dict[str, Any]]
) -> None:
    files, rows, further = content
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        pairs_of(base / "images", {image: [] for image in files})
        held(pairs_of(base / "images", rows, **further), base, name)


@linux
@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_file_in_the_folder_counts(tmp_path: Path, name: str) -> None:
    root = tmp_path / "images"
    pairs = pairs_of(root, {f"{NFC}.jpg": ["x"]})
    pairs_of(root, {f"{NFD}.jpg": []})
    with pytest.raises(ValueError, match="the same name"):
        WRITE[name](pairs, tmp_path / name)
    (root / f"{NFD}.jpg").rename(tmp_path / "far.jpg")
    (root / f"{NFC}.jpg").unlink()
    (root / f"{NFC}.jpg").symlink_to(tmp_path / "far.jpg")
    with pytest.raises(ValueError, match="a link to"):
        WRITE[name](pairs, tmp_path / name)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_file_is_replaced_or_kept(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("old")
    (tmp_path / f"link-{name}").symlink_to(path)
    with pytest.raises(ValueError, match="has no text"):
        WRITE[name](pairs_of(tmp_path / "images", {"a.jpg": [" "]}), path)
    assert path.read_text() == "old"

    pairs = pairs_of(tmp_path / "images", ONE)
    (tmp_path / "images" / name).mkdir()
    with pytest.raises(IsADirectoryError, match="writes a file; got the folder"):
        WRITE[name](pairs, tmp_path / "images" / name)
    with open(path) as opened:
        WRITE[name](pairs, tmp_path / f"link-{name}")
        assert opened.read() == "old"  # other readers see the whole old or the whole new file
    assert content_of(read_back(pairs, path)) == content_of(pairs)
    assert sorted(os.listdir(tmp_path)) == sorted(["images", name, f"link-{name}"])


@pytest.mark.parametrize("name", sorted(set(WRITE) - TABLES))
@pytest.mark.parametrize("inside", [".", "mine.txt"])
def test_a_folder_must_be_new_or_empty(tmp_path: Path, name: str, inside: str) -> None:
    pairs, path = pairs_of(tmp_path / "images", ONE), tmp_path / name
    kept = path / inside
    kept.parent.mkdir(exist_ok=True)
    WRITE[name](pairs, path)  # which is not there, or an empty folder
    shutil.rmtree(path)
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("mine")
    with pytest.raises(FileExistsError, match=f"must be new or empty; got '{path}'"):
        WRITE[name](pairs, path)
    assert kept.read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == sorted(["images", name])


@pytest.mark.parametrize("name", WRITE)
def test_what_fails_leaves_nothing(tmp_path: Path, name: str) -> None:
    pairs = pairs_of(tmp_path / "images", ONE)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(NotADirectoryError):
        WRITE[name](pairs, tmp_path / "file" / name)
    (tmp_path / "images" / "b.jpg").unlink()
    with pytest.raises((ValueError, FileNotFoundError), match=r"b\.jpg"):
        WRITE[name](pairs, tmp_path / "new" / name)
    assert sorted(os.listdir(tmp_path)) == ["file", "images"]


Write = Callable[[Pairs, Path], None]
REFUSED: list[tuple[Write, str]] = [
    (lambda p, at: p.to_csv(at / "a.tsv"), "Pairs.to_csv(...) takes a path that ends in .csv; got"),
    (lambda p, at: p.to_csv(at / "b.csv"), "'a.jpg': column 'n': '1' comes back as 1."),
    (lambda p, at: p.to_webdataset(at, images_per_shard=0), "must be at least 1; got 0."),
    (lambda p, at: p.to_sidecar(at, lines="auto"), 'must be "each" or "one"; got \'auto\'.'),  # type: ignore[arg-type]
    (lambda p, at: p.to_sidecar(at / "s"), "['split', 'n']. Pairs.drop(...) removes columns"),
    (lambda p, at: p.drop("n", "split").to_sidecar(at / "s", lines="one"), "column 'weight': 2.0"),
    (
        lambda p, at: p.drop("n").drop("split", "weight").to_sidecar(at / "s"),
        "'a.jpg': ['x\\ny'] c",
    ),
]


@pytest.mark.parametrize(("write", "message"), REFUSED)
def test_refusals_say_why(tmp_path: Path, write: Write, message: str) -> None:
    further: dict[str, Any] = {"splits": ["train", None], "weights": [2.0, 1.0], "n": ["1", "2"]}
    pairs = pairs_of(tmp_path / "images", {"a.jpg": ["x\ny"], "b.jpg": ["z"]}, **further)
    with pytest.raises(ValueError, match=re.escape(message)):
        write(pairs, tmp_path)
    assert os.listdir(tmp_path) == ["images"]


@pytest.mark.parametrize(("most", "sizes"), [(1, [1] * 5), (2, [2, 2, 1]), (5, [5]), (9, [5])])
def test_members_of_shards(tmp_path: Path, most: int, sizes: list[int]) -> None:
    rows = {f"{n}/a.b.jpg": [f"{n}", "x"] for n in range(4)} | {"4.png": ["x\ny"]}
    pairs = pairs_of(tmp_path / "images", rows, splits=["test", None, None, None, None])
    pairs.to_webdataset(tmp_path / "shards", images_per_shard=most)
    paths = sorted((tmp_path / "shards").iterdir())
    assert [path.name for path in paths] == [f"shard-{n:05}.tar" for n in range(len(sizes))]
    found: list[dict[str, bytes]] = []
    for path in paths:
        with tarfile.open(path) as tar:
            found.append({m.name: part.read() for m in tar if (part := tar.extractfile(m))})
    assert [sum(not name.endswith((".txt", ".json")) for name in part) for part in found] == sizes
    ends = (".jpg", ".json", ".txt")
    everything = {name: content for part in found for name, content in part.items()}
    assert {*everything} == {"4.json", "4.png", *(f"{n}/a.b{e}" for n in range(4) for e in ends)}
    assert [everything[f"0/a.b{end}"] for end in ends] == [
        b"image 0",
        b'{"split": "test"}',
        b"0\nx",
    ]
    assert everything["4.json"] == b'{"split": null, "captions": ["x\\ny"]}'


def test_shards_can_be_written_again(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    for shard, names in (("a.TAR", "bd"), ("b.tar", "ac")):
        part = pairs_of(tmp_path / "images" / shard, {f"{n}.jpg": [n] for n in names})
        part.to_webdataset(tmp_path / shard[0])
        (tmp_path / shard[0] / "shard-00000.tar").rename(tmp_path / "all" / shard)
    pairs = mmdata.read(tmp_path / "all")
    assert list(pairs.images) == ["a.TAR/b.jpg", "a.TAR/d.jpg", "b.tar/a.jpg", "b.tar/c.jpg"]
    pairs.to_webdataset(tmp_path / "new", images_per_shard=3)
    again = mmdata.read(tmp_path / "new")
    first = "shard-00000.tar"
    assert list(again.images) == [f"{first}/{n}.jpg" for n in "abd"] + ["shard-00001.tar/c.jpg"]
    assert list(again.captions) == ["a", "b", "d", "c"]
    assert again.open(1).read() == pairs.open(0).read()
    for name in (*TABLES, "each"):
        with pytest.raises(ValueError, match="got images in shards"):
            WRITE[name](pairs, tmp_path / name)


@pytest.mark.parametrize("case", ["folders", "subset", "none", "other"])
@pytest.mark.parametrize("end", ["csv", "jsonl", "parquet"])
def test_folders_that_are_splits(tmp_path: pathlib.Path, case: str, end: str) -> None:
    for folder in ("train", "val"):
        (tmp_path / "images" / folder).mkdir(parents=True)
        (tmp_path / "images" / folder / "a.jpg").touch()
        (tmp_path / "images" / folder / "a.txt").write_text(folder)
    pairs = mmdata.read(tmp_path / "images")
    if case == "subset":
        pairs = pairs.subset("val").drop("split")
    elif case != "folders":
        pairs = pairs.drop("split") if case == "none" else pairs.with_split("test")
    table = tmp_path / f"table.{end}"
    getattr(pairs, f"to_{end}")(table)
    back = mmdata.read(pairs.root, table, on_problem="drop")
    assert back.split_labels == pairs.split_labels
    if case == "folders":
        pairs.to_sidecar(tmp_path / "texts")
        assert mmdata.read(pairs.root, tmp_path / "texts").split_labels == pairs.split_labels
    elif case == "other":
        with pytest.raises(ValueError, match=r"'train/a.jpg': column 'split': 'test' comes"):
            pairs.to_sidecar(tmp_path / "texts")
