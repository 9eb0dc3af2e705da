"""Reads files of tokenizers, up to a size limit."""

import os

LARGEST = 1 << 26
"""Limit in bytes, unpacked: over ten times the largest file of any tokenizer in use."""


def read(path: str | os.PathLike[str]) -> bytes:
    """Reads a file of at most `LARGEST` bytes.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: It is larger.
    """
    with open(path, "rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"{os.fspath(path)}: must have at most {LARGEST:,} bytes.")
    return content
