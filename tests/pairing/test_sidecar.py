"""Layout "sidecar": the caption files of an image, and how each is read."""

import os
import pathlib
import random
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mmdata
from mmdata.pairs.findings import Finding, PairingError
from mmdata.pairs.pairs import Pairs

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]
Rows = dict[str, list[str]]

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs names that differ by case alone")
NFC, NFD = "caf\u00e9", "cafe\u0301"
PROSE = "A cat sat. It slept.\n\nA dog came."


def rows(pairs: Pairs) -> Rows:
    return {image: pairs.captions_of(row) for row, image in enumerate(pairs.images)}


def seen(pairs: Pairs) -> list[str]:
    return [f"{finding.kind} {finding.path}" for finding in pairs.report.findings]


def found(pairs: Pairs, kind: str) -> list[Finding]:
    return [finding for finding in pairs.report.findings if finding.kind == kind]


# Images and other files, caption files, rows, findings; besides k.jpg with k.txt.

FAMILIES: dict[str, tuple[str, dict[str, str | bytes], Rows, list[str]]] = {
    ".caption": ("a.jpg", {"a.caption": "c"}, {"a.jpg": ["c"]}, []),
    "rivals agree": ("a.jpg", {"a.txt": "c\n", "a.caption": "\ufeffc"}, {"a.jpg": ["c"]}, []),
    "rivals differ": ("a.jpg", {"a.txt": "c", "a.caption": "d"}, {}, ["disagreement a.jpg"]),
    "one is empty": ("a.jpg", {"a.txt": "c", "a.caption": " "}, {}, ["disagreement a.jpg"]),
    "one is broken": ("a.jpg", {"a.txt": "c", "a.caption": b"\xff"}, {}, ["encoding a.jpg"]),
    "numbered": (
        "b.jpg",
        {f"b.{n}.txt": str(n) for n in range(11)},
        {"b.jpg": [str(n) for n in range(11)]},
        [],
    ),
    "numbered from 1": ("b.jpg", {"b.1.txt": "1", "b.2.txt": "2"}, {"b.jpg": ["1", "2"]}, []),
    "numbered, a number lost": (
        "b.jpg",
        {"b.1.txt": "1", "b.4.txt": "4"},
        {"b.jpg": ["1", "4"]},
        ["missing_number b.jpg"],
    ),
    "numbered and not": (
        "b.jpg",
        {"b.0.txt": "0", "b.txt": "p", "b.1.txt": "1"},
        {"b.jpg": ["p"]},
        ["missing_image b.0.txt", "missing_image b.1.txt"],
    ),
    "a number beside": (
        "photo.jpg",
        {"photo.txt": "p", "photo.1.txt": "old"},
        {"photo.jpg": ["p"]},
        ["missing_image photo.1.txt"],
    ),
    "a figure": (
        "F-3.png",
        {"F-3.1.txt": "c"},
        {},
        ["missing_caption F-3.png", "missing_image F-3.1.txt"],
    ),
    "a figure, case": (
        "F-3.png",
        {"f-3.1.txt": "c"},
        {},
        ["missing_caption F-3.png", "missing_image f-3.1.txt"],
    ),
    "one number, as others have": (
        "a.jpg b.jpg",
        {"a.1.txt": "1", "a.2.txt": "2", "b.1.txt": "c"},
        {"a.jpg": ["1", "2"], "b.jpg": ["c"]},
        [],
    ),
    "one number, and others begin elsewhere": (
        "a.jpg b.jpg",
        {"a.0.txt": "0", "a.1.txt": "1", "b.1.txt": "c"},
        {"a.jpg": ["0", "1"]},
        ["missing_caption b.jpg", "missing_image b.1.txt"],
    ),
    "each has one, of one number": (
        "a.jpg b.jpg x/k.jpg",
        {"a.0.txt": "a", "b.0.txt": "b", "x/k.0.txt": "c", "k.txt": "k"},
        {},
        [
            *("missing_caption a.jpg", "missing_caption b.jpg", "missing_caption x/k.jpg"),
            *("missing_image a.0.txt", "missing_image b.0.txt", "missing_image x/k.0.txt"),
        ],
    ),
    "each of a folder has one, of one number": (
        "x/a.jpg x/b.jpg",
        {"x/a.0.txt": "a", "x/b.0.txt": "b"},
        {"x/a.jpg": ["a"], "x/b.jpg": ["b"]},
        [],
    ),
    "numbered whole names": (
        "p.jpg",
        {"p.jpg.0.txt": "0", "p.jpg.1.txt": "1"},
        {"p.jpg": ["0", "1"]},
        ["name_mismatch p.jpg", "name_mismatch p.jpg"],
    ),
    "numbers of two extensions that differ": (
        "b.jpg",
        {"b.0.txt": "0", "b.0.caption": "x", "b.1.txt": "1"},
        {},
        ["disagreement b.jpg"],
    ),
    "numbers of two extensions that agree": (
        "b.jpg",
        {"b.0.txt": "0", "b.0.caption": "0", "b.1.txt": "1"},
        {"b.jpg": ["0", "1"]},
        [],
    ),
    "a date": (
        "IMG.jpg",
        {"IMG.20230101.txt": "c"},
        {},
        ["missing_caption IMG.jpg", "missing_image IMG.20230101.txt"],
    ),
    "a number and a date": (
        "IMG.jpg",
        {"IMG.0.txt": "c", "IMG.20230101.txt": "d"},
        {},
        [
            *("missing_caption IMG.jpg", "missing_image IMG.0.txt"),
            "missing_image IMG.20230101.txt",
        ],
    ),
    "numbered from 2": (
        "b.jpg",
        {"b.2.txt": "2", "b.3.txt": "3"},
        {},
        ["missing_caption b.jpg", "missing_image b.2.txt", "missing_image b.3.txt"],
    ),
    "no text": ("a.jpg", {"a.txt": "nan\n"}, {}, ["empty_caption a.jpg"]),
    "no text in a line": (
        "a.jpg",
        {"a.txt": "one\nNone\nNULL\n"},
        {"a.jpg": ["one"]},
        ["blank_caption a.jpg", "blank_caption a.jpg", "several_lines a.txt"],
    ),
    "numbered, one empty": ("b.jpg", {"b.0.txt": "0", "b.1.txt": ""}, {"b.jpg": ["0"]}, []),
    "numbered, all empty": ("b.jpg", {"b.0.txt": "", "b.1.txt": ""}, {}, ["empty_caption b.jpg"]),
    "numbered, case": (
        "b.jpg",
        {"B.0.txt": "0", "B.1.txt": "1"},
        {"b.jpg": ["0", "1"]},
        ["name_mismatch b.jpg", "name_mismatch b.jpg"],
    ),
    "numbered images": (
        "b.0.jpg b.1.jpg",
        {"b.0.txt": "0", "b.1.txt": "1"},
        {"b.0.jpg": ["0"], "b.1.jpg": ["1"]},
        [],
    ),
    "a version": ("v2.0.png", {"V2.0.txt": "c"}, {"v2.0.png": ["c"]}, ["name_mismatch v2.0.png"]),
    "numbered, of two images": (
        "b.jpg b.png",
        {"b.0.txt": "0", "b.1.txt": "1"},
        {},
        ["ambiguous b.jpg", "ambiguous b.png"],
    ),
    "numbered, of no image": ("", {"b.0.txt": "0"}, {}, ["missing_image b.0.txt"]),
    "masks": ("k_mask.png x_mask.png", {}, {}, ["missing_caption x_mask.png", "mask k_mask.png"]),
    "no mask": ("k_mask.png", {"k_mask.txt": "c"}, {"k_mask.png": ["c"]}, []),
    "no mask here": ("x/k_mask.png", {}, {}, ["missing_caption x/k_mask.png"]),
    "prose": ("a.jpg", {"a.txt": PROSE}, {"a.jpg": [PROSE]}, ["several_lines a.txt"]),
    "others": (".a.jpg Thumbs.db n.md m.MD", {".a.txt": ""}, {}, ["ignored .", "ignored m.MD"]),
}


