"""Layout "metadata": names, captions and columns in each format; no row is lost."""

import json
import pathlib
import re
import tempfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.optional import require
from mmdata.pairing import recognition
from mmdata.pairing.layouts import tables
from mmdata.pairing.layouts.table_columns import Columns
from mmdata.pairing.layouts.table_files import Table
from mmdata.pairing.listing import Listing
from mmdata.pairing.texts import TextDecoder
from mmdata.pairs.findings import PairingError

pa = require("pyarrow", extra="parquet")
pq = require("pyarrow.parquet", extra="parquet")

TWO = "a.jpg,A cat.\nb.jpg,A dog.\n"


def read(name: str, content: str | bytes, prefix: str = "", **columns: Any) -> Listing:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        decoder = columns.pop("decoder", TextDecoder())
        return tables.read(str(path), columns=Columns(**columns), decoder=decoder, prefix=prefix)


def parquet(columns: dict[str, Any]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return bytes(sink.getvalue())


def lines(*records: Any) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def pairs(listing: Listing) -> list[tuple[str, list[str]]]:
    assert listing.captions is not None
    assert len(listing.names) == len(listing.captions) == len(listing.places)
    return list(zip(listing.names, listing.captions, strict=True))


def seen(listing: Listing) -> list[str]:
    return [f"{found.kind} {found.path}: {found.detail}" for found in listing.findings]


# File, content, pairs. Nothing else is found.

A = ("a", ["A"])
AB = [("a.jpg", ["A cat."]), ("b.jpg", ["A dog."])]
RECORDS = [{"image": "a.jpg", "caption": "A cat."}, {"image": "b.jpg", "caption": "A dog."}]
READ: dict[str, tuple[str, str | bytes, list[tuple[str, list[str]]]]] = {
    "csv": ("m.csv", "image,caption\n" + TWO, AB),
    "windows": ("m.csv", ("image,caption\n" + TWO).replace("\n", "\r\n"), AB),
    "blank lines": ("m.csv", "\n \nimage,caption\n\na.jpg,A cat.\n  \nb.jpg,A dog.\n\n", AB),
    "byte order mark": ("m.csv", b"\xef\xbb\xbf" + f"image,caption\n{TWO}".encode(), AB),
    "semicolons": ("m.csv", "image;caption;x,y\na.jpg;A cat.;1\nb.jpg;A dog.;2\n", AB),
    "pipes, padded": ("m.CSV", "image_name| text\na.jpg| A cat. \nb.jpg|A dog.\n", AB),
    "tabs in .txt": ("m.txt", "id\tprompt\na.jpg\tA cat.\nb.jpg\tA dog.\n", AB),
    "tabs only in .tsv": ("m.tsv", "file\ta,b,c\ttext\na.jpg\t1\tA cat.\nb.jpg\t2\tA dog.\n", AB),
    "tabs only in .tab": ("m.tab", "file\ta,b,c\ttext\na.jpg\t1\tA cat.\nb.jpg\t2\tA dog.\n", AB),
    "quoted": ("m.csv", 'image,caption\na.jpg,"A ""cat"",\ntwo"\n', [("a.jpg", ['A "cat",\ntwo'])]),
    "quotes inside": ("m.csv", 'image,caption\na.jpg,A "cat"\n', [("a.jpg", ['A "cat"'])]),
    "names are not stripped": ("m.csv", "image,caption\n a.jpg,A\n", [(" a.jpg", ["A"])]),
    "strongest name": ("m.csv", "id,file_name,image,text\n1,a,x,A\n", [A]),
    "spelling": ("m.csv", "File-Name, Sentence \na,A\n", [A]),
    "blank": ("m.csv", "image,caption\na.jpg, \n", [("a.jpg", [""])]),
    "family": (
        "m.csv",
        "image,caption_10,caption_2,Caption 1\na.jpg,C,B,A\nb.jpg,,B,\nc.jpg,,,\n",
        [("a.jpg", ["A", "B", "C"]), ("b.jpg", ["B"]), ("c.jpg", [""])],
    ),
    "jsonl": ("m.JSONL", lines(*RECORDS), AB),
    "ndjson": ("m.ndjson", "\n" + lines(*RECORDS) + "\n \n", AB),
    "separators of Unicode": ("m.jsonl", '{"id": 7, "text": "A\u2028B"}\n', [("7", ["A\u2028B"])]),
    "json": ("m.json", json.dumps(RECORDS), AB),
    "json captions": (
        "m.jsonl",
        lines(
            *({"id": n, "text": v} for n, v in enumerate([[" A ", "B"], [], None, " "])), {"id": 4}
        ),
        [("0", ["A", "B"]), ("1", []), ("2", []), ("3", [""]), ("4", [])],
    ),
    "json family": (
        "m.jsonl",
        lines({"id": "a", "raw0": "A", "raw1": ["", "B"]}, {"id": "b"}, {"id": "c", "raw1": ""}),
        [("a", ["A", "B"]), ("b", []), ("c", [""])],
    ),
    "parquet": ("m.parquet", parquet({"id": ["a", "b"], "raw": ["A", None]}), [A, ("b", [])]),
    "parquet lists": (
        "m.parquet",
        parquet({"id": [1, 2], "raw": [["A "], []]}),
        [("1", ["A"]), ("2", [])],
    ),
    "parquet struct": (
        "m.parquet",
        parquet({"id": [{"path": "a", "bytes": None}], "raw": ["A"]}),
        [A],
    ),
    "parquet categories": (
        "m.parquet",
        parquet({"id": ["a"], "raw": pa.array(["A"]).dictionary_encode()}),
        [A],
    ),
}


@pytest.mark.parametrize(("name", "content", "expected"), READ.values(), ids=READ)
def test_read(name: str, content: str | bytes, expected: list[tuple[str, list[str]]]) -> None:
    listing = read(name, content)
    assert pairs(listing) == expected
    assert (listing.layout, listing.source, listing.findings) == ("metadata", name, [])


def test_marks_that_cannot_be_read() -> None:
    marks = {"is_precanned": [{"a": 1}, {"a": 2}], "is_rejected": [True, False]}
    listing = read("m.parquet", parquet({"id": ["a", "b"], "raw": ["A", "B"], **marks}))
    assert pairs(listing) == [("b", ["B"])]
    assert seen(listing)[0] == "rejected m.parquet row 0: marked as is_rejected"


LISTS = {
    '["A cat.", " \\u00e9 "]': ["A cat.", "é"],
    "['A cat. ', \"it's\"]": ["A cat.", "it's"],
    "['A cat.' 'A dog.'\n 'B']": ["A cat.", "A dog.", "B"],
    r"['it\'s \d', 'B']": [r"it's \d", "B"],
    r"""["it\'s"]""": ["it's"],
    "[]": [],
    "[1, 2]": None,
    "[A cat]": None,
    "[" * 100_000 + "]": None,
    "{}": None,
}


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("m.csv", "image,caption\na,A\nb,B", 3),
        ("m.tsv", "image\tcaption\r\nb\tB", 2),
        ("m.jsonl", '{"id": "a", "text": "A"}\n\n{"id": "b", "text": "B"}', 3),
    ],
)
def test_no_line_feed_at_the_end(name: str, content: str, line: int) -> None:
    listing = read(name, content)
    assert pairs(listing)[-1] == ("b", ["B"])
    assert seen(listing) == [f"cut_off {name}:{line}: no line feed at the end of the file"]
    assert not listing.findings[0].is_problem


