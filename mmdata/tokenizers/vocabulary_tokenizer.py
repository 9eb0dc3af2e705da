"""`VocabularyTokenizer`: a tokenizer whose file is a list of tokens."""

import dataclasses
import functools
import os
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import tensorflow as tf
from typing_extensions import Self

from mmdata.tokenizers.tokenizer import Tokenizer
from mmdata.tokenizers.vocabulary_files import read, write

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[START]", "[END]")
"""The first four tokens of each learned vocabulary."""

RESERVED_TOKEN = r"\[\S+\]|<\S+>"
"""Tokens for a model's own use: no text becomes them, since brackets are tokens of their own."""

_INVALID = re.compile(r"[\n\ud800-\udfff]")
_BOM = "\ufeff"


@dataclasses.dataclass(frozen=True, repr=False)
class VocabularyTokenizer(Tokenizer):
    """A tokenizer that is fully described by its vocabulary: a text file with one token per line.

    Attributes:
      vocabulary: Each token once; its index is its id. Begins with `SPECIAL_TOKENS`. No token
        is empty or holds a line feed.

    Raises:
      ValueError: The vocabulary is not as described.
    """

    vocabulary: tuple[str, ...]

    def __post_init__(self) -> None:
        who = f"{type(self).__name__}(vocabulary=...)"
        self._require_special_tokens(who)
        duplicates = [token for token, count in Counter(self.vocabulary).items() if count > 1]
        if duplicates:
            raise ValueError(
                f"{who} must hold each token once; got duplicates of {sorted(duplicates)[:5]}."
            )
        for place, token in enumerate(self.vocabulary):
            if not token or _INVALID.search(token) or (not place and token.startswith(_BOM)):
                raise ValueError(
                    f"{who} must hold no empty token, line feed, half of a surrogate pair, or byte "
                    f"order mark at its beginning; got {token!r}. See vocabulary[{place}]."
                )

    def _require_special_tokens(self, who: str) -> None:
        if self.vocabulary[:4] != SPECIAL_TOKENS or len(self.vocabulary) == 4:
            raise ValueError(
                f"{who} must begin with {', '.join(SPECIAL_TOKENS)} followed by other tokens; got "
                f"{len(self.vocabulary):,} token(s), beginning with {list(self.vocabulary[:4])}."
            )

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[str, ...]]]:
        return type(self), (self.vocabulary,)

    @property
    def pad_id(self) -> int:
        """The id of "[PAD]"."""
        return 0

    @property
    def unknown_id(self) -> int:
        """The id of "[UNK]"."""
        return 1

    @property
    def start_id(self) -> int:
        """The id of "[START]"."""
        return 2

    @property
    def end_id(self) -> int:
        """The id of "[END]"."""
        return 3

    @functools.cached_property
    def _ids(self) -> Any:
        """A table of the ids of all tokens except the special ones."""
        with tf.init_scope(), tf.device("CPU:0"):
            keys = tf.constant(self.vocabulary[len(SPECIAL_TOKENS) :])
            values = tf.range(len(SPECIAL_TOKENS), self.vocabulary_size)
            return tf.lookup.StaticHashTable(
                tf.lookup.KeyValueTensorInitializer(keys, values), self.unknown_id
            )

    def _parts(self) -> Iterable[bytes]:
        return (token.encode() for token in self.vocabulary)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the vocabulary as UTF-8 text, one token per line; never half-written."""
        write(path, "".join(f"{token}\n" for token in self.vocabulary).encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a vocabulary with one token per line; line ends may be CR LF.

        Raises:
          FileNotFoundError: There is no such file.
          ValueError: The file is not such a vocabulary.
        """
        content = read(path)
        try:
            tokens = content.decode("utf-8-sig").removesuffix("\n").split("\n")
            if all(token.endswith("\r") for token in tokens):
                tokens = [token.removesuffix("\r") for token in tokens]
            return cls(tuple(tokens))
        except ValueError as err:
            raise ValueError(f"{path}: not a vocabulary of {cls.__name__}: {err}") from err
