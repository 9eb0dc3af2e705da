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
"""Formats that may hold uncompressed pixels: two files can differ in the middle only."""

_BLOCK = 256
_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM")
"""Formats with the whole header at the start of the file.

A WebP's orientation, and the header of a TIFF, may be at its end.
"""

_INT32 = 2**31 - 1


@dataclasses.dataclass(frozen=True, eq=False)
class Scan:
    """Headers and content keys of n image files.

    Attributes:
      keys: int64 [n], content keys; equal for copies of a file, whatever their names; 0 if the file
        cannot be read.
      formats: int8 [n], `Format`; UNKNOWN if the file must not be decoded.
      orientations: int8 [n], EXIF orientation, 1-8, that is still to be applied after decoding.
      heights, widths: int32 [n], pixels before the orientation is applied; 0 if the header does
        not say.
      problems: Why a file must not be decoded, by its index.
      stamps: int64 [n], the status of each file as one number, see `mmdata.files.status.stamps`.
      checksums: int64 [n], of whole files; 0 if not known.
      time: Start of the scan, in nanoseconds since 1970.
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
        """The scan with further files that must not be decoded: index -> reason."""
        formats = self.formats.copy()
        formats[list(problems)] = Format.UNKNOWN
        return dataclasses.replace(self, formats=formats, problems=self.problems | problems)


def scan(root: str, images: Sequence[str], blobs: Blobs | None = None) -> Scan:
    """Scans image files in threads, with a progress bar after two seconds.

    The content key is the 64-bit blake2b hash of the file's length, first 4 KiB and last 4 KiB; of
    the whole file if it may hold uncompressed pixels, e.g. a TIFF. Results are cached: a file whose
    `Status` did not change is not opened again.

    Args:
      root: The folder of images.
      images: Paths relative to it.
      blobs: Positions of the images in tar shards, if they are in shards.

    Returns:
      The scan; a file that cannot be read is a problem, never an exception.
    """
    begun = time.time_ns()
    cache = ScanCache(root)
    known = cache.find(images)
    source = source_of(root, images, blobs)
    seen: list[tuple[FileInfo, str]] = []
    blocks = [range(i, min(i + _BLOCK, len(images))) for i in range(0, len(images), _BLOCK)]
    bar = progress(total=len(images), what="scanning images", unit="file")
    with bar, ThreadPoolExecutor() as pool:
        for block in pool.map(
            lambda rows: [_scan_one(source, row, known[row]) for row in rows], blocks
        ):
            seen += block
            bar.update(len(block))
    cache.keep(
        {
            images[row]: now
            for row, (now, before) in enumerate(zip(seen, known, strict=True))
            if now is not before and now[0].modified > 0 and now[0].status.is_settled(begun)
        }
    )
    return _as_scan(seen, begun)


def remember(
    root: str, images: Sequence[str], blobs: Blobs | None, problems: Mapping[int, str]
) -> None:
    """Caches, for later scans of the same files, why more of them must not be decoded."""
    cache = ScanCache(root)
    source = source_of(root, images, blobs)
    known = cache.find([images[row] for row in problems])
    cache.keep(
        {
            images[row]: (before[0]._replace(format=Format.UNKNOWN), why)
            for (row, why), before in zip(problems.items(), known, strict=True)
            if before is not None and _is_unchanged(source, row, before[0])
        }
    )


def _scan_one(
    source: Source, row: int, before: tuple[FileInfo, str] | None
) -> tuple[FileInfo, str]:
    """The info of a file, from the cache or read, and why it must not be decoded, if so."""
    try:
        if before is not None and before[0].status == source.status(row):
            return before
        status, head, tail = source.edges(row)
        try:
            header, why = _header(source, row, head, status.size)
        except ImportError as err:  # not cached, without a time: the library may be installed later
            return FileInfo(status.size, key=checksum(source, row, status.size)), str(err)
        if header.format in _UNPACKED:
            key = whole = checksum(source, row, status.size)
        else:
            key, whole = digest(status.size, head, tail), 0
    except OSError as err:
        return FileInfo(), err.strerror or str(err)
    except ValueError as err:  # a name that the file system does not accept, e.g. with a NUL
        return FileInfo(), str(err)
    seen = header.format, header.orientation, header.height, header.width
    return FileInfo(*status, key, whole, *seen), why


def _is_unchanged(source: Source, row: int, info: FileInfo) -> bool:
    try:
        return info.status == source.status(row)
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
    """Reads the header from the first bytes if they hold all of it, else from the file."""
    if head.startswith(_STARTS):
        with contextlib.suppress(HeaderError):
            return read_header(io.BytesIO(head), length)
    with source.open(row) as file:
        return read_header(file)


def _as_scan(seen: Sequence[tuple[FileInfo, str]], begun: int) -> Scan:
    infos = np.array([info for info, _ in seen], np.int64).reshape(-1, len(FileInfo._fields))
    statuses = infos[:, : len(Status._fields)]
    column = dict(zip(FileInfo._fields, infos.T, strict=True))
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
