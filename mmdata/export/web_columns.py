"""The columns of an export: one split's rows as arrays, some rows at a time."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.captions.cleaned import batches
from mmdata.dataset import Dataset
from mmdata.example import chain
from mmdata.pairs.strings import Strings
from mmdata.sampling.epoch import by_file, first_copies
from mmdata.stages.pack import Pack, Tokenize
from mmdata.storage.manifest import Column
from mmdata.tasks.columns import row_values

Ints = NDArray[np.int64]
_BYTES, _ITEM = "|u1", (1,)


@dataclasses.dataclass(frozen=True, eq=False)
class Ragged:
    """Items of several numbers: `values` [n], and uint32 `offsets` [items + 1]."""

    values: NDArray[Any]
    offsets: NDArray[np.uint32]


class SplitRows:
    """The rows of a split that are exported, each with its captions.

    A row is an image of `ds.pairs`; copies of a file are one row, if the task takes them as one.

    Args:
      name: The name of the split.
      ds: Its dataset.

    Attributes:
      rows: int64 [n], the rows of `ds.pairs`, ascending.
      values: Columns of numbers, each [n].
    """

    def __init__(self, name: str, ds: Dataset) -> None:
        self.name = name
        self.ds = ds
        self.pairs = ds.pairs
        scan, _ = ds.pairs.scanned()
        copies = first_copies(scan.keys)
        self.rows = np.unique(copies) if _merges(ds) else np.arange(len(ds.pairs))
        self._first: Ints = ds.pairs.offsets
        self._pairs: Ints | None = None
        if _merges(ds):
            self._first, self._pairs = by_file(ds.pairs, scan.keys)
        values = row_values(ds.task, ds.pairs, weighted=False)
        self.values = {"image_id": copies.astype(np.int32)[self.rows]}
        self.values |= {name: column[self.rows] for name, column in values.items()}

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def joined(self) -> bool:
        """Whether the captions of a row are one text."""
        return self.ds.task.captions == "join"

    def counts(self, begin: int, end: int) -> NDArray[np.uint32]:
        """How many captions rows `begin` to `end` have."""
        if self.joined:
            return np.ones(end - begin, np.uint32)
        return np.diff(self._first[begin : end + 1]).astype(np.uint32)

    def captions(self, begin: int, end: int) -> Strings:
        """The captions of rows `begin` to `end`, one row after the other."""
        first = self._first[begin : end + 1]
        places = np.arange(first[0], first[-1])
        texts = self.pairs.captions.take(places if self._pairs is None else self._pairs[places])
        if not self.joined:
            return texts
        ends = (first - first[0]).tolist()
        return Strings.of(" ".join(texts[a:b]) for a, b in itertools.pairwise(ends))


def _merges(ds: Dataset) -> bool:
    return ds.task.has_text and ds.task.once_per_file


def pack_of(ds: Dataset) -> Pack:
    """How the captions of a dataset become sequences."""
    task = ds.task
    return ds.text.pack(ds.tokenizer, lookahead=task.lookahead, prompt=task.prompt)


class TextColumns:
    """Captions and their token ids.

    Args:
      ds: A dataset whose task reads captions.
    """

    def __init__(self, ds: Dataset) -> None:
        self._token_type = None
        if ds.has_tokens:
            self._token_type = np.min_scalar_type(ds.tokenizer.vocabulary_size - 1)
            pack = pack_of(ds)
            self._room = pack.length - pack.special_tokens
            stages = (*ds.task.rewording, ds.text.cleaner, Tokenize(tokenizer=ds.tokenizer))
            self._tokenize = chain(stages)

    @property
    def columns(self) -> dict[str, Column]:
        """How they are stored."""
        columns = {"captions": Column(kind="ragged", dtype=_BYTES, shape=_ITEM)}
        if self._token_type is not None:
            columns["token_ids"] = Column(kind="ragged", dtype=self._token_type.str, shape=_ITEM)
        return {**columns, "caption_count": Column(dtype="<u4", shape=())}

    def of(self, split: SplitRows, begin: int, end: int) -> dict[str, Any]:
        """The columns of rows `begin` to `end`."""
        captions = split.captions(begin, end)
        columns = {"captions": ragged(captions), "caption_count": split.counts(begin, end)}
        if self._token_type is not None:
            columns["token_ids"] = self._token_ids(captions)
        return columns

    def _token_ids(self, captions: Strings) -> Ragged:
        values, lengths = [], [np.zeros(1, np.int64)]
        for batch in batches(captions):
            ids = self._tokenize({"caption": batch})["token_ids"][:, : self._room]
            values.append(ids.values.numpy().astype(self._token_type))
            lengths.append(ids.row_lengths().numpy())
        offsets = np.cumsum(np.concatenate(lengths)).astype(np.uint32)
        return Ragged(np.concatenate(values), offsets)


def ragged(texts: Strings) -> Ragged:
    """Texts as their UTF-8 bytes."""
    offsets = texts.offsets - texts.offsets[0]
    data = texts.data[texts.offsets[0] : texts.offsets[-1]]
    return Ragged(np.frombuffer(data, np.uint8), offsets.astype(np.uint32))


def number_columns(splits: list[SplitRows]) -> dict[str, Column]:
    """How the columns of numbers are stored, of all splits together.

    A column of whole numbers is int32 if all are, since JavaScript has no array of int64 numbers.
    """
    names = dict.fromkeys(name for split in splits for name in split.values)
    parts = {name: [s.values[name] for s in splits if name in s.values] for name in names}
    return {name: Column(dtype=_dtype(columns), shape=()) for name, columns in parts.items()}


def _dtype(columns: list[NDArray[Any]]) -> str:
    kind = columns[0].dtype
    if kind == np.bool_:
        return "|u1"
    if kind == np.int64 and all(np.array_equal(each, each.astype(np.int32)) for each in columns):
        return "<i4"
    return kind.newbyteorder("<").str


def numbers_of(
    split: SplitRows, columns: Mapping[str, Column], begin: int, end: int
) -> Iterator[tuple[str, NDArray[Any]]]:
    """The columns of numbers of rows `begin` to `end`; weights are 1 in a split without any."""
    for name, column in columns.items():
        values = split.values.get(name)
        part = np.ones(end - begin) if values is None else values[begin:end]
        yield name, part.astype(column.dtype)
