"""Byte-pair merges: their files, and the alphabet in which they write bytes."""

import gzip
import os
import pathlib
from collections.abc import Collection, Iterable, Sequence
from typing import TypeAlias

Merge: TypeAlias = tuple[str, str]
"""Two neighbours that become one token; its place in a list is its rank, and low ones go first."""

_SHOWN = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_HIDDEN = (byte for byte in range(256) if byte not in _SHOWN)

ALPHABET: dict[int, str] = {
    **{byte: chr(byte) for byte in _SHOWN},
    **{byte: chr(0x100 + place) for place, byte in enumerate(_HIDDEN)},
}
"""How each byte is written, in the order of ids: visible Latin-1 as it is, then the others from
U+0100 on.

Source: https://github.com/openai/gpt-2, `encoder.py`.
"""

_BYTES = {letter: byte for byte, letter in ALPHABET.items()}


def to_bytes(token: str) -> bytes:
    """The bytes that a token in `ALPHABET` stands for."""
    return bytes(_BYTES[letter] for letter in token)


def fault(merges: Iterable[Merge], tokens: Collection[str]) -> tuple[int, str] | None:
    """The first merge that cannot be, as (place, why); None where all are well.

    Args:
      merges: Merges by rank.
      tokens: What is there before any merge.
    """
    known = set(tokens)
    for place, merge in enumerate(merges):
        unknown = [part for part in merge if part not in known]
        if unknown:
            return place, f"merge {merge} needs {unknown[0]!r}, which no line before it makes"
        if "".join(merge) in known:
            return place, f"merge {merge} makes {''.join(merge)!r}, which is there already"
        known.add("".join(merge))
    return None


def read_merges(path: pathlib.Path, tokens: Collection[str], most: int | None) -> tuple[Merge, ...]:
    """Reads merges from a text file, one a line, gzipped or not; a "#version" line may head it.

    Args:
      path: The file.
      tokens: What is there before any merge.
      most: Merges to read; None reads them all.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: It is no such file; the message names file and line.
    """
    content = path.read_bytes()
    try:
        text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode()
    except (EOFError, OSError, ValueError) as err:
        raise ValueError(f"{path}: not a file of merges: {err}.") from err
    lines = text.removesuffix("\n").split("\n")
    first = 1 if "#version" in lines[0] else 0
    merges: list[Merge] = []
    for number, line in enumerate(lines[first : most and first + most], first + 1):
        parts = line.split()
        if len(parts) != 2:
            raise ValueError(f"{path}:{number}: a merge is two tokens and a space; got {line!r}.")
        merges.append((parts[0], parts[1]))
    if found := fault(merges, tokens):
        raise ValueError(f"{path}:{first + found[0] + 1}: {found[1]}.")
    return tuple(merges)


def write_merges(path: str | os.PathLike[str], merges: Sequence[Merge]) -> bytes:
    """What a file of merges at `path` holds; gzipped, always alike, where its name ends in .gz."""
    text = "".join(f"{left} {right}\n" for left, right in merges)
    content = f"#version: 0.2\n{text}".encode()
    return gzip.compress(content, mtime=0) if os.fspath(path).endswith(".gz") else content
