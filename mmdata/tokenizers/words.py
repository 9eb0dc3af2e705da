"""Words in the graph: where they begin and end, and how they are joined again."""

from typing import Any

import tensorflow as tf

WIDE = r"\t-\r\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
"""White space except U+0020, for a character class of RE2, whose own white space is ASCII only.

Source: Unicode, property White_Space.
"""

SPACE = f" {WIDE}"
"""White space, for a character class of RE2."""

_WORD = r"[\p{L}\p{M}\p{N}]+(?:['\x{2019}-][\p{L}\p{M}\p{N}]+)*|[^\s]"
_PART = r"[\p{L}\p{M}\p{N}]+|[^\s]"
_HAN = (
    r"\x{3400}-\x{4DBF}\x{4E00}-\x{9FFF}\x{F900}-\x{FAFF}"
    r"\x{20000}-\x{2A6DF}\x{2A700}-\x{2CEAF}\x{2F800}-\x{2FA1F}"
)
_ALONE = rf"[\s\p{{Z}}\p{{P}}$+<=>^`|~{_HAN}]"


def split_words(text: Any) -> Any:
    """Splits clean text into words and punctuation marks: string [n] -> string [n, None], ragged.

    An apostrophe or a hyphen inside a word belongs to it.
    """
    return _split(text, _WORD)


def split_parts(text: Any) -> Any:
    """As `split_words`, but apostrophes, hyphens and Han characters stand alone, as in BERT."""
    return _split(tf.strings.regex_replace(text, r"\p{Han}", r" \0 "), _PART)


def stand_alone(text: Any) -> Any:
    """Puts spaces around what is a word of its own in BERT: string [n] -> string [n].

    Source: BERT `tokenization.py`: punctuation, ASCII symbols, and blocks of Han characters.
    """
    return tf.strings.regex_replace(text, _ALONE, r" \0 ")


def _split(text: Any, pattern: str) -> Any:
    return tf.strings.split(tf.strings.regex_replace(text, pattern, r" \0 "))


def join_words(words: Any) -> Any:
    """Joins words with spaces, and none before closing punctuation: string [n, None] -> [n]."""
    text = tf.strings.reduce_join(words, axis=-1, separator=" ")
    text = tf.strings.regex_replace(text, r" ([.,!?;:%)\]}…])", r"\1")
    text = tf.strings.regex_replace(text, r"([(\[{]) ", r"\1")
    for _ in range(2):  # matches do not overlap: "rock - n - roll" takes two
        text = tf.strings.regex_replace(
            text, r"([\p{L}\p{N}]) (['\x{2019}-]) ([\p{L}\p{N}])", r"\1\2\3"
        )
    return text
