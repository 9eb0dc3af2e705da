"""Files -> images of the target size: reads, decodes, resizes."""

import dataclasses
import os
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmdata.config import Config
from mmdata.example import chain
from mmdata.files.headers import Format
from mmdata.files.scan import Scan
from mmdata.images.decode_in_graph import Decode
from mmdata.images.load import Load
from mmdata.pairs.pairs import Pairs
from mmdata.sampling.lookup import Lookup
from mmdata.settings import plain
from mmdata.stages.resize import CenterCrop, Resize, Size

_BATCH = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decoding:
    """A dataset of batches of files -> a dataset of single images, in the same order.

    row: int64 [b]; path: string [b]; and the inputs of its stages, [b, ...]
      ->  image: uint8 [H, W, 3]; valid: bool []; the rest [...]

    Attributes:
      load: Reads files that the graph cannot read; None if it can read all.
      decode: Decodes files.
      resize: Resizes images.
      crop: Crops the centre; None if `resize` gives the final size.
    """

    load: Load | None
    decode: Decode
    resize: Resize
    crop: CenterCrop | None

    @classmethod
    def of(
        cls, pairs: Pairs, scan: Scan, config: Config, *, fast: bool, strict: bool
    ) -> "Decoding":
        """Makes the stages of a config for the images of pairs; `fast`, `strict`: see `Decode`."""
        pixels = config.pixels
        needs_load = pairs.blobs is not None or Format.PILLOW in scan.formats
        cut = pixels.load_size is not None and not config.crops_at_random
        return cls(
            load=Load(resize=pixels.resize, blobs=pairs.blobs) if needs_load else None,
            decode=Decode(background=pixels.background, fast=fast, plain=scan.plain, strict=strict),
            resize=pixels.resize,
            crop=CenterCrop(size=pixels.size) if cut else None,
        )

    def __call__(self, ds: Any) -> Any:
        if self.load is not None:  # one call a batch into Python
            ds = ds.map(self.load, num_parallel_calls=tf.data.AUTOTUNE)
        ds = ds.unbatch()  # until they are resized, images have different sizes
        stages = chain([self.decode, self.resize, self.crop])
        return ds.map(stages, num_parallel_calls=os.cpu_count())  # all cores, from the start

    @property
    def size(self) -> Size | None:
        """(height, width) of the images; None if each example has its own size."""
        return self.resize.size if self.crop is None else self.crop.size

    def to(self, size: Size) -> "Decoding":
        """The same for another (height, width)."""
        resize = self.resize if self.crop else dataclasses.replace(self.resize, size=size)
        return dataclasses.replace(self, resize=resize)

    def images(self, rows: NDArray[np.int64], look_up: Lookup) -> Any:
        """A dataset of batches of the images of rows, without corrupt images.

        rows: int64 [n]  ->  place: int64 [b], indices into `rows`, ascending; image: uint8 [b, H,
        W, 3]
        """
        strict = dataclasses.replace(self, decode=dataclasses.replace(self.decode, strict=True))
        ds = tf.data.Dataset.from_tensor_slices(rows).enumerate().batch(_BATCH)
        ds = ds.map(lambda place, row: {"place": place, **look_up.of_rows(row)})
        ds = strict(ds).ignore_errors().filter(lambda example: example["valid"])
        ds = ds.map(lambda example: (example["place"], example["image"]))
        return ds.batch(_BATCH).prefetch(tf.data.AUTOTUNE)

    def to_dict(self) -> dict[str, Any]:
        """The stages that change pixels, as plain data."""
        decode = dataclasses.replace(self.decode, plain=False, strict=False)
        return {"decode": plain(decode), "resize": plain(self.resize), "crop": plain(self.crop)}
