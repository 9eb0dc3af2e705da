"""Captions by any Keras model: inputs that it declares, tokens that it predicts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import mmdata
from mmdata.tokenizers import Word
from mmdata.training.generate import generate

WORDS = Word(("[PAD]", "[UNK]", "[START]", "[END]", "a", "red", "blue", "car", "boat"))
SIZE = WORDS.vocabulary_size
ID = {word: number for number, word in enumerate(WORDS.vocabulary)}
LENGTH = 7
NEXT = {"red": "car", "blue": "boat", "car": "[END]", "boat": "[END]"}
IMAGES = np.zeros([3, 4, 4, 3], np.float32)
IMAGES[0, ..., 0] = IMAGES[1, ..., 2] = IMAGES[2, ..., 0] = 1
CAPTIONS = ["red car", "blue boat", "red car"]


def scores(images: Any, token_ids: Any) -> Any:
    """The image decides the word after the start token; each word decides the next one."""
    table = np.zeros([SIZE, SIZE], np.float32)
    for word, after in NEXT.items():
        table[ID[word], ID[after]] = 9
    colours = np.zeros([3, SIZE], np.float32)
    colours[0, ID["red"]] = colours[2, ID["blue"]] = 1
    embedding = layers.Embedding(SIZE, SIZE, embeddings_initializer=keras.initializers.Zeros())
    words = embedding(token_ids)
    embedding.set_weights([table])
    dense = layers.Dense(SIZE, use_bias=False)
    seen = dense(layers.GlobalAveragePooling2D()(images))
    dense.set_weights([colours])
    return layers.Add()([words, layers.Reshape([1, SIZE])(seen)])


def inputs(length: int | None = LENGTH, names: Sequence[str] = ("images", "token_ids")) -> Any:
    first, second = names
    return (
        keras.Input([4, 4, 3], name=first),
        keras.Input([length], name=second, dtype="int32"),
    )


def listed() -> Any:
    """Inputs that are listed, the ids first."""
    images, token_ids = inputs()
    return keras.Model([token_ids, images], scores(images, token_ids))


def keyed() -> Any:
    """A dict of inputs whose own names say nothing."""
    images, token_ids = inputs(names=("zebra", "ant"))
    return keras.Model({"images": images, "token_ids": token_ids}, scores(images, token_ids))


def masked() -> Any:
    images, token_ids = inputs()
    mask = keras.Input([LENGTH], name="padding_mask", dtype="int32")
    real = layers.Reshape([LENGTH, 1])(ops.cast(mask, "float32"))
    return keras.Model(
        {"padding_mask": mask, "images": images, "token_ids": token_ids},
        layers.Multiply()([scores(images, token_ids), real]),
    )


def of_probabilities() -> Any:
    images, token_ids = inputs()
    return keras.Model([images, token_ids], layers.Softmax()(scores(images, token_ids)))


def of_any_length() -> Any:
    images, token_ids = inputs(None)
    return keras.Model([images, token_ids], scores(images, token_ids))


def of_a_larger_vocabulary() -> Any:
    images, token_ids = inputs()
    wide = layers.ZeroPadding1D((0, 3), data_format="channels_first")
    return keras.Model([images, token_ids], wide(scores(images, token_ids)))


class Subclassed(keras.Model):
    """Declares nothing, and takes what a batch for captioning holds."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = masked()

    def call(self, x: Any) -> Any:
        return self.inner({name: x[name] for name in ("images", "token_ids", "padding_mask")})


class Generating(keras.Model):
    """Returns ids of its own, with words behind the end token."""

    def generate(self, images: Any) -> Any:
        row = [ID["a"], ID["car"], ID["[END]"], ID["boat"]]
        return ops.convert_to_tensor([row] * len(images), "int32")


