"""Recognises the layout of a caption source by its content."""

import contextlib
import io
import os
from typing import Any

from mmdata.pairing.folders import is_folder, is_hidden, is_image
from mmdata.pairing.layouts import Layout, cells, flickr
from mmdata.pairing.layouts.coco import padded
from mmdata.pairing.layouts.delimited import Record, records
from mmdata.pairing.layouts.karpathy import has_sentences
from mmdata.pairing.layouts.table_columns import is_image_column
from mmdata.pairing.texts import TextDecoder

_HEAD = 1 << 16
_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_TABLES = (".jsonl", ".ndjson", ".parquet", ".tsv", ".tab")
_MOST_FILES = 20
"""A folder with more files has sidecar files: opening each of them would take long."""


def is_shards(path: str) -> bool:
    """Whether a path is a `.tar`, a pattern of them, or a folder with `.tar` but no images."""
    if not os.path.isdir(path):
        return path.lower().endswith(".tar")
    names = os.listdir(path)
    return any(name.lower().endswith(".tar") for name in names) and not any(map(is_image, names))


def metadata_files(images: str) -> list[str]:
    """Hugging Face's metadata files in a folder of images or, if it has none, its subfolders.

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
    """The layout of captions: a folder, a file, or None for captions next to the images.

    With `is_table`, a file of lines is a table, because the user named columns. JSON files have a
    function of their own, `of_json`.
    """
    if captions is None:
        return "metadata" if metadata_files(images) else "sidecar"
    return _of_folder(captions) if os.path.isdir(captions) else _of_file(captions, is_table)


def of_json(value: Any, *, is_table: bool = False) -> Layout:
    """The layout of a JSON file by its content.

    A list is a table, unless its objects have the image's id as a number, and no name: then they
    are results in COCO's format.
    """
    if isinstance(value, list):
        records = [record for record in value if isinstance(record, dict)]
        results = [padded(record.get("image_id")) is not None for record in records]
        is_coco = 2 * sum(results) > len(records) and not any(map(_names_image, records))
        return "coco" if is_coco and not is_table else "metadata"
    images = value.get("images") if isinstance(value, dict) else None
    entries = images if isinstance(images, list) else ()
    return "karpathy" if any(map(has_sentences, entries)) else "coco"


def _names_image(record: dict[str, Any]) -> bool:
    given = (key for key, value in record.items() if value is not None)
    return any(is_image_column(key) for key in given if key not in ("image_id", "id"))


def _of_folder(captions: str) -> Layout:
    with os.scandir(captions) as entries:
        files = [entry.path for _, entry in zip(range(_MOST_FILES + 1), entries, strict=False)]
    if len(files) <= _MOST_FILES:
        texts = [file for file in files if os.path.isfile(file) and _looks_like_text(file)]
        with contextlib.suppress(OSError):  # reading the file reports it
            if any(flickr.recognise(_head(file)) for file in texts):
                return "flickr"
    return "sidecar"


def _of_file(captions: str, is_table: bool) -> Layout:
    name = captions.lower()
    if name.endswith(_TABLES):
        return "metadata"
    if is_table or not flickr.recognise(_head(captions)) or _is_valid_table(captions):
        return "metadata"
    return "flickr"


def _is_valid_table(path: str) -> bool:
    """Whether a file is CSV with two columns, with commas in captions quoted.

    True if every row has two cells, or if a row has what Flickr's files never have: a caption of
    several lines, or a list of captions. Then the file is read as a table, unless lists of splits
    are next to it.
    """
    neighbours = os.listdir(os.path.dirname(path) or os.curdir)
    if any(name.lower().endswith("images.txt") for name in neighbours):
        return False
    with open(path, "rb") as file:
        text = TextDecoder(errors="replace").decode(file.read())[0]
    found = records(io.StringIO(text).readlines(), ",")
    clear = [record for record in found if not (record.fault and record.last > record.first)]
    return all(len(record.cells) == 2 for record in clear) or any(map(_is_of_table, clear))


def _is_of_table(record: Record) -> bool:
    if len(record.cells) != 2:
        return False
    is_list = len(cells.captions_in_text(record.cells[1:], "", {})[0]) > 1
    return record.last > record.first or is_list


def _looks_like_text(path: str) -> bool:
    return path.lower().endswith((".txt", ".csv", ".token"))


def _head(path: str) -> str:
    with open(path, "rb") as file:
        return TextDecoder(errors="replace").decode(file.read(_HEAD))[0]
