"""Tokenize and Pack, against a loop."""

import pickle
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmdata.stages.tokens import Pack, Tokenize
from mmdata.tokenizers import Byte, Tokenizer, Word, WordPiece
from mmdata.tokenizers.listed import SPECIAL_TOKENS

VOCABULARY = (*SPECIAL_TOKENS, "a", "red", "boat", "s")
TOKENIZERS: list[Tokenizer] = [Word(VOCABULARY), WordPiece(VOCABULARY), Byte()]
CAPTIONS = ["a red boat", "", "boat boat boat boat", "a purple boat", "red", "s"]
START, END, PAD = 2, 3, 0


def packed_by_loop(ids: list[int], length: int) -> tuple[list[int], list[bool]]:
    row = [START]
    for token in ids:
        if len(row) == length - 1:
            break
        row.append(token)
    row.append(END)
    mask = [True] * len(row)
    while len(row) < length:
        row.append(PAD)
        mask.append(False)
    return row, mask


def pack(ids: Any, length: int) -> tuple[Any, Any]:
    packed = Pack(length=length, start_id=START, end_id=END, pad_id=PAD)({"token_ids": ids})
    return packed["token_ids"], packed["padding_mask"]


# Ids of any value, special ones too: Pack must look at places and not at values.
ROWS = st.lists(st.lists(st.integers(0, 9), max_size=40), min_size=1, max_size=6)


@settings(deadline=None, max_examples=200)
@given(rows=ROWS, length=st.integers(3, 20))
@example(rows=[[], [7], [7, 8], [0, 0, 0]], length=3)
@example(rows=[[]], length=20)
def test_pack_equals_a_loop(rows: list[list[int]], length: int) -> None:
    ids, mask = pack(tf.ragged.constant(rows, tf.int32, ragged_rank=1), length)
    expected = [packed_by_loop(row, length) for row in rows]
    assert ids.numpy().tolist() == [row for row, _ in expected]
    assert mask.numpy().tolist() == [row for _, row in expected]
    real = [min(len(row) + 2, length) for row in rows]
    assert mask.numpy().sum(-1).tolist() == real
    assert [row[n - 1] for row, n in zip(ids.numpy().tolist(), real, strict=True)] == [END] * len(
        rows
    )


@pytest.mark.parametrize("size", [0, 1, 4, 5, 6, 30])
def test_pack_takes_one_row(size: int) -> None:
    row = list(range(10, 10 + size))
    ids, mask = pack(tf.constant(row, tf.int32), 7)
    assert (ids.numpy().tolist(), mask.numpy().tolist()) == packed_by_loop(row, 7)


def test_pack_uses_the_ids_it_is_given() -> None:
    stage = Pack(length=5, start_id=50, end_id=60, pad_id=70)
    packed = stage({"token_ids": tf.ragged.constant([[4], [4, 5, 6, 7]], tf.int32)})
    assert packed["token_ids"].numpy().tolist() == [[50, 4, 60, 70, 70], [50, 4, 5, 6, 60]]
    assert packed["padding_mask"].numpy().tolist() == [[True] * 3 + [False] * 2, [True] * 5]


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=repr)
@pytest.mark.parametrize("shape", [(), (6,), (2, 3), (3, 1, 2)], ids=str)
def test_any_leading_shape(tokenizer: Tokenizer, shape: tuple[int, ...]) -> None:
    texts = CAPTIONS if shape else CAPTIONS[:1]
    captions = tf.reshape(tf.constant(texts), shape)
    expected = [packed_by_loop(tokenizer.tokenize(t).numpy().tolist(), 6) for t in texts]

    def run(example: dict[str, Any]) -> dict[str, Any]:
        stage = Pack(length=6, start_id=START, end_id=END, pad_id=PAD)
        return stage(Tokenize(tokenizer=tokenizer)(example))

    ds = tf.data.Dataset.from_tensors({"caption": captions}).map(run)
    for done in (run({"caption": captions}), next(iter(ds))):
        assert done["token_ids"].dtype == tf.int32
        assert done["padding_mask"].dtype == tf.bool
        for name, column in zip(("token_ids", "padding_mask"), (0, 1), strict=True):
            rows = np.array([row[column] for row in expected])
            np.testing.assert_array_equal(done[name], rows.reshape(*shape, 6))


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=repr)
@pytest.mark.parametrize("shape", [(), (None,), (None, 2), (None, 1, 2)], ids=str)
def test_static_shapes(tokenizer: Tokenizer, shape: tuple[int | None, ...]) -> None:
    tokens = Tokenize(tokenizer=tokenizer)
    stage = Pack(length=6, start_id=START, end_id=END)

    def run(caption: Any) -> dict[str, Any]:
        ragged = tokens({"caption": caption})
        return {"ragged": ragged["token_ids"], **stage(ragged)}

    traced = tf.function(run, input_signature=[tf.TensorSpec(shape, tf.string)])
    specs = traced.get_concrete_function().structured_outputs
    assert specs["ragged"].dtype == tf.int32
    assert specs["ragged"].shape[1:].as_list() == [*shape[1:], *([None] if shape else [])]
    assert specs["token_ids"].dtype == tf.int32
    assert specs["padding_mask"].dtype == tf.bool
    for name in ("token_ids", "padding_mask"):
        assert specs[name].shape.as_list() == [*shape, 6]


def test_stages_touch_nothing_else() -> None:
    example = {"caption": tf.constant(CAPTIONS), "row": tf.range(6)}
    before = dict(example)
    ragged = Tokenize(tokenizer=TOKENIZERS[0])(example)
    kept = dict(ragged)
    packed = Pack(length=5, start_id=START, end_id=END)(ragged)
    assert packed.keys() == {"caption", "row", "token_ids", "padding_mask"}
    assert all(packed[name] is value for name, value in before.items())
    for now, then in ((example, before), (ragged, kept)):
        assert now.keys() == then.keys()
        assert all(now[name] is value for name, value in then.items())


@pytest.mark.parametrize("length", [2, 1, 0, -3, 5.0, "5", None], ids=repr)
def test_lengths_that_are_refused(length: Any) -> None:
    with pytest.raises(ValueError, match=r"Pack\(length=\.\.\.\) must be an int of at least 3"):
        Pack(length=length, start_id=START, end_id=END)


def test_stages_are_values() -> None:
    stage = Pack(length=5, start_id=2, end_id=3)
    assert repr(stage) == "Pack(length=5, start_id=2, end_id=3, pad_id=0)"
    assert stage != Pack(length=6, start_id=2, end_id=3)
    tokens = Tokenize(tokenizer=Word(VOCABULARY))
    assert repr(tokens) == "Tokenize(tokenizer=<Word tokenizer, 8 tokens>)"
    assert tokens == Tokenize(tokenizer=Word(VOCABULARY))
    assert tokens != Tokenize(tokenizer=WordPiece(VOCABULARY))
    for value in (stage, tokens):
        copy = pickle.loads(pickle.dumps(value))
        assert copy == value
        assert hash(copy) == hash(value)
