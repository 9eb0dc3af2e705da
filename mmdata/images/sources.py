"""What gives images by row: a cache; in the same way files, prepared shards or remote ones."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Source(Protocol):
    """Images by row, decoded, resized and cropped; owns what happens to corrupt ones."""

    @property
    def complete(self) -> bool:
        """Whether every row has an image."""

    def read(self, rows: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The images of rows, int64 [b], all of one shape.

        Returns:
          [b, ...], 0 where an image is corrupt; and bool [b], whether it is valid.
        """
