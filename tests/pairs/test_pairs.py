"""`Pairs`: selecting, merging, fingerprint and table."""

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mmdata
from mmdata.pairs import columns
from mmdata.pairs.pairs import Pairs, Row

Path = pathlib.Path
Rows = dict[str, list[str]]
LABELS = ["train", None, "test", "train", "test", None]


def pairs_of(root: str | Path, rows: Rows, **values: Any) -> Pairs:
    """Pairs of files that need not be there; `values` are splits, weights and columns."""
    made = Pairs.of_rows(str(root), [Row(*row) for row in rows.items()], layout="sidecar")
    splits, weights = values.pop("splits", []), values.pop("weights", None)
    names, split_of = columns.labels(splits, np.arange(len(splits)))
    return dataclasses.replace(
        made,
        split_names=names,
        split_of=split_of,
        weights=None if weights is None else np.array(weights, np.float32),
        columns={n: one for n, each in values.items() if (one := columns.column(each)) is not None},
    )


def rows_of(pairs: Pairs) -> Rows:
    return {image: pairs.captions_of(row) for row, image in enumerate(pairs.images)}


@pytest.fixture
def pairs() -> Pairs:
    rows = {f"{n}.jpg": [f"{n}.{m}" for m in range(n % 3)] for n in range(6)}
    return pairs_of("/d", rows, splits=LABELS, weights=range(6), number=range(6), word=[*"abcdef"])


# Parts. Every column follows.


