"""Rows of numbers that are expensive to compute, stored on disk by key, and checked before use."""

import contextlib
import dataclasses
import errno
import os
import pathlib
import shutil
import stat
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import filelock
import numpy as np
from numpy.typing import NDArray

from mmdata.printable import printable
from mmdata.progress import progress
from mmdata.storage.atomic import sweep
from mmdata.storage.buffers import Buffers
from mmdata.storage.manifest import MANIFEST, Manifest, Shard, read_manifest
from mmdata.storage.shards import (
    OpenShard,
    RowType,
    ShardWriter,
    contents,
    open_shard,
    own_files,
    remove,
    row_file,
)

Compute = Callable[[NDArray[np.int64]], Iterable[tuple[NDArray[np.int64], NDArray[Any]]]]
Checksums = Callable[[NDArray[np.int64]], NDArray[np.int64]]
_Version = tuple[int, int, int, int]

_LOCK = "lock"
_SHARD = 2**28
"""Bytes of a shard, at most: so much is lost when a process is killed."""

_AT_ONCE = 1024
"""Files that are compared between two steps of the progress bar."""

_STAMP, _CHECKSUM = 1, 2  # columns of an identity, after its key
_MIX = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio: spreads numbers that are close together."""


@dataclasses.dataclass(frozen=True)
class _Known:
    """A shard that was opened: the version of its file, its slots; None if it is damaged."""

    version: _Version
    shard: Shard | None
    slots: range


class Store:
    """Rows of one shape and dtype, each computed from a file, stored on disk.

    A stored row is found by the key of its file and its stamp, or else its checksum:

    - Key and stamp are equal: the file did not change, and is not read.
    - Only the key is equal: the file was touched, copied or changed. Its checksum is computed, and
      the row is used if the checksum is equal.

    `take` may be called from many threads at once, also while `fill` runs. Nothing is written
    before `fill` has to compute: a complete store may be in a read-only folder.

    Shards are checked when they are opened: sizes, headers, and all bytes if the file's time of
    modification is not the one in the manifest. A damaged shard is left out with a warning. If
    bytes change and the time does not, only `mmdata cache verify` finds it.

    Args:
      root: A folder of such stores; it may not exist yet.
      settings: What the rows depend on, as plain data.
      shape: The shape of a row, of positive ints.
      dtype: The dtype of its numbers, little-endian.

    Raises:
      TypeError: JSON cannot hold the settings.
      ValueError: A row would be empty, or not of numbers.
    """

    def __init__(
        self,
        root: pathlib.Path,
        *,
        settings: Mapping[str, Any],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> None:
        self.dtype = np.dtype(dtype)
        self.shape = tuple(map(int, shape))
        self._row_type = RowType(settings, self.shape, self.dtype)
        self.folder = pathlib.Path(root) / self._row_type.manifest.fingerprint
        self._buffers = Buffers()
        self._known: dict[str, _Known] = {}
        self._wrong = ""
        self._rows: list[NDArray[Any]] = []
        self._begins = np.zeros(1, np.int64)
        self._identities = np.zeros((0, 3), np.int64)
        if self._refresh():
            # In a read-only folder, or while others write, the next store compares them again.
            with contextlib.suppress(OSError), locked(self.folder, wait=False):
                self._refresh()
                self._manifest.write(self.folder)

    def fill(
        self,
        identities: NDArray[np.int64],
        compute: Compute,
        checksums: Checksums,
        *,
        what: str,
    ) -> NDArray[np.int64]:
        """Computes the missing rows, and saves them.

        Two processes that fill the same store take turns; the second finds what the first saved.

        Args:
          identities: int64 [n, 2], key and stamp of each file. Files with the same name and content
            have the same key. A file that changes gets another stamp, but may keep its key. Equal
            identities are one row.
          compute: Takes the places of missing rows in `identities`, int64 [m], ascending, each
            identity once; yields places, int64 [b], and their rows, [b, *shape], in any groups.
            Rows that it leaves out are asked for again at the next call.
          checksums: Takes places, int64 [m]; returns the checksums of their files, int64 [m], 0 if
            a file has changed since the identities were taken. Called after `compute`, as rows of
            changed files are not saved; and for files with a known key and an unknown stamp.
          what: The text of the progress bar.

        Returns:
          int64 [n], the slots of the rows for `take`; -1 for a missing row.

        Raises:
          OSError: There is no room for the rows, or they cannot be written. Complete shards stay.
          ValueError: `identities`, or what `compute` yields, is invalid.
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
        with contextlib.suppress(OSError):  # records when it was last used
            os.utime(self.folder / MANIFEST)
        return slots

    def take(self, slots: NDArray[np.int64]) -> NDArray[Any]:
        """Gathers rows, in the order of `slots`.

        Args:
          slots: int64 [b], as `fill` returned them, none of them -1.

        Returns:
          [b, *shape], in memory that nothing else uses.

        Raises:
          IndexError: A slot is not of this store.
        """
        begins = self._begins  # read before the rows: all rows that it counts exist
        slots = np.asarray(slots)
        if slots.dtype.kind != "i" or slots.ndim != 1:
            raise IndexError(
                f"Store.take(slots) must be int64 [b]; got {slots.dtype} {list(slots.shape)}."
            )
        wrong = (slots < 0) | (slots >= begins[-1])
        if wrong.any():
            raise IndexError(
                f"Store.take(slots) must be slots from fill(), below {begins[-1]:,}; "
                f"got {slots[wrong][:5].tolist()!r}."
            )
        shards = np.searchsorted(begins, slots, "right") - 1
        places = slots - begins[shards]
        out = self._buffers.take((len(slots), *self.shape), self.dtype)
        # Faster than a gather by shard, which copies each row twice.
        for i, (shard, place) in enumerate(zip(shards.tolist(), places.tolist(), strict=True)):
            out[i] = self._rows[shard][place]
        return out

    def checksums(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """The checksums of the files of rows, int64 [b]; 0 where a slot is -1."""
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

    def _refresh(self) -> bool:
        """Opens shards that are new or have changed, and forgets shards that were removed.

        Slots stay valid: shards that were opened before stay mapped.

        Returns:
          Whether all bytes of a shard were compared, so that `self._manifest` has another time of
          modification than the file.
        """
        manifest = self._read_manifest()
        known: dict[str, _Known] = {}
        versions = {row_file(shard): self._version(shard) for shard in manifest.shards}
        for name, version in versions.items():
            if name in self._known and self._known[name].version == version:
                known[name] = self._known[name]
        new = [shard for shard in manifest.shards if row_file(shard) not in known]
        fresh, end = [self._identities], len(self._identities)
        for name, opened in open_shards(self.folder, new, self._row_type).items():
            if isinstance(opened, ValueError):
                _warn(self.folder / name, opened)
                known[name] = _Known(versions[name], None, range(0))
                continue
            known[name] = _Known(versions[name], opened.known, range(end, end + len(opened.rows)))
            end += len(opened.rows)
            self._rows.append(opened.rows)
            fresh.append(opened.identities)
        self._known = known
        self._identities = np.concatenate(fresh)
        self._begins = np.cumsum([0, *map(len, self._rows)])
        live = [np.arange(each.slots.start, each.slots.stop) for each in known.values()]
        self._live = np.sort(np.concatenate([np.zeros(0, np.int64), *live]))
        self._indices: dict[int, tuple[NDArray[np.uint64], NDArray[np.int64]]] = {}
        shards = (known[name].shard for name in versions)
        self._manifest = manifest.with_shards(tuple(filter(None, shards)))
        return any(shard not in manifest.shards for shard in self._manifest.shards)

    def _read_manifest(self) -> Manifest:
        """The manifest of the folder; one without rows if it is missing or damaged."""
        try:
            return read_manifest(self.folder)
        except FileNotFoundError:
            return self._row_type.manifest
        except (OSError, ValueError) as err:
            if str(err) != self._wrong:
                _warn(self.folder / MANIFEST, err, stacklevel=5)
            self._wrong = str(err)
            return self._row_type.manifest

    def _version(self, shard: Shard) -> _Version:
        """A value that changes when a shard is replaced or written to."""
        crc = shard.files["row"].crc32
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(self.folder / row_file(shard))
            return status.st_ino, status.st_size, status.st_mtime_ns, crc
        return 0, 0, 0, crc

    def _compute(
        self, identities: NDArray[np.int64], compute: Compute, checksums: Checksums, what: str
    ) -> None:
        missing = self._missing(identities, checksums)
        if not missing.size:
            return
        self._require_room(len(missing))
        self._sweep()
        asked = np.zeros(len(identities), bool)
        asked[missing] = True
        bar = progress(total=len(missing), what=what, unit="image")
        with bar, _Writer(self.folder, self._row_type, self._manifest, len(missing)) as writer:
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
        """Removes incomplete and damaged files."""
        self._manifest.write(self.folder)  # also removes what killed processes left
        _remove_others(self.folder, self._manifest.shards)

    def _missing(self, identities: NDArray[np.int64], checksums: Checksums) -> NDArray[np.int64]:
        """The first place of each identity that has no row, ascending."""
        places = np.flatnonzero(self._find(identities, checksums) < 0)
        order = places[np.lexsort(identities[places].T)]
        first = np.ones(len(order), bool)
        first[1:] = (identities[order[1:]] != identities[order[:-1]]).any(1)
        return np.sort(order[first])

    def _require_room(self, count: int) -> None:
        """Prints what will be written; raises if there is no room for it."""
        needed, free = count * self._row_type.row_bytes, shutil.disk_usage(self.folder).free
        text = f"{count:,} rows, {needed / 1e9:,.2f} GB"
        if needed > free:
            raise OSError(
                errno.ENOSPC,
                f"{self.folder}: no room for {text}; got {free / 1e9:,.2f} GB free. "
                "Make room, or pass another folder.",
            )
        folder = printable(str(self.folder))
        print(f"mmdata: keeping {text}, in {folder} ({free / 1e9:,.2f} GB free)", file=sys.stderr)

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

    On exit, the rows so far are saved, also after an exception.
    """

    def __init__(
        self, folder: pathlib.Path, row_type: RowType, manifest: Manifest, total: int
    ) -> None:
        self._folder = folder
        self._row_type = row_type
        self._manifest = manifest
        numbers = [int(row_file(shard).partition(".")[0]) for shard in manifest.shards]
        self._number = 1 + max(numbers, default=-1)
        self._before = manifest.rows
        self._total = total
        self._shard: ShardWriter | None = None
        self._finishing: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1)

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *exception: object) -> None:
        with self._thread, self._reporting_progress():
            self._finish()
            self._wait()

    def add(self, identities: NDArray[np.int64], rows: NDArray[Any]) -> None:
        """Writes more rows."""
        row_bytes = self._row_type.row_bytes
        flat = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), row_bytes)
        most = max(_SHARD // row_bytes, 1)
        with self._reporting_progress():
            while len(flat):
                if self._shard is None:
                    self._shard = ShardWriter(self._folder, self._number, self._row_type)
                    self._number += 1
                count = most - self._shard.count
                self._shard.add(identities[:count], flat[:count])
                identities, flat = identities[count:], flat[count:]
                if self._shard.count == most:
                    self._finish()

    def _finish(self) -> None:
        if self._shard is not None:
            self._wait()
            self._finishing = self._thread.submit(self._keep, self._shard)
            self._shard = None

    def _keep(self, writer: ShardWriter) -> None:
        """Finishes a shard, and adds it to the manifest: from then on, it counts."""
        shard = writer.finish()
        if shard is None:
            return
        manifest = self._manifest.with_shards((*self._manifest.shards, shard))
        try:
            manifest.write(self._folder)
        except BaseException:
            remove(self._folder, shard)
            raise
        self._manifest = manifest

    def _wait(self) -> None:
        if self._finishing is not None:
            finishing, self._finishing = self._finishing, None
            finishing.result()

    @contextlib.contextmanager
    def _reporting_progress(self) -> Iterator[None]:
        """Adds to an error of writing how many rows are saved."""
        try:
            yield
        except OSError as err:
            if self._shard is not None:
                self._shard.discard()
                self._shard = None
            with contextlib.suppress(OSError):
                self._wait()
            saved = self._manifest.rows - self._before
            why = os.strerror(err.errno) if err.errno else err
            raise OSError(
                err.errno,
                f"{self._folder}: cannot be written ({why}); {saved:,} of {self._total:,} rows are "
                "saved there for the next run. Make room, or pass another folder.",
            ) from err


def verify(root: pathlib.Path) -> list[str]:
    """Checks all rows under `root` against their checksums, and removes damaged shards.

    Waits for processes that are filling.

    Returns:
      A sentence for each shard or manifest that was damaged.
    """
    damaged = []
    for stored in contents(root):
        if stored.is_read:
            with locked(stored.folder):
                damaged += _verify(stored.folder)
    return damaged


def _verify(folder: pathlib.Path) -> list[str]:
    try:
        manifest = read_manifest(folder)
    except FileNotFoundError:  # cleared meanwhile
        return []
    except ValueError as err:
        _clear(folder)
        return [f"{folder / MANIFEST}: {err}."]
    row = manifest.columns["row"]
    row_type = RowType(manifest.settings, row.shape, np.dtype(row.dtype))
    found = open_shards(folder, manifest.shards, row_type, check=True)
    good = tuple(opened.known for opened in found.values() if isinstance(opened, OpenShard))
    if good != manifest.shards:
        used = (folder / MANIFEST).stat()
        manifest.with_shards(good).write(folder)
        os.utime(folder / MANIFEST, ns=(used.st_atime_ns, used.st_mtime_ns))
        _remove_others(folder, good)
    return [f"{folder / name}: {e}." for name, e in found.items() if isinstance(e, ValueError)]


def clear(root: pathlib.Path) -> None:
    """Removes all stores under `root`, and nothing else.

    Waits for processes that are filling. Processes that are reading continue.
    """
    for stored in contents(root):
        with locked(stored.folder):
            _clear(stored.folder)
            (stored.folder / _LOCK).unlink()
            with contextlib.suppress(OSError):  # others have put files there
                stored.folder.rmdir()


def _clear(folder: pathlib.Path) -> None:
    sweep(folder)
    _remove_others(folder, ())
    (folder / MANIFEST).unlink(missing_ok=True)


def _remove_others(folder: pathlib.Path, shards: Iterable[Shard]) -> None:
    """Removes the files of all other shards."""
    known = {each.file for shard in shards for each in shard.files.values()}
    for path in own_files(folder):
        if path.name not in known:
            path.unlink()


def open_shards(
    folder: pathlib.Path, shards: Iterable[Shard], row_type: RowType, *, check: bool = False
) -> dict[str, OpenShard | ValueError]:
    """Opens shards; returns each, or the error, by the name of its file.

    Args:
      folder: Where they are.
      shards: Their entries in the manifest.
      row_type: What their rows must be.
      check: Whether to compare all bytes of all shards, not only of those that seem changed.
    """
    found: dict[str, OpenShard | ValueError] = {}
    for shard in shards:
        try:
            found[row_file(shard)] = open_shard(folder, shard, row_type)
        except ValueError as err:
            found[row_file(shard)] = err
    opened = {name: each for name, each in found.items() if isinstance(each, OpenShard)}
    suspects = {name: each for name, each in opened.items() if check or each.changed}
    total = sum(len(shard.rows) for shard in suspects.values())
    with progress(total=total, what="checking rows", unit="image") as bar:
        for name, suspect in suspects.items():
            try:
                found[name] = suspect.compare(bar.update)
            except ValueError as err:
                found[name] = err
    return found


@contextlib.contextmanager
def locked(folder: pathlib.Path, *, wait: bool = True) -> Iterator[None]:
    """Makes a folder, and locks it for writing; prints a message if it has to wait.

    Raises:
      TimeoutError: Another process writes there, and `wait` is False.
    """
    lock = filelock.FileLock(folder / _LOCK)
    timeout = 0
    while not lock.is_locked:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=timeout)
        except FileNotFoundError:  # another process has just cleared it
            continue
        except FileExistsError:
            if _is_no_folder(folder):  # if not, another process has just cleared it
                raise
        except filelock.Timeout:
            if not wait:
                raise
            message = f"mmdata: waiting for another process, in {folder}"
            print(printable(message), file=sys.stderr)
            timeout = -1
    try:
        yield
    finally:
        lock.release()


def _is_no_folder(path: pathlib.Path) -> bool:
    """Whether there is something else than a folder."""
    with contextlib.suppress(FileNotFoundError):
        return not stat.S_ISDIR(os.stat(path).st_mode)
    return False


def _warn(path: pathlib.Path, err: Exception, stacklevel: int = 4) -> None:
    message = f"{path}: {err}; its rows are computed again."
    warnings.warn(printable(message), stacklevel=stacklevel)


def _hashes(identities: NDArray[np.int64]) -> NDArray[np.uint64]:
    """One number for each pair. Two pairs with one number are as rare as two files with one key."""
    numbers = identities.view(np.uint64)
    return numbers[:, 0] + numbers[:, 1] * _MIX
