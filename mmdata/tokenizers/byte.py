"""UTF-8 bytes."""

import dataclasses
from typing import Any

import tensorflow as tf
import tensorflow_text as tf_text

from mmdata.tokenizers.listed import SPECIAL_TOKENS, Listed

_FIRST = len(SPECIAL_TOKENS)
_VOCABULARY = (*SPECIAL_TOKENS, *(f"<0x{byte:02X}>" for byte in range(256)))


@dataclasses.dataclass(frozen=True, repr=False)
class Byte(Listed):
    """One id a byte of UTF-8: byte + 4. Lossless, nothing to learn, no text is unknown.

    Raises:
      ValueError: The vocabulary is another than its default.
    """

    vocabulary: tuple[str, ...] = _VOCABULARY

    def __post_init__(self) -> None:
        if self.vocabulary != _VOCABULARY:
            raise ValueError(
                "Byte(vocabulary=...) must be the special tokens and <0x00> to <0xFF>; got "
                f"{len(self.vocabulary):,} other token(s). Use Byte()."
            )

    def _tokenize(self, text: Any) -> Any:
        # An eighth of the graph that `tf_text.ByteSplitter` makes.
        return tf.ragged.map_flat_values(_ids_of, tf.strings.bytes_split(text))

    def _join(self, ids: Any) -> Any:
        characters = tf.constant([b"[UNK]"] * _FIRST + [bytes([b]) for b in range(256)])
        joined = tf.strings.reduce_join(tf.gather(characters, ids), axis=-1)
        return tf_text.coerce_to_structurally_valid_utf8(joined)


def _ids_of(single: Any) -> Any:
    """Bytes one by one, string [n] -> ids, int32 [n]."""
    return tf.cast(tf.reshape(tf.io.decode_raw(single, tf.uint8), [-1]), tf.int32) + _FIRST
