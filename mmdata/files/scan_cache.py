"""Results of earlier scans of the files under a folder, saved in `user_cache()`."""

import hashlib
import json
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmdata.files.status import Status
from mmdata.storage.user_cache import load_arrays, save_arrays, user_cache

_VERSION = 3
"""Increased when scans of the same file give other results; older results are not used."""


class FileInfo(NamedTuple):
    """The scan of one file; the first four fields show whether it changed since, see `Status`.

    `checksum` is that of the whole file; 0 if it was never read as a whole.
    """

    size: int = 0
    modified: int = 0
    changed: int = 0
    inode: int = 0
    key: int = 0
    checksum: int = 0
    format: int = -1
    orientation: int = 1
    height: int = 0
    width: int = 0

    @property
    def status(self) -> Status:
        """The status of the file when it was seen."""
        return Status(*self[: len(Status._fields)])


class ScanCache:
    """Scans of files, by their names, and why some of them must not be decoded."""

    def __init__(self, root: str) -> None:
        """Loads the saved scans of the files under `root`, if there are any."""
        digest = hashlib.blake2b(os.fsencode(os.path.realpath(root)), digest_size=16)
        self._path: pathlib.Path = user_cache() / "scans" / f"{digest.hexdigest()}.npz"
        arrays = load_arrays(self._path)
        try:
            self._names = arrays["names"].astype(np.uint64)
            self._facts = arrays["facts"].astype(np.int64)
            saved = json.loads(arrays["problems"].tobytes())
            self._problems = {int(name): str(why) for name, why in saved.items()}
            shapes = self._names.shape, self._facts.shape
            valid = shapes == ((self._names.size,), (self._names.size, len(FileInfo._fields)))
            valid = valid and arrays["version"].tolist() == _VERSION
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
            valid = False
        if not valid:
            self._names = np.zeros(0, np.uint64)
            self._facts = np.zeros((0, len(FileInfo._fields)), np.int64)
            self._problems = {}

    def find(self, names: Sequence[str]) -> list[tuple[FileInfo, str] | None]:
        """The saved scan of each file, and why it must not be decoded, if so; else None."""
        numbers = hashes(names)
        places = np.searchsorted(self._names, numbers)
        found: list[tuple[FileInfo, str] | None] = [None] * len(names)
        known = np.flatnonzero(places < len(self._names))
        for row in known[self._names[places[known]] == numbers[known]].tolist():
            info = FileInfo(*self._facts[places[row]].tolist())
            found[row] = (info, self._problems.get(int(numbers[row]), ""))
        return found

    def keep(self, seen: Mapping[str, tuple[FileInfo, str]]) -> None:
        """Replaces the scans of some files, and saves all."""
        if not seen:
            return
        numbers = hashes(list(seen))
        others = ~np.isin(self._names, numbers)
        names = np.concatenate([self._names[others], numbers])
        order = np.argsort(names)
        self._facts = np.concatenate(
            [self._facts[others], np.array([info for info, _ in seen.values()], np.int64)]
        )[order]
        self._names = names[order]
        for name, (_, why) in zip(numbers.tolist(), seen.values(), strict=True):
            self._problems.pop(name, None)
            if why:
                self._problems[name] = why
        problems = np.frombuffer(json.dumps(self._problems).encode(), np.uint8)
        arrays: dict[str, NDArray[Any]] = {
            "names": self._names,
            "facts": self._facts,
            "problems": problems,
            "version": np.array(_VERSION),
        }
        save_arrays(self._path, arrays)


def hashes(names: Iterable[str]) -> NDArray[np.uint64]:
    """64-bit hashes of names, uint64 [n]; collisions are too rare to matter."""
    digests = (
        hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        for name in names
    )
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)
