"""Writes `Pairs` to files that read back as the same pairs; raises if a format cannot hold them."""

import contextlib
import csv
import io
import itertools
import json
import os
import pathlib
import tarfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mmdata.files.links import Boundary, outside_detail
from mmdata.optional import require
from mmdata.pairing.folders import stem
from mmdata.pairing.read import read
from mmdata.pairs import columns
from mmdata.pairs.findings import describe
from mmdata.pairs.pairs import Pairs
from mmdata.pairs.split_names import known_split
from mmdata.progress import progress
from mmdata.storage.atomic import replacing, sweep

if TYPE_CHECKING:
    from _typeshed import StrPath

_NO_LINE = frozenset("\n\r\0\ufeff")
"""What a line of a text file cannot hold."""


def to_csv(pairs: Pairs, path: "StrPath") -> None:
    """See `Pairs.to_csv`."""

    def write(target: str) -> None:
        with open(target, "w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rest = _cells(pairs)
            captions = ["caption"] if pairs.pair_count else []
            rows.writerow(["file_name", *captions, *rest])
            for row, image in enumerate(pairs.images):
                values = ["" if value[row] is None else value[row] for value in rest.values()]
                if captions:
                    rows.writerows([image, text, *values] for text in pairs.captions_of(row))
                else:
                    rows.writerow([image, *values])

    _write_table(pairs, path, ".csv", write)


def to_jsonl(pairs: Pairs, path: "StrPath") -> None:
    """See `Pairs.to_jsonl`."""

    def write(target: str) -> None:
        with open(target, "w", encoding="utf-8") as file:
            for record in _records(pairs):
                file.write(json.dumps(record, ensure_ascii=False) + "\n")

    _write_table(pairs, path, ".jsonl", write)


def to_parquet(pairs: Pairs, path: "StrPath") -> None:
    """See `Pairs.to_parquet`."""
    arrow = require("pyarrow", extra="parquet")
    parquet = require("pyarrow.parquet", extra="parquet")

    def write(target: str) -> None:
        cells: dict[str, Any] = {"file_name": list(pairs.images)}
        if pairs.pair_count:
            cells["captions"] = [pairs.captions_of(row) for row in range(len(pairs))]
        parquet.write_table(arrow.table(cells | _cells(pairs)), target)

    _write_table(pairs, path, ".parquet", write)


def to_sidecar(pairs: Pairs, folder: "StrPath", *, lines: Literal["each", "one"]) -> None:
    """See `Pairs.to_sidecar`."""
    if lines not in ("each", "one"):
        raise ValueError(f'Pairs.to_sidecar(lines=...) must be "each" or "one"; got {lines!r}.')
    in_folders = {"weight", "split"} if _are_in_splits(pairs) else {"weight"}
    rest = [
        name for name in _rest(pairs) if name not in in_folders
    ]  # else names of folders hold it
    if rest or pairs.blobs is not None:
        what = f"the columns {rest}" if rest else "images in shards"
        raise ValueError(
            f"Pairs.to_sidecar(...) writes captions beside image files; got {what}. "
            "Pairs.drop(...) removes columns; to_webdataset writes all."
        )

    def write(target: str) -> None:
        bar = progress(pairs.images, what="writing captions", unit="image")
        for row, image in enumerate(bar):
            path = os.path.join(target, stem(image) + ".txt")
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "x", encoding="utf-8", newline="") as file:
                file.write("\n".join(pairs.captions_of(row)) + "\n")

    def read_back(target: str) -> Pairs:
        how: Literal["auto", "one"] = "one" if lines == "one" else "auto"
        return read(pairs.root, target, lines=how, links=pairs.links, on_problem="drop")

    with _new_folder(os.fspath(folder)) as target:
        _checked(pairs, folder, target, write, read_back)


def to_webdataset(pairs: Pairs, folder: "StrPath", *, images_per_shard: int) -> None:
    """See `Pairs.to_webdataset`."""
    if images_per_shard < 1:
        raise ValueError(
            "Pairs.to_webdataset(images_per_shard=...) must be at least 1; "
            f"got {images_per_shard!r}."
        )

    def write(target: str) -> None:
        for shard, begin in enumerate(range(0, len(pairs), images_per_shard)):
            rows = range(begin, min(begin + images_per_shard, len(pairs)))
            with tarfile.open(os.path.join(target, f"shard-{shard:05}.tar"), "w") as tar:
                for row in rows:
                    _add(tar, pairs, row, rest)
                    bar.update()

    def read_back(target: str) -> Pairs:
        return read(target, weight_column=_weight_column(pairs), on_problem="drop")

    rest = _rest(pairs)
    names = [f"{row // images_per_shard:05}.tar/{_member(pairs, row)}" for row in range(len(pairs))]
    ordered = pairs.take(np.array(sorted(range(len(pairs)), key=names.__getitem__), np.int64))
    with (
        progress(total=len(pairs), what="writing shards", unit="image") as bar,
        _new_folder(os.fspath(folder)) as target,
    ):
        _checked(ordered, folder, target, write, read_back)


def _add(tar: tarfile.TarFile, pairs: Pairs, row: int, rest: dict[str, list[Any]]) -> None:
    """Adds an image, its captions as lines, and as JSON what lines cannot hold."""
    name, captions = _member(pairs, row), pairs.captions_of(row)
    if pairs.blobs is None:
        target = Boundary(pairs.root, pairs.links).outside(pairs.path(row))
        if target is not None:  # the file became a link after the pairs were read
            raise ValueError(f"{pairs.path(row)}: not copied, {outside_detail(target)}.")
    record: dict[str, Any] = {name: values[row] for name, values in rest.items()}
    with pairs.open(row) as file:
        parts = {name: file.read()}
    if not _NO_LINE.isdisjoint("".join(captions)):
        record["captions"] = captions
    elif captions:
        parts[stem(name) + ".txt"] = "\n".join(captions).encode()
    if record:
        parts[stem(name) + ".json"] = json.dumps(record, ensure_ascii=False).encode()
    for part, content in parts.items():
        header = tarfile.TarInfo(part)
        header.size = len(content)
        tar.addfile(header, io.BytesIO(content))