BROKEN_LISTS = (
    *('["A", null]', "['A', 1]", "['A' 'B'] more", "['A''B']", r"['\x']", "['A', 'B", "[ 'A', B]"),
    *(r"['\N{no such}', 'B']", "['" + "'" * 20_000 + "]"),
)


@pytest.mark.parametrize("cell", BROKEN_LISTS)
def test_a_list_in_a_cell_that_is_broken(cell: str) -> None:
    content = 'image,caption\na,b\nc,"' + cell.replace('"', '""') + '"\n'
    listing = read("m.csv", content)
    assert pairs(listing) == [("a", ["b"])]
    assert seen(listing)[0].startswith("malformed m.csv:3: an invalid list of texts")


@pytest.mark.parametrize(("cell", "expected"), LISTS.items(), ids=range(len(LISTS)))
def test_a_cell_of_text_may_hold_a_list(cell: str, expected: list[str] | None) -> None:
    quoted = cell.replace('"', '""')
    listing = read("m.csv", f'id,text\n1,"{quoted}"\n')
    assert pairs(listing) == [("1", [cell] if expected is None else expected)]


def test_places_and_prefix() -> None:
    listing = read("metadata.csv", 'image,caption\n\na.jpg,"A\ncat"\nb.jpg,B\n', prefix="train/")
    assert listing.names == ["train/a.jpg", "train/b.jpg"]
    assert [listing.where(entry) for entry in range(2)] == [
        "train/metadata.csv:3",
        "train/metadata.csv:5",
    ]
    table = parquet({"image": ["a.jpg", None, "b.jpg"], "text": ["A", "B", "C"]})
    assert read("m.parquet", table).where(1) == "m.parquet row 2"
    assert seen(read("m.parquet", table)) == [
        "malformed m.parquet row 1: no image in column 'image': None"
    ]
    assert read("m.json", json.dumps(RECORDS)).where(1) == "m.json[1]"
    assert read("m.jsonl", "\n" + lines(*RECORDS)).where(1) == "m.jsonl:3"


