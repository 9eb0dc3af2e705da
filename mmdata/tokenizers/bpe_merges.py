"""Byte-pair merges: files of merges, and the alphabet in which they write bytes."""

import gzip
import os
import pathlib
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import IO, TypeAlias, cast

from mmdata.tokenizers.vocabulary_files import LARGEST

Merge: TypeAlias = tuple[str, str]
"""Two neighbours that become one token. Its index in a list is its rank; the lowest goes first."""

_SHOWN = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_HIDDEN = (byte for byte in range(256) if byte not in _SHOWN)

ALPHABET: dict[int, str] = {
    **{byte: chr(byte) for byte in _SHOWN},
    **{byte: chr(0x100 + place) for place, byte in enumerate(_HIDDEN)},
}
"""How each byte is written, in the order of ids: visible Latin-1 characters as themselves, then the
others from U+0100 on.

Source: https://github.com/openai/gpt-2, `encoder.py`.
"""

_GZIP = b"\x1f\x8b"  # the first bytes of a gzip file
_SHOWN_LINE = 80  # characters of a line in an error message

_BYTES = {letter: byte for byte, letter in ALPHABET.items()}


def to_bytes(token: str) -> bytes:
    """The bytes of a token that is written in `ALPHABET`."""
    return bytes(_BYTES[letter] for letter in token)


def fault(merges: Iterable[Merge], tokens: Collection[str]) -> tuple[int, str] | None:
    """The first invalid merge, as (index, reason); None if all are valid.

    Args:
      merges: Merges by rank.
      tokens: Tokens that exist before any merge.
    """
    known = set(tokens)
    for place, merge in enumerate(merges):
        unknown = [part for part in merge if part not in known]
        if unknown:
            token = unknown[0][:_SHOWN_LINE]
            return place, f"{_shown(merge)} needs {token!r}, which no earlier merge makes"
        if "".join(merge) in known:
            token = "".join(merge)[:_SHOWN_LINE]
            return place, f"{_shown(merge)} makes {token!r}, which exists already"
        known.add("".join(merge))
    return None


def _shown(merge: Merge) -> str:
    left, right = (part[:_SHOWN_LINE] for part in merge)
    return f"merge {(left, right)}"


def read_merges(path: pathlib.Path, tokens: Collection[str], most: int) -> tuple[Merge, ...]:
    """Reads merges from a text file, one per line, gzipped or not; the first may be "#version...".

    Stops after `most` merges, so that a small gzip file cannot fill the memory.

    Args:
      path: The file.
      tokens: Tokens that exist before any merge.
      most: Merges to read; the rest of the file is not read.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file is invalid; the message has file and line.
    """
    with path.open("rb") as file:
        is_packed = file.read(len(_GZIP)) == _GZIP
        file.seek(0)
        try:
            unpacked = cast(IO[bytes], gzip.GzipFile(fileobj=file) if is_packed else file)
            first, merges = _parsed(path, unpacked, most)
        except (EOFError, gzip.BadGzipFile, zlib.error) as err:
            raise ValueError(f"{path}: not a merges file: {err}.") from err
    if found := fault(merges, tokens):
        raise ValueError(f"{path}:{first + found[0]}: {found[1]}.")
    return tuple(merges)


def _parsed(path: pathlib.Path, file: IO[bytes], most: int) -> tuple[int, list[Merge]]:
    """The number of the first line that holds a merge, and at most `most` merges."""
    first = 1
    merges: list[Merge] = []
    for number, line in enumerate(_lines(path, file), 1):
        if number == 1 and "#version" in line:
            first = 2
            continue
        if len(merges) == most:
            break
        parts = line.split()
        if len(parts) != 2:
            shown = line[:_SHOWN_LINE]
            raise ValueError(
                f"{path}:{number}: a merge must be two tokens and a space; got {shown!r}."
            )
        merges.append((parts[0], parts[1]))
    return first, merges


def _lines(path: pathlib.Path, file: IO[bytes]) -> Iterator[str]:
    """The lines of a file, without line ends; one empty line for an empty file."""
    room = LARGEST
    number = 0
    while (content := file.readline(room + 1)) or not number:
        number += 1
        room -= len(content)
        if room < 0:
            raise ValueError(f"{path}:{number}: must have at most {LARGEST:,} bytes, unpacked.")
        try:
            line = content.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as err:
            raise ValueError(f"{path}:{number}: not a merges file: {err}.") from err
        yield line.removesuffix("\n").removesuffix("\r")


def write_merges(path: str | os.PathLike[str], merges: Sequence[Merge]) -> bytes:
    """The content of a merges file at `path`; gzipped, without a time, if its name ends in .gz."""
    text = "".join(f"{left} {right}\n" for left, right in merges)
    content = f"#version: 0.2\n{text}".encode()
    return gzip.compress(content, mtime=0) if os.fspath(path).endswith(".gz") else content
