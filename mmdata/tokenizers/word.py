"""Whole words."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import tensorflow as tf
from typing_extensions import Self

from mmdata.tokenizers.learning import commonest, count, first_tokens
from mmdata.tokenizers.listed import Listed
from mmdata.tokenizers.words import join_words, split_words


@dataclasses.dataclass(frozen=True, repr=False)
class Word(Listed):
    """One id a word or punctuation mark; what was not learned becomes "[UNK]"."""

    @classmethod
    def learn(
        cls,
        captions: Iterable[str],
        *,
        vocabulary_size: int = 8000,
        reserved_tokens: tuple[str, ...] = (),
    ) -> Self:
        """Takes the commonest words of clean captions; equally common ones by the alphabet.

        Args:
          captions: Clean text, from a stream of any length.
          vocabulary_size: Tokens at most, special and reserved ones included, >= 5.
          reserved_tokens: Tokens in brackets, as "[NAME]" or "<name>", for a model's own use. Their
            ids begin at 4. No text becomes them.

        Raises:
          ValueError: The captions hold no word, the size is too small, or a reserved token is not
            as described, there twice, or special.
        """
        first = first_tokens(vocabulary_size, reserved_tokens)
        words = commonest(count(captions, split_words), vocabulary_size - len(first))
        return cls((*first, *words))

    def _tokenize(self, text: Any) -> Any:
        return tf.ragged.map_flat_values(self._ids.lookup, split_words(text))

    def _join(self, ids: Any) -> Any:
        return join_words(tf.gather(tf.constant(self.vocabulary), ids))