def test_columns_of_text() -> None:
    head = "image,Split,caption,weight,n,code, free ,\n"
    listing = read(
        "m.csv", head + "a, train,A,2.5, 1,007, x ,y\nb,, B, ,,1,,\nc,test,C,-1,x,2,z,\n"
    )
    assert listing.splits == ["train", ""]
    assert listing.weights == [2.5, 1.0]
    assert listing.columns == {"n": [1, None], "code": ["007", "1"], "free": ["x", ""]}
    assert seen(listing) == [
        "malformed m.csv:4: a weight must be a number from 0 to below 1e+30; got '-1'",
        "ignored m.csv: column '': it has no name",
    ]


def test_columns_of_values() -> None:
    huge = {"id": 1, "caption": "A", "w": [1], "m": "x", "big": 10**400, "d": {}, "n": 1, "s": "x"}
    listing = read(
        "m.jsonl", lines(huge, {"id": 2, "m": 1, "big": 0.5, "n": None, "split": "test"})
    )
    assert listing.splits == [None, "test"]
    assert listing.weights is None
    assert listing.columns == {"n": [1, None], "s": ["x", None]}
    why = "not all of its values are text, numbers or bools"
    assert seen(listing) == [
        f"ignored m.jsonl: column {name!r}: {why}" for name in ("w", "m", "big", "d")
    ]


def test_columns_of_parquet() -> None:
    table = parquet(
        {
            "file_name": ["a", "b"],
            "text": ["A", "B"],
            "n": [1, None],
            "ok": [True, False],
            "when": pa.array([0, 1], pa.timestamp("ns")),
            "mask": [{"path": "x", "bytes": b"x"}] * 2,
            "raw_bytes": [b"x", b"y"],
            "weight": [0, 3],
        }
    )
    listing = read("m.parquet", table)
    assert listing.columns == {"n": [1, None], "ok": [True, False]}
    assert listing.weights == [0.0, 3.0]
    assert [found.detail.split(":")[0] for found in listing.findings] == [
        "column 'when'",
        "column 'mask'",
        "column 'raw_bytes'",
    ]


def test_named_columns() -> None:
    content = "image,caption,text,a\nx,A,B,C\n"
    assert pairs(read("m.csv", content, captions="text")) == [("x", ["B"])]
    assert pairs(read("m.csv", content, captions=["text", "a"])) == [("x", ["B", "C"])]
    assert pairs(read("m.csv", content, image="a", captions="image")) == [("C", ["x"])]
    assert pairs(read("m.csv", "id,image\nx,A\n", captions="image")) == [("x", ["A"])]
    assert pairs(read("m.csv", "text,raw\nx,A\n", image="text")) == [("x", ["A"])]
    unwanted = read("m.csv", content, captions=None)
    assert unwanted.captions is None
    assert list(unwanted.columns) == ["caption", "text", "a"]
    cells: dict[str, list[Any]] = {"id": ["a", None], "text": [np.array(["A ", "B"]), "C"]}
    table = Table(path="", source="DataFrame", cells=cells, places=range(2), place=" row {}")
    listing = tables.of_table(table, Columns())
    assert pairs(listing) == [("a", ["A", "B"])]
    assert listing.findings[0].path == "DataFrame row 1"


