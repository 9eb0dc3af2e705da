"""A column of text in one buffer, small enough for millions of paths and captions."""

import array
import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 4096


@dataclasses.dataclass(frozen=True, eq=False)
class Strings(Sequence[str]):
    """An immutable sequence of `str`: one UTF-8 buffer, and an offset of 8 bytes per entry.

    File names that are not UTF-8 are kept, as the bytes that the file system returned.

    Attributes:
      data: All texts, one after the other.
      offsets: int64 [n + 1]; text i is `data[offsets[i]:offsets[i + 1]]`.
    """

    data: bytes
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Strings":
        """Packs an iterable of `str`."""
        writer = StringsWriter()
        for text in texts:
            writer.extend((text,))
        return writer.strings()

    def take(self, indices: NDArray[np.int64]) -> "Strings":
        """The texts at `indices`, int64 [k], in that order."""
        starts, ends = self.offsets[indices], self.offsets[indices + 1]
        data = b"".join(self.data[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True))
        return Strings(data, np.concatenate([[0], np.cumsum(ends - starts)]).astype(np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is outside a column of {len(self):,} texts.")
        index %= len(self)
        return self.data[self.offsets[index] : self.offsets[index + 1]].decode(
            "utf-8", "surrogateescape"
        )


class StringsWriter:
    """Packs texts, some thousands at a time, and keeps no `str` objects."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._offsets = array.array("q", [0])
        self._waiting: list[str] = []

    def extend(self, texts: Iterable[str]) -> None:
        """Adds texts."""
        self._waiting += texts
        if len(self._waiting) > _AT_ONCE:
            self._pack()

    def __len__(self) -> int:
        return len(self._offsets) - 1 + len(self._waiting)

    def strings(self) -> Strings:
        """All texts so far."""
        self._pack()
        return Strings(bytes(self._data), np.array(self._offsets, np.int64))

    def _pack(self) -> None:
        texts, self._waiting = self._waiting, []
        whole = "".join(texts)
        data = whole.encode("utf-8", "surrogateescape")
        if len(data) > len(whole):
            lengths = [len(text.encode("utf-8", "surrogateescape")) for text in texts]
        else:
            lengths = list(map(len, texts))
        ends = itertools.accumulate(lengths, initial=len(self._data))
        self._offsets.extend(itertools.islice(ends, 1, None))
        self._data += data
