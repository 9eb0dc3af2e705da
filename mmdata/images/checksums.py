"""Checksums of whole image files: read once, saved with the scan, valid for the scanned bytes."""

import functools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from mmdata.files.image_files import Source, checksum, source_of
from mmdata.files.scan import Scan
from mmdata.files.scan_cache import ScanCache
from mmdata.files.status import Status, stamps
from mmdata.pairs.pairs import Pairs

Ints = NDArray[np.int64]


class Checksums:
    """Returns checksums of files by row; reads the files whose checksum is not known.

    A checksum is a 64-bit blake2b of a file's length and all its bytes. It costs a fifteenth of
    decoding the same JPEG.

    Args:
      pairs: The images.
      scan: Their scan.

    Attributes:
      known: int64 [rows], the checksums that are known so far; 0 if unknown.
    """

    def __init__(self, pairs: Pairs, scan: Scan) -> None:
        self.pairs = pairs
        self.scan = scan
        self.known = scan.checksums.copy()

    def __call__(self, rows: Ints) -> Ints:
        """The checksums of the files of rows; 0 if a file changed since the scan.

        rows: int64 [k]  ->  int64 [k]

        The status of a file is checked after it is read. So anything read from it between the scan
        and this check, here or elsewhere, was the same bytes.
        """
        checksums = self.known[rows]
        unknown = np.flatnonzero(checksums == 0)
        read = functools.partial(_read, self._source())
        with ThreadPoolExecutor() as pool:
            checksums[unknown] = list(pool.map(read, rows[unknown].tolist()))
        checksums[~self.unchanged(rows)] = 0
        self.note(rows, checksums)
        return checksums

    def note(self, rows: Ints, checksums: Ints) -> None:
        """Stores checksums of the scanned files of rows, int64 [k]; 0 means unknown."""
        known = checksums != 0
        self.known[rows[known]] = checksums[known]

    def unchanged(self, rows: Ints) -> NDArray[np.bool_]:
        """Whether the files of rows, int64 [k], are unchanged since the scan, bool [k]."""
        source = self._source()  # a new one, since a source of shards checks each shard once
        now = [_status(source, row) for row in rows.tolist()]
        statuses = np.array(now, np.int64).reshape(-1, len(Status._fields))
        return np.equal(stamps(statuses, self.scan.time), self.scan.stamps[rows])

    def remember(self) -> None:
        """Saves new checksums for later scans of the same files."""
        rows = np.flatnonzero((self.known != 0) & (self.scan.checksums == 0)).tolist()
        if not rows:
            return
        names = [self.pairs.images[row] for row in rows]
        scan_cache = ScanCache(self.pairs.root)
        cached = [
            (row, name, *before)
            for row, name, before in zip(rows, names, scan_cache.find(names), strict=True)
            if before is not None
        ]
        if not cached:
            return
        statuses = np.array([info.status for _, _, info, _ in cached], np.int64)
        same = stamps(statuses, self.scan.time) == self.scan.stamps[[row for row, *_ in cached]]
        scan_cache.keep(
            {
                name: (info._replace(checksum=int(self.known[row])), why)
                for (row, name, info, why), is_same in zip(cached, same.tolist(), strict=True)
                if is_same
            }
        )

    def _source(self) -> Source:
        return source_of(self.pairs.root, self.pairs.images, self.pairs.blobs)


def _read(source: Source, row: int) -> int:
    """The checksum of a file; 0 if it cannot be read."""
    try:
        return checksum(source, row, source.status(row).size)
    except (OSError, ValueError):
        return 0


def _status(source: Source, row: int) -> Status:
    """The status of a file; if it is gone, a status that no file has."""
    try:
        return source.status(row)
    except (OSError, ValueError):
        return Status(size=-1)
