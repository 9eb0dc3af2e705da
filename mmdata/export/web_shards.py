"""Writes the rows of splits as shards: decodes each image once, and encodes shards in threads."""

import collections
import os
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mmdata.export.sprites import grid_for, sprite
from mmdata.export.web_columns import (
    Ragged,
    SplitRows,
    TextColumns,
    number_columns,
    numbers_of,
    ragged,
)
from mmdata.images.corrupt import report_corrupt
from mmdata.storage.manifest import Column
from mmdata.storage.named_files import NamedFiles
from mmdata.storage.npy import npy
from mmdata.storage.web_manifest import WebFile, WebShard

Encoding = Literal["png", "npy"]

_SHARD = 2**22
"""Bytes of the decoded images of a shard, about."""

_ROWS = 2**14
"""Images of a shard, at most."""

_OPEN = 1 + (os.cpu_count() or 1)
"""Shards that are in memory at once, besides the one that is being filled."""


class Shards:
    """Writes shards of the rows of splits.

    Args:
      files: Writes files.
      splits: The splits, with equal settings.
      encoding: "png" writes images as sprites; "npy", as rows that can be read alone.
      file_names: Whether to add the names of the images.
      update: Called with a number of images when they are decoded.

    Attributes:
      rows: Rows of a shard; the last one of a split may have fewer.
      columns: How each column is stored.
    """

    def __init__(
        self,
        files: NamedFiles,
        splits: list[SplitRows],
        *,
        encoding: Encoding,
        file_names: bool,
        update: Callable[[int], object],
    ) -> None:
        ds = splits[0].ds
        self._files = files
        self._splits = splits
        self._update = update
        self._shape = (*ds.pixels.size, 3)
        self._file_names = file_names
        self._text = TextColumns(ds) if ds.task.has_text else None
        self._numbers = number_columns(splits)
        self._has_valid = any(split.ds.config.problems.corrupt == "drop" for split in splits)
        self._is_png = encoding == "png"
        self.rows = min(max(_SHARD // int(np.prod(self._shape)), 1), _ROWS)
        self.columns = self._columns()
        self._stems = {
            name: f"column_{place}" if ":" in name else name
            for place, name in enumerate(self.columns)
            if name != "image"
        }

    def _columns(self) -> dict[str, Column]:
        kind: Literal["sprite", "fixed"] = "sprite" if self._is_png else "fixed"
        columns = {"image": Column(kind=kind, dtype="|u1", shape=self._shape)}
        if not self._is_png:
            columns["image_crc32"] = Column(dtype="<u4", shape=())
        if self._text is not None:
            columns |= self._text.columns
        columns |= self._numbers
        if self._has_valid:
            columns["valid"] = Column(dtype="|u1", shape=())
        if self._file_names:
            columns["file_name"] = Column(kind="ragged", dtype="|u1", shape=(1,))
        return columns

    def write(self) -> list[WebShard]:
        """Writes all shards, a few at once.

        Raises:
          PairingError: An image cannot be decoded, and its dataset does not allow that.
          OSError: There is no room.
        """
        done: list[WebShard] = []
        waiting: collections.deque[Future[WebShard]] = collections.deque()
        with ThreadPoolExecutor(_OPEN) as pool:
            number = 0
            for split in self._splits:
                for begin, images, valid in self._filled(split):
                    if len(waiting) >= _OPEN:
                        done.append(waiting.popleft().result())
                    task = pool.submit(self._write, number, split, begin, images, valid)
                    waiting.append(task)
                    number += 1
            done += [each.result() for each in waiting]
        return done

    def _filled(
        self, split: SplitRows
    ) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.bool_]]]:
        """The first row of each shard, its images, black if they are corrupt, and which are not."""
        decoded = _places(split)
        after_last = len(split), np.zeros(self._shape, np.uint8)
        place, image = next(decoded, after_last)
        for begin in range(0, len(split), self.rows):
            end = min(begin + self.rows, len(split))
            images = np.zeros((end - begin, *self._shape), np.uint8)
            valid = np.zeros(end - begin, bool)
            while place < end:
                images[place - begin], valid[place - begin] = image, True
                place, image = next(decoded, after_last)
            self._update(end - begin)
            _require_valid(split, begin + np.flatnonzero(~valid))
            yield begin, images, valid

    def _write(
        self,
        number: int,
        split: SplitRows,
        begin: int,
        images: NDArray[np.uint8],
        valid: NDArray[np.bool_],
    ) -> WebShard:
        end = begin + len(images)
        columns: dict[str, Any] = dict(numbers_of(split, self._numbers, begin, end))
        if not self._is_png:
            columns["image_crc32"] = np.array([zlib.crc32(image.data) for image in images], "<u4")
        if self._text is not None:
            columns |= self._text.of(split, begin, end)
        if self._has_valid:
            columns["valid"] = valid.astype(np.uint8)
        if self._file_names:
            columns["file_name"] = ragged(split.pairs.images.take(split.rows[begin:end]))
        files = {"image": self._write_images(number, images)}
        for name, stem in self._stems.items():
            files[name] = self._write_column(f"{number:05}.{stem}", columns[name])
        captions = int(columns["caption_count"].sum()) if self._text is not None else 0
        return WebShard(split=split.name, rows=len(images), captions=captions, files=files)

    def _write_images(self, number: int, images: NDArray[np.uint8]) -> WebFile:
        if not self._is_png:
            return self._files.add(f"{number:05}.image", "npy", npy(images))
        grid = grid_for(len(images), *self._shape[:2])
        return self._files.add(f"{number:05}.image", "png", sprite(images, grid), grid=grid)

    def _write_column(self, stem: str, values: NDArray[Any] | Ragged) -> WebFile:
        if not isinstance(values, Ragged):
            return self._files.add(stem, "npy", npy(values))
        offsets = self._files.add(f"{stem}_offsets", "npy", npy(values.offsets))
        return self._files.add(stem, "npy", npy(values.values), offsets=offsets)


def _places(split: SplitRows) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The images that can be decoded, by their place in the split, ascending."""
    for places, images in split.ds.plan.decoded(split.rows).as_numpy_iterator():
        yield from zip(places.tolist(), images, strict=True)


def _require_valid(split: SplitRows, failed: NDArray[np.int64]) -> None:
    """Reports rows that cannot be decoded.

    Raises:
      PairingError: Their dataset does not allow them.
    """
    pairs, problems = split.pairs, split.ds.config.problems
    if failed.size:
        scan, _ = pairs.scanned()
        new = [row for row in split.rows[failed].tolist() if row not in scan.problems]
        why = "changed while it was read: build again"
        split.pairs = pairs = report_corrupt(pairs, scan, new, why)
        problems.check(pairs.corrupt, rows=len(pairs), where=repr(pairs.root))
