"""Members of tar shards -> their bytes."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmdata.example import Example
from mmdata.members import Members


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadMembers:
    """Reads the images of a batch out of tar shards, in one call. Decodes nothing.

    row: int64 [b]  ->  content: string [b], the bytes of each image; "" where it cannot be read

    Attributes:
      members: Where each row lies.
    """

    members: Members

    def __call__(self, example: Example) -> Example:
        content = tf.numpy_function(self._read, [example["row"]], tf.string, stateful=False)
        return {**example, "content": tf.ensure_shape(content, example["row"].shape)}

    def _read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        try:
            return np.array(self.members.read_many(rows), np.object_)
        except OSError:
            return np.array([self._read_one(row) for row in rows.tolist()], np.object_)

    def _read_one(self, row: int) -> bytes:
        try:
            return self.members.read(row)
        except OSError:
            return b""
