"""Drops captions without a token after cleaning, and reports them like empty captions."""

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
    """Drops empty captions. Drops or fills images that have no other caption.

    Args:
      pairs: The pairs.
      empty: bool [pairs], True if the caption is empty.
      problems: The caption for an image that has no other caption, if any.

    Returns:
      The remaining pairs, and the findings, which are in their report, too.
    """
    if not empty.any():
        return pairs, []
    findings: list[Finding] = []
    captions: list[str] = []
    counts: list[int] = []
    for row, (begin, end) in enumerate(zip(pairs.offsets, pairs.offsets[1:], strict=False)):
        kept = [pairs.captions[pair] for pair in range(begin, end) if not empty[pair]]
        dropped = [pairs.captions[pair] for pair in range(begin, end) if empty[pair]]
        kind: Kind = "blank_caption"
        if dropped and not kept:
            kept = _filled(pairs, row, problems)
            kind, dropped = "filled" if kept else "empty_caption", dropped[:1]  # one per image
        image = pairs.images[row]
        findings += [Finding(kind, image, f"no token is left of {text!r}") for text in dropped]
        captions += kept
        counts.append(len(kept))
    report = pairs.report
    remaining = dataclasses.replace(
        pairs,
        captions=Strings.of(captions),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
    ).take(np.flatnonzero(counts))
    report = PairingReport(
        report.layout,
        len(remaining),
        remaining.pair_count,
        (*remaining.report.findings, *findings),
    )
    return dataclasses.replace(remaining, report=report), findings


def _filled(pairs: Pairs, row: int, problems: Problems) -> list[str]:
    caption = problems.fill("empty_caption", pairs.images[row])
    return [] if caption is None else [caption]
