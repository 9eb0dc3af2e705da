"""What learning a vocabulary has in common."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import tensorflow as tf

from mmdata.progress import progress
from mmdata.tokenizers.listed import RESERVED_TOKEN, SPECIAL_TOKENS

_BATCH = 4096

NO_TEXT = "learn(captions) needs at least one caption with text; got none."


def watched(captions: Iterable[str]) -> Iterable[str]:
    """The captions, with a progress bar after two seconds."""
    bar: Iterable[str] = progress(captions, what="learning a vocabulary", unit="caption")
    return bar


def count(captions: Iterable[str], split: Callable[[Any], Any]) -> Counter[str]:
    """Counts what `split` makes of the captions, with a progress bar after two seconds.

    Raises:
      ValueError: There is no caption that holds text.
    """
    stream = iter(watched(captions))
    counts: Counter[bytes] = Counter()
    while batch := list(islice(stream, _BATCH)):
        counts.update(split(tf.constant(batch)).flat_values.numpy().tolist())
    decoded = Counter({token.decode(): number for token, number in counts.items()})
    if not any(token.strip() for token in decoded):
        raise ValueError(NO_TEXT)
    return decoded


def commonest(counts: Counter[str], size: int) -> list[str]:
    """At most `size` tokens, the commonest first; equally common ones by the alphabet."""
    return sorted(counts, key=lambda token: (-counts[token], token))[:size]


def first_tokens(vocabulary_size: int, reserved_tokens: Sequence[str]) -> tuple[str, ...]:
    """The tokens in front of the learned ones: the special and then the reserved ones.

    Raises:
      ValueError: A reserved token is one that text could become, there twice, or special; or the
        size leaves no room for another token.
    """
    require_reserved_tokens(reserved_tokens, SPECIAL_TOKENS)
    require_vocabulary_size(vocabulary_size, len(reserved_tokens))
    return (*SPECIAL_TOKENS, *reserved_tokens)


def require_reserved_tokens(reserved_tokens: Sequence[str], special: Sequence[str]) -> None:
    """Raises a ValueError unless they differ, from the special ones too, and stand in brackets."""
    if isinstance(reserved_tokens, str):
        raise ValueError(
            f"reserved_tokens=... must be a tuple of strings; got {reserved_tokens!r}."
        )
    texts = [token for token in reserved_tokens if not re.fullmatch(RESERVED_TOKEN, token)]
    if texts:
        raise ValueError(
            "reserved_tokens=... must stand in brackets and hold no space, as [NAME] or <name>, "
            f"so that no text becomes them; got {sorted(texts)[:5]}."
        )
    counts = Counter([*special, *reserved_tokens])
    twice = [token for token, number in counts.items() if number > 1]
    if twice:
        raise ValueError(
            f"reserved_tokens=... must differ from each other and from {', '.join(special)}; got "
            f"more of {sorted(twice)[:5]}."
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