@pytest.mark.parametrize(
    ("files", "texts", "expected", "findings"), FAMILIES.values(), ids=FAMILIES.keys()
)
def test_families(
    tmp_path: pathlib.Path,
    write: Write,
    files: str,
    texts: dict[str, str | bytes],
    expected: Rows,
    findings: list[str],
) -> None:
    images = dict.fromkeys(["k.jpg", *files.split()], "")
    texts = {"k.txt": "k", **texts}
    beside = mmdata.read(write(tmp_path / "beside", {**images, **texts}), on_problem="drop")
    assert (rows(beside), seen(beside)) == ({**expected, "k.jpg": ["k"]}, findings)
    parallel = mmdata.read(
        write(tmp_path / "images", images), write(tmp_path / "texts", texts), on_problem="drop"
    )
    assert (rows(parallel), seen(parallel)) == ({**expected, "k.jpg": ["k"]}, findings)


@linux
def test_a_lost_image_by_case(tmp_path: pathlib.Path, write: Write) -> None:
    write(tmp_path, {"Photo.jpg": "", "photo.jpg": "", "Photo.txt": "c", "PHOTO.txt": "d"})
    pairs = mmdata.read(tmp_path, on_problem="drop")
    assert rows(pairs) == {"Photo.jpg": ["c"]}
    assert seen(pairs) == ["missing_caption photo.jpg", "missing_image PHOTO.txt"]


