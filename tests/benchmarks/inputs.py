"""Photos and captions for the peers."""

import itertools
import json
import os
import pathlib
import statistics
import tarfile
from collections.abc import Sequence

import numpy as np
from PIL import Image

_JPEG = b"\xff\xd8\xff"

SENTENCE = "A brown dog number {} runs along the beach behind a red ball."


def choose_photos(folder: pathlib.Path, most: int) -> list[pathlib.Path]:
    """Chooses at most `most` JPEG files of a folder and its subfolders, evenly spread.

    Files count by content, not by name. Not every peer reads other formats.

    Raises:
      ValueError: There is no JPEG.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and _is_jpeg(path)]
    if not files:
        raise ValueError(f"IMAGES must be a folder of JPEG files; got {str(folder)!r}.")
    return [files[row] for row in _spread(len(files), most)]


def _is_jpeg(path: pathlib.Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(_JPEG)) == _JPEG


def choose_captions(file: pathlib.Path, count: int) -> list[str]:
    """Chooses captions, evenly spread over the file; repeats them if the file has too few.

    Args:
      file: COCO's JSON file, or a text file with one caption per line.
      count: Number of captions.

    Raises:
      ValueError: There are no captions.
    """
    text = file.read_text("utf-8")
    captions = text.splitlines()
    if file.suffix == ".json":
        captions = [note["caption"] for note in json.loads(text)["annotations"]]
    captions = list(filter(None, (" ".join(caption.split()) for caption in captions)))
    if not captions:
        raise ValueError(f"CAPTIONS must hold captions; got {str(file)!r}, which has none.")
    chosen = [captions[row] for row in _spread(len(captions), count)]
    return list(itertools.islice(itertools.cycle(chosen), count))


def _spread(count: int, most: int) -> list[int]:
    rows: list[int] = np.linspace(0, count - 1, min(most, count)).astype(int).tolist()
    return rows


def copy_photos(
    photos: Sequence[pathlib.Path], folder: pathlib.Path, count: int
) -> tuple[str, ...]:
    """Writes `count` files, the photos in turn, into a new folder.

    Each has its own comment, so that no two files are equal.

    Source: ITU-T T.81, B.1.1.3 and B.2.4.5.
    """
    folder.mkdir()
    copies = []
    for number, photo in zip(range(count), itertools.cycle(photos), strict=False):
        content, comment = photo.read_bytes(), f"{number:06}".encode()
        segment = b"\xff\xfe" + (2 + len(comment)).to_bytes(2, "big") + comment
        copy = folder / f"{number:06}.jpg"
        copy.write_bytes(content[:2] + segment + content[2:])
        copies.append(str(copy))
    return tuple(copies)


def write_shards(folder: pathlib.Path, files: Sequence[str], count: int) -> tuple[str, ...]:
    """Writes the files, in order, into tar files of about the same size, in a new folder."""
    folder.mkdir()
    shards = []
    for number in range(count):
        first, end = (len(files) * place // count for place in (number, number + 1))
        shards.append(str(folder / f"{number:06}.tar"))
        with tarfile.open(shards[-1], "w") as shard:
            for file in files[first:end]:
                shard.add(file, arcname=os.path.basename(file))
    return tuple(shards)


def describe(photos: Sequence[pathlib.Path]) -> str:
    """Describes photos: their number, and the medians of their sizes."""
    sizes = []
    for photo in photos:
        with Image.open(photo) as image:
            sizes.append(image.size)
    width, height = np.median(sizes, axis=0)
    kilobytes = statistics.median(photo.stat().st_size for photo in photos) / 1000
    return (
        f"{len(photos):,} JPEG file(s), median {width:.0f} x {height:.0f} pixels and "
        f"{kilobytes:,.0f} kB"
    )
