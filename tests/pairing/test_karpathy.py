"""Layout "karpathy": what the published files hold, and what is wrong with others."""

import json
import pathlib
import tempfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.pairing.layouts import karpathy
from mmdata.pairing.layouts.documents import load, shown
from mmdata.pairing.listing import Listing
from mmdata.pairing.texts import TextDecoder
from mmdata.pairs.findings import PairingError

COCO: dict[str, Any] = {
    "filepath": "val2014",
    "filename": "COCO_val2014_000000522418.jpg",
    "cocoid": 522418,
    "imgid": 0,
    "sentids": [681330, 686718],
    "split": "restval",
    "sentences": [
        {"tokens": ["a", "woman", "cuts", "cake"], "raw": "A woman cuts cake. \n", "imgid": 0},
        {"tokens": ["a", "cake"], "raw": " A\t cake."},
    ],
}
FLICKR: dict[str, Any] = {
    "filename": "1000092795.jpg",
    "split": "val",
    "sentences": [{"tokens": ["two", "men"]}],
}
COCO_NAME = "val2014/COCO_val2014_000000522418.jpg"
LONE = "\ud800"


def read(folder: pathlib.Path, *images: Any) -> Listing:
    path = folder / "dataset_coco.json"
    path.write_text(json.dumps({"dataset": "coco", "images": images}))
    return karpathy.read(load(str(path), TextDecoder()))


def test_images(tmp_path: pathlib.Path) -> None:
    listing = read(tmp_path, COCO, FLICKR)
    assert listing == Listing(
        layout="karpathy",
        source="dataset_coco.json",
        names=[COCO_NAME, "1000092795.jpg"],
        captions=[["A woman cuts cake.", "A cake."], ["two men"]],
        places=[0, 1],
        place=": images[{}]",
        ids=[522418, None],
        splits=["train", "validation"],
    )
    assert listing.where(1) == "dataset_coco.json: images[1]"


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train", ["train"]),
        ("restval", ["train"]),
        ("val", ["validation"]),
        ("test", ["test"]),
        ("extra", ["extra"]),
        (None, None),
    ],
)
def test_splits(tmp_path: pathlib.Path, split: str | None, expected: list[str] | None) -> None:
    assert read(tmp_path, {**COCO, "split": split}).splits == expected


def test_some_without_split(tmp_path: pathlib.Path) -> None:
    without = {key: value for key, value in FLICKR.items() if key != "split"}
    assert read(tmp_path, COCO, without).splits == ["train", None]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([522418, 9], ["000000522418", "000000000009"]),
        ([522418, None], None),
        ([522418, "9"], None),
        ([522418, True], None),
        ([522418, 9.0], None),
        ([522418, -9], None),
        ([522418, 10**12], None),
        ([None, None], None),
    ],
)
def test_ids(tmp_path: pathlib.Path, ids: list[Any], expected: list[str] | None) -> None:
    assert read(tmp_path, *({**COCO, "cocoid": number} for number in ids)).stems == expected


def test_no_id_of_a_malformed_image(tmp_path: pathlib.Path) -> None:
    assert read(tmp_path, COCO, {**FLICKR, "filename": 3}).stems == ["000000522418"]


@pytest.mark.parametrize("folder", [None, ""])
def test_no_folder(tmp_path: pathlib.Path, folder: str | None) -> None:
    assert read(tmp_path, {**FLICKR, "filepath": folder}).names == ["1000092795.jpg"]


MALFORMED: dict[str, tuple[Any, str]] = {
    "no object": (17, "not an object with each key once: 17"),
    "no name": ({"sentences": []}, "filename is not the text of a path: None"),
    "an empty name": ({**FLICKR, "filename": ""}, "filename is empty"),
    "a number as a name": ({**FLICKR, "filename": 3}, "filename is not the text of a path: 3"),
    "NUL": ({**FLICKR, "filename": "a\0.jpg"}, r"filename is not the text of a path: 'a\x00.jpg'"),
    "half a character": (
        {**FLICKR, "filename": LONE},
        r"filename is not the text of a path: '\ud800'",
    ),
    "a number as a folder": ({**FLICKR, "filepath": 0}, "filepath is not the text of a path: 0"),
    "NUL in the folder": (
        {**FLICKR, "filepath": "\0"},
        r"filepath is not the text of a path: '\x00'",
    ),
    "a number as a split": ({**FLICKR, "split": 1}, "split is not text: 1"),
    "half a character as a split": ({**FLICKR, "split": LONE}, r"split is not text: '\ud800'"),
    "no sentences": ({"filename": "a.jpg"}, "sentences is not a list: None"),
    "sentences by name": ({**FLICKR, "sentences": {}}, "sentences is not a list: {}"),
}


