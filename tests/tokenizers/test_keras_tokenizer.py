"""Tokenizers of Keras in `Text`: `keras.layers.TextVectorization`."""

import copy
import json
import pathlib
import pickle
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import mmdata
from mmdata.export.serving import TextEncoder
from mmdata.options import Text
from mmdata.tokenizers import Byte, KerasTokenizer, Word
from mmdata.tokenizers.vocabulary_tokenizer import SPECIAL_TOKENS

WORDS = ["<s>", "</s>", "a", "red", "boat", "sea"]
CAPTIONS = ["A red BOAT, at sea!", "", "boat", "a zebra"]
IDS = [[4, 5, 6, 1, 7], [], [6], [4, 1]]


def vectorization(**changes: Any) -> Any:
    arguments = {"vocabulary": WORDS, "name": None} | changes
    return keras.layers.TextVectorization(**arguments)


def keras_tokenizer(layer: Any = None, **ids: Any) -> KerasTokenizer:
    ids = {"start_id": 2, "end_id": 3} | ids
    tokenizer = Text(tokenizer=vectorization() if layer is None else layer, **ids).tokenizer
    assert isinstance(tokenizer, KerasTokenizer)
    return tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> KerasTokenizer:
    return keras_tokenizer()


@pytest.mark.parametrize("ragged", [False, True])
def test_ids_and_text(ragged: bool) -> None:
    tokenizer = keras_tokenizer(vectorization(ragged=ragged))
    assert tokenizer.vocabulary == ("", "[UNK]", *WORDS)
    ids = tokenizer.tokenize(CAPTIONS)
    assert ids.dtype == tf.int32
    assert ids.to_list() == IDS
    assert tokenizer.tokenize(CAPTIONS[0]).numpy().tolist() == IDS[0]
    mapped = tf.data.Dataset.from_tensors(CAPTIONS).map(tokenizer.tokenize)
    assert next(iter(mapped)).to_list() == IDS
    texts = tokenizer.detokenize([[2, 4, 5, 6, 3, 0], [2, 1, 3, 0, 0, 0]]).numpy().tolist()
    assert texts == [b"a red boat", b"[UNK]"]
    found = (tokenizer.pad_id, tokenizer.unknown_id, tokenizer.start_id, tokenizer.end_id)
    assert found == (0, 1, 2, 3)
    assert repr(tokenizer) == "<TextVectorization tokenizer, 8 tokens>"


def test_an_adapted_layer_keeps_its_words() -> None:
    layer = keras.layers.TextVectorization(max_tokens=6)
    layer.adapt(["a a a a boat boat boat red red"])
    tokenizer = keras_tokenizer(layer, start_id=None, end_id=None)
    layer.adapt(["other words"])
    assert tokenizer.vocabulary == ("", "[UNK]", "a", "boat", "red")
    assert tokenizer.tokenize(["a red boat"]).to_list() == [[2, 4, 3]]
    assert tokenizer.start_id is tokenizer.end_id is None


def test_it_is_a_value(tokenizer: KerasTokenizer, tmp_path: pathlib.Path) -> None:
    tokenizer.save(tmp_path / "some.json")
    same = [
        keras_tokenizer(),
        copy.deepcopy(tokenizer),
        pickle.loads(pickle.dumps(tokenizer)),
        KerasTokenizer.load(tmp_path / "some.json"),
    ]
    for other in same:
        assert other == tokenizer
        assert hash(other) == hash(tokenizer)
        assert other.to_dict() == tokenizer.to_dict()
        assert other.tokenize(CAPTIONS).to_list() == IDS
        assert (other.start_id, other.end_id, other.pad_id) == (2, 3, 0)
    json.dumps(tokenizer.to_dict())
    others = [
        keras_tokenizer(start_id=4),
        keras_tokenizer(end_id=None),
        keras_tokenizer(vectorization(standardize="lower")),
        keras_tokenizer(vectorization(vocabulary=[*WORDS, "more"])),
        Word((*SPECIAL_TOKENS, *WORDS)),
    ]
    assert len({tokenizer.fingerprint, *(other.fingerprint for other in others)}) == 6
    assert all(other != tokenizer for other in others)


