"""Splits text into words, and joins words, in the graph."""

from typing import Any

import tensorflow as tf

_WORD = r"[\p{L}\p{M}\p{N}]+(?:['\x{2019}-][\p{L}\p{M}\p{N}]+)*|[^\s]"
_PART = r"[\p{L}\p{M}\p{N}]+|[^\s]"
_HAN = (
    r"\x{3400}-\x{4DBF}\x{4E00}-\x{9FFF}\x{F900}-\x{FAFF}"
    r"\x{20000}-\x{2A6DF}\x{2A700}-\x{2CEAF}\x{2F800}-\x{2FA1F}"
)
ALONE = rf"[\s\p{{Z}}\p{{P}}$+<=>^`|~{_HAN}]"


def split_words(text: Any) -> Any:
    """Splits clean text into words and punctuation marks: string [n] -> string [n, None], ragged.

    An apostrophe or a hyphen inside a word belongs to it.
    """
    return _split(text, _WORD)


def split_parts(text: Any) -> Any:
    """As `split_words`, but apostrophes, hyphens and Han characters are separate, as in BERT."""
    return _split(tf.strings.regex_replace(text, r"\p{Han}", r" \0 "), _PART)


def separate_symbols(text: Any) -> Any:
    """Puts spaces around the characters that BERT makes words of their own: string [n] -> [n].

    Source: BERT `tokenization.py`: punctuation, ASCII symbols, and blocks of Han characters.
    """
    return tf.strings.regex_replace(text, ALONE, r" \0 ")


def _split(text: Any, pattern: str) -> Any:
    return tf.strings.split(tf.strings.regex_replace(text, pattern, r" \0 "))


def join_words(words: Any) -> Any:
    """Joins words with spaces, without one before closing punctuation: string [n, None] -> [n]."""
    text = tf.strings.reduce_join(words, axis=-1, separator=" ")
    text = tf.strings.regex_replace(text, r" ([.,!?;:%)\]}…])", r"\1")
    text = tf.strings.regex_replace(text, r"([(\[{]) ", r"\1")
    for _ in range(2):  # matches do not overlap: "rock - n - roll" needs two
        text = tf.strings.regex_replace(
            text, r"([\p{L}\p{N}]) (['\x{2019}-]) ([\p{L}\p{N}])", r"\1\2\3"
        )
    return text
