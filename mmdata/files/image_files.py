"""Image files for scans: their status, their first and last bytes, or all bytes."""

import functools
import hashlib
import os
import stat
from collections.abc import Sequence
from typing import BinaryIO, Protocol

from mmdata.files.blobs import Blobs
from mmdata.files.status import Status

EDGE = 4096
"""The content key depends on this many bytes at the start and at the end of a file."""


class Source(Protocol):
    """n image files."""

    def status(self, row: int) -> Status:
        """The status of a file; for a member of a shard, its length and the shard's other fields.

        Raises:
          OSError: The file cannot be found.
          ValueError: The file system does not accept its name.
        """

    def edges(self, row: int) -> tuple[Status, bytes, bytes]:
        """The status of a file, then its first and last bytes."""

    def open(self, row: int) -> BinaryIO:
        """Opens a file for reading."""


def source_of(root: str, images: Sequence[str], blobs: Blobs | None) -> Source:
    """Image files under `root`, or members of tar shards."""
    return _Files(root, images) if blobs is None else _Members(blobs)


class _Files:
    """Image files in a folder."""

    def __init__(self, root: str, images: Sequence[str]) -> None:
        self._root = root
        self._images = images

    def _path(self, row: int) -> str:
        return os.path.join(self._root, self._images[row])

    def status(self, row: int) -> Status:
        return Status.of(os.stat(self._path(row)))

    def edges(self, row: int) -> tuple[Status, bytes, bytes]:
        file = os.open(self._path(row), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(file)  # before reading, so that a later change is noticed
            if not stat.S_ISREG(found.st_mode):  # O_NONBLOCK: opening a pipe must not block
                raise OSError("not a regular file")
            head = os.pread(file, EDGE, 0)
            return Status.of(found), head, os.pread(file, EDGE, max(found.st_size - EDGE, 0))
        finally:
            os.close(file)

    def open(self, row: int) -> BinaryIO:
        return open(self._path(row), "rb")


class _Members:
    """Image files in tar shards; reads the status of each shard once."""

    def __init__(self, blobs: Blobs) -> None:
        self.open = blobs.open
        self._members = blobs
        self._shard = functools.cache(lambda shard: Status.of(os.stat(blobs.shards[shard])))

    def status(self, row: int) -> Status:
        shard = self._shard(int(self._members.shard[row]))
        return shard._replace(size=int(self._members.size[row]))

    def edges(self, row: int) -> tuple[Status, bytes, bytes]:
        status = self.status(row)
        with self.open(row) as file:
            head = file.read(EDGE)
            file.seek(max(status.size - EDGE, 0))
            return status, head, file.read(EDGE)


def digest(length: int, *parts: bytes) -> int:
    """The 64-bit blake2b hash of a length and of bytes, as an int64."""
    found = hashlib.blake2b(length.to_bytes(8, "little"), digest_size=8)
    for part in parts:
        found.update(part)
    return int.from_bytes(found.digest(), "little", signed=True)


def checksum(source: Source, row: int, size: int) -> int:
    """The digest of a whole file."""
    with source.open(row) as file:
        return digest(size, *iter(functools.partial(file.read, 1 << 20), b""))
