"""What the captions of a dataset become, known before training: their lengths, and what is lost."""

import dataclasses
import warnings

import numpy as np
from numpy.typing import NDArray

from mmdata.captions.empty import without_emptied
from mmdata.captions.length_report import LengthReport
from mmdata.captions.token_counts import TokenCounts
from mmdata.config import Config
from mmdata.example import Stage
from mmdata.pairs.findings import Finding, raise_for
from mmdata.pairs.pairs import Pairs
from mmdata.sampling.epoch import EpochIndex
from mmdata.sampling.lookup import GATHERED
from mmdata.stages.captions import Gathered
from mmdata.stages.pack import Pack, Tokenize
from mmdata.tasks import References, TextTask
from mmdata.tokenizers import Tokenizer

_STRANGE = 0.05
"""The share of tokens that the vocabulary lacks from which on `build` warns."""

_CALLER = 6  # whoever called `build`, seen from where it warns


def drop_empty_captions(
    parts: list[Pairs], tokenizer: Tokenizer, config: Config
) -> tuple[list[Pairs], list[Finding]]:
    """The parts without captions of which no token is left, and what was found.

    Raises:
      PairingError: A part has no other captions; it names those of all parts.
    """
    left: list[Pairs] = []
    findings: list[Finding] = []
    for part in parts:
        empty = TokenCounts.of(part.captions, config.text, tokenizer).empty
        part, found = without_emptied(part, empty, config.problems)
        left.append(part)
        findings += found
    if not all(map(len, left)):
        raise_for(findings, where=f"{parts[0].root!r}, cleaned", nothing_left=True)
    return left, findings


@dataclasses.dataclass(frozen=True, eq=False)
class CaptionPlan:
    """How captions become ids, and how they fit.

    Attributes:
      stages: What makes ids of the captions of a batch.
      fit: How the captions fit their length.
      lengths: int64 [indices], the bucket of each index in tokens; None without buckets.
    """

    stages: list[Stage]
    fit: LengthReport
    lengths: NDArray[np.int64] | None

    @classmethod
    def of(
        cls,
        pairs: Pairs,
        epoch_index: EpochIndex,
        task: TextTask,
        tokenizer: Tokenizer,
        config: Config,
    ) -> "CaptionPlan":
        """Counts tokens, and warns where many captions are cut."""
        text = config.text
        pack = text.pack(tokenizer, lookahead=task.lookahead, prompt=task.prompt)
        counted = TokenCounts.of(
            epoch_index.said(task, pairs), text, tokenizer, config.before_cleaning
        )
        special = pack.special_tokens - task.lookahead
        fit = LengthReport(
            token_counts=counted.tokens + np.int32(special),
            unknown_counts=counted.unknown,
            special_tokens=special,
            sequence_length=text.sequence_length,
            buckets=(*text.buckets, text.sequence_length) if text.buckets else (),
        )
        _warn(fit, task, pack, tokenizer)
        stages: list[Stage] = [Tokenize(tokenizer=tokenizer), pack]
        if text.cleaner is not None:
            stages.insert(0, text.cleaner)
        if isinstance(task, References):
            stages.insert(0, Gathered(separator=GATHERED))
        return cls(stages, fit, _buckets(fit, pack) if pack.buckets else None)


def _buckets(fit: LengthReport, pack: Pack) -> NDArray[np.int64]:
    which = np.searchsorted(fit.buckets, np.minimum(fit.token_counts, fit.buckets[-1]))
    return np.array(pack.buckets, np.int64)[which]


def _warn(fit: LengthReport, task: TextTask, pack: Pack, tokenizer: Tokenizer) -> None:
    if (warning := fit.warning(tokenizer.sequence_length)) is not None:
        warnings.warn(warning, stacklevel=_CALLER)
    if fit.unknown_share > _STRANGE:
        warnings.warn(
            f"{100 * fit.unknown_share:.1f} % of the tokens of {fit.captions:,} captions are "
            f"unknown to {tokenizer!r}: is it of their language? See ds.length_report.",
            stacklevel=_CALLER,
        )
    if unknown := sum(token == tokenizer.unknown_id for token in pack.prompt):
        warnings.warn(
            f"Prefix(prompt={task.prompt!r}) has {unknown} token(s) that {tokenizer!r} does not "
            "know.",
            stacklevel=_CALLER,
        )
