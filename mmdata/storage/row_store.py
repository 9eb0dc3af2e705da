"""Rows of numbers that are dear to compute, kept on disk by key, and checked before use."""

import contextlib
import errno
import json
import os
import pathlib
import shutil
import sys
import threading
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.printable import printable
from mmdata.progress import progress
from mmdata.storage.shards import (
    SETTINGS,
    RowType,
    locked,
    note,
    open_shards,
    own_files,
    part_of,
    put,
    shards,
)

Compute = Callable[[NDArray[np.int64]], Iterable[tuple[NDArray[np.int64], NDArray[Any]]]]
Checksums = Callable[[NDArray[np.int64]], NDArray[np.int64]]
_Version = tuple[int, int, int]

_SHARD = 2**28
"""Bytes of a shard, at most: as much as is lost when a process is killed."""

_AT_ONCE = 1024
"""Files that are compared between two steps of the progress bar."""

_POOLED = 16
_LARGEST = 2**26
_ALIGNMENT = 64
_STAMP, _CHECKSUM = 1, 2  # columns of an identity, behind its key
_MIX = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio: spreads numbers that lie close together."""


class Buffers:
    """Arrays that are used again once nobody holds them, since fresh memory costs page faults.

    They are aligned to 64 bytes: TensorFlow then shares them, where it would copy others.
    """

    def __init__(self, most: int = _POOLED) -> None:
        self._most = most
        self._owners: list[NDArray[np.uint8]] = []
        self._lock = threading.Lock()

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """An array of any content that nobody else holds."""
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        with self._lock:
            owner = self._owner(size + _ALIGNMENT)
            begin = -owner.ctypes.data % _ALIGNMENT
            return owner[begin : begin + size].view(dtype).reshape(shape)

    def _owner(self, size: int) -> NDArray[np.uint8]:
        # Every view holds the array that owns its memory, so its references tell of all of them.
        # Two: the list's, and the argument's.
        owners = self._owners
        free = [i for i in range(len(owners)) if sys.getrefcount(owners[i]) == 2]
        for i in free:
            if owners[i].size == size:
                return owners[i]
        owner = np.empty(size, np.uint8)
        if size <= _LARGEST:
            if len(owners) < self._most:
                owners.append(owner)
            elif free:
                owners[free[0]] = owner
        return owner


class Store:
    """Rows of one shape and dtype, each made of a file, kept on disk.

    A row is known again by the key of its file, together with its stamp, or else with its checksum:

    - key and stamp are equal: the file was not touched, and is not read.
    - the key alone is equal: the file was touched, copied or changed. Its checksum is asked for,
      and the row is used if that is equal, too.

    `take` may be called from many threads at once, also while `fill` runs. Nothing is written
    before `fill` has to compute: a complete store may lie where nothing can be written.

    Shards are checked when they are opened: size, header, and all checksums if the file's time of
    modification is not the one that was noted. A damaged one is left out with a warning. Bytes that
    changed behind an unchanged time are found by `mmdata cache verify` alone.

    Args:
      root: A folder of such stores; it need not exist yet.
      settings: What the rows depend on; what JSON cannot hold counts by its `repr`.
      shape: The shape of a row, of positive ints.
      dtype: The dtype of its numbers.

    Raises:
      ValueError: A row would hold nothing, or no numbers.
    """

    def __init__(
        self,
        root: pathlib.Path,
        *,
        settings: Mapping[str, object],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> None:
        plain = json.loads(json.dumps(dict(settings), default=repr))
        self.dtype = np.dtype(dtype)
        self._kind = RowType(plain, tuple(map(int, shape)), str(self.dtype))
        if min(self._kind.shape, default=1) < 1 or self.dtype.kind not in "biufc":
            raise ValueError(
                "Store(shape=..., dtype=...) must be of at least one number a row; "
                f"got shape={shape!r}, dtype={dtype!r}."
            )
        self.folder = pathlib.Path(root) / self._kind.digest
        self.shape = self._kind.shape
        self._buffers = Buffers()
        self._known: dict[str, tuple[_Version, range]] = {}
        self._rows: list[NDArray[Any]] = []
        self._begins = np.zeros(1, np.int64)
        self._identities = np.zeros((0, 3), np.int64)
        self._refresh()

    def fill(
        self,
        identities: NDArray[np.int64],
        compute: Compute,
        checksums: Checksums,
        *,
        what: str,
    ) -> NDArray[np.int64]:
        """Computes the rows that are missing, and keeps them.

        Two processes that fill the same store take turns; the second finds what the first kept.

        Args:
          identities: int64 [n, 2], key and stamp of each file: files of one name and content have
            one key; a file whose content changes gets another stamp, but may keep its key. Equal
            ones are one row.
          compute: Takes the places of missing rows in `identities`, int64 [m], ascending, each
            identity once; yields places, int64 [b], and their rows, [b, *shape], in any groups.
            Those that it leaves out are asked for again at the next call.
          checksums: Takes places, int64 [m]; gives the checksums of their files, int64 [m], 0 where
            a file has changed since the identities were taken. Called behind `compute`, whose rows
            of changed files are not kept, and where a key is known and its stamp is not.
          what: What happens, for the progress bar.

        Returns:
          int64 [n], the slots of the rows for `take`; -1 where there is none.

        Raises:
          OSError: There is no room for the rows, or they cannot be written. Whole shards are kept.
          ValueError: `identities` or what `compute` yields is not as it must be.
        """
        identities = np.asarray(identities)
        if identities.dtype != np.int64 or identities.shape[1:] != (2,):
            raise ValueError(
                "Store.fill(identities) must be int64 [n, 2]; "
                f"got {identities.dtype} {list(identities.shape)}."
            )
        slots = self._find(identities, checksums)
        if (slots < 0).any():
            with contextlib.ExitStack() as stack:
                try:
                    stack.enter_context(locked(self.folder))
                except OSError as err:
                    raise OSError(
                        err.errno,
                        f"{self.folder}: lacks {np.count_nonzero(slots < 0):,} rows, and cannot be "
                        f"written ({err.strerror}). Pass another folder.",
                    ) from err
                self._refresh()
                self._compute(identities, compute, checksums, what)
            slots = self._find(identities, checksums)
        with contextlib.suppress(OSError):  # says when it was last used
            os.utime(self.folder / SETTINGS)
        return slots

    def take(self, slots: NDArray[np.int64]) -> NDArray[Any]:
        """Gathers rows, in the order of `slots`.

        Args:
          slots: int64 [b], as `fill` returned them, none of them -1.

        Returns:
          [b, *shape], memory that nobody else holds.

        Raises:
          IndexError: A slot is not one of this store's.
        """
        begins = self._begins  # before the rows: whatever it tells of is there, too
        slots = np.asarray(slots)
        if slots.dtype.kind != "i" or slots.ndim != 1:
            raise IndexError(
                f"Store.take(slots) must be int64 [b]; got {slots.dtype} {list(slots.shape)}."
            )
        wrong = (slots < 0) | (slots >= begins[-1])
        if wrong.any():
            raise IndexError(
                f"Store.take(slots) must be slots that fill() gave, below {begins[-1]:,}; "
                f"got {slots[wrong][:5].tolist()!r}."
            )
        shards = np.searchsorted(begins, slots, "right") - 1
        places = slots - begins[shards]
        out = self._buffers.take((len(slots), *self.shape), self.dtype)
        # Faster than a gather by shard, which would have to copy each row twice.
        for i, (shard, place) in enumerate(zip(shards.tolist(), places.tolist(), strict=True)):
            out[i] = self._rows[shard][place]
        return out

    def checksums(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """The checksums of the files that rows were made of, int64 [b]; 0 where a slot is -1."""
        found = np.zeros(len(slots), np.int64)
        found[slots >= 0] = self._identities[slots[slots >= 0], _CHECKSUM]
        return found

    def _find(self, identities: NDArray[np.int64], checksums: Checksums) -> NDArray[np.int64]:
        """The newest slot of each file, or -1."""
        slots = self._newest(_STAMP, identities)
        missing = np.flatnonzero(slots < 0)
        touched = missing[np.isin(identities[missing, 0], self._identities[self._live, 0])]
        with progress(total=len(touched), what="comparing files", unit="file") as bar:
            for begin in range(0, len(touched), _AT_ONCE):
                places = touched[begin : begin + _AT_ONCE]
                asked = np.stack([identities[places, 0], checksums(places)], 1)
                slots[places] = self._newest(_CHECKSUM, asked)
                bar.update(len(places))
        return slots

    def _newest(self, column: int, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
        """The newest slot of each key and stamp, or key and checksum, int64 [b, 2]; or -1."""
        if not self._live.size:
            return np.full(len(wanted), -1)
        if column not in self._indices:
            hashes = _hashes(self._identities[self._live][:, [0, column]])
            order = np.argsort(hashes, kind="stable")
            self._indices[column] = hashes[order], self._live[order]
        hashes, slots = self._indices[column]
        found = slots[np.searchsorted(hashes, _hashes(wanted), "right") - 1]
        return np.where((self._identities[found][:, [0, column]] == wanted).all(1), found, -1)

    def _refresh(self) -> None:
        """Opens what is new or has changed in the folder, and forgets what is gone.

        Slots stay what they are: what was opened before remains mapped.
        """
        now = {path: _version(path) for path in shards(self.folder)}
        before = {path: self._known.get(path.name) for path in now}
        changed = [path for path, known in before.items() if not known or known[0] != now[path]]
        opened = open_shards(changed, self._kind)
        fresh, end = [self._identities], len(self._identities)
        for path, shard in opened.items():
            if isinstance(shard, ValueError):
                message = f"{path}: {shard}; its rows are computed anew."
                warnings.warn(printable(message), stacklevel=3)
                self._known[path.name] = now[path], range(0)
                continue
            self._known[path.name] = now[path], range(end, end + len(shard.rows))
            end += len(shard.rows)
            self._rows.append(shard.rows)
            fresh.append(shard.identities)
        self._known = {path.name: self._known[path.name] for path in now}
        self._identities = np.concatenate(fresh)
        self._begins = np.cumsum([0, *map(len, self._rows)])
        live = [np.arange(slots.start, slots.stop) for _, slots in self._known.values()]
        self._live = np.sort(np.concatenate([np.zeros(0, np.int64), *live]))
        self._indices: dict[int, tuple[NDArray[np.uint64], NDArray[np.int64]]] = {}

    def _compute(
        self, identities: NDArray[np.int64], compute: Compute, checksums: Checksums, what: str
    ) -> None:
        self._sweep()
        missing = self._missing(identities, checksums)
        if not missing.size:
            return
        self._require_room(len(missing))
        if RowType.of(self.folder) is None:
            put(self.folder / SETTINGS, self._kind.text)
        asked = np.zeros(len(identities), bool)
        asked[missing] = True
        bar = progress(total=len(missing), what=what, unit="image")
        number = 1 + max((int(pathlib.Path(name).stem) for name in self._known), default=-1)
        with bar, _Writer(self.folder, self._kind, number, len(missing)) as writer:
            for places, rows in compute(missing):
                self._require_rows(places, rows, asked)
                asked[places] = False
                made_of = checksums(places)
                same = made_of != 0
                known = np.column_stack([identities[places], made_of])
                writer.add(known[same], rows[same])
                bar.update(len(places))
        self._refresh()

    def _sweep(self) -> None:
        """Removes what others left half-written, and what is damaged."""
        good = {pathlib.Path(name).stem for name, (_, slots) in self._known.items() if slots}
        for path in own_files(self.folder):
            if path.suffix == ".part" or path.stem not in good:
                path.unlink()
        self._known = {name: known for name, known in self._known.items() if known[1]}

    def _missing(self, identities: NDArray[np.int64], checksums: Checksums) -> NDArray[np.int64]:
        """The first place of each identity that has no row, ascending."""
        places = np.flatnonzero(self._find(identities, checksums) < 0)
        order = places[np.lexsort(identities[places].T)]
        first = np.ones(len(order), bool)
        first[1:] = (identities[order[1:]] != identities[order[:-1]]).any(1)
        return np.sort(order[first])

    def _require_room(self, count: int) -> None:
        """Says what will be written, unless there is no room for it."""
        needed, free = count * self._kind.row_bytes, shutil.disk_usage(self.folder).free
        told = f"{count:,} rows, {needed / 1e9:,.2f} GB"
        if needed > free:
            raise OSError(
                errno.ENOSPC,
                f"{self.folder}: no room for {told}; got {free / 1e9:,.2f} GB free. "
                "Make room, or pass another folder.",
            )
        folder = printable(str(self.folder))
        print(f"mmdata: keeping {told}, in {folder} ({free / 1e9:,.2f} GB free)", file=sys.stderr)

    def _require_rows(
        self, places: NDArray[np.int64], rows: NDArray[Any], asked: NDArray[np.bool_]
    ) -> None:
        if rows.shape != (len(places), *self.shape) or rows.dtype != self.dtype:
            raise ValueError(
                f"Store.fill(compute=...) must yield {len(places)} rows, {self.dtype} "
                f"{list(self.shape)}; got {rows.dtype} {list(rows.shape)}."
            )
        inside = (places >= 0).all() and (places < len(asked)).all()
        if not inside or not asked[places].all() or len(np.unique(places)) < len(places):
            raise ValueError(
                "Store.fill(compute=...) must yield places that it was asked for, each once; "
                f"got {places[:5].tolist()!r}."
            )


class _Writer:
    """Writes rows into shards, and finishes each in a thread while the next ones are computed.

    Leaving it keeps the rows so far, also when an exception passes through.
    """

    def __init__(self, folder: pathlib.Path, kind: RowType, number: int, total: int) -> None:
        self._folder = folder
        self._kind = kind
        self._number = number
        self._total = total
        self._kept = 0
        self._part: _Part | None = None
        self._finishing: Future[int] | None = None
        self._thread = ThreadPoolExecutor(1)

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *exception: object) -> None:
        with self._thread, self._telling():
            self._finish()
            self._wait()

    def add(self, identities: NDArray[np.int64], rows: NDArray[Any]) -> None:
        """Writes some more rows."""
        flat = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), self._kind.row_bytes)
        most = max(_SHARD // self._kind.row_bytes, 1)
        with self._telling():
            while len(flat):
                if self._part is None:
                    path = self._folder / f"{self._number:05}.npy"
                    self._part = _Part(path, self._kind)
                    self._number += 1
                count = most - self._part.count
                self._part.add(identities[:count], flat[:count])
                identities, flat = identities[count:], flat[count:]
                if self._part.count == most:
                    self._finish()

    def _finish(self) -> None:
        if self._part is not None:
            self._wait()
            self._finishing = self._thread.submit(self._part.finish)
            self._part = None

    def _wait(self) -> None:
        if self._finishing is not None:
            finishing, self._finishing = self._finishing, None
            self._kept += finishing.result()

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Says what is kept when something cannot be written."""
        try:
            yield
        except OSError as err:
            if self._part is not None:
                self._part.discard()
                self._part = None
            with contextlib.suppress(OSError):
                self._wait()
            raise OSError(
                err.errno,
                f"{self._folder}: cannot be written ({err.strerror}); {self._kept:,} of "
                f"{self._total:,} rows are kept there for the next time. "
                "Make room, or pass another folder.",
            ) from err


