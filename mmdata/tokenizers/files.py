"""Files that are there in whole or not at all."""

import os
import pathlib
import tempfile


def write(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file in one step, and the folders above it; the file is never half-written."""
    target = pathlib.Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        written = pathlib.Path(folder, target.name)
        written.write_bytes(content)
        os.replace(written, target)
