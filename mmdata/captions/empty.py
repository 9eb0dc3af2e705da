"""Captions of which no token is left: found before training, and told like empty ones."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from mmdata.pairing.problems import Problems
from mmdata.pairs.findings import Finding, Kind, PairingReport
from mmdata.pairs.pairs import Pairs
from mmdata.pairs.strings import Strings


def without_emptied(
    pairs: Pairs, empty: NDArray[np.bool_], problems: Problems
) -> tuple[Pairs, list[Finding]]:
    """Leaves out captions that are empty, and images that have no other, or fills those.

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
        said = [pairs.captions[pair] for pair in range(begin, end) if not empty[pair]]
        gone = [pairs.captions[pair] for pair in range(begin, end) if empty[pair]]
        kind: Kind = "blank_caption"
        if gone and not said:
            said = _filled(pairs, row, problems)
            kind, gone = "filled" if said else "empty_caption", gone[:1]  # one an image
        image = pairs.images[row]
        findings += [Finding(kind, image, f"no token is left of {text!r}") for text in gone]
        captions += said
        counts.append(len(said))
    report = pairs.report
    left = dataclasses.replace(
        pairs,
        captions=Strings.of(captions),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
    ).take(np.flatnonzero(counts))
    report = PairingReport(
        report.layout, len(left), left.pair_count, (*left.report.findings, *findings)
    )
    return dataclasses.replace(left, report=report), findings


def _filled(pairs: Pairs, row: int, problems: Problems) -> list[str]:
    caption = problems.fill("empty_caption", pairs.images[row])
    return [] if caption is None else [caption]
