"""Folders of rows on disk: what they hold, whether it is what was written, and taking it away.

A folder holds rows of one kind: `settings.json`, whose digest is the folder's name; shards
`00000.npy`, ..., which `numpy.load` reads; and beside each an `.npz` that says whose rows they are,
and what was written.
"""

import contextlib
import ctypes
import dataclasses
import functools
import hashlib
import io
import json
import mmap
import os
import pathlib
import re
import secrets
import sys
import time
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import filelock
import numpy as np
from numpy.typing import NDArray

from mmdata.printable import printable
from mmdata.progress import progress
from mmdata.storage.user_cache import load_arrays

SETTINGS = "settings.json"
_LOCK = "lock"
_OWN = re.compile(r"\d{5,}\.np[yz]|(\d{5,}\.np[yz]|settings\.json)\.[0-9a-f]{8}\.part")

_FORMAT = 2
"""Goes up when shards of before must not be read."""


@dataclasses.dataclass(frozen=True)
class RowType:
    """What all rows of a folder have in common.

    Attributes:
      settings: What they depend on, as JSON holds it.
      shape: The shape of a row.
      dtype: The dtype of its numbers, as `numpy.dtype` takes it.
      format: The form in which they are kept.
    """

    settings: Mapping[str, Any]
    shape: tuple[int, ...]
    dtype: str
    format: int = _FORMAT

    @classmethod
    def of(cls, folder: pathlib.Path) -> "RowType | None":
        """The kind of rows that mmdata keeps in a folder; None if it does not keep any there."""
        try:
            known = json.loads((folder / SETTINGS).read_bytes())
            shape, form = tuple(known["shape"]), known["mmdata store"]
            kind = cls(known["settings"], shape, known["dtype"], form)
            return kind if kind.digest == folder.name else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    @property
    def text(self) -> bytes:
        """What `settings.json` holds."""
        known = dataclasses.asdict(self)
        known["mmdata store"] = known.pop("format")
        return json.dumps(known, indent=2, sort_keys=True).encode()

    @property
    def is_read(self) -> bool:
        """Whether this version reads rows of that form; it lists and clears all."""
        return self.format == _FORMAT

    @functools.cached_property
    def digest(self) -> str:
        """The name of the folder."""
        return hashlib.blake2b(self.text, digest_size=16).hexdigest()

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def header(self, count: int) -> bytes:
        """The header of a file of `count` rows; as long as that of any other number of rows.

        Source: NEP 1, version 1.0 of the format.
        """
        shape = (count, *self.shape)
        known = {"descr": np.dtype(self.dtype).str, "fortran_order": False, "shape": shape}
        text = repr(known) + " " * (20 - len(str(count)))
        text += " " * (-(10 + len(text) + 1) % 64) + "\n"
        return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin1")


@dataclasses.dataclass(frozen=True)
class StoredSet:
    """What a folder holds.

    Attributes:
      folder: Its path.
      kind: What its rows are.
      rows: How many there are in whole shards.
      size: Bytes of all files.
      used: When it was last filled or found complete, in seconds since 1970.
    """

    folder: pathlib.Path
    kind: RowType
    rows: int
    size: int
    used: float

    def __str__(self) -> str:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.used))
        row = f"{self.kind.dtype} {list(self.kind.shape)}"
        settings = (f"  {name}: {_words(value)}" for name, value in self.kind.settings.items())
        told = f"{self.rows:,} rows of {row}, {self.size / 1e9:,.2f} GB, last used {used}"
        other = [] if self.kind.is_read else ["  kept by another version, and not read by this one"]
        lines = [told, *settings, *other, f"  in {self.folder}"]
        return "\n".join(map(printable, lines))

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        known = dataclasses.asdict(self)
        return {**known.pop("kind"), **known, "folder": str(self.folder)}


def contents(root: pathlib.Path) -> list[StoredSet]:
    """What is kept under `root`, what was used last first; opens no shard."""
    return sorted(map(_kept, _kinds(root).items()), key=lambda kept: -kept.used)


