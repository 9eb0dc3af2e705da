"""What every tokenizer is: a vocabulary, and two functions inside the graph."""

import abc
import dataclasses
import hashlib
import os
import pathlib
import tempfile
from collections import Counter
from typing import Any, ClassVar, Self

import tensorflow as tf

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[START]", "[END]")
"""The first four tokens of each vocabulary; their places are `pad_id` to `end_id`."""


@dataclasses.dataclass(frozen=True, repr=False)
class Tokenizer(abc.ABC):
    """Text to ids and back, inside the graph.

    Two tokenizers of one class are equal when their vocabularies are.

    Attributes:
      vocabulary: Each token once; a token's place is its id. Begins with `SPECIAL_TOKENS`. No line
        feeds.

    Raises:
      ValueError: The vocabulary is not as described.
    """

    pad_id: ClassVar[int] = 0
    unknown_id: ClassVar[int] = 1
    start_id: ClassVar[int] = 2
    end_id: ClassVar[int] = 3

    vocabulary: tuple[str, ...]

    def __post_init__(self) -> None:
        who = f"{type(self).__name__}(vocabulary=...)"
        if self.vocabulary[:4] != SPECIAL_TOKENS or len(self.vocabulary) == 4:
            raise ValueError(
                f"{who} must begin with {', '.join(SPECIAL_TOKENS)} and go on with tokens; got "
                f"{len(self.vocabulary):,} token(s), the first being {list(self.vocabulary[:4])}."
            )
        twice = [token for token, count in Counter(self.vocabulary).items() if count > 1]
        if twice:
            raise ValueError(f"{who} must hold each token once; got more of {sorted(twice)[:5]}.")
        broken = [token for token in self.vocabulary if "\n" in token]
        if broken:
            raise ValueError(f"{who} must hold no line feed; got {broken[:5]}.")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} tokenizer, {self.vocabulary_size:,} tokens>"

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[str, ...]]]:
        return type(self), (self.vocabulary,)

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens, special ones included."""
        return len(self.vocabulary)

    @property
    def fingerprint(self) -> str:
        """32 hex digits that differ when the class or the vocabulary does."""
        return hashlib.blake2b(
            "\n".join([type(self).__name__, *self.vocabulary]).encode(), digest_size=16
        ).hexdigest()

    def tokenize(self, text: Any) -> Any:
        """Splits text into ids: string [...] -> int32 [..., None], ragged; [n] for a scalar.

        Adds no special tokens. What the vocabulary lacks becomes `unknown_id`.
        """
        text = tf.convert_to_tensor(text, tf.string)
        ids = self._tokenize(tf.reshape(text, [-1]))
        if text.shape.rank == 0:
            return ids[0]
        for axis in range(text.shape.rank - 1, 0, -1):
            length = text.shape[axis] or tf.shape(text, tf.int64)[axis]
            ids = tf.RaggedTensor.from_uniform_row_length(ids, length)
        return ids

    def detokenize(self, ids: Any) -> Any:
        """Turns ids back into text: int [..., t], dense or ragged -> string [...].

        Leaves out the special tokens but "[UNK]".

        Raises:
          tf.errors.InvalidArgumentError: An id is not in the vocabulary.
        """
        if not isinstance(ids, tf.RaggedTensor):
            ids = tf.cast(tf.convert_to_tensor(ids), tf.int64)
            rows = tf.RaggedTensor.from_tensor(tf.reshape(ids, [-1, tf.shape(ids)[-1]]))
            return tf.reshape(self.detokenize(rows), tf.shape(ids)[:-1])
        limit = tf.constant(self.vocabulary_size, ids.dtype)
        message = f"detokenize(ids) takes ids below vocabulary_size={self.vocabulary_size}."
        tf.debugging.assert_less(ids.flat_values, limit, message)
        special = tf.constant([self.pad_id, self.start_id, self.end_id], ids.dtype)
        said = tf.reduce_all(ids[..., tf.newaxis] != special, axis=-1)
        return self._join(tf.ragged.boolean_mask(ids, said))

    @abc.abstractmethod
    def _tokenize(self, text: Any) -> Any:
        """String [n] -> int32 [n, None], ragged."""

    @abc.abstractmethod
    def _join(self, ids: Any) -> Any:
        """int32 [n, None], ragged, without pad, start and end -> string [n]."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the vocabulary as UTF-8 text, one token a line; the file is never half-written."""
        target = pathlib.Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            written = pathlib.Path(folder, target.name)
            written.write_bytes("".join(f"{token}\n" for token in self.vocabulary).encode())
            os.replace(written, target)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads what `save` wrote.

        Raises:
          FileNotFoundError: There is no such file.
          ValueError: The file is not such a vocabulary.
        """
        content = pathlib.Path(path).read_bytes()
        try:
            return cls(tuple(content.decode().removesuffix("\n").split("\n")))
        except ValueError as err:
            raise ValueError(f"{path}: not a vocabulary of {cls.__name__}: {err}") from err
