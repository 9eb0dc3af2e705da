"""Reuses memory for batches."""

import sys
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

_POOLED = 16
_LARGEST = 2**26
_ALIGNMENT = 64


class Buffers:
    """Arrays that are reused when nothing refers to them, since new memory costs page faults.

    They are aligned to 64 bytes: TensorFlow shares such arrays, and copies others.
    """

    def __init__(self, most: int = _POOLED) -> None:
        self._most = most
        self._owners: list[NDArray[np.uint8]] = []
        self._lock = threading.Lock()

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Returns an array of arbitrary content that nothing else refers to."""
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        with self._lock:
            owner = self._owner(size + _ALIGNMENT)
            begin = -owner.ctypes.data % _ALIGNMENT
            return owner[begin : begin + size].view(dtype).reshape(shape)

    def _owner(self, size: int) -> NDArray[np.uint8]:
        # Every view refers to the array that owns its memory. So the owner is free if only the list
        # and the argument of `getrefcount` refer to it.
        owners = self._owners
        free = [i for i in range(len(owners)) if sys.getrefcount(owners[i]) == 2]
        for i in free:
            if owners[i].size == size:
                return owners[i]
        owner = np.empty(size, np.uint8)
        if size <= _LARGEST:
            if len(owners) < self._most:
                owners.append(owner)
            elif free:
                owners[free[0]] = owner
        return owner
