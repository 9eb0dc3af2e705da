"""`Tokenizer`: a vocabulary, and two functions that run in the graph."""

import abc
import hashlib
import os
from collections.abc import Iterable
from typing import Any, ClassVar

import tensorflow as tf
from typing_extensions import Self


class Tokenizer(abc.ABC):
    """Text to ids and back, in the graph.

    Tokenizers are values: two of one class are equal if their files are.

    Attributes:
      vocabulary: The tokens; the index of a token is its id.
      cleaning: The preset of `Clean` for its text.
      sequence_length: Sequence length of the model that it belongs to; None if there is no such
        model.
    """

    cleaning: ClassVar[str] = "lower"
    sequence_length: ClassVar[int | None] = None

    vocabulary: tuple[str, ...]

    @property
    @abc.abstractmethod
    def pad_id(self) -> int:
        """The id for padding."""

    @property
    @abc.abstractmethod
    def start_id(self) -> int | None:
        """The id that begins a sequence; None if none does."""

    @property
    @abc.abstractmethod
    def end_id(self) -> int | None:
        """The id that ends a sequence; None if none does."""

    @property
    @abc.abstractmethod
    def unknown_id(self) -> int | None:
        """The id of text that is not in the vocabulary; None if there is no such text."""

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens, with the special ones."""
        return len(self.vocabulary)

    @property
    def fingerprint(self) -> str:
        """32 hex digits; they differ if the class or the fields do."""
        digest = hashlib.blake2b(type(self).__name__.encode(), digest_size=16)
        for part in self._parts():
            digest.update(b"\n" + part)
        return digest.hexdigest()

    def to_dict(self) -> dict[str, str]:
        """The tokenizer as plain data: its class and fingerprint."""
        return {"type": type(self).__name__, "fingerprint": self.fingerprint}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} tokenizer, {self.vocabulary_size:,} tokens>"

    def tokenize(self, text: Any) -> Any:
        """Splits text into ids: string [...] -> int32 [..., None], ragged; [n] for a scalar.

        Adds no special tokens. What is not in the vocabulary becomes `unknown_id`.
        """
        if isinstance(text, tf.RaggedTensor):
            return tf.ragged.map_flat_values(self.tokenize, text)
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

        Leaves out special tokens, except the unknown one.

        Raises:
          ValueError: These are not ints with at least one axis.
          tf.errors.InvalidArgumentError: An id is not in the vocabulary.
        """
        if not isinstance(ids, tf.RaggedTensor):
            ids = tf.convert_to_tensor(ids)
            is_empty = ids.shape.num_elements() == 0
            if not (ids.dtype.is_integer or is_empty) or ids.shape.rank == 0:
                raise ValueError(
                    "detokenize(ids) takes ids, ints of shape [..., t]; got "
                    f"{ids.dtype.name} {list(ids.shape)}."
                )
            ids = tf.cast(ids, tf.int64)
            rows = tf.RaggedTensor.from_tensor(tf.reshape(ids, [-1, tf.shape(ids)[-1]]))
            return tf.reshape(self.detokenize(rows), tf.shape(ids)[:-1])
        if ids.ragged_rank > 1:
            return tf.RaggedTensor.from_row_splits(self.detokenize(ids.values), ids.row_splits)
        limit = tf.constant(self.vocabulary_size, ids.dtype)
        message = f"detokenize(ids) takes ids below vocabulary_size={self.vocabulary_size}."
        tf.debugging.assert_less(ids.flat_values, limit, message)
        tf.debugging.assert_non_negative(
            ids.flat_values, "detokenize(ids) takes ids of at least 0."
        )
        return self._join(tf.ragged.boolean_mask(ids, self._is_text(ids)))

    def _is_text(self, ids: Any) -> Any:
        """Which ids are text, not special: int [n, None], ragged -> bool, equally ragged."""
        special_ids = {self.pad_id, self.start_id, self.end_id} - {None}
        special = tf.constant(sorted(special_ids), ids.dtype)  # type: ignore[type-var]
        return tf.reduce_all(ids[..., tf.newaxis] != special, axis=-1)

    @abc.abstractmethod
    def _parts(self) -> Iterable[bytes]:
        """The content for the fingerprint: without line feeds, or of a fixed number of parts."""

    @abc.abstractmethod
    def _tokenize(self, text: Any) -> Any:
        """String [n] -> int32 [n, None], ragged."""

    @abc.abstractmethod
    def _join(self, ids: Any) -> Any:
        """Int [n, None], ragged, without pad, start and end -> string [n]."""

    @abc.abstractmethod
    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the files that `load` reads; never half-written."""

    @classmethod
    @abc.abstractmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads files in the format that other libraries use, which `save` writes, too.

        Raises:
          FileNotFoundError: There is no such file.
          ValueError: The file is invalid; the message says where.
        """
