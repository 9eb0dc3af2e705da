"""Prepares captions before training, in one pass: vocabulary, token counts, empty captions."""

import dataclasses
import warnings

import numpy as np
from numpy.typing import NDArray

from mmdata.captions.cleaned import Cleaner
from mmdata.captions.empty import drop_empty
from mmdata.captions.length_report import LengthReport
from mmdata.captions.token_counts import TokenCounts
from mmdata.captions.vocabulary import tokenizer_for
from mmdata.config import Config
from mmdata.example import Stage
from mmdata.inputs import Inputs
from mmdata.pairs.findings import raise_for
from mmdata.pairs.pairs import Pairs
from mmdata.sampling.caption_choice import LIST_SEPARATOR
from mmdata.sampling.epoch import EpochIndex
from mmdata.stages.captions import SplitCaptions
from mmdata.stages.pack import Pack, Tokenize
from mmdata.tasks import Task
from mmdata.tokenizers import Byte, Tokenizer

_MOSTLY_UNKNOWN = 0.05
"""The share of unknown tokens above which `build` warns."""

_STACKLEVEL = 5  # so that warnings name the line that calls `build`


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class PreparedCaptions:
    """The result of `prepare_captions`, for the captions of all parts.

    Attributes:
      tokenizer: Splits captions into tokens; None for raw text.
      cleaners: Cleans the captions of each part, and holds those it has cleaned.
      counts: The token counts of each part; of raw text, its bytes.
    """

    tokenizer: Tokenizer | None
    cleaners: list[Cleaner]
    counts: list[TokenCounts]


def prepare_captions(inputs: Inputs) -> PreparedCaptions | None:
    """Learns the vocabulary, counts tokens, and drops captions without a token after cleaning.

    Changes `inputs`: replaces its parts, and adds what is dropped to its findings.

    Returns:
      The prepared captions; None if the task reads no captions.

    Raises:
      PairingError: A part has no caption with a token; or `Inputs.check` raises.
      ValueError: A vocabulary must be learned, and no split is named "train".
    """
    task, text = inputs.config.task, inputs.config.text
    if not task.has_text:
        return None
    cleaner = Cleaner(text.cleaner, task.rewording)
    tokenizer = tokenizer_for(text, inputs.pairs, cleaner)
    cleaners = [_cleaner_for(config.task, cleaner) for config in inputs.configs]
    found_before = len(inputs.findings)
    counted = tokenizer or Byte()  # raw text is empty if no byte is left
    counts = [_count(inputs, part, cleaners[part], counted) for part in range(len(cleaners))]
    if not all(map(len, inputs.parts)):
        where = f"{inputs.pairs.root!r}, cleaned"
        raise_for(inputs.findings[found_before:], where=where, nothing_left=True)
    inputs.check("cleaned")
    return PreparedCaptions(tokenizer=tokenizer, cleaners=cleaners, counts=counts)


def _cleaner_for(task: Task, cleaner: Cleaner) -> Cleaner:
    """The cleaner of a part: the same one, unless its task rewords captions in another way."""
    same = task.rewording == cleaner.rewording
    return cleaner if same else Cleaner(cleaner.clean, task.rewording)


def _count(inputs: Inputs, part: int, cleaner: Cleaner, tokenizer: Tokenizer) -> TokenCounts:
    """The token counts of a part, after its empty captions are dropped."""
    pairs = inputs.parts[part]
    counts = TokenCounts.of(pairs.captions, cleaner, tokenizer)
    if not counts.empty.any():
        return counts
    inputs.parts[part], findings = drop_empty(pairs, counts.empty, inputs.configs[part].problems)
    inputs.findings += findings
    if any(found.kind == "filled" for found in findings):
        return TokenCounts.of(inputs.parts[part].captions, cleaner, tokenizer)
    return counts.take(~counts.empty)


@dataclasses.dataclass(frozen=True, eq=False)
class CaptionPlan:
    """How the captions of a part become ids, and how well the sequence length fits them.

    Attributes:
      stages: Captions of a batch -> ids: clean, tokenize, pack.
      report: How well the sequence length fits the captions; None for raw text.
      length_buckets: int64 [indices], the bucket of each index, in tokens; None without buckets.
    """

    stages: tuple[Stage, ...]
    report: LengthReport | None
    length_buckets: NDArray[np.int64] | None

    @classmethod
    def of(
        cls,
        prepared: PreparedCaptions,
        part: int,
        pairs: Pairs,
        epoch_index: EpochIndex,
        config: Config,
    ) -> "CaptionPlan":
        """Chooses the stages, and warns if many captions are cut or many tokens are unknown."""
        task, text, tokenizer = config.task, config.text, prepared.tokenizer
        split = SplitCaptions(separator=LIST_SEPARATOR) if task.captions == "list" else None
        clean = tuple(stage for stage in (split, text.cleaner) if stage is not None)
        if tokenizer is None:
            return cls(clean, None, None)
        pack = text.pack(tokenizer, lookahead=task.lookahead, prompt=task.prompt)
        special = pack.special_tokens - task.lookahead
        counts = _epoch_counts(prepared, tokenizer, part, pairs, epoch_index, task)
        report = LengthReport(
            token_counts=counts.tokens + np.int32(special),
            unknown_counts=counts.unknown,
            special_tokens=special,
            sequence_length=text.sequence_length,
            buckets=(*text.buckets, text.sequence_length) if text.buckets else (),
        )
        _warn(report, task, pack, tokenizer)
        return cls(
            (*clean, Tokenize(tokenizer=tokenizer), pack),
            report,
            _buckets(report, pack) if pack.buckets else None,
        )


def _epoch_counts(
    prepared: PreparedCaptions,
    tokenizer: Tokenizer,
    part: int,
    pairs: Pairs,
    epoch_index: EpochIndex,
    task: Task,
) -> TokenCounts:
    """The counts of the captions that an epoch may use."""
    if task.captions == "join":  # joined captions are new texts
        captions = epoch_index.captions(task, pairs)
        return TokenCounts.of(captions, prepared.cleaners[part], tokenizer)
    counts = prepared.counts[part]
    if epoch_index.first is None and epoch_index.pairs is not None:
        return counts.take(epoch_index.pairs)
    return counts


def _buckets(report: LengthReport, pack: Pack) -> NDArray[np.int64]:
    which = np.searchsorted(report.buckets, np.minimum(report.token_counts, report.buckets[-1]))
    return np.array(pack.buckets, np.int64)[which]


def _warn(report: LengthReport, task: Task, pack: Pack, tokenizer: Tokenizer) -> None:
    if (warning := report.warning(tokenizer.sequence_length)) is not None:
        warnings.warn(warning, stacklevel=_STACKLEVEL)
    if report.unknown_share > _MOSTLY_UNKNOWN:
        warnings.warn(
            f"{100 * report.unknown_share:.1f} % of the tokens of {report.captions:,} captions are "
            f"unknown to {tokenizer!r}: is it for their language? See ds.length_report.",
            stacklevel=_STACKLEVEL,
        )
    if unknown := sum(token == tokenizer.unknown_id for token in pack.prompt):
        warnings.warn(
            f"Prefix(prompt={task.prompt!r}) has {unknown} token(s) that {tokenizer!r} does not "
            "know.",
            stacklevel=_STACKLEVEL,
        )
