"""Files of tokenizers: read up to a size limit, written in one step."""

import os
import pathlib
import tempfile

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


def write(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file in one step, and makes its folders; the file is never half-written."""
    target = pathlib.Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        written = pathlib.Path(folder, target.name)
        written.write_bytes(content)
        os.replace(written, target)
