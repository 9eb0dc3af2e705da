"""A source for each split: `{"train": (images, captions), ...}` -> `Pairs`."""

import dataclasses
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from mmdata.pairing.listing import IfAny
from mmdata.pairs.findings import Finding
from mmdata.pairs.merging import made_alike, merge
from mmdata.pairs.pairs import Pairs
from mmdata.pairs.split_names import by_split

Reader = Callable[[Any, Any, IfAny], Pairs]
"""Reads images and captions; of the splits that they name, if any, those of the last argument."""


class _Part(NamedTuple):
    """The pairs of one split, and the findings that were not accepted before."""

    pairs: Pairs
    findings: Iterable[Finding]


def read_sources(
    sources: Mapping[Any, Any], chosen: Collection[str] | None, read: Reader
) -> tuple[Pairs, list[Finding]]:
    """Reads the source of each split, and joins them.

    Sources may share a folder of images: an image without a caption in one source is no problem if
    it has one in another. Of a source that has splits itself, only the one that it is for is used.

    Args:
      sources: (images, captions), images or `Pairs` of each split.
      chosen: The splits that are needed; None means all. "train" may be missing.
      read: Reads one source.

    Returns:
      The pairs, with splits; and the findings of the sources that were read.

    Raises:
      TypeError, ValueError: A name or a source has the wrong type, or a name occurs twice.
    """
    named = _by_name(sources)
    wanted = [name for name in named if chosen is None or name in chosen]
    if not wanted or set(chosen or ()) - {*named, "train"}:
        raise ValueError(f"split=... must be among {list(named)}; got {sorted(chosen or ())}.")
    folders = {_folder(named[name]) for name in wanted} - {None}
    needed = [name for name in named if name in wanted or _folder(named[name]) in folders]
    parts = {name: _part(name, named[name], read) for name in needed}
    captioned = {name: _captioned(part.pairs) for name, part in parts.items()}
    kept = []
    for name in wanted:
        others = {file for other in needed if other != name for file in captioned[other]}
        kept.append(_without(parts[name], others - captioned[name]))
    findings = [finding for part in kept for finding in part.findings]
    return merge(made_alike([part.pairs for part in kept])), findings


def _by_name(sources: Mapping[Any, Any]) -> dict[str, tuple[Any, Any]]:
    """The images and captions of each source, by the name of its split."""
    named = {}
    for name, source in by_split("images={...}", sources).items():
        if isinstance(source, tuple) and len(source) != 2:
            raise ValueError(
                "images={...} must have (images, captions), a path or Pairs for each split; got "
                f"{len(source)} values for {name!r}."
            )
        named[name] = source if isinstance(source, tuple) else (source, None)
    if not named:
        raise ValueError("images={...} must have a source for at least one split; got none.")
    return named


def _folder(source: tuple[Any, Any]) -> str | None:
    """The folder of images, to see which sources share it; None if it is not a path."""
    images = source[0].root if isinstance(source[0], Pairs) else source[0]
    return os.path.abspath(images) if isinstance(images, str | os.PathLike) else None


def _part(name: str, source: tuple[Any, Any], read: Reader) -> _Part:
    images, captions = source
    if not isinstance(images, Pairs):
        pairs = read(images, captions, IfAny([name]))
        return _Part(pairs.with_split(name), pairs.report.findings)
    if captions is not None:
        raise ValueError(
            f"images={{...}} must have captions=None beside Pairs; got {captions!r} for {name!r}."
        )
    if images.split_of is None:
        return _Part(images.with_split(name), ())
    if name not in images.split_names:
        raise ValueError(
            f"images={{...}} must have Pairs with the split {name!r}, or without splits; got the "
            f"splits {list(images.split_names)}. Pairs.with_split({name!r}) uses all their rows."
        )
    return _Part(images.subset(name), ())


def _captioned(pairs: Pairs) -> set[str]:
    """The files that have captions of their own, not by `Problems`."""
    filled = {finding.path for finding in pairs.report.findings if finding.kind == "filled"}
    rows = zip(pairs.images, np.diff(pairs.offsets).tolist(), strict=True)
    return {_file(pairs, image) for image, count in rows if count and image not in filled}


def _file(pairs: Pairs, image: str) -> str:
    return os.path.abspath(os.path.join(pairs.root, image))


def _without(part: _Part, others: Collection[str]) -> _Part:
    """A part without images that have captions in other sources, and findings about them."""
    if not others:
        return part
    pairs = part.pairs

    def is_other(finding: Finding) -> bool:
        about = finding.kind in ("missing_caption", "filled")
        return about and _file(pairs, finding.path) in others

    rows = [row for row, image in enumerate(pairs.images) if _file(pairs, image) not in others]
    kept = pairs.take(np.array(rows, np.int64))
    found = tuple(finding for finding in kept.report.findings if not is_other(finding))
    kept = dataclasses.replace(kept, report=dataclasses.replace(kept.report, findings=found))
    return _Part(kept, [finding for finding in part.findings if not is_other(finding)])
