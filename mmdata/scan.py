"""Reads headers and content keys of image files, once, in parallel. Decodes nothing."""

import dataclasses
import hashlib
import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mmdata.headers import Format, Header, HeaderError, read_header

MAX_PIXELS = 178_956_970
"""More is taken for a decompression bomb. Source: Pillow, twice `Image.MAX_IMAGE_PIXELS`."""

_EDGE = 4096
_BLOCK = 256


@dataclasses.dataclass(frozen=True, eq=False)
class Scan:
    """What was seen of n image files.

    Attributes:
      keys: int64 [n], content keys; equal for copies of a file, whatever their names.
      formats: int8 [n], `Format`; UNKNOWN where the file must not be decoded.
      orientations: int8 [n], EXIF orientation, 1-8.
      problems: Why a file must not be decoded, by its index.
    """

    keys: NDArray[np.int64]
    formats: NDArray[np.int8]
    orientations: NDArray[np.int8]
    problems: dict[int, str]

    @property
    def plain(self) -> bool:
        """Whether every file is a JPEG that is stored upright."""
        jpeg, upright = self.formats == Format.JPEG, self.orientations == 1
        return bool(np.all(jpeg & upright))

    def take(self, rows: NDArray[np.int64]) -> "Scan":
        """The scan of the files at `rows`, int64 [k], in that order."""
        return Scan(
            self.keys[rows],
            self.formats[rows],
            self.orientations[rows],
            {new: self.problems[old] for new, old in enumerate(rows) if old in self.problems},
        )


def scan(paths: Sequence[str]) -> Scan:
    """Scans image files in threads, with a progress bar after two seconds.

    The content key is the 64-bit blake2b of the file's length, first 4 KiB and last 4 KiB.

    Returns:
      What was seen; a file that cannot be read is a problem, never an exception.
    """
    blocks = [paths[i : i + _BLOCK] for i in range(0, len(paths), _BLOCK)]
    bar = tqdm(total=len(paths), desc="scanning images", unit="file", delay=2, leave=False)
    seen: list[tuple[int, Header | str]] = []
    with bar, ThreadPoolExecutor() as pool:
        for block in pool.map(_scan_block, blocks):
            seen += block
            bar.update(len(block))
    headers = [h if isinstance(h, Header) else Header(Format.UNKNOWN, 0, 0) for _, h in seen]
    return Scan(
        keys=np.array([key for key, _ in seen], np.uint64).view(np.int64),
        formats=np.array([header.format for header in headers], np.int8),
        orientations=np.array([header.orientation for header in headers], np.int8),
        problems={row: why for row, (_, why) in enumerate(seen) if isinstance(why, str)},
    )


def _scan_block(paths: Sequence[str]) -> list[tuple[int, Header | str]]:
    return [_scan_file(path) for path in paths]


def _scan_file(path: str) -> tuple[int, Header | str]:
    """The content key of a file, and its header or why it must not be decoded."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # to open a pipe would be to wait for it
            return 0, "not a regular file"
        with open(path, "rb") as file:
            return _content_key(file), _header(file)
    except OSError as err:
        return 0, err.strerror or str(err)
    except ValueError as err:  # a name that no file system takes, e.g. with a NUL
        return 0, str(err)


def _content_key(file: BinaryIO) -> int:
    length = os.fstat(file.fileno()).st_size
    digest = hashlib.blake2b(length.to_bytes(8, "little") + file.read(_EDGE), digest_size=8)
    file.seek(max(length - _EDGE, 0))
    digest.update(file.read(_EDGE))
    return int.from_bytes(digest.digest(), "little")


def _header(file: BinaryIO) -> Header | str:
    try:
        header = read_header(file)
    except HeaderError as err:
        return str(err)
    pixels = header.height * header.width
    if not 0 < pixels <= MAX_PIXELS:
        size = f"{header.height} x {header.width} pixels"
        return f"{size}, not between 1 and {MAX_PIXELS:,} in all"
    return header
