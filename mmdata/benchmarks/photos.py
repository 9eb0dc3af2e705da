"""Which files are read."""

import dataclasses
import os
import pathlib
import statistics

import numpy as np

from mmdata.files.headers import Format
from mmdata.files.scan import scan
from mmdata.pairing.folders import require_folder
from mmdata.pairing.tree import Tree


@dataclasses.dataclass(frozen=True, kw_only=True)
class Photos:
    """JPEG files, chosen from a folder.

    Attributes:
      paths: Their absolute paths.
      height, width: Medians, in pixels.
      size: Median, in bytes.
      other: Number of files in the folder that are no JPEG.
    """

    paths: tuple[str, ...]
    height: float
    width: float
    size: float
    other: int

    def __str__(self) -> str:
        """The files and their medians, in a line."""
        return (
            f"{len(self.paths):,} JPEG file(s), median {self.width:.0f} x {self.height:.0f} pixels "
            f"and {self.size / 1000:,.0f} kB; {self.other:,} other file(s) left out"
        )

    def link(self, folder: pathlib.Path, count: int) -> tuple[str, ...]:
        """Makes `count` links to the files in turn, in a new folder that holds nothing else."""
        folder.mkdir()
        links = []
        for number in range(count):
            link = folder / f"{number:06}.jpg"
            link.symlink_to(self.paths[number % len(self.paths)])
            links.append(str(link))
        return tuple(links)

    def copy(self, folder: pathlib.Path, count: int) -> tuple[str, ...]:
        """Writes `count` files, the photos in turn, in a new folder that holds nothing else.

        Each has a comment of its own, so that no two of them are the same.
        """
        folder.mkdir()
        copies = []
        for number in range(count):
            copy = folder / f"{number:06}.jpg"
            copy.write_bytes(_commented(self.paths[number % len(self.paths)], f"{number:06}"))
            copies.append(str(copy))
        return tuple(copies)


def _commented(path: str, comment: str) -> bytes:
    """The content of a JPEG file with a comment behind its start marker.

    Source: ITU-T T.81, B.1.1.3 and B.2.4.5.
    """
    content = pathlib.Path(path).read_bytes()
    start, rest = content[:2], content[2:]
    return b"".join(
        (start, b"\xff\xfe", (2 + len(comment)).to_bytes(2, "big"), comment.encode(), rest)
    )


def choose(folder: pathlib.Path, most: int) -> Photos:
    """Chooses at most so many of the JPEG files in a folder, evenly from the first to the last.

    What is a JPEG is said by the content of a file, not by its name.

    Raises:
      FileNotFoundError, NotADirectoryError: The folder is not there, or is none.
      ValueError: No image in it is a JPEG.
    """
    require_folder(str(folder), "images")
    tree = Tree.walk(str(folder))
    seen = scan(tree.root, tree.images)
    jpegs = np.flatnonzero(seen.formats == Format.JPEG)
    if not len(jpegs):
        raise ValueError(
            f"images=... must hold JPEG files; got {str(folder)!r}, none of whose "
            f"{len(tree.images):,} image file(s) is a JPEG. Others are not compared, since not "
            "every peer reads them."
        )
    rows = jpegs[np.linspace(0, len(jpegs) - 1, min(most, len(jpegs))).astype(int)]
    paths = tuple(os.path.abspath(os.path.join(tree.root, tree.images[row])) for row in rows)
    ignored = sum(found.count for found in tree.findings if found.kind == "ignored")
    return Photos(
        paths=paths,
        height=float(np.median(seen.heights[rows])),
        width=float(np.median(seen.widths[rows])),
        size=statistics.median(map(os.path.getsize, paths)),
        other=len(tree.images) - len(jpegs) + ignored,
    )
