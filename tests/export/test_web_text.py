"""Tokenizers and cleaning as plain JSON; tests/web compares what JavaScript makes of it."""

import base64
import json
import pickle
from collections.abc import Callable
from typing import Any

import keras
import pytest
import tensorflow as tf

from mmdata.export import web_characters
from mmdata.export.web_text import cleaning_json, tokenizer_json
from mmdata.stages.clean import PRESETS, Clean
from mmdata.tokenizers import (
    Byte,
    BytePair,
    Character,
    KerasTokenizer,
    SentencePiece,
    Tokenizer,
    Word,
    WordPiece,
    model_proto,
)

CAPTIONS = ["a dog on a hill.", "two dogs and a red ball", "Café, don't!"]


def members(ranges: Any) -> list[int]:
    """The code points of a set."""
    found: list[int] = []
    end = 0
    for gap, count in zip(ranges[::2], ranges[1::2], strict=True):
        start, end = end + gap, end + gap + count
        found += range(start, end)
    return found


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"[a-cx]", [97, 98, 99, 120]),
        (r"[\x00\x{10ffff}]", [0, 0x10FFFF]),
        (r"[\x{d7ff}\x{e000}]", [0xD7FF, 0xE000]),
        (r"ab", []),
    ],
)
def test_sets_of_characters(pattern: str, expected: list[int]) -> None:
    assert members(web_characters.matching(pattern)) == expected


def test_sets_are_those_of_tensorflow() -> None:
    is_letter = tf.strings.regex_full_match(web_characters.characters(), r"\p{L}").numpy()
    letters = members(web_characters.matching(r"\p{L}"))
    assert letters == web_characters.code_points()[is_letter].tolist()
    cased, ignorable = map(members, web_characters.around_sigma())
    assert set(map(ord, "aZÉ")) <= set(cased)
    assert set(map(ord, "'.\u0301")) <= set(ignorable)
    assert {0x378, 0x1DF00} <= set(members(web_characters.without_case()))
    assert not set(map(ord, "aé 日\0")) & set(members(web_characters.without_forms()))
    space, alone = map(members, web_characters.word_piece_classes())
    assert set(map(ord, " \0\t")) <= set(space)
    assert set(map(ord, ".[日")) <= set(alone)


def sentence_piece() -> SentencePiece:
    return SentencePiece.learn(CAPTIONS, vocabulary_size=100)


TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {
    "Byte": Byte,
    "BytePair": lambda: BytePair.learn(CAPTIONS, vocabulary_size=300),
    "Character": lambda: Character.learn(CAPTIONS),
    "SentencePiece": sentence_piece,
    "Word": lambda: Word.learn(CAPTIONS, reserved_tokens=("<name>",)),
    "WordPiece": lambda: WordPiece.learn(CAPTIONS),
}


def require_plain(value: Any) -> None:
    """Fails unless JSON and JavaScript keep the value exactly."""
    text = json.dumps(value, allow_nan=False)
    assert json.loads(text) == value
    numbers = [0]
    json.loads(text, parse_int=lambda digits: numbers.append(abs(int(digits))))
    assert max(numbers) <= 2**53


@pytest.mark.parametrize("name", TOKENIZERS)
def test_tokenizers_are_plain_and_the_same_each_time(name: str) -> None:
    tokenizer = TOKENIZERS[name]()
    found = tokenizer_json(tokenizer)
    assert found is not None
    require_plain(found)
    assert (found["type"], found["vocabulary_size"]) == (name, tokenizer.vocabulary_size)
    for key in ("start_id", "end_id", "pad_id", "unknown_id"):
        assert found[key] == getattr(tokenizer, key)
    again = tokenizer_json(pickle.loads(pickle.dumps(tokenizer)))
    assert json.dumps(again) == json.dumps(found)


def test_sentence_piece_keeps_scores_and_charsmap() -> None:
    tokenizer = sentence_piece()
    found = tokenizer_json(tokenizer)
    assert found is not None
    model = model_proto.Model.FromString(tokenizer.model)
    assert tf.constant(found["scores"]).numpy().tolist() == [p.score for p in model.pieces]
    charsmap = base64.b64decode(found["normalizer"]["charsmap"])
    assert charsmap == model.normalizer_spec.precompiled_charsmap != b""
    assert found["unknown_text"] == " \u2047 "


def test_others_have_no_version_in_javascript() -> None:
    layer = keras.layers.TextVectorization(vocabulary=["a", "dog"])
    assert tokenizer_json(KerasTokenizer(layer)) is None
    model = model_proto.Model.FromString(sentence_piece().model)
    model.denormalizer_spec.precompiled_charsmap = model.normalizer_spec.precompiled_charsmap
    assert tokenizer_json(SentencePiece(model.SerializeToString())) is None
    model = model_proto.Model.FromString(sentence_piece().model)
    model.trainer_spec.model_type = model_proto.CHAR
    assert tokenizer_json(SentencePiece(model.SerializeToString())) is None

    class Own(Word):
        """A subclass may split words in another way."""

    assert tokenizer_json(Own(Word.learn(CAPTIONS).vocabulary)) is None


@pytest.mark.parametrize("name", PRESETS)
def test_cleaning_has_all_fields(name: str) -> None:
    clean = PRESETS[name]
    found = cleaning_json(clean)
    assert found is not None
    require_plain(found)
    fields = {key: value for key, value in clean.to_dict().items() if key != "type"}
    assert {key: found[key] for key in fields} == fields
    assert ("references" in found) == clean.unescape
    assert json.dumps(cleaning_json(PRESETS[name])) == json.dumps(found)


def test_cleaning_has_the_characters_it_needs() -> None:
    assert cleaning_json(None) is None
    nothing = cleaning_json(Clean(lower=False, normalize=None))
    assert nothing is not None
    assert nothing["characters"] == {}
    folding = cleaning_json(Clean(lower=False, normalize="NFKC_CF", unescape=True))
    assert folding is not None
    assert set(folding["characters"]) == {"without_forms", "folded_away"}
    assert (folding["folds"]["ß"], folding["folds"]["A"]) == ("ss", "a")
    assert "a" not in folding["folds"]
    assert 0xAD in members(folding["characters"]["folded_away"])
    assert folding["references"]["names"]["amp;"] == "&"
    assert folding["references"]["numbers"][0x80] == "€"
