"""Where a page or a picture may be written."""

import io
import os
import pathlib
from typing import TYPE_CHECKING, Any

from mmdata.storage.shards import put

if TYPE_CHECKING:
    from _typeshed import StrPath


def writable(path: "StrPath") -> pathlib.Path:
    """The file that a path stands for, behind symbolic links; it need not be there.

    Raises:
      FileNotFoundError: Its folder is not there.
      IsADirectoryError: There is a folder in its place.
      FileExistsError: There is something else that is no file, such as a device.
    """
    target = pathlib.Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{path}: a file is wanted, and there is a folder.")
    if target.exists() and not target.is_file():
        raise FileExistsError(f"{path}: is no regular file, so it is not replaced.")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target.parent}: no such folder; make it first.")
    return target


def save(figure: Any, path: "StrPath") -> None:
    """Writes a matplotlib figure as PNG, in one step: no half-written file is ever there."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    put(writable(path), content.getvalue())
