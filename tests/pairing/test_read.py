"""`mmdata.read`: what is paired and what is not, and that nothing is lost."""

import contextlib
import dataclasses
import html
import json
import os
import pathlib
import random
import re
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mmdata
from mmdata.pairing import folders
from mmdata.pairs.findings import Finding, PairingError, PairingReport, raise_for
from mmdata.pairs.pairs import Pairs
from mmdata.pairs.strings import Strings

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]
Rows = dict[str, list[str]]

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs file names that are plain bytes")
ENDS = folders.DECODED
NFC, NFD = "caf\u00e9", "cafe\u0301"


def rows(pairs: Pairs) -> Rows:
    return {image: pairs.captions_of(row) for row, image in enumerate(pairs.images)}


def seen(pairs: Pairs) -> list[str]:
    return [f"{finding.kind} {finding.path}" for finding in pairs.report.findings]


def details(pairs: Pairs) -> str:
    return "\n".join(finding.detail for finding in pairs.report.findings)


# Layout "sidecar": files, rows, findings. Every case holds keep.jpg and keep.txt too, because no
# pair at all is an error.

NAMED = ("a.tiff", "b.HEIC", "c.avif", "d.jxl")
SIDECAR: dict[str, tuple[dict[str, str | bytes], Rows, list[str]]] = {
    "flat": ({"a.jpg": "", "a.txt": "A cat."}, {"a.jpg": ["A cat."]}, []),
    "nested": (
        {"x/y/a.jpg": "", "x/y/a.txt": "c", "x/a.png": "", "x/a.txt": "d"},
        {"x/a.png": ["d"], "x/y/a.jpg": ["c"]},
        [],
    ),
    "several lines": (
        {"a.jpg": "", "a.txt": "1\n2\n3"},
        {"a.jpg": ["1", "2", "3"]},
        ["several_lines a.txt"],
    ),
    "blank lines": (
        {"a.jpg": "", "a.txt": "\n  1 \n\n \t\n\u00a02\n"},
        {"a.jpg": ["1", "2"]},
        ["several_lines a.txt"],
    ),
    "CRLF and CR": (
        {"a.jpg": "", "a.txt": "1\r\n2\r3\r\n"},
        {"a.jpg": ["1", "2", "3"]},
        ["several_lines a.txt"],
    ),
    "other separators": ({"a.jpg": "", "a.txt": "1\u20282\x0b3"}, {"a.jpg": ["1\u20282\x0b3"]}, []),
    "BOM": ({"a.jpg": "", "a.txt": b"\xef\xbb\xbfone"}, {"a.jpg": ["one"]}, []),
    "one caption twice": (
        {"a.jpg": "", "a.txt": "one\none\n"},
        {"a.jpg": ["one", "one"]},
        ["several_lines a.txt", "duplicate_caption a.jpg"],
    ),
    "extension case": (
        {"a.JPG": "", "a.TXT": "c", "b.WebP": "", "b.txt": "d"},
        {"a.JPG": ["c"], "b.WebP": ["d"]},
        [],
    ),
    "every decoded extension": (
        {**{f"n{end}{end}": "" for end in ENDS}, **{f"n{end}.txt": end for end in ENDS}},
        {f"n{end}{end}": [end] for end in ENDS},
        [],
    ),
    "dotted names": (
        {"photo v2.0.png": "", "photo v2.0.txt": "0", "photo v2.1.png": "", "photo v2.1.txt": "1"},
        {"photo v2.0.png": ["0"], "photo v2.1.png": ["1"]},
        [],
    ),
    "a folder that ends in .jpg": (
        {"a.jpg/b.png": "", "a.jpg/b.txt": "c"},
        {"a.jpg/b.png": ["c"]},
        [],
    ),
    "hidden": (
        {".b.jpg": "", ".d/e.jpg": "", ".f.txt": "g", "Thumbs.db": "", "desktop.ini": ""},
        {},
        ["ignored ."],
    ),
    "other files": (
        {"notes.md": "", "LICENSE": "", "a.jpg.bak": ""},
        {},
        ["ignored LICENSE", "ignored a.jpg.bak", "ignored notes.md"],
    ),
    "formats only named": (
        dict.fromkeys(NAMED, ""),
        {},
        [f"missing_caption {name}" for name in NAMED],
    ),
    "orphans": (
        {"b.jpg": "", "a.jpg": "", "c.txt": "d"},
        {},
        ["missing_caption a.jpg", "missing_caption b.jpg", "missing_image c.txt"],
    ),
    "the same name in another folder": (
        {"x/a.jpg": "", "y/a.txt": "c"},
        {},
        ["missing_caption x/a.jpg", "missing_image y/a.txt"],
    ),
    "names differ by case": (
        {"A.jpg": "", "a.txt": "c"},
        {"A.jpg": ["c"]},
        ["name_mismatch A.jpg"],
    ),
    "empty": ({"a.jpg": "", "a.txt": ""}, {}, ["empty_caption a.jpg"]),
    "empty but for spaces": (
        {"a.jpg": "", "a.txt": " \r\n\t\u2003\n"},
        {},
        ["empty_caption a.jpg"],
    ),
    "empty but for a BOM": ({"a.jpg": "", "a.txt": b"\xef\xbb\xbf"}, {}, ["empty_caption a.jpg"]),
    "empty, and of another form": (
        {f"{NFC}.jpg": "", f"{NFD}.txt": ""},
        {},
        [f"empty_caption {NFC}.jpg", f"name_mismatch {NFC}.jpg"],
    ),
    "two images, one caption file": (
        {"a.jpg": "", "a.png": "", "a.txt": "c"},
        {},
        ["ambiguous a.jpg", "ambiguous a.png"],
    ),
    "two caption files, one image": (
        {"a.jpg": "", "a.txt": "c", "a.TXT": "d"},
        {},
        ["ambiguous a.jpg"],
    ),
    "two images, no caption file": (
        {"a.jpg": "", "a.png": ""},
        {},
        ["missing_caption a.jpg", "missing_caption a.png"],
    ),
    "Latin-1": ({"a.jpg": "", "a.txt": NFC.encode("latin-1")}, {}, ["encoding a.jpg"]),
    "UTF-16": (
        {"a.jpg": "", "a.txt": "one".encode("utf-16")},
        {"a.jpg": ["one"]},
        ["coerced a.txt"],
    ),
    "UTF-16 without a mark": (
        {"a.jpg": "", "a.txt": "one".encode("utf-16-le")},
        {},
        ["encoding a.jpg"],
    ),
    "NFC image, NFD caption": (
        {f"{NFC}.jpg": "", f"{NFD}.txt": "c"},
        {f"{NFC}.jpg": ["c"]},
        [f"name_mismatch {NFC}.jpg"],
    ),
    "NFD image, NFC caption": (
        {f"{NFD}.jpg": "", f"{NFC}.txt": "c"},
        {f"{NFD}.jpg": ["c"]},
        [f"name_mismatch {NFD}.jpg"],
    ),
    "NFD folder": (
        {f"{NFD}/a.jpg": "", f"{NFC}/a.txt": "c"},
        {f"{NFD}/a.jpg": ["c"]},
        [f"name_mismatch {NFD}/a.jpg"],
    ),
    "both forms of a name": (
        {f"{NFC}.jpg": "", f"{NFD}.jpg": "", f"{NFC}.txt": "c"},
        {},
        [f"ambiguous {NFD}.jpg", f"ambiguous {NFC}.jpg"],
    ),
    "findings by kind and path": (
        {"a.txt": "", "b.jpg": "", "b.txt": "", "c.jpg": "", "d.txt": "", "e.jpg": ""},
        {},
        [
            *("missing_caption c.jpg", "missing_caption e.jpg"),
            *("missing_image a.txt", "missing_image d.txt"),
            "empty_caption b.jpg",
        ],
    ),
}

