"""Tokenize and Pack, against a loop."""

import itertools
import pickle
from typing import Any, get_args

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmdata.stages.pack import Pack, Padding, Side, Tokenize
from mmdata.tokenizers import Byte, Tokenizer, Word, WordPiece
from mmdata.tokenizers.vocabulary_tokenizer import SPECIAL_TOKENS

VOCABULARY = (*SPECIAL_TOKENS, "a", "red", "boat", "s")
TOKENIZERS: list[Tokenizer] = [Word(VOCABULARY), WordPiece(VOCABULARY), Byte()]
CAPTIONS = ["a red boat", "", "boat boat boat boat", "a purple boat", "red", "s"]
START, END, PAD = 2, 3, 0


def packed_by_loop(
    ids: list[int], stage: Pack, width: int, length: int | None = None
) -> tuple[list[int], list[int], list[int]]:
    """A row of `width`, `padding_mask` and `response_mask`, cut to `length`."""
    before = [] if stage.start_id is None else [stage.start_id]
    before += stage.prompt
    after = [] if stage.end_id is None else [stage.end_id]
    row = [*before]
    for token in ids:
        if len(row) + len(after) == (length or stage.length):
            break
        row.append(token)
    row += after
    mask = [1] * len(row)
    response = [int(place >= len(before)) for place in range(len(row))]
    ids, blank = [stage.pad_id] * (width - len(row)), [0] * (width - len(row))
    if stage.padding_side == "left":
        return ids + row, blank + mask, blank + response
    return row + ids, mask + blank, response + blank


def all_by_loop(rows: list[list[int]], stage: Pack, length: int) -> list[list[list[Any]]]:
    """What `columns_of` has, for a batch."""
    special = stage.special_tokens
    width = length
    if stage.padding == "longest":
        width = max((min(len(row) + special, length) for row in rows), default=special)
    packed = [packed_by_loop(row, stage, width, length) for row in rows]
    return [[row[column] for row in packed] for column in range(3)]


def columns_of(packed: dict[str, Any]) -> list[list[list[Any]]]:
    names = ("token_ids", "padding_mask", "response_mask")
    return [packed[name].numpy().tolist() for name in names]


def ragged(rows: list[list[int]]) -> Any:
    flat = [token for row in rows for token in row]
    lengths = [len(row) for row in rows]
    return tf.RaggedTensor.from_row_lengths(
        tf.constant(flat, tf.int32), tf.constant(lengths, tf.int64)
    )


# Ids of any value, special ones too: Pack must look at places and not at values.
ROWS = st.lists(st.lists(st.integers(0, 9), max_size=24), max_size=6)
ENDS = (None, START), (None, END)
STAGES = [
    Pack(
        length=max((length, *buckets)),
        start_id=start,
        end_id=end,
        pad_id=PAD,
        prompt=prompt,
        padding=padding,
        padding_side=side,
        buckets=buckets,
    )
    for length, buckets in ((5, ()), (13, (5, 8, 13)))
    for start, end in itertools.product(*ENDS)
    for prompt in ((), (7, 2))
    for padding in get_args(Padding)
    for side in get_args(Side)
]


@tf.function(  # type: ignore[untyped-decorator]
    input_signature=[
        tf.RaggedTensorSpec([None, None], tf.int32, 1),
        tf.TensorSpec([None], tf.int64),
    ]
)
def packed_by_graph(ids: Any, length: Any) -> list[dict[str, Any]]:
    """What each of `STAGES` makes of a batch."""
    return [stage({"token_ids": ids, "length": length}) for stage in STAGES]


@settings(max_examples=10)
@given(rows=ROWS, bucket=st.sampled_from([5, 8, 13]))
@example(rows=[], bucket=8)
@example(rows=[[]], bucket=5)
@example(rows=[[0, 0, 0], [], [3] * 24, [1]], bucket=13)
@example(rows=[[4, 5, 6], [6, 5]], bucket=13)
def test_every_kind_of_packing_equals_a_loop(rows: list[list[int]], bucket: int) -> None:
    lengths = tf.fill([max(len(rows), 1)], tf.constant(bucket, tf.int64))
    results = packed_by_graph(ragged(rows), lengths)
    for stage, packed in zip(STAGES, results, strict=True):
        length = bucket if stage.buckets else stage.length
        columns = columns_of(packed)
        assert columns == all_by_loop(rows, stage, length), stage
        room = length - stage.special_tokens
        for row, ids, mask, response in zip(rows, *columns, strict=True):
            assert sum(mask) == min(len(row), room) + stage.special_tokens
            real = [token for token, is_real in zip(ids, mask, strict=True) if is_real]
            responses = [
                token for token, is_response in zip(ids, response, strict=True) if is_response
            ]
            if stage.end_id is not None:
                assert real[-1] == responses.pop() == END
            assert responses == row[:room]
            before = stage.special_tokens - (stage.end_id is not None)
            assert real[:before] == [*[START] * (stage.start_id is not None), *stage.prompt]


