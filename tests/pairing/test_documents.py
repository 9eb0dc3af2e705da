"""JSON files: strict reading in each layout, and recognition of the layout."""

import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mmdata
from mmdata.pairing import recognition
from mmdata.pairing.layouts.documents import DuplicateKey, decode
from mmdata.pairs.findings import PairingError
from mmdata.pairs.pairs import Pairs

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text('a":\\ {}[],\n\u20ac', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('a":\\ ', max_size=3), inner)
    ),
    max_leaves=12,
)
separators = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :\t"), (",", "\n:")])


def rows(pairs: Pairs) -> dict[str, list[str]]:
    return {image: pairs.captions_of(row) for row, image in enumerate(pairs.images)}


@given(values, separators, st.booleans())
def test_strict_and_plain_json_agree(value: Any, separators: Any, escape: bool) -> None:
    text = json.dumps(value, separators=separators, ensure_ascii=escape)
    assert decode(text) == json.loads(text)


@given(values, values, values, separators)
def test_a_key_twice_is_found(first: Any, second: Any, other: Any, separators: Any) -> None:
    twice = (
        "{"
        + ",".join(
            f"{json.dumps(key)}{separators[1]}{json.dumps(value, separators=separators)}"
            for key, value in (('k":', first), ("o", other), ('k":', second))
        )
        + "}"
    )
    assert isinstance(decode(twice), DuplicateKey)
    nested = decode(f'{{"a": [1, {twice}], "b": {json.dumps(other)}}}')
    assert repr(nested["a"][1]) == """an object with the key 'k":' twice"""
    assert nested["b"] == other


# A list of records, the rows that it gives; beside a.jpg, b.jpg, and 1.jpg and 2.jpg in COCO's way.

ONE, TWO = "000000000001.jpg", "000000000002.jpg"
LISTS: dict[str, tuple[list[Any], str, dict[str, list[str]]]] = {
    "BLIP, LAVIS": (
        [
            {"caption": "A", "image": "a.jpg", "image_id": "coco_2"},
            {"caption": "B", "image": "b.jpg", "image_id": "coco_1"},
        ],
        "metadata",
        {"a.jpg": ["A"], "b.jpg": ["B"]},
    ),
    "ids that are others' names": (
        [
            {"image": "a.jpg", "caption": "A", "image_id": 2},
            {"image": TWO, "caption": "B", "image_id": 1},
        ],
        "metadata",
        {"a.jpg": ["A"], TWO: ["B"]},
    ),
    "results": (
        [{"image_id": 1, "caption": "A"}, {"image_id": "2", "caption": "B"}],
        "coco",
        {ONE: ["A"], TWO: ["B"]},
    ),
    "results with ids of their own": (
        [{"image_id": 1, "caption": "A", "id": 7}, {"image_id": 2, "caption": "B", "id": 8}],
        "coco",
        {ONE: ["A"], TWO: ["B"]},
    ),
    "results with an empty column": (
        [
            {"image_id": 1, "caption": "A", "filename": None},
            {"image_id": 2, "caption": "B", "filename": None},
        ],
        "coco",
        {ONE: ["A"], TWO: ["B"]},
    ),
    "results whose ids are names": (
        [{"image_id": "a.jpg", "caption": "A"}, {"image_id": "b", "caption": "B"}],
        "metadata",
        {"a.jpg": ["A"], "b.jpg": ["B"]},
    ),
    "a column of sentences": (
        [{"image": "a.jpg", "sentences": ["A", "B"]}, {"image": "b.jpg", "sentences": ["C"]}],
        "metadata",
        {"a.jpg": ["A", "B"], "b.jpg": ["C"]},
    ),
}


@pytest.mark.parametrize(("records", "layout", "expected"), LISTS.values(), ids=LISTS)
def test_lists(
    tmp_path: pathlib.Path, write: Write, records: list[Any], layout: str, expected: Any
) -> None:
    write(
        tmp_path, {**dict.fromkeys(["a.jpg", "b.jpg", ONE, TWO], ""), "c.json": json.dumps(records)}
    )
    pairs = mmdata.read(tmp_path, tmp_path / "c.json", on_problem="drop")
    assert (pairs.report.layout, rows(pairs)) == (layout, expected)
    if layout == "metadata":
        write(tmp_path, {"c.jsonl": "".join(json.dumps(record) + "\n" for record in records)})
        lines = mmdata.read(tmp_path, tmp_path / "c.jsonl", on_problem="drop")
        assert rows(lines) == expected


