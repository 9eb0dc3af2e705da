"""Captions of which no token is left: dropped before training, and reported like empty ones."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from mmdata.pairing.problems import Problems
from mmdata.pairs.findings import Finding, Kind, PairingReport
from mmdata.pairs.pairs import Pairs
from mmdata.pairs.strings import Strings


def drop_empty(
    pairs: Pairs, empty: NDArray[np.bool_], problems: Problems
) -> tuple[Pairs, list[Finding]]:
    """Drops captions that are empty, and images that have no other, or fills those.

    Args:
      pairs: The pairs.
      empty: bool [pairs].
      problems: What an image gets that has no other caption.

    Returns:
      The pairs that are left, and what was found, which their report holds as well.
    """
    if not empty.any():
        return pairs, []
    findings: list[Finding] = []
    captions: list[str] = []
    counts: list[int] = []
    for row, (begin, end) in enumerate(zip(pairs.offsets, pairs.offsets[1:], strict=False)):
        left = [pairs.captions[pair] for pair in range(begin, end) if not empty[pair]]
        gone = [pairs.captions[pair] for pair in range(begin, end) if empty[pair]]
        kind: Kind = "blank_caption"
        if gone and not left:
            left = _filled(pairs, row, problems)
            kind, gone = "filled" if left else "empty_caption", gone[:1]  # one an image
        image = pairs.images[row]
        findings += [Finding(kind, image, f"no token is left of {text!r}") for text in gone]
        captions += left
        counts.append(len(left))
    report = pairs.report
    kept = dataclasses.replace(
        pairs,
        captions=Strings.of(captions),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
    ).take(np.flatnonzero(counts))
    report = PairingReport(
        report.layout, len(kept), kept.pair_count, (*kept.report.findings, *findings)
    )
    return dataclasses.replace(kept, report=report), findings


def _filled(pairs: Pairs, row: int, problems: Problems) -> list[str]:
    caption = problems.fill("empty_caption", pairs.images[row])
    return [] if caption is None else [caption]
