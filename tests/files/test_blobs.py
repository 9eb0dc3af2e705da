"""Blobs of archives: the right bytes, for repeated reads in any order."""

import io
import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.files import blobs as blobs_module
from mmdata.files.blobs import Blobs

CONTENT = bytes(range(256)) * 8


@pytest.fixture
def both(tmp_path: pathlib.Path) -> Blobs:
    """Three members in two archives."""
    paths = [tmp_path / "a.bin", tmp_path / "b.bin"]
    paths[0].write_bytes(CONTENT)
    paths[1].write_bytes(CONTENT[::-1])
    return Blobs(
        tuple(map(str, paths)),
        np.array([1, 0, 1], np.int32),
        np.array([10, 3, 0], np.int64),
        np.array([5, 300, 2], np.int64),
    )


EXPECTED = [CONTENT[::-1][10:15], CONTENT[3:303], CONTENT[::-1][:2]]


@pytest.mark.parametrize("rows", [[], [0], [0, 1, 2], [2, 1, 0, 1, 1]])
def test_read(both: Blobs, rows: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [EXPECTED[row] for row in rows]
    chosen = np.array(rows, np.int64)
    assert both.read_many(chosen) == expected
    assert [both.read(row) for row in rows] == expected
    taken = both.take(chosen)
    assert len(taken) == len(rows)
    assert [taken.open(row).read() for row in range(len(rows))] == expected
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, size, start: pread(fd, min(size, 7), start))
    assert both.read_many(chosen) == expected


def test_read_many_opens_each_archive_once(both: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def count(path: str, *args: Any, **options: Any) -> Any:
        opened.append(path)
        return open(path, *args, **options)

    monkeypatch.setattr(blobs_module, "open", count, raising=False)
    both.read_many(np.array([0, 1, 2, 1, 0], np.int64))
    assert sorted(opened) == sorted(both.shards)


def test_an_archive_cut_short_gives_what_there_is(both: Blobs) -> None:
    os.truncate(both.shards[0], 100)
    assert both.read(1) == both.open(1).read() == CONTENT[3:100]
    os.truncate(both.shards[0], 0)
    assert both.read_many(np.array([1, 0], np.int64)) == [b"", EXPECTED[0]]


MOVES: dict[str, Callable[[Any, int], Any]] = {
    "read": lambda file, n: file.read(n),
    "read all": lambda file, _: file.read(),
    "line": lambda file, _: file.readline(),
    "into": lambda file, n: (buffer := bytearray(n), file.readinto(buffer), buffer),
    "set": lambda file, n: file.seek(n),
    "on": lambda file, n: file.seek(n, os.SEEK_CUR),
    "back": lambda file, n: file.seek(-min(n, file.tell()), os.SEEK_CUR),
    "end": lambda file, n: file.seek(-min(n, 300), os.SEEK_END),
    "tell": lambda file, _: file.tell(),
}


@given(moves=st.lists(st.tuples(st.sampled_from(sorted(MOVES)), st.integers(0, 400))))
def test_a_window_is_a_file(
    moves: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "window.bin"
    path.write_bytes(CONTENT)
    blobs = Blobs((str(path),), *(np.array([n]) for n in (0, 3, 300)))
    with blobs.open(0) as file, io.BytesIO(CONTENT[3:303]) as expected:
        assert file.seekable()
        assert not file.writable()
        for move, number in moves:
            assert MOVES[move](file, number) == MOVES[move](expected, number)


@pytest.mark.parametrize("place", [(-1, 0), (-1, 1), (-301, 2)])
def test_no_window_seeks_before_its_start(both: Blobs, place: tuple[int, int]) -> None:
    with both.open(1) as file, pytest.raises(ValueError, match="position >= 0"):
        file.seek(*place)


def test_a_window_closes_its_file(both: Blobs) -> None:
    file = both.open(0)
    raw: Any = file.raw
    file.close()
    assert raw._file.closed
    with pytest.raises(ValueError, match="closed"):
        file.read()
