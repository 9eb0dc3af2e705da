"""Checks where a page or a picture may be written."""

import io
import os
import pathlib
from typing import TYPE_CHECKING, Any

from mmdata.storage.atomic import write

if TYPE_CHECKING:
    from _typeshed import StrPath


def writable(path: "StrPath") -> pathlib.Path:
    """Returns the file of a path, with symbolic links followed; it may not exist yet.

    Raises:
      FileNotFoundError: Its folder does not exist.
      IsADirectoryError: It is a folder.
      FileExistsError: It exists and is not a regular file, but for example a device.
    """
    target = pathlib.Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{path}: must be a file; got a folder.")
    if target.exists() and not target.is_file():
        raise FileExistsError(f"{path}: is not a regular file, so it was not replaced.")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target.parent}: no such folder; make it first.")
    return target


def save(figure: Any, path: "StrPath") -> None:
    """Writes a matplotlib figure as PNG, in one step: there is never an incomplete file."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    write(writable(path), content.getvalue())