def verify(root: pathlib.Path) -> list[str]:
    """Checks all checksums of all that is kept under `root`, and removes what is damaged.

    Waits for processes that are filling.

    Returns:
      A sentence for each shard that was damaged.
    """
    damaged = []
    for folder, kind in _kinds(root).items():
        if not kind.is_read:
            continue
        with locked(folder):
            for path, shard in open_shards(shards(folder), kind, check=True).items():
                if isinstance(shard, ValueError):
                    damaged.append(f"{path}: {shard}.")
                    path.with_suffix(".npz").unlink()
                    path.unlink()
    return damaged


def clear(root: pathlib.Path) -> None:
    """Removes what mmdata keeps under `root`, and nothing else.

    Waits for processes that are filling. Those that are reading go on.
    """
    for folder in _kinds(root):
        with locked(folder):
            for path in own_files(folder):
                path.unlink()
            (folder / SETTINGS).unlink(missing_ok=True)
            (folder / _LOCK).unlink()
            with contextlib.suppress(OSError):  # others have put files there
                folder.rmdir()


def _words(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _kinds(root: pathlib.Path) -> dict[pathlib.Path, RowType]:
    folders = [root, *sorted(root.iterdir())] if root.is_dir() else []
    return {folder: kind for folder in folders if (kind := RowType.of(folder))}


def _kept(place: tuple[pathlib.Path, RowType]) -> StoredSet:
    folder, kind = place
    rows, size = 0, 0
    whole = set(shards(folder))
    for path in own_files(folder):
        with contextlib.suppress(FileNotFoundError):
            length = path.stat().st_size
            size += length
            if path in whole:
                rows += max(length - len(kind.header(0)), 0) // kind.row_bytes
    return StoredSet(folder, kind, rows, size, (folder / SETTINGS).stat().st_mtime)


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> Iterator[None]:
    """Makes a folder, and keeps other processes from writing there; says so if it has to wait."""
    lock = filelock.FileLock(folder / _LOCK)
    patience = 0
    while not lock.is_locked:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # it was cleared just now
            try:
                lock.acquire(timeout=patience)
            except filelock.Timeout:
                message = f"mmdata: waiting for another process, in {folder}"
                print(printable(message), file=sys.stderr)
                patience = -1
    try:
        yield
    finally:
        lock.release()


def own_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """Shards, what is noted of them, and what was left half-written; by number."""
    with contextlib.suppress(FileNotFoundError):
        own = filter(_OWN.fullmatch, os.listdir(folder))
        return [folder / name for name in sorted(own, key=lambda name: (len(name), name))]
    return []


def shards(folder: pathlib.Path) -> list[pathlib.Path]:
    """The `.npy` files of a folder that have their `.npz`, oldest first."""
    own = own_files(folder)
    there = set(own)
    return [path for path in own if path.suffix == ".npy" and path.with_suffix(".npz") in there]


@dataclasses.dataclass(frozen=True, eq=False)
class Shard:
    """A shard of n rows whose size and header are right.

    Attributes:
      path: Its `.npy`.
      rows: [n, *shape], mapped.
      identities: int64 [n, 3], key, stamp and checksum of the file that each row was made of.
      checksums: uint32 [n], CRC-32 of each row's bytes.
      status: Bytes of the file, and its time of modification in nanoseconds.
      changed: Whether that is not the time that was noted.
    """

    path: pathlib.Path
    rows: NDArray[Any]
    identities: NDArray[np.int64]
    checksums: NDArray[np.uint32]
    status: tuple[int, int]
    changed: bool


def open_shards(
    paths: Sequence[pathlib.Path], kind: RowType, *, check: bool = False
) -> dict[pathlib.Path, Shard | ValueError]:
    """Opens shards, or says what is wrong with them.

    Args:
      paths: Their `.npy` files.
      kind: What their rows must be.
      check: Whether to compare all checksums, not only those of files that seem to have changed.
    """
    opened: dict[pathlib.Path, Shard | ValueError] = {}
    for path in paths:
        try:
            opened[path] = _open(path, kind)
        except ValueError as err:
            opened[path] = err
    suspects = [s for s in opened.values() if isinstance(s, Shard) and (check or s.changed)]
    total = sum(len(shard.rows) for shard in suspects)
    with progress(total=total, what="checking rows", unit="image") as bar:
        for shard in suspects:
            try:
                _check(shard, kind, bar.update)
            except ValueError as err:
                opened[shard.path] = err
    return opened


def _open(path: pathlib.Path, kind: RowType) -> Shard:
    noted = load_arrays(path.with_suffix(".npz"))
    try:
        identities, checksums = noted["identities"], noted["checksums"]
        size, modified = noted["status"].tolist()
        digest = noted["kind"].tobytes().decode()
    except (KeyError, ValueError, TypeError):
        raise ValueError("its .npz cannot be read") from None
    count = checksums.size
    if not count or identities.shape != (count, 3) or identities.dtype != np.int64:
        raise ValueError("its .npz is not of a shard")
    if digest != kind.digest:
        raise ValueError("its .npz is of rows with other settings")
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if status.st_size != size:
                raise ValueError(f"has {status.st_size:,} bytes where {size:,} were written")
            header = kind.header(count)
            if file.read(len(header)) != header or size != len(header) + count * kind.row_bytes:
                raise ValueError("has the header of other rows")
            memory = _map(file.fileno(), size)
    except OSError as err:
        raise ValueError(f"cannot be read ({err.strerror})") from err
    rows = np.frombuffer(memory, kind.dtype, offset=len(header)).reshape(count, *kind.shape)
    rows.flags.writeable = False
    now = size, status.st_mtime_ns
    return Shard(path, rows, identities, checksums, now, changed=status.st_mtime_ns != modified)


def _check(shard: Shard, kind: RowType, tell: Callable[[], object]) -> None:
    """Compares all checksums, and tells of each; if they are right, notes the file's time."""
    wrong = 0
    try:
        with open(shard.path, "rb") as file:  # a bad sector that is mapped would end the process
            file.seek(len(kind.header(0)))
            for checksum in shard.checksums.tolist():
                wrong += zlib.crc32(file.read(kind.row_bytes)) != checksum
                tell()
    except OSError as err:
        raise ValueError(f"cannot be read ({err.strerror})") from err
    if wrong:
        raise ValueError(f"{wrong:,} of {len(shard.rows):,} rows are not what was written")
    if shard.changed:
        with contextlib.suppress(OSError):  # where nothing can be written, the next one checks, too
            note(shard.path, kind, shard.identities, shard.checksums, shard.status)


def note(
    path: pathlib.Path,
    kind: RowType,
    identities: NDArray[np.int64],
    checksums: NDArray[np.uint32],
    status: tuple[int, int],
) -> None:
    """Writes the `.npz` of a shard."""
    file = io.BytesIO()
    digest = np.frombuffer(kind.digest.encode(), np.uint8)
    np.savez(file, identities=identities, checksums=checksums, status=status, kind=digest)
    put(path.with_suffix(".npz"), file.getvalue())


def put(path: pathlib.Path, content: bytes) -> None:
    """Writes a small file in one step."""
    part = part_of(path)
    try:
        with open(part, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def part_of(path: pathlib.Path) -> pathlib.Path:
    """A name to write a file under that is no other's."""
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")


_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int),
    *(ctypes.c_int, ctypes.c_int, ctypes.c_ssize_t),
]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def _map(file: int, size: int) -> Any:
    """Maps a file for reading, as long as somebody holds what this returns.

    Python's `mmap` would keep a descriptor open for each; many systems allow a process 1,024.
    """
    address = _libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file, 0)
    if address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    memory = (ctypes.c_ubyte * size).from_address(address)
    # Not when Python ends: other threads may be reading then.
    weakref.finalize(memory, _libc.munmap, address, size).atexit = False
    return memory
