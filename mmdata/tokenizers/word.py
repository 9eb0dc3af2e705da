"""Whole words."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from mmdata.tokenizers.vocabulary_learning import LearnedVocabulary, count_tokens, most_common
from mmdata.tokenizers.word_splitting import join_words, split_words


@dataclasses.dataclass(frozen=True, repr=False)
class Word(LearnedVocabulary):
    """One id per word or punctuation mark; unknown ones become "[UNK]".

    `learn` takes the most common words; equally common ones in alphabetical order.
    """

    @classmethod
    def _learned(cls, captions: Iterable[str], size: int) -> list[str]:
        return most_common(count_tokens(captions, split_words), size)

    def _tokenize(self, text: Any) -> Any:
        return tf.ragged.map_flat_values(self._ids.lookup, split_words(text))

    def _join(self, ids: Any) -> Any:
        return join_words(tf.gather(tf.constant(self.vocabulary), ids))
