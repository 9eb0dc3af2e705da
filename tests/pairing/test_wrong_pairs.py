"""Misleading names, ids and lines give no wrong pair.

Each row that remains is right, and everything else is named by a finding; or the file is refused.
"""

import io
import json
import pathlib
import tarfile
from collections.abc import Callable, Mapping
from typing import Any

import datasets
import pytest

import mmdata
from mmdata.pairs.findings import Finding, PairingError

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]
Rows = dict[str, list[str]]


def coco(images: list[tuple[Any, str]], captions: list[tuple[Any, str]]) -> str:
    return json.dumps(
        {
            "images": [{"id": identity, "file_name": name} for identity, name in images],
            "annotations": [{"image_id": identity, "caption": text} for identity, text in captions],
        }
    )


def karpathy(*images: tuple[str, int, str]) -> str:
    entries = [
        {"filename": name, "cocoid": identity, "split": "train", "sentences": [{"raw": text}]}
        for name, identity, text in images
    ]
    return json.dumps({"images": entries})


def lines(*given: str) -> str:
    return "".join(line + "\n" for line in given)


def jsonl(*records: dict[str, Any]) -> str:
    return lines(*map(json.dumps, records))


def tar(members: dict[str, str]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content.encode()))
    return sink.getvalue()


# Images; the caption file, if not beside them; the right rows; what a finding must name, where
# either of the two names is enough if there are two.

