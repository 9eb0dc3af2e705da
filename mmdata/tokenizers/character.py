"""Single characters."""

import dataclasses
import re
from collections.abc import Iterable
from typing import Any

import tensorflow as tf
from typing_extensions import Self

from mmdata.tokenizers.learning import commonest, count, first_tokens
from mmdata.tokenizers.listed import RESERVED_TOKEN, SPECIAL_TOKENS, Listed


@dataclasses.dataclass(frozen=True, repr=False)
class Character(Listed):
    """One id a Unicode character, spaces too; what was not learned becomes "[UNK]".

    Lossless for valid UTF-8 whose characters are all known. A line feed is never known; clean text
    has none.

    Raises:
      ValueError: The vocabulary holds a token that is neither a character nor in brackets.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        tokens = self.vocabulary[len(SPECIAL_TOKENS) :]
        longer = [t for t in tokens if len(t) != 1 and not re.fullmatch(RESERVED_TOKEN, t)]
        if longer:
            raise ValueError(
                "Character(vocabulary=...) must hold single characters behind the special and "
                f"reserved tokens; got {sorted(longer)[:5]}."
            )

    @classmethod
    def learn(
        cls,
        captions: Iterable[str],
        *,
        vocabulary_size: int = 8000,
        reserved_tokens: tuple[str, ...] = (),
    ) -> Self:
        """Takes the commonest characters of clean captions; equally common ones by code point.

        Args:
          captions: Clean text, from a stream of any length.
          vocabulary_size: Tokens at most, special and reserved ones included, >= 5.
          reserved_tokens: Tokens in brackets, as "[NAME]" or "<name>", for a model's own use. Their
            ids begin at 4. No text becomes them.

        Raises:
          ValueError: The captions hold no text, the size is too small, or a reserved token is not
            as described, there twice, or special.
        """
        first = first_tokens(vocabulary_size, reserved_tokens)
        counts = count(captions, _split)
        counts.pop("\n", None)
        return cls((*first, *commonest(counts, vocabulary_size - len(first))))

    def _tokenize(self, text: Any) -> Any:
        return tf.ragged.map_flat_values(self._ids.lookup, _split(text))

    def _join(self, ids: Any) -> Any:
        return tf.strings.reduce_join(tf.gather(tf.constant(self.vocabulary), ids), axis=-1)


def _split(text: Any) -> Any:
    return tf.strings.unicode_split(text, "UTF-8")