# These names are one and the same file where the file system folds case or Unicode forms.
LINUX = {"two caption files, one image", "NFD folder", "both forms of a name"}


@pytest.mark.parametrize(
    ("files", "expected", "findings"),
    [
        pytest.param(*case, id=name, marks=linux if name in LINUX else ())
        for name, case in SIDECAR.items()
    ],
)
def test_sidecar(
    tmp_path: pathlib.Path,
    write: Write,
    files: dict[str, str | bytes],
    expected: Rows,
    findings: list[str],
) -> None:
    files = {"keep.jpg": "", "keep.txt": "k", **files}
    expected = {**expected, "keep.jpg": ["k"]}
    beside = mmdata.read(write(tmp_path / "beside", files), on_problem="drop")
    assert rows(beside) == expected
    assert seen(beside) == findings
    assert beside.report.layout == "sidecar"
    assert (beside.report.images, beside.report.pairs) == (
        len(expected),
        sum(map(len, expected.values())),
    )

    texts = {name: text for name, text in files.items() if name.lower().endswith(".txt")}
    images = {name: data for name, data in files.items() if name not in texts}
    parallel = mmdata.read(
        write(tmp_path / "images", images), write(tmp_path / "texts", texts), on_problem="drop"
    )
    assert rows(parallel) == expected
    assert seen(parallel) == findings


def test_ambiguous_names_every_file(tmp_path: pathlib.Path, write: Write) -> None:
    files = {"k.jpg": "", "k.txt": "k", "a.jpg": "", "a.png": "", "a.txt": "c"}
    for finding in mmdata.read(write(tmp_path, files), on_problem="drop").report.findings:
        assert finding.detail == "the same name: 'a.jpg', 'a.png', 'a.txt'"


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
@pytest.mark.parametrize("before", [3, 20_000])
def test_encoding_names_byte_and_offset(
    tmp_path: pathlib.Path, write: Write, bom: bytes, before: int
) -> None:
    content = bom + b"a" * before + b"\xe9 b"
    write(tmp_path, {"k.jpg": "", "k.txt": "k", "a.jpg": "", "a.txt": content})
    found = mmdata.read(tmp_path, on_problem="drop")
    assert details(found) == f"'a.txt': byte 0xe9 at offset {len(bom) + before:,}"


