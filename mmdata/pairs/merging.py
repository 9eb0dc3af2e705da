"""Several `Pairs` -> one."""

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.files.blobs import Blobs
from mmdata.pairs import columns
from mmdata.pairs.columns import Column
from mmdata.pairs.findings import Finding, PairingReport
from mmdata.pairs.pairs import Pairs
from mmdata.pairs.strings import Strings


def merge(pairs: Iterable[Pairs]) -> Pairs:
    """Joins several `Pairs`, e.g. sources of different splits.

    An image that several of them have gets all their captions, each once. Images may be in folders
    and in shards.

        train = mmdata.read("coco/train", "train.json").with_split("train")
        other = mmdata.read("mine", "mine.csv").with_split("validation")
        pairs = mmdata.merge([train, other])
        pairs.leaks()  # copies of images in both

    Args:
      pairs: One or more; all with the same columns, all or none with weights, and with splits.

    Returns:
      Their rows, sorted by path; `root` is the folder that all images are in.

    Raises:
      TypeError: Something is not `Pairs`.
      ValueError: There are no pairs; or they have different columns, or different splits, weights
        or values in columns for the same image.
    """
    sides = _listed(pairs)
    for side in sides[1:]:
        _require_alike(sides[0], side)
    both = _stack(sides)
    rows: dict[str, list[int]] = {}
    for row, image in enumerate(both.images):
        rows.setdefault(image, []).append(row)
    groups = [rows[image] for image in sorted(rows)]
    for first, *others in groups:
        for other in others:
            _require_agreement(both, first, other)
    captions = [
        list(dict.fromkeys(text for row in group for text in both.captions_of(row)))
        if len(group) > 1
        else both.captions_of(group[0])
        for group in groups
    ]
    merged = both.take(np.array([group[0] for group in groups], np.int64))
    counts = np.array([len(texts) for texts in captions], np.int64)
    return dataclasses.replace(
        merged,
        captions=Strings.of(text for texts in captions for text in texts),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        report=dataclasses.replace(both.report, images=len(groups), pairs=int(counts.sum())),
    )


def _listed(pairs: Any) -> list[Pairs]:
    if isinstance(pairs, Pairs) or not isinstance(pairs, Iterable):
        raise TypeError(f"mmdata.merge(...) takes a list of Pairs; got a {type(pairs).__name__}.")
    sides = list(pairs)
    wrong = [type(side).__name__ for side in sides if not isinstance(side, Pairs)]
    if wrong:
        raise TypeError(f"mmdata.merge(...) takes a list of Pairs; got a {wrong[0]} in it.")
    if not sides:
        raise ValueError("mmdata.merge(...) takes one or more Pairs; got an empty list.")
    return sides


def made_alike(sides: Sequence[Pairs]) -> list[Pairs]:
    """The pairs with only the columns that all have, and with weights of 1 if others have weights.

    The report of each names the columns that it loses.
    """
    weighted = any(side.weights is not None for side in sides)
    alike = []
    for side in sides:
        lost = [name for name in side.columns if not _in_all(name, sides)]
        detail = f"columns that not every source has: {', '.join(map(repr, lost))}"
        found = (Finding("ignored", ".", detail, len(lost)),) if lost else ()
        report = dataclasses.replace(side.report, findings=(*side.report.findings, *found))
        weights = np.ones(len(side), np.float32) if weighted else None
        alike.append(
            dataclasses.replace(
                side.drop(*lost),
                weights=weights if side.weights is None else side.weights,
                report=report,
            )
        )
    return alike


def _in_all(name: str, sides: Sequence[Pairs]) -> bool:
    kinds = [_kind(side.columns[name]) for side in sides if name in side.columns]
    return len(kinds) == len(sides) and len(set(kinds)) == 1


def _require_alike(left: Pairs, right: Pairs) -> None:
    for what, mine, theirs in (
        ("columns", sorted(left.columns), sorted(right.columns)),
        ("weights", left.weights is not None, right.weights is not None),
        ("splits", left.split_of is not None, right.split_of is not None),
    ):
        if mine != theirs:
            raise ValueError(
                f"mmdata.merge(...) needs the same {what} in all pairs; got {mine} and {theirs}. "
                'Pairs.drop("name") removes a column, "split" or "weight"; '
                'Pairs.with_split("name") gives all rows a split.'
            )


