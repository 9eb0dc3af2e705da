"""What learning a vocabulary has in common."""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import tensorflow as tf
from tqdm import tqdm

from mmdata.tokenizers.listed import SPECIAL_TOKENS

_BATCH = 4096


def count(captions: Iterable[str], split: Callable[[Any], Any]) -> Counter[str]:
    """Counts what `split` makes of the captions, with a progress bar after two seconds.

    Raises:
      ValueError: There is no caption that holds text.
    """
    stream = iter(
        tqdm(captions, desc="learning a vocabulary", unit="caption", delay=2, leave=False)
    )
    counts: Counter[bytes] = Counter()
    while batch := list(islice(stream, _BATCH)):
        counts.update(split(tf.constant(batch)).flat_values.numpy().tolist())
    if not counts:
        raise ValueError("learn(captions) needs at least one caption with text; got none.")
    return Counter({word.decode(): number for word, number in counts.items()})


def require_vocabulary_size(vocabulary_size: int) -> None:
    """Raises a ValueError unless it is an int with room for the special tokens and another."""
    if not (isinstance(vocabulary_size, int) and vocabulary_size > len(SPECIAL_TOKENS)):
        raise ValueError(
            f"vocabulary_size=... must be an int above {len(SPECIAL_TOKENS)}, the number of "
            f"special tokens; got {vocabulary_size!r}."
        )
