"""Numbers of tokens per caption: counted once, and saved on disk by fingerprint."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmdata.captions.cleaned import Cleaner, batches
from mmdata.pairs.strings import Strings
from mmdata.settings import fingerprint
from mmdata.storage.user_cache import load_arrays, save_arrays, user_cache
from mmdata.tokenizers import Tokenizer
from mmdata.versions import TEXT_VERSION


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class TokenCounts:
    """The counts of n captions.

    Attributes:
      tokens: int32 [n], tokens per caption before cutting, special ones not included.
      unknown: int32 [n], how many of them are not in the vocabulary.
      empty: bool [n], whether a caption had text, but has no token after cleaning.
    """

    tokens: NDArray[np.int32]
    unknown: NDArray[np.int32]
    empty: NDArray[np.bool_]

    @classmethod
    def of(cls, captions: Strings, cleaner: Cleaner, tokenizer: Tokenizer) -> "TokenCounts":
        """Counts, with a progress bar after two seconds; or loads earlier counts.

        Args:
          captions: Captions as they were read.
          cleaner: Cleans them.
          tokenizer: Splits them into tokens.
        """
        settings = {**cleaner.to_dict(), "tokenizer": tokenizer.to_dict(), "version": TEXT_VERSION}
        name = fingerprint(settings, captions.offsets.tobytes(), captions.data)
        path = user_cache() / "lengths" / f"{name}.npz"
        counts = load_arrays(path)
        names = [field.name for field in dataclasses.fields(cls)]
        if any(name not in counts or counts[name].shape != (len(captions),) for name in names):
            counts = _counted(captions, cleaner, tokenizer)
            save_arrays(path, counts)
        return cls(**{name: counts[name] for name in names})

    def take(self, places: NDArray[Any]) -> "TokenCounts":
        """The counts of some captions: int64 [k], or bool [n]."""
        return TokenCounts(
            tokens=self.tokens[places], unknown=self.unknown[places], empty=self.empty[places]
        )


def _counted(captions: Strings, cleaner: Cleaner, tokenizer: Tokenizer) -> dict[str, NDArray[Any]]:
    tokens, unknown = _counts(cleaner.reworded(captions), tokenizer)
    cleaned = _counts(cleaner.as_read(captions), tokenizer)[0] if cleaner.rewording else tokens
    empty = cleaned == 0
    texts = tf.constant(captions.take(np.flatnonzero(empty))[:], tf.string)
    empty[empty] = tf.strings.strip(texts) != ""
    return {"tokens": tokens, "unknown": unknown, "empty": empty}


def _counts(cleaned: Strings, tokenizer: Tokenizer) -> NDArray[np.int32]:
    """Tokens and unknown tokens of all captions, int32 [2, n]."""
    counts = [_count(batch, tokenizer) for batch in batches(cleaned)]
    return np.concatenate([np.zeros((2, 0), np.int32), *counts], axis=1)


def _count(cleaned: Any, tokenizer: Tokenizer) -> NDArray[np.int32]:
    """Tokens and unknown tokens of each caption of a batch, int32 [2, b]."""
    ids = tokenizer.tokenize(cleaned)
    unknown = tf.zeros(tf.shape(cleaned), tf.int32)
    if tokenizer.unknown_id is not None:
        unknown = tf.reduce_sum(tf.cast(ids == tokenizer.unknown_id, tf.int32), axis=-1)
    return np.stack([ids.row_lengths().numpy().astype(np.int32), unknown.numpy()])
