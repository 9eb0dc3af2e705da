"""Two `Pairs` -> one."""

import dataclasses
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmdata.files.blobs import Blobs
from mmdata.pairs import columns
from mmdata.pairs.columns import Column
from mmdata.pairs.findings import PairingReport
from mmdata.pairs.strings import Strings

if TYPE_CHECKING:
    from mmdata.pairs.pairs import Pairs


def merge(left: "Pairs", right: "Pairs") -> "Pairs":
    """See `Pairs.merge`."""
    _require_alike(left, right)
    both = _stack(left, right)
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


def _require_alike(left: "Pairs", right: "Pairs") -> None:
    for what, mine, theirs in (
        ("columns", sorted(left.columns), sorted(right.columns)),
        ("weights", left.weights is not None, right.weights is not None),
        ("splits", left.split_of is not None, right.split_of is not None),
        ("shards", left.blobs is not None, right.blobs is not None),
    ):
        if mine != theirs:
            raise ValueError(
                f"Pairs.merge(...) needs the same {what} on both sides; got {mine} and {theirs}. "
                'Pairs.drop("name") removes a column, "split" or "weight".'
            )


def _stack(left: "Pairs", right: "Pairs") -> "Pairs":
    """The rows of `left`, then those of `right`; an image of both occurs twice."""
    root = os.path.commonpath([os.path.abspath(left.root), os.path.abspath(right.root)])
    names = tuple(dict.fromkeys((*left.split_names, *right.split_names)))
    reports = (left.report, right.report)
    return dataclasses.replace(
        left,
        root=root,
        fix_text=left.fix_text or right.fix_text,
        images=Strings.of(image for side in (left, right) for image in _moved(side, root)),
        captions=Strings.of([*left.captions, *right.captions]),
        offsets=np.concatenate([left.offsets, right.offsets[1:] + left.offsets[-1]]),
        split_names=names,
        split_of=None if left.split_of is None else _renumbered(left, right, names),
        weights=_joined(left.weights, right.weights, "weight"),
        columns={
            name: _joined(left.columns[name], right.columns[name], name) for name in left.columns
        },
        classes={
            name: names for name, names in left.classes.items() if right.classes.get(name) == names
        },
        blobs=_members(left.blobs, right.blobs),
        links="follow" if "follow" in (left.links, right.links) else "inside",
        scan=None,
        report=PairingReport(
            "+".join(dict.fromkeys(report.layout for report in reports)),
            sum(report.images for report in reports),
            sum(report.pairs for report in reports),
            tuple(finding for report in reports for finding in report.findings),
        ),
    )


def _moved(side: "Pairs", root: str) -> list[str]:
    """The images of one side, relative to another root."""
    prefix = os.path.relpath(os.path.abspath(side.root), root).replace(os.sep, "/")
    return list(side.images) if prefix == "." else [f"{prefix}/{image}" for image in side.images]


def _renumbered(left: "Pairs", right: "Pairs", names: tuple[str, ...]) -> NDArray[np.int8]:
    labels = [*left.split_labels, *right.split_labels]
    return np.array([-1 if label is None else names.index(label) for label in labels], np.int8)


def _joined(left: Any, right: Any, name: str) -> Any:
    if isinstance(left, Strings) and isinstance(right, Strings):
        return Strings.of([*left, *right])
    if left is None:
        return None
    kinds = [_kind(side) for side in (left, right)]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"Pairs.merge(...) needs columns of the same kind; got {kinds[0]} and {kinds[1]} in "
            f"{name!r}."
        )
    return np.concatenate([left, right])


def _kind(column: Column) -> str:
    if isinstance(column, Strings):
        return "text"
    return "bools" if column.dtype == np.bool_ else "numbers"


def _members(left: Blobs | None, right: Blobs | None) -> Blobs | None:
    if left is None or right is None:
        return None
    return Blobs(
        (*left.shards, *right.shards),
        np.concatenate([left.shard, right.shard + len(left.shards)]),
        np.concatenate([left.start, right.start]),
        np.concatenate([left.size, right.size]),
    )


def _require_agreement(both: "Pairs", first: int, other: int) -> None:
    mine, theirs = _values(both, first), _values(both, other)
    differ = [name for name in mine if mine[name] != theirs[name]]
    if differ:
        raise ValueError(
            "Pairs.merge(...) needs the same split, weight and columns for an image in both; got "
            f"{differ[0]}={mine[differ[0]]!r} and {theirs[differ[0]]!r} for {both.images[first]!r}."
        )


def _values(pairs: "Pairs", row: int) -> dict[str, Any]:
    one: dict[str, Column] = {
        name: columns.take(column, np.array([row])) for name, column in pairs.columns.items()
    }
    values: dict[str, Any] = {name: columns.values(column)[0] for name, column in one.items()}
    if pairs.split_of is not None:
        values["split"] = (*pairs.split_names, None)[pairs.split_of[row]]
    if pairs.weights is not None:
        values["weight"] = float(pairs.weights[row])
    return {name: None if value != value else value for name, value in values.items()}