@pytest.mark.parametrize("kind", [str, pathlib.Path, lambda path: f"{path}{os.sep}"])
def test_paths_are_str_or_pathlike(
    tmp_path: pathlib.Path, write: Write, kind: Callable[[pathlib.Path], str]
) -> None:
    write(tmp_path, {"a/b.jpg": "", "a/b.txt": "c"})
    pairs = mmdata.read(kind(tmp_path), kind(tmp_path))
    assert rows(pairs) == {"a/b.jpg": ["c"]}
    assert [pathlib.Path(path) for path in pairs.paths] == [tmp_path / "a" / "b.jpg"]


# Folders.


def test_loop_of_links_ends(tmp_path: pathlib.Path, write: Write) -> None:
    write(tmp_path, {"a/b.jpg": "", "a/b.txt": "c"})
    (tmp_path / "a" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a", target_is_directory=True)
    assert rows(mmdata.read(tmp_path)) == {"a/b.jpg": ["c"]}


def test_link_to_nothing_is_a_finding(tmp_path: pathlib.Path, write: Write) -> None:
    write(tmp_path, {"k.jpg": "", "k.txt": "k", "a.jpg": ""})
    (tmp_path / "a.txt").symlink_to(tmp_path / "gone")
    pairs = mmdata.read(tmp_path, on_problem="drop")
    assert seen(pairs) == ["unreadable a.txt"]
    assert details(pairs) == "No such file or directory"


@pytest.mark.parametrize("where", ["images", "captions", "both"])
def test_unreadable_folder_is_a_finding(
    tmp_path: pathlib.Path, write: Write, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    files = {"k.jpg": "", "k.txt": "k", "locked/a.jpg": "", "locked/a.txt": "c"}
    texts = {name: text for name, text in files.items() if name.endswith(".txt")}
    images = write(tmp_path / "images", files)
    captions = images if where == "both" else write(tmp_path / "captions", texts)
    locked = str((captions if where == "captions" else images) / "locked")
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if path == locked:
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    pairs = mmdata.read(images, captions, on_problem="drop")
    assert rows(pairs) == {"k.jpg": ["k"]}
    reported = [found for found in pairs.report.findings if found.kind == "unreadable"]
    assert reported == [Finding("unreadable", "locked", "Permission denied")]
    with pytest.raises(PairingError, match=r"cannot be read \(unreadable\): 'locked'"):
        mmdata.read(images, captions)


@linux
def test_names_that_are_not_utf8_survive(tmp_path: pathlib.Path) -> None:
    raw = os.fsencode(tmp_path)
    for name in (b"\xff.jpg", b"\xff.txt", b"\xfe.jpg"):
        with open(os.path.join(raw, name), "wb") as file:
            file.write(name)
    (tmp_path / os.fsdecode(b"\xff.txt")).write_text("c")
    pairs = mmdata.read(tmp_path, on_problem="drop")
    with open(pairs.path(0), "rb") as file:
        assert file.read() == b"\xff.jpg"
    assert seen(pairs) == ["missing_caption " + os.fsdecode(b"\xfe.jpg")]
    assert len(pairs.to_pandas()) == len(pairs.report.to_pandas()) == 1
    (pairs._repr_html_() + str(pairs.report) + repr(pairs)).encode()  # all that is shown is UTF-8


@pytest.mark.parametrize(
    ("images", "captions", "error", "message"),
    [
        ("gone", None, FileNotFoundError, "images=... must exist; got "),
        ("a.jpg", None, NotADirectoryError, "images=... must be a folder; got the file "),
        ("full", "gone", FileNotFoundError, "captions=... must exist; got "),
        ("full", "gone.json", FileNotFoundError, "captions=... must exist; got "),
        (
            "full",
            "a.jpg",
            NotADirectoryError,
            "captions=... must be a folder or a file of captions; ",
        ),
        ("bare", None, PairingError, "images=... must hold image files (.jpg, .jpeg, .jpe, "),
        ("texts", None, PairingError, "1 caption(s) without an image (missing_image): 'b.txt'"),
        ("full", "bare", PairingError, "1 image(s) without a caption (missing_caption): 'b.jpg'"),
    ],
)
@pytest.mark.parametrize("on_problem", ["error", "drop"])
def test_invalid_paths(
    tmp_path: pathlib.Path,
    write: Write,
    images: str,
    captions: str | None,
    error: type[Exception],
    message: str,
    on_problem: Any,
) -> None:
    write(tmp_path, {"a.jpg": "", "full/b.jpg": "", "full/b.txt": "c", "texts/b.txt": "c"})
    (tmp_path / "bare").mkdir()
    beside = None if captions is None else tmp_path / captions
    with pytest.raises(error) as caught:
        mmdata.read(tmp_path / images, beside, on_problem=on_problem)
    assert message in str(caught.value)


def test_folder_named_json_is_a_folder(tmp_path: pathlib.Path, write: Write) -> None:
    write(tmp_path, {"images/a.jpg": "", "c.json/a.txt": "c"})
    pairs = mmdata.read(tmp_path / "images", tmp_path / "c.json")
    assert (rows(pairs), pairs.report.layout) == ({"a.jpg": ["c"]}, "sidecar")


# Layout "coco".


def document(images: list[tuple[Any, str]], captions: list[tuple[Any, str]]) -> str:
    """A COCO captions file of (id, file_name) and (image_id, caption)."""
    return json.dumps(
        {
            "info": {},
            "images": [{"id": id_, "file_name": name, "height": 1} for id_, name in images],
            "annotations": [
                {"id": number, "image_id": id_, "caption": text}
                for number, (id_, text) in enumerate(captions)
            ],
        }
    )


# Files on disk, id -> file_name, (image_id, caption), rows, findings; and keep.jpg, as above.

CocoCase = tuple[list[str], list[tuple[Any, str]], list[tuple[Any, str]], Rows, list[str]]
A, B = (1, "a.jpg"), (2, "b.jpg")
COCO: dict[str, CocoCase] = {
    "plain": (
        ["a.jpg", "x/b.png"],
        [A, (2, "x/b.png")],
        [(2, "x"), (1, "y"), (2, " z\n")],
        {"a.jpg": ["y"], "x/b.png": ["x", "z"]},
        [],
    ),
    "ids are strings": (["a.jpg"], [("1", "a.jpg")], [("1", "x")], {"a.jpg": ["x"]}, []),
    "a caption twice": (
        ["a.jpg"],
        [A],
        [(1, "x"), (1, "x")],
        {"a.jpg": ["x", "x"]},
        ["duplicate_caption a.jpg"],
    ),
    "an image twice": (["a.jpg"], [A, A], [(1, "x")], {"a.jpg": ["x"]}, []),
    "an image twice, two ids": (
        ["a.jpg"],
        [A, (2, "a.jpg")],
        [(1, "x"), (2, "y")],
        {},
        ["disagreement a.jpg"],
    ),
    "an id of two images": (
        ["a.jpg", "b.jpg"],
        [A, (1, "b.jpg")],
        [(1, "x")],
        {},
        [
            *("missing_caption a.jpg", "missing_caption b.jpg"),
            *("malformed c.JSON: annotations[1]", "malformed c.JSON: images[2]"),
        ],
    ),
    "line breaks in a caption": (["a.jpg"], [A], [(1, "x \r\ny\tz")], {"a.jpg": ["x y z"]}, []),
    "unknown image_id": ([], [], [(7, "y")], {}, ["malformed c.JSON: annotations[1]"]),
    "no annotation": (["b.jpg"], [B], [], {}, ["missing_caption b.jpg"]),
    "only blank annotations": (
        ["b.jpg"],
        [B],
        [(2, " \n")],
        {},
        ["missing_caption b.jpg", "malformed c.JSON: annotations[1]"],
    ),
    "not listed": (["b.jpg"], [], [], {}, ["missing_caption b.jpg"]),
    "no annotation, or not listed": (
        ["a.jpg", "b.jpg", "c.jpg"],
        [B],
        [],
        {},
        ["missing_caption a.jpg", "missing_caption b.jpg", "missing_caption c.jpg"],
    ),
    "not on disk": ([], [B], [(2, "y")], {}, ["missing_image b.jpg"]),
    "outside the folder": (
        ["../out.jpg"],
        [(2, "../out.jpg")],
        [(2, "y")],
        {},
        ["outside ../out.jpg"],
    ),
    "not an image": (
        ["b.md"],
        [(2, "b.md")],
        [(2, "y")],
        {},
        ["missing_image b.md", "ignored b.md"],
    ),
    "NFD on disk, NFC in JSON": (
        [f"{NFD}.jpg"],
        [(1, f"{NFC}.jpg")],
        [(1, "x")],
        {f"{NFD}.jpg": ["x"]},
        [f"name_mismatch {NFD}.jpg"],
    ),
    "NFC on disk, NFD in JSON": (
        [f"{NFC}.jpg"],
        [(1, f"{NFD}.jpg")],
        [(1, "x")],
        {f"{NFC}.jpg": ["x"]},
        [f"name_mismatch {NFC}.jpg"],
    ),
    "both forms of a name": (
        [f"{NFC}.jpg", f"{NFD}.jpg"],
        [(1, f"{NFC}.jpg")],
        [(1, "x")],
        {},
        [f"ambiguous {NFD}.jpg", f"ambiguous {NFC}.jpg"],
    ),
    "lone surrogates in captions": (
        ["a.jpg"],
        [A],
        [(1, "\ud800"), (1, "a\udc80b"), (1, "\U0001f600")],
        {"a.jpg": ["\U0001f600"]},
        ["malformed c.JSON: annotations[1]", "malformed c.JSON: annotations[2]"],
    ),
    "lone surrogate in file_name": (
        [],
        [(1, "\ud800.jpg")],
        [(1, "x")],
        {},
        ["malformed c.JSON: annotations[1]", "malformed c.JSON: images[1]"],
    ),
}


@pytest.mark.parametrize(
    ("files", "images", "captions", "expected", "findings"),
    [
        pytest.param(*case, id=name, marks=linux if name in LINUX else ())
        for name, case in COCO.items()
    ],
)
def test_coco(
    tmp_path: pathlib.Path,
    write: Write,
    files: list[str],
    images: list[tuple[Any, str]],
    captions: list[tuple[Any, str]],
    expected: Rows,
    findings: list[str],
) -> None:
    write(tmp_path / "images", dict.fromkeys(["keep.jpg", *files], ""))
    content = document([(0, "keep.jpg"), *images], [(0, "k"), *captions])
    write(tmp_path, {"c.JSON": content})
    pairs = mmdata.read(tmp_path / "images", tmp_path / "c.JSON", on_problem="drop")
    assert rows(pairs) == {**expected, "keep.jpg": ["k"]}
    assert seen(pairs) == findings
    assert pairs.report.layout == "coco"
    (str(pairs.report) + pairs._repr_html_()).encode()  # all that is shown is UTF-8
    assert len(pairs.report.to_pandas()) == len(findings)


IMAGE: dict[str, Any] = {"id": 1, "file_name": "a.jpg"}
ANNOTATION: dict[str, Any] = {"image_id": 1, "caption": "x"}
NOT_JSON: list[str | bytes] = [
    *("", '{"images": [', b'{"images": "\xff"}', "{}".encode("utf-16-le")),
    "[" * 100_000,
]
NO_IMAGES: list[Any] = [
    *(None, 1, "images", {}, {"images": None}, {"images": {"a": 1}}),
]
NO_ANNOTATIONS: list[Any] = [None, 1, "", {}]
NO_ENTRY: list[Any] = [
    *(None, 1, "a", [], {}, {"id": 1}, {"file_name": "a"}, {"image_id": 1}, {"caption": "x"}),
]
NO_IMAGE: list[Any] = [
    *NO_ENTRY,
    *({"id": None, "file_name": "a"}, {"id": [], "file_name": "a"}, {"id": {}, "file_name": "a"}),
    *({"id": 2, "file_name": None}, {"id": 2, "file_name": 1}, {"id": 2, "file_name": ["a"]}),
]
NO_ANNOTATION: list[Any] = [
    *NO_ENTRY,
    *({"image_id": None, "caption": "x"}, {"image_id": [1], "caption": "x"}),
    *({"image_id": 1, "caption": None}, {"image_id": 1, "caption": 1}),
    *({"image_id": 1, "caption": ["x"]}, {"image_id": 1, "caption": {}}),
]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        *((bad, "must be a JSON file") for bad in NOT_JSON),
        *((json.dumps(bad), "'images' is not a list") for bad in NO_IMAGES),
        *(
            (json.dumps({"images": [], "annotations": bad}), "'annotations' is not a list")
            for bad in NO_ANNOTATIONS
        ),
    ],
    ids=lambda value: repr(value)[-60:] if isinstance(value, str | bytes) else None,
)
@pytest.mark.parametrize("on_problem", ["error", "drop"])
def test_not_coco(
    tmp_path: pathlib.Path, write: Write, content: str | bytes, message: str, on_problem: Any
) -> None:
    write(tmp_path, {"a.jpg": "", "c.json": content})
    with pytest.raises(PairingError) as caught:
        mmdata.read(tmp_path, tmp_path / "c.json", layout="coco", on_problem=on_problem)
    assert str(caught.value).startswith(f"{tmp_path / 'c.json'}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("images", "annotations", "where"),
    [
        *(([IMAGE, bad], [ANNOTATION], "c.json: images[1]") for bad in NO_IMAGE),
        *(([IMAGE], [ANNOTATION, bad], "c.json: annotations[1]") for bad in NO_ANNOTATION),
    ],
    ids=repr,
)
def test_invalid_coco_entries(
    tmp_path: pathlib.Path, write: Write, images: list[Any], annotations: list[Any], where: str
) -> None:
    content = json.dumps({"images": images, "annotations": annotations})
    write(tmp_path, {"a.jpg": "", "c.json": content})
    with pytest.raises(PairingError, match=re.escape(repr(where))):
        mmdata.read(tmp_path, tmp_path / "c.json")
    pairs = mmdata.read(tmp_path, tmp_path / "c.json", on_problem="drop")
    assert rows(pairs) == {"a.jpg": ["x"]}
    assert seen(pairs) == [f"malformed {where}"]


