"""Sets of characters as TensorFlow knows them, for JavaScript, whose Unicode is another one."""

import functools
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text
from numpy.typing import NDArray

Ranges: TypeAlias = list[int]
"""Code points: how many are not in the set, how many are, how many are not, and so on from 0."""

_SURROGATES = range(0xD800, 0xE000)
_UNASSIGNED = "\u0378"
_UNKNOWN = 103  # ICU's script of unassigned characters


def characters() -> Any:
    """All characters except surrogates: string [1112064]; without a cache, since few need it."""
    return tf.strings.unicode_encode(code_points()[:, np.newaxis], "UTF-8")


def code_points() -> NDArray[np.int32]:
    """The numbers of `characters`."""
    return np.delete(np.arange(0x110000, dtype=np.int32), _SURROGATES)


def ranges(is_member: Any) -> Ranges:
    """Compresses a set: bool [1112064] -> numbers for `JSON`."""
    flags = np.zeros(0x110002, np.int8)
    flags[1 + code_points()] = is_member
    return [int(count) for count in np.diff(np.flatnonzero(np.diff(flags)), prepend=0)]


@functools.cache
def matching(pattern: str) -> tuple[int, ...]:
    """The ranges of the characters that a regular expression of TensorFlow matches."""
    return tuple(ranges(tf.strings.regex_full_match(characters(), pattern)))


@functools.cache
def without_case() -> tuple[int, ...]:
    """The ranges of the characters that `tf.strings.lower` does not know yet."""
    return tuple(ranges(tf.strings.unicode_script(code_points()).numpy() == _UNKNOWN))


@functools.cache
def around_sigma() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ranges of characters with case, and of those that count as no character beside them.

    They decide whether a capital sigma is at the end of a word, for `tf.strings.lower`.
    """

    def is_inner(after: str) -> Any:
        text = tf.strings.join(["a\u03a3", characters(), after])
        lower = tf.strings.lower(text, encoding="utf-8")
        return tf.strings.regex_full_match(lower, "(?s)a\u03c3.*")

    has_case = is_inner("")
    return tuple(ranges(has_case)), tuple(ranges(is_inner("b") & ~has_case))


@functools.cache
def without_forms() -> tuple[int, ...]:
    """The ranges of the characters that `tf_text.normalize_utf8` does not know yet."""
    between = tf.strings.join([_UNASSIGNED, characters(), _UNASSIGNED])
    counts = tf_text.UnicodeScriptTokenizer().tokenize(between).row_lengths()
    return tuple(ranges(counts == 1))  # all three are of no known script


@functools.cache
def folds() -> tuple[tuple[int, ...], dict[str, str]]:
    """What "NFKC_CF" removes, as ranges; and what it replaces in another way than "NFKC"."""
    plain = tf_text.normalize_utf8(characters(), "NFKC").numpy()
    folded = tf_text.case_fold_utf8(characters()).numpy()
    is_removed = folded == b""
    changed = np.flatnonzero((folded != plain) & ~is_removed)
    texts = {chr(code_points()[place]): folded[place].decode() for place in changed}
    return tuple(ranges(is_removed)), texts


@functools.cache
def word_piece_classes() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ranges of characters that end a word for `FastBertTokenizer`, and of single words."""
    tokenizer = tf_text.FastBertTokenizer(
        vocab=["[UNK]", "a"],
        token_out_type=tf.int32,
        unknown_token="[UNK]",
        lower_case_nfd_strip_accents=False,
    )
    counts = tokenizer.tokenize(tf.strings.join(["a", characters(), "a"])).row_lengths().numpy()
    return tuple(ranges(counts == 2)), tuple(ranges(counts == 3))
