"""Saved scans: nothing is read twice, stale or incomplete."""

import io
import os
import pathlib
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import mmdata
from mmdata.files import image_files as sources
from mmdata.files.blobs import Blobs
from mmdata.files.headers import Format
from mmdata.files.scan import Scan, scan
from mmdata.files.scan_cache import _VERSION, FileInfo, ScanCache
from mmdata.storage.user_cache import load_arrays, save_arrays

Rewrite = Callable[..., None]

LONG_AGO = 10**18
HUGE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0\1\0\0" * 2 + bytes(9) + b"\0\0\0\0IDAT"
COLUMNS = len(FileInfo._fields)

pytestmark = pytest.mark.usefixtures("settled")


@pytest.fixture(autouse=True)
def own_home(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """An empty folder for records."""
    folder = tmp_path / "home of mmdata"
    monkeypatch.setenv("MMDATA_HOME", str(folder))
    return folder


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files that scans open from now on."""
    names: list[str] = []

    def noting(opens: Callable[..., Any]) -> Callable[..., Any]:
        def note(path: str, *arguments: Any, **options: Any) -> Any:
            name = os.path.basename(path)
            if name not in (*names, "lock", "new") and "home of mmdata" not in str(path):
                names.append(name)
            return opens(path, *arguments, **options)

        return note

    monkeypatch.setattr(sources, "open", noting(open), raising=False)
    monkeypatch.setattr(os, "open", noting(os.open))
    return names


def png(shade: int = 0, size: tuple[int, int] = (8, 9)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (shade, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def put(path: pathlib.Path, content: bytes, modified: int = LONG_AGO) -> None:
    """Writes a file that was modified at `modified`, in nanoseconds."""
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(content)
    os.utime(path, ns=(modified, modified))


def facts_of(found: Scan) -> list[Any]:
    columns = found.keys, found.formats, found.orientations, found.heights, found.widths
    return [*(column.tolist() for column in columns), found.problems]


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    """Two pictures, and two files that must not be decoded, all of long ago."""
    contents = {"a.png": png(1), "b.png": png(2, (5, 7)), "huge.png": HUGE, "text.jpg": b"text"}
    for name, content in contents.items():
        put(tmp_path / "images" / name, content)
    return tmp_path / "images"


NAMES = ["a.png", "b.png", "huge.png", "text.jpg"]


def test_second_scan(root: pathlib.Path, own_home: pathlib.Path, opened: list[str]) -> None:
    first = scan(str(root), NAMES)
    assert sorted(opened) == NAMES
    opened.clear()
    (file,) = (own_home / "scans").iterdir()
    written = file.stat().st_ino
    second = scan(str(root), NAMES[::-1])
    assert opened == []
    assert file.stat().st_ino == written
    assert facts_of(second) == facts_of(first.take(np.array([3, 2, 1, 0])))
    assert (first.heights.tolist()[:2], [*first.problems]) == ([9, 7], [2, 3])


@pytest.mark.parametrize(
    ("content", "modified"),
    [(png(3), LONG_AGO + 1), (png(3), LONG_AGO - 1), (png(1) + b"longer", LONG_AGO)],
    ids=["later", "earlier", "longer"],
)
def test_only_what_changed_is_opened_again(
    root: pathlib.Path, opened: list[str], content: bytes, modified: int
) -> None:
    before = scan(str(root), NAMES)
    put(root / "a.png", content, modified)
    for expected in (["a.png"], []):
        opened.clear()
        after = scan(str(root), NAMES)
        assert opened == expected
        assert after.keys[0] != before.keys[0]
        assert after.keys[1:].tolist() == before.keys[1:].tolist()


def test_what_changed_just_now_is_not_kept(
    root: pathlib.Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmdata.files.status._SETTLED", 2 * 10**9)
    for which in ("modified", "changed"):
        for seconds, again in ((1.9, ["a.png"]), (2.1, []), (-60, ["a.png"])):
            put(root / "a.png", png(4))
            moment = os.stat(root / "a.png").st_ctime_ns
            if which == "modified":
                moment += 10**15
                os.utime(root / "a.png", ns=(moment, moment))
            monkeypatch.setattr("time.time_ns", lambda now=moment + int(seconds * 10**9): now)
            scan(str(root), ["a.png"])
            opened.clear()
            scan(str(root), ["a.png"])
            assert opened == again


@pytest.mark.parametrize("inode", [False, True], ids=["in place", "another file"])
def test_other_content_behind_the_same_length_and_time(
    root: pathlib.Path, opened: list[str], rewrite: Rewrite, inode: bool
) -> None:
    for name in NAMES:
        (root / name).with_suffix(".txt").write_text("a caption")
    before = mmdata.read(root)
    assert before.fingerprint == mmdata.read(root).fingerprint
    assert len(png(1)) == len(png(3))
    rewrite(root / "a.png", png(3), inode=inode)
    assert os.stat(root / "a.png").st_mtime_ns == LONG_AGO
    after, again = mmdata.read(root), mmdata.read(root)
    opened.clear()
    assert after.fingerprint != before.fingerprint
    assert opened == ["a.png"]
    opened.clear()
    assert again.fingerprint == after.fingerprint
    assert opened == []
    rewrite(root / "a.png", png(1), inode=inode)
    assert mmdata.read(root).fingerprint == before.fingerprint


def test_times_are_no_content(root: pathlib.Path, opened: list[str]) -> None:
    before = scan(str(root), NAMES)
    opened.clear()
    os.utime(root / "a.png")
    assert facts_of(scan(str(root), NAMES)) == facts_of(before)
    assert opened == ["a.png"]


def test_a_folder_that_came_back_is_known(root: pathlib.Path, opened: list[str]) -> None:
    before = scan(str(root), NAMES)
    root.rename(root.parent / "away")
    gone = scan(str(root), NAMES)
    assert [*gone.problems.values()] == ["No such file or directory"] * 4
    (root.parent / "away").rename(root)
    opened.clear()
    assert facts_of(scan(str(root), NAMES)) == facts_of(before)
    assert opened == []


def test_two_folders_do_not_mix(root: pathlib.Path, opened: list[str]) -> None:
    scan(str(root), ["a.png"])
    put(root.parent / "others" / "a.png", png(9))
    opened.clear()
    other = scan(str(root.parent / "others"), ["a.png"])
    assert opened == ["a.png"]
    assert other.keys[0] != scan(str(root), ["a.png"]).keys[0]
    (root.parent / "link").symlink_to(root)
    opened.clear()
    scan(f"{root.parent}/link/../images/", ["a.png"])
    scan(str(root.parent / "link"), ["a.png"])
    assert opened == []


def test_a_subset_and_then_the_whole(root: pathlib.Path, opened: list[str]) -> None:
    for name in NAMES:
        (root / name).with_suffix(".txt").write_text("a caption")
    pairs = mmdata.read(root)
    whole = [0, 1, 2, 3]
    for rows, expected in (([1], ["b.png"]), ([0, 1], ["a.png"]), (whole, NAMES[2:]), (whole, [])):
        opened.clear()
        pairs.take(np.array(rows)).scanned()
        assert sorted(opened) == expected


def test_names_that_are_not_utf8(root: pathlib.Path, opened: list[str]) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    try:
        put(root / name, png(5))
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    first = scan(str(root), [name, "cafe\u0301.png"])
    opened.clear()
    second = scan(str(root), [name])
    assert opened == []
    assert (second.keys[0], second.problems) == (first.keys[0], {})


def pack(path: pathlib.Path, files: Mapping[str, bytes], modified: int) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    os.utime(path, ns=(modified, modified))


def test_members_are_as_old_as_their_shard(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: set[int] = set()
    reopen = Blobs.open

    def note(members: Blobs, row: int) -> Any:
        rows.add(row)
        return reopen(members, row)

    monkeypatch.setattr(Blobs, "open", note)
    for shard, shade in (("s0.tar", 0), ("s1.tar", 10)):
        files = {"a.png": png(shade), "a.txt": b"a", "b.png": png(shade + 1), "b.txt": b"b"}
        pack(tmp_path / shard, files, LONG_AGO)
    before, _ = mmdata.read(tmp_path).scanned()
    assert rows == {0, 1, 2, 3}
    rows.clear()
    again, _ = mmdata.read(tmp_path).scanned()
    assert (rows, facts_of(again)) == (set(), facts_of(before))
    files = {"a.png": png(20), "a.txt": b"a", "b.png": png(21), "b.txt": b"b"}
    pack(tmp_path / "s1.tar", files, LONG_AGO + 1)
    after, _ = mmdata.read(tmp_path).scanned()
    assert rows == {2, 3}
    assert after.keys[:2].tolist() == before.keys[:2].tolist()
    assert not set(after.keys.tolist()[2:]) & set(before.keys.tolist())


# What is kept, and cannot be read.


def arrays(**changes: Any) -> bytes:
    """A file of records with some of its arrays changed; None takes one away."""
    kept = {
        "names": np.zeros(1, np.uint64),
        "facts": np.zeros((1, COLUMNS), np.int64),
        "problems": np.frombuffer(b"{}", np.uint8),
        "version": np.array(_VERSION),
        **changes,
    }
    buffer = io.BytesIO()
    np.savez(buffer, **{name: array for name, array in kept.items() if array is not None})
    return buffer.getvalue()


INTACT = arrays()


def patched(place: int, value: int) -> bytes:
    """The file with one byte of its first central directory header changed."""
    start = INTACT.index(b"PK\1\2") + place
    return INTACT[:start] + bytes([value]) + INTACT[start + 1 :]


FOREIGN: dict[str, bytes] = {
    "empty": b"",
    "another checksum": INTACT.replace(b"\x93NUMPY", b"\x93NUMPZ", 1),
    "encrypted": patched(8, 1),
    "another compression": patched(10, 99),
    "compressed": patched(10, 8),
    "array": INTACT[INTACT.index(b"\x93NUMPY") :],
    "no names": arrays(names=None),
    "fewer facts": arrays(facts=np.zeros((1, COLUMNS - 1), np.int64)),
    "table of names": arrays(names=np.zeros((1, 2), np.uint64)),
    "names of pairs": arrays(names=np.zeros(1, "i4, i4")),
    "no version": arrays(version=None),
    "versions": arrays(version=np.array([_VERSION])),
    "problems in a list": arrays(problems=np.frombuffer(b"[]", np.uint8)),
    "problems without end": arrays(problems=np.frombuffer(b"[" * 99_999, np.uint8)),
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN.keys())
def test_what_cannot_be_trusted_is_replaced(
    root: pathlib.Path, own_home: pathlib.Path, opened: list[str], content: bytes
) -> None:
    expected = facts_of(scan(str(root), NAMES))
    (file,) = (own_home / "scans").iterdir()
    file.write_bytes(content)
    for opens in (NAMES, []):
        opened.clear()
        assert facts_of(scan(str(root), NAMES)) == expected
        assert sorted(opened) == opens


@pytest.mark.parametrize(("version", "height"), [(0, 7), (-1, 9), (1, 9)])
def test_what_another_version_kept_is_not_trusted(
    root: pathlib.Path, own_home: pathlib.Path, version: int, height: int
) -> None:
    scan(str(root), ["a.png"])
    (file,) = (own_home / "scans").iterdir()
    kept = {**load_arrays(file)}
    kept["facts"][0, FileInfo._fields.index("height")] = 7
    save_arrays(file, {**kept, "version": kept["version"] + version})
    assert scan(str(root), ["a.png"]).heights.tolist() == [height]


def test_a_library_that_is_missing_today_may_be_there_tomorrow(
    root: pathlib.Path, monkeypatch: pytest.MonkeyPatch, opened: list[str]
) -> None:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 80))).save(buffer)
    put(root / "c.heic", buffer.getvalue())
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pillow_heif", None)
        for _ in range(2):
            before = scan(str(root), ["a.png", "c.heic"])
            assert [*before.problems] == [1]
            assert 'Install it with: pip install "mmdata[heic]"' in before.problems[1]
            assert before.formats[1] == Format.UNKNOWN
    opened.clear()
    after = scan(str(root), ["a.png", "c.heic"])
    assert opened == ["c.heic"]
    assert (after.problems, after.formats[1]) == ({}, Format.PILLOW)
    assert (after.heights[1], after.widths[1]) == (80, 64)
    assert after.keys.tolist() == before.keys.tolist()


@pytest.mark.parametrize("place", ["", "scans", "file"], ids=["home", "folder", "file"])
def test_a_home_that_cannot_be_written_warns_and_works(
    root: pathlib.Path, own_home: pathlib.Path, place: str
) -> None:
    expected = facts_of(scan(str(root), NAMES))
    (file,) = (own_home / "scans").iterdir()
    if place == "file":
        file.unlink()
        file.mkdir()
    else:
        shutil.rmtree(own_home / place)
        (own_home / place).write_bytes(b"in the way")
    with pytest.warns(UserWarning, match="cannot be kept") as warned:
        assert facts_of(scan(str(root), NAMES)) == expected
    (message,) = (str(w.message) for w in warned if w.category is UserWarning)
    assert str(own_home) in message
    assert list(own_home.rglob(".mmdata-*")) == []


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(28, "No space left on device"), pytest.warns(UserWarning, match="No space")),
        (KeyboardInterrupt(), pytest.raises(KeyboardInterrupt)),
    ],
    ids=["full", "stopped"],
)
def test_an_interrupted_write_leaves_what_was_there(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, expected: Any
) -> None:
    path = tmp_path / "deep" / "file.npz"
    save_arrays(path, {"a": np.arange(3)})
    assert [file.name for file in path.parent.iterdir()] == ["file.npz"]

    def fail(file: Any, **_: Any) -> None:
        file.write(b"half")
        raise error

    monkeypatch.setattr(np, "savez", fail)
    with expected:
        save_arrays(path, {"a": np.arange(9)})
    assert [file.name for file in path.parent.iterdir()] == ["file.npz"]
    assert load_arrays(path)["a"].tolist() == [0, 1, 2]


names = st.text(max_size=3) | st.sampled_from(["?", "\udce8", "\udce9"])
numbers = st.integers(-(2**63), 2**63 - 1)
facts = st.builds(FileInfo, *[numbers] * COLUMNS)


@given(st.lists(st.dictionaries(names, st.tuples(facts, st.text(max_size=3))), max_size=5))
@settings(max_examples=50)
def test_records_are_a_dict(steps: list[dict[str, tuple[FileInfo, str]]]) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setenv("MMDATA_HOME", folder)
        expected: dict[str, tuple[FileInfo, str]] = {}
        records = ScanCache("root")
        for step in steps:
            records.keep(step)
            expected |= step
            for kept in (records, ScanCache("root")):
                asked = [*expected, "never kept"]
                assert kept.find(asked) == [*expected.values(), None]