KEPT = {"k.jpg": ["K"]}
CASES: dict[str, tuple[str, dict[str, str | bytes], Rows, list[str | tuple[str, str]]]] = {
    "another case, and both folders are there": (
        "B/1.jpg b/2.jpg",
        {"t.csv": lines("image,text,n", "b/1.jpg,b1,0", "B/2.jpg,B2,0", "b/2.jpg,b2,0")},
        {"b/2.jpg": ["b2"]},
        ["B/1.jpg", "b/1.jpg", "B/2.jpg"],
    ),
    "no extension, and the other file has a row": (
        "a.jpg a.png",
        {"t.csv": lines("image,text,n", "a,of a,0", "a.jpg,of a.jpg,0")},
        {"a.jpg": ["of a.jpg"]},
        ["a.png", ("a", "t.csv:2")],
    ),
    "no extension, and the other file is gone": (
        "a.png k.jpg",
        {"t.csv": lines("image,text,n", "a,of a,0", "a.jpg,of a.jpg,0", "k.jpg,K,0")},
        KEPT,
        ["a.png", ("a", "t.csv:2"), "a.jpg"],
    ),
    "metadata of one folder, a file of another": (
        "x/k.jpg y/a.jpg y/k.jpg",
        {
            "images/x/metadata.csv": lines("file_name,text", "a.jpg,of x/a", "k.jpg,xk"),
            "images/y/metadata.csv": lines("file_name,text", "k.jpg,yk"),
        },
        {"x/k.jpg": ["xk"], "y/k.jpg": ["yk"]},
        ["x/a.jpg", "y/a.jpg"],
    ),
    "COCO, an id that is the end of another name": (
        "000000000002.jpg k.jpg",
        {"t.json": coco([(2, "000000000001.jpg"), (9, "k.jpg")], [(2, "of 1"), (9, "K")])},
        KEPT,
        ["000000000001.jpg", "000000000002.jpg"],
    ),
    "Karpathy, an id that is the end of another name": (
        "v_000000000042.jpg k.jpg",
        {"t.json": karpathy(("v_000000000041.jpg", 42, "of 41"), ("k.jpg", 9, "K"))},
        KEPT,
        ["v_000000000041.jpg", "v_000000000042.jpg"],
    ),
    "COCO, a name under two ids": (
        "a.jpg k.jpg",
        {
            "t.json": coco(
                [(1, "a.jpg"), (2, "a.jpg"), (3, "k.jpg")], [(1, "A"), (2, "B"), (3, "K")]
            )
        },
        KEPT,
        ["a.jpg"],
    ),
    "COCO, a name under two ids, spelled in two ways": (
        "a.jpg k.jpg",
        {
            "t.json": coco(
                [(1, "a.jpg"), (2, "./a.jpg"), (3, "k.jpg")], [(1, "A"), (2, "B"), (3, "K")]
            )
        },
        KEPT,
        ["a.jpg"],
    ),
    "Karpathy, a name under two ids": (
        "a.jpg k.jpg",
        {"t.json": karpathy(("a.jpg", 1, "A"), ("a.jpg", 2, "B"), ("k.jpg", 3, "K"))},
        KEPT,
        ["a.jpg"],
    ),
    "COCO, an id that is true": (
        "a.jpg k.jpg",
        {"t.json": coco([(1, "a.jpg"), (3, "k.jpg")], [(True, "?"), (1, "A"), (3, "K")])},
        {"a.jpg": ["A"], **KEPT},
        ["annotations[0]"],
    ),
    "COCO, an id that a float rounds": (
        "a.jpg k.jpg",
        {
            "t.json": coco(
                [(2**53 + 1, "a.jpg"), (2**53, "k.jpg")], [("FLOAT", "?"), (2**53, "K")]
            ).replace('"FLOAT"', f"{2**53 + 1}.0")
        },
        KEPT,
        ["a.jpg", "annotations[0]"],
    ),
    "COCO, two names in an entry": (
        "a.jpg b.jpg k.jpg",
        {
            "t.json": coco([(1, "a.jpg"), (3, "k.jpg")], [(1, "A"), (3, "K")]).replace(
                '"file_name": "a.jpg"', '"file_name": "a.jpg", "file_name": "b.jpg"'
            )
        },
        KEPT,
        ["a.jpg", "b.jpg"],
    ),
    "COCO, two images of a caption": (
        "a.jpg b.jpg k.jpg",
        {
            "t.json": coco(
                [(1, "a.jpg"), (2, "b.jpg"), (3, "k.jpg")], [(1, "A"), (2, "B"), (3, "K")]
            ).replace('"image_id": 1', '"image_id": 1, "image_id": 2')
        },
        {"b.jpg": ["B"], **KEPT},
        ["annotations[0]"],
    ),
    "Karpathy, sentences twice in an entry": (
        "a.jpg k.jpg",
        {
            "t.json": karpathy(("a.jpg", 1, "A"), ("k.jpg", 3, "K")).replace(
                '"cocoid": 1', '"sentences": [{"raw": "?"}], "cocoid": 1'
            )
        },
        KEPT,
        ["a.jpg"],
    ),
    "results that name images beside ids": (
        "a.jpg b.jpg 000000000001.jpg",
        {
            "t.json": json.dumps(
                [
                    {"image": "a.jpg", "image_id": 1, "caption": "A"},
                    {"image": "b.jpg", "image_id": 2, "caption": "B"},
                ]
            )
        },
        {"a.jpg": ["A"], "b.jpg": ["B"]},
        ["000000000001.jpg"],
    ),
    "Flickr, a number behind the extension, and the name without it": (
        "a.jpg k.jpg",
        {"t.token.txt": lines("a.jpg#0\tA", "a.jpg.1#0\tof another", "k.jpg#0\tK")},
        {"a.jpg": ["A"], **KEPT},
        ["a.jpg.1"],
    ),
    "Flickr8k, two lines in one": (
        "a.jpg b.jpg k.jpg",
        {"t.token.txt": lines("a.jpg#0\tA dogb.jpg#0\tB", "b.jpg#1\tC", "k.jpg#0\tK")},
        {"b.jpg": ["C"], **KEPT},
        ["a.jpg", "t.token.txt:1"],
    ),
    "Flickr30k, two lines in one": (
        "a.jpg b.jpg k.jpg",
        {
            "t.csv": lines(
                "image_name| comment_number| comment",
                *("a.jpg| 0| A dogb.jpg| 0| B", "b.jpg| 1| C", "k.jpg| 0| K"),
            )
        },
        {"b.jpg": ["C"], **KEPT},
        ["a.jpg", "t.csv:2"],
    ),
    "Flickr, another text beside the caption file": (
        "a.jpg b.jpg",
        {"d/t.token.txt": lines("a.jpg#0\tA"), "d/b.txt": "B"},
        {"a.jpg": ["A"]},
        ["b.jpg", "b.txt"],
    ),
    "a row without a caption, of an image that has others": (
        "a.jpg k.jpg",
        {
            "t.jsonl": jsonl(
                {"image": "a.jpg", "text": "A"},
                {"image": "a.jpg", "txet": "B"},
                {"image": "k.jpg", "text": "K"},
            )
        },
        {"a.jpg": ["A"], **KEPT},
        [("a.jpg", "t.jsonl:2")],
    ),
    "null for a caption, of an image that has others": (
        "a.jpg k.jpg",
        {
            "t.json": json.dumps(
                [
                    {"image": "a.jpg", "text": "A"},
                    {"image": "a.jpg", "text": None},
                    {"image": "k.jpg", "text": "K"},
                ]
            )
        },
        {"a.jpg": ["A"], **KEPT},
        [("a.jpg", "t.json[1]")],
    ),
    "a list without its end among lists": (
        "a.jpg k.jpg",
        {"t.csv": lines("image,text,n", 'a.jpg,"[""A"", ""B""",0', 'k.jpg,"[""K""]",0')},
        KEPT,
        ["a.jpg", "t.csv:2"],
    ),
    "a list without its begin among lists": (
        "a.jpg k.jpg",
        {"t.csv": lines("image,text,n", 'a.jpg,"""A"", ""B""]",0', 'k.jpg,"[""K""]",0')},
        KEPT,
        ["a.jpg", "t.csv:2"],
    ),
    "lists in cells, and a line of too many": (
        "a.jpg b.jpg k.jpg",
        {
            "t.csv": lines(
                "image,caption", 'a.jpg,"[""A"", ""B""]"', 'b.jpg,"[""C""]"', "k.jpg,K, K"
            )
        },
        {"a.jpg": ["A", "B"], "b.jpg": ["C"], "k.jpg": ["K, K"]},
        [],
    ),
    "a cell of two lines, and a line of too many": (
        "a.jpg b.jpg k.jpg",
        {"t.csv": lines("image,caption", 'a.jpg,"A', 'B"', 'b.jpg,"C, D"', "k.jpg,K, K")},
        {"a.jpg": ["A\nB"], "b.jpg": ["C, D"], "k.jpg": ["K, K"]},
        [],
    ),
    "CSV, a quote that swallows rows": (
        "a.jpg b.jpg k.jpg",
        {"t.csv": lines("image,text", 'a.jpg,"A', "b.jpg,B", 'k.jpg,"', "b.jpg,C", "k.jpg,K")},
        {"b.jpg": ["C"], **KEPT},
        ["a.jpg", "t.csv:2"],
    ),
    "TSV, a quote that swallows rows": (
        "a.jpg b.jpg k.jpg",
        {
            "t.tsv": lines(
                "image\ttext", 'a.jpg\t"A', "b.jpg\tB", 'k.jpg\tD"', "b.jpg\tC", "k.jpg\tK"
            )
        },
        {"b.jpg": ["C"], **KEPT},
        ["a.jpg", "t.tsv:2"],
    ),
    "CSV, a delimiter lost before a quote": (
        "a.jpg k.jpg",
        {"t.csv": lines("image,n,text", 'a.jpg,2"A dog, and so on"', "k.jpg,2,K")},
        KEPT,
        ["a.jpg", "t.csv:2"],
    ),
    "a numbered caption file among numbered images": (
        "f.jpg f.2.jpg",
        {"images/f.txt": "F", "images/f.1.txt": "of f.1", "images/f.2.txt": "F2"},
        {"f.jpg": ["F"], "f.2.jpg": ["F2"]},
        ["f.1.txt"],
    ),
    "a shard, a caption twice in its JSON": (
        "",
        {
            "t.tar": tar(
                {"a.jpg": "", "a.json": '{"caption": "A", "caption": "B"}'}
                | {"k.jpg": "", "k.txt": "K"}
            )
        },
        {"t.tar/k.jpg": ["K"]},
        [("t.tar: a.json", "t.tar/a.jpg")],
    ),
}