@pytest.mark.parametrize("stage", STAGES, ids=repr)
def test_eager_equals_a_loop(stage: Pack) -> None:
    rows = [[7, 7, 3], [], [2] * 20]
    packed = stage({"token_ids": ragged(rows), "length": tf.constant([8, 8, 8])})
    expected = all_by_loop(rows, stage, 8 if stage.buckets else stage.length)
    assert columns_of(packed) == expected
    assert packed["token_ids"].dtype == tf.int32
    assert packed["padding_mask"].dtype == packed["response_mask"].dtype == tf.int32


@given(rows=ROWS, length=st.integers(3, 20))
@example(rows=[[], [7], [7, 8], [0, 0, 0]], length=3)
@example(rows=[[]], length=20)
def test_every_length_equals_a_loop(rows: list[list[int]], length: int) -> None:
    stage = Pack(length=length, start_id=START, end_id=END, pad_id=PAD)
    assert columns_of(stage({"token_ids": ragged(rows)})) == all_by_loop(rows, stage, length)


def test_static_shapes_of_every_kind() -> None:
    outputs = packed_by_graph.get_concrete_function().structured_outputs
    for stage, specs in zip(STAGES, outputs, strict=True):
        width = None if stage.buckets or stage.padding == "longest" else 5
        for name in ("token_ids", "padding_mask", "response_mask"):
            assert specs[name].shape.as_list() == [None, width], stage


@pytest.mark.parametrize("size", [0, 1, 4, 5, 6, 30])
@pytest.mark.parametrize("padding", get_args(Padding))
@pytest.mark.parametrize("side", get_args(Side))
def test_pack_takes_one_row(size: int, padding: Padding, side: Side) -> None:
    row = list(range(10, 10 + size))
    stage = Pack(length=7, start_id=START, end_id=END, padding=padding, padding_side=side)
    expected: list[Any] = [column[0] for column in all_by_loop([row], stage, 7)]
    packed = stage({"token_ids": tf.constant(row, tf.int32)})
    assert columns_of(packed) == expected


@pytest.mark.parametrize("padding", get_args(Padding))
@pytest.mark.parametrize("side", get_args(Side))
def test_groups_of_any_number_of_rows(padding: Padding, side: Side) -> None:
    """As the captions of images are, all of each: ragged [b, n, None], ragged in n too."""
    groups: list[list[list[int]]] = [[[4], [5, 6, 7, 8, 9, 4]], [], [[]], [[6, 7], [5], [4] * 9]]
    stage = Pack(length=7, start_id=START, end_id=END, padding=padding, padding_side=side)
    columns = all_by_loop([row for group in groups for row in group], stage, 7)
    ids = tf.ragged.constant(groups, tf.int32, ragged_rank=2)
    spec = {"token_ids": tf.RaggedTensorSpec([None, None, None], tf.int32, 2)}
    traced = tf.function(stage, input_signature=[spec])
    shapes = traced.get_concrete_function().structured_outputs
    width = 7 if padding == "length" else None
    assert shapes["token_ids"].shape.as_list() == [None, None, width]
    results: list[dict[str, Any]] = [stage({"token_ids": ids}), traced({"token_ids": ids})]
    for packed in results:
        for name, column in zip(packed, columns, strict=True):
            assert packed[name].ragged_rank == 1
            assert packed[name].row_lengths().numpy().tolist() == [2, 0, 1, 3]
            assert packed[name].values.numpy().tolist() == column
    nothing = stage({"token_ids": ids[:0]})
    assert nothing["token_ids"].shape.as_list()[0] == 0
    assert nothing["token_ids"].values.shape[0] == 0


