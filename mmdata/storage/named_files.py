"""Files whose names contain their checksums, and one manifest that names those that count."""

import contextlib
import fcntl
import os
import pathlib
import zlib
from collections.abc import Callable, Collection, Iterator
from typing import Any

from mmdata.storage.atomic import Staging
from mmdata.storage.web_manifest import WebFile


class NamedFiles:
    """Writes files into a folder, each in one step, under a name that contains its checksum.

    May be called from several threads. A file that is there already is replaced by the same bytes.

    Args:
      folder: The folder; it is made if it does not exist.
      own: Whether a name has the form of the names given here; other files are never removed.
    """

    def __init__(self, folder: pathlib.Path, own: Callable[[str], bool]) -> None:
        self._folder = folder
        self._own = own
        self._staging = Staging(folder)

    def add(self, stem: str, extension: str, content: bytes, **more: Any) -> WebFile:
        """Writes a file `stem.<crc32>.extension`; `more` are further fields of its entry."""
        crc = zlib.crc32(content)
        name = f"{stem}.{crc:08x}.{extension}"
        self.put(name, content)
        return WebFile(file=name, bytes=len(content), crc32=crc, **more)

    def put(self, name: str, content: bytes) -> None:
        """Writes a file under another name, e.g. the manifest; `name` may have one folder."""
        self._staging.write(name, content)

    def remove_others(self, names: Collection[str] | None) -> None:
        """Removes files with names of this form, other than `names`; None removes no file."""
        if names is None:
            return
        for name in filter(self._own, os.listdir(self._folder)):
            if name not in names:
                (self._folder / name).unlink()

    def close(self) -> None:
        """Removes what is incomplete."""
        self._staging.close()


@contextlib.contextmanager
def only_writer(folder: pathlib.Path) -> Iterator[None]:
    """Makes a folder, and locks it without a file in it; removes it if it stays empty.

    Raises:
      BlockingIOError: Another process writes there.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)
        for each in made:
            with contextlib.suppress(OSError):  # it has files
                each.rmdir()


def _lock(descriptor: int, folder: pathlib.Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as err:
        message = f"{folder}: another process is writing there. Wait until it ends."
        raise BlockingIOError(err.errno, message) from err
    except OSError:  # a file system without locks
        return