@pytest.mark.parametrize(
    "wrong",
    [
        *({"captions": ""}, {"captions": ()}, {"captions": ("a", "a")}),
        *({"image": "a", "captions": "a"}, {"image": "a", "weight": "a"}),
    ],
)
def test_columns_refuse(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"caption_column=\.\.\. .*must name .*; got "):
        Columns(**wrong)


# File, content, arguments, what the error says.

HEAD = "image,caption\n"
INSIDE = "write them to files first"
BYTES = [{"bytes": b"x", "path": None}]
NAMED_BYTES = [{"bytes": None, "path": "a"}, {"bytes": b"x", "path": "a"}]
REFUSED: list[tuple[str, str | bytes, dict[str, Any], str]] = [
    ("m.csv", "", {}, "first row must name the columns"),
    ("m.csv", 'image,"caption"x\n', {}, "first row must name the columns"),
    ("m.csv", "image,a,caption, a\n", {}, "different names; got 'a' more than once"),
    ("m.parquet", parquet(pa.table([[1], [2]], ["a", "a"])), {}, "different names; got 'a'"),
    ("m.csv", "a,caption\n", {}, "got 'a', 'caption'. Pass image_column="),
    ("m.csv", "image,a\n", {}, "got 'image', 'a'. Pass caption_column="),
    ("m.csv", ",".join(map(str, range(21))), {}, r"'18', '19', \.\.\.\. Pass"),
    ("m.csv", ",".join(map(str, range(20))), {}, r"'18', '19'\. Pass"),
    ("m.csv", "image,caption,text\n", {}, "'caption', 'text'.*caption_column=\"caption\""),
    ("m.csv", "id,raw1,raw2,text1\n", {}, r"'raw2', 'text1'.*caption_column=\('raw1', 'raw2'\)"),
    ("m.csv", HEAD, {"image": "x"}, "image_column=.*; got 'x'.* are 'image', 'caption'"),
    ("m.csv", HEAD, {"captions": ["caption", "x"]}, "caption_column=.*; got 'x'"),
    ("m.csv", b"a\xe9", {}, "must be UTF-8; got byte 0xe9 at offset 1. Pass encoding="),
    ("m.json", "[", {}, "must be a JSON file.*named .jsonl"),
    ("m.json", "[" * 100_000, {}, "must be a JSON file"),
    ("m.json", "{}", {}, "must be a JSON list of objects; got {}"),
    ("m.json", "[3]", {}, r"must hold an object for each image; got 1 malformed one"),
    ("m.jsonl", "3\n{\n", {}, r"must hold an object for each image; got 2 malformed one"),
    ("m.jsonl", "\n", {}, r"must hold an object for each image; got none"),
    ("m.csv", ",".join(f"c{n}" for n in range(64_000)), {}, "at most 1,000 .*; got 64,000"),
    ("m.jsonl", lines(*({str(n): 1} for n in range(1_001))), {}, "at most 1,000 .*; got 1,001"),
    (
        "m.parquet",
        parquet({"id": [{"data": b"x", "path": "a"}], "raw": ["A"]}),
        {},
        INSIDE,
    ),
    ("m.parquet", parquet({"id": NAMED_BYTES, "raw": ["A", "B"]}), {}, INSIDE),
    ("m.parquet", "PAR1", {}, "not a readable Parquet file"),
    ("m.parquet", parquet({"image": BYTES, "text": ["A"]}), {}, INSIDE),
    ("m.parquet", parquet({"image": [{"bytes": b"x"}], "text": ["A"]}), {}, INSIDE),
    ("m.parquet", parquet({"image": [b"x"], "text": ["A"]}), {}, INSIDE),
    ("m.parquet", parquet({"image": ["a"], "text": [b"x"]}), {}, "'text' must hold .* got binary"),
]