def test_the_first_extension_of_each_number_counts(tmp_path: pathlib.Path, write: Write) -> None:
    write(tmp_path, {"a.jpg": "", "a.0.txt": "x", "a.0.caption": "y", "a.1.txt": "z"})
    pairs = mmdata.read(tmp_path, extensions=(".caption", ".txt"))
    assert rows(pairs) == {"a.jpg": ["y", "z"]}
    assert [(f.path, f.count) for f in found(pairs, "ignored")] == [("a.0.txt", 1)]


def test_ignored_files_are_counted(tmp_path: pathlib.Path, write: Write) -> None:
    hidden = {".a.jpg": "", ".b.txt": "", "x/Thumbs.db": "", ".git/x.txt": "", "__MACOSX/a": ""}
    others = {"n.md": "", "x/m.MD": "", "LICENSE": "", "x/keep_mask.png": "", "x/keep.png": ""}
    write(tmp_path, {"k.jpg": "", "k.txt": "k", "x/keep.txt": "k", **hidden, **others})
    pairs = mmdata.read(tmp_path)
    assert [(f.path, f.detail, f.count) for f in found(pairs, "ignored")] == [
        (".", "hidden and system files", 5),
        ("LICENSE", "files without extension", 1),
        ("n.md", "files .md", 2),
    ]
    assert found(pairs, "mask") == [Finding("mask", "x/keep_mask.png")]


def test_message_says_how_to_choose(tmp_path: pathlib.Path, write: Write) -> None:
    write(tmp_path, {"a.jpg": "", "a.txt": "c", "a.caption": "d"})
    with pytest.raises(PairingError) as caught:
        mmdata.read(tmp_path)
    assert "extensions=('.caption', '.txt') uses the first one" in str(caught.value)


@pytest.mark.parametrize(
    ("extensions", "expected", "ignored"),
    [
        ((".txt",), {"a.jpg": ["t"], "b.jpg": ["b"]}, [("a.caption", 1), ("a.tags", 1)]),
        ((".caption",), {"a.jpg": ["c"]}, [("a.tags", 1), ("a.txt", 2)]),
        ((".caption", ".txt"), {"a.jpg": ["c"], "b.jpg": ["b"]}, [("a.tags", 1), ("a.txt", 1)]),
        ((".TXT", ".tags"), {"a.jpg": ["t"], "b.jpg": ["b"]}, [("a.caption", 1), ("a.tags", 1)]),
        ((".none", ".tags"), {"a.jpg": ["g"]}, [("a.caption", 1), ("a.txt", 2)]),
    ],
)
def test_extensions_by_priority(
    tmp_path: pathlib.Path,
    write: Write,
    extensions: tuple[str, ...],
    expected: Rows,
    ignored: list[tuple[str, int]],
) -> None:
    texts = {"a.txt": "t", "a.caption": "c", "a.tags": "g", "b.txt": "b"}
    write(tmp_path, {"a.jpg": "", "b.jpg": "", **texts})
    pairs = mmdata.read(tmp_path, extensions=extensions, on_problem="drop")
    assert rows(pairs) == expected
    assert [(f.path, f.count) for f in found(pairs, "ignored")] == ignored
    assert len(expected) + len(pairs.report.problems) == 2


@pytest.mark.parametrize(
    "value",
    [
        (),
        [".txt"],
        ".txt",
        ("txt",),
        ("",),
        (".",),
        (1,),
        (".en.txt",),
        (".txt", ".JPG"),
        ("*.txt",),
    ],
)
def test_no_extensions(tmp_path: pathlib.Path, value: Any) -> None:
    with pytest.raises(ValueError, match=r"extensions=\.\.\. must be a tuple such as"):
        mmdata.read(tmp_path, extensions=value)


