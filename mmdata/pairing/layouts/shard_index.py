"""Names and positions of the files in a tar shard: read from its headers once, and saved."""

import dataclasses
import hashlib
import json
import os
import pathlib
import posixpath
import time
from collections import Counter
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from mmdata.files.status import Status
from mmdata.files.tar_headers import DamagedTarError, tar_entries
from mmdata.pairing.folders import is_hidden
from mmdata.pairs.findings import Finding, PairingError
from mmdata.pairs.strings import Strings
from mmdata.storage.user_cache import load_arrays, save_arrays, user_cache

_VERSION = 2  # of a saved index
_COMPRESSED = {
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ\0": ("xz", "unxz"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"),
}
_KINDS = {
    "1": "a hard link",
    "2": "a symbolic link",
    "3": "a character device",
    "4": "a block device",
    "6": "a pipe",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Index:
    """The files of one shard, in its order, without hidden files and those in findings.

    Attributes:
      names: Names of n files, with their folders.
      start: int64 [n], offset of the first byte.
      size: int64 [n], number of bytes.
      findings: Their paths are names in the shard, or "" for the shard itself.
    """

    names: Strings
    start: NDArray[np.int64]
    size: NDArray[np.int64]
    findings: tuple[Finding, ...]


def index(path: str) -> Index:
    """Reads the headers of a shard, or the saved index if the shard did not change.

    Raises:
      OSError: The shard cannot be opened.
      PairingError: It is compressed.
    """
    with open(path, "rb", buffering=0) as file:
        status, now = Status.of(os.fstat(file.fileno())), time.time_ns()
        stamp = [_VERSION, *status]
        saved = _saved_path(path)
        found = _load(saved, stamp)
        if found is None:
            found = _walk(file, path)
            if status.is_settled(now):
                _save(found, saved, stamp)
    return found


def _walk(file: BinaryIO, path: str) -> Index:
    _require_uncompressed(file, path)
    files: dict[str, tuple[int, int]] = {}
    seen: Counter[str] = Counter()
    findings: list[Finding] = []
    hidden = 0
    try:
        for name, kind, start, size in tar_entries(file):
            parts = name.split("/")
            if any(is_hidden(part) for part in parts if part not in (".", "..")):
                hidden += 1
            elif kind == "5" or parts[-1] == "":
                continue
            elif why := _refusal(parts, kind):
                findings.append(Finding("outside", name, why))
            else:
                plain = posixpath.normpath(name)
                seen[plain] += 1
                files[plain] = start, size
    except (DamagedTarError, OSError) as err:
        findings.append(Finding("malformed", "", str(err)))
    for name, count in seen.items():
        if count > 1:
            del files[name]
            findings.append(Finding("ambiguous", name, f"occurs {count:,} times", count))
    if hidden:
        findings.append(Finding("ignored", "", "hidden and system files", hidden))
    places = np.array(list(files.values()), np.int64).reshape(-1, 2)
    return Index(Strings.of(files), places[:, 0], places[:, 1], tuple(findings))


def _require_uncompressed(file: BinaryIO, path: str) -> None:
    magic = os.pread(file.fileno(), 8, 0)
    for start, (kind, command) in _COMPRESSED.items():
        if magic.startswith(start):
            raise PairingError(
                "Shards must not be compressed, because they are read in place; got "
                f"{path!r}, which is {kind}. Decompress it first, e.g. with {command}."
            )


def _refusal(parts: list[str], kind: str) -> str | None:
    """Why a member is left out; None if it is not."""
    if kind != "0":
        return f"{_KINDS.get(kind, f'of type {kind!r}')}, not a file"
    if parts[0] == "":
        return "an absolute path"
    return "leaves the folder of the shard" if ".." in parts else None


def _saved_path(path: str) -> pathlib.Path:
    real = os.fsencode(os.path.realpath(path))
    return user_cache() / "shards" / f"{hashlib.blake2b(real, digest_size=16).hexdigest()}.npz"


def _save(found: Index, path: pathlib.Path, stamp: list[int]) -> None:
    findings = json.dumps([dataclasses.astuple(finding) for finding in found.findings])
    arrays = {
        "stamp": np.array(stamp),
        "names": np.frombuffer(found.names.data, np.uint8),
        "offsets": found.names.offsets,
        "start": found.start,
        "size": found.size,
        "findings": np.frombuffer(findings.encode(), np.uint8),
    }
    save_arrays(path, arrays)


def _load(path: pathlib.Path, stamp: list[int]) -> Index | None:
    saved = load_arrays(path)
    try:
        if saved["stamp"].tolist() != stamp:
            return None
        names = Strings(saved["names"].tobytes(), saved["offsets"])
        findings = tuple(Finding(*each) for each in json.loads(saved["findings"].tobytes()))
        found = Index(names, saved["start"], saved["size"], findings)
        return found if _is_valid(found, length=stamp[1]) else None
    except Exception:  # any fault in the saved index: the shard is read again
        return None


def _is_valid(found: Index, length: int) -> bool:
    offsets, start, size = found.names.offsets, found.start, found.size
    return (
        all(array.dtype == np.int64 and array.ndim == 1 for array in (offsets, start, size))
        and len(offsets) == len(start) + 1 == len(size) + 1
        and offsets[0] == 0
        and offsets[-1] == len(found.names.data)
        and bool(np.all(np.diff(offsets) >= 0) and np.all(size >= 0) and np.all(start >= 0))
        and bool(np.all(start <= length - size))
    )
