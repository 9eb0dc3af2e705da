"""Splits that cannot leak: related images get the same split, and keep it later."""

import hashlib
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.pairs.findings import Finding
from mmdata.pairs.split_names import split_name
from mmdata.pairs.strings import Strings

DEFAULT: Mapping[str, float] = {"train": 0.8, "validation": 0.1, "test": 0.1}

_MOST = np.iinfo(np.int8).max


def assign(
    keys: NDArray[np.int64], ratios: Mapping[str, float]
) -> tuple[tuple[str, ...], NDArray[np.int8]]:
    """Assigns each file to a split by the key of its group, int64 [n].

    The key is a hash, so key / 2**64 is uniform in [0, 1); the split is the part of the cumulated
    ratios that it falls into. Files with the same key get the same split.

    Returns:
      The names of the splits; int8 [n], the index of each file's split.

    Raises:
      ValueError: See `Pairs.split`.
    """
    _require_ratios(ratios)
    names = tuple(ratios)
    bounds = np.cumsum([ratios[name] for name in names])[:-1]
    fractions = keys.view(np.uint64) / 2.0**64
    split_of = np.searchsorted(bounds, fractions, side="right").astype(np.int8)
    counts = np.bincount(split_of, minlength=len(names))
    empty = [name for name, count in zip(names, counts, strict=True) if not count]
    if empty:
        raise ValueError(
            f"Pairs.split(...) must leave no split empty; got no image in {empty} of {len(keys)} "
            f"image(s) with ratios {dict(ratios)}. Add images, or increase the shares of {empty}."
        )
    return names, split_of


def _require_ratios(ratios: Mapping[str, float]) -> None:
    if not isinstance(ratios, Mapping):
        raise TypeError(
            f"Pairs.split(...) takes shares by name, e.g. {dict(DEFAULT)}; got {ratios!r}."
        )
    if not ratios or any(not ratio > 0 for ratio in ratios.values()):
        raise ValueError(f"Pairs.split(...) takes shares above 0; got {dict(ratios)!r}.")
    if not math.isclose(sum(ratios.values()), 1.0, abs_tol=1e-6):
        raise ValueError(
            f"Pairs.split(...) takes shares with sum 1; got {dict(ratios)!r}, with sum "
            f"{sum(ratios.values()):g}."
        )
    if len(set(map(split_name, ratios))) < len(ratios):
        raise ValueError(f"Pairs.split(...) takes each split once; got {list(ratios)!r}.")
    if len(ratios) > _MOST:
        raise ValueError(f"Pairs.split(...) takes at most {_MOST} splits; got {len(ratios)}.")