def read(folder: pathlib.Path, source: str) -> tuple[Rows, tuple[Finding, ...]]:
    captions = folder / source
    arguments = (
        [captions]
        if source.endswith(".tar")
        else [folder / "images"]
        if source.startswith("images/")
        else [folder / "images", captions.parent if source.startswith("d/") else captions]
    )
    try:
        pairs = mmdata.read(*arguments, on_problem="drop")
    except PairingError as err:
        return {}, err.findings
    rows = {image: pairs.captions_of(row) for row, image in enumerate(pairs.images)}
    return rows, pairs.report.findings


@pytest.mark.parametrize(("images", "captions", "right", "named"), CASES.values(), ids=CASES)
def test_no_wrong_pair(
    tmp_path: pathlib.Path,
    write: Write,
    images: str,
    captions: dict[str, str | bytes],
    right: Rows,
    named: list[str | tuple[str, str]],
) -> None:
    write(tmp_path / "images", dict.fromkeys(images.split(), ""))
    write(tmp_path, captions)
    rows, findings = read(tmp_path, next(iter(captions)))
    assert {image: right.get(image) for image in rows} == rows
    if not rows and not findings:
        return  # refused as a whole
    reported = [*(f.path for f in findings), *(f.detail for f in findings)]
    names = [*named, *(image for image in right if image not in rows)]
    for name in names:
        spellings = (name,) if isinstance(name, str) else name
        assert any(is_named(spelling, reported) for spelling in spellings), (name, reported)


def is_named(name: str, reported: list[str]) -> bool:
    """Whether a finding's path or detail is a name, begins or ends with it, or quotes it."""
    return any(
        text == name
        or text.endswith(f" {name}")
        or text.startswith(f"{name} ")
        or repr(name) in text
        for text in reported
    )


def test_images_inside_of_a_dataset_are_no_files_of_the_same_name(
    tmp_path: pathlib.Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"a.jpg": "another image", "b.jpg": "another image"})
    monkeypatch.chdir(tmp_path)
    images = [{"bytes": name.encode(), "path": name} for name in ("a.jpg", "b.jpg")]
    found = datasets.Dataset.from_dict({"image": images, "caption": ["A", "B"]})
    with pytest.raises(
        PairingError, match="must name image files; got images with paths and bytes"
    ):
        mmdata.read(found.cast_column("image", datasets.Image()), on_problem="drop")
