"""WebDataset shards: samples in tar archives, read without unpacking."""

import dataclasses
import os
from typing import Any, Literal, get_args

import numpy as np

from mmdata.files.blobs import Blobs
from mmdata.files.links import Links
from mmdata.pairing.layouts.shard_index import index
from mmdata.pairing.layouts.shard_paths import labels, shards_at
from mmdata.pairing.layouts.shard_samples import Sample, SampleReader, Shard
from mmdata.pairing.layouts.table_columns import Columns, require_few
from mmdata.pairing.names import some
from mmdata.pairing.texts import Lines, TextDecoder
from mmdata.pairs.findings import Finding, Notes, PairingError
from mmdata.progress import progress

Key = Literal["last_dot", "first_dot"]


def require_key(key: object) -> None:
    """Raises ValueError unless `key` is a value of `Key`."""
    if key not in get_args(Key):
        raise ValueError(f'key=... must be "last_dot" or "first_dot"; got {key!r}.')


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Contents:
    """n images in shards, with their captions and values, in the order of the shards.

    Attributes:
      images: Names, `shard.tar/folder/photo.jpg`.
      captions: The captions of each image, stripped, with "" for a blank one; may be empty.
      labels: The names of the shards, as the names of the images begin.
      blobs: The positions of the images.
      splits: The split of each image, or None for no split; None if no image has a split.
      weights: How much each image counts; None if no image has a weight.
      columns: Further values of each image, by name; None for no value.
      findings: What was left out, and what was changed on reading.
    """

    images: list[str]
    captions: list[list[str]]
    labels: list[str]
    blobs: Blobs
    splits: list[str | None] | None
    weights: list[float] | None
    columns: dict[str, list[Any]]
    findings: list[Finding]


def read(
    path: str,
    *,
    decoder: TextDecoder,
    lines: Lines,
    key: Key = "last_dot",
    columns: Columns | None = None,
    extensions: tuple[str, ...] | None = None,
    links: Links = "inside",
) -> Contents:
    """Reads names and captions in shards, with a progress bar after two seconds. Opens no image.

    The members of a shard whose names share a key are one sample: an image, with its captions in
    `.txt`, `.caption` or `.text`, or in `.json` under "captions", "caption" or "text". A `.json`
    may also hold "split", "weight" and further values; a `.cls` holds an int.

    Args:
      path: A `.tar`; a brace pattern, see `expand`; or a folder of `.tar` files.
      decoder: Turns bytes into text.
      lines: See `split_captions`.
      key: "last_dot" takes the name up to its last dot; "first_dot" up to the first dot after the
        last slash, as WebDataset does.
      columns: Which keys of a `.json` hold captions and weights; None recognises them.
      extensions: Extensions of caption files, see `SampleReader`.
      links: Whether links out of a folder of shards are followed.

    Raises:
      FileNotFoundError: There is no such shard.
      PairingError: A shard is compressed, a folder has no shards, no sample has the named keys, or
        the samples have too many keys.
      ValueError: A brace pattern is malformed, `path` names a shard twice, or `key` has another
        value.
    """
    require_key(key)
    shards, findings = shards_at(path, links)
    columns = Columns() if columns is None else columns
    if columns.named_captions and extensions not in (None, (".json",)):
        raise ValueError(
            'extensions=... must be (".json",) or left out if caption_column=... names keys of '
            f".json files; got {extensions!r}."
        )
    extensions = extensions and tuple(map(str.lower, extensions))
    at_first_dot = key == "first_dot"
    reader = SampleReader(decoder, lines, at_first_dot, columns, extensions, Notes(findings))
    gathering = _Gathering(reader)
    bar = progress(shards, what="indexing shards", unit="shard")
    for number, (shard, label) in enumerate(zip(bar, labels(shards), strict=True)):
        gathering.add(number, shard, label)
    contents = gathering.contents(shards)
    if columns.named_captions and contents.images and not any(contents.captions):
        raise _no_such_key("caption_column", columns.captions, path, contents)
    if columns.weight not in (None, "auto") and contents.images and contents.weights is None:
        raise _no_such_key("weight_column", columns.weight, path, contents)
    return contents


def _no_such_key(argument: str, value: Any, path: str, contents: "Contents") -> PairingError:
    keys = some(contents.columns) if contents.columns else "no such keys"
    return PairingError(
        f"{argument}=... must name keys of the .json files in {path!r}; got {value!r}, but they "
        f"have {keys}."
    )


class _Gathering:
    """Gathers the samples of one shard after the other."""

    def __init__(self, reader: SampleReader) -> None:
        self._reader = reader
        self._notes = reader.notes
        self._images: list[str] = []
        self._captions: list[list[str]] = []
        self._places: list[tuple[int, int, int]] = []
        self._columns: dict[str, list[Any]] = {}
        self._splits: list[str | None] = []
        self._weights: list[float | None] = []

    def add(self, number: int, path: str, label: str) -> None:
        """Reads one shard."""
        if not os.path.isfile(path):  # opening a pipe would block
            self._notes.add(Finding("unreadable", label, "not a regular file"))
            return
        try:
            found = index(path)
            with open(path, "rb", buffering=0) as file:
                for finding in found.findings:
                    where = f"{label}: {finding.path}" if finding.path else label
                    self._notes.add(dataclasses.replace(finding, path=where))
                shard = Shard(label, found, file)
                for sample in self._reader.samples(shard):
                    self._add_sample(number, shard, sample)
        except OSError as err:
            self._notes.add(Finding("unreadable", label, err.strerror or str(err)))

    def _add_sample(self, number: int, shard: Shard, sample: Sample) -> None:
        image, members = sample.image, shard.index
        self._add_values(shard.where(image), sample.info.columns)
        self._images.append(f"{shard.label}/{members.names[image]}")
        self._captions.append(sample.captions)
        self._places.append((number, int(members.start[image]), int(members.size[image])))
        self._splits.append(sample.info.split)
        self._weights.append(sample.info.weight)

    def _add_values(self, where: str, values: dict[str, Any]) -> None:
        for name, value in values.items():
            column = self._columns.setdefault(name, [])
            require_few(len(self._columns), where)
            column += [None] * (len(self._images) - len(column))
            column.append(value)

    def contents(self, shards: list[str]) -> Contents:
        """All samples so far."""
        for column in self._columns.values():
            column += [None] * (len(self._images) - len(column))
        shard, start, size = np.array(self._places, np.int64).reshape(-1, 3).T
        weighted = any(weight is not None for weight in self._weights)
        return Contents(
            images=self._images,
            captions=self._captions,
            labels=labels(shards),
            blobs=Blobs(tuple(shards), shard.astype(np.int32), start, size),
            splits=self._splits if any(self._splits) else None,
            weights=[1.0 if w is None else w for w in self._weights] if weighted else None,
            columns=self._columns,
            findings=self._notes.findings(),
        )
