"""Clean captions -> ids of fixed length, with a mask."""

import dataclasses
from typing import Any

import tensorflow as tf

from mmdata.example import Example
from mmdata.tokenizers import Tokenizer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tokenize:
    """Splits captions into tokens.

    caption: string [...]  ->  token_ids: int32 [..., None], ragged

    Does not add special tokens.

    Attributes:
      tokenizer: What splits.
    """

    tokenizer: Tokenizer

    def __call__(self, example: Example) -> Example:
        return {**example, "token_ids": self.tokenizer.tokenize(example["caption"])}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pack:
    """Puts tokens between a start and an end token, cut or padded to a fixed length.

    token_ids: int32 [..., None], ragged  ->  token_ids: int32 [..., t], padding_mask: bool [..., t]

    The end token survives cutting. The mask is True at real tokens, start and end included.

    Attributes:
      length: t, in tokens, >= 3.
      start_id, end_id, pad_id: The special tokens.

    Raises:
      ValueError: `length` leaves no room for a token.
    """

    length: int
    start_id: int
    end_id: int
    pad_id: int = 0

    def __post_init__(self) -> None:
        if not (isinstance(self.length, int) and self.length >= 3):
            raise ValueError(
                "Pack(length=...) must be an int of at least 3, for start, a token and end; "
                f"got length={self.length!r}."
            )

    def __call__(self, example: Example) -> Example:
        ids = example["token_ids"]
        room = self.length - 2
        tokens = _dense(ids, room, self.pad_id)
        end = 1 + tf.reduce_sum(_dense(tf.ones_like(ids), room, 0), axis=-1, keepdims=True)
        places = tf.range(self.length)
        packed = tf.concat(
            [
                tf.fill(tf.shape(end), self.start_id),
                tokens,
                tf.fill(tf.shape(end), self.pad_id),
            ],
            axis=-1,
        )
        packed = tf.where(places == end, self.end_id, packed)
        return {**example, "token_ids": packed, "padding_mask": places <= end}


def _dense(ids: Any, length: int, fill: int) -> Any:
    """Cuts or fills the last axis to `length`: int32 [..., None] -> int32 [..., length]."""
    if isinstance(ids, tf.RaggedTensor):
        return ids.to_tensor(fill, shape=[None] * (ids.shape.rank - 1) + [length])
    return _dense(tf.RaggedTensor.from_tensor(ids[tf.newaxis]), length, fill)[0]