def check_part(part: Pairs, rows: list[int]) -> None:
    """Whether a part of the pairs of the fixture is made of these rows."""
    assert list(part.images) == [f"{n}.jpg" for n in rows]
    captions = [part.captions_of(row) for row in range(len(part))]
    assert captions == [[f"{n}.{m}" for m in range(n % 3)] for n in rows]
    assert part.split_labels == [LABELS[n] for n in rows]
    assert part.weights is not None
    assert part.weights.tolist() == rows
    assert columns.values(part.columns["number"]) == rows
    assert columns.values(part.columns["word"]) == ["abcdef"[n] for n in rows]
    assert (part.report.images, part.report.pairs) == (len(rows), sum(n % 3 for n in rows))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [([], []), ([5, 0], [5, 0]), ([-1, -6], [5, 0]), ([2, 2], [2, 2]), (range(6), list(range(6)))],
)
def test_take(pairs: Pairs, rows: Sequence[int], expected: list[int]) -> None:
    check_part(pairs.take(np.array(rows, np.int64)), expected)
    check_part(pairs.take(list(rows)), expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("rows", [[True] * 6, [1.0], ["1"], [[1]], 1])
def test_take_refuses(pairs: Pairs, rows: Any) -> None:
    with pytest.raises(ValueError, match=r"Pairs.take\(...\) takes ints \[k\]; got "):
        pairs.take(rows)
    for row in (6, -7):
        with pytest.raises(IndexError):
            pairs.take(np.array([row]))


KEPT = [False, True, False, False, True, True]


@pytest.mark.parametrize(
    "keep",
    [
        *(KEPT, np.array(KEPT)),
        lambda frame: frame.number.isin([1, 4, 5]),
        lambda frame: frame.word.isin(["b", "e", "f"]),
        lambda frame: frame.image.str[-5].isin(["1", "4", "5"]),
    ],
)
def test_filter(pairs: Pairs, keep: Any) -> None:
    check_part(pairs.filter(keep), [1, 4, 5])


def test_filter_by_what_pairs_have(pairs: Pairs) -> None:
    check_part(pairs.filter(lambda frame: frame.captions.str.len() == 2), [2, 5])
    check_part(pairs.filter(lambda frame: frame.split == "test"), [2, 4])
    check_part(pairs.filter(lambda frame: frame.weight > 9).filter([]), [])


@pytest.mark.parametrize(
    ("keep", "got"),
    [
        *(([True] * 5, "bool [5]"), ([True] * 7, "bool [7]"), ([[True]] * 6, "bool [6, 1]")),
        *((True, "bool []"), ([], "float64 [0]"), ([1, 0] * 3, "int64 [6]")),
        (lambda frame: frame.number, "int64 [6]"),
    ],
)
def test_filter_refuses(pairs: Pairs, keep: Any, got: str) -> None:
    with pytest.raises(ValueError, match="takes one bool for each of 6 rows; got ") as caught:
        pairs.filter(keep)
    assert str(caught.value).endswith(f"got {got}.")


@pytest.mark.parametrize("count", range(8))
def test_sample(pairs: Pairs, count: int) -> None:
    found = list(pairs.sample(count, seed=3).images)
    assert found == list(pairs.sample(count, seed=3).images) == sorted(set(found))
    assert len(found) == min(count, 6)


def test_sample_takes_every_row_equally_often(pairs: Pairs) -> None:
    hits = [image for seed in range(300) for image in pairs.sample(2, seed=seed).images]
    assert all(70 < hits.count(image) < 130 for image in pairs.images)
    with pytest.raises(ValueError, match="an int of at least 0; got -1"):
        pairs.sample(-1)


def test_drop(pairs: Pairs) -> None:
    less = pairs.drop("split", "number")
    assert (less.split_of, less.split_names, list(less.columns)) == (None, (), ["word"])
    assert less.split_labels == [None] * 6
    assert (less.weights is pairs.weights, less.drop("weight").weights) == (True, None)
    assert pairs.split_of is not None
    assert list(pairs.columns) == ["number", "word"]
    with pytest.raises(
        ValueError, match=r'"weight"; got \'image\'. The columns are \[\'number\', '
    ):
        pairs.drop("number", "image")
    both = dataclasses.replace(pairs, columns={"split": np.arange(6)}).drop("split")
    assert (both.split_of, both.columns) == (None, {})


# Two sets in one.


def merged(left: Pairs, right: Pairs) -> Pairs:
    """Merges both ways; the results are equal except for the order of captions."""
    one, other = mmdata.merge([left, right]), mmdata.merge([right, left])
    assert [*map(set, rows_of(one).values())] == [*map(set, rows_of(other).values())]
    assert (table := one.to_pandas().drop(columns="captions")).equals(other.to_pandas()[[*table]])
    assert (one.report.images, one.report.pairs) == (len(one), one.pair_count)
    return one


B, A = {"b.jpg": ["x"]}, {"a.jpg": ["x"]}
MERGED: dict[str, tuple[str, Rows, str, Rows, Rows]] = {
    "one folder": ("/d", B, "/d", {"a.jpg": ["y"]}, {"a.jpg": ["y"], "b.jpg": ["x"]}),
    "two": ("/d/l", A, "/d/r/s", {"a.jpg": []}, {"l/a.jpg": ["x"], "r/s/a.jpg": []}),
    "one in the other": (
        *("/d", {"r/a.jpg": ["x", "y"], "z.jpg": ["t", "t"]}, "/d/r/", {"a.jpg": ["y", "x", "w"]}),
        {"r/a.jpg": ["x", "y", "w"], "z.jpg": ["t", "t"]},
    ),
}


@pytest.mark.parametrize("case", MERGED)
def test_merge_rows(case: str) -> None:
    left, left_rows, right, right_rows, expected = MERGED[case]
    both = merged(pairs_of(left, left_rows), pairs_of(right, right_rows))
    assert (both.root, rows_of(both)) == (os.path.abspath("/d"), expected)
    assert list(both.images) == sorted(expected)


def test_merge_values() -> None:
    x, y = {"a.jpg": ["x"], "c.jpg": ["y"]}, {"a.jpg": ["z"], "b.jpg": ["y"]}
    nan = float("nan")
    left: dict[str, Any] = {"splits": ["train", "mine"], "weights": [1, 2]}
    right: dict[str, Any] = {"splits": ["train", None], "weights": [1, 4]}
    both = merged(
        pairs_of("/d", x, **left, n=[1, 2], f=[nan, 1.5], t=["x", ""]),
        pairs_of("/d", y, **right, t=["x", "w"], n=[1, 4], f=[nan, 0.5]),
    )
    assert both.split_labels == ["train", None, "mine"]
    assert set(both.split_names) == {"train", "mine"}
    assert both.weights is not None
    assert both.weights.tolist() == [1, 4, 2]
    assert repr([columns.values(both.columns[name]) for name in "nft"]) == repr(
        [[1, 4, 2], [nan, 0.5, 1.5], ["x", "w", ""]]
    )


TWO: Rows = {"a.jpg": ["x"], "b.jpg": ["x"]}
REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a column": ({"n": [1, 2]}, {}, r"the same columns in all pairs; got \['n'\] and \[\]"),
    "weights": ({"weights": [1, 2]}, {}, "the same weights in all pairs; got True and False"),
    "splits": ({}, {"splits": ["a", "b"]}, "the same splits in all pairs; got False and True"),
    "a split": ({"splits": "ab"}, {"splits": "aa"}, "got split='b' and 'a' for 'b.jpg'"),
    "no split": ({"splits": "aa"}, {"splits": [None, "a"]}, "split='a' and None for 'a.jpg'"),
    "a weight": ({"weights": [1, 2]}, {"weights": [1, 3]}, "weight=2.0 and 3.0 for 'b.jpg'"),
    "a value": ({"n": ["x", "y"]}, {"n": ["", "y"]}, "got n='x' and '' for 'a.jpg'"),
    "NaN": ({"n": [1.5, 2]}, {"n": [float("nan"), 2]}, "got n=1.5 and None for 'a.jpg'"),
    "texts": ({"n": [1, 2]}, {"n": ["1", "2"]}, "same kind; got numbers and text in 'n'"),
    "bools": ({"n": [True, True]}, {"n": [1, 1]}, "same kind; got bools and numbers in 'n'"),
}


