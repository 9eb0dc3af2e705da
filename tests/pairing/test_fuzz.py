"""Damaged bytes in every reader and in the scan give a result or a declared error, nothing else."""

import csv
import io
import json
import pathlib
import tarfile
import tempfile
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import mmdata
from mmdata import PairingError, Pairs
from mmdata.files.headers import Format
from mmdata.files.limits import MAX_PIXELS
from mmdata.files.scan import scan
from mmdata.pairing.layouts import Layout
from mmdata.pairs.findings import Finding

CAPTIONS = {"a.jpg": ["A cat.", "Two, cats"], "x/b.png": ["caf\u00e9 \U0001f600"], "c.gif": ["d"]}
IMAGES = [*CAPTIONS, "000000000042.jpg", "x/A.jpg", "lonely.jpg"]
PAIRED = [(name, text) for name, texts in CAPTIONS.items() for text in texts]


def table(delimiter: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["file_name", "caption", "split", "weight", "size"])
    for number, (name, caption) in enumerate(PAIRED):
        writer.writerow([name, caption, "train", 1.5, number])
    return text.getvalue().encode()


def parquet() -> bytes:
    sink = io.BytesIO()
    columns = {"image": list(CAPTIONS), "captions": list(CAPTIONS.values()), "n": [1, None, 3]}
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def tar() -> bytes:
    blobs = {
        "a.jpg": b"",
        "a.txt": b"A cat.",
        "b.png": b"",
        "b.json": b'{"caption": "x", "n": 1}',
    }
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, content in blobs.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return sink.getvalue()


def coco() -> bytes:
    images = [{"id": number, "file_name": name} for number, name in enumerate(CAPTIONS)]
    ids = {name: number for number, name in enumerate(CAPTIONS)}
    found = [{"image_id": ids[name], "caption": text} for name, text in PAIRED]
    return json.dumps({"images": images, "annotations": found}).encode()


def karpathy() -> bytes:
    images = [
        {"filename": name, "split": "val", "cocoid": 42, "sentences": [{"raw": t} for t in texts]}
        for name, texts in CAPTIONS.items()
    ]
    return json.dumps({"images": images}).encode()


def lines(form: str, header: str = "") -> bytes:
    listed = [form.format(name=name, text=text) for name, text in PAIRED]
    return "\r\n".join([header, *listed] if header else listed).encode()


RECORDS = [{"image": name, "text": texts, "n": 1} for name, texts in CAPTIONS.items()]

# The file that is damaged, its layout, its content.

SOURCES: dict[str, tuple[str, Layout, bytes]] = {
    "coco": ("c.json", "coco", coco()),
    "coco results": ("c.json", "coco", json.dumps([{"image_id": 42, "caption": "A."}]).encode()),
    "karpathy": ("c.json", "karpathy", karpathy()),
    "flickr token": ("c.token.txt", "flickr", lines("{name}#0\t{text}")),
    "flickr kaggle": ("c.txt", "flickr", lines("{name},{text}, too", "image,caption")),
    "flickr results": (
        "c.csv",
        "flickr",
        lines("{name}| 0| {text}", "image_name| comment_number| comment"),
    ),
    "csv": ("c.csv", "metadata", table(",")),
    "tsv": ("c.tsv", "metadata", table("\t")),
    "jsonl": ("c.jsonl", "metadata", "\n".join(map(json.dumps, RECORDS)).encode()),
    "json": ("c.json", "metadata", json.dumps(RECORDS).encode()),
    "parquet": ("c.parquet", "metadata", parquet()),
    "sidecar": ("a.txt", "sidecar", "A cat. It sat.\n\ncaf\u00e9\r\n".encode()),
    "webdataset": ("c.tar", "webdataset", tar()),
}
TOKENS = st.sampled_from(
    [*b'"\\[]{},:\t\n\r\0\xff', b"../", b"null", b"1e999", b"\xff\xfe", b"\xef\xbb\xbf", b"a.jpg"]
).map(lambda token: bytes([token]) if isinstance(token, int) else token)
PLACES = st.floats(0, 1, exclude_max=True)
EDITS = st.lists(
    st.tuples(st.sampled_from(["put", "replace", "delete", "repeat", "cut"]), PLACES, PLACES)
    .flatmap(lambda edit: st.tuples(*map(st.just, edit), TOKENS | st.binary(max_size=4)))
    .map(tuple),
    min_size=1,
    max_size=6,
)


def damaged(content: bytes, edits: list[tuple[str, float, float, bytes]]) -> bytes:
    """The content after some edits; at most 64 times as long."""
    for kind, place, length, token in edits:
        start = int(place * len(content))
        end = min(start + int(length * 40), len(content))
        part = content[start:end]
        middle = {"put": token + part, "replace": token, "delete": b"", "repeat": part * 3}
        rest = b"" if kind == "cut" else content[end:]
        content = content[:start] + middle.get(kind, b"") + rest
    return content


