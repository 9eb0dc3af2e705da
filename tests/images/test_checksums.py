"""Checksums of whole files: of the bytes that were scanned; each file is read once."""

import hashlib
import os
import pathlib
import tarfile
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import mmdata
from mmdata.files.image_files import Source
from mmdata.files.status import Status, stamps
from mmdata.images import checksums as checksums_module
from mmdata.images.checksums import Checksums

Rewrite = Callable[..., None]

CONTENTS = {
    "0.jpg": bytes(10_000),
    "1.jpg": b"1" * 9000,
    "2.jpg": b"\xff",
    "3.ppm": b"P6 1 1 255\nabc",
}
ALL = np.arange(len(CONTENTS))

pytestmark = pytest.mark.usefixtures("settled")


@pytest.fixture(params=["files", "shard"])
def source(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> pathlib.Path:
    """A folder of files, or a shard, to read."""
    monkeypatch.setenv("MMDATA_HOME", str(tmp_path / "home"))
    folder = tmp_path / "images"
    folder.mkdir()
    for name, content in CONTENTS.items():
        (folder / name).write_bytes(content)
        (folder / name).with_suffix(".txt").write_text("a caption")
    if request.param == "files":
        return folder
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name)
    return tmp_path / "s.tar"


@pytest.fixture
def rows_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows whose files are read as a whole from now on."""
    rows: list[int] = []
    real = checksums_module._read

    def note(source: Source, row: int) -> int:
        rows.append(row)
        return real(source, row)

    monkeypatch.setattr(checksums_module, "_read", note)
    return rows


def opened(source: pathlib.Path) -> Checksums:
    scan, pairs = mmdata.read(source).scanned()
    return Checksums(pairs, scan)


def expected() -> list[int]:
    contents = (len(c).to_bytes(8, "little") + c for c in CONTENTS.values())
    digests = (hashlib.blake2b(content, digest_size=8).digest() for content in contents)
    return [int.from_bytes(digest, "little", signed=True) for digest in digests]


def test_each_file_is_read_once(source: pathlib.Path, rows_read: list[int]) -> None:
    checksums = opened(source)
    assert checksums(np.array([2, 0])).tolist() == [expected()[2], expected()[0]]
    assert checksums(ALL).tolist() == checksums.known.tolist() == expected()
    assert sorted(rows_read) == [0, 1, 2]  # a scan has read the PPM to its end
    checksums.remember()
    later = opened(source)
    assert later(ALL).tolist() == later.scan.checksums.tolist() == expected()
    assert sorted(rows_read) == [0, 1, 2]


def test_a_file_that_changed_since_its_scan_has_none(
    source: pathlib.Path, rewrite: Rewrite
) -> None:
    checksums = opened(source)
    checksums(np.array([1]))
    changed = source if source.is_file() else source / "0.jpg"
    content = changed.read_bytes()
    rewrite(changed, content[:5000] + b"x" + content[5001:])
    now = [0] * 4 if source.is_file() else [0, *expected()[1:]]
    assert checksums(ALL).tolist() == now
    checksums.remember()
    assert opened(source).scan.checksums[0] == 0
    os.rename(changed, f"{changed}.away")
    assert checksums(ALL).tolist() == now


def test_a_changed_file_does_not_keep_its_old_checksum(
    source: pathlib.Path, rewrite: Rewrite
) -> None:
    checksums = opened(source)
    checksums(ALL)
    changed = source if source.is_file() else source / "0.jpg"
    content = changed.read_bytes()
    rewrite(changed, content[:5000] + b"x" + content[5001:])
    opened(source)
    checksums.remember()
    later = opened(source)
    assert later.scan.checksums[0] == 0
    assert later(ALL)[0] not in (0, expected()[0])


def test_of_files_that_changed_just_now_nothing_is_trusted(
    source: pathlib.Path, rows_read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmdata.files.status._SETTLED", 10**18)
    checksums, again = opened(source), opened(source)
    assert not set(checksums.scan.stamps.tolist()) & set(again.scan.stamps.tolist())
    for each in (checksums, again):
        assert each(ALL).tolist() == expected()
        each.remember()
    assert sorted(rows_read) == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("field", range(4), ids=Status._fields)
def test_stamps_differ_where_one_number_does(field: int) -> None:
    statuses: NDArray[np.int64] = np.repeat([[5, 10**18, 10**18 + 1, 2**62]], 3, axis=0)
    statuses[1, field] += 1
    statuses[2, field] = 0
    now = 2 * 10**18
    assert len({*stamps(statuses, now).tolist()}) == 3
    assert stamps(statuses, now).tolist() == stamps(statuses, now + 1).tolist()


@pytest.mark.parametrize("inode", [0, 2**63 - 1, 2**64 - 1, 2**128 - 1])
def test_inodes_of_any_file_system(inode: int) -> None:
    found: Any = types.SimpleNamespace(st_size=5, st_mtime_ns=6, st_ctime_ns=0, st_ino=inode)
    status = Status.of(found)
    assert status[:3] == (5, 6, 0)
    assert stamps(np.array([status], np.int64), 10**18).shape == (1,)
