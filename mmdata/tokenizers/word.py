"""Whole words."""

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any, Self

import tensorflow as tf

from mmdata.tokenizers.learning import count, require_vocabulary_size
from mmdata.tokenizers.listed import SPECIAL_TOKENS, Listed
from mmdata.tokenizers.words import join_words, split_words


@dataclasses.dataclass(frozen=True, repr=False)
class Word(Listed):
    """One id a word or punctuation mark; what was not learned becomes "[UNK]"."""

    @classmethod
    def learn(cls, captions: Iterable[str], *, vocabulary_size: int = 8000) -> Self:
        """Takes the commonest words of clean captions; equally common ones by the alphabet.

        Args:
          captions: Clean text, from a stream of any length.
          vocabulary_size: Tokens at most, special ones included, >= 5.

        Raises:
          ValueError: The captions hold no word, or the size is too small.
        """
        require_vocabulary_size(vocabulary_size)
        counts = count(captions, split_words)
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        return cls((*SPECIAL_TOKENS, *ranked[: vocabulary_size - len(SPECIAL_TOKENS)]))

    @functools.cached_property
    def _ids(self) -> Any:
        with tf.init_scope(), tf.device("CPU:0"):
            keys = tf.constant(self.vocabulary[len(SPECIAL_TOKENS) :])
            values = tf.range(len(SPECIAL_TOKENS), self.vocabulary_size)
            return tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer(keys, values), self.unknown_id
            )

    def _tokenize(self, text: Any) -> Any:
        return tf.ragged.map_flat_values(self._ids.lookup, split_words(text))

    def _join(self, ids: Any) -> Any:
        return join_words(tf.gather(tf.constant(self.vocabulary), ids))