def is_accounted_for(pairs: Pairs) -> bool:
    """Whether columns agree, captions are text, and every image has a row or a finding."""
    rows, report = len(pairs), pairs.report
    lengths = {len(column) for column in pairs.columns.values()}
    lengths |= {len(part) for part in (pairs.split_of, pairs.weights) if part is not None}
    texts = [*pairs.images, *pairs.captions, str(report), pairs._repr_html_()]
    told = {finding.path for finding in report.findings}
    return (
        lengths <= {rows}
        and (report.images, report.pairs) == (rows, pairs.pair_count)
        and list(pairs.images) == sorted(set(pairs.images))
        and all(text.encode() for text in texts)
        and all(pairs.captions)
        and (pairs.blobs is not None or set(IMAGES) <= set(pairs.images) | told)
    )


def read(folder: pathlib.Path, name: str, layout: Any, **options: Any) -> Pairs | PairingError:
    captions: pathlib.Path | None = folder / "captions" / name
    images = folder / "images"
    if name.endswith(".tar"):
        images, captions = folder / "captions" / name, None
    elif name == "a.txt":
        captions = folder / "captions"
    try:
        return mmdata.read(images, captions, layout=layout, on_problem="drop", **options)
    except PairingError as err:
        return err


@pytest.fixture(scope="module")
def folder() -> Any:
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        (root / "images" / "x").mkdir(parents=True)
        (root / "captions").mkdir()
        for image in IMAGES:
            (root / "images" / image).touch()
        yield root


def put(folder: pathlib.Path, files: Mapping[str, bytes]) -> None:
    for old in (folder / "captions").iterdir():
        old.unlink()
    for name, content in files.items():
        (folder / "captions" / name).write_bytes(content)


@pytest.mark.parametrize(("name", "layout", "content"), SOURCES.values(), ids=SOURCES.keys())
def test_whole(folder: pathlib.Path, name: str, layout: Layout, content: bytes) -> None:
    put(folder, {name: content})
    pairs = read(folder, name, "auto")
    assert isinstance(pairs, Pairs)
    assert pairs.report.layout == layout
    assert is_accounted_for(pairs)


@pytest.mark.parametrize(("name", "layout", "content"), SOURCES.values(), ids=SOURCES.keys())
@pytest.mark.parametrize("options", [{}, {"encoding": "latin-1", "encoding_errors": "replace"}])
@given(edits=EDITS)
def test_damaged(
    folder: pathlib.Path,
    name: str,
    layout: Layout,
    content: bytes,
    options: dict[str, Any],
    edits: list[tuple[str, float, float, bytes]],
) -> None:
    put(folder, {name: damaged(content, edits)})
    for how in ("auto", layout):
        pairs = read(folder, name, how, **options)
        assert is_accounted_for(pairs) if isinstance(pairs, Pairs) else str(pairs)


# Every layout that a file can have is tried with the bytes of every other.

FILE_LAYOUTS: list[Layout] = ["coco", "karpathy", "flickr", "metadata"]


@given(
    name=st.sampled_from(["c.json", "c.csv", "c.jsonl", "c.parquet", "c.txt", "c"]),
    layout=st.sampled_from(["auto", *FILE_LAYOUTS]),
    content=st.sampled_from([content for _, _, content in SOURCES.values()])
    | st.binary(max_size=99),
)
def test_another_layout(folder: pathlib.Path, name: str, layout: str, content: bytes) -> None:
    put(folder, {name: content})
    pairs = read(folder, name, layout)
    assert is_accounted_for(pairs) if isinstance(pairs, Pairs) else str(pairs)


def encode(kind: str, **options: Any) -> bytes:
    sink = io.BytesIO()
    Image.effect_noise((40, 30), 50).convert("P" if kind == "GIF" else "RGB").save(
        sink, kind, **options
    )
    return sink.getvalue()


EXIF = Image.Exif()
EXIF[0x0112] = 6
FORMATS = {
    "JPEG": encode("JPEG", exif=EXIF),
    "PNG": encode("PNG", exif=EXIF),
    "GIF": encode("GIF"),
    "BMP": encode("BMP"),
    "WEBP": encode("WEBP", exif=EXIF),
}


@pytest.mark.parametrize("content", FORMATS.values(), ids=FORMATS.keys())
@given(edits=EDITS)
def test_scan(
    folder: pathlib.Path, content: bytes, edits: list[tuple[str, float, float, bytes]]
) -> None:
    put(folder, {"whole": content, "damaged": damaged(content, edits)})
    found = scan(str(folder / "captions"), ["whole", "damaged"])
    assert (found.heights[0], found.widths[0], set(found.problems)) in [
        (30, 40, {1}),
        (30, 40, set()),
    ]
    refused = found.formats[1] == Format.UNKNOWN
    assert refused == (1 in found.problems)
    if refused:
        assert found.problems[1]
    else:
        assert 0 < int(found.heights[1]) * int(found.widths[1]) <= MAX_PIXELS
        assert 1 <= found.orientations[1] <= 8


def test_damage_is_reported_with_its_place(folder: pathlib.Path) -> None:
    put(folder, {"c.jsonl": b'{"image": "a.jpg", "text": "A cat."}\n{"image": "c.gif", "te'})
    pairs = read(folder, "c.jsonl", "auto")
    assert isinstance(pairs, Pairs)
    assert [found.path for found in pairs.report.findings if found.kind == "malformed"] == [
        "c.jsonl:2"
    ]
    assert Finding("missing_caption", "c.gif", "not in c.jsonl") in pairs.report.findings