def group_keys(groupings: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The key of each row's group; rows that any grouping links are one group.

    The key of a group is one of its values in `groupings[0]`: the one that is first in a shuffled
    order of all integers. Thus

    - the key of a group with a single value is that value; a single grouping is its own keys;
    - rows that are added to a group move no row if they have no new value of `groupings[0]`; rows
      that link to nothing never move a row;
    - groups that are joined take the split of one of them, and only the others move;
    - keys stay uniform. The smallest value would not: the smallest of k hashes is near 0, so the
      first split would get more than its share.

    Args:
      groupings: One or more, each int64 [n]: hashes, equal within a group. 0, the content key of a
        file that cannot be read, links nothing.

    Returns:
      int64 [n], for `assign`.
    """
    values = groupings[0]
    labels = np.arange(len(values))
    for grouping in groupings:
        _, first, inverse = np.unique(grouping, return_index=True, return_inverse=True)
        linked = np.flatnonzero(grouping)
        labels = connect(labels, linked, first[inverse[linked]])
    ranks = shuffled(values) - np.uint64(1)  # shuffled(0) is 0: unreadable files are last
    smallest = np.full(len(values), np.iinfo(np.uint64).max)
    np.minimum.at(smallest, labels, ranks)
    chosen = np.flatnonzero(ranks == smallest[labels])
    keys = np.zeros_like(values)
    keys[labels[chosen]] = values[chosen]
    return keys[labels]


def connect(
    labels: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Joins the components of a graph along new edges.

    A component's label is its smallest node. Each round attaches every component to its smallest
    neighbour. After two rounds a component has grown or was attached itself: O(log n) rounds.

    Args:
      labels: int64 [n], the label of each node; `np.arange(n)` if nothing is connected yet.
      left: int64 [edges], one end of each edge.
      right: int64 [edges], the other end.

    Returns:
      The new labels, int64 [n].
    """
    labels = labels.copy()
    while True:
        left, right = labels[left], labels[right]
        apart = left != right
        left, right = left[apart], right[apart]
        if not len(left):
            return labels
        np.minimum.at(labels, np.maximum(left, right), np.minimum(left, right))
        while not np.array_equal(further := labels[labels], labels):
            labels = further


def shuffled(values: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Maps integers, [n], one to one to integers in a random-looking order; 0 stays 0.

    Source: The finalizer of SplitMix64, in Steele, Lea and Flood, "Fast splittable pseudorandom
    number generators", OOPSLA 2014.
    """
    bits = values.view(np.uint64)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def hashes(values: Strings | NDArray[Any]) -> NDArray[np.int64]:
    """The 64-bit blake2b of each value of a column, the same on every machine.

    A text is hashed as its UTF-8 bytes, any other value as the text that `str` returns: 7 and "7"
    are one group, and 7.0 another. NaN and the empty text are values like any other.

    Returns:
      int64 [n].
    """
    if isinstance(values, Strings):
        bounds = itertools.pairwise(values.offsets.tolist())
        return _joined(_digest(values.data[start:end]) for start, end in bounds)
    texts = map(str, values.tolist())
    return _joined(_digest(text.encode("utf-8", "surrogateescape")) for text in texts)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=8).digest()


def _joined(digests: Iterable[bytes]) -> NDArray[np.int64]:
    return np.frombuffer(b"".join(digests), "<i8").astype(np.int64)


def leaks(
    split_of: NDArray[np.int8],
    split_names: Sequence[str],
    images: Strings,
    content_keys: NDArray[np.int64],
    captions: Strings,
    offsets: NDArray[np.int64],
) -> list[Finding]:
    """Finds images and captions that occur in more than one split.

    Captions that differ only in case and white space are the same; empty ones are ignored.

    Args:
      split_of: int8 [n], the split of each image; -1 if it is in no split, and never leaks.
      split_names: The names that `split_of` indexes.
      images: Path of each image.
      content_keys: int64 [n]; 0 if the file cannot be read, which never leaks.
      captions: All captions, image by image.
      offsets: int64 [n + 1]; the captions of image i are `captions[offsets[i]:offsets[i + 1]]`.

    Returns:
      A finding for each leaked image content, then one for each leaked caption. Its path is that
      of the first image; it also names the first image of each other split.
    """

    def where(rows: Sequence[int]) -> str:
        names = [repr(split_names[split_of[row]]) for row in rows]
        also = [f"{images[row]!r} in {name}" for row, name in zip(rows, names, strict=True)]
        return f"in {names[0]}, also {', '.join(also[1:])}"

    image_of = np.repeat(np.arange(len(images)), np.diff(offsets))
    found = [
        Finding("leaked_image", images[rows[0]], where(rows))
        for rows in _in_several_splits(content_keys, split_of)
    ]
    for entries in _in_several_splits(caption_keys(captions), split_of[image_of]):
        rows = image_of[entries].tolist()
        detail = f"{captions[entries[0]]!r} {where(rows)}"
        found.append(Finding("leaked_caption", images[rows[0]], detail))
    return found


def caption_keys(captions: Strings) -> NDArray[np.int64]:
    """Hashes, int64 [n], equal if only case and white space differ; 0 for empty captions."""
    texts = (" ".join(text.casefold().split()) for text in captions)
    return _joined(
        _digest(text.encode("utf-8", "surrogateescape")) if text else bytes(8) for text in texts
    )


def _in_several_splits(keys: NDArray[np.int64], split_of: NDArray[np.int8]) -> list[list[int]]:
    """For every key except 0 that occurs in several splits, the first entry of each split."""
    known = np.flatnonzero((keys != 0) & (split_of >= 0))
    if not len(known):
        return []
    order = known[np.lexsort((split_of[known], keys[known]))]
    new_key, new_split = np.diff(keys[order]) != 0, np.diff(split_of[order]) != 0
    firsts = order[np.append(True, new_key | new_split)]
    same = np.diff(keys[firsts]) == 0
    firsts = firsts[np.append(same, False) | np.append(False, same)]
    parts = np.split(firsts, np.flatnonzero(np.diff(keys[firsts])) + 1)
    return sorted(sorted(part.tolist()) for part in parts if len(part))


def duplicates(images: Strings, content_keys: NDArray[np.int64]) -> list[Finding]:
    """Finds copies of images: one finding for each except the first, in the order of `images`.

    Args:
      images: Path of each image.
      content_keys: int64 [n]; 0 if the file cannot be read, which is not a copy.
    """
    _, first, inverse = np.unique(content_keys, return_index=True, return_inverse=True)
    original = first[inverse]
    copies = np.flatnonzero((original != np.arange(len(images))) & (content_keys != 0))
    return [
        Finding("duplicate_image", images[row], f"a copy of {images[first_row]!r}")
        for row, first_row in zip(copies.tolist(), original[copies].tolist(), strict=True)
    ]