def test_lines(tmp_path: pathlib.Path, write: Write) -> None:
    texts = {"a.txt": PROSE, "b.txt": "1\n2", "c.txt": "3\r\n4\n", "d.txt": "one"}
    write(tmp_path, {**texts, **{f"{name}.jpg": "" for name in "abcd"}})
    prose, each, one = [PROSE], ["A cat sat. It slept.", "A dog came."], ["one"]
    expected: dict[str, tuple[list[list[str]], list[tuple[str, int]]]] = {
        "auto": ([prose, ["1", "2"], ["3", "4"], one], [("a.txt", 1), ("b.txt", 2)]),
        "each": ([each, ["1", "2"], ["3", "4"], one], [("a.txt", 3)]),
        "one": ([prose, ["1\n2"], ["3\n4"], one], [("a.txt", 3)]),
    }
    for lines, (captions, several) in expected.items():
        choice: Any = lines
        pairs = mmdata.read(tmp_path, lines=choice)
        assert list(rows(pairs).values()) == captions
        reported = found(pairs, "several_lines")
        assert [(f.path, f.count) for f in reported] == several
        assert f'lines="{"one" if lines == "each" else "each"}"' in reported[0].detail


@pytest.mark.parametrize(
    ("argument", "value"), [("lines", "all"), ("lines", None), ("repeats", "yes"), ("repeats", 10)]
)
def test_no_such_choice(tmp_path: pathlib.Path, argument: str, value: Any) -> None:
    arguments: Any = {argument: value}
    with pytest.raises(ValueError, match=rf"{argument}=\.\.\. must be .*; got {value!r}"):
        mmdata.read(tmp_path, **arguments)


# Folders of images, `repeats`, weights; each folder holds one image.


@pytest.mark.parametrize(
    ("names", "repeats", "weights"),
    [
        (["10_cat", "30_a dog"], "auto", [10, 30]),
        (["10_cat/x", "10_cat/y"], "auto", [10, 10]),
        (["10_cat", "dog"], "auto", None),
        (["10_cat", "."], "auto", None),
        (["2017_photos", "2018_photos"], "auto", None),
        (["10_cat", "2017_photos"], "auto", None),
        (["10_cat", "2017_photos", "."], True, [10, 1, 1]),
        (["0_cat"], True, None),
        (["010_cat"], True, None),
        (["10_"], True, None),
        (["10cat"], True, None),
        (["x/10_cat"], True, None),
        (["99_cat"], True, [99]),
        (["10_cat", "3_dog"], False, None),
    ],
)
def test_repeats(
    tmp_path: pathlib.Path,
    write: Write,
    names: list[str],
    repeats: Any,
    weights: list[float] | None,
) -> None:
    for name in names:
        write(tmp_path / name, {"a.jpg": "", "a.txt": name})
    pairs = mmdata.read(tmp_path, repeats=repeats)
    assert (None if pairs.weights is None else pairs.weights.tolist()) == weights
    reported = [(f.path, f.detail.partition(",")[0]) for f in found(pairs, "repeats")]
    repeated = {name.partition("/")[0] for name in names if weights and "2017" not in name}
    assert reported == [
        (name, f"used as loss weight {name:.2}") for name in sorted(repeated - {"."})
    ]


# Images, captions, which caption each image gets, problems: trees that are spelled differently.

TREES: dict[str, tuple[str, str, dict[str, str], list[str]]] = {
    "case": ("Cats/a", "cats/a", {"Cats/a": "cats/a"}, []),
    "forms": (f"{NFD}/a", f"{NFC}/a", {f"{NFD}/a": f"{NFC}/a"}, []),
    "case, deeper": ("X/Y/a", "x/y/a", {"X/Y/a": "x/y/a"}, []),
    "case of folder and file": ("X/A", "x/a", {"X/A": "x/a"}, []),
    "each has its own": ("A/i a/i", "A/i a/i", {"A/i": "A/i", "a/i": "a/i"}, []),
    "the first of two has none": ("A/i a/i", "a/i", {"a/i": "a/i"}, ["missing_caption A/i.jpg"]),
    "the second has none": ("A/i a/i", "A/i", {"A/i": "A/i"}, ["missing_caption a/i.jpg"]),
    "the first of two forms has none": (
        f"{NFD}/i {NFC}/i",
        f"{NFC}/i",
        {f"{NFC}/i": f"{NFC}/i"},
        [f"missing_caption {NFD}/i.jpg"],
    ),
    "of two, none is meant": (
        "Ab/i aB/j",
        "ab/i",
        {},
        ["missing_caption Ab/i.jpg", "missing_caption aB/j.jpg", "missing_image ab/i.txt"],
    ),
    "of two, deeper": ("A/x/i a/x/i", "a/x/i", {"a/x/i": "a/x/i"}, ["missing_caption A/x/i.jpg"]),
    "two for one": ("ab/i ab/j", "AB/i Ab/j", {"ab/i": "AB/i", "ab/j": "Ab/j"}, []),
    "no folder of images": ("k", "x/a", {}, ["missing_image x/a.txt"]),
}


