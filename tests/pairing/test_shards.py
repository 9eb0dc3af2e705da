"""Samples in shards: keys, captions, problems, saved indexes."""

import bz2
import contextlib
import gzip
import io
import json
import lzma
import os
import pathlib
import tarfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.files.tar_headers import TarEntry, tar_entries
from mmdata.pairing.layouts import shard_index, shards
from mmdata.pairing.layouts.shard_paths import expand
from mmdata.pairing.layouts.shards import Contents
from mmdata.pairing.layouts.table_columns import Columns
from mmdata.pairing.texts import TextDecoder
from mmdata.pairs.findings import PairingError

Rewrite = Callable[..., None]

LONG = "/".join(["folder of a long name"] * 6)


def pack(path: pathlib.Path, files: Mapping[str, Any], **fields: Any) -> pathlib.Path:
    """Writes a shard that was modified long ago; `fields` are those of each member."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", errors="surrogateescape") as archive:
        for name, content in files.items():
            content = json.dumps(content) if isinstance(content, dict) else content
            content = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = 0 if fields else len(content)
            for field, value in fields.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(content))
    os.utime(path, (1e9, 1e9))
    return path


def read(path: pathlib.Path | str, **options: Any) -> Contents:
    return shards.read(str(path), **{"decoder": TextDecoder(), "lines": "auto", **options})


def reported(contents: Contents) -> list[tuple[str, str, int]]:
    return [(found.kind, found.path, found.count) for found in contents.findings]


EXPANDED = {
    "a.tar": "a.tar",
    "a-{8..10}.tar": "a-8.tar a-9.tar a-10.tar",
    "a-{08..10}.tar": "a-08.tar a-09.tar a-10.tar",
    "{a,b}/{0..1}": "a/0 a/1 b/0 b/1",
    "x{y,}": "xy x",
}


@pytest.mark.parametrize("pattern", EXPANDED)
def test_expand(pattern: str) -> None:
    assert expand(pattern) == EXPANDED[pattern].split()


@pytest.mark.parametrize(
    "pattern",
    "{ } a}{b {{0..1}} {} {a} {2..1} {a..c} {0..9..3} {-1..1} {0..1000000} {0..1000}{0..1000} "
    f"{{0..999999999999999999}} {{{'9' * 5000}..1}}".split(),
)
def test_expand_refuses(pattern: str) -> None:
    with pytest.raises(ValueError, match="got"):
        expand(pattern)


def test_keys(tmp_path: pathlib.Path) -> None:
    files = {"a/v2.0.png": b"1", "a/v2.0.txt": "zero", "a/v2.1.txt": "one", "a/v2.1.png": b""}
    shard = pack(tmp_path / "s.tar", files)
    contents = read(shard)
    assert contents.images == ["s.tar/a/v2.0.png", "s.tar/a/v2.1.png"]
    assert (contents.captions, contents.findings) == ([["zero"], ["one"]], [])
    assert reported(read(shard, key="first_dot")) == [("ambiguous", "s.tar: a/v2.0.png", 2)]
    files = {"b.dir/a.seg.png": b"1", "b.dir/a.en.txt": "cat", "b.dir/c.png": b""}
    files |= {"c.png": b"", "\u00e9/d.png": b"", "e\u0301/d.txt": "dog"}
    shard = pack(tmp_path / "t.tar", files)
    assert read(shard, key="first_dot").captions == [["cat"], [], [], ["dog"]]
    assert read(shard, key="last_dot").captions == [[], [], [], ["dog"]]
    with pytest.raises(ValueError, match="key="):
        read(shard, key="dot")


CAPTIONS: list[tuple[dict[str, Any], list[str] | str]] = [
    ({}, []),
    ({".txt": " cat \n"}, ["cat"]),
    ({".txt": " \n"}, [""]),
    ({".txt": "cat\ndog"}, ["cat", "dog"]),
    ({".text": "a b", ".caption": "a  b\n", ".txt": "a b"}, ["a b"]),
    ({".text": "c", ".caption": "b"}, "disagreement"),
    ({".TXT": "cat", ".JPG": b""}, "ambiguous"),
    ({".TXT": "cat"}, ["cat"]),
    ({".txt": "a", ".TXT": "b"}, "ambiguous"),
    ({".txt": b"caf\xe9"}, "encoding"),
    ({".txt": "cat", ".json": {"caption": "cat"}}, ["cat"]),
    ({".txt": "cat\r\ndog", ".json": {"caption": "cat\r\ndog"}}, ["cat\r\ndog"]),
    ({".txt": "cat\ndog", ".json": {"captions": ["cat", "dog"]}}, ["cat", "dog"]),
    ({".txt": "cat", ".json": {"caption": "dog"}}, "disagreement"),
    ({".txt": "", ".json": {"caption": "dog"}}, "disagreement"),
    ({".txt": "cat", ".json": {"caption": None}}, ["cat"]),
    ({".json": {"captions": []}}, []),
    ({".json": {"captions": ["a ", ""], "text": "b"}}, ["a", ""]),
    ({".json": {"text": ["a", "b"]}}, ["a", "b"]),
    ({".json": {"captions": "a"}}, "malformed"),
    ({".json": {"caption": [1]}}, "malformed"),
    ({".json": {"split": 1}}, "malformed"),
    ({".json": {"weight": -1}}, "malformed"),
    ({".json": {"weight": True}}, "malformed"),
    ({".json": '{"weight": NaN}'}, "malformed"),
    ({".json": '{"caption": "\\ud800"}'}, "malformed"),
    ({".json": "[" * 100_000}, "malformed"),
    ({".json": "[]"}, "malformed"),
    ({".json": b"\xff"}, "encoding"),
    ({".cls": "7.5"}, "malformed"),
    ({".txt": bytes((16 << 20) + 1)}, "malformed"),
]


@pytest.mark.parametrize(("parts", "expected"), CAPTIONS)
def test_captions(tmp_path: pathlib.Path, parts: dict[str, Any], expected: list[str] | str) -> None:
    files = {"a.jpg": b"1", **{f"a{end}": part for end, part in parts.items()}}
    contents = read(pack(tmp_path / "s.tar", files))
    if isinstance(expected, list):
        assert contents.captions == [expected]
        assert not any(finding.is_problem for finding in contents.findings)
    else:
        assert contents.captions == []
        assert [finding.kind for finding in contents.findings] == [expected]


# One source of captions out of several, by extension or by key.

DIFFER: dict[str, Any] = {
    ".txt": "by hand",
    ".json": {"caption": "by a model", "alt": "from the page", "tags": ["x", "y"]},
}
CHOSEN: list[tuple[dict[str, Any], list[str]]] = [
    ({"extensions": (".txt",)}, ["by hand"]),
    ({"extensions": (".json",)}, ["by a model"]),
    ({"extensions": (".json", ".txt")}, ["by a model"]),
    ({"extensions": (".caption", ".txt")}, ["by hand"]),
    ({"columns": Columns(captions="alt")}, ["from the page"]),
    ({"columns": Columns(captions=("caption", "tags"))}, ["by a model", "x", "y"]),
    ({"columns": Columns(captions="tags"), "extensions": (".json",)}, ["x", "y"]),
]


@pytest.mark.parametrize(("options", "expected"), CHOSEN)
def test_chosen_captions(tmp_path: pathlib.Path, options: Any, expected: list[str]) -> None:
    files = {"a.jpg": b"1", **{f"a{end}": part for end, part in DIFFER.items()}}
    shard = pack(tmp_path / "s.tar", files)
    assert [f.kind for f in read(shard).findings if f.is_problem] == ["disagreement"]
    contents = read(shard, **options)
    assert contents.captions == [expected]
    assert not any(finding.is_problem for finding in contents.findings)


def test_the_message_of_captions_that_differ_says_how_to_choose(tmp_path: pathlib.Path) -> None:
    shard = pack(tmp_path / "s.tar", {"a.jpg": "", "a.txt": "A", "a.json": {"caption": "B"}})
    [finding] = read(shard).findings
    assert "extensions=('.json',) or ('.txt',) chooses" in finding.detail


def test_rejected_captions_are_left_out(tmp_path: pathlib.Path) -> None:
    marked = {"captions": ["A", "B"], "is_rejected": True}
    kept = {"caption": "C", "is_rejected": False}
    shard = {"a.jpg": "", "a.json": marked, "b.jpg": "", "b.json": kept}
    contents = read(pack(tmp_path / "s.tar", shard))
    assert contents.captions == [[], ["C"]]
    assert reported(contents) == [("rejected", "s.tar: a.json", 2)]


def test_arguments_that_exclude_each_other_or_name_nothing(tmp_path: pathlib.Path) -> None:
    shard = pack(tmp_path / "s.tar", {"a.jpg": "", "a.txt": "A", "b.jpg": "", "b.TXT": "B"})
    with pytest.raises(ValueError, match=r"extensions=\.\.\. must be .* got \('\.txt',\)"):
        read(shard, columns=Columns(captions="mine"), extensions=(".txt",))
    with pytest.raises(PairingError, match=r"weight_column=.* got 'w', but they have no such keys"):
        read(shard, columns=Columns(weight="w"))
    assert read(shard, extensions=(".TXT",)).captions == [["A"], ["B"]]


def test_captions_under_two_keys_are_reported(tmp_path: pathlib.Path) -> None:
    values = {"caption": "A", "text": "B"}
    shard = pack(tmp_path / "s.tar", {"a.jpg": "", "a.json": values, "b.jpg": "", "b.json": values})
    contents = read(shard)
    assert contents.captions == [["A"], ["A"]]
    assert reported(contents) == [("ignored", "s.tar: a.json", 2)]
    assert "caption_column='text' chooses it" in contents.findings[0].detail
    assert read(shard, columns=Columns(captions="text")).captions == [["B"], ["B"]]


def test_captions_of_other_extensions(tmp_path: pathlib.Path) -> None:
    shard = pack(tmp_path / "s.tar", {"a.jpg": "", "a.cap": "A", "a.txt": "B"})
    assert read(shard, extensions=(".cap",)).captions == [["A"]]


def test_no_sample_has_the_key(tmp_path: pathlib.Path) -> None:
    shard = pack(tmp_path / "s.tar", {"a.jpg": "", "a.json": {"caption": "A"}})
    with pytest.raises(PairingError, match=r"caption_column=.* got 'alt', but they have 'caption'"):
        read(shard, columns=Columns(captions="alt"))


def test_a_key_twice(tmp_path: pathlib.Path) -> None:
    twice = '{"caption": "A", "caption": "B"}'
    contents = read(
        pack(tmp_path / "s.tar", {"a.jpg": "", "a.json": twice, "b.jpg": "", "b.txt": "B"})
    )
    assert contents.captions == [["B"]]
    [finding] = contents.findings
    assert (finding.kind, finding.path) == ("malformed", "s.tar: a.json")
    assert finding.detail.endswith("got an object with the key 'caption' twice")


def test_a_shard_that_is_cut_off_between_members(tmp_path: pathlib.Path) -> None:
    whole = pack(tmp_path / "s.tar", {"a.jpg": "x", "a.txt": "A", "b.jpg": "y", "b.txt": "B"})
    whole.write_bytes(whole.read_bytes()[: 4 * 512])
    contents = read(whole)
    assert contents.captions == [["A"]]
    [finding] = contents.findings
    assert (finding.kind, finding.path) == ("malformed", "s.tar")
    assert finding.is_problem
    assert "no end-of-archive mark at byte 2,048; cut off?" in finding.detail


def test_values_and_bytes(tmp_path: pathlib.Path) -> None:
    values = {
        "caption": "c",
        "split": "train",
        "weight": 2,
        "height": 3,
        "exif": {},
        "nothing": None,
    }
    files = {"a.jpg": b"1", "a.cls": "4\n", "b.json": values, "b.jpg": b"22"}
    files |= {LONG + "/c.webp": b"333", "./d.avif": b"", os.fsdecode(b"\xe9.png"): b"5"}
    contents = read(pack(tmp_path / "s.tar", files))
    assert contents.splits == [None, "train", None, None, None]
    assert contents.weights == [1, 2, 1, 1, 1]
    assert contents.columns == {"cls": [4] + [None] * 4, "height": [None, 3] + [None] * 3}
    names = ["a.jpg", "b.jpg", LONG + "/c.webp", "d.avif", os.fsdecode(b"\xe9.png")]
    assert contents.images == [f"s.tar/{name}" for name in names]
    assert contents.blobs.read_many(np.arange(5)) == [b"1", b"22", b"333", b"", b"5"]
    assert reported(contents) == [("ignored", "s.tar: b.json", 1)]
    bare = read(pack(tmp_path / "t.tar", {"a.jpg": ""}))
    assert (bare.splits, bare.weights, bare.columns, bare.findings) == (None, None, {}, [])


def test_columns_have_a_bound(tmp_path: pathlib.Path) -> None:
    values = {str(n): n for n in range(1_001)}
    shard = pack(tmp_path / "s.tar", {"a.jpg": b"", "a.json": values})
    with pytest.raises(PairingError, match=r"a\.jpg: must have at most 1,000 columns.* got 1,001"):
        read(shard)


def test_notices_are_counted(tmp_path: pathlib.Path) -> None:
    prose = "One. Two.\n\nThree. Four."
    files = {f"{n}.txt": text for n, text in enumerate(["a\nb", "c\nd", prose.encode("utf-16")])}
    others = {"0.xml": "", "1.xml": "", "x": "", "y.cls": "1", "0.caption": "a b"}
    hidden = {".a/b.jpg": "", "__MACOSX/c.jpg": "", "Thumbs.db": "", "d/._e.jpg": ""}
    images = dict.fromkeys(["0.jpg", "1.jpg", "2.jpg"], "")
    contents = read(pack(tmp_path / "s.tar", images | files | others | hidden))
    assert contents.captions == [["a", "b"], ["c", "d"], [prose]]
    details = [f.detail.split(";")[0].split(": ")[-1] for f in contents.findings]
    assert sorted((*f[1:], d) for f, d in zip(reported(contents), details, strict=True)) == [
        ("s.tar", 4, "hidden and system files"),
        ("s.tar: 0.txt", 2, "read as one caption per line"),
        ("s.tar: 0.xml", 2, ".xml"),
        ("s.tar: 2.txt", 1, "read as one caption per file"),
        ("s.tar: 2.txt", 1, "read as utf-16-le, as its byte order mark says"),
        ("s.tar: x", 1, "no extension"),
        ("s.tar: y.cls", 1, ".cls without an image"),
    ]
    assert read(tmp_path / "s.tar", lines="one").captions[0] == ["a\nb"]


LEFT_OUT = [("/a.jpg", b"0"), ("../a.jpg", b"0"), ("b/../../a.jpg", b"0"), ("a.jpg", b"V")]
LEFT_OUT += [("a.jpg", kind) for kind in (b"1", b"2", b"3", b"4", b"6")]


@pytest.mark.parametrize(("name", "kind"), LEFT_OUT)
def test_what_is_outside(tmp_path: pathlib.Path, name: str, kind: bytes) -> None:
    assert reported(read(pack(tmp_path / "s.tar", {name: ""}, type=kind))) == [
        ("outside", f"s.tar: {name}", 1)
    ]


def test_lost_partners_and_doubles(tmp_path: pathlib.Path) -> None:
    shard = pack(tmp_path / "s.tar", {"a.txt": "", "b.json": "{}", "c.jpg": "1", "c.png": ""})
    with tarfile.open(shard, "a") as archive:
        for name in ("d.jpg", "./d.jpg", "e.jpg"):
            archive.addfile(tarfile.TarInfo(name))
    contents = read(shard)
    assert [contents.images, *reported(contents)] == [
        ["s.tar/e.jpg"],
        ("ambiguous", "s.tar: d.jpg", 2),
        ("missing_image", "s.tar: a.txt", 1),
        ("missing_image", "s.tar: b.json", 1),
        ("ambiguous", "s.tar: c.jpg", 2),
    ]


def test_several_shards(tmp_path: pathlib.Path) -> None:
    for n, folder in enumerate("ab"):
        pack(tmp_path / folder / "0.tar", {"x.jpg": str(n), "x.txt": folder})
    pack(tmp_path / "a" / "1.tar", {"x.jpg": "2"})
    (tmp_path / "a" / "sizes.json").write_text("{}")
    contents = read(f"{tmp_path}/{{a,b}}/0.tar")
    assert contents.images == ["a/0.tar/x.jpg", "b/0.tar/x.jpg"]
    assert contents.blobs.read_many(np.array([1, 0])) == [b"1", b"0"]
    assert read(tmp_path / "a").images == ["0.tar/x.jpg", "1.tar/x.jpg"]
    assert reported(read(tmp_path / "a")) == [("ignored", "sizes.json", 1)]
    with pytest.raises(FileNotFoundError, match=r"0-1\.tar"):
        read(f"{tmp_path}/0-{{1..2}}.tar")
    with pytest.raises(ValueError, match="each shard once"):
        read(f"{tmp_path}/{{a,b/../a}}/0.tar")
    with pytest.raises(PairingError, match=r"must hold \.tar"):
        read(tmp_path)
    os.mkfifo(tmp_path / "a" / "2.tar")
    assert ("unreadable", "2.tar", 1) in reported(read(tmp_path / "a"))


@pytest.mark.parametrize(
    "content",
    [*(m.compress(b"") for m in (gzip, bz2, lzma)), b"(\xb5/\xfd"],
    ids=["gzip", "bz2", "lzma", "zstandard"],
)
def test_compressed_shards(tmp_path: pathlib.Path, content: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(PairingError, match="Decompress it first"):
        read(tmp_path / "a.tar")


@pytest.mark.usefixtures("settled")
def test_saved_index(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMDATA_HOME", str(tmp_path / "home"))
    walked = []

    def walk(file: BinaryIO) -> Iterator[TarEntry]:
        walked.append(file)
        return tar_entries(file)

    monkeypatch.setattr(shard_index, "tar_entries", walk)
    shard = pack(tmp_path / "s.tar", {"../a.jpg": "", "é.jpg": "1", "b.jpg": "22"})
    first, again = read(shard), read(shard)
    (kept,) = (tmp_path / "home" / "shards").iterdir()
    assert (again.images, again.findings) == (first.images, first.findings)
    assert again.blobs.read_many(np.arange(2)) == [b"1", b"22"]

    with np.load(kept) as saved:
        good = dict(saved)
    content = kept.read_bytes()
    damages = [b"", content[:50], content[:-9], content.replace(b"b.jpg", b"c.jpg")]
    wrong = [("start", -1), ("size", 1 << 40), ("size", -1), ("offsets", 0), ("findings", 0)]
    for name, value in wrong:
        buffer = io.BytesIO()
        np.savez(buffer, **{**good, name: np.full_like(good[name], value)})
        damages.append(buffer.getvalue())
    buffer = io.BytesIO()
    np.savez(buffer, **{**good, "stamp": good["stamp"][:3]})  # as an older version had it
    for damage in [*damages, buffer.getvalue()]:
        kept.write_bytes(damage)
        walked.clear()
        assert read(shard).images == read(shard).images == first.images
        assert len(walked) == 1
    os.truncate(shard, 700)
    os.utime(shard, (1e9, 1e9))
    assert reported(read(shard))[-1][0] == "malformed"
    os.utime(shard, ns=(1, 1))
    read(shard)
    assert (len(walked), os.listdir(kept.parent)) == (3, [kept.name])


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("inode", [False, True], ids=["in place", "another file"])
def test_other_content_behind_the_same_length_and_time(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, rewrite: Rewrite, inode: bool
) -> None:
    monkeypatch.setenv("MMDATA_HOME", str(tmp_path / "home"))
    shard = pack(tmp_path / "s.tar", {"a.jpg": b"1", "a.txt": "a"})
    other = pack(tmp_path / "t.tar", {"b.jpg": b"2", "b.txt": "b"})
    assert read(shard).images == read(shard).images == ["s.tar/a.jpg"]
    rewrite(shard, other.read_bytes(), inode=inode)
    contents = read(shard)
    assert (contents.images, contents.captions) == (["s.tar/b.jpg"], [["b"]])
    assert contents.blobs.read(0) == b"2"


def test_fresh_shards_are_not_kept(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMDATA_HOME", str(tmp_path / "home"))
    shard = pack(tmp_path / "s.tar", {"a.jpg": ""})
    read(shard)  # modified long ago, but that was set
    assert not (tmp_path / "home").exists()
    monkeypatch.setattr("mmdata.files.status._SETTLED", 0)
    (tmp_path / "home").write_text("in the way")
    with pytest.warns(UserWarning, match="cannot be kept"):
        assert read(shard).images == ["s.tar/a.jpg"]


@given(data=st.data())
def test_mutated_shards(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "mutated-shard.tar"
    files = {"a.jpg": b"1", "a.txt": "cat", LONG + "/b.jpg": b"y", LONG + "/b.json": "{}"}
    content = bytearray(pack(path, files).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with contextlib.suppress(PairingError):
        contents = read(path, key=data.draw(st.sampled_from(["last_dot", "first_dot"])))
        assert len(contents.images) == len(contents.captions) == len(contents.blobs) <= 2


def test_glob(tmp_path: pathlib.Path) -> None:
    for name in ("b-1.tar", "b-0.tar", "a.tar"):
        pack(tmp_path / name, {f"{name}.jpg": b""})
    found = read(tmp_path / "b-*.tar")
    assert found.images == ["b-0.tar/b-0.tar.jpg", "b-1.tar/b-1.tar.jpg"]
    with pytest.raises(FileNotFoundError, match="c-"):
        read(tmp_path / "c-*.tar")
