"""Writes files and folders completely or not at all, and removes what killed processes left.

Each is written in a hidden folder beside its target, and moved to the target at the end:

    .mmdata-0123abcd/lock        locked while the process that writes is alive
    .mmdata-0123abcd/new/<name>  what is written
    .mmdata-0123abcd/old/<name>  the old folder, if one is replaced

When a process is killed, the system frees its lock. The next write in the same place removes every
such folder with a free lock. An `old` folder moves back if the target is missing: the process was
killed between two renames.
"""

import contextlib
import errno
import fcntl
import os
import pathlib
import re
import secrets
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import StrPath

_TEMPORARY = re.compile(r"\.mmdata-[0-9a-f]{8}")

_ADVICE = {
    errno.ENOSPC: "Make room there, or write to another folder.",
    errno.EDQUOT: "Remove some of your files there, or write to another folder.",
    errno.EFBIG: "Raise the limit on the size of a file (ulimit -f), or write to another folder.",
}
"""What to do about errors that mean that there is no room."""


class Replacement:
    """A file or folder that is written beside its target, and replaces it when it is complete.

    Makes missing folders above the target.

    Args:
      target: The file or folder to write; a symbolic link stays, and its target is written.
      replace_folder: Whether it may also replace a folder, or a file by a folder. Otherwise it
        replaces only a file by a file, or an empty folder by a folder.

    Attributes:
      path: Where to write. Nothing is there yet.

    Raises:
      OSError: Nothing can be written there.
    """

    def __init__(self, target: "StrPath", *, replace_folder: bool = False) -> None:
        self._target = pathlib.Path(os.path.realpath(target))
        self._replace_folder = replace_folder
        parent = self._target.parent
        self._made = [folder for folder in (parent, *parent.parents) if not folder.exists()]
        try:
            if self._made:
                parent.mkdir(parents=True, exist_ok=True)
            sweep(parent)
            self._folder, self._lock = _temporary_folder(parent)
        except BaseException:
            self._remove_parents()
            raise
        self.path = self._folder / "new" / self._target.name

    def commit(self) -> None:
        """Replaces the target.

        Raises:
          OSError: That is not possible; then the target is unchanged.
        """
        if self.path.is_file():
            with open(self.path, "r+b") as file:
                os.fsync(file.fileno())
        folders = self.path.is_dir() or self._target.is_dir()
        if self._replace_folder and folders and os.path.lexists(self._target):
            old = self._folder / "old"
            old.mkdir()
            os.rename(self._target, old / self._target.name)
        os.replace(self.path, self._target)
        self._made.clear()

    def discard(self) -> None:
        """Removes what was written and the folders made for it, unless it was committed."""
        _remove(self._folder, self._lock)
        self._remove_parents()

    def size(self) -> int:
        """Bytes written so far."""
        files = (path for path in self.path.parent.rglob("*") if path.is_file())
        return sum(path.stat().st_size for path in files)

    def _remove_parents(self) -> None:
        for folder in self._made:
            with contextlib.suppress(OSError):  # others have put files there
                folder.rmdir()


@contextlib.contextmanager
def replacing(
    path: "StrPath", *, replace_folder: bool = False, size: int | None = None
) -> Iterator[pathlib.Path]:
    """Yields a path to write a file or folder to, which replaces `path` at the end.

    On an exception, nothing is left, and `path` is unchanged.

    Args:
      path: The file or folder to write, see `Replacement`.
      replace_folder: Whether a folder may be replaced, see `Replacement`.
      size: How many bytes it needs, if that is known.

    Raises:
      OSError: It cannot be written. If there is no room, the message says how much is needed.
    """
    replacement = None
    try:
        replacement = Replacement(path, replace_folder=replace_folder)
        yield replacement.path
        replacement.commit()
    except OSError as err:
        if err.errno not in _ADVICE:
            raise
        written = 0 if replacement is None else replacement.size()
        needs = f"more than {written:,}" if size is None else f"{size:,}"
        raise _no_room(err.errno, path, needs) from err
    finally:
        if replacement is not None:
            replacement.discard()


class Staging:
    """Writes many files into one folder, each in one step; several threads may do so at once.

    Args:
      folder: The folder, which exists.

    Raises:
      OSError: Nothing can be written there.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        sweep(folder)
        self._target = folder
        self._folder, self._lock = _temporary_folder(folder)

    def write(self, name: str, content: bytes) -> None:
        """Writes or replaces a file; makes missing folders above it.

        Args:
          name: Relative to the folder. No other thread writes this file now.
          content: Its bytes.

        Raises:
          OSError: It cannot be written. If there is no room, the message says how much is needed.
        """
        path, target = self._folder / "new" / name, self._target / name
        try:
            for parent in (path.parent, target.parent):
                parent.mkdir(parents=True, exist_ok=True)
            with open(path, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(path, target)
        except OSError as err:
            if err.errno not in _ADVICE:
                raise
            raise _no_room(err.errno, target, f"{len(content):,}") from err

    def close(self) -> None:
        """Removes what is incomplete."""
        _remove(self._folder, self._lock)


def _no_room(number: int, path: "StrPath", needs: str) -> OSError:
    return OSError(
        number,
        f"{os.fspath(path)}: cannot be written ({os.strerror(number)}); needs {needs} bytes. "
        f"{_ADVICE[number]}",
    )


def write(path: "StrPath", content: bytes) -> None:
    """Writes a file in one step; makes missing folders above it.

    Raises:
      OSError: See `replacing`.
    """
    with replacing(path, size=len(content)) as target:
        target.write_bytes(content)


def require_writable(folder: pathlib.Path) -> None:
    """Makes a folder, removes what killed processes left in it, and checks that it is writable.

    Raises:
      OSError: Nothing can be written there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    _remove(*_temporary_folder(folder))


def sweep(folder: pathlib.Path) -> None:
    """Removes what killed processes left in a folder, and nothing that is being written."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    for name in filter(_TEMPORARY.fullmatch, names):
        with contextlib.suppress(OSError):  # another process writes or removes it
            lock = _open_lock(folder / name)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
                raise
            _remove(folder / name, lock)


def _temporary_folder(parent: pathlib.Path) -> tuple[pathlib.Path, int]:
    """Makes a folder that no other process removes; returns it and the descriptor of its lock."""
    while True:
        folder = parent / f".mmdata-{secrets.token_hex(4)}"
        try:
            folder.mkdir(0o700)
        except FileExistsError:
            continue
        with contextlib.suppress(FileNotFoundError):  # another process removed it first
            lock = _open_lock(folder)
            try:
                if _locks(lock):
                    (folder / "new").mkdir()
                    return folder, lock
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)


def _open_lock(folder: pathlib.Path) -> int:
    return os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _locks(lock: int) -> bool:
    """Takes a lock; False if another process has it, to remove the folder."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: leftovers of kills stay there
        return True
    return True


def _remove(folder: pathlib.Path, lock: int) -> None:
    """Removes a temporary folder; moves the old folder back if it was not replaced."""
    old = folder / "old"
    try:
        for path in old.iterdir() if old.is_dir() else ():
            place = folder.parent / path.name
            if not os.path.lexists(place):
                os.rename(path, place)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
