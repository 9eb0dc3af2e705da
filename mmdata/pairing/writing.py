"""`Pairs` -> files that read back as the same pairs, or an error instead of a file."""

import contextlib
import csv
import io
import itertools
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from mmdata.optional import require
from mmdata.pairing import columns, sidecar, tables, webdataset
from mmdata.pairing.findings import PairingError
from mmdata.pairing.folders import stem
from mmdata.pairing.matching import match
from mmdata.pairing.pairs import Pairs
from mmdata.pairing.problems import Problems
from mmdata.pairing.tables import Columns
from mmdata.pairing.texts import Lines, TextDecoder
from mmdata.pairing.tree import Tree

if TYPE_CHECKING:
    from _typeshed import StrPath

_DROP = Problems(missing="drop", empty="drop", corrupt="drop")


def to_csv(pairs: Pairs, path: "StrPath") -> None:
    """See `Pairs.to_csv`."""

    def write(target: str) -> None:
        with open(target, "w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rest = _rest(pairs)
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
        parquet.write_table(arrow.table(cells | _rest(pairs)), target)

    _write_table(pairs, path, ".parquet", write)


def to_sidecar(pairs: Pairs, folder: "StrPath", *, lines: Lines) -> None:
    """See `Pairs.to_sidecar`."""
    rest = list(_rest(pairs))
    if rest or pairs.members is not None:
        what = f"the columns {rest}" if rest else "images in shards"
        raise ValueError(
            f"Pairs.to_sidecar(...) writes captions beside image files; got {what}. "
            "Pairs.drop(...) takes columns away; to_jsonl and to_webdataset keep all."
        )

    def write(target: str) -> None:
        bar = tqdm(pairs.images, desc="writing captions", unit="image", delay=2, leave=False)
        for row, image in enumerate(bar):
            path = os.path.join(target, stem(image) + ".txt")
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "x", encoding="utf-8", newline="") as file:
                file.write("\n".join(pairs.captions_of(row)) + "\n")

    def read(target: str) -> Pairs:
        settings = sidecar.Settings(extensions=(".txt",), lines=lines, repeats=False)
        return sidecar.read(pairs.root, target, problems=_DROP, settings=settings)

    with _in_place_of(os.fspath(folder)) as target:
        os.mkdir(target)
        _checked(pairs, folder, target, write, read)


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

    def read(target: str) -> Pairs:
        return webdataset.read(
            target,
            decoder=TextDecoder(),
            lines="auto",
            key="last_dot",
            problems=_DROP,
            chosen=None,
        )

    rest = _rest(pairs)
    with (
        tqdm(total=len(pairs), desc="writing shards", unit="image", delay=2, leave=False) as bar,
        _in_place_of(os.fspath(folder)) as target,
    ):
        os.mkdir(target)
        _checked(pairs, folder, target, write, read)


def _add(tar: tarfile.TarFile, pairs: Pairs, row: int, rest: dict[str, list[Any]]) -> None:
    """Adds an image, its captions a line each, and whatever lines cannot hold as JSON."""
    name, captions = member_name(pairs, row), pairs.captions_of(row)
    record: dict[str, Any] = {name: values[row] for name, values in rest.items()}
    with pairs.open(row) as file:
        parts = {name: file.read()}
    if any("\n" in text for text in captions):
        record["captions"] = captions
    elif captions:
        parts[stem(name) + ".txt"] = "\n".join(captions).encode()
    if record:
        parts[stem(name) + ".json"] = json.dumps(record, ensure_ascii=False).encode()
    for part, content in parts.items():
        header = tarfile.TarInfo(part)
        header.size = len(content)
        tar.addfile(header, io.BytesIO(content))


def member_name(pairs: Pairs, row: int) -> str:
    """The name of an image inside of a shard: its path, without the shard that it lies in."""
    image = pairs.images[row]
    return image if pairs.members is None else image.partition(".tar/")[2]


def _rest(pairs: Pairs) -> dict[str, list[Any]]:
    """Split, weight and further columns, as plain values."""
    rest: dict[str, list[Any]] = {}
    if pairs.split_of is not None:
        rest["split"] = list(pairs.split_labels)
    if pairs.weights is not None:
        rest["weight"] = pairs.weights.tolist()
    return rest | {name: columns.values(column) for name, column in pairs.columns.items()}


def _records(pairs: Pairs) -> Iterator[dict[str, Any]]:
    rest = _rest(pairs)
    for row, image in enumerate(pairs.images):
        captions = {"captions": pairs.captions_of(row)} if pairs.pair_count else {}
        yield {"file_name": image, **captions, **{name: rest[name][row] for name in rest}}


def _write_table(pairs: Pairs, path: "StrPath", suffix: str, write: Callable[[str], None]) -> None:
    path = os.fspath(path)
    if not path.lower().endswith(suffix):
        raise ValueError(
            f"Pairs.to_{suffix[1:]}(...) takes a path that ends in {suffix}; got {path!r}."
        )

    def read(target: str) -> Pairs:
        listing = tables.read(
            target,
            columns=Columns(captions="auto" if pairs.pair_count else None),
            decoder=TextDecoder(),
        )
        return match(listing, Tree(root=pairs.root, images=list(pairs.images)), problems=_DROP)

    with _in_place_of(path) as target:
        _checked(pairs, path, target, write, read)


@contextlib.contextmanager
def _in_place_of(path: str) -> Iterator[str]:
    """A path beside `path` to write to, which takes its place at the end if nothing failed."""
    if os.path.isdir(path) and os.listdir(path):
        raise FileExistsError(f"a folder to write must be new or empty; got {path!r}.")
    parent = os.path.dirname(os.path.abspath(path))
    os.makedirs(parent, exist_ok=True)
    folder = tempfile.mkdtemp(prefix=".mmdata-", dir=parent)
    try:
        target = os.path.join(folder, os.path.basename(os.path.abspath(path)))
        yield target
        os.replace(target, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _checked(
    pairs: Pairs,
    path: "StrPath",
    target: str,
    write: Callable[[str], None],
    read: Callable[[str], Pairs],
) -> None:
    """Writes, reads back, and raises unless both are the same."""
    try:
        write(target)
        why = _difference(pairs, read(target))
    except (UnicodeError, PairingError, csv.Error, FileExistsError) as err:
        why = str(err).replace(target, os.fspath(path))
    if why is not None:
        raise ValueError(f"{os.fspath(path)}: this format cannot hold these pairs: {why}")


def _difference(ours: Pairs, back: Pairs) -> str | None:
    """What is different in the pairs that were read back; None where nothing is."""
    names = [member_name(back, row) for row in range(len(back))]
    wanted = [member_name(ours, row) for row in range(len(ours))]
    for row, (mine, theirs) in enumerate(itertools.zip_longest(wanted, names)):
        if mine != theirs:
            return f"the image {mine!r} comes back as {theirs!r}."
        if ours.captions_of(row) != back.captions_of(row):
            return f"{mine!r}: {ours.captions_of(row)!r} comes back as {back.captions_of(row)!r}."
    left, right = _rest(ours), _rest(back)
    for name in left.keys() | right.keys():
        kinds = [type(side.columns.get(name)) for side in (ours, back)]
        if repr(left.get(name)) != repr(right.get(name)) or kinds[0] != kinds[1]:
            return f"the column {name!r} comes back as different values, or of another kind."
    return None
