"""Clean captions -> ids of a fixed length, with masks."""

import dataclasses
from typing import Any, Literal, get_args

import tensorflow as tf

from mmdata.example import Example
from mmdata.settings import as_dict
from mmdata.stages.checks import require_one_of
from mmdata.tokenizers import Tokenizer

Padding = Literal["length", "longest"]
Side = Literal["right", "left"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tokenize:
    """Splits captions into tokens.

    caption: string [...]  ->  token_ids: int32 [..., None], ragged

    Does not add special tokens.

    Attributes:
      tokenizer: The tokenizer.
    """

    tokenizer: Tokenizer

    to_dict = as_dict

    def __call__(self, example: Example) -> Example:
        return {**example, "token_ids": self.tokenizer.tokenize(example["caption"])}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pack:
    """Puts tokens between a start and an end token, cut or padded to the sequence length.

    token_ids: int32 [..., None], ragged; length: int [b], with `buckets`
      ->  token_ids, padding_mask, response_mask: int32 [..., t]

    The start token, the prompt and the end token are never cut off. `padding_mask` is 1 at real
    tokens, with the special ones, and `response_mask` at those after the prompt; elsewhere they
    are 0. t is `length`, unless `padding` or `buckets` says otherwise.

    Attributes:
      length: Maximum sequence length, with room for a token besides the special ones.
      start_id, end_id: Ids at the two ends; None means no such token.
      pad_id: The id for padding.
      prompt: Tokens between the start and the caption.
      padding: "length" pads to `length`; "longest", to the longest sequence in the batch.
      padding_side: "right" pads after the sequence; "left", before it.
      buckets: Lengths of at most `length`; each batch has one of them as its feature `length`.

    Raises:
      ValueError: `length` leaves no room for a token, or a field is out of range.
    """

    length: int
    start_id: int | None
    end_id: int | None
    pad_id: int = 0
    prompt: tuple[int, ...] = ()
    padding: Padding = "length"
    padding_side: Side = "right"
    buckets: tuple[int, ...] = ()

    to_dict = as_dict

    def __post_init__(self) -> None:
        least, words = room_needed(self.start_id, self.prompt, self.end_id)
        lengths = (self.length, *self.buckets)
        if not all(isinstance(length, int) and length >= least for length in lengths):
            also = f", buckets={self.buckets!r}" if self.buckets else ""
            raise ValueError(
                f"Pack(length=...) must be an int of at least {least}, for {words}; "
                f"got length={self.length!r}{also}."
            )
        require_padding("Pack", self.padding, self.padding_side)

    @property
    def special_tokens(self) -> int:
        """Number of tokens in each sequence besides its caption's."""
        return room_needed(self.start_id, self.prompt, self.end_id)[0] - 1

    @property
    def _before(self) -> tuple[int, ...]:
        return (() if self.start_id is None else (self.start_id,)) + self.prompt

    def __call__(self, example: Example) -> Example:
        ids = example["token_ids"]
        if not isinstance(ids, tf.RaggedTensor):
            row = {**example, "token_ids": tf.RaggedTensor.from_tensor(ids[tf.newaxis])}
            return {**example, **{name: value[0] for name, value in self._packed(row).items()}}
        return {**example, **self._packed(example)}

    def _packed(self, example: Example) -> Example:
        ids = rows = example["token_ids"]
        while rows.ragged_rank > 1:
            rows = rows.values
        most = tf.cast(example["length"][0], tf.int32) if self.buckets else self.length
        counts = tf.minimum(tf.cast(rows.row_lengths(), tf.int32), most - self.special_tokens)
        ends = counts[:, tf.newaxis] + self.special_tokens
        width = most
        if self.padding == "longest":
            width = tf.maximum(tf.reduce_max(ends), self.special_tokens)
        packed = self._right(rows, ends, width)
        places = tf.range(width)
        first = tf.zeros_like(ends)  # where each sequence begins
        if self.padding_side == "left":
            packed = tf.gather(packed, (places + ends) % width, batch_dims=1)
            first = width - ends
        real = (places >= first) & (places < first + ends)
        made = {
            "token_ids": packed,
            "padding_mask": tf.cast(real, tf.int32),
            "response_mask": tf.cast(real & (places >= first + len(self._before)), tf.int32),
        }
        return {name: _shaped_as(ids, value) for name, value in made.items()}

    def _right(self, rows: Any, ends: Any, width: Any) -> Any:
        """The sequences, padded on the right: int32 [n, width]."""
        room = width - self.special_tokens
        shape = [None, room] if isinstance(width, int) else tf.stack([-1, room])
        tokens = rows.to_tensor(self.pad_id, shape=shape)
        count = tf.shape(tokens)[0]
        before = tf.tile(tf.constant([self._before], tf.int32), [count, 1])
        if self.end_id is None:
            return tf.concat([before, tokens], axis=-1)
        packed = tf.concat([before, tokens, tf.fill([count, 1], self.pad_id)], axis=-1)
        return tf.where(tf.range(width) == ends - 1, self.end_id, packed)


def _shaped_as(ids: Any, rows: Any) -> Any:
    """Gives rows [n, t] the leading axes of ragged `ids`; dense where those are uniform."""
    if ids.ragged_rank == 1:
        return rows
    inner = _shaped_as(ids.values, rows)
    if ids.uniform_row_length is None:
        return ids.with_values(inner)
    shape = [ids.nrows(), ids.uniform_row_length, *tf.unstack(tf.shape(inner, tf.int64)[1:])]
    return tf.ensure_shape(tf.reshape(inner, shape), [None, *ids.shape[1:-1], *inner.shape[-1:]])


def room_needed(
    start_id: int | None, prompt: tuple[int, ...], end_id: int | None
) -> tuple[int, str]:
    """The minimum length of a sequence with one token of a caption, and its parts in words."""
    words = [
        *["start"] * (start_id is not None),
        *[f"a prompt of {len(prompt):,} token(s)"] * bool(prompt),
        "a token",
        *["end"] * (end_id is not None),
    ]
    return (start_id is not None) + len(prompt) + 1 + (end_id is not None), ", ".join(words)


def require_padding(who: str, padding: object, side: object) -> None:
    """Raises a ValueError unless these are a `Padding` and a `Side`."""
    require_one_of(f"{who}(padding=...)", padding, get_args(Padding))
    require_one_of(f"{who}(padding_side=...)", side, get_args(Side))
