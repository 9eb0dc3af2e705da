"""How many tokens captions have: counted once, and kept by fingerprint."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmdata.example import Stage
from mmdata.options import Text
from mmdata.pairs.strings import Strings
from mmdata.progress import progress
from mmdata.storage.user_cache import fingerprint, load_arrays, save_arrays, user_cache
from mmdata.tokenizers import Tokenizer

_BATCH = 4096


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class TokenCounts:
    """What was counted of n captions.

    Attributes:
      tokens: int32 [n], the tokens of each, special ones not included; before cutting.
      unknown: int32 [n], how many of them the vocabulary lacks.
      empty: bool [n], whether no token is left of a caption that held text.
    """

    tokens: NDArray[np.int32]
    unknown: NDArray[np.int32]
    empty: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        captions: Strings,
        text: Text,
        tokenizer: Tokenizer,
        before: tuple[Stage, ...] = (),
    ) -> "TokenCounts":
        """Counts, with a progress bar after two seconds; or takes what was counted before.

        Args:
          captions: As they were read.
          text: How they are cleaned.
          tokenizer: What splits them.
          before: Stages that run before they are cleaned.
        """
        settings = (text.cleaner, tokenizer.fingerprint, before)
        name = fingerprint(settings, captions.offsets.tobytes(), captions.data)
        path = user_cache() / "lengths" / f"{name}.npz"
        kept = load_arrays(path)
        names = [field.name for field in dataclasses.fields(cls)]
        shape = (len(captions),)
        if any(name not in kept or kept[name].shape != shape for name in names):
            kept = _counted(captions, text, tokenizer, before)
            save_arrays(path, kept)
        return cls(**{name: kept[name] for name in names})


def _counted(
    captions: Strings, text: Text, tokenizer: Tokenizer, before: tuple[Stage, ...]
) -> dict[str, NDArray[Any]]:
    count = len(captions)
    dtypes = {"tokens": np.int32, "unknown": np.int32, "empty": np.bool_}
    counted: dict[str, NDArray[Any]] = {name: np.zeros(count, dtypes[name]) for name in dtypes}
    with progress(total=count, what="counting tokens", unit="caption") as bar:
        for begin in range(0, count, _BATCH):
            batch = tf.constant(captions[begin : begin + _BATCH], tf.string)
            columns = _count(batch, text, tokenizer, before)
            for column, part in zip(counted.values(), columns, strict=True):
                column[begin : begin + _BATCH] = part
            bar.update(len(batch))
    return counted


def _count(
    captions: Any, text: Text, tokenizer: Tokenizer, before: tuple[Stage, ...]
) -> tuple[Any, Any, Any]:
    example = {"caption": captions}
    for stage in (*before, text.cleaner):
        example = stage(example) if stage is not None else example
    ids = tokenizer.tokenize(example["caption"])
    tokens = tf.cast(ids.row_lengths(), tf.int32)
    unknown = tf.zeros_like(tokens)
    if tokenizer.unknown_id is not None:
        unknown = tf.reduce_sum(tf.cast(ids == tokenizer.unknown_id, tf.int32), axis=-1)
    return tokens, unknown, (tokens == 0) & (tf.strings.strip(captions) != "")
