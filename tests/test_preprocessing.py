"""`Preprocessing`: a value that is the same after JSON, with every tokenizer and every `Pixels`."""

import dataclasses
import itertools
import json
import pathlib
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import pytest

import mmdata
from mmdata import tokenizers
from mmdata.preprocessing import Preprocessing
from mmdata.tokenizers.bpe_merges import ALPHABET

SAMPLES = pathlib.Path(__file__).parents[1] / "sample_data" / "messy"
CAPTIONS = [
    "A caf\u00e9 mug, \u201cred\u201d.",
    "Two <b>mugs</b>\u2028on a table",
    "\U0001f600 mug",
] * 4
UNIT = mmdata.Pixels(size=(8, 8))


class Shouting(tokenizers.Word):
    """A tokenizer of a user."""


def clip() -> tokenizers.ClipBpe:
    """As many merges as CLIP has, of two letters each."""
    letters = list(ALPHABET.values())
    merges = itertools.product(letters, (f"{letter}</w>" for letter in letters))
    return tokenizers.ClipBpe(tuple(itertools.islice(merges, 49_408 - 514)))


def of_keras() -> tokenizers.KerasTokenizer:
    layer = keras.layers.TextVectorization(vocabulary=["red", "mug", "[s]"], standardize=None)
    return tokenizers.KerasTokenizer(layer, start_id=4, end_id=4)


TOKENIZERS: dict[str, Any] = {
    "word": lambda: tokenizers.Word.learn(CAPTIONS, vocabulary_size=100),
    "wordpiece": lambda: tokenizers.WordPiece.learn(CAPTIONS, vocabulary_size=60),
    "bert": lambda: tokenizers.WordPiece(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "mug", "##s")),
    "character": lambda: tokenizers.Character.learn(CAPTIONS, vocabulary_size=40),
    "sentencepiece": lambda: tokenizers.SentencePiece.learn(CAPTIONS, vocabulary_size=50),
    "bytepair": lambda: tokenizers.BytePair.learn(CAPTIONS, vocabulary_size=270),
    "byte": tokenizers.Byte,
    "clip": clip,
    "keras": of_keras,
}


def again(value: Preprocessing) -> Preprocessing:
    return Preprocessing.from_json(value.to_json(), "m.keras")


def assert_same_ids(value: Any, other: Any, captions: Iterable[str] = CAPTIONS) -> None:
    ids, others = value.tokenize(list(captions)), other.tokenize(list(captions))
    for name, array in ids.items():
        np.testing.assert_array_equal(array, others[name], strict=True)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_every_tokenizer_is_in_the_json(name: str) -> None:
    tokenizer = TOKENIZERS[name]()
    text = mmdata.Text(tokenizer=tokenizer, length=12)
    value = Preprocessing(task="Captioning", pixels=UNIT, text=text)
    read = again(value)
    assert read.tokenizer == tokenizer
    assert read.tokenizer.fingerprint == tokenizer.fingerprint
    assert again(read) == read
    assert_same_ids(value, read)


def test_every_tokenizer_is_tested() -> None:
    tested = {type(make()) for name, make in TOKENIZERS.items()}
    ours = {getattr(tokenizers, name) for name in tokenizers.__all__ if name != "LEARNED"}
    assert tested == {kind for kind in ours if isinstance(kind, type)} - {tokenizers.Tokenizer}


@pytest.mark.parametrize(
    "pixels",
    [
        mmdata.Pixels.preset("clip"),
        mmdata.Pixels.preset("imagenet"),
        mmdata.Pixels(size=(5, 9), fit="pad", background=(1, 2, 3), quality="fast"),
        mmdata.Pixels(fit="crop", buckets=((8, 16), (16, 8)), max_crop=0.4),
    ],
    ids=str,
)
def test_every_field_of_pixels_is_in_the_json(pixels: mmdata.Pixels) -> None:
    value = Preprocessing(task="Classification", pixels=pixels)
    assert again(value) == value
    with pytest.raises(AttributeError, match="task Classification has no text"):
        _ = value.tokenizer


