"""Which layout a caption source has, judged by its content."""

import contextlib
import csv
import io
import os
import re
from typing import Literal, get_args

from mmdata.pairing.folders import is_folder, is_hidden, is_image
from mmdata.pairing.layouts import flickr
from mmdata.pairing.texts import TextDecoder

Layout = Literal["sidecar", "metadata", "coco", "karpathy", "flickr", "webdataset", "frame"]
LAYOUTS: tuple[str, ...] = get_args(Layout)

_HEAD = 1 << 16
_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_TABLES = (".jsonl", ".ndjson", ".parquet", ".tsv", ".tab")
_MOST_FILES = 20
"""A folder with more files is one of sidecar files: nobody wants each of them opened to see."""


def is_shards(path: str) -> bool:
    """Whether a path means tar shards: a `.tar`, a pattern of them, or a folder without images."""
    if not os.path.isdir(path):
        return path.lower().endswith(".tar")
    names = os.listdir(path)
    return any(name.lower().endswith(".tar") for name in names) and not any(map(is_image, names))


def metadata_files(images: str) -> list[str]:
    """Hugging Face's metadata files in a folder of images or, if none is there, in its subfolders.

    Returns:
      Paths relative to `images`, with `/`, sorted.
    """
    here = [name for name in _METADATA if os.path.isfile(os.path.join(images, name))]
    if here:
        return here
    with os.scandir(images) as entries:
        below = sorted(
            entry.name for entry in entries if not is_hidden(entry.name) and is_folder(entry)
        )
    return [
        f"{folder}/{name}"
        for folder in below
        for name in _METADATA
        if os.path.isfile(os.path.join(images, folder, name))
    ]


def recognise(images: str, captions: str | None, *, is_table: bool = False) -> Layout:
    """The layout of captions: a folder, a file, or None for captions among the images.

    `is_table` says that a file of lines is a table, because columns of it are asked for.
    """
    if captions is None:
        return "metadata" if metadata_files(images) else "sidecar"
    return _of_folder(captions) if os.path.isdir(captions) else _of_file(captions, is_table)


def _of_folder(captions: str) -> Layout:
    with os.scandir(captions) as entries:
        files = [entry.path for _, entry in zip(range(_MOST_FILES + 1), entries, strict=False)]
    if len(files) <= _MOST_FILES:
        texts = [file for file in files if os.path.isfile(file) and _looks_like_text(file)]
        with contextlib.suppress(OSError):  # whoever reads the file will say so
            if any(flickr.recognise(_head(file)) for file in texts):
                return "flickr"
    return "sidecar"


def _of_file(captions: str, is_table: bool) -> Layout:
    name = captions.lower()
    if name.endswith(_TABLES):
        return "metadata"
    if name.endswith(".json"):
        return _of_json(_head(captions))
    if is_table or not flickr.recognise(_head(captions)) or _is_sound_table(captions):
        return "metadata"
    return "flickr"


def _is_sound_table(path: str) -> bool:
    """Whether a file is CSV of two columns all through: commas in its captions are quoted.

    Then it is read as any table, unless lists of splits lie beside it.
    """
    beside = os.listdir(os.path.dirname(path) or os.curdir)
    if any(name.lower().endswith("images.txt") for name in beside):
        return False
    with open(path, "rb") as file:
        text = TextDecoder(errors="replace").decode(file.read())[0]
    try:
        return all(len(row) in (0, 2) for row in csv.reader(io.StringIO(text), strict=True))
    except csv.Error:
        return False


def _of_json(head: str) -> Layout:
    if '"sentences"' in head or '"sentids"' in head:
        return "karpathy"
    is_list = head.lstrip().startswith("[")
    results = re.search(r'"image_id"', head) and re.search(r'"caption"', head)
    return "metadata" if is_list and not results else "coco"


def _looks_like_text(path: str) -> bool:
    return path.lower().endswith((".txt", ".csv", ".token"))


def _head(path: str) -> str:
    with open(path, "rb") as file:
        return TextDecoder(errors="replace").decode(file.read(_HEAD))[0]