@pytest.mark.parametrize(("left", "right", "message"), REFUSED.values(), ids=REFUSED)
def test_merge_refuses(left: dict[str, Any], right: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mmdata.merge([pairs_of("/d", TWO, **left), pairs_of("/d", TWO, **right)])


def photos(root: Path, rows: Rows, **further: Any) -> Pairs:
    """Pairs of small pictures that are all different."""
    for number, image in enumerate(rows):
        (root / image).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (3 + number, 2), (number, 0, 0)).save(root / image)
    return pairs_of(root, rows, **further)


def test_merge_shards(tmp_path: Path) -> None:
    files = photos(tmp_path / "images", {f"{n}.png": [str(n)] for n in range(4)})
    for name, rows in (("a", [0, 1, 2]), ("b", [3])):
        files.take(np.array(rows)).to_webdataset(tmp_path / name, images_per_shard=2)
    left, right = mmdata.read(tmp_path / "a"), mmdata.read(tmp_path / "b")
    both = mmdata.merge([left, right])
    where = " ".join(both.images).replace("shard-0000", "")
    assert where == "a/0.tar/0.png a/0.tar/1.png a/1.tar/2.png b/0.tar/3.png"
    for row in range(4):
        assert both.open(row).read() == files.open(row).read()
    assert rows_of(mmdata.merge([left.take(np.array([0])), left])) == rows_of(left)
    mixed = mmdata.merge([left, files])
    assert len(mixed) == 7
    for row, image in enumerate(mixed.images):
        original = list(files.images).index(image[image.rindex("/") + 1 :])
        assert mixed.open(row).read() == files.open(original).read()
    assert mixed.scanned()[0].keys.tolist()[:3] == left.scanned()[0].keys.tolist()


def test_no_int_is_rounded_silently() -> None:
    most = 2**53
    assert columns.parsed([str(most + 1), ""]) == [str(most + 1), ""]
    assert columns.parsed([str(-most - 1), "1.5"]) == [str(-most - 1), "1.5"]
    assert columns.parsed([str(most), ""]) == [most, None]
    assert columns.parsed([str(most), "1.5"]) == [float(most), 1.5]
    assert [columns.column([n, 1.5]) for n in (most + 1, -most - 1, 10**400)] == [None] * 3
    assert np.array_equal(columns.column([most, -most, 0.5]), [most, -most, 0.5])  # type: ignore[arg-type]


# The fingerprint.

SPLIT, ONE_TWO = ["train", "test"], ["1", "2"]
TABLE = {"file_name": ["a.png", "x/b.png"], "caption": ["A cat.", "A dog."]}
TABLE |= {"split": SPLIT, "weight": ONE_TWO, "n": ONE_TWO, "t": ["x", "y"]}


def read(root: Path, table: dict[str, list[str]], *, order: Sequence[int] = (0, 1)) -> Pairs:
    lines = [",".join(values[row] for values in table.values()) for row in order]
    (root / "t.csv").write_text("\n".join([",".join(table), *lines]))
    return mmdata.read(root, root / "t.csv")


def test_fingerprint_stays(tmp_path: Path) -> None:
    photos(tmp_path / "images", {"a.png": [], "x/b.png": []})
    pairs = read(tmp_path / "images", TABLE)
    shutil.copytree(tmp_path / "images", tmp_path / "copy")
    pairs.to_jsonl(tmp_path / "t.jsonl")
    others = {
        "rows in another order": read(tmp_path / "images", TABLE, order=[1, 0]),
        "columns too": read(tmp_path / "images", dict(reversed([*TABLE.items()]))),
        "a split of no row": dataclasses.replace(pairs, split_names=(*pairs.split_names, "mine")),
        "another folder": read(tmp_path / "copy", TABLE),
        "another format": mmdata.read(pairs.root, tmp_path / "t.jsonl"),
    }
    assert {name for name in others if others[name].fingerprint != pairs.fingerprint} == set()