class _Part:
    """A shard that is being written."""

    def __init__(self, path: pathlib.Path, kind: RowType) -> None:
        self.count = 0
        self._path = path
        self._kind = kind
        self._begin = len(kind.header(0))
        self._added: list[tuple[NDArray[np.int64], NDArray[np.uint32]]] = []
        self._name = part_of(path)
        self._file = os.open(self._name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)

    def add(self, identities: NDArray[np.int64], flat: NDArray[np.uint8]) -> None:
        """Writes rows, uint8 [n, bytes], behind those that are there."""
        self._write(flat.reshape(-1), self._begin + self.count * self._kind.row_bytes)
        checksums = np.array([zlib.crc32(row) for row in flat], np.uint32)
        self._added.append((identities, checksums))  # what an interrupt leaves out is cut off
        self.count += len(flat)

    def finish(self) -> int:
        """Makes it a shard that others see; returns how many rows it has."""
        if not self._added:
            self.discard()
            return 0
        identities, checksums = map(np.concatenate, zip(*self._added, strict=True))
        count = len(checksums)
        try:
            os.ftruncate(self._file, self._begin + count * self._kind.row_bytes)
            self._write(np.frombuffer(self._kind.header(count), np.uint8), 0)
            os.fsync(self._file)
            status = os.fstat(self._file)
            os.replace(self._name, self._path)
            now = status.st_size, status.st_mtime_ns
            note(self._path, self._kind, identities, checksums, now)
        except BaseException:
            self.discard()
            self._path.unlink(missing_ok=True)
            raise
        os.close(self._file)
        return count

    def discard(self) -> None:
        """Removes what was written."""
        os.close(self._file)
        self._name.unlink(missing_ok=True)

    def _write(self, data: NDArray[np.uint8], begin: int) -> None:
        rest = memoryview(data.data)
        while rest:  # a disk that is nearly full takes a part of it
            written = os.pwrite(self._file, rest, begin)
            begin, rest = begin + written, rest[written:]


def _version(path: pathlib.Path) -> _Version:
    """What differs when a file is another one, or was written into."""
    with contextlib.suppress(FileNotFoundError):
        status = os.stat(path)
        return status.st_ino, status.st_size, status.st_mtime_ns
    return 0, 0, 0


def _hashes(identities: NDArray[np.int64]) -> NDArray[np.uint64]:
    """One number for two. Pairs of the same number are as rare as files of the same key."""
    numbers = identities.view(np.uint64)
    return numbers[:, 0] + numbers[:, 1] * _MIX
