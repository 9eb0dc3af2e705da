"""Reads headers and content keys of image files, once, in parallel. Decodes nothing."""

import contextlib
import dataclasses
import io
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from mmdata.files.blobs import Blobs
from mmdata.files.headers import Format, Header, HeaderError, read_header
from mmdata.files.image_files import Source, checksum, digest, source_of
from mmdata.files.limits import MAX_PIXELS
from mmdata.files.scan_cache import FileInfo, ScanCache
from mmdata.files.status import Status, settled, stamps
from mmdata.progress import progress

_UNPACKED = (Format.BMP, Format.PILLOW)
"""Formats that may hold bare pixels, in which two images can differ in the middle alone."""

_BLOCK = 256
_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM")
"""Of formats whose header says all; a WebP's orientation and all of a TIFF may stand at its end."""

_INT32 = 2**31 - 1


@dataclasses.dataclass(frozen=True, eq=False)
class Scan:
    """What was seen of n image files.

    Attributes:
      keys: int64 [n], content keys; equal for copies of a file, whatever their names; 0 where the
        file cannot be read.
      formats: int8 [n], `Format`; UNKNOWN where the file must not be decoded.
      orientations: int8 [n], EXIF orientation, 1-8, that is left to be undone once decoded.
      heights, widths: int32 [n], pixels before the orientation is applied; 0 where the header does
        not say.
      problems: Why a file must not be decoded, by its index.
      stamps: int64 [n], the status of each file in one number, see `mmdata.files.status.stamps`.
      checksums: int64 [n], of whole files, where they are known; 0 elsewhere.
      time: When the files were looked at, in nanoseconds since 1970.
    """

    keys: NDArray[np.int64]
    formats: NDArray[np.int8]
    orientations: NDArray[np.int8]
    heights: NDArray[np.int32]
    widths: NDArray[np.int32]
    problems: dict[int, str]
    stamps: NDArray[np.int64]
    checksums: NDArray[np.int64]
    time: int

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
            self.heights[rows],
            self.widths[rows],
            {new: self.problems[old] for new, old in enumerate(rows) if old in self.problems},
            self.stamps[rows],
            self.checksums[rows],
            self.time,
        )

    def refuse(self, problems: dict[int, str]) -> "Scan":
        """The scan with further files, by index, that must not be decoded, and why."""
        formats = self.formats.copy()
        formats[list(problems)] = Format.UNKNOWN
        return dataclasses.replace(self, formats=formats, problems=self.problems | problems)


def scan(root: str, images: Sequence[str], blobs: Blobs | None = None) -> Scan:
    """Scans image files in threads, with a progress bar after two seconds.

    The content key is the 64-bit blake2b of the file's length, first 4 KiB and last 4 KiB; of all
    of it, where pixels may lie in it as they are, e.g. in a TIFF. What was seen is kept; a file
    whose `Status` did not change is not opened again.

    Args:
      root: The folder of images.
      images: Paths relative to it.
      blobs: Where the images lie in tar shards, if they do.

    Returns:
      What was seen; a file that cannot be read is a problem, never an exception.
    """
    begun = time.time_ns()
    records = ScanCache(root)
    known = records.find(images)
    source = source_of(root, images, blobs)
    seen: list[tuple[FileInfo, str]] = []
    blocks = [range(i, min(i + _BLOCK, len(images))) for i in range(0, len(images), _BLOCK)]
    bar = progress(total=len(images), what="scanning images", unit="file")
    with bar, ThreadPoolExecutor() as pool:
        for block in pool.map(lambda rows: [_see(source, row, known[row]) for row in rows], blocks):
            seen += block
            bar.update(len(block))
    records.keep(
        {
            images[row]: now
            for row, (now, before) in enumerate(zip(seen, known, strict=True))
            if now is not before and now[0].modified > 0 and now[0].status.is_settled(begun)
        }
    )
    return _of(seen, begun)


def remember(
    root: str, images: Sequence[str], blobs: Blobs | None, problems: Mapping[int, str]
) -> None:
    """Keeps, for later scans of the same files, why further ones must not be decoded."""
    records = ScanCache(root)
    source = source_of(root, images, blobs)
    known = records.find([images[row] for row in problems])
    records.keep(
        {
            images[row]: (before[0]._replace(format=Format.UNKNOWN), why)
            for (row, why), before in zip(problems.items(), known, strict=True)
            if before is not None and _is_unchanged(source, row, before[0])
        }
    )


def _see(source: Source, row: int, before: tuple[FileInfo, str] | None) -> tuple[FileInfo, str]:
    """The facts of a file, read unless they are known, and why it must not be decoded, if so."""
    try:
        if before is not None and before[0].status == source.status(row):
            return before
        status, head, tail = source.edges(row)
        try:
            header, why = _header(source, row, head, status.size)
        except ImportError as err:  # without a time it is not kept: a library may be there tomorrow
            return FileInfo(status.size, key=checksum(source, row, status.size)), str(err)
        if header.format in _UNPACKED:
            key = whole = checksum(source, row, status.size)
        else:
            key, whole = digest(status.size, head, tail), 0
    except OSError as err:
        return FileInfo(), err.strerror or str(err)
    except ValueError as err:  # a name that no file system takes, e.g. with a NUL
        return FileInfo(), str(err)
    seen = header.format, header.orientation, header.height, header.width
    return FileInfo(*status, key, whole, *seen), why


def _is_unchanged(source: Source, row: int, facts: FileInfo) -> bool:
    try:
        return facts.status == source.status(row)
    except OSError:
        return False


def _header(source: Source, row: int, head: bytes, length: int) -> tuple[Header, str]:
    try:
        header = _read_header(source, row, head, length)
    except HeaderError as err:
        return Header(Format.UNKNOWN, 0, 0), str(err)
    if not 0 < header.height * header.width <= MAX_PIXELS:
        size = f"{header.height} x {header.width} pixels"
        why = f"{size}, not between 1 and {MAX_PIXELS:,} in all"
        return dataclasses.replace(header, format=Format.UNKNOWN), why
    return header, ""


def _read_header(source: Source, row: int, head: bytes, length: int) -> Header:
    """Reads the header out of the first bytes if it ends there, else out of the file."""
    if head.startswith(_STARTS):
        with contextlib.suppress(HeaderError):
            return read_header(io.BytesIO(head), length)
    with source.open(row) as file:
        return read_header(file)


def _of(seen: Sequence[tuple[FileInfo, str]], begun: int) -> Scan:
    facts = np.array([facts for facts, _ in seen], np.int64).reshape(-1, len(FileInfo._fields))
    statuses = facts[:, : len(Status._fields)]
    column = dict(zip(FileInfo._fields, facts.T, strict=True))
    return Scan(
        keys=column["key"].copy(),
        formats=column["format"].astype(np.int8),
        orientations=column["orientation"].astype(np.int8),
        heights=np.minimum(column["height"], _INT32).astype(np.int32),
        widths=np.minimum(column["width"], _INT32).astype(np.int32),
        problems={row: why for row, (_, why) in enumerate(seen) if why},
        stamps=stamps(statuses, begun),
        checksums=np.where(settled(statuses, begun), column["checksum"], 0),
        time=begun,
    )
