"""From the arguments of `build` to pairs that are scanned and judged."""

import dataclasses
from typing import Any

import numpy as np

from mmdata.config import Config
from mmdata.files.headers import Format
from mmdata.pairing.listing import IfAny
from mmdata.pairing.read import read
from mmdata.pairs.findings import Finding, PairingError
from mmdata.pairs.pairs import Pairs
from mmdata.tasks import Classification, Task
from mmdata.tokenizers import LEARNED


def paired(
    images: Any, captions: Any, splits: tuple[str, ...] | None, config: Config
) -> tuple[Pairs, list[Finding]]:
    """Reads and scans; one error names what does not pair together with what is no image.

    What does not pair was accepted by whoever made `Pairs`; what is no image was not.

    Returns:
      The pairs, and the findings of which `config.problems` judges.
    """
    problems = config.problems
    if isinstance(images, Pairs):
        if captions is not None:
            raise ValueError(f"captions=... must be None beside Pairs; got {captions!r}.")
        if config.cache is not None:  # what is kept must be of the files as they are now
            images = dataclasses.replace(images, scan=None)
        pairs = _without_bombs(images, problems.max_pixels)
        findings = pairs.corrupt
    else:
        pairs = read(
            images,
            captions,
            split=_needed(splits, config),
            caption_column="auto" if config.task.has_text else None,
            on_problem=problems.without_errors(),
        )
        pairs = _without_bombs(pairs, problems.max_pixels)
        findings = list(pairs.report.findings)
    try:
        problems.check(findings, rows=len(pairs), where=repr(pairs.root))
    except PairingError as err:
        if splits is None or "train" in splits or "train" not in pairs.split_names:
            raise
        raise PairingError(
            f"{err}\nThe split 'train' was read too, for its vocabulary: text=... a Tokenizer, "
            '"clip" or "byte" needs none.',
            err.findings,
        ) from err
    return pairs, findings


def require_captions(pairs: Pairs, task: Task) -> None:
    """Raises a ValueError where a task reads captions and an image has none."""
    without = np.flatnonzero(np.diff(pairs.offsets) == 0)
    if task.has_text and len(without):
        raise ValueError(
            f"task={task!r} needs a caption for each image; got {len(without):,} image(s) without, "
            f"e.g. {pairs.images[int(without[0])]!r}. Pairs.filter() takes rows away."
        )


def _without_bombs(pairs: Pairs, max_pixels: int) -> Pairs:
    """The pairs, scanned, whose larger images must not be decoded."""
    scan, pairs = pairs.scanned()
    sides = scan.heights.astype(np.int64), scan.widths.astype(np.int64)
    large = np.flatnonzero((sides[0] * sides[1] > max_pixels) & (scan.formats != Format.UNKNOWN))
    if not large.size:
        return pairs
    problems = {
        row: f"{sides[0][row]} x {sides[1][row]} pixels, more than {max_pixels:,} in all"
        for row in large.tolist()
    }
    return pairs.with_scan(scan.refuse(problems))


def _needed(splits: tuple[str, ...] | None, config: Config) -> IfAny | None:
    """The splits to read: also "train" where a vocabulary is to be learned from its captions.

    And all (None) where classes are to be found, so that each split has the same.
    """
    if isinstance(config.task, Classification):
        return None if config.task.classes is None or splits is None else IfAny(splits)
    if splits is None:
        return None
    learned = config.text.tokenizer in tuple(LEARNED)
    return IfAny((*splits, "train")) if learned else IfAny(splits)
