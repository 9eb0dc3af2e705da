"""Sources of images by row: the cache; files, prepared or remote shards can follow."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Source(Protocol):
    """Images by row, decoded, resized and cropped; decides what happens to corrupt images."""

    @property
    def complete(self) -> bool:
        """Whether every row has an image."""

    def read(self, rows: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The images of rows, int64 [b], all of one shape.

        Returns:
          [b, ...], 0 where an image is corrupt; and bool [b], whether each image is valid.
        """