@linux
@pytest.mark.parametrize(("images", "texts", "expected", "problems"), TREES.values(), ids=TREES)
def test_trees(
    tmp_path: pathlib.Path,
    write: Write,
    images: str,
    texts: str,
    expected: dict[str, str],
    problems: list[str],
) -> None:
    write(tmp_path / "images", {f"{name}.jpg": "" for name in ["k", *images.split()]})
    write(tmp_path / "texts", {f"{name}.txt": name for name in ["k", *texts.split()]})
    pairs = mmdata.read(tmp_path / "images", tmp_path / "texts", on_problem="drop")
    assert rows(pairs) == {f"{n}.jpg": [text] for n, text in {**expected, "k": "k"}.items()}
    assert [f"{finding.kind} {finding.path}" for finding in pairs.report.problems] == problems


@linux
def test_folder_of_captions_beside_that_of_images(tmp_path: pathlib.Path, write: Write) -> None:
    write(tmp_path, {"x/a.jpg": "", "X/a.txt": "c"})
    assert rows(mmdata.read(tmp_path)) == {"x/a.jpg": ["c"]}


def test_linked_folder_goes_by_its_own_name(tmp_path: pathlib.Path, write: Write) -> None:
    write(tmp_path, {"b/a.jpg": "", "b/a.txt": "c", ".hidden/d.jpg": "", ".hidden/d.txt": "e"})
    (tmp_path / "alias").symlink_to("b", target_is_directory=True)
    (tmp_path / "shown").symlink_to(".hidden", target_is_directory=True)
    (tmp_path / "self").symlink_to("self")
    assert rows(mmdata.read(tmp_path)) == {"b/a.jpg": ["c"], "shown/d.jpg": ["e"]}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipe_is_a_finding(tmp_path: pathlib.Path, write: Write) -> None:
    write(tmp_path, {**{f"{n}.jpg": "" for n in range(30)}, "0.txt": "c"})
    os.mkfifo(tmp_path / "1.txt")
    pairs = mmdata.read(tmp_path, on_problem="drop")
    assert Finding("unreadable", "1.txt", "not a regular file") in pairs.report.findings


names = st.sampled_from(["a", "A", "b", "b.0", "b.1", "x/a", "X/a", "x/b_mask", NFC, NFD])
ends = st.sampled_from([".jpg", ".png", ".txt", ".caption", ".md"])
trees = st.dictionaries(st.tuples(names, ends).map("".join), st.sampled_from(["", "c", "c\nd"]))


@linux
@given(tree=trees, seed=st.integers(0, 99))
def test_order_of_folders_does_not_matter(write: Write, tree: dict[str, str], seed: int) -> None:
    listdir, shuffle = os.scandir, random.Random(seed).shuffle

    class Shuffled:
        def __init__(self, path: str) -> None:
            with listdir(path) as entries:
                self._entries = list(entries)
            shuffle(self._entries)

        def __enter__(self) -> list[Any]:
            return self._entries

        def __exit__(self, *_: object) -> None: ...

    with tempfile.TemporaryDirectory() as folder:
        write(pathlib.Path(folder), {"k.jpg": "", "k.txt": "k", **tree})
        pairs = mmdata.read(folder, on_problem="drop")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "scandir", Shuffled)
            again = mmdata.read(folder, on_problem="drop")
    assert (rows(again), again.report) == (rows(pairs), pairs.report)
    assert list(pairs.images) == sorted(pairs.images)


def test_text_behind_the_whole_name(tmp_path: pathlib.Path, write: Write) -> None:
    files = {"a.jpg": "", "a.jpg.txt": "A", "b.jpg": "", "b.txt": "B", "b.jpg.txt": "C"}
    pairs = mmdata.read(write(tmp_path, files), on_problem="drop")
    assert list(pairs.captions) == ["A", "B"]
    assert [(found.kind, found.path) for found in pairs.report.findings] == [
        ("missing_image", "b.jpg.txt"),
        ("name_mismatch", "a.jpg"),
    ]
