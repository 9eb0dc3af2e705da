"""Checksums of whole image files: read once, kept with the scan, and never of other bytes."""

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
    """Gives the checksums of files by row, and reads those files whose checksum is not known.

    A checksum is a 64-bit blake2b of a file's length and all its bytes. It costs a fifteenth of
    decoding the same JPEG.

    Args:
      pairs: The images.
      scan: What was seen of their files.

    Attributes:
      known: int64 [rows], the checksums that are known so far; 0 elsewhere.
    """

    def __init__(self, pairs: Pairs, scan: Scan) -> None:
        self.pairs = pairs
        self.scan = scan
        self.known = scan.checksums.copy()

    def __call__(self, rows: Ints) -> Ints:
        """The checksums of the files of rows; 0 where a file is not the one that was scanned.

        rows: int64 [k]  ->  int64 [k]

        Files are looked at after they are read. So what was read of them since the scan, here or
        elsewhere, was of the same bytes.
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
        """Keeps checksums of the files of rows, int64 [k], as they were scanned; 0 is unknown."""
        known = checksums != 0
        self.known[rows[known]] = checksums[known]

    def unchanged(self, rows: Ints) -> NDArray[np.bool_]:
        """Whether the files of rows, int64 [k], are still those that were scanned, bool [k]."""
        source = self._source()  # a new one: that of shards looks at each shard once
        now = [_status(source, row) for row in rows.tolist()]
        statuses = np.array(now, np.int64).reshape(-1, len(Status._fields))
        return np.equal(stamps(statuses, self.scan.time), self.scan.stamps[rows])

    def remember(self) -> None:
        """Keeps, for later scans of the same files, the checksums that these did not know."""
        rows = np.flatnonzero((self.known != 0) & (self.scan.checksums == 0)).tolist()
        if not rows:
            return
        names = [self.pairs.images[row] for row in rows]
        records = ScanCache(self.pairs.root)
        kept = [
            (row, name, *before)
            for row, name, before in zip(rows, names, records.find(names), strict=True)
            if before is not None
        ]
        if not kept:
            return
        statuses = np.array([facts.status for _, _, facts, _ in kept], np.int64)
        same = stamps(statuses, self.scan.time) == self.scan.stamps[[row for row, *_ in kept]]
        records.keep(
            {
                name: (facts._replace(checksum=int(self.known[row])), why)
                for (row, name, facts, why), is_same in zip(kept, same.tolist(), strict=True)
                if is_same
            }
        )

    def _source(self) -> Source:
        return source_of(self.pairs.root, self.pairs.images, self.pairs.blobs)


def _read(source: Source, row: int) -> int:
    """The checksum of a file; 0 where it cannot be read."""
    try:
        return checksum(source, row, source.status(row).size)
    except (OSError, ValueError):
        return 0


def _status(source: Source, row: int) -> Status:
    """The status of a file; where it is gone, one that no file has."""
    try:
        return source.status(row)
    except (OSError, ValueError):
        return Status(size=-1)
