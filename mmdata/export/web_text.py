"""Tokenizers and cleaning as plain JSON, for JavaScript.

JavaScript's Unicode is that of the browser, and newer than TensorFlow's. So the sets of characters
that decide about ids are part of the JSON, as `Ranges`.
"""

import base64
import dataclasses
import html
import html.entities
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mmdata.export import web_characters
from mmdata.stages.clean import INVISIBLE, Clean
from mmdata.tokenizers import (
    Byte,
    BytePair,
    Character,
    ClipBpe,
    SentencePiece,
    Tokenizer,
    Word,
    WordPiece,
    model_proto,
)
from mmdata.tokenizers.word_splitting import ALONE

_LETTER, _DIGIT, _WORD = r"\p{L}", r"\p{N}", r"[\p{L}\p{M}\p{N}]"
_LETTER_OR_DIGIT = r"[\p{L}\p{N}]"
_LOW_NUMBERS = 0xA0
"""Character references of smaller numbers mean other characters, or none."""

Json = dict[str, Any]


def tokenizer_json(tokenizer: Tokenizer) -> Json | None:
    """A tokenizer as plain JSON, from which `mmdata/web/text/tokenizers.js` makes the same ids.

    The same tokenizer gives the same JSON with the same TensorFlow.

    Returns:
      "type", "start_id", "end_id", "pad_id", "unknown_id", "vocabulary_size", and what the type
      needs. None if there is no version in JavaScript: for tokenizers of Keras and of your own, and
      for models of SentencePiece that are neither unigram nor BPE, or change texts in `detokenize`.
    """
    parts = _PARTS.get(type(tokenizer), lambda _: None)(tokenizer)
    if parts is None:
        return None
    return {
        "type": type(tokenizer).__name__,
        "vocabulary_size": tokenizer.vocabulary_size,
        "start_id": tokenizer.start_id,
        "end_id": tokenizer.end_id,
        "pad_id": tokenizer.pad_id,
        "unknown_id": tokenizer.unknown_id,
        **parts,
    }


def cleaning_json(clean: Clean | None) -> Json | None:
    """A cleaning stage as plain JSON, from which `mmdata/web/text/clean.js` makes the same texts.

    Returns:
      The fields of `Clean`, and the characters that they need; None if captions stay unchanged.
    """
    if clean is None:
        return None
    names = [field.name for field in dataclasses.fields(clean)]
    found: Json = {name: getattr(clean, name) for name in names}
    sets: dict[str, tuple[int, ...]] = {}
    if clean.lower:
        sets["without_case"] = web_characters.without_case()
        sets["cased"], sets["ignorable"] = web_characters.around_sigma()
    if clean.normalize or clean.accents == "strip":
        sets["without_forms"] = web_characters.without_forms()
    if clean.accents == "strip":
        sets["marks"] = web_characters.matching(r"\p{Mn}")
    if clean.controls == "remove":
        sets["invisible"] = web_characters.matching(INVISIBLE)
    if clean.normalize == "NFKC_CF":
        sets["folded_away"], found["folds"] = web_characters.folds()
    if clean.unescape:
        found["references"] = _references()
    return {**found, "characters": _lists(sets)}


def _lists(sets: Mapping[str, tuple[int, ...]]) -> dict[str, list[int]]:
    return {name: list(ranges) for name, ranges in sets.items()}


def _references() -> Json:
    """HTML's character references: the texts of names, and of the numbers below 160."""
    numbers = [html.unescape(f"&#{number};") for number in range(_LOW_NUMBERS)]
    return {"names": dict(html.entities.html5), "numbers": numbers}


def _word(tokenizer: Word) -> Json:
    return {
        "vocabulary": list(tokenizer.vocabulary),
        "characters": _matching(word=_WORD, letter=_LETTER_OR_DIGIT),
    }


def _word_piece(tokenizer: WordPiece) -> Json:
    space, alone = web_characters.word_piece_classes()
    sets = _matching(letter=_LETTER_OR_DIGIT, symbol=ALONE)
    return {
        "vocabulary": list(tokenizer.vocabulary),
        "characters": {**sets, **_lists({"space": space, "alone": alone})},
    }


def _byte_pair(tokenizer: BytePair) -> Json:
    return {
        "vocabulary": list(tokenizer.vocabulary),
        "merges": [" ".join(merge) for merge in tokenizer.merges],
        "characters": _matching(letter=_LETTER, digit=_DIGIT),
    }


def _clip(tokenizer: ClipBpe) -> Json:
    return {
        "merges": [" ".join(merge) for merge in tokenizer.merges],
        # In upper and lower case alike, as in its regular expression: U+0345 is a letter then.
        "characters": _matching(letter=f"(?i){_LETTER}", digit=f"(?i){_DIGIT}"),
    }


def _matching(**patterns: str) -> dict[str, list[int]]:
    return _lists({name: web_characters.matching(found) for name, found in patterns.items()})


def _sentence_piece(tokenizer: SentencePiece) -> Json | None:
    model = model_proto.Model.FromString(tokenizer.model)
    trainer, normalizer = model.trainer_spec, model.normalizer_spec
    kinds = {model_proto.UNIGRAM: "unigram", model_proto.BPE: "bpe"}
    if trainer.model_type not in kinds or model.denormalizer_spec.precompiled_charsmap:
        return None
    unknown = tokenizer.detokenize([[tokenizer.unknown_id]]).numpy()[0]
    return {
        "model": kinds[trainer.model_type],
        "pieces": list(tokenizer.vocabulary),
        # The shortest numbers that are the same in 32 bits.
        "scores": [float(str(np.float32(piece.score))) for piece in model.pieces],
        "types": [piece.type for piece in model.pieces],
        "never_made": tokenizer.never_made,
        "byte_fallback": trainer.byte_fallback,
        "unknown_text": unknown.decode(),
        "normalizer": {
            "charsmap": base64.b64encode(normalizer.precompiled_charsmap).decode(),
            "add_dummy_prefix": normalizer.add_dummy_prefix,
            "remove_extra_whitespaces": normalizer.remove_extra_whitespaces,
            "escape_whitespaces": normalizer.escape_whitespaces,
            "whitespace_as_suffix": trainer.treat_whitespace_as_suffix,
        },
    }


_PARTS: dict[type[Tokenizer], Callable[[Any], Json | None]] = {
    Byte: lambda _: {},
    BytePair: _byte_pair,
    Character: lambda tokenizer: {"vocabulary": list(tokenizer.vocabulary)},
    ClipBpe: _clip,
    SentencePiece: _sentence_piece,
    Word: _word,
    WordPiece: _word_piece,
}
