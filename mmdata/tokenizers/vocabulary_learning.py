"""Learning a vocabulary: what several tokenizers share."""

import abc
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import tensorflow as tf
from typing_extensions import Self

from mmdata.progress import progress
from mmdata.tokenizers.vocabulary_tokenizer import (
    RESERVED_TOKEN,
    SPECIAL_TOKENS,
    VocabularyTokenizer,
)

_BATCH = 4096

NO_TEXT = "learn(captions) needs at least one caption with text; got none."


class LearnedVocabulary(VocabularyTokenizer):
    """A tokenizer whose vocabulary is learned from captions."""

    @classmethod
    def learn(
        cls,
        captions: Iterable[str],
        *,
        vocabulary_size: int = 8000,
        reserved_tokens: tuple[str, ...] = (),
    ) -> Self:
        """Learns the vocabulary from clean captions.

        Args:
          captions: Clean text; may be a stream of any length.
          vocabulary_size: Maximum number of tokens, with special and reserved ones, >= 5.
          reserved_tokens: Tokens in brackets, such as "[NAME]" or "<name>", for a model's own use.
            Their ids begin at 4. No text becomes them.

        Raises:
          ValueError: The captions have no text, the size is too small, or a reserved token is not
            in brackets, a duplicate, or special.
        """
        first = first_tokens(vocabulary_size, reserved_tokens)
        return cls((*first, *cls._learned(captions, vocabulary_size - len(first))))

    @classmethod
    @abc.abstractmethod
    def _learned(cls, captions: Iterable[str], size: int) -> list[str]:
        """At most `size` tokens, in the order of their ids."""


def with_progress(captions: Iterable[str]) -> Iterable[str]:
    """The captions, with a progress bar after two seconds."""
    bar: Iterable[str] = progress(captions, what="learning a vocabulary", unit="caption")
    return bar


def count_tokens(captions: Iterable[str], split: Callable[[Any], Any]) -> Counter[str]:
    """Counts the tokens into which `split` splits captions, with a progress bar after two seconds.

    Raises:
      ValueError: No caption has text.
    """
    stream = iter(with_progress(captions))
    counts: Counter[bytes] = Counter()
    while batch := list(islice(stream, _BATCH)):
        counts.update(split(tf.constant(batch)).flat_values.numpy().tolist())
    decoded = Counter({token.decode(): number for token, number in counts.items()})
    if not any(token.strip() for token in decoded):
        raise ValueError(NO_TEXT)
    return decoded


def most_common(counts: Counter[str], size: int) -> list[str]:
    """At most `size` tokens, the most common first; equally common ones in alphabetical order."""
    return sorted(counts, key=lambda token: (-counts[token], token))[:size]


def first_tokens(vocabulary_size: int, reserved_tokens: Sequence[str]) -> tuple[str, ...]:
    """The tokens before the learned ones: the special and then the reserved ones.

    Raises:
      ValueError: A reserved token is not in brackets, a duplicate, or special; or the size leaves
        no room for another token.
    """
    require_reserved_tokens(reserved_tokens, SPECIAL_TOKENS)
    require_vocabulary_size(vocabulary_size, len(reserved_tokens))
    return (*SPECIAL_TOKENS, *reserved_tokens)


def require_reserved_tokens(reserved_tokens: Sequence[str], special: Sequence[str]) -> None:
    """Raises a ValueError unless all are in brackets, and differ from each other and `special`."""
    if isinstance(reserved_tokens, str):
        raise ValueError(
            f"reserved_tokens=... must be a tuple of strings; got {reserved_tokens!r}."
        )
    invalid = [token for token in reserved_tokens if not re.fullmatch(RESERVED_TOKEN, token)]
    if invalid:
        raise ValueError(
            "reserved_tokens=... must be in brackets without spaces, such as [NAME] or <name>, so "
            f"that no text becomes them; got {sorted(invalid)[:5]}."
        )
    counts = Counter([*special, *reserved_tokens])
    duplicates = [token for token, number in counts.items() if number > 1]
    if duplicates:
        raise ValueError(
            f"reserved_tokens=... must differ from each other and from {', '.join(special)}; got "
            f"duplicates of {sorted(duplicates)[:5]}."
        )


def require_vocabulary_size(vocabulary_size: int, reserved: int = 0) -> None:
    """Raises a ValueError unless it is an int with room for special, reserved and other tokens."""
    least = len(SPECIAL_TOKENS) + reserved
    if not (isinstance(vocabulary_size, int) and vocabulary_size > least):
        kinds = "special and reserved" if reserved else "special"
        raise ValueError(
            f"vocabulary_size=... must be an int above {least}, the number of {kinds} tokens; got "
            f"{vocabulary_size!r}."
        )