@pytest.mark.parametrize(("image", "why"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_images(tmp_path: pathlib.Path, image: Any, why: str) -> None:
    listing = read(tmp_path, COCO, image, FLICKR)
    assert (listing.names, listing.places) == ([COCO_NAME, "1000092795.jpg"], [0, 2])
    found = [(finding.kind, finding.path, finding.detail) for finding in listing.findings]
    assert found == [("malformed", "dataset_coco.json: images[1]", why)]


@pytest.mark.parametrize(
    "sentence",
    ["A cake.", {}, {"raw": 3, "tokens": ["a"]}, {"raw": LONE}, {"tokens": "a"}, {"tokens": [1]}],
)
def test_malformed_sentences(tmp_path: pathlib.Path, sentence: Any) -> None:
    sentences = [sentence, {"raw": ""}, {"raw": "A cake."}]
    listing = read(tmp_path, {**FLICKR, "sentences": sentences}, COCO)
    assert listing.captions is not None
    assert listing.captions[0] == ["", "A cake."]
    (finding,) = listing.findings
    assert (finding.kind, finding.path) == ("malformed", "dataset_coco.json: images[0]")
    assert finding.detail.startswith("sentences[0] has no text in raw or tokens: ")


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("[]", r"must list images; got \[\]"),
        ("{}", r"must list images; got {}"),
        ('{"images": []}', "must list images; got {'images': \\[\\]}"),
        ('{"images": {"a": 1}}', "must list images"),
        ('{"images": ["a"]}', r"got images\[0\] is 'a'"),
        ('{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}', "must have sentences"),
    ],
)
def test_other_documents(tmp_path: pathlib.Path, document: str, why: str) -> None:
    path = tmp_path / "f.json"
    path.write_text(document)
    with pytest.raises(PairingError, match=rf"f\.json: .*{why}.*\. Required: \"images\""):
        karpathy.read(load(str(path), TextDecoder()))


# `documents.load`.


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ('"caf\u00e9"'.encode(), "caf\u00e9"),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'["\\ud83d"]', ["\ud83d"]),
        (b"[Infinity]", [float("inf")]),
        ('{"a": "caf\u00e9"}'.encode("utf-16"), {"a": "caf\u00e9"}),
    ],
)
def test_load(tmp_path: pathlib.Path, content: bytes, expected: Any) -> None:
    path = tmp_path / "f.json"
    path.write_bytes(content)
    assert load(str(path), TextDecoder()).value == expected


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'"\xff"',
        '"a"'.encode("utf-16-le"),
        b"[" * 100_000,
        b"1" * 5000,
        b'"\\ud800" \xff',
    ],
)
def test_not_json(tmp_path: pathlib.Path, content: bytes) -> None:
    path = tmp_path / "f.json"
    path.write_bytes(content)
    with pytest.raises(PairingError, match=r"f\.json: must be a JSON file.*; got ."):
        load(str(path), TextDecoder())


def test_shown_is_short() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep, "x" * 100]
    assert len(shown(deep)) <= 80


VALID = json.dumps({"images": [COCO, FLICKR]}).encode()
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=3),
    lambda values: (
        st.lists(values, max_size=2)
        | st.dictionaries(st.sampled_from([*COCO, "raw", "tokens"]), values, max_size=3)
    ),
    max_leaves=8,
)


@given(st.lists(json_values, max_size=4))
def test_nothing_gets_lost(images: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        listing = read(pathlib.Path(folder), COCO, *images)
    lost = [finding.path for finding in listing.findings]
    assert {*map(listing.where, range(len(listing.names))), *lost} == {
        f"dataset_coco.json: images[{index}]" for index in range(len(images) + 1)
    }


@given(st.integers(0, len(VALID)), st.integers(0, 5), st.binary(max_size=3))
def test_bytes(at: int, cut: int, put: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "f.json")
        path.write_bytes(VALID[:at] + put + VALID[at + cut :])
        try:
            listing = karpathy.read(load(str(path), TextDecoder()))
        except PairingError:
            return
    assert listing.captions is not None
    assert len(listing.names) == len(listing.captions) == len(listing.places) <= 2