def test_coco_with_bom(tmp_path: pathlib.Path, write: Write) -> None:
    text = document([(1, "a.jpg")], [(1, "x")])
    write(tmp_path, {"a.jpg": "", "c.json": b"\xef\xbb\xbf" + text.encode()})
    assert rows(mmdata.read(tmp_path, tmp_path / "c.json")) == {"a.jpg": ["x"]}


def test_real_captions(coco: pathlib.Path, tmp_path: pathlib.Path, write: Write) -> None:
    images = coco / "val2017"
    captions = coco / "annotations" / "captions_val2017.json"
    with pytest.raises(PairingError, match=r"80 image\(s\) without a caption") as caught:
        mmdata.read(images, captions)
    pairs = mmdata.read(images, captions, on_problem="drop")
    assert (len(pairs), pairs.pair_count, pairs.report.counts) == (79, 395, {"missing_caption": 80})
    assert caught.value.findings == pairs.report.findings
    assert mmdata.read(images, captions, on_problem="drop").report == pairs.report

    # The same captions, a line each, in .txt files: the same rows.
    texts = {f"{image[:-4]}.txt": "\n".join(texts) for image, texts in rows(pairs).items()}
    sidecar = mmdata.read(images, write(tmp_path, texts), on_problem="drop")
    assert rows(sidecar) == rows(pairs)
    assert sidecar.report.problems == tuple(
        dataclasses.replace(finding, detail="") for finding in pairs.report.problems
    )