@pytest.mark.parametrize(("name", "content", "columns", "message"), REFUSED)
def test_refused(name: str, content: str | bytes, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(PairingError, match=f"(?s){message}") as caught:
        read(name, content, **columns)
    assert name in str(caught.value)


# Rows behind a header, what is found; a good row is left, its name is "ok".

# A caption of several lines, one of which looks like a row: refused, and never another image's.


def test_a_caption_that_holds_what_looks_like_a_row(tmp_path: pathlib.Path) -> None:
    content = 'image,caption\na.jpg,"screenshot of\nb.jpg, opened"\nb.jpg,two\nc.jpg,three\n'
    listing = read("m.csv", content)
    assert pairs(listing) == [("b.jpg", ["two"]), ("c.jpg", ["three"])]
    [finding] = listing.findings
    assert (finding.kind, finding.path, finding.count) == ("malformed", "m.csv:2", 2)
    (tmp_path / "m.csv").write_text(content)
    assert recognition.recognise("", str(tmp_path / "m.csv")) == "metadata"


QUOTE, OPEN = "not a row: ',' expected after '\"'", "not a row: unexpected end of data"
NO_IMAGE, NO_TEXT = "no image in column 'image': ", "no text in column 'caption': "
NO_WEIGHT, HALF = "a weight must be a number from 0 to below 1e+30; got ", "a lone surrogate in "
CSV: dict[str, list[str]] = {
    "a,A,x\nok,B\nc\n": ["2: 3 cells, the header has 2", "4: 1 cells, the header has 2"],
    'a,"A\nb",B\nok,C\n': ["2: 3 cells, the header has 2; the row ends at line 3"],
    'a,"A" x\nok,B\n': [f"2: {QUOTE}"],
    'a,"A\nok,B\nc,"C\nd\n': [f"2: {QUOTE}", f"4: {OPEN}", "5: 1 cells, the header has 2"],
    'ok,A\nb,"B\n': [f"3: {OPEN}"],
    f"a,{'A' * 200_000}\nok,B\n": ["2: not a row: field larger than field limit (131072)"],
    ",A\n \t,B\nok,C\n": [f"2: {NO_IMAGE}''", f"3: {NO_IMAGE}' \\t'"],
    'a,"[""A"", ""\\ud800""]"\nok,B\n': [f"2: {HALF}column 'caption'"],
}


@pytest.mark.parametrize(("rows", "findings"), CSV.items(), ids=range(len(CSV)))
def test_malformed_rows(rows: str, findings: list[str]) -> None:
    listing = read("m.csv", HEAD + rows)
    assert listing.names == ["ok"]
    assert seen(listing) == [f"malformed m.csv:{finding}" for finding in findings]
    assert [f.count for f in listing.findings] == [
        2 if "ends at line" in f else 1 for f in findings
    ]


@pytest.mark.parametrize("weight", ["-0.1", "inf", "nan", "x", "1e30", "1e39"])
def test_malformed_weights(weight: str) -> None:
    listing = read("m.csv", f"id,text,weight\n1,A,{weight}\nok,B,0\n")
    assert (listing.names, listing.weights) == (["ok"], [0.0])
    assert seen(listing) == [f"malformed m.csv:2: {NO_WEIGHT}{weight!r}"]


VALUES: list[tuple[Any, str]] = [
    ([], "must be an object with each key once; got []"),
    ({"image": "a", "caption": 3}, f"{NO_TEXT}3"),
    ({"image": "a", "caption": ["A", None]}, f"{NO_TEXT}['A', None]"),
    ({"image": True}, f"{NO_IMAGE}True"),
    ({"image": 1.0}, f"{NO_IMAGE}1.0"),
    ({"caption": "A"}, f"{NO_IMAGE}None"),
    ({"image": "a\0b"}, "a NUL character in column 'image'"),
    ({"image": "\ud800", "caption": 3}, f"{HALF}column 'image'"),
    ({"image": "a", "caption": ["A", "\udfff"]}, f"{HALF}column 'caption'"),
    ({"image": "a", "x": "\udc80"}, f"{HALF}column 'x'"),
    ({"image": "a", "split": "\ud800"}, f"{HALF}the split"),
    ({"image": "a", "split": 3}, "a split must be text; got 3"),
    ({"image": "a", "weight": True}, f"{NO_WEIGHT}True"),
    ({"image": "a", "weight": []}, f"{NO_WEIGHT}[]"),
    ({"image": "a", "weight": 10**400}, f"{NO_WEIGHT}1{'0' * 17}...{'0' * 19}"),
]


@pytest.mark.parametrize(("record", "finding"), VALUES)
def test_malformed_values(record: Any, finding: str) -> None:
    good = {"image": "ok", "caption": "A", "x": "\ud83d\ude00"}
    listing = read("m.jsonl", lines(record, good))
    assert listing.names == ["ok"]
    assert seen(listing) == [f"malformed m.jsonl:1: {finding}"]


@pytest.mark.parametrize("line", ["{", "[" * 100_000])
def test_malformed_json(line: str) -> None:
    listing = read("m.jsonl", line + "\n" + lines({"image": "ok", "text": "A", "\ud800": 1}))
    assert listing.names == ["ok"]
    assert [found.path for found in listing.findings] == ["m.jsonl:1", "m.jsonl"]
    assert listing.findings[0].detail.startswith("not JSON: ")
    assert listing.findings[1].detail == r"column '\ud800': a lone surrogate in its name"


@pytest.mark.parametrize("name", ["m.jsonl", "m.json"])
def test_a_key_twice(name: str) -> None:
    records = ['{"image": "a", "caption": "x", "caption": "y"}', '{"image": "b", "caption" : "z"}']
    listing = read(
        name, "\n".join(records) + "\n" if name == "m.jsonl" else f"[{','.join(records)}]"
    )
    assert pairs(listing) == [("b", ["z"])]
    [finding] = listing.findings
    assert finding.detail.endswith("got an object with the key 'caption' twice")
    assert finding.path in ("m.jsonl:1", "m.json[0]")


def test_coerced_text_is_reported() -> None:
    latin = "image,caption\na,caf\xe9\n".encode("latin-1")
    listing = read("m.csv", latin, decoder=TextDecoder(encoding="latin-1"))
    assert pairs(listing) == [("a", ["caf\xe9"])]
    assert seen(listing) == ["coerced m.csv: read as latin-1"]


# Properties: a damaged file gives a listing or a `PairingError`, and whatever the name of an image
# still stands in, is either in the listing, or on a line with a finding.

ROWS = [(f"n{row}.jpg", f'A "cat" and, {row}\ndogs.' if row % 3 else "A cat.") for row in range(9)]
JSON = [{"image": name, "caption": caption} for name, caption in ROWS]
DELIMITED = [f'{name};"{caption.replace(chr(34), chr(34) * 2)}"\n' for name, caption in ROWS]
WHOLE: dict[str, bytes] = {
    "m.csv": ("image;caption\n" + "".join(DELIMITED)).encode(),
    "m.tsv": ("image;caption\n" + "".join(DELIMITED)).replace(";", "\t").encode(),
    "m.jsonl": lines(*JSON).encode(),
    "m.json": json.dumps(JSON).encode(),
    "m.parquet": parquet({"image": [row[0] for row in ROWS], "caption": [row[1] for row in ROWS]}),
}
PIECES = st.sampled_from([b'"', b"\n", b";", b"\t", b"\\", b"[", b"]", b"{", b"}", b"\0", b"\xff"])
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 3), PIECES | st.binary(max_size=2)), max_size=5
)