@pytest.mark.parametrize(
    "change",
    [
        *({"caption": texts} for texts in (["A cat.", "A dog"], ["A cat", ".A dog."])),
        *({"split": labels} for labels in (["train"] * 2, ["test", "train"], ["train", ""])),
        *({"weight": ["1", "3"]}, {"m": ["1", "2"]}),
        *({"n": values} for values in (["1", "3"], ["1", "2.0"], ["1", "b"])),
    ],
    ids=str,
)
def test_fingerprint_changes(tmp_path: Path, change: dict[str, list[str]]) -> None:
    photos(tmp_path, {"a.png": [], "x/b.png": []})
    assert read(tmp_path, TABLE).fingerprint != read(tmp_path, TABLE | change).fingerprint


def test_fingerprint_of_less_or_of_other_images(tmp_path: Path) -> None:
    photos(tmp_path, {"a.png": [], "x/b.png": []})
    pairs = read(tmp_path, TABLE)
    others = [pairs, pairs.drop("split"), pairs.drop("weight"), pairs.drop("n")]
    others.append(dataclasses.replace(pairs, offsets=np.array([0, 2, 2])))
    others += [dataclasses.replace(pairs, columns={n: pairs.columns["n"]}) for n in "nm"]
    others += [pairs.take(np.array(rows)) for rows in ([], [0], [1], [1, 0])]
    prints = [other.fingerprint for other in others]
    Image.new("RGB", (4, 2), (1, 0, 1)).save(tmp_path / "x" / "b.png")
    prints.append(read(tmp_path, TABLE).fingerprint)
    (tmp_path / "x" / "b.png").rename(tmp_path / "x" / "c.png")
    prints.append(read(tmp_path, TABLE | {"file_name": ["a.png", "x/c.png"]}).fingerprint)
    assert len(set(prints)) == len(prints)


# The table.


def test_frame(tmp_path: Path) -> None:
    further: dict[str, Any] = {"splits": ["test", None], "weights": [2, 1], "n": [1.5, None]}
    pairs = photos(tmp_path, {"a.png": ["x", "y"], "b.png": []}, **further)
    (tmp_path / "b.png").write_bytes(b"no image")
    plain = pairs.to_pandas().astype(object).where(pairs.to_pandas().notna(), None).to_dict("list")
    mine = {"split": ["test", None], "weight": [2, 1], "n": [1.5, None]}
    assert plain == {"image": pairs.paths, "captions": [["x", "y"], []], **mine}
    assert pairs.to_pandas().split[1] is None
    _, scanned = pairs.scanned()
    assert list(scanned.to_pandas())[-4:] == ["n", "height", "width", "problem"]
    assert scanned.to_pandas()[["height", "width"]].to_numpy().tolist() == [[2, 3], [0, 0]]
    assert scanned.to_pandas().problem[0] == ""
    assert "not" in scanned.to_pandas().problem[1]


def test_frame_of_columns_that_are_called_like_its_own(tmp_path: Path) -> None:
    own = ("height", "width", "problem", "image", "captions", "split", "weight")
    further: dict[str, Any] = {name: ["mine"] for name in own}
    pairs = photos(tmp_path, {"a.png": ["x"]}, splits=["test"], weights=[2], **further)
    _, scanned = pairs.scanned()
    given = {"image": pairs.paths, "captions": [["x"]], "split": ["test"], "weight": [2]}
    assert scanned.to_pandas().to_dict("list") == given | {name: ["mine"] for name in own[:3]}


def test_invalid_pairs(pairs: Pairs) -> None:
    for wrong, got in ((3, "a int"), ([pairs, 3], "a int in it"), (pairs, "a Pairs")):
        with pytest.raises(TypeError, match=rf"merge\(...\) takes a list of Pairs; got {got}"):
            mmdata.merge(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"takes one or more Pairs; got an empty list"):
        mmdata.merge([])
    with pytest.raises(TypeError, match=r"takes shares by name, e.g. .*; got \[0.8, 0.2\]"):
        pairs.drop("split").split([0.8, 0.2])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"verify\(...\) takes Pairs, .* got a str"):
        mmdata.verify("images")  # type: ignore[arg-type]


def test_reports_of_a_part_name_only_its_images(tmp_path: pathlib.Path) -> None:
    for name, text in {"a.jpg": "<html>", "b.jpg": "<p>", "c.jpg": "<br>"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).with_suffix(".txt").write_text(name)
    (tmp_path / "lost.txt").write_text("lost")
    _, pairs = mmdata.read(tmp_path, on_problem="drop").scanned()
    part = pairs.take(np.array([1])).report
    assert [(found.kind, found.path) for found in part.findings] == [
        ("missing_image", "lost.txt"),
        ("corrupt", "b.jpg"),
    ]