def test_real_captions_that_all_pair(coco: pathlib.Path) -> None:
    with open(coco / "annotations" / "captions_train2017.json", encoding="utf-8") as file:
        content = json.load(file)
    pairs = mmdata.read(coco / "train2017", coco / "annotations" / "captions_train2017.json")
    expected: Rows = {image["file_name"]: [] for image in content["images"]}
    names = {image["id"]: image["file_name"] for image in content["images"]}
    for annotation in content["annotations"]:
        expected[names[annotation["image_id"]]].append(" ".join(annotation["caption"].split()))
    assert rows(pairs) == expected
    assert pairs.report == PairingReport("coco", 80, 400)


# Properties of both layouts.

names = st.sampled_from(["a", "b", "c", "x/a", "x/b", "x/y/a", NFC, NFD, "v2.0"])
trees = st.dictionaries(
    st.tuples(names, st.sampled_from([".jpg", ".png", ".JPG", ".tif", ".txt"])).map("".join),
    st.sampled_from(["", "  \n", "one", "one\ntwo\n"]).map(str.encode) | st.just(b"\xff"),
    max_size=12,
).map(lambda tree: {"k.jpg": b"", "k.txt": b"k"} | tree)


def shuffled_scandir(shuffle: Callable[[list[Any]], None]) -> Callable[[str], Any]:
    scandir = os.scandir

    @contextlib.contextmanager
    def scandir_shuffled(path: str) -> Iterator[list[Any]]:
        with scandir(path) as entries:
            listed = list(entries)
        shuffle(listed)
        yield listed

    return scandir_shuffled


