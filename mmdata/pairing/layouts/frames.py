"""Layout "frame": a pandas DataFrame, or a `Dataset` of the library `datasets`."""

import math
import os
from collections.abc import Collection
from typing import Any

import numpy as np

from mmdata.files.links import Links
from mmdata.pairing.file_splits import Lists, by_lists
from mmdata.pairing.layouts import tables
from mmdata.pairing.layouts.table_columns import Columns, require_different, require_few
from mmdata.pairing.layouts.table_files import Table, labelled
from mmdata.pairing.listing import Listing
from mmdata.pairing.matching import match
from mmdata.pairing.problems import Problems
from mmdata.pairing.tree import Tree
from mmdata.pairs.pairs import Pairs


def is_frame(value: Any) -> bool:
    """Whether a value is a DataFrame or a `datasets.Dataset`; imports neither library."""
    return _is_dataset(value) or (hasattr(value, "iloc") and hasattr(value, "columns"))


def read(
    frame: Any,
    folder: str | None,
    *,
    columns: Columns,
    problems: Problems,
    chosen: Collection[str] | None,
    lists: Lists | None,
    links: Links,
) -> Pairs:
    """Pairs the images that a frame names with their captions.

    Args:
      frame: One row per image, or one row per caption.
      folder: The folder that names are relative to; every image in it is expected to have a
        caption. None: names are paths of files, links or not, and no other files are expected.
      columns: The roles of columns.
      problems: The captions for images without one.
      chosen: Splits to keep; None keeps all.
      lists: The names of the images of each split; None if there are no lists.
      links: Whether links out of the folder are followed.

    Raises:
      PairingError: The frame lacks a column, or holds images instead of naming them.
    """
    table = _of_dataset(frame) if _is_dataset(frame) else _of_pandas(frame)
    listing = tables.of_table(table, columns)
    listing.layout = "frame"
    tree = _files(listing) if folder is None else Tree.walk(folder, links=links)
    files = None if lists is None else by_lists(lists, tree.images)
    return match(listing, tree, problems=problems, chosen=chosen, files=files)


def _is_dataset(value: Any) -> bool:
    return (
        hasattr(value, "features") and hasattr(value, "cast_column") and hasattr(value, "__len__")
    )


def _of_pandas(frame: Any) -> Table:
    names = [str(name) for name in frame.columns]
    require_different(names, type(frame).__name__)
    columns = [frame.iloc[:, place] for place in range(len(names))]
    cells = {
        name: [_plain(value) for value in column.tolist()]
        for name, column in zip(names, columns, strict=True)
    }
    classes = {
        name: tuple(column.cat.categories)
        for name, column in zip(names, columns, strict=True)
        if column.dtype == "category" and all(isinstance(c, str) for c in column.cat.categories)
    }
    return _table(frame, cells, classes=classes)


def _table(frame: Any, cells: dict[str, list[Any]], **rest: Any) -> Table:
    name, rows = type(frame).__name__, len(frame)
    return Table(path=name, source=name, cells=cells, places=range(rows), place=" row {}", **rest)


def _plain(value: Any) -> Any:
    """A cell as in a table file: paths as text, missing values as None."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    return None if isinstance(value, float | np.floating) and math.isnan(value) else value


def _of_dataset(dataset: Any) -> Table:
    """The columns of a dataset; the paths of its images, unless it also holds their bytes."""
    dataset = dataset.with_format(None)  # all columns, as plain values
    require_few(len(dataset.features), type(dataset).__name__)
    kinds = {name: type(feature).__name__ for name, feature in dataset.features.items()}
    cells: dict[str, list[Any]] = {}
    opaque: dict[str, str] = {}
    classes: dict[str, tuple[str, ...]] = {}
    for name, kind in kinds.items():
        if kind == "Image" and _holds_bytes(dataset, name):
            opaque[name] = "images with paths and bytes"
            cells[name] = []
        elif kind == "Image":
            cells[name] = _paths(dataset, name)
        else:
            cells[name] = list(dataset[name])
        if kind == "ClassLabel":
            classes[name] = tuple(dataset.features[name].names)
            cells[name] = labelled(cells[name], classes[name])
    return _table(dataset, cells, opaque=opaque, classes=classes)


def _holds_bytes(dataset: Any, name: str) -> bool:
    """Whether it holds the bytes of any image; reads no bytes."""
    chunks = dataset.data.column(name).chunks
    return any(chunk.field("bytes").null_count < len(chunk) for chunk in chunks)


def _paths(dataset: Any, name: str) -> list[str | None]:
    undecoded = dataset.cast_column(name, type(dataset.features[name])(decode=False))
    return [None if image is None else image["path"] for image in undecoded[name]]


def _files(listing: Listing) -> Tree:
    """The files that a listing names; makes its names relative to their common folder."""
    paths = [os.path.abspath(name) for name in listing.names]
    root = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else os.curdir
    listing.names = [os.path.relpath(path, root).replace(os.sep, "/") for path in paths]
    there = sorted(
        {name for name, path in zip(listing.names, paths, strict=True) if os.path.isfile(path)}
    )
    return Tree(root=root, images=there)
