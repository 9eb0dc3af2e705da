"""Names whose folder differs from that of their files: one change of folder for all of them."""

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
      old: The folder as the names spell it, with `/` behind it; "" for none.
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
    """The only change of folder by which names become files; None where there is none, or several.

    Of changes that find the file of every name, that counts which keeps most of the names. Where
    there is no such change, some files are lost: then a change counts that removes folders, or adds
    some, and is the only one which finds any file. One that replaces a folder by another does not,
    since two folders often hold files of the same names. Absolute names are changed only if they
    are from elsewhere: neither their folders nor the one that they share exist here.

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
    """Whether absolute names are of this machine, as far as their folders tell."""
    shared = _common_folder(names)
    is_of_a_set = len(shared.strip("/").split("/")) > 1  # "/mnt/" is on every machine
    folders = {posixpath.dirname(name) for name in names}
    return any(map(os.path.isdir, folders)) or (is_of_a_set and os.path.isdir(shared))


def _fits(names: Collection[str], files: Collection[str]) -> Counter[Move]:
    """How many files each change of folder gives to names."""
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
    """The names, of which absolute paths below `root` become relative to it.

    A path below another name of `root`, which a symbolic link gives it, counts too.
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
    first, last = min(names), max(names)  # what these two share, all names share
    return [folder for folder in _above(first) if last.startswith(folder)][-1]


def _above(path: str) -> Iterator[str]:
    """The folders of a path, from "" on, each with `/` behind it."""
    yield ""
    for place, letter in enumerate(path):
        if letter == "/":
            yield path[: place + 1]


def _is_longer_than_needed(old: str, new: str) -> bool:
    """Whether both end in the same folder, so that a change of the folders above says the same."""
    return bool(old and new) and posixpath.basename(old[:-1]) == posixpath.basename(new[:-1])
