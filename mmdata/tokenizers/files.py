"""Reads files that are not larger than tokenizers' files are."""

import os

LARGEST = 1 << 26
"""Bytes of a file, unpacked: over ten times as many as those of any tokenizer in use have."""


def read(path: str | os.PathLike[str]) -> bytes:
    """Reads a file; no more of it than may be.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: It is larger than `LARGEST`.
    """
    with open(path, "rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"{os.fspath(path)}: must be a file of at most {LARGEST:,} bytes.")
    return content