def _stack(sides: Sequence[Pairs]) -> Pairs:
    """The rows of all; an image of several occurs several times."""
    first = sides[0]
    root = os.path.commonpath([os.path.abspath(side.root) for side in sides])
    names = tuple(dict.fromkeys(name for side in sides for name in side.split_names))
    counts = np.concatenate([np.diff(side.offsets) for side in sides])
    return dataclasses.replace(
        first,
        root=root,
        fix_text=any(side.fix_text for side in sides),
        images=Strings.of(image for side in sides for image in _moved(side, root)(side.images)),
        captions=Strings.of(text for side in sides for text in side.captions),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        split_names=names,
        split_of=None if first.split_of is None else _renumbered(sides, names),
        weights=_joined([side.weights for side in sides], "weight"),
        columns={
            name: _joined([side.columns[name] for side in sides], name) for name in first.columns
        },
        classes={
            name: names
            for name, names in first.classes.items()
            if all(side.classes.get(name) == names for side in sides)
        },
        blobs=_members(sides),
        links="follow" if any(side.links == "follow" for side in sides) else "inside",
        scan=None,
        report=_reports(sides, root),
    )


def _moved(side: Pairs, root: str) -> Callable[[Iterable[str]], list[str]]:
    """Makes images of one side relative to another root."""
    below = os.path.relpath(os.path.abspath(side.root), root).replace(os.sep, "/")
    prefix = "" if below == "." else f"{below}/"
    return lambda images: [prefix + image for image in images]


def _reports(sides: Sequence[Pairs], root: str) -> PairingReport:
    """The reports of all; findings about an image name it as the merged pairs do."""
    findings: list[Finding] = []
    for side in sides:
        images, moved = set(side.images), _moved(side, root)
        findings += [
            dataclasses.replace(found, path=moved([found.path])[0])
            if found.path in images
            else found
            for found in side.report.findings
        ]
    return PairingReport(
        "+".join(dict.fromkeys(side.report.layout for side in sides)),
        sum(side.report.images for side in sides),
        sum(side.report.pairs for side in sides),
        tuple(dict.fromkeys(findings)),
    )


def _renumbered(sides: Sequence[Pairs], names: tuple[str, ...]) -> NDArray[np.int8]:
    labels = [label for side in sides for label in side.split_labels]
    return np.array([-1 if label is None else names.index(label) for label in labels], np.int8)


def _joined(parts: Sequence[Any], name: str) -> Any:
    if parts[0] is None:
        return None
    for part in parts[1:]:
        kinds = [_kind(side) for side in (parts[0], part)]
        if kinds[0] != kinds[1]:
            raise ValueError(
                f"mmdata.merge(...) needs columns of the same kind; got {kinds[0]} and {kinds[1]} "
                f"in {name!r}."
            )
    if isinstance(parts[0], Strings):
        return Strings.of(text for part in parts for text in part)
    return np.concatenate(parts)


def _kind(column: Column) -> str:
    if isinstance(column, Strings):
        return "text"
    return "bools" if column.dtype == np.bool_ else "numbers"


def _members(sides: Sequence[Pairs]) -> Blobs | None:
    """The positions of all images; a file that is in no shard is the only member of itself."""
    if all(side.blobs is None for side in sides):
        return None
    members = [_files(side) if side.blobs is None else side.blobs for side in sides]
    before = itertools.accumulate((len(each.shards) for each in members), initial=0)
    return Blobs(
        tuple(shard for each in members for shard in each.shards),
        np.concatenate(
            [each.shard + np.int32(count) for each, count in zip(members, before, strict=False)]
        ),
        np.concatenate([each.start for each in members]),
        np.concatenate([each.size for each in members]),
    )


def _files(side: Pairs) -> Blobs:
    paths = side.paths
    sizes = [os.path.getsize(path) if os.path.isfile(path) else 0 for path in paths]
    count = len(paths)
    return Blobs(
        tuple(paths),
        np.arange(count, dtype=np.int32),
        np.zeros(count, np.int64),
        np.array(sizes, np.int64),
    )


def _require_agreement(both: Pairs, first: int, other: int) -> None:
    mine, theirs = _values(both, first), _values(both, other)
    differ = [name for name in mine if mine[name] != theirs[name]]
    if differ:
        raise ValueError(
            "mmdata.merge(...) needs the same split, weight and columns for an image in several "
            f"pairs; got {differ[0]}={mine[differ[0]]!r} and {theirs[differ[0]]!r} for "
            f"{both.images[first]!r}."
        )


def _values(pairs: Pairs, row: int) -> dict[str, Any]:
    one: dict[str, Column] = {
        name: columns.take(column, np.array([row])) for name, column in pairs.columns.items()
    }
    values: dict[str, Any] = {name: columns.values(column)[0] for name, column in one.items()}
    if pairs.split_of is not None:
        values["split"] = (*pairs.split_names, None)[pairs.split_of[row]]
    if pairs.weights is not None:
        values["weight"] = float(pairs.weights[row])
    return {name: None if value != value else value for name, value in values.items()}
