"""Single characters."""

import dataclasses
import re
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from mmdata.tokenizers.vocabulary_learning import LearnedVocabulary, count_tokens, most_common
from mmdata.tokenizers.vocabulary_tokenizer import RESERVED_TOKEN, SPECIAL_TOKENS


@dataclasses.dataclass(frozen=True, repr=False)
class Character(LearnedVocabulary):
    """One id per Unicode character, spaces too; unknown ones become "[UNK]".

    Lossless for valid UTF-8 whose characters are all known. A line feed is never known; clean text
    has none. `learn` takes the most common characters; equally common ones by code point.

    Raises:
      ValueError: The vocabulary holds a token that is neither a character nor in brackets.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        tokens = self.vocabulary[len(SPECIAL_TOKENS) :]
        longer = [t for t in tokens if len(t) != 1 and not re.fullmatch(RESERVED_TOKEN, t)]
        if longer:
            raise ValueError(
                "Character(vocabulary=...) must hold single characters after the special and "
                f"reserved tokens; got {sorted(longer)[:5]}."
            )

    @classmethod
    def _learned(cls, captions: Iterable[str], size: int) -> list[str]:
        counts = count_tokens(captions, _split)
        counts.pop("\n", None)
        return most_common(counts, size)

    def _tokenize(self, text: Any) -> Any:
        return tf.ragged.map_flat_values(self._ids.lookup, _split(text))

    def _join(self, ids: Any) -> Any:
        return tf.strings.reduce_join(tf.gather(tf.constant(self.vocabulary), ids), axis=-1)


def _split(text: Any) -> Any:
    return tf.strings.unicode_split(text, "UTF-8")
