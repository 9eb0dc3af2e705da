"""Where mmdata keeps what it learned once: `$MMDATA_HOME`, else the user's cache folder."""

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
    """The folder of learned vocabularies, scans and indexes; it need not exist yet."""
    chosen = os.environ.get("MMDATA_HOME")
    return pathlib.Path(chosen) if chosen else platformdirs.user_cache_path("mmdata")


def save_arrays(path: pathlib.Path, arrays: Arrays) -> None:
    """Writes arrays in one step, so that no half-written file is ever seen.

    Warns where that is not possible: what is kept there can be found out again.
    """
    try:
        with replacing(path) as target, open(target, "wb") as file:
            np.savez(file, **dict[str, Any](arrays))
    except OSError as err:
        message = f"{path}: cannot be kept for the next time ({err})."
        warnings.warn(printable(message), stacklevel=2)


def load_arrays(path: pathlib.Path) -> Arrays:
    """The arrays at `path`; none where there is no such file, or it cannot be trusted."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception:  # a damaged or foreign archive fails in more ways than a list would hold
        return {}
