"""Layout "frame": a pandas DataFrame, or a `Dataset` of the library `datasets`."""

import math
import os
from collections.abc import Collection
from typing import Any

import numpy as np

from mmdata.pairing.findings import PairingError
from mmdata.pairing.layouts import tables
from mmdata.pairing.layouts.table_columns import Columns
from mmdata.pairing.listing import Listing
from mmdata.pairing.matching import match
from mmdata.pairing.names import some
from mmdata.pairing.pairs import Pairs
from mmdata.pairing.problems import Problems
from mmdata.pairing.tree import Tree


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
) -> Pairs:
    """Pairs the images that a frame names with their captions.

    Args:
      frame: A row an image, or a row a caption.
      folder: What the names are relative to; every image in it counts. None: the names are paths of
        files, and no other files count.
      columns: Which columns hold what.
      problems: What images without a caption get.
      chosen: Splits to keep; None keeps all.

    Raises:
      PairingError: The frame lacks a column, or holds images instead of naming them.
    """
    cells = _of_dataset(frame) if _is_dataset(frame) else _of_pandas(frame)
    listing = tables.of_columns(cells, source=type(frame).__name__, columns=columns)
    listing.layout = "frame"
    if folder is not None:
        return match(listing, Tree.walk(folder), problems=problems, chosen=chosen)
    return match(listing, _files(listing), problems=problems, chosen=chosen)


def _is_dataset(value: Any) -> bool:
    return (
        hasattr(value, "features") and hasattr(value, "cast_column") and hasattr(value, "__len__")
    )


def _of_pandas(frame: Any) -> dict[str, list[Any]]:
    names = [str(name) for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PairingError(
            f"{type(frame).__name__}: columns must have different names; got {some(twice)} more "
            "than once."
        )
    return {
        name: [_plain(value) for value in frame.iloc[:, place].tolist()]
        for place, name in enumerate(names)
    }


def _plain(value: Any) -> Any:
    """A cell as a table file would have it: paths as text, missing values as None."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    return None if isinstance(value, float | np.floating) and math.isnan(value) else value


def _of_dataset(dataset: Any) -> dict[str, list[Any]]:
    """The columns of a dataset; of its images, the paths, without decoding any."""
    for name, feature in dataset.features.items():
        if type(feature).__name__ == "Image":
            dataset = dataset.cast_column(name, type(feature)(decode=False))
    cells: dict[str, list[Any]] = {name: list(dataset[name]) for name in dataset.column_names}
    for name, values in cells.items():
        if type(dataset.features[name]).__name__ == "Image":
            cells[name] = [_path(value) for value in values]
    return cells


def _path(image: Any) -> str | None:
    path = None if image is None else image["path"]
    if image is not None and image["bytes"] is not None and not os.path.isfile(path or ""):
        raise PairingError(
            "Dataset: its images must be files; got images that are kept inside of it, e.g. "
            f"{path!r}. Save them to a folder, or to .tar shards, and read those."
        )
    return None if path is None else str(path)


def _files(listing: Listing) -> Tree:
    """The files that a listing names, whose names become relative to the folder of them all."""
    paths = [os.path.abspath(name) for name in listing.names]
    root = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else os.curdir
    listing.names = [os.path.relpath(path, root).replace(os.sep, "/") for path in paths]
    there = sorted(
        {name for name, path in zip(listing.names, paths, strict=True) if os.path.isfile(path)}
    )
    return Tree(root=root, images=there)