@linux
def test_of_many_files_with_one_name_captions_are_named_first(
    write: Write, tmp_path: pathlib.Path
) -> None:
    texts = ["caf\u00e9.txt", "cafe\u0301.txt"]
    images = [f"caf\u00e9.{ending}" for ending in ("JPG", "jpg", "png", "tif")]
    pairs = mmdata.read(
        write(tmp_path, dict.fromkeys((*images, *texts), b"x") | {"k.jpg": b"", "k.txt": b"k"}),
        on_problem="drop",
    )
    reported = [found for found in pairs.report.problems if found.kind == "ambiguous"]
    assert sorted(found.path for found in reported) == sorted(images)
    assert all(text in found.detail for text in texts for found in reported)
    assert all("(6 in all)" in found.detail for found in reported)


@linux
@given(tree=trees, seed=st.integers(0, 99))
def test_no_file_gets_lost_whatever_the_order(
    write: Write, tree: dict[str, bytes], seed: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pairs = mmdata.read(write(pathlib.Path(folder), tree), on_problem="drop")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "scandir", shuffled_scandir(random.Random(seed).shuffle))
            again = mmdata.read(folder, on_problem="drop")
    assert (rows(again), again.report) == (rows(pairs), pairs.report)

    images = {name for name in tree if not name.endswith(".txt")}
    reported = [finding.path for finding in pairs.report.problems]
    assert images == set(pairs.images) | {path for path in reported if path in images}
    assert not set(pairs.images) & set(reported)
    assert len(reported) == len(set(reported))
    report_text = " ".join([*reported, details(pairs)])
    for text in tree.keys() - images:
        paired = any(
            unicodedata.normalize("NFC", image[:-4] + ".txt") == unicodedata.normalize("NFC", text)
            for image in pairs.images
        )
        assert paired or text in report_text or repr(text) in report_text


ids = st.integers(1, 6)
captions = st.lists(st.tuples(ids, st.sampled_from(["one", "two", "\ud800"])), max_size=8)