def _member(pairs: Pairs, row: int) -> str:
    """The name of an image in a shard: its path without the name of the shard."""
    if pairs.blobs is None:
        return pairs.images[row]
    shard = os.path.basename(pairs.blobs.shards[pairs.blobs.shard[row]])
    return pairs.images[row].partition(f"{shard}/")[2]


def _rest(pairs: Pairs) -> dict[str, list[Any]]:
    """Split, weight and other columns, as plain values."""
    rest: dict[str, list[Any]] = {}
    if pairs.split_of is not None:
        rest["split"] = list(pairs.split_labels)
    if pairs.weights is not None:
        rest["weight"] = pairs.weights.tolist()
    return rest | {name: columns.values(column) for name, column in pairs.columns.items()}


def _cells(pairs: Pairs) -> dict[str, list[Any]]:
    """The same for a table: an empty column "split" keeps folders from being read as splits."""
    rest = _rest(pairs)
    is_needed = pairs.split_of is None and _are_in_splits(pairs)
    return {"split": [None] * len(pairs), **rest} if is_needed else rest


def _are_in_splits(pairs: Pairs) -> bool:
    """Whether images are in folders with the names of splits."""
    folders = {part for image in pairs.images for part in image.split("/")[:-1]}
    return any(map(known_split, folders))


def _records(pairs: Pairs) -> Iterator[dict[str, Any]]:
    rest = _cells(pairs)
    for row, image in enumerate(pairs.images):
        captions = {"captions": pairs.captions_of(row)} if pairs.pair_count else {}
        yield {"file_name": image, **captions, **{name: rest[name][row] for name in rest}}


def _write_table(pairs: Pairs, path: "StrPath", suffix: str, write: Callable[[str], None]) -> None:
    path = os.fspath(path)
    if not path.lower().endswith(suffix):
        raise ValueError(
            f"Pairs.to_{suffix[1:]}(...) takes a path that ends in {suffix}; got {path!r}."
        )

    if os.path.isdir(path):
        raise IsADirectoryError(
            f"Pairs.to_{suffix[1:]}(...) writes a file; got the folder {path!r}."
        )
    if pairs.blobs is not None:
        raise ValueError(
            f"Pairs.to_{suffix[1:]}(...) writes names of image files; got images in shards. "
            "to_webdataset writes these; .frame shows them as a table."
        )

    def read_back(target: str) -> Pairs:
        return read(
            pairs.root,
            target,
            caption_column="auto" if pairs.pair_count else None,
            weight_column=_weight_column(pairs),
            links=pairs.links,
            on_problem="drop",
        )

    with replacing(path) as target:
        _checked(pairs, path, os.fspath(target), write, read_back)


def _weight_column(pairs: Pairs) -> Literal["auto"] | None:
    """How to read weights back: without weights, a column named "weight" holds something else."""
    return None if pairs.weights is None else "auto"


@contextlib.contextmanager
def _new_folder(path: str) -> Iterator[str]:
    """Yields an empty folder, which replaces `path` at the end if nothing failed."""
    sweep(pathlib.Path(os.path.realpath(path)).parent)
    if os.path.lexists(path) and not (os.path.isdir(path) and not os.listdir(path)):
        raise FileExistsError(f"The folder to write must be new or empty; got {path!r}.")
    with replacing(path) as target:
        target.mkdir()
        yield os.fspath(target)


def _checked(
    pairs: Pairs,
    path: "StrPath",
    target: str,
    write: Callable[[str], None],
    read_back: Callable[[str], Pairs],
) -> None:
    """Writes pairs, reads them back as a user would, and raises unless they are the same."""
    try:
        write(target)
        why = _difference(pairs, read_back(target))
    except (ValueError, csv.Error, FileExistsError) as err:
        why = str(err).replace(target, os.fspath(path))
    if why is not None:
        raise ValueError(f"{os.fspath(path)}: this format cannot hold these pairs: {why}")


def _difference(ours: Pairs, back: Pairs) -> str | None:
    """The first difference in the pairs that were read back; or None."""
    names = [_member(back, row) for row in range(len(back))]
    wanted = [_member(ours, row) for row in range(len(ours))]
    for row, (mine, theirs) in enumerate(itertools.zip_longest(wanted, names)):
        if mine != theirs:
            problems = "".join(f"\n{line}" for line in describe(back.report.problems))
            return f"the image {mine!r} comes back as {theirs!r}.{problems}"
        if ours.captions_of(row) != back.captions_of(row):
            return f"{mine!r}: {ours.captions_of(row)!r} comes back as {back.captions_of(row)!r}."
    left, right = _rest(ours), _rest(back)
    for name in dict.fromkeys([*left, *right]):
        missing = [None] * len(wanted)
        for image, mine, theirs in zip(
            wanted, left.get(name, missing), right.get(name, missing), strict=True
        ):
            if repr(mine) != repr(theirs):
                return f"{image!r}: column {name!r}: {mine!r} comes back as {theirs!r}."
    if list(left) != list(right) or not columns.equal(ours.columns, back.columns):
        return f"the columns {list(left)} come back as {list(right)}."
    return None