def test_pack_uses_the_ids_it_is_given() -> None:
    stage = Pack(length=5, start_id=50, end_id=60, pad_id=70)
    packed = stage({"token_ids": ragged([[4], [4, 5, 6, 7]])})
    assert packed["token_ids"].numpy().tolist() == [[50, 4, 60, 70, 70], [50, 4, 5, 6, 60]]
    assert packed["padding_mask"].numpy().tolist() == [[True] * 3 + [False] * 2, [True] * 5]
    assert packed["response_mask"].numpy().tolist() == [
        [False, True, True, False, False],
        [False, True, True, True, True],
    ]


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=repr)
@pytest.mark.parametrize("shape", [(), (6,), (2, 3), (3, 1, 2)], ids=str)
def test_any_leading_shape(tokenizer: Tokenizer, shape: tuple[int, ...]) -> None:
    texts = CAPTIONS if shape else CAPTIONS[:1]
    captions = tf.reshape(tf.constant(texts), shape)
    stage = Pack(length=6, start_id=START, end_id=END, pad_id=PAD)
    expected = [packed_by_loop(tokenizer.tokenize(t).numpy().tolist(), stage, 6) for t in texts]

    def run(example: dict[str, Any]) -> dict[str, Any]:
        return stage(Tokenize(tokenizer=tokenizer)(example))

    ds = tf.data.Dataset.from_tensors({"caption": captions}).map(run)
    for done in (run({"caption": captions}), next(iter(ds))):
        assert done["token_ids"].dtype == tf.int32
        assert done["padding_mask"].dtype == tf.int32
        for column, name in enumerate(("token_ids", "padding_mask")):
            rows = np.array([row[column] for row in expected])
            np.testing.assert_array_equal(done[name], rows.reshape(*shape, 6))


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=repr)
@pytest.mark.parametrize("shape", [(), (None,), (None, 2), (None, 1, 2)], ids=str)
def test_static_shapes(tokenizer: Tokenizer, shape: tuple[int | None, ...]) -> None:
    tokens = Tokenize(tokenizer=tokenizer)
    stage = Pack(length=6, start_id=START, end_id=END)

    def run(caption: Any) -> dict[str, Any]:
        split = tokens({"caption": caption})
        return {"ragged": split["token_ids"], **stage(split)}

    traced = tf.function(run, input_signature=[tf.TensorSpec(shape, tf.string)])
    specs = traced.get_concrete_function().structured_outputs
    assert specs["ragged"].dtype == tf.int32
    assert specs["ragged"].shape[1:].as_list() == [*shape[1:], *([None] if shape else [])]
    assert specs["token_ids"].dtype == tf.int32
    assert specs["padding_mask"].dtype == tf.int32
    for name in ("token_ids", "padding_mask"):
        assert specs[name].shape.as_list() == [*shape, 6]


def test_stages_touch_nothing_else() -> None:
    example = {"caption": tf.constant(CAPTIONS), "row": tf.range(6)}
    before = dict(example)
    tokens = Tokenize(tokenizer=TOKENIZERS[0])(example)
    kept = dict(tokens)
    packed = Pack(length=5, start_id=START, end_id=END)(tokens)
    assert packed.keys() == {"caption", "row", "token_ids", "padding_mask", "response_mask"}
    assert all(packed[name] is value for name, value in before.items())
    for now, then in ((example, before), (tokens, kept)):
        assert now.keys() == then.keys()
        assert all(now[name] is value for name, value in then.items())


@pytest.mark.parametrize("length", [2, 1, 0, -3, 5.0, "5", None], ids=repr)
def test_lengths_that_are_refused(length: Any) -> None:
    message = r"Pack\(length=\.\.\.\) must be an int of at least 3, for start, a token, end; got"
    with pytest.raises(ValueError, match=message):
        Pack(length=length, start_id=START, end_id=END)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"length": 0, "start_id": None, "end_id": None}, "at least 1, for a token; got length=0"),
        ({"length": 1, "start_id": None}, "at least 2, for a token, end; got length=1"),
        ({"length": 1, "end_id": None}, "at least 2, for start, a token; got length=1"),
        (
            {"length": 7, "prompt": (7, 8, 9, 7, 8)},
            r"at least 8, for start, a prompt of 5 token\(s\), a token, end; got length=7\.$",
        ),
        (
            {"length": 9, "buckets": (2, 5)},
            r"at least 3, for start, a token, end; got length=9, buckets=\(2, 5\)",
        ),
        ({"buckets": (4.0, 9)}, r"got length=9, buckets=\(4\.0, 9\)"),
        *(
            ({"padding": name}, r"Pack\(padding=.*one of \['length', 'longest'\]; got")
            for name in ("", "max", None, True, ["length"])
        ),
        *(
            ({"padding_side": name}, r"Pack\(padding_side=.*one of \['right', 'left'\]; got")
            for name in ("", "both", None, False, ["left"])
        ),
    ],
    ids=str,
)
def test_fields_that_are_refused(fields: dict[str, Any], message: str) -> None:
    fits: dict[str, Any] = {"length": 9, "start_id": START, "end_id": END}
    with pytest.raises(ValueError, match=message):
        Pack(**fits | fields)


def test_stages_are_values() -> None:
    stage = Pack(length=5, start_id=2, end_id=3)
    assert repr(stage).startswith("Pack(length=5, start_id=2, end_id=3, pad_id=0, ")
    assert stage != Pack(length=6, start_id=2, end_id=3)
    tokens = Tokenize(tokenizer=Word(VOCABULARY))
    assert repr(tokens) == "Tokenize(tokenizer=<Word tokenizer, 8 tokens>)"
    assert tokens == Tokenize(tokenizer=Word(VOCABULARY))
    assert tokens != Tokenize(tokenizer=WordPiece(VOCABULARY))
    for value in (stage, tokens):
        copy = pickle.loads(pickle.dumps(value))
        assert copy == value
        assert hash(copy) == hash(value)
