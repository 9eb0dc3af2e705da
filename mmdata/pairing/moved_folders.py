"""Names whose folder differs from that of their files: finds one change of folder for all."""

import functools
import os
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

_ABSOLUTE = re.compile(r"/|[A-Za-z]:/")


class Move(NamedTuple):
    """A change of folder: a name that begins with `old` is the file that begins with `new`.

    Attributes:
      old: The folder as the names spell it, with `/` after it; "" for no folder.
      new: The folder relative to the folder of images, in the same form.
    """

    old: str
    new: str

    def __call__(self, name: str) -> str:
        """The path that a name has after the change."""
        return self.new + name.removeprefix(self.old)

    def __str__(self) -> str:
        if not self.new:
            return f"matched without {self.old!a} at the beginning"
        if not self.old:
            return f"matched with {self.new!a} at the beginning"
        return f"matched with {self.new!a} instead of {self.old!a} at the beginning"


def move_of(names: Collection[str], files: Collection[str]) -> Move | None:
    """The only change of folder that turns names into files; None if there are none or several.

    Of all changes that find a file for every name, the one that keeps most of the names is used. If
    no change does that, some files are missing: then a change is used that only removes folders, or
    only adds folders, if no other change finds any file. One that replaces a folder is not used,
    since two folders often hold files with the same names. Absolute names are changed only if they
    are from another machine: neither their folders nor their common folder exists here.

    Args:
      names: Paths with `/`, none of which is a file as it is.
      files: Paths relative to the folder of images, with `/`.
    """
    fits = _fits(names, files)
    complete = [move for move, count in fits.items() if count == len(names)]
    least = min((len(move.old) for move in complete), default=0)
    found = [move for move in complete if len(move.old) == least] or list(fits)
    if len(found) != 1 or (not complete and found[0].old and found[0].new):
        return None
    return None if is_absolute(found[0].old) and _are_here(names) else found[0]


def _are_here(names: Collection[str]) -> bool:
    """Whether absolute names are from this machine, judged by their folders."""
    shared = _common_folder(names)
    is_of_a_set = len(shared.strip("/").split("/")) > 1  # "/mnt/" is on every machine
    folders = {posixpath.dirname(name) for name in names}
    return any(map(os.path.isdir, folders)) or (is_of_a_set and os.path.isdir(shared))


def _fits(names: Collection[str], files: Collection[str]) -> Counter[Move]:
    """For each change of folder, the number of files that it finds for names."""
    fits: Counter[Move] = Counter()
    for old in _above(_common_folder(names)):
        rests = {name.removeprefix(old) for name in names}
        for file in files:
            for new in _above(file):
                if file[len(new) :] in rests and not _is_longer_than_needed(old, new):
                    fits[Move(old, new)] += 1
    return fits


def is_absolute(name: str) -> bool:
    """Whether a path with `/` is absolute, on this system or on Windows."""
    return bool(_ABSOLUTE.match(name))


def relative_to(root: str, names: Sequence[str]) -> list[str]:
    """Makes absolute paths below `root` relative to it; other names stay as they are.

    A path that is below `root` through a symbolic link counts too.
    """
    roots = [folder.rstrip(os.sep) + os.sep for folder in {os.path.abspath(root), _real(root)}]
    real = functools.cache(_real)
    return [_below(roots, real, name) if os.path.isabs(name) else name for name in names]


def _below(roots: Sequence[str], real: Callable[[str], str], name: str) -> str:
    folder, base = os.path.split(os.path.normpath(name))
    for path in (os.path.join(folder, base), os.path.join(real(folder), base)):
        for root in roots:
            if path.startswith(root):
                return path[len(root) :].replace(os.sep, "/")
    return name


def _real(folder: str) -> str:
    try:
        return os.path.realpath(folder)
    except (OSError, ValueError):  # a loop of links, or a NUL
        return folder


def _common_folder(names: Collection[str]) -> str:
    first, last = min(names), max(names)  # the common start of these two is that of all
    return [folder for folder in _above(first) if last.startswith(folder)][-1]


def _above(path: str) -> Iterator[str]:
    """The folders of a path, from "" on, each with `/` after it."""
    yield ""
    for place, letter in enumerate(path):
        if letter == "/":
            yield path[: place + 1]


def _is_longer_than_needed(old: str, new: str) -> bool:
    """Whether both end in the same folder: a change of the folders above it is the same."""
    return bool(old and new) and posixpath.basename(old[:-1]) == posixpath.basename(new[:-1])
