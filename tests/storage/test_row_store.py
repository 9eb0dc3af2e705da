"""Rows on disk: computed once, complete or missing, and equal to the computed rows."""

import concurrent.futures
import errno
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmdata.storage import buffers as buffers_module
from mmdata.storage import row_store as store_module
from mmdata.storage.buffers import Buffers
from mmdata.storage.manifest import read_manifest
from mmdata.storage.row_store import Compute, Store, locked, verify
from mmdata.storage.shards import OpenShard, RowType, contents

Ints = NDArray[np.int64]
SHAPE = (5, 4, 3)
ROWS = 8
"""Rows of a shard in these tests."""


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_SHARD", ROWS * int(np.prod(SHAPE)) + 7)


def oracle(identities: Ints, shape: Sequence[int] = SHAPE, dtype: Any = np.uint8) -> NDArray[Any]:
    """Rows that are a function of their identity."""
    seeds = identities.view(np.uint64).tolist()
    rows = [np.random.default_rng(seed).random(shape) * 255 for seed in seeds]
    return np.array(rows).reshape(len(identities), *shape).astype(dtype)


class Computer:
    """Computes rows as the oracle has them, and notes which ones it was asked for."""

    def __init__(self, identities: Ints, group: int = 3, without: Sequence[int] = ()) -> None:
        self.identities = identities
        self.group = group
        self.without = without
        self.asked: list[int] = []

    def __call__(self, places: Ints) -> Iterator[tuple[Ints, NDArray[Any]]]:
        self.asked += places.tolist()
        given = places[~np.isin(places, self.without)]
        for begin in range(0, len(given), self.group):
            some = given[begin : begin + self.group]
            yield some, oracle(self.identities[some])


def identities_of(keys: Sequence[int], modified: int = 7) -> Ints:
    return np.array([(key, modified) for key in keys], np.int64).reshape(-1, 2)


def opened(root: pathlib.Path, **changes: Any) -> Store:
    known: dict[str, Any] = {"settings": {"stage": "Resize"}, "shape": SHAPE, "dtype": np.uint8}
    return Store(root, **(known | changes))


def fill(store: Store, identities: Ints, compute: Compute) -> Ints:
    """Fills a store with rows of files whose checksums differ as their identities do."""

    def checksums(places: Ints) -> Ints:
        found: Ints = identities[places, 0] * 3 + identities[places, 1] * 7 + 1
        return found

    return store.fill(identities, compute, checksums, what="test")


def filled(root: pathlib.Path, count: int = 20) -> tuple[pathlib.Path, Ints]:
    """The folder of a store with some rows in shards of 8, 8, ..., and their identities."""
    identities = identities_of(range(count))
    store = opened(root)
    fill(store, identities, Computer(identities))
    return store.folder, identities


def refill(root: pathlib.Path, identities: Ints) -> list[int]:
    """Opens and fills a store, compares all rows, and gives the places that were computed."""
    computer, store = Computer(identities), opened(root)
    slots = fill(store, identities, computer)
    assert np.array_equal(store.take(slots), oracle(identities))
    return computer.asked


def test_rows_are_computed_once(tmp_path: pathlib.Path) -> None:
    keys = [3, 9, 3, -(2**63), 2**63 - 1, 9, 0]
    identities, computer = identities_of(keys), Computer(identities_of(keys))
    store = opened(tmp_path / "root" / "deeper")
    slots = fill(store, identities, computer)
    assert computer.asked == [0, 1, 3, 4, 6]
    assert (slots[0], slots[1]) == (slots[2], slots[5])
    assert len(set(slots.tolist())) == 5
    for again in (store, opened(tmp_path / "root" / "deeper")):
        same = fill(again, identities[::-1], computer)[::-1]
        assert np.array_equal(again.take(same), oracle(identities))
    assert len(computer.asked) == 5


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((), "float32"), ((3,), "bool"), ((2, 5), "<f2"), ((7,), "<i2"), ((1, 1, 9), "complex64")],
)
def test_shapes_and_dtypes(tmp_path: pathlib.Path, shape: tuple[int, ...], dtype: str) -> None:
    identities = identities_of(range(300))
    expected = oracle(identities, shape, dtype)
    store = opened(tmp_path, shape=shape, dtype=np.dtype(dtype))
    parts = np.array_split(np.arange(300), 7)
    fill(store, identities, lambda _: ((p, expected[p]) for p in parts))
    again = opened(tmp_path, shape=shape, dtype=np.dtype(dtype))
    slots = fill(again, identities, Computer(identities))
    rows = again.take(slots[::-1])
    assert (rows.dtype, rows.shape) == (np.dtype(dtype), (300, *shape))
    assert np.array_equal(rows, expected[::-1])
    assert again.take(slots[:0]).shape == (0, *shape)


def test_shards_are_plain_files_of_their_own(tmp_path: pathlib.Path) -> None:
    folder, identities = filled(tmp_path)
    arrays = [np.load(folder / f"0000{i}.row.npy", mmap_mode="r") for i in range(3)]
    assert [len(array) for array in arrays] == [8, 8, 4]
    assert np.array_equal(np.concatenate(arrays), oracle(identities))
    names = {f"0000{i}.{column}.npy" for i in range(3) for column in ("row", "identity")}
    assert {path.name for path in folder.iterdir()} == names | {"manifest.json", "lock"}
    known = json.loads((folder / "manifest.json").read_text())
    assert (known["settings"], known["rows"]) == ({"stage": "Resize"}, 20)
    assert known["columns"]["row"] == {"kind": "fixed", "dtype": "|u1", "shape": [5, 4, 3]}


