"""Shards of rows: what all rows have in common, and how shards are written, opened and compared.

See `manifest` for the format. A writer must hold the lock of the folder, see `row_store`.
"""

import contextlib
import ctypes
import dataclasses
import functools
import mmap
import os
import pathlib
import re
import weakref
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mmdata.storage.atomic import Replacement, write
from mmdata.storage.manifest import (
    MANIFEST,
    VERSION,
    AnyColumn,
    Column,
    Manifest,
    Shard,
    ShardFile,
    read_head,
)
from mmdata.storage.npy import npy_header

_ROW, _IDENTITY = "row", "identity"
_IDENTITIES = Column(dtype="<i8", shape=(3,))
_OWN = re.compile(r"\d{5,}\.[a-z]+\.npy")


@dataclasses.dataclass(frozen=True)
class RowType:
    """What all rows of a folder have in common.

    Attributes:
      settings: What they depend on, as plain data.
      shape: The shape of a row, of positive ints.
      dtype: The dtype of its numbers, little-endian.

    Raises:
      TypeError: JSON cannot hold the settings.
      ValueError: A row would be empty, or not of numbers.
    """

    settings: Mapping[str, Any]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __post_init__(self) -> None:
        known = self.dtype.kind in "biufc" and self.dtype.str[0] in "<|"
        if not known or min(self.shape, default=1) < 1:
            raise ValueError(
                "Store(shape=..., dtype=...) must be at least one number per row, little-endian; "
                f"got shape={self.shape!r}, dtype={self.dtype.str!r}."
            )

    @functools.cached_property
    def manifest(self) -> Manifest:
        """The manifest of a folder without rows."""
        row = Column(dtype=self.dtype.str, shape=self.shape)
        return Manifest.of(self.settings, {_ROW: row, _IDENTITY: _IDENTITIES})

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def header(self, count: int) -> bytes:
        """The header of a file of `count` rows; its length does not depend on `count`."""
        return npy_header(self.dtype.str, (count, *self.shape))


@dataclasses.dataclass(frozen=True)
class StoredSet:
    """A folder of rows.

    Attributes:
      folder: Its path.
      settings: What its rows depend on.
      shape: The shape of a row.
      dtype: The name of the dtype of its numbers.
      format: The version of the format.
      rows: How many there are.
      size: Bytes of all files.
      used: When it was last filled or found complete, in seconds since 1970.
    """

    folder: pathlib.Path
    settings: Mapping[str, Any]
    shape: tuple[int, ...]
    dtype: str
    format: int
    rows: int
    size: int
    used: float

    @property
    def is_read(self) -> bool:
        """Whether this version of mmdata reads the rows; it lists and clears every format."""
        return self.format == VERSION

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return {**dataclasses.asdict(self), "folder": str(self.folder)}


def contents(root: pathlib.Path) -> list[StoredSet]:
    """The stores under `root`, most recently used first; opens no shard."""
    folders = [root, *sorted(root.iterdir())] if root.is_dir() else []
    found = filter(None, map(_stored_set, folders))
    return sorted(found, key=lambda stored: -stored.used)


def _stored_set(folder: pathlib.Path) -> StoredSet | None:
    head = read_head(folder)
    if head is None:
        return None
    size = 0
    for path in own_files(folder):
        with contextlib.suppress(FileNotFoundError):
            size += path.stat().st_size
    row = head.columns.get(_ROW, AnyColumn())
    return StoredSet(
        folder=folder,
        settings=head.settings,
        shape=row.shape,
        dtype=_dtype_name(row.dtype),
        format=head.version,
        rows=head.rows,
        size=size,
        used=(folder / MANIFEST).stat().st_mtime,
    )


def _dtype_name(dtype: str) -> str:
    try:
        return np.dtype(dtype).name
    except TypeError:  # another version may know more dtypes
        return dtype


