"""The split of each image file: by the folder that it is in, or by lists of names."""

import dataclasses
import os
import posixpath
import re
from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mmdata.pairing.folders import require_exists
from mmdata.pairing.names import Names, resolve, some
from mmdata.pairing.texts import TextDecoder, read_text
from mmdata.pairs import columns
from mmdata.pairs.findings import Finding, PairingError
from mmdata.pairs.pairs import Pairs
from mmdata.pairs.split_names import by_split, known_split

_NO_LETTERS = re.compile(r"[^a-z]+")
_SHOWN = 5

Lists = Mapping[str, Sequence[str]]
"""The names of the images of each split."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileSplits:
    """The split of each image file.

    Attributes:
      folders: Folders, with `/` after them, and the split of all files below each.
      files: Every image, and its split or None, if lists name the images; else empty.
      refused: Images that the lists of two splits name.
      findings: What was recognised, and names that no image has.
    """

    folders: Mapping[str, str] = dataclasses.field(default_factory=dict)
    files: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    refused: frozenset[str] = frozenset()
    findings: Sequence[Finding] = ()

    @property
    def names(self) -> set[str]:
        """The names of the splits."""
        return {*self.folders.values(), *filter(None, self.files.values())}

    def of(self, path: str) -> str | None:
        """The split of a file; None if it is in no split."""
        if self.files:
            return self.files.get(path)
        return self.folders.get(_above_in(self.folders, path)) if self.folders else None

    def keeps(self, path: str, chosen: Collection[str] | None) -> bool:
        """Whether a file is in the chosen splits; a file of another kind may be in all lists."""
        if path in self.refused:
            return False
        is_other_file = bool(self.files) and path not in self.files
        return chosen is None or is_other_file or self.of(path) in chosen

    def label(self, pairs: Pairs) -> Pairs:
        """The pairs with the split of each row."""
        labels = [self.of(image) for image in pairs.images]
        names, split_of = columns.labels(labels, np.arange(len(pairs)))
        return dataclasses.replace(pairs, split_names=names, split_of=split_of)


def by_folders(images: Mapping[str, int], folders: Mapping[str, str] | None = None) -> FileSplits:
    """Recognises folders that are splits, see `split_folders`.

    Args:
      images: The number of images directly in each folder, which has `/` after it.
      folders: The folders that are splits, if they are known.
    """
    folders = split_folders(images) if folders is None else folders
    if not folders:
        return FileSplits()
    found = FileSplits(folders=folders)
    shown = sorted(folders)
    pairs = ", ".join(f"{folder!r} is {folders[folder]!r}" for folder in shown[:_SHOWN])
    more = f", ... ({len(shown):,} in all)" if len(shown) > _SHOWN else ""
    beside = sum(count for folder, count in images.items() if found.of(folder) is None)
    others = f"; {beside:,} image(s) beside them are in no split" if beside else ""
    note = Finding("splits", shown[0], f"the folders are splits: {pairs}{more}{others}")
    return dataclasses.replace(found, findings=[note])


def split_folders(folders: Collection[str]) -> dict[str, str]:
    """The folders that are splits; empty if there are no such folders.

    All folders with images at one level are splits if each has the name of one, and one is "train":
    `train/`, `cats/`, `dogs/` are classes. The level is the first one with more than one folder,
    or with a split.

    Args:
      folders: Folders that hold images, with `/` after each; "" for the root.

    >>> split_folders(["photos/train/a/", "photos/Val/"])
    {'photos/Val/': 'validation', 'photos/train/': 'train'}
    """
    above = ""
    while True:
        names = sorted({folder[len(above) :].partition("/")[0] for folder in folders} - {""})
        found = {f"{above}{name}/": known_split(name) for name in names}
        known = {folder: split for folder, split in found.items() if split is not None}
        if len(known) == len(found) and "train" in known.values():
            return known
        if len(names) != 1 or above in folders:
            return {}
        above += f"{names[0]}/"


def split_shards(shards: Sequence[str], folders: Collection[str]) -> dict[str, str]:
    """The folders that are splits, of images in shards: also by the names of shards.

    Args:
      shards: The names of the shards; `train-000.tar` and `val-000.tar` are splits if all names
        hold the word of one, and not all the same.
      folders: The folders of the images, each beginning with its shard.
    """
    found = split_folders(folders)
    if found:
        return found
    words = {f"{shard}/": _word_of(shard) for shard in shards}
    named = {shard: word for shard, word in words.items() if word is not None}
    if len(named) == len(words) and len({*named.values()}) > 1 and "train" in named.values():
        return named
    inside = split_folders(
        {
            folder.removeprefix(shard)
            for shard in words
            for folder in folders
            if folder.startswith(shard)
        }
    )
    return {shard + folder: split for shard in words for folder, split in inside.items()}


def _word_of(shard: str) -> str | None:
    words = _NO_LETTERS.split(posixpath.basename(shard).lower())
    splits = {split for split in map(known_split, words) if split is not None}
    return splits.pop() if len(splits) == 1 else None


def folder_counts(images: Iterable[str]) -> Counter[str]:
    """The number of images directly in each folder."""
    return Counter(image[: image.rfind("/") + 1] for image in images)


def load_lists(splits: Any, decoder: TextDecoder) -> Lists | None:
    """The lists of `read(splits=)`; a file of names has one in each line.

    Raises:
      TypeError, ValueError: `splits` is not a dict of files or lists by the names of splits.
      FileNotFoundError, PairingError: A file does not exist, or is not text.
    """
    if splits is None:
        return None
    if not isinstance(splits, Mapping) or not splits:
        raise TypeError(
            'splits=... must be a dict such as {"validation": "val.txt"}, of files or lists of '
            f"names of images; got {splits!r}."
        )
    named = by_split("splits=...", splits)
    return {name: _names_in(name, given, decoder) for name, given in named.items()}


def _names_in(split: str, given: Any, decoder: TextDecoder) -> list[str]:
    if isinstance(given, str | os.PathLike):
        path = os.path.expanduser(os.fspath(given))
        require_exists(path, "splits")
        lines = read_text(path, decoder)[0].split("\n")
        return [line.strip() for line in lines if line.strip()]
    is_list = isinstance(given, Collection) and not isinstance(given, Mapping | bytes)
    names: list[Any] = list(map(_name, given)) if is_list else [None]
    if not all(isinstance(name, str) for name in names):
        raise TypeError(
            f"splits=... must have a file or a list of names for each split; got {given!r} for "
            f"{split!r}."
        )
    return names


def _name(given: Any) -> Any:
    return os.fspath(given) if isinstance(given, os.PathLike) else given


def by_lists(lists: Lists, images: Sequence[str], within: Sequence[str] = ()) -> FileSplits:
    """Finds the images that lists name; an image that no list names is "train", see `read`.

    Args:
      lists: The names of the images of each split.
      images: All images.
      within: The shards that hold the images; lists need not name them.

    Raises:
      PairingError: A list names no image.
    """
    image_of = _without_shards(images, within)
    files: dict[str, str | None] = dict.fromkeys(images)
    findings: list[Finding] = []
    refused: set[str] = set()
    for split, listed in lists.items():
        found = resolve(dict.fromkeys(listed), list(image_of))
        if not found.files:
            raise PairingError(
                f"splits=... must name images; got a list of {split!r} with {len(listed):,} "
                f"name(s), of which none is an image: {some(listed)}. Images are named like "
                f"{min(image_of, default='')!r}."
            )
        findings += _findings_of(split, listed, found)
        refused |= {image_of[name] for name in found.ambiguous}
        for file in sorted({image_of[name] for name in found.files.values()}):
            if files[file] is not None:
                refused.add(file)
                detail = f"in the lists of both {files[file]!r} and {split!r}"
                findings.append(Finding("disagreement", file, detail))
            files[file] = split
    rest = None if "train" in lists else "train"
    left = sorted(file for file, split in files.items() if split is None)
    if left:
        into = "no split" if rest is None else repr(rest)
        detail = f"{len(left):,} image(s) that no list names are in {into}"
        findings.append(Finding("splits", left[0], detail))
    files |= dict.fromkeys(left, rest)
    return FileSplits(files=files, refused=frozenset(refused), findings=findings)


def _findings_of(split: str, listed: Sequence[str], found: Names) -> list[Finding]:
    """What is wrong with a list, and names that are spelled differently."""
    where = f"list of {split!r}"
    others = [finding for finding in found.findings if finding.kind != "outside"]
    outside = {finding.path for finding in found.findings if finding.kind == "outside"}
    unknown = sorted({*listed} - found.files.keys() - (found.refused - outside))
    return [
        *(dataclasses.replace(f, detail=f"{where}: {f.detail}") for f in others),
        *(Finding("unknown_name", name, where) for name in unknown),
    ]


def _without_shards(images: Sequence[str], shards: Sequence[str]) -> dict[str, str]:
    """The images by their names without shards, if these differ; else by their own names."""
    labels = {f"{shard}/" for shard in shards}
    short = {image.removeprefix(_above_in(labels, image)): image for image in images}
    return short if len(short) == len(images) else {image: image for image in images}


def _above_in(folders: Container[str], path: str) -> str:
    """The outermost folder above a path that is among `folders`; "" if no folder is."""
    end = path.find("/") + 1
    while end and path[:end] not in folders:
        end = path.find("/", end) + 1
    return path[:end]