class Counting(keras.Model):
    """Predicts the word whose id is a sum over a mask."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.mask = name

    def call(self, x: Any) -> Any:
        count = ops.sum(x[self.mask], axis=1, keepdims=True)
        return ops.one_hot(count + ops.zeros_like(x["token_ids"]) + ID["a"], SIZE)


def captions(model: Any, images: Any = IMAGES, **options: Any) -> list[str]:
    return generate(model, images, **{"tokenizer": WORDS, "sequence_length": LENGTH, **options})


@pytest.mark.filterwarnings("ignore:When providing `inputs` as a dict")
@pytest.mark.parametrize(
    "make",
    [listed, keyed, masked, of_probabilities, of_any_length, of_a_larger_vocabulary, Subclassed],
)
def test_a_model_gets_the_inputs_that_it_declares(make: Callable[[], Any]) -> None:
    assert captions(make()) == CAPTIONS


def test_the_length_is_that_of_the_model_or_of_the_data() -> None:
    assert captions(of_any_length(), sequence_length=1) == ["red", "blue", "red"]
    assert captions(listed(), sequence_length=1) == CAPTIONS


def test_a_method_generate_is_used_up_to_the_end_token() -> None:
    assert captions(Generating()) == ["a car"] * 3


def test_a_captioner_writes_what_its_method_generate_returns() -> None:
    ids = {name: getattr(WORDS, name) for name in ("start_id", "end_id", "pad_id")}
    model = mmdata.Captioner(
        vocabulary_size=SIZE, **ids, image_size=(32, 32), sequence_length=4, width=8
    )
    images = np.random.default_rng(0).random([2, 32, 32, 3], np.float32)
    expected = [text.decode() for text in WORDS.detokenize(model.generate(images)).numpy()]
    assert captions(model, images) == expected


@pytest.mark.parametrize(
    ("mask", "prompt", "expected"),
    [
        ("padding_mask", "", "red blue car boat"),
        ("padding_mask", "a a", "car boat"),
        ("response_mask", "a", "a red blue car boat"),
    ],
)
def test_masks_and_the_prompt(mask: str, prompt: str, expected: str) -> None:
    (text,) = captions(Counting(mask), IMAGES[:1], prompt=prompt)
    assert text == expected


def test_no_images() -> None:
    assert captions(listed(), IMAGES[:0]) == []


def swapped_names() -> Any:
    images, token_ids = inputs(names=("image", "tokens"))
    return keras.Model([images, token_ids], scores(images, token_ids))


def a_surplus_input() -> Any:
    images, token_ids = inputs()
    mood = keras.Input([LENGTH, SIZE], name="mood")
    return keras.Model([images, token_ids, mood], layers.Add()([scores(images, token_ids), mood]))


def of_one_input() -> Any:
    return keras.Sequential([keras.Input([4, 4, 3], name="images"), layers.Flatten()])


def of_embeddings() -> Any:
    images, token_ids = inputs()
    pooled = layers.GlobalAveragePooling1D()(scores(images, token_ids))
    return keras.Model([images, token_ids], pooled)


def of_two_embeddings() -> Any:
    images, token_ids = inputs()
    return keras.Model([images, token_ids], {"image": images, "text": token_ids})


def of_a_smaller_vocabulary() -> Any:
    images, token_ids = inputs()
    narrow = layers.Dense(SIZE - 1)(scores(images, token_ids))
    return keras.Model([images, token_ids], narrow)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (swapped_names, "got the inputs ['image', 'tokens']"),
        (a_surplus_input, "got the inputs ['images', 'mood', 'token_ids']"),
        (of_one_input, "got the inputs ['images']"),
        (of_embeddings, f"got shape [3, {SIZE}]"),
        (of_a_smaller_vocabulary, f"got shape [3, {LENGTH}, {SIZE - 1}]"),
        (of_two_embeddings, "got dict"),
    ],
)
def test_a_model_that_is_no_captioner(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        captions(make())


def test_a_prompt_leaves_room_for_a_caption() -> None:
    with pytest.raises(ValueError, match="got 8 tokens"):
        captions(listed(), prompt="a a a a a a a")