@pytest.mark.parametrize(
    "clean", [None, "auto", "siglip", mmdata.Clean(lower=False, links="remove")]
)
def test_text_settings(clean: Any) -> None:
    text = mmdata.Text(
        clean=clean,
        tokenizer=tokenizers.Byte(),
        length=24,
        padding="longest",
        padding_side="left",
        fix_text=True,
    )
    value = Preprocessing(
        task="Prefix", pixels=UNIT, text=text, template="a {caption} b", prompt="en "
    )
    read = again(value)
    assert read.text is not None
    assert read.text == dataclasses.replace(text, clean=text.cleaner)
    assert read.text.fix_text
    assert (read.template, read.prompt, read.sequence_length) == ("a {caption} b", "en ", 24)
    assert_same_ids(value, read, ["See www.a.example, B", "cafÃ©"])
    broken, right = (read.tokenize([word])["token_ids"] for word in ("cafÃ©", "café"))
    np.testing.assert_array_equal(broken, right)


@pytest.mark.parametrize("template", ["{caption}", "a photo of {caption}"])
def test_ids_are_those_of_training(template: str) -> None:
    ds = mmdata.build(
        *(SAMPLES, None),
        task=mmdata.Retrieval(captions="first", template=template),
        image_size=(8, 8),
        shuffle=False,
        on_problem="drop",
        text=mmdata.Text(tokenizer="word", length=30),
    )
    batch = next(iter(ds))
    captions = [ds.pairs.captions_of(row)[0] for row in range(len(ds.pairs))]
    made = again(ds.preprocessing).tokenize(captions)
    np.testing.assert_array_equal(made["token_ids"], batch["token_ids"])
    mask = batch["padding_mask"].numpy()
    decoded = mask.any(axis=1)  # that of a corrupt image is empty
    assert decoded.sum() == len(captions) - 1
    np.testing.assert_array_equal(made["padding_mask"][decoded], mask[decoded])


def build(**options: Any) -> Any:
    defaults: dict[str, Any] = {"text": "byte", "sequence_length": 200, "on_problem": "drop"}
    return mmdata.build(SAMPLES, **(defaults | options))


@pytest.mark.parametrize("pixels", ["imagenet", "unit"])
def test_a_random_crop_of_training_is_not_part_of_it(pixels: str) -> None:
    ds = build(pixels=pixels, image_size=(16, 16), augment=[mmdata.RandomCrop()])
    assert ds.pixels.load_size is not None
    assert ds.preprocessing.pixels == mmdata.Pixels.preset(pixels).resized((16, 16))
    ds = build(pixels=pixels, image_size=(16, 16))
    assert ds.preprocessing.pixels == ds.pixels


def test_one_bucket_is_one_size() -> None:
    pixels = mmdata.Pixels(fit="crop", buckets=((16, 16), (8, 64)))
    value = build(pixels=pixels).preprocessing
    assert value.pixels == mmdata.Pixels(size=(16, 16), fit="crop", max_crop=0.25)
    wide = mmdata.Pixels(fit="crop", buckets=((14, 16), (12, 16)))
    assert build(pixels=wide).preprocessing.pixels == wide


def with_changes(**changes: Any) -> bytes:
    text = mmdata.Text(tokenizer=tokenizers.Byte())
    value = Preprocessing(task="Captioning", pixels=UNIT, text=text)
    return json.dumps(json.loads(value.to_json()) | changes).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff", "its preprocessing is damaged"),
        (b"[]", "its preprocessing is damaged"),
        (b"{}", "its preprocessing is damaged"),
        (with_changes(format="else"), "is damaged (not the format 'mmdata preprocessing')"),
        (with_changes(version=2), "has version 2; this mmdata reads version 1. Install the mmdata"),
        (with_changes(later=1), "cannot be read: "),
        (with_changes(pixels={"size": [0, 8]}), "cannot be read: Pixels(size=...) must be"),
        (with_changes(pixels=None), "cannot be read: "),
        (with_changes(text={"clean": None}), "cannot be read: 'tokenizer'"),
    ],
)
def test_a_file_of_another_version_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=r"^m\.keras: its preprocessing ") as caught:
        Preprocessing.from_json(content, "m.keras")
    assert message in str(caught.value)


def test_other_outputs_are_a_warning() -> None:
    content = with_changes(outputs={"pixels": 0, "text": 0})
    with pytest.warns(UserWarning, match="m.keras: was trained with versions .* differ slightly"):
        Preprocessing.from_json(content, "m.keras")


def test_a_tokenizer_of_a_user_is_named() -> None:
    text = mmdata.Text(tokenizer=Shouting.learn(CAPTIONS, vocabulary_size=100))
    content = Preprocessing(task="Captioning", pixels=UNIT, text=text).to_json()
    with pytest.raises(ValueError, match=r"Shouting is not one of .* pass dataset=\.\.\."):
        Preprocessing.from_json(content, "m.keras")
