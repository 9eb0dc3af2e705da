"""Learns byte-pair merges with the Rust library `tokenizers`."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import tokenizers

from mmdata.tokenizers.bpe_merges import Merge


def learn_merges(
    texts: Iterable[str | list[str]],
    letters: Sequence[str],
    size: int,
    *,
    split: Any = None,
    longest: int | None = None,
) -> tuple[Merge, ...]:
    """Learns merges, those of the most common pairs first.

    The same texts in any order give the same merges, on every machine: among equally common pairs,
    the one whose tokens are older goes first, and the letters are as old as their code points are
    low. The library's own trainer for word pieces does not number its letters like this, and gives
    other merges in each process.

    Args:
      texts: Words; or texts, with `split`. A list counts as its items.
      letters: The single characters that words consist of, without duplicates.
      size: Maximum number of tokens, letters and merges together.
      split: Splits texts into words, a pre-tokenizer of the library; None if they are words.
      longest: A token is shorter than this, in letters; None means no limit.
    """
    learner = tokenizers.Tokenizer(tokenizers.models.BPE())
    if split is not None:
        learner.pre_tokenizer = split
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=list(letters),
        max_token_length=longest,
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    merges = json.loads(learner.to_str())["model"]["merges"]
    return tuple((left, right) for left, right in merges)