@linux
@given(
    disk=st.sets(names.map(lambda name: name + ".jpg")),
    listed=st.lists(st.tuples(ids, names.map(lambda name: name + ".jpg")), max_size=6),
    captions=captions,
)
def test_no_annotation_gets_lost(
    write: Write, disk: set[str], listed: list[tuple[int, str]], captions: list[tuple[int, str]]
) -> None:
    texts = [(id_, f"{n} {text}") for n, (id_, text) in enumerate([(0, "keep"), *captions])]
    content = document([(0, "keep.jpg"), *listed], texts)
    disk = {"keep.jpg", *disk}
    with tempfile.TemporaryDirectory() as folder:
        root = write(pathlib.Path(folder), {**dict.fromkeys(disk, ""), "c.json": content})
        pairs = mmdata.read(root, root / "c.json", on_problem="drop")
    reported = [finding.path for finding in pairs.report.problems]
    assert disk == set(pairs.images) | (disk & set(reported))
    assert not set(pairs.images) & set(reported)

    # Every annotation is a caption of an image, once, or is reported, or its image is reported.
    names = dict([*listed, (0, "keep.jpg")])
    report_text = " ".join([*reported, details(pairs)])
    for number, (id_, text) in enumerate([(0, "keep"), *captions]):
        paired = list(pairs.captions).count(f"{number} {text}")
        assert paired <= 1
        if not paired:
            where = f"c.json: annotations[{number}]"
            name = unicodedata.normalize("NFC", names.get(id_, where))
            assert where in reported or name in unicodedata.normalize("NFC", report_text)


# on_problem, and what the report shows.


def test_error_says_how_many_which_and_what_next(tmp_path: pathlib.Path, write: Write) -> None:
    files = {f"{n}.jpg": "" for n in range(7)} | {"a.txt": "", "b.jpg": "", "b.txt": " "}
    write(tmp_path, {**files, "c.jpg": "", "c.txt": "fine"})
    with pytest.raises(PairingError) as caught:
        mmdata.read(tmp_path)
    assert str(caught.value) == (
        "Every image needs a readable file and a caption; got 9 problem(s) in "
        f"{str(tmp_path)!r} and {str(tmp_path)!r}:\n"
        "  7 image(s) without a caption (missing_caption): "
        "'0.jpg', '1.jpg', '2.jpg', '3.jpg', '4.jpg', ...\n"
        "  1 caption(s) without an image (missing_image): 'a.txt'\n"
        "  1 image(s) whose caption is empty (empty_caption): 'b.jpg' ('b.txt' has no text)\n"
        'Fix the files, or pass on_problem="drop" to continue without them; the report lists '
        "them.\nAll problems are in .findings of this error."
    )

    assert [finding.path for finding in caught.value.findings] == [
        *(f"{n}.jpg" for n in range(7)),
        *("a.txt", "b.jpg"),
    ]


def test_dropping_is_not_advised_if_nothing_would_be_left(
    tmp_path: pathlib.Path, write: Write
) -> None:
    write(tmp_path, {"a.jpg": "", "b.txt": "a caption"})
    for on_problem in ("error", "drop"):
        with pytest.raises(PairingError, match="Nothing pairs at all") as caught:
            mmdata.read(tmp_path, on_problem=on_problem)
        assert "on_problem" not in str(caught.value)


@pytest.mark.parametrize(("count", "dots"), [(5, False), (6, True)])
def test_five_files_are_shown(count: int, dots: bool) -> None:
    found = [Finding("missing_image", f"{n}.txt") for n in range(count)]
    with pytest.raises(PairingError) as caught:
        raise_for(found, where="here")
    assert ("'4.txt', ..." in str(caught.value)) is dots
    assert "'4.txt'" in str(caught.value)
    assert "'5.txt'" not in str(caught.value)


def test_notices_do_not_raise(tmp_path: pathlib.Path, write: Write) -> None:
    pairs = mmdata.read(write(tmp_path, {f"{NFC}.jpg": "", f"{NFD}.txt": "c"}))
    assert pairs.report.counts == {"name_mismatch": 1}
    assert pairs.report.problems == ()


@pytest.mark.parametrize("value", ["errors", "Drop", "", "ignore"])
def test_on_problem_typo(tmp_path: pathlib.Path, value: Any) -> None:
    with pytest.raises(ValueError, match=f'must be "error", "drop" or a Problems; got {value!r}'):
        mmdata.read(tmp_path / "never looked at", on_problem=value)


