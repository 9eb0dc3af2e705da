"""SentencePiece models: those of T5, SigLIP, Gemma and LLaMA, and learned ones."""

import dataclasses
import functools
import io
import math
import os
from collections.abc import Iterable
from typing import Any, ClassVar

import tensorflow as tf
import tensorflow_text as tf_text
from google.protobuf.message import DecodeError
from typing_extensions import Self

from mmdata.optional import require
from mmdata.progress import announced
from mmdata.storage.atomic import write
from mmdata.tokenizers import model_proto
from mmdata.tokenizers.tokenizer import Tokenizer
from mmdata.tokenizers.vocabulary_files import read
from mmdata.tokenizers.vocabulary_learning import (
    NO_TEXT,
    require_reserved_tokens,
    require_vocabulary_size,
    with_progress,
)

SPECIAL_TOKENS = ("<pad>", "<unk>", "<s>", "</s>")
"""The first four tokens of each learned model."""

_SPACE = "\u2581"
_LONGEST_CAPTION = 1 << 30  # bytes; sentencepiece skips longer ones, and allows no larger limit


@dataclasses.dataclass(frozen=True, repr=False)
class SentencePiece(Tokenizer):
    """A model of the library sentencepiece, unigram or BPE, with the library's ids and texts.

    The model has its own normalizer. A control piece in a text, such as "<s>", is text. In a
    unigram model, a user-defined piece is split where other pieces overlap it and score better, as
    in sentencepiece up to 0.2.1.

    Attributes:
      model: The content of a `.model` file.
      start_id, end_id: None if the model has no such piece; T5's and SigLIP's have no start.
      pad_id: The model's; `end_id` if it has no pad, such as LLaMA's.

    Raises:
      ValueError: `model` is empty, truncated, damaged, or not a model.

    Source: Kudo and Richardson 2018, "SentencePiece".
    """

    cleaning: ClassVar[str] = "light"

    model: bytes

    def __post_init__(self) -> None:
        who = "SentencePiece(model=...) must be the content of a .model file"
        if not self.model:
            raise ValueError(f"{who}; got no bytes.")
        try:
            parsed = self._parsed
        except DecodeError as err:
            raise ValueError(
                f"{who}; got {len(self.model):,} bytes, truncated or in another format."
            ) from err
        if not parsed.HasField("normalizer_spec"):  # the last part of the file
            raise ValueError(
                f"{who}; got {len(self.model):,} bytes that end before its normalizer."
            )
        if found := model_proto.fault(parsed):
            raise ValueError(f"{who}; this one is invalid: {found}.")
        try:
            _ = self._processor
        except tf.errors.OpError as err:
            raise ValueError(f"{who}; SentencePiece says: {err.message}") from err

    def __reduce__(self) -> tuple[type[Self], tuple[bytes]]:
        return type(self), (self.model,)

    @classmethod
    def learn(
        cls,
        captions: Iterable[str],
        *,
        vocabulary_size: int = 8000,
        reserved_tokens: tuple[str, ...] = (),
    ) -> Self:
        """Learns a unigram model from captions, clean or not.

        Each character of the captions is a piece, except those that occur only in special or
        reserved tokens, from which sentencepiece learns nothing. If the captions do not give
        `vocabulary_size` pieces, the model has as many as they give: 650 from 300 COCO captions,
        6,269 from 25,014. The same captions in any order give the same model.

        Args:
          captions: Text; held in memory.
          vocabulary_size: Maximum number of tokens, with special and reserved ones.
          reserved_tokens: As in `Word.learn`; they also become no text.

        Raises:
          ImportError: sentencepiece is not installed.
          ValueError: As in `Word.learn`, or the size is too small for the captions' characters.
        """
        require_reserved_tokens(reserved_tokens, SPECIAL_TOKENS)
        require_vocabulary_size(vocabulary_size, len(reserved_tokens))
        trainer = require("sentencepiece", extra="text").SentencePieceTrainer
        texts = sorted(caption for caption in with_progress(captions) if caption.strip())
        if not texts:
            raise ValueError(NO_TEXT)
        with announced(f"learning a vocabulary from {len(texts):,} captions"):
            return cls(_trained(trainer, texts, vocabulary_size, reserved_tokens))

    @functools.cached_property
    def _parsed(self) -> Any:
        return model_proto.Model.FromString(self.model)

    @functools.cached_property
    def vocabulary(self) -> tuple[str, ...]:  # type: ignore[override]
        """Each piece; its index is its id."""
        return tuple(piece.piece for piece in self._parsed.pieces)

    def _control(self, place: int) -> int | None:
        """`place`, if the piece there is one that no text becomes; else None."""
        pieces = self._parsed.pieces
        there = 0 <= place < len(pieces) and pieces[place].type == model_proto.CONTROL
        return place if there else None

    @functools.cached_property
    def pad_id(self) -> int:
        """The id for padding: the model's pad, else its end, else its unknown piece."""
        ids = (self._control(self._parsed.trainer_spec.pad_id), self.end_id, self.unknown_id)
        return next(place for place in ids if place is not None)

    @functools.cached_property
    def start_id(self) -> int | None:
        """The model's "<s>", or None."""
        return self._control(self._parsed.trainer_spec.bos_id)

    @functools.cached_property
    def end_id(self) -> int | None:
        """The model's "</s>", or None."""
        return self._control(self._parsed.trainer_spec.eos_id)

    @functools.cached_property
    def unknown_id(self) -> int:
        """The model's "<unk>"."""
        types = [piece.type for piece in self._parsed.pieces]
        return types.index(model_proto.UNKNOWN)

    def _parts(self) -> Iterable[bytes]:
        return (self.model,)

    @functools.cached_property
    def _processor(self) -> Any:
        return _loaded(self._without(self.never_made) if self.never_made else self.model)

    @functools.cached_property
    def never_made(self) -> list[int]:
        """The pieces that tensorflow-text finds in texts, and sentencepiece does not."""
        kind = self._parsed.trainer_spec.model_type
        longest = {model_proto.UNIGRAM: 0, model_proto.WORD: math.inf}.get(kind, 1)  # characters
        special = (model_proto.CONTROL, model_proto.UNUSED)
        return [
            place
            for place, piece in enumerate(self._parsed.pieces)
            if piece.piece == model_proto.NUL
            or (piece.type in special and len(piece.piece) <= longest)
        ]

    def _without(self, places: Iterable[int]) -> Any:
        """The model with the pieces at `places` renamed, so that no text becomes them."""
        model = model_proto.Model.FromString(self.model)
        for place in places:
            piece = model.pieces[place]
            piece.piece, piece.type = f"{_SPACE}<{place}>", model_proto.CONTROL
        return model

    @functools.cached_property
    def _nul_ids(self) -> tuple[int, int] | None:
        """The ids of U+0000 and of its byte; None if the model has no such piece."""
        if model_proto.NUL not in self.vocabulary:
            return None
        return self.vocabulary.index(model_proto.NUL), self.vocabulary.index("<0x00>")

    def _tokenize(self, text: Any) -> Any:
        return self._processor.tokenize(text)

    def _join(self, ids: Any) -> Any:
        ids = tf.cast(ids, tf.int32)
        if self._nul_ids is not None:
            nul, byte = self._nul_ids
            ids = ids.with_flat_values(tf.where(ids.flat_values == nul, byte, ids.flat_values))
        text = self._decoder.detokenize(ids)
        if not self._adds_one_space:
            return text
        types = [piece.type for piece in self._parsed.pieces]
        is_text = tf.constant([kind != model_proto.CONTROL for kind in types])
        begins = tf.constant([piece.startswith(_SPACE) for piece in self.vocabulary])
        first = tf.ragged.boolean_mask(ids, tf.gather(is_text, ids))[:, :1]
        added = tf.reduce_any(tf.gather(begins, first), axis=-1)
        return tf.where(added, tf.strings.regex_replace(text, "^ ", ""), text)

    @property
    def _adds_one_space(self) -> bool:
        """Whether it adds a space before a text and keeps all others, as LLaMA's does."""
        normalizer = self._parsed.normalizer_spec
        return bool(normalizer.add_dummy_prefix and not normalizer.remove_extra_whitespaces)

    @functools.cached_property
    def _decoder(self) -> Any:
        """The processor for `detokenize`.

        If the model adds one space, sentencepiece removes that one, and tensorflow-text all leading
        spaces. This model makes tensorflow-text remove none; `_join` removes the one.
        """
        nul = [] if self._nul_ids is None else [self._nul_ids[0]]
        if not self._adds_one_space and self.never_made == nul:
            return self._processor
        model = self._without(nul)
        model.normalizer_spec.add_dummy_prefix &= not self._adds_one_space
        return _loaded(model)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the `.model` file; it is never half-written."""
        write(path, self.model)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a `.model` file.

        Raises:
          FileNotFoundError: There is no such file.
          ValueError: The file is not a valid model.
        """
        content = read(path)
        try:
            return cls(content)
        except ValueError as err:
            raise ValueError(f"{path}: not a model of {cls.__name__}: {err}") from err


def _trained(
    trainer: Any, texts: list[str], vocabulary_size: int, reserved_tokens: tuple[str, ...]
) -> bytes:
    """The content of a `.model` file that sentencepiece's trainer learns from texts."""
    model = io.BytesIO()
    try:
        trainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            vocab_size=vocabulary_size,
            hard_vocab_limit=False,
            character_coverage=1.0,
            max_sentence_length=_LONGEST_CAPTION,
            control_symbols=list(reserved_tokens),
            pad_id=0,
            unk_id=1,
            bos_id=2,
            eos_id=3,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as err:
        raise ValueError(
            "SentencePiece.learn(captions, vocabulary_size=...) needs text, and room for each of "
            f"its characters; got vocabulary_size={vocabulary_size}. sentencepiece says: {err}"
        ) from err
    return model.getvalue()


def _loaded(model: Any) -> Any:
    """Loads a model, parsed or as bytes, into tensorflow-text."""
    content = model if isinstance(model, bytes) else model.SerializeToString()
    with tf.init_scope(), tf.device("CPU:0"):
        return tf_text.SentencepieceTokenizer(content, out_type=tf.int32)