def test_named_columns_make_a_list_a_table() -> None:
    results = [{"image_id": 1, "caption": "A"}]
    assert recognition.of_json(results) == "coco"
    assert recognition.of_json(results, is_table=True) == "metadata"


@pytest.mark.parametrize("before", [0, 100_000])
def test_karpathy_however_far_its_sentences_are(before: int) -> None:
    value = {"dataset": "x" * before, "images": [{"filename": "a"}, {"sentences": []}]}
    assert recognition.of_json(value) == "karpathy"
    assert recognition.of_json({"images": [{"id": 1}], "annotations": ["sentences"]}) == "coco"


# A key twice in an entry: the entry is reported, and the others are read.

IMAGES = '"images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}]'
TWICE: dict[str, tuple[str, dict[str, list[str]], list[str]]] = {
    "coco annotation": (
        f'{{{IMAGES}, "annotations": [{{"image_id": 1, "caption": "A", "caption": "X"}},'
        ' {"image_id": 2, "caption": "B"}]}',
        {"b.jpg": ["B"]},
        ["missing_caption a.jpg", "malformed c.json: annotations[0]"],
    ),
    "coco image": (
        '{"images": [{"id": 1, "file_name": "a.jpg", "id": 3}, {"id": 2, "file_name": "b.jpg"}],'
        ' "annotations": [{"image_id": 1, "caption": "A"}, {"image_id": 2, "caption": "B"}]}',
        {"b.jpg": ["B"]},
        [
            *("missing_caption a.jpg", "malformed c.json: annotations[0]"),
            "malformed c.json: images[0]",
        ],
    ),
    "karpathy sentence": (
        '{"images": [{"filename": "a.jpg", "sentences": [{"raw": "A", "raw": "X"}, {"raw": "C"}]},'
        ' {"filename": "b.jpg", "sentences": [{"raw": "B"}]}]}',
        {"a.jpg": ["C"], "b.jpg": ["B"]},
        ["malformed c.json: images[0]"],
    ),
    "karpathy image": (
        '{"images": [{"filename": "a.jpg", "sentences": [{"raw": "A"}], "filename": "b.jpg"},'
        ' {"filename": "b.jpg", "sentences": [{"raw": "B"}]}]}',
        {"b.jpg": ["B"]},
        ["missing_caption a.jpg", "malformed c.json: images[0]"],
    ),
    "every image of karpathy": (
        '{"images": [{"filename": "a.jpg", "split": "a", "split": "b", "sentences": []}, '
        '{"filename": "b.jpg", "sentences": [{"raw": "B"}]}]}',
        {"b.jpg": ["B"]},
        ["missing_caption a.jpg", "malformed c.json: images[0]"],
    ),
    "list": (
        '[{"image": "a.jpg", "caption": "A", "image": "b.jpg"},'
        ' {"image": "b.jpg", "caption": "B"}]',
        {"b.jpg": ["B"]},
        ["missing_caption a.jpg", "malformed c.json[0]"],
    ),
}


@pytest.mark.parametrize(("content", "expected", "problems"), TWICE.values(), ids=TWICE)
def test_a_key_twice(
    tmp_path: pathlib.Path, write: Write, content: str, expected: Any, problems: list[str]
) -> None:
    write(tmp_path, {"a.jpg": "", "b.jpg": "", "c.json": content})
    pairs = mmdata.read(tmp_path, tmp_path / "c.json", on_problem="drop")
    assert rows(pairs) == expected
    assert [f"{found.kind} {found.path}" for found in pairs.report.problems] == problems
    assert "twice" in str(pairs.report)


@pytest.mark.parametrize("layout", ["auto", "coco", "karpathy", "metadata"])
def test_the_outermost_object_has_a_key_twice(
    tmp_path: pathlib.Path, write: Write, layout: Any
) -> None:
    write(tmp_path, {"a.jpg": "", "c.json": '{"images": [], "images": [], "annotations": []}'})
    with pytest.raises(PairingError, match=r"must have each key once; got .* key 'images' twice"):
        mmdata.read(tmp_path, tmp_path / "c.json", layout=layout, on_problem="drop")