def test_partly_filled_then_more(tmp_path: pathlib.Path) -> None:
    identities = identities_of(range(30))
    assert refill(tmp_path, identities[10:21]) == [*range(11)]
    assert refill(tmp_path, identities[::-1]) == [*range(9), *range(20, 30)]
    assert refill(tmp_path, identities) == []


def test_only_what_changed_is_computed_again(tmp_path: pathlib.Path) -> None:
    _, identities = filled(tmp_path)
    identities[[4, 13], 1] += 1
    identities[7, 0] = 77
    assert refill(tmp_path, identities) == [4, 7, 13]
    assert refill(tmp_path, identities_of(range(20))) == []


def test_the_checksum_decides_where_the_stamp_differs(tmp_path: pathlib.Path) -> None:
    folder, identities = filled(tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.npy")}
    touched = identities.copy()
    touched[[4, 13], 1] += 1
    touched = np.concatenate([touched, identities_of([90, 91])])
    asked: list[list[int]] = []

    def checksums(places: Ints, changed: Sequence[int] = ()) -> Ints:
        asked.append(places.tolist())
        found: Ints = touched[places, 0] * 3 + 7 * 7 + 1  # as those of time 7 were
        found[np.isin(places, changed)] += 1
        return found

    computer, store = Computer(touched), opened(tmp_path)
    slots = store.fill(touched[:20], computer, checksums, what="test")
    assert (computer.asked, asked) == ([], [[4, 13]])
    assert np.array_equal(store.take(slots), oracle(identities))
    assert store.checksums(np.array([slots[4], -1])).tolist() == [4 * 3 + 50, 0]
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("*.npy")} == before

    slots = store.fill(touched, computer, lambda p: checksums(p, changed=[13]), what="test")
    assert computer.asked == [13, 20, 21]
    expected = oracle(touched)
    expected[4] = oracle(identities)[4]
    assert np.array_equal(store.take(slots), expected)


def test_rows_of_files_that_change_while_filling_are_not_saved(tmp_path: pathlib.Path) -> None:
    identities, store = identities_of(range(10)), opened(tmp_path)

    def checksums(places: Ints) -> Ints:
        return np.where(np.isin(places, [2, 9]), 0, places + 1)

    slots = store.fill(identities, Computer(identities), checksums, what="test")
    assert np.flatnonzero(slots < 0).tolist() == [2, 9]
    assert np.array_equal(store.take(slots[slots >= 0]), oracle(identities[slots >= 0]))
    assert refill(tmp_path, identities) == [2, 9]
    store = opened(tmp_path / "none")
    slots = store.fill(identities, Computer(identities), lambda places: places * 0, what="test")
    assert (slots.tolist(), store.checksums(slots).tolist()) == ([-1] * 10, [0] * 10)


def test_what_is_left_out_is_asked_for_again(tmp_path: pathlib.Path) -> None:
    identities = identities_of(range(10))
    computer, store = Computer(identities, without=[2, 9]), opened(tmp_path)
    for asked in ([*range(10)], [2, 9]):
        computer.asked = []
        slots = fill(store, identities, computer)
        assert computer.asked == asked
        assert np.flatnonzero(slots < 0).tolist() == [2, 9]
    assert refill(tmp_path, identities) == [2, 9]


def giving(rows: NDArray[Any]) -> Callable[[Ints], list[tuple[Ints, NDArray[Any]]]]:
    return lambda places: [(places, rows)]


def test_settings_do_not_mix(tmp_path: pathlib.Path) -> None:
    identities = identities_of(range(9))
    variants: list[dict[str, Any]] = [
        {},
        {"settings": {"stage": "Resize", "size": (224, 224)}},
        {"settings": {"stage": "Resize", "size": [224, 2.5, None, True]}},
        {"shape": (4, 5, 3)},
        {"dtype": np.int8},
        {"dtype": "<i4"},
        {"dtype": "<f4"},
    ]
    slots = []
    for number, variant in enumerate(variants):
        store = opened(tmp_path, **variant)
        rows = np.full((9, *store.shape), number, store.dtype)
        slots.append(fill(store, identities, giving(rows)))
    for number, variant in enumerate(variants):
        store = opened(tmp_path, **variant)
        again = fill(store, identities, Computer(identities))
        assert again.tolist() == slots[number].tolist()
        assert (store.take(again) == number).all()
    assert len(contents(tmp_path)) == len(variants)
    same = opened(tmp_path, settings={"size": [224, 224], "stage": "Resize"})
    assert same.folder == opened(tmp_path, **variants[1]).folder


def test_slots_stay_while_others_write(tmp_path: pathlib.Path) -> None:
    store, identities = opened(tmp_path), identities_of(range(12))
    slots = fill(store, identities, Computer(identities))
    for path in store.folder.iterdir():
        path.unlink()
    others = identities_of(range(100, 120))
    assert refill(tmp_path, others) == [*range(20)]
    both = np.concatenate([identities, others])
    computer = Computer(both)
    now = fill(store, both, computer)
    assert np.array_equal(store.take(slots), oracle(identities))
    assert np.array_equal(store.take(now), oracle(both))
    later = np.concatenate([others, identities_of([500])])
    computer = Computer(later)
    fill(store, later, computer)
    assert computer.asked == [20]


# Processes that end in the middle, and processes side by side.

CHILD = """
import os, pathlib, signal, sys
import numpy as np
from mmdata.storage import row_store as store_module
from mmdata.storage.row_store import Store

def oracle(identities):
    seeds = identities.view(np.uint64).tolist()
    rows = [np.random.default_rng(seed).random((5, 4, 3)) * 255 for seed in seeds]
    return np.array(rows).reshape(len(identities), 5, 4, 3).astype(np.uint8)

store_module._SHARD = 8 * 60 + 7
identities = np.array([(key, 7) for key in range(40)])
calls = []

def compute(places):
    calls.append(len(places))
    for begin in range(0, len(places), 3):
        step("group")
        some = places[begin:begin + 3]
        yield some, oracle(identities[some])

def checksums(places):
    return identities[places, 0] + 1

def step(name):
    pass

def fill(root):
    store = Store(root, settings={"stage": "Resize"}, shape=(5, 4, 3), dtype=np.dtype(np.uint8))
    slots = store.fill(identities, compute, checksums, what="test")
    assert np.array_equal(store.take(slots[slots >= 0]), oracle(identities[slots >= 0]))
"""


