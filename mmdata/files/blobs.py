"""Files inside tar archives: their positions, and their bytes, without unpacking."""

import dataclasses
import io
import itertools
import os
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


@dataclasses.dataclass(frozen=True, eq=False)
class Blobs:
    """Positions of n files inside tar archives.

    Attributes:
      shards: Paths of the archives, as `open` takes them.
      shard: int32 [n], index into `shards`.
      start: int64 [n], offset of the first byte.
      size: int64 [n], number of bytes.
    """

    shards: tuple[str, ...]
    shard: NDArray[np.int32]
    start: NDArray[np.int64]
    size: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.shard)

    def take(self, rows: NDArray[np.int64]) -> "Blobs":
        """The members at `rows`, int64 [k], in that order."""
        return Blobs(self.shards, self.shard[rows], self.start[rows], self.size[rows])

    def read(self, row: int) -> bytes:
        """The bytes of one member; fewer than `size` if the archive was cut short."""
        with open(self.shards[self.shard[row]], "rb", buffering=0) as file:
            return read_at(file.fileno(), int(self.start[row]), int(self.size[row]))

    def read_many(self, rows: NDArray[np.int64]) -> list[bytes]:
        """The bytes of the members at `rows`, int64 [k], in that order.

        Opens each archive once, and reads it from its start to its end.
        """
        members = self.take(rows)
        order = np.lexsort((members.start, members.shard)).tolist()
        shard, start, size = members.shard.tolist(), members.start.tolist(), members.size.tolist()
        found = [b""] * len(order)
        for number, places in itertools.groupby(order, key=shard.__getitem__):
            with open(self.shards[number], "rb", buffering=0) as file:
                for place in places:
                    found[place] = read_at(file.fileno(), start[place], size[place])
        return found

    def open(self, row: int) -> io.BufferedReader:
        """Opens one member for reading, like a file. Reads nothing yet."""
        path = self.shards[self.shard[row]]
        return io.BufferedReader(_Window(path, int(self.start[row]), int(self.size[row])))


def read_at(descriptor: int, start: int, size: int) -> bytes:
    """Reads `size` bytes at `start`, fewer at the end of the file; keeps the file position."""
    content = os.pread(descriptor, size, start)
    if 0 < len(content) < size:
        parts = [content]
        while parts[-1]:
            done = sum(map(len, parts))
            parts.append(os.pread(descriptor, size - done, start + done))
        content = b"".join(parts)
    return content


class _Window(io.RawIOBase):
    """A part of a file that reads like a file."""

    def __init__(self, path: str, start: int, size: int) -> None:
        super().__init__()
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - `close` closes it
        self._start = start
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origins = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}
        if whence not in origins or origins[whence] + offset < 0:
            raise ValueError(
                "seek(...) must lead to a position >= 0 from the start (0), here (1) or the end "
                f"(2); got offset={offset}, whence={whence}."
            )
        self._position = origins[whence] + offset
        return self._position

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), max(self._size - self._position, 0))
        content = os.pread(self._file.fileno(), wanted, self._start + self._position)
        view[: len(content)] = content
        self._position += len(content)
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()