@pytest.mark.parametrize(
    ("layer", "ids", "message"),
    [
        (keras.layers.TextVectorization, {}, r"has no vocabulary: call its adapt\(captions\)"),
        (
            lambda: vectorization(output_mode="multi_hot"),
            {},
            "must return integers, one for each token; it returns 'multi_hot'",
        ),
        (
            lambda: vectorization(output_sequence_length=9),
            {},
            r"must not cut or pad: pass output_sequence_length=None .*; got .*=9",
        ),
        (vectorization, {"pad_id": None}, r"needs pad_id=\.\.\., the id for padding"),
        (vectorization, {"end_id": 8}, r"takes end_id=\.\.\., an int from 0 to 7, .*; got 8"),
        (vectorization, {"start_id": -1}, r"takes start_id=\.\.\., .*; got -1"),
        (vectorization, {"start_id": True}, r"takes start_id=\.\.\., .*; got True"),
        (vectorization, {"start_id": "<s>"}, r"takes start_id=\.\.\., .*; got '<s>'"),
        (
            lambda: vectorization(standardize=tf.strings.lower),
            {},
            "must be restorable from its configuration.*register its function",
        ),
        (
            lambda: vectorization(standardize=lambda text: text),
            {},
            ".*register its lambda, as a function with a name, with keras.saving.register",
        ),
    ],
    ids=[
        *("not adapted", "multi-hot", "padded", "no pad", "too large", "negative", "bool", "text"),
        *("function", "lambda"),
    ],
)
def test_layers_that_are_refused(layer: Any, ids: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=rf"Text\(tokenizer=TextVectorization\) {message}"):
        Text(tokenizer=layer(), **ids)


@keras.saving.register_keras_serializable("mmdata_tests")  # type: ignore[untyped-decorator]
def without_dashes(text: Any) -> Any:
    return tf.strings.regex_replace(text, "-", " ")


def test_a_registered_function_is_restored() -> None:
    tokenizer = keras_tokenizer(vectorization(standardize=without_dashes))
    again = pickle.loads(pickle.dumps(tokenizer))
    assert again == tokenizer
    assert again.tokenize(["a-red"]).to_list() == [[4, 5]]


def test_ids_are_only_for_tokenizers_of_keras() -> None:
    for tokenizer in ("wordpiece", Byte(), keras_tokenizer()):
        with pytest.raises(ValueError, match=r"Text\(pad_id=0\) is only for a tokenizer of Keras"):
            Text(tokenizer=tokenizer, pad_id=0)


@pytest.mark.parametrize(
    "other", [keras.layers.Dense(3), 7, object(), len], ids=lambda value: type(value).__name__
)
def test_what_is_no_tokenizer(other: Any) -> None:
    with pytest.raises(ValueError, match=r"\.TextVectorization, a Text, or None; got"):
        Text(tokenizer=other)
    with pytest.raises(TypeError, match="takes a tokenizer of KerasHub or a keras"):
        KerasTokenizer(other)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"layer": 1, "files": {}, "ids": {}}', b"[1]"])
def test_files_that_are_refused(content: bytes, tmp_path: pathlib.Path) -> None:
    (tmp_path / "some.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"some\.json: not a tokenizer of Keras: "):
        KerasTokenizer.load(tmp_path / "some.json")


def test_build_and_serve(tokenizer: KerasTokenizer, tmp_path: pathlib.Path) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    for number in range(3):
        keras.utils.save_img(tmp_path / f"{number}.png", image, scale=False)
        (tmp_path / f"{number}.txt").write_text(CAPTIONS[0] + " boat" * number)
    text = Text(tokenizer=vectorization(), start_id=2, end_id=3, length=8)
    given: Any = {"image_size": (8, 8), "shuffle": False, "text": text}
    ds = mmdata.build(tmp_path, tmp_path, **given)
    x, y, weight = next(iter(ds))
    assert x["token_ids"].numpy().tolist() == [
        [2, 4, 5, 6, 1, 7, 3, 0],
        [2, 4, 5, 6, 1, 7, 6, 3],
        [2, 4, 5, 6, 1, 7, 6, 6],
    ]
    assert y[1].numpy().tolist() == [4, 5, 6, 1, 7, 6, 3, 0]
    assert weight[0].numpy().tolist() == [1, 1, 1, 1, 1, 1, 0, 0]
    assert ds.tokenizer == tokenizer
    assert ds.length_report.token_counts.tolist() == [6, 7, 8]
    assert ds.settings == mmdata.build(tmp_path, tmp_path, **given).settings
    other = Text(tokenizer=vectorization(), start_id=2, end_id=4, length=8)
    assert ds.settings != mmdata.build(tmp_path, tmp_path, **given | {"text": other}).settings
    module = tf.Module()
    module.encode = TextEncoder(ds.text)
    ids = tf.function(lambda captions: module.encode(captions)["token_ids"])
    module.ids = ids.get_concrete_function(tf.TensorSpec([None], tf.string))
    tf.saved_model.save(module, str(tmp_path / "served"))
    served = tf.saved_model.load(str(tmp_path / "served"))
    assert served.ids(tf.constant(["a red boat"])).numpy().tolist() == [[2, 4, 5, 6, 3, 0, 0, 0]]
