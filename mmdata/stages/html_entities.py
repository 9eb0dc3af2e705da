"""HTML's character references -> the characters that they mean."""

import html
import html.entities
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

# In reverse order, a name comes before its prefixes: the first match is the longest.
_NAMES = [f"&{name}" for name in sorted(html.entities.html5, reverse=True)]
_REFERENCE = f"&#(?:[0-9]+|[xX][0-9a-fA-F]+);?|{'|'.join(_NAMES)}"
_CUT = b"\xff"  # valid UTF-8 never holds this byte

# TensorFlow needs 0.1 s to load thousands of strings, and no time for numbers: so names are hashes
# here, and characters are code points.
_WIDTH = max(map(len, _NAMES))
_WEIGHTS = np.cumprod(np.full(_WIDTH, 1_000_003, np.int64))
_HASHES = np.array(_NAMES, f"S{_WIDTH}").view(np.uint8).reshape(-1, _WIDTH) @ _WEIGHTS
_ORDER = np.argsort(_HASHES)
_NONE = -1


def _code_points(characters: str) -> tuple[int, int]:
    """One or two characters as two numbers; `_NONE` is no character."""
    first, second = [*map(ord, characters), _NONE, _NONE][:2]
    return first, second


_NAMED = np.array([_code_points(html.entities.html5[name[1:]]) for name in _NAMES], np.int64)
_LOW = np.array([_code_points(html.unescape(f"&#{number};")) for number in range(0xA0)], np.int64)
"""The characters that the first numbers mean: many differ from the characters with that number."""


def unescape(text: Any) -> Any:
    """Replaces character references once, as Python's `html.unescape` does: string [n], UTF-8.

    Source: HTML Living Standard, 13.2.5.72 to 13.2.5.80.
    """
    cut = tf.strings.regex_replace(text, _REFERENCE, _CUT + rb"\0" + _CUT)
    pieces = tf.strings.split(cut, _CUT)
    is_reference = tf.ragged.range(pieces.row_lengths()).flat_values % 2 == 1
    replaced = on_some(pieces.flat_values, is_reference, _characters)
    return tf.strings.reduce_join(pieces.with_flat_values(replaced), axis=-1)


def on_some(text: Any, chosen: Any, change: Callable[[Any], Any]) -> Any:
    """Changes the texts where `chosen`, bool [n], is true; costs next to nothing if none is."""
    places = tf.where(chosen)
    return tf.cond(
        tf.size(places) > 0,
        lambda: tf.tensor_scatter_nd_update(text, places, change(tf.gather_nd(text, places))),
        lambda: text,
    )


def _characters(references: Any) -> Any:
    """The characters that references mean: string [m] -> string [m]."""
    is_number = tf.strings.regex_full_match(references, "&#.*")[:, tf.newaxis]
    code_points = tf.where(is_number, _numbered(references), _named(references))
    code_points = tf.RaggedTensor.from_tensor(tf.cast(code_points, tf.int32), padding=_NONE)
    # Gives U+FFFD for surrogates and for numbers beyond Unicode.
    return tf.strings.unicode_encode(code_points, "UTF-8")


def _named(references: Any) -> Any:
    """The code points of names: int64 [m, 2]; undefined for numbers."""
    letters = tf.cast(tf.io.decode_raw(references, tf.uint8, fixed_length=_WIDTH), tf.int64)
    hashes = tf.reduce_sum(letters * _WEIGHTS, axis=-1)
    places = tf.searchsorted(_HASHES[_ORDER], hashes)
    return tf.gather(_NAMED[_ORDER], tf.minimum(places, len(_NAMES) - 1))


def _numbered(references: Any) -> Any:
    """The code points of numbers: int64 [m, 2]; undefined for names."""
    number = _number(references)
    is_noncharacter = ((number >= 0xFDD0) & (number <= 0xFDEF)) | (number % 0x10000 >= 0xFFFE)
    none = tf.constant(_NONE, tf.int64)
    high = tf.where(is_noncharacter, none, number)[:, tf.newaxis]
    high = tf.concat([high, tf.fill(tf.shape(high), none)], 1)
    low = tf.gather(_LOW, tf.minimum(number, len(_LOW) - 1))
    return tf.where(number[:, tf.newaxis] < len(_LOW), low, high)


def _number(references: Any) -> Any:
    """The numbers, int64 [m]; 0x110000 for all beyond Unicode."""
    digits = tf.strings.regex_replace(references, "^&#[xX]?0*|;$", "")
    count = 8  # in decimal and hexadecimal, 8 digits without leading zeros are beyond Unicode
    values = tf.cast(tf.io.decode_raw(digits, tf.uint8, fixed_length=count), tf.int64)
    values = values % 16 + values // 64 * 9
    is_hex = tf.strings.regex_full_match(references, "&#[xX].*")
    base = tf.where(is_hex, tf.constant(16, tf.int64), 10)
    number = tf.reduce_sum(values * base[:, tf.newaxis] ** tf.range(count - 1, -1, -1, tf.int64), 1)
    missing = tf.maximum(count - tf.strings.length(digits), 0)
    return tf.minimum(number // base ** tf.cast(missing, tf.int64), 0x110000)
