"""Where mmdata saves what it computes once: `$MMDATA_HOME`, else the user's cache folder."""

import os
import pathlib
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray

from mmdata.printable import printable
from mmdata.storage.atomic import replacing

Arrays = Mapping[str, NDArray[Any]]


def user_cache() -> pathlib.Path:
    """The folder of learned vocabularies, scans and indexes; it may not exist yet."""
    chosen = os.environ.get("MMDATA_HOME")
    return pathlib.Path(chosen) if chosen else platformdirs.user_cache_path("mmdata")


def save_arrays(path: pathlib.Path, arrays: Arrays) -> None:
    """Writes arrays in one step, so that no incomplete file is ever read.

    Warns if that fails: the arrays can be computed again.
    """
    try:
        with replacing(path) as target, open(target, "wb") as file:
            np.savez(file, **dict[str, Any](arrays))
    except OSError as err:
        message = f"{path}: cannot be kept for the next run ({err})."
        warnings.warn(printable(message), stacklevel=2)


def load_arrays(path: pathlib.Path) -> Arrays:
    """The arrays at `path`; empty if there is no such file, or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception:  # damaged files raise many kinds of errors
        return {}
