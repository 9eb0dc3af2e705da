"""Walks folders of images and captions. Opens nothing."""

import dataclasses
import os
import unicodedata
from collections.abc import Iterator

from mmdata.files.links import Boundary, Links, outside_detail
from mmdata.pairs.findings import Finding

DECODED = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp", ".avif", ".heic", ".heif"),
    *(".apng", ".avifs", ".dib", ".hif", ".j2c", ".j2k", ".jif", ".jp2", ".jpf", ".jpx", ".jxl"),
    *(".pbm", ".pgm", ".pnm", ".ppm", ".tif", ".tiff"),
)
_SYSTEM = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


def require_folder(path: str, argument: str) -> None:
    """Raises FileNotFoundError or NotADirectoryError unless `path` is a folder."""
    require_exists(path, argument)
    if not os.path.isdir(path):
        raise NotADirectoryError(f"{argument}=... must be a folder; got the file {path!r}.")


def require_exists(path: str, argument: str) -> None:
    """Raises FileNotFoundError unless there is something at `path`."""
    if not os.path.exists(path):
        raise FileNotFoundError(
            f"{argument}=... must exist; got {path!r}. The working directory is {os.getcwd()!r}."
        )


@dataclasses.dataclass(kw_only=True)
class Folder:
    """The content of a folder, without hidden and system files.

    Attributes:
      path: Relative to the root, with `/` after each name; "" for the root itself.
      files: Names, sorted.
      folders: Names, sorted; without links that leave the root.
      outside: Targets of files and folders that leave the root by a symbolic link, by their
        paths.
      hidden: Number of hidden and system files and folders.
    """

    path: str
    files: list[str]
    folders: list[str]
    outside: dict[str, str]
    hidden: int


class Walk:
    """Lists folders under a root, each once, so that a loop of symbolic links ends.

    A link to a folder under the root is not followed: that folder is listed by its own name. A link
    to another folder is followed only if `links` is "follow".

    Attributes:
      findings: Every folder that could not be read, or that leaves the root, so far.
      aliases: Linked folders that are listed under their own names, with `/` after both.
    """

    def __init__(self, root: str, links: Links = "inside") -> None:
        self.findings: list[Finding] = []
        self.aliases: dict[str, str] = {}
        self._root = root
        self._boundary = Boundary(root, links)
        self._seen: set[tuple[int, int]] = set()
        self._linked: set[str] = set()

    def list(self, path: str) -> Folder:
        """Lists the folder at `path`, relative to the root; empty if seen before or unreadable."""
        found = Folder(path=path, files=[], folders=[], outside={}, hidden=0)
        here = os.path.join(self._root, path).rstrip(os.sep) or os.sep
        try:
            if path in self._linked and self._is_listed_elsewhere(here):
                self.aliases[path] = self._relative(os.path.realpath(here))
            elif self._is_new(here):
                with os.scandir(here) as entries:
                    for entry in entries:
                        self._add(found, entry)
        except OSError as err:
            detail = err.strerror or str(err)
            self.findings.append(Finding("unreadable", path.rstrip("/") or ".", detail))
        found.files.sort()
        found.folders.sort()
        return found

    def _add(self, found: Folder, entry: "os.DirEntry[str]") -> None:
        name = entry.name
        if is_hidden(name):
            found.hidden += 1
            return
        target = self._boundary.outside(entry.path) if entry.is_symlink() else None
        if target is not None:
            found.outside[f"{found.path}{name}"] = target
        if not is_folder(entry):
            found.files.append(name)
        elif target is not None:
            detail = outside_detail(target)
            self.findings.append(Finding("outside", f"{found.path}{name}/", detail))
        else:
            found.folders.append(name)
            if entry.is_symlink() or found.path in self._linked:
                self._linked.add(f"{found.path}{name}/")

    def folders(self) -> Iterator[Folder]:
        """Lists every folder, the root first."""
        waiting = [""]
        while waiting:
            folder = self.list(waiting.pop())
            yield folder
            waiting += [f"{folder.path}{name}/" for name in reversed(folder.folders)]

    def _relative(self, path: str) -> str:
        """A real folder relative to the real root, with `/` after it; "" for the root."""
        below = os.path.relpath(path, os.path.realpath(self._root)).replace(os.sep, "/")
        return "" if below == "." else f"{below}/"

    def _is_listed_elsewhere(self, path: str) -> bool:
        """Whether a linked folder is listed under its own name, before or later."""
        target, root = os.path.realpath(path), os.path.realpath(self._root)
        if os.path.commonpath([target, root]) != root:
            return False
        parts = os.path.relpath(target, root).split(os.sep)
        return target == root or not any(map(is_hidden, parts))

    def _is_new(self, path: str) -> bool:
        status = os.stat(path)
        identity = (status.st_dev, status.st_ino)
        new = identity not in self._seen
        self._seen.add(identity)
        return new


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or written by an operating system."""
    return name.startswith(".") or name.lower() in _SYSTEM


def is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether an entry is a folder or a link to one; False for a link to itself."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def stem(path: str) -> str:
    """The path without its last extension: the same for an image and its caption file.

    >>> stem("trips/photo v2.0.png")
    'trips/photo v2.0'
    """
    return os.path.splitext(path)[0]


def extension(path: str) -> str:
    """The last extension of a path, in lower case, with its dot; "" if it has none."""
    return os.path.splitext(path)[1].lower()


def canonical(path: str) -> str:
    """The path in Unicode NFC, so that names from different systems match."""
    return path if path.isascii() else unicodedata.normalize("NFC", path)


def folded(path: str) -> str:
    """The path in Unicode NFC and without case, as some file systems compare paths."""
    return unicodedata.normalize("NFC", canonical(path).casefold())


def is_image(path: str) -> bool:
    """Whether the extension, in any case, is that of an image."""
    return path.lower().endswith(DECODED)
