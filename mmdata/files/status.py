"""The status of a file: shows whether the file changed, without reading it."""

import os
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_SETTLED = 2 * 10**9
"""Nanoseconds: the longest time step of file systems.

A file that changed just before it was scanned may change again within the same step. It is scanned
again the next time.
"""

_MIX = np.uint64(0x9E3779B97F4A7C15)


class Status(NamedTuple):
    """Length, times and inode of a file: if all are as before, so is its content.

    The time of modification can be set back, and tools that copy files do that. The time of change
    cannot be set, and a file that takes the place of another has its own inode. On Windows, the
    time of change is that of creation; on file systems without inodes, all inodes are 0.

    Attributes:
      size: Bytes.
      modified: Time of modification, in nanoseconds.
      changed: Time of the last change of content, name, owner or mode, in nanoseconds.
      inode: Number of the file on its disk, below 2^63.
    """

    size: int = 0
    modified: int = 0
    changed: int = 0
    inode: int = 0

    @classmethod
    def of(cls, status: os.stat_result) -> "Status":
        """The status from a result of `os.stat`."""
        inode = status.st_ino % 2**63  # some file systems use more bits
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, inode)

    def is_settled(self, now: int) -> bool:
        """Whether a change after `now`, in nanoseconds since 1970, would show in the times."""
        return max(self.modified, self.changed) < now - _SETTLED


def settled(statuses: NDArray[np.int64], now: int) -> NDArray[np.bool_]:
    """`Status.is_settled` of statuses, int64 [n, 4], as bool [n]."""
    latest: NDArray[np.int64] = statuses[:, 1:3].max(1)
    return np.less(latest, now - _SETTLED)


def stamps(statuses: NDArray[np.int64], now: int) -> NDArray[np.int64]:
    """One number for each status, int64 [n]; it differs if any field differs.

    The number of a file that is not settled also depends on `now`, so it never matches later.

    Args:
      statuses: int64 [n, 4], see `Status`.
      now: When the statuses were read, in nanoseconds since 1970.
    """
    stamp = np.zeros(len(statuses), np.uint64)
    for column in (*statuses.T, np.where(settled(statuses, now), 0, now)):
        stamp = (stamp ^ column.astype(np.uint64)) * _MIX
        stamp ^= stamp >> np.uint64(29)
    return stamp.view(np.int64)