def test_all_lines_malformed(tmp_path: pathlib.Path, write: Write) -> None:
    write(tmp_path, {"a.jpg": "", "c.jsonl": '{"image": "a.jpg", "image": "b"}\n' * 3})
    with pytest.raises(PairingError) as caught:
        mmdata.read(tmp_path, tmp_path / "c.jsonl")
    assert "got 3 malformed one(s), e.g. c.jsonl:1: must be an object" in str(caught.value)
    assert len(caught.value.findings) == 3


@pytest.mark.parametrize(("encoding", "argument"), [("utf-16", None), ("latin-1", "latin-1")])
@pytest.mark.parametrize("name", ["c.json", "k.json", "l.json"])
def test_encodings(
    tmp_path: pathlib.Path, write: Write, name: str, encoding: str, argument: str | None
) -> None:
    content = {
        "c.json": f'{{{IMAGES}, "annotations": [{{"image_id": 1, "caption": "caf\u00e9"}}]}}',
        "k.json": '{"images": [{"filename": "a.jpg", "sentences": [{"raw": "caf\u00e9"}]}]}',
        "l.json": '[{"image": "a.jpg", "caption": "caf\u00e9"}]',
    }
    write(tmp_path, {"a.jpg": "", "b.jpg": "", name: content[name].encode(encoding)})
    pairs = mmdata.read(tmp_path, tmp_path / name, encoding=argument, on_problem="drop")
    assert rows(pairs) == {"a.jpg": ["caf\u00e9"]}
    assert pairs.report.counts["coerced"] == 1


# Captions that are marked, and captions that are no text.


def test_rejected_captions_are_left_out(tmp_path: pathlib.Path, write: Write) -> None:
    annotations = [
        {"image_id": 1, "caption": "Quality issues.", "is_rejected": True, "is_precanned": True},
        {"image_id": 1, "caption": "A", "is_rejected": False, "is_precanned": False},
        {"image_id": 2, "caption": "Quality issues.", "is_precanned": True},
    ]
    content = f'{{{IMAGES}, "annotations": {json.dumps(annotations)}}}'
    table = "image,caption,is_rejected\na.jpg,A,False\na.jpg,X,True\nb.jpg,Y,1\n"
    pandas = "image,caption,is_rejected\na.jpg,A,\na.jpg,X,1.0\nb.jpg,Y,yes\n"
    tables = {"c.json": content, "c.csv": table, "p.csv": pandas}
    write(tmp_path, {"a.jpg": "", "b.jpg": "", **tables})
    for name in tables:
        pairs = mmdata.read(tmp_path, tmp_path / name, on_problem="drop")
        assert rows(pairs) == {"a.jpg": ["A"]}
        assert pairs.report.counts["rejected"] == 2
        assert [found.path for found in pairs.report.problems] == ["b.jpg"]


def test_all_entries_of_karpathy_have_a_key_twice(tmp_path: pathlib.Path, write: Write) -> None:
    content = '{"images": [{"filename": "a.jpg", "split": "a", "split": "b", "sentences": []}]}'
    write(tmp_path, {"a.jpg": "", "c.json": content})
    with pytest.raises(PairingError, match="an object with the key 'split' twice"):
        mmdata.read(tmp_path, tmp_path / "c.json")


@pytest.mark.parametrize("word", ["nan", "NULL", "None", "<NA>"])
def test_words_for_no_text(tmp_path: pathlib.Path, write: Write, word: str) -> None:
    table = f"image,caption\na.jpg,{word}\na.jpg,a nan\nb.jpg, {word} \n"
    write(tmp_path, {"a.jpg": "", "b.jpg": "", "c.csv": table})
    pairs = mmdata.read(tmp_path, tmp_path / "c.csv", on_problem="drop")
    assert rows(pairs) == {"a.jpg": ["a nan"]}
    assert [(f.kind, f.path) for f in pairs.report.findings] == [
        ("empty_caption", "b.jpg"),
        ("blank_caption", "a.jpg"),
    ]
    assert all(repr(word) in found.detail for found in pairs.report.findings)
