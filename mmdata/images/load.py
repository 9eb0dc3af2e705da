"""Loads files that the graph cannot read: members of tar shards, and formats of Pillow only."""

import dataclasses
import io
import os
import pathlib
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from mmdata.example import Example
from mmdata.files.blobs import Blobs
from mmdata.files.headers import Format
from mmdata.images import decode as pillow
from mmdata.settings import as_dict
from mmdata.stages.resize import Resize


@dataclasses.dataclass(frozen=True, kw_only=True)
class Load:
    """Reads the images of a batch that the graph cannot read, in one call.

    row: int64 [b]; path: string [b]; format: int8 [b]; size: int32 [b, 2], if `resize` needs it
      ->  content: string [b]; format: int8 [b]

    The content of a member of a tar shard is its bytes. The content of an image of format PILLOW is
    a BMP file, and its format becomes BMP. It is already resized, so that a batch of large images
    fits into memory; resizing it again changes nothing. If reading or Pillow fails, the format
    becomes UNKNOWN. The content of all other files, and if the format is UNKNOWN, is "".

    Attributes:
      resize: Resizes the images that Pillow decodes.
      blobs: The position of each row in tar shards; None for files.
    """

    resize: Resize
    blobs: Blobs | None = None

    to_dict = as_dict

    def __call__(self, example: Example) -> Example:
        names = ["row", "path", "format", *(["size"] if self.resize.size is None else [])]
        proxy = weakref.proxy(self)  # TensorFlow never frees what this function refers to
        content, kind = tf.numpy_function(
            lambda *columns: proxy._load(*columns),
            [example[name] for name in names],
            [tf.string, tf.int8],
            stateful=False,
        )
        shape = example["row"].shape
        read = {"content": tf.ensure_shape(content, shape), "format": tf.ensure_shape(kind, shape)}
        return {**example, **read}

    def _load(
        self,
        rows: NDArray[np.int64],
        paths: NDArray[Any],
        formats: NDArray[np.int8],
        sizes: NDArray[np.int32] | None = None,
    ) -> tuple[NDArray[Any], NDArray[np.int8]]:
        contents, formats = np.full(len(rows), b"", np.object_), formats.copy()
        by_pillow = formats == Format.PILLOW
        if self.blobs is not None:
            by_graph = ~by_pillow & (formats != Format.UNKNOWN)
            contents[by_graph] = _read_many(self.blobs, rows[by_graph])

        def convert(place: int) -> bytes:
            size = {} if sizes is None else {"size": tf.constant(sizes[place])}
            return self._bmp_file(int(rows[place]), paths[place], size)

        places = np.flatnonzero(by_pillow)
        if places.size:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                contents[places] = list(pool.map(convert, places.tolist()))
        formats[places] = np.where(contents[places] == b"", Format.UNKNOWN, Format.BMP)
        return contents, formats

    def _bmp_file(self, row: int, path: bytes, size: Example) -> bytes:
        """The resized image as a BMP file; "" if reading or decoding fails."""
        try:
            if self.blobs is None:
                content = pathlib.Path(os.fsdecode(path)).read_bytes()
            else:
                content = self.blobs.read(row)
            pixels = pillow.decode(content, self.resize.background)
        except (OSError, ValueError):
            return b""
        resized = self.resize({"image": tf.constant(pixels), **size})["image"]
        file = io.BytesIO()
        Image.fromarray(resized.numpy()).save(file, "BMP")
        return file.getvalue()


def _read_many(blobs: Blobs, rows: NDArray[np.int64]) -> NDArray[Any]:
    """The bytes of members; "" for a member that cannot be read."""
    try:
        return np.array([*blobs.read_many(rows), None], np.object_)[:-1]
    except OSError:
        return np.array([*(_read(blobs, row) for row in rows.tolist()), None], np.object_)[:-1]


def _read(blobs: Blobs, row: int) -> bytes:
    try:
        return blobs.read(row)
    except OSError:
        return b""
