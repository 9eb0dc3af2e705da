"""What images show, and whether captions name it."""

import csv
import dataclasses
import os
import re
from collections.abc import Mapping, Sequence


@dataclasses.dataclass(frozen=True)
class Attributes:
    """What images show, one attribute per column, e.g. object and colour.

    Attributes:
      values: Image path -> one set of equivalent lower-case words per column.
      words: All words of each column.
    """

    values: Mapping[str, tuple[frozenset[str], ...]]
    words: tuple[frozenset[str], ...]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Attributes":
        """Reads a CSV file: a header, then an image path and its values; `|` separates synonyms.

        Raises:
          FileNotFoundError: There is no such file.
          ValueError: The header or a line is not as described; the message says which.
        """
        with open(path, encoding="utf-8-sig", newline="") as file:
            header, *lines = list(csv.reader(file)) or [[]]
        if len(header) < 2:
            raise ValueError(
                f"{os.fspath(path)}:1: a header is required, with columns for the image and at "
                f"least one attribute; got {header!r}."
            )
        values = {}
        for number, (image, *cells) in enumerate(filter(None, lines), start=2):
            if len(cells) != len(header) - 1:
                raise ValueError(
                    f"{os.fspath(path)}:{number}: {len(header)} values are required, as in the "
                    f"header; got {[image, *cells]!r}."
                )
            values[image] = tuple(frozenset(cell.lower().split("|")) for cell in cells)
        columns = zip(*values.values(), strict=True)
        return cls(values, tuple(frozenset().union(*column) for column in columns))

    def named(self, image: str, caption: str) -> bool:
        """Whether a caption names the image's value in each column, and no other value."""
        if image not in self.values:
            raise ValueError(
                f"attributes are required for image {image!r}; the file has no such row."
            )
        used = frozenset(re.findall(r"\w+", caption.lower()))
        return all(
            used & words and used & words <= value
            for words, value in zip(self.words, self.values[image], strict=True)
        )

    def accuracy(self, images: Sequence[str], captions: Sequence[str]) -> float:
        """Share of captions that name every value correctly, 0 to 1."""
        right = sum(map(self.named, images, captions))
        return right / len(images)
