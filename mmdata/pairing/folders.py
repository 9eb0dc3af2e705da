"""Walks folders of images and captions. Opens nothing."""

import os
import unicodedata
from collections.abc import Callable, Iterator

from mmdata.pairing.findings import Finding

DECODED = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp")
_NAMED = (".avif", ".heic", ".heif", ".jp2", ".jxl", ".tif", ".tiff")  # in the report, not decoded


def require_folder(path: str, argument: str) -> None:
    """Raises FileNotFoundError or NotADirectoryError unless `path` is a folder."""
    if not os.path.exists(path):
        raise FileNotFoundError(
            f"{argument}=... must exist; got {path!r}, seen from {os.getcwd()!r}."
        )
    if not os.path.isdir(path):
        raise NotADirectoryError(f"{argument}=... must be a folder; got the file {path!r}.")


def list_files(root: str) -> tuple[list[str], list[Finding]]:
    """Every visible file under `root`, and a finding for every folder that cannot be read.

    Follows symbolic links, each folder once, so that a loop of links ends.

    Returns:
      The paths relative to `root`, with `/`, sorted; the findings.
    """
    findings: list[Finding] = []

    def unreadable(err: OSError) -> None:
        path = os.path.relpath(err.filename, root)
        findings.append(Finding("unreadable", path, err.strerror or str(err)))

    return sorted(_walk(root, unreadable)), findings


def _walk(root: str, on_error: Callable[[OSError], None]) -> Iterator[str]:
    seen: set[tuple[int, int]] = set()
    for folder, subfolders, files in os.walk(root, onerror=on_error, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        prefix = os.path.relpath(folder, root).replace(os.sep, "/") + "/"
        prefix = "" if prefix == "./" else prefix
        yield from (prefix + name for name in files if not name.startswith("."))


def stem(path: str) -> str:
    """The path without its last extension: what an image and its caption file share.

    >>> stem("trips/photo v2.0.png")
    'trips/photo v2.0'
    """
    return os.path.splitext(path)[0]


def canonical(path: str) -> str:
    """The path in Unicode NFC, so that a name typed on one system matches one stored by another."""
    return unicodedata.normalize("NFC", path)


def is_image(path: str) -> bool:
    """Whether the extension, in any case, is that of an image."""
    return path.lower().endswith(DECODED + _NAMED)