def damaged(content: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    for place, removed, added in edits:
        start = int(place * len(content))
        content = content[:start] + added + content[start + removed :]
    return content


def count(name: str, content: bytes) -> int:
    if name == "m.parquet":
        return int(pq.read_metadata(pa.BufferReader(content)).num_rows)
    return len(json.loads(content))


@pytest.mark.parametrize("name", WHOLE)
@given(edits=EDITS)
def test_damage_is_reported_and_nothing_is_lost(
    name: str, edits: list[tuple[float, int, bytes]]
) -> None:
    content = damaged(WHOLE[name], edits)
    try:
        listing = read(name, content)
    except PairingError:
        return
    assert len(listing.names) == len(listing.captions or ()) == len(listing.places)
    if name in ("m.json", "m.parquet"):
        rows = count(name, content)
        malformed = [found for found in listing.findings if found.kind == "malformed"]
        assert len(listing.names) + len(malformed) == rows
        return
    reported = {
        int(found.path.partition(":")[2]) + extra
        for found in listing.findings
        if found.kind == "malformed"
        for extra in range(found.count)
    }
    kept = "\n".join([*listing.names, *map(str, listing.captions or ()), str(listing.columns)])
    for number, line in enumerate(TextDecoder().decode(content)[0].split("\n"), 1):
        if name == "m.jsonl":
            assert (number in listing.places) + (number in reported) == bool(line.strip())
        else:
            lost = [marker for marker in re.findall(r"n\d\.jpg", line) if marker not in kept]
            assert not lost or number in reported or number == 1
