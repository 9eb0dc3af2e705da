"""Captions as people type them -> captions as tokenizers want them."""

import dataclasses

import tensorflow as tf
import tensorflow_text as tf_text

from mmdata.example import Example


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clean:
    """Makes text uniform: valid UTF-8, lower case, Unicode NFC, single spaces.

    caption: string [...]  ->  string [...]

    Control characters count as spaces; spaces at both ends go. Idempotent. Keeps punctuation,
    accents and markup.

    Attributes:
      lower: Whether to lower the case, in every script.

    Source: Unicode Standard Annex #15 (NFC); categories Z and Cc of UAX #44.
    """

    lower: bool = True

    def __call__(self, example: Example) -> Example:
        text = tf_text.coerce_to_structurally_valid_utf8(example["caption"])
        # Spaces first: tf.strings.lower ends a text at its first U+0000.
        text = tf.strings.regex_replace(text, r"[\p{Z}\p{Cc}]+", " ")
        text = tf.strings.regex_replace(text, r"^ | $", "")
        if self.lower:
            text = tf.strings.lower(text, encoding="utf-8")
        return {**example, "caption": tf_text.normalize_utf8(text, "NFC")}