def child(code: str, *words: object, **options: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", CHILD + textwrap.dedent(code), *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


KILLED = """
seen = {}
point = None

def step(name):
    seen[name] = seen.get(name, 0) + 1
    if (name, seen[name]) == point:
        os.kill(os.getpid(), signal.SIGKILL)

def before(name):
    real = getattr(os, name)
    def call(*arguments, **options):
        step(name)
        return real(*arguments, **options)
    setattr(os, name, call)

for name in ("fsync", "replace", "pwrite", "ftruncate", "mkdir"):
    before(name)
for words in sys.argv[2:]:
    name, count = words.split()
    process = os.fork()
    if not process:
        point = name, int(count)
        fill(pathlib.Path(sys.argv[1], words))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL, words
"""
LAST_SHARDS = {
    # Which call of what ends the process; shards that are whole then, at least and at most.
    ("group", 1): (0, 0),
    ("group", 9): (1, 3),
    ("pwrite", 2): (0, 0),
    ("ftruncate", 3): (2, 2),
    ("fsync", 2): (0, 0),  # the first is of the manifest, the second of the first shard's rows
    ("fsync", 3): (0, 0),  # its identities
    ("fsync", 4): (0, 0),  # the manifest with it
    ("fsync", 5): (1, 1),
    ("replace", 2): (0, 0),
    ("replace", 3): (0, 0),
    ("replace", 4): (0, 0),
    ("replace", 5): (1, 1),
    ("replace", 7): (1, 1),
    ("replace", 8): (2, 2),
}


def test_killed_while_filling(tmp_path: pathlib.Path) -> None:
    points = {f"{name} {count}": rows for (name, count), rows in LAST_SHARDS.items()}
    with child(KILLED, tmp_path, *points) as process:
        _, errors = process.communicate()
    assert process.returncode == 0, errors
    for point, (least, most) in points.items():
        root = tmp_path / point
        kept = 40 - len(refill(root, identities_of(range(40))))
        assert least * ROWS <= kept <= most * ROWS, point
        assert kept % ROWS == 0
        (folder,) = root.iterdir()
        assert names_in(folder) == [
            *(f"0000{n}.{column}.npy" for n in range(5) for column in ("identity", "row")),
            *("lock", "manifest.json"),
        ]


def names_in(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_two_processes_take_turns(tmp_path: pathlib.Path) -> None:
    code = """
    def step(name):
        if len(calls) == 1 and not answers:
            answers.append(print("computing", flush=True) or sys.stdin.readline())
    answers = []
    fill(pathlib.Path(sys.argv[1]))
    print(calls)
    """
    with child(code, tmp_path) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "computing\n"
        with child(code, tmp_path) as second:
            assert second.stderr is not None
            waiting = second.stderr.readline()
            out, errors = first.communicate("go on\n")
            assert out == "[40]\n", errors
            out, errors = second.communicate()
    assert "waiting for another process" in waiting
    assert (out, first.returncode, second.returncode) == ("[]\n", 0, 0), errors


def test_a_folder_that_cannot_be_written(tmp_path: pathlib.Path) -> None:
    filled(tmp_path, 40)
    code = """
    os.chdir(sys.argv[1])
    fill(pathlib.Path("."))  # imports whatever is needed, while that can be read
    if os.geteuid() == 0:
        os.seteuid(65534)
    fill(pathlib.Path("."))
    print(calls)
    identities = np.array([(key, 7) for key in range(38, 42)])
    try:
        fill(pathlib.Path("."))
    except OSError as err:
        print(err.errno, err)
    """
    for path in [*tmp_path.rglob("*"), tmp_path]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with child(code, tmp_path) as process:
            out, errors = process.communicate()
    finally:
        for path in [tmp_path, *tmp_path.iterdir()]:
            path.chmod(0o755)
    assert out.startswith(f"[]\n{errno.EACCES} "), errors
    assert "lacks 2 rows, and cannot be written (Permission denied)" in out


# No room.


def test_no_room_is_reported_beforehand(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    identities = identities_of(range(20))
    needed = 20 * int(np.prod(SHAPE))
    computer = Computer(identities)
    for free, fits in ((needed - 1, False), (needed, True)):
        usage = shutil._ntuple_diskusage(10**9, 10**9 - free, free)
        monkeypatch.setattr(shutil, "disk_usage", lambda _, usage=usage: usage)
        if fits:
            fill(opened(tmp_path), identities, computer)
        else:
            with pytest.raises(OSError, match=r"no room for 20 rows, 0\.00 GB") as caught:
                fill(opened(tmp_path), identities, computer)
            assert (caught.value.errno, computer.asked) == (errno.ENOSPC, [])
            assert "keeping" not in capsys.readouterr().err
    output = capsys.readouterr().err
    assert "mmdata: keeping 20 rows, 0.00 GB, in " in output
    assert output.count("\n") == 1
    assert computer.asked == [*range(20)]


@pytest.mark.parametrize("function", ["pwrite", "ftruncate", "fsync", "replace"])
@pytest.mark.parametrize("calls", [2, 5])
def test_a_disk_that_gets_full(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, function: str, calls: int
) -> None:
    identities, store = identities_of(range(40)), opened(tmp_path)
    fill(store, identities[:1], Computer(identities[:1]))
    left, real = [calls], getattr(os, function)

    def call(*arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] > 0:
            return real(*arguments, **options)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, function, call)
        with pytest.raises(OSError, match=r"cannot be written \(No space left") as caught:
            fill(store, identities, Computer(identities))
    assert caught.value.errno == errno.ENOSPC
    known = read_manifest(store.folder)
    files = {each.file for shard in known.shards for each in shard.files.values()}
    assert {*names_in(store.folder)} == files | {"lock", "manifest.json"}
    kept = 40 - len(refill(tmp_path, identities))
    assert kept % ROWS == 1
    assert f"{kept - 1} of 39 rows are saved" in str(caught.value)


def test_a_file_that_must_not_grow(tmp_path: pathlib.Path) -> None:
    code = """
    import resource
    store_module._SHARD = 2000
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        fill(pathlib.Path(sys.argv[1]))
    except OSError as err:
        print(err)
    """
    with child(code, tmp_path) as process:
        out, errors = process.communicate()
    assert "cannot be written (File too large); 0 of 40 rows are saved" in out, errors
    assert names_in(next(tmp_path.iterdir())) == ["lock", "manifest.json"]


def test_a_disk_that_takes_a_part_of_what_is_written(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: real(file, data[:37], at))
    filled(tmp_path)
    assert refill(tmp_path, identities_of(range(20))) == []
    assert verify(tmp_path) == []


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("computing", KeyboardInterrupt),
        ("computing", RuntimeError),
        ("computing", OSError),
        ("writing", KeyboardInterrupt),
    ],
)
def test_what_is_interrupted_keeps_its_rows(
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    error: type[BaseException],
) -> None:
    identities = identities_of(range(20))

    def compute(places: Ints) -> Iterator[tuple[Ints, NDArray[Any]]]:
        for number, group in enumerate(Computer(identities)(places)):
            if number == 4 and where == "computing":
                raise error("stop")
            yield group

    real, writes = os.pwrite, [0]

    def write(file: int, data: memoryview, at: int) -> int:
        done = real(file, data, at)
        if threading.current_thread() is threading.main_thread():  # Ctrl-C reaches no other
            writes[0] += 1
            if writes[0] == 5 and where == "writing":  # in the middle of the second shard
                raise error("stop")
        return done

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", write)
        with pytest.raises(error, match="stop"):
            fill(opened(tmp_path), identities, compute)
    asked = refill(tmp_path, identities)
    assert asked == [*range(20 - len(asked), 20)]
    assert len(asked) == (8 if where == "computing" else 11)
    assert verify(tmp_path) == []


