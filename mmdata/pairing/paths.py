"""The paths that users pass: checked, with `~` expanded."""

import glob
import os
from typing import Any

from mmdata.pairing.folders import is_image, require_exists, require_folder
from mmdata.pairing.tree import Tree

_SWAPPED = "Are images and captions swapped?"


def path_of(argument: str, value: Any) -> str:
    """The path in an argument.

    Raises:
      TypeError: It is no path.
      ValueError: It is a pattern of images or caption files; shards may have one.
    """
    if not isinstance(value, str | os.PathLike):
        raise TypeError(
            f"{argument}=... must be a path, a DataFrame or a datasets.Dataset; got a "
            f"{type(value).__name__}."
        )
    path = os.path.expanduser(os.fspath(value))
    is_pattern = glob.has_magic(path) and not os.path.exists(path)
    if is_pattern and not path.lower().endswith(".tar"):
        folder = path[: path.index(next(letter for letter in path if letter in "*?["))]
        raise ValueError(
            f"{argument}=... must be a folder or a file; got the pattern {path!r}. Pass the folder "
            f"{os.path.dirname(folder) or os.curdir!r}."
        )
    return path


def require_source(images: str, captions: str | None) -> None:
    """Checks that images are a folder, and captions a folder or a file that is no image.

    Raises:
      FileNotFoundError, NotADirectoryError: They are not; the message asks if they are swapped.
    """
    if captions is not None:
        require_exists(captions, "captions")
    is_file = os.path.isfile(images) and not os.path.isdir(images)
    if is_file and captions is not None and os.path.isdir(captions):
        raise NotADirectoryError(
            f"images=... must be a folder; got the file {images!r}, and the folder {captions!r} as "
            f"captions=.... {_SWAPPED}"
        )
    require_folder(images, "images")
    if captions is not None and os.path.isfile(captions) and is_image(captions):
        raise NotADirectoryError(
            f"captions=... must be a folder or a file of captions; got the image {captions!r}."
        )
    if captions is not None and captions.lower().endswith(".tar"):
        raise ValueError(
            f"captions=... must be None for shards, which hold captions; got {captions!r}. Pass "
            "the shards as images=...."
        )


def swapped(images: str, captions: str | None) -> str:
    """A question, if images are only in the folder of captions; else ""."""
    if captions is None or not os.path.isdir(captions) or not os.path.isdir(images):
        return ""
    is_swapped = Tree.walk(captions).images and not Tree.walk(images).images
    return f" There are images in {captions!r}. {_SWAPPED}" if is_swapped else ""