def own_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The files of all shards, also of shards that no manifest names."""
    with contextlib.suppress(FileNotFoundError):
        return [folder / name for name in sorted(filter(_OWN.fullmatch, os.listdir(folder)))]
    return []


def row_file(shard: Shard) -> str:
    """The name of the file with the rows of a shard."""
    return shard.files[_ROW].file


def remove(folder: pathlib.Path, shard: Shard) -> None:
    """Removes the files of a shard."""
    for each in shard.files.values():
        (folder / each.file).unlink(missing_ok=True)


@dataclasses.dataclass(frozen=True, eq=False)
class OpenShard:
    """A shard of n rows whose sizes, headers and identities are right.

    Attributes:
      known: Its entry in the manifest.
      path: The file of its rows.
      rows: [n, *shape], mapped.
      identities: int64 [n, 3], key, stamp and checksum of the file that each row was computed from.
      modified: The current time of modification of the file.
    """

    known: Shard
    path: pathlib.Path
    rows: NDArray[Any]
    identities: NDArray[np.int64]
    modified: str

    @property
    def changed(self) -> bool:
        """Whether that time differs from the one in the manifest."""
        return self.modified != self.known.files[_ROW].modified

    def compare(self, update: Callable[[], object]) -> "OpenShard":
        """Compares all bytes with their checksum, and calls `update` after each row.

        Returns:
          The same shard, with its current time of modification.

        Raises:
          ValueError: The bytes are not what was written.
        """
        crc, size = 0, self.rows[0].nbytes
        with _reading(self.path) as file:  # a bad sector in mapped memory would kill the process
            file.seek(self.known.files[_ROW].bytes - self.rows.nbytes)
            for _ in range(len(self.rows)):
                crc = zlib.crc32(file.read(size), crc)
                update()
        row = self.known.files[_ROW]
        if crc != row.crc32:
            raise ValueError("its rows are not what was written")
        row = msgspec.structs.replace(row, modified=self.modified)
        known = Shard(self.known.rows, {**self.known.files, _ROW: row})
        return dataclasses.replace(self, known=known)


def open_shard(folder: pathlib.Path, shard: Shard, row_type: RowType) -> OpenShard:
    """Opens a shard, without reading its rows.

    Raises:
      ValueError: Its sizes, headers or identities are not what was written.
    """
    path, header = folder / row_file(shard), row_type.header(shard.rows)
    identities = _read_identities(folder, shard)
    with _reading(path) as file:
        status = os.fstat(file.fileno())
        size = shard.files[_ROW].bytes
        if status.st_size != size:
            raise ValueError(f"has {status.st_size:,} bytes where {size:,} were written")
        if file.read(len(header)) != header or size != len(header) + shard.rows * (
            row_type.row_bytes
        ):
            raise ValueError("its header is not what was written")
        memory = _map(file.fileno(), size)
    rows = np.frombuffer(memory, row_type.dtype, offset=len(header))
    rows = rows.reshape(shard.rows, *row_type.shape)
    rows.flags.writeable = False
    return OpenShard(shard, path, rows, identities, str(status.st_mtime_ns))


def _read_identities(folder: pathlib.Path, shard: Shard) -> NDArray[np.int64]:
    known, header = shard.files[_IDENTITY], npy_header(_IDENTITIES.dtype, (shard.rows, 3))
    with _reading(folder / known.file) as file:
        content = file.read(known.bytes + 1)
    numbers = content[len(header) :]
    whole = len(content) == known.bytes and len(numbers) == 24 * shard.rows
    if not whole or not content.startswith(header) or zlib.crc32(numbers) != known.crc32:
        raise ValueError(f"its {known.file} is not what was written")
    return np.frombuffer(numbers, np.int64).reshape(shard.rows, 3)


@contextlib.contextmanager
def _reading(path: pathlib.Path) -> Any:
    try:
        with open(path, "rb") as file:
            yield file
    except OSError as err:
        raise ValueError(f"{path.name} cannot be read ({err.strerror})") from err


class ShardWriter:
    """Writes a shard; other processes see it when it is in the manifest."""

    def __init__(self, folder: pathlib.Path, number: int, row_type: RowType) -> None:
        self.count = 0
        self._folder = folder
        self._name = f"{number:05}"
        self._row_type = row_type
        self._begin = len(row_type.header(0))
        self._added: list[tuple[NDArray[np.int64], int]] = []
        self._replacement = Replacement(folder / f"{self._name}.{_ROW}.npy")
        try:
            self._file = open(self._replacement.path, "xb", buffering=0)  # noqa: SIM115 - `discard`
        except BaseException:
            self._replacement.discard()
            raise

    def add(self, identities: NDArray[np.int64], flat: NDArray[np.uint8]) -> None:
        """Appends rows, uint8 [n, bytes]."""
        self._write(flat.reshape(-1), self._begin + self.count * self._row_type.row_bytes)
        crc = zlib.crc32(flat.data, self._added[-1][1] if self._added else 0)
        self._added.append((identities, crc))  # rows that are not in it are cut off
        self.count += len(flat)

    def finish(self) -> Shard | None:
        """Moves its files into place; returns None if it has no rows."""
        try:
            return self._finish() if self._added else None
        finally:
            self.discard()

    def _finish(self) -> Shard:
        identities = np.concatenate([some for some, _ in self._added])
        count, crc = len(identities), self._added[-1][1]
        path = self._folder / f"{self._name}.{_IDENTITY}.npy"
        try:
            os.ftruncate(self._file.fileno(), self._begin + count * self._row_type.row_bytes)
            self._write(np.frombuffer(self._row_type.header(count), np.uint8), 0)
            self._replacement.commit()
            numbers = identities.astype("<i8").tobytes()
            write(path, npy_header(_IDENTITIES.dtype, (count, 3)) + numbers)
            return Shard(
                count,
                {
                    _ROW: _shard_file(self._folder / f"{self._name}.{_ROW}.npy", crc),
                    _IDENTITY: _shard_file(path, zlib.crc32(numbers)),
                },
            )
        except BaseException:
            (self._folder / f"{self._name}.{_ROW}.npy").unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            raise

    def discard(self) -> None:
        """Removes what was written, unless it was finished."""
        self._file.close()
        self._replacement.discard()

    def _write(self, data: NDArray[np.uint8], begin: int) -> None:
        rest = memoryview(data.data)
        while rest:  # a nearly full disk may take only a part
            written = os.pwrite(self._file.fileno(), rest, begin)
            begin, rest = begin + written, rest[written:]


def _shard_file(path: pathlib.Path, crc: int) -> ShardFile:
    status = os.stat(path)
    return ShardFile(
        file=path.name, bytes=status.st_size, crc32=crc, modified=str(status.st_mtime_ns)
    )


_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int),
    *(ctypes.c_int, ctypes.c_int, ctypes.c_ssize_t),
]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def _map(file: int, size: int) -> Any:
    """Maps a file for reading, until nothing refers to the result.

    Python's `mmap` would keep one descriptor open per file; many systems allow only 1,024.
    """
    address = _libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file, 0)
    if address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    memory = (ctypes.c_ubyte * size).from_address(address)
    # Not when Python exits: other threads may still be reading.
    weakref.finalize(memory, _libc.munmap, address, size).atexit = False
    return memory