def test_interrupted_before_any_row_is_written(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", interrupt)
        with pytest.raises(KeyboardInterrupt):
            filled(tmp_path)
    (folder,) = tmp_path.iterdir()
    assert names_in(folder) == ["lock", "manifest.json"]


# What is damaged.


def rewrite(path: pathlib.Path, change: Callable[[bytearray], object], *, quietly: bool) -> None:
    """Changes a file in place; quietly: with the time of modification that it had."""
    status = os.stat(path)
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)
    modified = status.st_mtime_ns + (0 if quietly else 10**9)
    os.utime(path, ns=(modified, modified))


def flip(place: int) -> Callable[[bytearray], object]:
    def change(content: bytearray) -> None:
        content[place] ^= 64

    return change


def renamed_rows(content: bytearray) -> None:
    content[:] = content.replace(b"(8, 5, 4, 3)", b"(8, 3, 4, 5)")


ROW, IDENTITY = "00001.row.npy", "00001.identity.npy"
DAMAGES: dict[str, tuple[str, Callable[[bytearray], object], str]] = {
    "a flipped bit": (ROW, flip(-50), "its rows are not what was written"),
    "the last bit": (ROW, flip(-1), "its rows are not what was written"),
    "the first bit": (ROW, flip(128), "its rows are not what was written"),
    "cut": (ROW, lambda content: content.pop(), "bytes where"),
    "empty": (ROW, bytearray.clear, "has 0 bytes where"),
    "longer": (ROW, lambda content: content.append(0), "bytes where"),
    "header": (ROW, renamed_rows, "its header is not what was written"),
    "magic": (ROW, flip(0), "its header is not what was written"),
    "cut identities": (IDENTITY, lambda content: content.pop(), f"{IDENTITY} is not what was"),
    "empty identities": (IDENTITY, bytearray.clear, f"{IDENTITY} is not what was written"),
    "longer identities": (IDENTITY, lambda content: content.append(0), f"{IDENTITY} is not what"),
    "identities' bit": (IDENTITY, flip(-20), f"{IDENTITY} is not what was written"),
    "identities' header": (IDENTITY, flip(9), f"{IDENTITY} is not what was written"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_shards_are_computed_again(tmp_path: pathlib.Path, damage: str) -> None:
    name, change, why = DAMAGES[damage]
    folder, identities = filled(tmp_path)
    rewrite(folder / name, change, quietly=False)
    with pytest.warns(UserWarning, match=why) as caught:
        assert refill(tmp_path, identities) == [*range(8, 16)]
    (warning,) = (warning for warning in caught if warning.category is UserWarning)
    assert f"{ROW}: " in str(warning.message)
    assert "its rows are computed again" in str(warning.message)
    assert warning.filename == __file__
    with warnings.catch_warnings(action="error"):
        assert refill(tmp_path, identities) == []
    assert verify(tmp_path) == []


def changed_manifest(folder: pathlib.Path, change: Callable[[Any], object]) -> None:
    known = json.loads((folder / "manifest.json").read_text())
    change(known)
    (folder / "manifest.json").write_text(json.dumps(known))


SHARD_CHANGES: dict[str, Callable[[Any], object]] = {
    "fewer rows": lambda known: known["shards"][1].update(rows=7) or known.update(rows=19),
    "a crc": lambda known: known["shards"][1]["files"]["identity"].update(crc32=5),
    "bytes": lambda known: known["shards"][1]["files"]["row"].update(bytes=5),
    "a file that is not there": lambda known: known["shards"][1]["files"]["row"].update(
        file="00009.row.npy"
    ),
}


@pytest.mark.parametrize("change", SHARD_CHANGES)
def test_shards_that_are_not_what_the_manifest_says(tmp_path: pathlib.Path, change: str) -> None:
    folder, identities = filled(tmp_path)
    changed_manifest(folder, SHARD_CHANGES[change])
    with pytest.warns(UserWarning, match=r"0000[19]\.row\.npy: .*; its rows are computed again"):
        assert refill(tmp_path, identities) == [*range(8, 16)]
    assert refill(tmp_path, identities) == []
    assert len(names_in(folder)) == 8


MANIFESTS: dict[str, tuple[Callable[[Any], object], str]] = {
    "another format": (lambda known: known.update(format="x"), "is not a manifest of rows"),
    "another version": (lambda known: known.update(version=2), "has version 2; only version 3 is"),
    "no shards": (lambda known: known.pop("shards"), "`shards`"),
    "a kind that is not read": (
        lambda known: known["columns"]["row"].update(kind="ragged"),
        "has the column 'row' of kind 'ragged'; only \"fixed\" is read",
    ),
    "an unknown kind": (
        lambda known: known["columns"]["row"].update(kind="jpeg"),
        r"'jpeg' - at `\$.columns\[...\].kind`",
    ),
    "big-endian": (lambda known: known["columns"]["row"].update(dtype=">f4"), "regex"),
    "other settings": (lambda known: known["settings"].update(stage="x"), "with other settings"),
    "other rows": (lambda known: known.update(rows=7), "not match its own shards"),
    "a column less": (
        lambda known: known["shards"][0]["files"].pop("identity"),
        "not match its own shards",
    ),
    "a file elsewhere": (
        lambda known: known["shards"][0]["files"]["row"].update(file="../00000.row.npy"),
        "regex",
    ),
    "above 2**53": (lambda known: known.update(rows=2**53 + 1), "rows"),
}


@pytest.mark.parametrize("change", MANIFESTS)
def test_a_damaged_manifest(tmp_path: pathlib.Path, change: str) -> None:
    folder, identities = filled(tmp_path)
    changed_manifest(folder, MANIFESTS[change][0])
    with pytest.warns(UserWarning, match=MANIFESTS[change][1]) as found:
        assert refill(tmp_path, identities) == [*range(20)]
    (warning,) = (warning for warning in found if warning.category is UserWarning)
    assert str(warning.message).startswith(f"{folder}/manifest.json: ")
    assert warning.filename == __file__
    with warnings.catch_warnings(action="error"):
        assert refill(tmp_path, identities) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_manifest_that_is_not_json(tmp_path: pathlib.Path, content: bytes) -> None:
    folder, identities = filled(tmp_path)
    (folder / "manifest.json").write_bytes(content)
    with pytest.warns(UserWarning, match="is not a manifest of rows"):
        assert refill(tmp_path, identities) == [*range(20)]


def test_verify_removes_what_no_manifest_names(tmp_path: pathlib.Path) -> None:
    folder, identities = filled(tmp_path)
    changed_manifest(folder, lambda known: known.update(rows=7))
    (sentence,) = verify(tmp_path)
    assert sentence == f"{folder}/manifest.json: does not match its own shards."
    assert names_in(folder) == ["lock"]
    assert refill(tmp_path, identities) == [*range(20)]


def test_shards_of_another_store(tmp_path: pathlib.Path) -> None:
    folder, identities = filled(tmp_path)
    other = opened(tmp_path, settings={"stage": "Crop"})
    fill(other, identities, lambda p: [(p, 255 - oracle(identities[p]))])
    shutil.copy2(other.folder / ROW, folder / ROW)
    with pytest.warns(UserWarning, match="its rows are not what was written"):
        assert refill(tmp_path, identities) == [*range(8, 16)]
    shutil.copy2(other.folder / "manifest.json", folder / "manifest.json")
    with pytest.warns(UserWarning, match="for rows with other settings"):
        assert refill(tmp_path, identities) == [*range(20)]


@pytest.mark.parametrize(
    "value",
    [object(), {1: 2}, 2**53 + 1, float("nan"), float("inf"), b"x", {1}, np.float32(1), [[1j]]],
    ids=lambda value: type(value).__name__,
)
def test_settings_that_json_cannot_hold(tmp_path: pathlib.Path, value: Any) -> None:
    with pytest.raises(TypeError, match=r"^Store\(settings=\.\.\.\)\['a'\].* must be plain data"):
        opened(tmp_path, settings={"a": value})


def test_a_touched_shard_is_checked_once(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, identities = filled(tmp_path)
    os.utime(folder / ROW, ns=(1, 1))
    checked, compare = [], OpenShard.compare

    def note(shard: OpenShard, *rest: Any) -> OpenShard:
        checked.append(shard.path.name)
        return compare(shard, *rest)

    monkeypatch.setattr(OpenShard, "compare", note)
    with locked(folder):  # so it cannot be noted
        assert refill(tmp_path, identities) == []
    for _ in range(2):
        assert refill(tmp_path, identities) == []
    assert checked == [ROW] * 2


def test_a_touched_shard_is_noted_beside_new_ones(tmp_path: pathlib.Path) -> None:
    folder, _ = filled(tmp_path)
    store = opened(tmp_path)
    os.utime(folder / ROW, ns=(1, 1))
    more = identities_of(range(21))
    fill(store, more, Computer(more))
    assert [shard.files["row"].modified == "1" for shard in read_manifest(folder).shards] == [
        *(False, True, False, False)
    ]


def test_quiet_damage_is_found_by_verify(tmp_path: pathlib.Path) -> None:
    folder, identities = filled(tmp_path)
    rewrite(folder / ROW, flip(-1), quietly=True)
    store = opened(tmp_path)
    rows = store.take(fill(store, identities, Computer(identities)))
    assert np.count_nonzero(rows != oracle(identities)) == 1  # nothing detects it
    (sentence,) = verify(tmp_path)
    assert sentence == f"{folder / ROW}: its rows are not what was written."
    assert read_manifest(folder).rows == 12
    assert refill(tmp_path, identities) == [*range(8, 16)]


def test_a_shard_that_was_changed_in_between(tmp_path: pathlib.Path) -> None:
    folder, identities = filled(tmp_path)
    store = opened(tmp_path)
    shutil.copy2(folder / ROW, tmp_path / "copy")
    rewrite(tmp_path / "copy", flip(-1), quietly=False)
    os.replace(tmp_path / "copy", folder / ROW)
    more = np.concatenate([identities, identities_of([90])])
    computer = Computer(more)
    with pytest.warns(UserWarning, match="its rows are not what was written"):
        slots = fill(store, more, computer)
    assert computer.asked == [*range(8, 16), 20]
    assert np.array_equal(store.take(slots), oracle(more))


def test_leftovers_go_and_foreign_files_stay(tmp_path: pathlib.Path) -> None:
    folder, identities = filled(tmp_path)
    foreign = ["notes.txt", "rows.npy", "1.row.npy", "00001.npy", "00001.row.npy.bak", "cat.part"]
    left = ["00007.row.npy", "00008.identity.npy", ".mmdata-0123abcd", "00001.other.npy"]
    for name in (*foreign, *left):
        if name.startswith(".mmdata"):
            (folder / name / "new").mkdir(parents=True)
        else:
            (folder / name).write_bytes(b"x")
    assert refill(tmp_path, identities) == []
    assert {*foreign, *left} <= {path.name for path in folder.iterdir()}
    assert refill(tmp_path, identities_of(range(21))) == [20]
    names = {path.name for path in folder.iterdir()}
    assert names >= {*foreign, "00003.row.npy"}
    assert not names & set(left)


def test_newer_shards_win(tmp_path: pathlib.Path) -> None:
    folder, identities = filled(tmp_path)
    other = opened(tmp_path / "other")
    fill(other, identities[:3], lambda p: [(p, 255 - oracle(identities[p]))])
    for column in ("row", "identity"):
        shutil.copy2(other.folder / f"00000.{column}.npy", folder / f"100000.{column}.npy")
    shards = json.loads((other.folder / "manifest.json").read_text())["shards"]
    for each in shards[0]["files"].values():
        each["file"] = f"1{each['file']}"
    known = json.loads((folder / "manifest.json").read_text())
    known["rows"] += 3
    for newest in (False, True):
        both = [*known["shards"], *shards] if newest else [*shards, *known["shards"]]
        (folder / "manifest.json").write_text(json.dumps(known | {"shards": both}))
        store = opened(tmp_path)
        slots = fill(store, identities, Computer(identities))
        expected = oracle(identities)
        if newest:
            expected[:3] = 255 - expected[:3]
        assert np.array_equal(store.take(slots), expected)
    more = identities_of(range(21))
    fill(opened(tmp_path), more, Computer(more))
    assert "100001.row.npy" in names_in(folder)


STEPS = st.lists(
    st.tuples(
        st.lists(st.integers(0, 40), max_size=25),
        st.integers(1, 12),
        st.sampled_from([None, "gone", "no identities", "part", *DAMAGES]),
        st.integers(0, 5),
    ),
    max_size=5,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_any_fills_and_any_damage(steps: list[tuple[list[int], int, str | None, int]]) -> None:
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings(action="ignore"):
        root = pathlib.Path(name)
        kept: dict[str, set[int]] = {}
        for keys, group, damage, number in steps:
            identities, store = identities_of(keys), opened(root)
            computer = Computer(identities, group)
            slots = fill(store, identities, computer)
            assert np.array_equal(store.take(slots), oracle(identities))
            asked = [keys[place] for place in computer.asked]
            assert sorted(asked) == sorted(set(keys) - set().union(*kept.values()))
            assert computer.asked == [keys.index(key) for key in asked]
            if asked:  # then what is damaged was removed
                kept = {
                    path.name.partition(".")[0]: set(np.load(path)[:, 0].tolist())
                    for path in store.folder.glob("*.identity.npy")
                }
            if kept and damage:
                victim = sorted(kept)[number % len(kept)]
                wreck(store.folder / victim, damage)
                if damage != "part":
                    del kept[victim]


def wreck(stem: pathlib.Path, damage: str) -> None:
    if damage == "gone":
        stem.with_suffix(".row.npy").unlink()
    elif damage == "no identities":
        stem.with_suffix(".identity.npy").unlink()
    elif damage == "part":
        (stem.parent / f".mmdata-{stem.name}abc").mkdir(exist_ok=True)
    else:
        name, change, _ = DAMAGES[damage]
        if damage == "header":  # short shards have other numbers of rows
            change = flip(20)
        rewrite(stem.with_suffix(name.removeprefix("00001")), change, quietly=False)


# Bad input.


@pytest.mark.parametrize(
    "slots",
    [[-1], [20], [0, 3, 10**12], [-(2**63)], [[0]], [0.0], [True], 3],
    ids=str,
)
def test_invalid_slots(tmp_path: pathlib.Path, slots: Any) -> None:
    filled(tmp_path)
    with pytest.raises(IndexError, match=r"Store\.take\(slots\) must be .*; got"):
        opened(tmp_path).take(np.array(slots))


def test_an_empty_store_has_no_slots(tmp_path: pathlib.Path) -> None:
    store = opened(tmp_path / "nowhere")
    with pytest.raises(IndexError):
        store.take(np.array([0]))
    assert fill(store, identities_of([]), Computer(identities_of([]))).shape == (0,)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("shape", [(0,), (3, -1)])
def test_rows_of_nothing(tmp_path: pathlib.Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be at least one number per row"):
        opened(tmp_path, shape=shape)


@pytest.mark.parametrize("dtype", [object, "U3", "M8[s]", [("a", "i4")], ">f4"])
def test_rows_that_are_no_numbers(tmp_path: pathlib.Path, dtype: Any) -> None:
    with pytest.raises(ValueError, match="must be at least one number per row"):
        opened(tmp_path, dtype=np.dtype(dtype))


@pytest.mark.parametrize(
    "identities", [np.zeros((3, 3), np.int64), np.zeros(3, np.int64), np.zeros((3, 2), np.int32)]
)
def test_identities_must_be_pairs(tmp_path: pathlib.Path, identities: Any) -> None:
    with pytest.raises(ValueError, match=r"must be int64 \[n, 2\]; got int"):
        fill(opened(tmp_path), identities, Computer(identities))


GOOD = oracle(identities_of([0, 1]))


@pytest.mark.parametrize(
    ("places", "rows"),
    [
        ([2, 3], GOOD.astype(np.float32)),
        ([2, 3], GOOD[:1]),
        ([2, 3], GOOD[:, :4]),
        ([2, 2], GOOD),
        ([2, -1], GOOD),
        ([2, 1], GOOD),
        ([2, 4], GOOD),
        ([2, 6], GOOD),
    ],
)
def test_compute_must_yield_what_was_asked(
    tmp_path: pathlib.Path, places: list[int], rows: NDArray[Any]
) -> None:
    """Of six identities, 4 is a copy of 0, and 1 was yielded before."""
    identities = identities_of([0, 1, 2, 3, 0, 5])

    def compute(_: Ints) -> Iterator[tuple[Ints, NDArray[Any]]]:
        yield np.zeros(0, np.int64), GOOD[:0]
        yield np.array([1]), oracle(identities[1:2])
        yield np.array(places), rows

    with pytest.raises(ValueError, match=r"Store\.fill\(compute=\.\.\.\) must yield"):
        fill(opened(tmp_path), identities, compute)
    assert refill(tmp_path, identities) == [0, 2, 3, 5]


# Memory that is used again.


def test_arrays_in_use_are_never_reused() -> None:
    buffers = Buffers(most=4)
    views: list[Callable[[NDArray[Any]], Any]] = [
        lambda a: a,
        lambda a: a[3:5, 1:],
        lambda a: a.T[::-1],
        lambda a: a.reshape(-1).view(np.uint8)[-1:],
        lambda a: a.data,
        lambda a: np.frombuffer(a.data.cast("B"), np.uint8),
        lambda a: iter(a),
        lambda a: np.asarray(a, copy=False).view(np.recarray),
    ]
    for view in views:
        array = buffers.take((6, 2, 2), np.dtype(np.int32))
        address = array.ctypes.data
        held = view(array)
        del array
        others = [buffers.take((6, 2, 2), np.dtype(np.int32)) for _ in range(6)]
        assert address not in {other.ctypes.data for other in others}
        del held, others
    free = {buffers.take((6, 2, 2), np.dtype(np.int32)).ctypes.data for _ in range(5)}
    assert len(free) == 1  # and free memory is reused


def test_buffers_are_aligned_and_of_the_asked_shape() -> None:
    buffers = Buffers(most=2)
    held: list[NDArray[Any]] = []
    for shape in ((3,), (5, 7), (), (0, 4), (3,), (1000, 3), (5, 7)):
        for dtype in map(np.dtype, ("uint8", "float64", ">i2", "bool")):
            array = buffers.take(shape, dtype)
            assert (array.shape, array.dtype) == (shape, dtype)
            assert array.size == 0 or array.ctypes.data % 64 == 0
            array.fill(len(held) % 2)
            held.append(array)
    assert all((array == number % 2).all() for number, array in enumerate(held))


def test_no_more_buffers_are_kept_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    buffers, byte = Buffers(most=2), np.dtype(np.uint8)
    first = buffers.take((100,), byte)
    place = first.ctypes.data
    held = [buffers.take((100,), byte) for _ in range(5)]
    assert len(buffers._owners) == 2
    del first
    assert buffers.take((100,), byte).ctypes.data == place
    buffers.take((200,), byte)  # replaces a free one
    assert sorted(owner.size for owner in buffers._owners) == [164, 264]
    del held
    monkeypatch.setattr(buffers_module, "_LARGEST", 300)
    buffers.take((500,), byte)
    assert sorted(owner.size for owner in buffers._owners) == [164, 264]


def test_many_threads_hold_what_they_took() -> None:
    buffers, wrong = Buffers(most=64), []
    begin = threading.Barrier(6)
    # Many free ones take long to look through: two threads do so at the same time.
    grown = [buffers.take((64, 32), np.dtype(np.int32)) for _ in range(64)]
    assert len({array.ctypes.data for array in grown}) == 64
    del grown

    def work(number: int) -> None:
        random, held = np.random.default_rng(number), []
        begin.wait()
        for turn in range(1500):
            mark = number * 2000 + turn
            array = buffers.take((random.choice([8, 64, 100]), 32), np.dtype(np.int32))
            array.fill(mark)
            held.append((mark, array[1:] if turn % 2 else array))
            while len(held) > random.integers(0, 6):
                known, kept = held.pop(random.integers(len(held)))
                if not (kept == known).all():
                    wrong.append((number, turn))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            list(pool.map(work, range(6)))
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []


@pytest.fixture
def pipeline(tmp_path: pathlib.Path) -> tuple[Any, Ints, Callable[[Ints], NDArray[Any]]]:
    """A dataset that takes batches of different sizes in parallel, and what is in them."""
    shape, identities = (16, 16, 3), identities_of(range(60))
    expected = oracle(identities, shape)
    store = opened(tmp_path, shape=shape)
    slots = fill(store, identities, lambda p: [(p, expected[p])])
    order = np.random.default_rng(0).integers(0, 60, (300, 8))

    def take(rows: Any) -> Any:
        def look(rows: Ints) -> NDArray[Any]:
            return store.take(slots[rows])

        return tf.numpy_function(look, [rows[: 4 + 4 * (rows[0] % 2)]], tf.uint8)

    ds = tf.data.Dataset.from_tensor_slices(order).map(take, num_parallel_calls=4).prefetch(4)
    return ds, order, lambda rows: expected[rows[: 4 + 4 * (rows[0] % 2)]]


@pytest.mark.parametrize(
    "how", ["tensors", "slices in the graph", "arrays", "arrays of tensors", "slices"]
)
def test_arrays_of_tensorflow_are_never_overwritten(
    pipeline: tuple[Any, Ints, Callable[[Ints], NDArray[Any]]], how: str
) -> None:
    ds, order, expected = pipeline
    kept = {
        "tensors": lambda: list(ds),
        "slices in the graph": lambda: list(ds.map(lambda batch: batch[1:])),
        "arrays": lambda: list(ds.as_numpy_iterator()),
        "arrays of tensors": lambda: [batch.numpy() for batch in ds],
        "slices": lambda: [batch[1:] for batch in ds.as_numpy_iterator()],
    }[how]()
    assert len(kept) == len(order)
    for batch, rows in zip(kept, order, strict=True):
        assert np.array_equal(batch, expected(rows)[how.startswith("slices") :])


def test_eager_tensors_share_and_hold(tmp_path: pathlib.Path) -> None:
    _, identities = filled(tmp_path)
    store = opened(tmp_path)
    slots = fill(store, identities, Computer(identities))
    tensors = [
        tf.numpy_function(store.take, [slots[begin : begin + 4]], tf.uint8)
        for begin in [*range(16)] * 10
    ]
    for number, tensor in enumerate(tensors):
        begin = number % 16
        assert np.array_equal(tensor, oracle(identities[begin : begin + 4]))


def test_threads_take_while_others_fill(tmp_path: pathlib.Path) -> None:
    store, identities = opened(tmp_path), identities_of(range(200))
    slots = fill(store, identities[:40], Computer(identities[:40]))
    expected = oracle(identities)
    done, wrong, turns = threading.Event(), [], [0, 0, 0]

    def read(number: int) -> None:
        random = np.random.default_rng(number)
        while not done.is_set() or turns[number] < 20:
            some = random.integers(0, 40, 16)
            if not np.array_equal(store.take(slots[some]), expected[some]):
                wrong.append(number)
            turns[number] += 1

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read, number) for number in range(3)]
        try:
            for end in range(50, 201, 30):
                some = identities[:end]
                now = fill(store, some, Computer(some))
                assert np.array_equal(store.take(now), expected[:end])
        finally:
            done.set()
        for reader in readers:
            reader.result()
    assert wrong == []
    assert min(turns) >= 20


def test_many_shards_need_few_descriptors(tmp_path: pathlib.Path) -> None:
    _, identities = filled(tmp_path, 30 * ROWS)
    listed = pathlib.Path("/proc/self/fd")
    if not listed.is_dir():
        pytest.skip("this system does not list a process' descriptors")
    before = len(list(listed.iterdir()))
    store = opened(tmp_path)
    rows = store.take(fill(store, identities, Computer(identities)))
    assert len(list(listed.iterdir())) <= before + 2
    folder, maps = str(store.folder), pathlib.Path("/proc/self/maps")
    assert maps.read_text().count(folder) == 30
    del store
    assert folder not in maps.read_text()
    assert np.array_equal(rows, oracle(identities))


@pytest.mark.parametrize("sides", range(1, 17))
def test_headers_of_any_number_of_rows_are_as_long(sides: int) -> None:
    row_type = RowType({}, (5,) * sides, np.dtype(np.uint8))
    headers = [row_type.header(10**digits) for digits in range(19)]
    assert len({len(header) for header in headers}) == 1
    assert len(headers[0]) % 64 == 0
    for digits, header in enumerate(headers):
        file = io.BytesIO(header)
        assert np.lib.format.read_magic(file) == (1, 0)
        known = np.lib.format.read_array_header_1_0(file)
        assert known == ((10**digits, *row_type.shape), False, np.dtype(np.uint8))
        assert file.read() == b""


def test_rows_cannot_be_written_into(tmp_path: pathlib.Path) -> None:
    filled(tmp_path)
    with pytest.raises(ValueError, match="read-only"):
        opened(tmp_path)._rows[0][0] = 1


def test_a_folder_that_another_process_clears_is_made_again(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, failures = pathlib.Path.mkdir, iter([FileExistsError, FileNotFoundError])

    def mkdir(path: pathlib.Path, *args: Any, **options: Any) -> None:
        for failure in failures:
            raise failure(path)
        make(path, *args, **options)

    monkeypatch.setattr(pathlib.Path, "mkdir", mkdir)
    with locked(tmp_path / "rows"):
        assert (tmp_path / "rows").is_dir()


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: pathlib.Path) -> None:
    (tmp_path / "rows").write_bytes(b"")
    with pytest.raises(FileExistsError), locked(tmp_path / "rows"):
        pass