def test_report_shows_everything(tmp_path: pathlib.Path, write: Write) -> None:
    files = {
        "a.jpg": "",
        "a.txt": "one\ntwo",
        "<b>&.jpg": "",
        "c.txt": "",
        "d.jpg": "",
        "d.txt": "",
    }
    pairs = mmdata.read(write(tmp_path, files), on_problem="drop")
    report = pairs.report
    assert report.counts == {
        "missing_caption": 1,
        "missing_image": 1,
        "empty_caption": 1,
        "several_lines": 1,
    }
    several = 'read as one caption per line; lines="one" reads each file as one caption'
    assert report.to_pandas().to_dict("records") == [
        {"kind": "missing_caption", "path": "<b>&.jpg", "detail": "", "count": 1},
        {"kind": "missing_image", "path": "c.txt", "detail": "", "count": 1},
        {"kind": "empty_caption", "path": "d.jpg", "detail": "'d.txt' has no text", "count": 1},
        {"kind": "several_lines", "path": "a.txt", "detail": several, "count": 1},
    ]
    assert json.loads(json.dumps(report.to_dict())) == {
        "layout": "sidecar",
        "images": 1,
        "pairs": 2,
        "findings": report.to_pandas().to_dict("records"),
        "counts": report.counts,
    }
    assert str(report) == (
        "1 image(s) with 2 caption(s), layout sidecar.\n"
        "  1 image(s) without a caption (missing_caption): '<b>&.jpg'\n"
        "  1 caption(s) without an image (missing_image): 'c.txt'\n"
        "  1 image(s) whose caption is empty (empty_caption): 'd.jpg' ('d.txt' has no text)\n"
        f"  1 caption file(s) of several lines (several_lines): 'a.txt' ({several})"
    )
    assert report._repr_html_() == f"<pre>{html.escape(str(report))}</pre>"
    assert "<b>" not in pairs._repr_html_()
    assert "&lt;b&gt;&amp;.jpg" in pairs._repr_html_()


def test_frame_of_no_findings() -> None:
    frame = PairingReport("sidecar", 1, 1).to_pandas()
    assert (list(frame.columns), len(frame)) == (["kind", "path", "detail", "count"], 0)


# Pairs and Strings.


@pytest.fixture
def pairs(tmp_path: pathlib.Path, write: Write) -> Pairs:
    files: dict[str, str | bytes] = {}
    for n in range(12):
        files[f"{n:02}.jpg"] = f"image {n}"
        files[f"{n:02}.txt"] = "\n".join(f"caption {n}.{m}" for m in range(n % 3 + 1))
    return mmdata.read(write(tmp_path, files))


def test_pairs_columns(pairs: Pairs, tmp_path: pathlib.Path) -> None:
    assert (len(pairs), pairs.pair_count) == (12, 24)
    assert pairs.offsets.dtype == np.int64
    assert pairs.paths == [str(tmp_path / f"{n:02}.jpg") for n in range(12)]
    assert [pairs.path(row) for row in range(12)] == pairs.paths
    assert pairs.captions_of(5) == ["caption 5.0", "caption 5.1", "caption 5.2"]
    assert pairs.to_pandas().to_dict("list") == {
        "image": pairs.paths,
        "captions": [pairs.captions_of(row) for row in range(12)],
    }
    assert repr(pairs) == f"<mmdata.Pairs: 12 images, 24 captions, {str(tmp_path)!r}>"


def test_rows_count_from_the_end_too(pairs: Pairs) -> None:
    assert pairs.path(-1) == pairs.path(11)
    assert pairs.captions_of(-1) == pairs.captions_of(11)


@pytest.mark.parametrize("row", [12, -13])
def test_row_out_of_range(pairs: Pairs, row: int) -> None:
    with pytest.raises(IndexError):
        pairs.path(row)
    with pytest.raises(IndexError):
        pairs.captions_of(row)


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, []), (1, [0]), (3, [0, 4, 8]), (5, [0, 2, 4, 6, 8]), (99, list(range(12)))],
)
def test_gallery_shows_some_from_all_over(pairs: Pairs, count: int, shown: list[int]) -> None:
    gallery = pairs.gallery(count)
    captions = [pairs.captions_of(row)[0] for row in range(12)]
    assert [row for row in range(12) if f"<figcaption><bdi>{captions[row]}<" in gallery] == shown
    assert gallery.count("<figure ") == len(shown)


texts = st.lists(st.text() | st.binary().map(os.fsdecode), max_size=8)


@given(texts)
def test_strings_is_a_list_of_str(expected: list[str]) -> None:
    strings = Strings.of(iter(expected))
    assert (len(strings), list(strings)) == (len(expected), expected)
    assert list(reversed(strings)) == expected[::-1]
    assert [strings[i] for i in range(-len(expected), len(expected))] == expected * 2
    assert all(text in strings for text in expected)
    for index in (len(expected), -len(expected) - 1):
        with pytest.raises(IndexError):
            strings[index]


@given(texts, st.slices(8))
def test_strings_slices(expected: list[str], part: slice) -> None:
    assert Strings.of(expected)[part] == expected[part]


@given(texts.filter(bool), st.data())
def test_strings_take(expected: list[str], data: st.DataObject) -> None:
    indices = data.draw(st.lists(st.integers(0, len(expected) - 1)))
    taken = Strings.of(expected).take(np.array(indices, np.int64))
    assert list(taken) == [expected[index] for index in indices]


def test_findings_are_in_natural_order() -> None:
    paths = ["c.csv:10", "c.csv:2", "b", "c.csv:2 a", "10", "9"]
    report = PairingReport("metadata", 0, 0, tuple(Finding("malformed", path) for path in paths))
    found = [finding.path for finding in report.findings]
    assert found == ["9", "10", "b", "c.csv:2", "c.csv:2 a", "c.csv:10"]
