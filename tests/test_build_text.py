"""`mmdata.build`: buckets and padding of captions, and the report of their lengths."""

import dataclasses
import io
import json
import pathlib
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from batches import assert_same, epoch_of, joined  # type: ignore[import-not-found]
from PIL import Image

import mmdata
from mmdata import Captioning, Flip, Pixels, Prefix, Problems, References, Retrieval, Text
from mmdata.pairs.pairs import Row
from mmdata.tokenizers import Byte, Word
from mmdata.tokenizers.vocabulary_tokenizer import SPECIAL_TOKENS

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]
Size = tuple[int, int]

SIZES: tuple[Size, ...] = ((4, 8), (6, 6), (8, 4))
SHAPES: tuple[Size, ...] = ((6, 11), (9, 9), (12, 5))
BUCKETS, LENGTH, BATCH = (8, 12), 20, 4
COUNT, CORRUPT = 19, 7
END = Byte().end_id


def text_of(row: int, place: int) -> str:
    """A caption of 2 to 23 bytes, unlike all others."""
    return f"{chr(97 + row)}{place}" + "x" * ((row * 5 + place * 8) % 22)


CAPTIONS = [[text_of(row, place) for place in range(1 + row % 3)] for row in range(COUNT)]
NEAREST = [SIZES[row % 2 * (row % 3)] for row in range(COUNT)]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory, write: Write) -> mmdata.Pairs:
    """`CAPTIONS`, with pictures of three shapes, one of them corrupt, and a column of numbers."""
    files: dict[str, str | bytes] = {}
    lines = []
    for row, captions in enumerate(CAPTIONS):
        buffer, name = io.BytesIO(), f"{row:02}.png"
        Image.new("L", SHAPES[SIZES.index(NEAREST[row])][::-1], 10 * row).save(buffer, "PNG")
        files[name] = buffer.getvalue()[: -20 if row == CORRUPT else None]
        lines.append(json.dumps({"file_name": name, "captions": captions, "number": row}))
    root = write(tmp_path_factory.mktemp("text"), files | {"metadata.jsonl": "\n".join(lines)})
    return mmdata.read(root)


def build(pairs: Any, **options: Any) -> Any:
    """A dataset of bytes in buckets and of tiny pictures; the warnings of cut captions aside."""
    defaults: dict[str, Any] = {
        "text": Text(tokenizer="byte", length=LENGTH, buckets=BUCKETS),
        "pixels": Pixels(size=(2, 2), normalize="uint8"),
        "task": Captioning(columns=("number",)),
        "batch_size": BATCH,
        "on_problem": Problems(corrupt="drop"),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return mmdata.build(pairs, **defaults | options)


Seen = tuple[int, str, Size]
"""An example: its row, what is left of its caption, and the size of its picture."""


def seen(ds: Any, batch: Any) -> tuple[int, list[Seen]]:
    """How long the sequences of a batch are, and its examples."""
    x, ids = (batch, batch["token_ids"]) if isinstance(batch, dict) else batch[:2]
    texts = [text.decode() for text in ds.tokenizer.detokenize(ids).numpy()]
    size = tuple(x["images"].shape[1:3])
    assert x["token_ids"].shape == x["padding_mask"].shape == ids.shape
    rows = x["number"].numpy().tolist()
    return ids.shape[1], [(row, text, size) for row, text in zip(rows, texts, strict=True)]


def expected_of(task: Any, image_sizes: bool) -> list[tuple[int, Seen]]:
    """Of each example, by a loop: how long its sequence is, and what is in it."""
    examples: list[tuple[int, str]] = []
    for row, captions in enumerate(CAPTIONS):
        chosen = {
            "all": captions,
            "first": captions[:1],
            "longest": [max(captions, key=len)],
            "join": [" ".join(captions)],
        }[task.captions]
        examples += [(row, task.template.replace("{caption}", text)) for text in chosen]
    special = 1 if isinstance(task, Captioning) else 2  # y has no start token
    made = []
    for row, text in examples:
        fits = [length for length in (*BUCKETS, LENGTH) if len(text) + special <= length]
        length = fits[0] if fits else LENGTH
        size = NEAREST[row] if image_sizes else (2, 2)
        made.append((length, (row, text[: length - special], size)))
    return made


TASKS: list[tuple[Any, bool]] = [
    (Captioning(columns=("number",), template="a {caption}"), True),
    (Retrieval(columns=("number",), captions="longest"), True),
    (Retrieval(columns=("number",), captions="join"), False),
]


@pytest.mark.parametrize(("task", "image_sizes"), TASKS, ids=str)
def test_buckets(task: Any, image_sizes: bool, pairs: mmdata.Pairs) -> None:
    pixels = Pixels(buckets=SIZES, normalize="uint8") if image_sizes else Pixels(size=(2, 2))
    ds = build(pairs, task=task, pixels=pixels)
    expected = expected_of(task, image_sizes)
    length_of = {example: length for length, example in expected}
    assert len(length_of) == len(expected)  # no two are alike
    shapes = Counter((length, example[2]) for length, example in expected)
    assert {length for length, _ in shapes} == {*BUCKETS, LENGTH}
    assert sum(count % BATCH > 0 for count in shapes.values()) >= 2  # some batches are short
    assert len(ds) == sum(-(-count // BATCH) for count in shapes.values())
    orders = []
    for _ in range(1 + isinstance(task, Captioning)):
        batches = [seen(ds, batch) for batch in ds]
        orders.append([example for _, examples in batches for example in examples])
        assert sorted(orders[-1]) == sorted(length_of)
        sizes: dict[tuple[int, Size], list[int]] = {shape: [] for shape in shapes}
        for length, examples in batches:
            assert {length_of[example] for example in examples} == {length}
            sizes[length, examples[0][2]].append(len(examples))
        for shape, count in shapes.items():
            full, rest = divmod(count, BATCH)
            assert sorted(sizes[shape], reverse=True) == [BATCH] * full + [rest] * (rest > 0)
    if isinstance(task, Captioning):
        assert orders[0] != orders[1]
    assert [f.path for f in ds.report.findings if f.kind == "corrupt"] == [f"{CORRUPT:02}.png"]


@pytest.fixture(scope="module")
def bucketed(pairs: mmdata.Pairs) -> Any:
    """What `build` here makes by default."""
    return build(pairs)


def test_what_a_batch_of_a_bucket_holds(bucketed: Any) -> None:
    padding = places = 0
    for x, y, weight in bucketed:
        ids, mask = x["token_ids"].numpy(), x["padding_mask"].numpy()
        np.testing.assert_array_equal(ids[:, 1:], y[:, :-1])
        np.testing.assert_array_equal(mask, ids != 0)
        assert (ids[:, 0] == Byte().start_id).all()
        for row, targets, counts in zip(
            x["number"].numpy(), y.numpy(), weight.numpy(), strict=True
        ):
            assert END in targets  # also of what is cut
            real = np.arange(len(targets)) <= targets.tolist().index(END)
            assert counts.tolist() == (real & (row != CORRUPT)).astype(float).tolist()
            padding, places = padding + (~real).sum(), places + real.size
    assert bucketed.length_report.padding_share == padding / places


def test_buckets_waste_less(bucketed: Any, pairs: mmdata.Pairs) -> None:
    fixed = build(pairs, text=Text(tokenizer="byte", length=LENGTH))
    tokens = [min(len(text) + 1, LENGTH) for texts in CAPTIONS for text in texts]
    waste = fixed.length_report.padding_share
    assert waste == (LENGTH * len(tokens) - sum(tokens)) / (LENGTH * len(tokens))
    assert bucketed.length_report.padding_share < waste / 2
    assert bucketed.length_report.buckets == (*BUCKETS, LENGTH)
    x, y, _ = fixed.element_spec
    assert x["token_ids"] == y == tf.TensorSpec([None, LENGTH], tf.int32)


def test_element_spec(bucketed: Any) -> None:
    x, y, weight = bucketed.element_spec
    assert x["images"] == tf.TensorSpec([None, 2, 2, 3], tf.uint8)
    assert x["token_ids"] == y == tf.TensorSpec([None, None], tf.int32)
    assert x["padding_mask"] == tf.TensorSpec([None, None], tf.int32)
    assert weight == tf.TensorSpec([None, None], tf.float32)


def test_the_same_batches_at_every_step_and_over_shards(pairs: mmdata.Pairs) -> None:
    options = {
        "pixels": Pixels(buckets=SIZES[:2]),
        "batch_size": 6,
        "text": Text(tokenizer="byte", length=LENGTH, buckets=(12,)),
    }
    ds = build(pairs, **options)
    epoch = epoch_of(ds)
    assert_same(epoch_of(ds.at(2)), epoch[2:])
    shards = [epoch_of(build(pairs, **options, shard=(k, 2))) for k in range(2)]
    assert_same(joined(shards), epoch)


def test_a_model_fits_over_buckets(pairs: mmdata.Pairs) -> None:
    inputs = {
        "images": keras.Input((2, 2, 3), name="images"),
        "token_ids": keras.Input((None,), dtype="int32", name="token_ids"),
        "padding_mask": keras.Input((None,), dtype="bool", name="padding_mask"),
    }
    hidden = keras.layers.Embedding(260, 8)(inputs["token_ids"])
    mask = inputs["padding_mask"]
    pooled = keras.layers.GlobalAveragePooling1D(keepdims=True)(hidden, mask=mask)
    model = keras.Model(inputs, keras.layers.Dense(260)(hidden + pooled))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.05), loss)
    losses = model.fit(build(pairs, task="captioning"), epochs=2, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_to_the_longest(side: Any, pairs: mmdata.Pairs) -> None:
    text = Text(tokenizer="byte", length=LENGTH, padding="longest", padding_side=side)
    task = Retrieval(columns=("number",), captions="first")
    ds = build(pairs, text=text, task=task, batch_size=2)
    widths = set()
    for batch in ds:
        texts = [CAPTIONS[row][0] for row in batch["number"].numpy()]
        ids = [[2, *(4 + ord(c) for c in text[: LENGTH - 2]), 3] for text in texts]
        width = max(map(len, ids))
        fill = [[0] * (width - len(row)) for row in ids]
        both = zip(ids, fill, strict=True)
        rows = [zeros + row if side == "left" else row + zeros for row, zeros in both]
        assert batch["token_ids"].numpy().tolist() == rows
        widths.add(width)
    assert len(widths) > 1


FIXED = r"Text\(buckets=\.\.\.\) needs captions that stay the same from epoch to epoch: .*; got "


@pytest.mark.parametrize(
    "options",
    [
        {"task": Captioning(captions="random")},
        {"task": Captioning(captions="cycle")},
        {"task": Captioning(shuffle_tags=True)},
        {"task": "retrieval"},
        {"augment": (Flip(),)},
    ],
    ids=str,
)
def test_captions_that_change_have_no_bucket(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=FIXED):  # before anything is read
        build("nowhere", **options)


def test_references_have_no_bucket() -> None:
    message = r"Text\(buckets=\.\.\.\) must be empty with task=References.*; got buckets=\(8, 12\)"
    with pytest.raises(ValueError, match=message):
        build("nowhere", task=References())


def test_flips_that_leave_captions_alone_may_have_buckets(pairs: mmdata.Pairs) -> None:
    assert len(build(pairs, augment=(Flip(captions_aware=False),))) > 1


def test_a_prompt_needs_room(pairs: mmdata.Pairs) -> None:
    """The error is of what `build` was asked for, and not of what it makes of it."""
    message = r"sequence_length=.*at least 13, .*prompt of 11 token\(s\).*; got 12\."
    for text, length in (("byte", 12), (Text(tokenizer="byte", length=20, buckets=(12, 15)), None)):
        with pytest.raises(ValueError, match=message):
            build(pairs, task=Prefix(prompt="caption en\n"), text=text, sequence_length=length)


# The report of lengths.

BY_TASK = [
    (Captioning(template="a {caption}"), 1),
    (Prefix(prompt="say: "), 6),
    (Retrieval(captions="all"), 2),
    (Retrieval(), 2),
    (References(), 2),
]


@pytest.mark.parametrize(("task", "special"), BY_TASK, ids=str)
def test_length_report_equals_a_loop(task: Any, special: int, pairs: mmdata.Pairs) -> None:
    ds = build(pairs, task=task, text=Text(tokenizer="byte", length=15), shuffle=False)
    fit = ds.length_report
    template = getattr(task, "template", "{caption}")  # References has no template
    texts_of_all = [template.replace("{caption}", text) for texts in CAPTIONS for text in texts]
    assert fit.token_counts.tolist() == [len(text) + special for text in texts_of_all]
    assert not fit.unknown_counts.any()
    assert (fit.special_tokens, fit.sequence_length, fit.buckets) == (special, 15, ())
    if task.captions != "all":
        return
    # A caption is cut if and only if one of its own tokens is missing.
    decoded = []
    for batch in ds:
        ids = batch["token_ids"] if isinstance(batch, dict) else batch[1]
        texts = [text.decode() for text in ds.tokenizer.detokenize(ids).numpy()]
        decoded += [text.removeprefix(task.prompt) for text in texts]
    is_cut = [text != whole for text, whole in zip(decoded, texts_of_all, strict=True)]
    assert is_cut == (fit.token_counts > fit.sequence_length).tolist()
    assert sum(is_cut) == fit.cut
    assert {len(text) + special for text in texts_of_all} >= {15, 16}


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory, write: Write) -> mmdata.Pairs:
    """A hundred captions of 8 bytes, but for one of 9 and one of 10; four images."""
    texts = ["x" * 7 + str(place % 10) for place in range(100)]
    texts[17], texts[60] = "y" * 9, "z" * 10
    rows = [
        json.dumps({"file_name": f"{n}.png", "captions": texts[25 * n : 25 * n + 25]})
        for n in range(4)
    ]
    root = tmp_path_factory.mktemp("hundred")
    files: dict[str, str | bytes] = {}
    for n in range(4):
        buffer = io.BytesIO()
        Image.new("L", (4, 4), n).save(buffer, "PNG")
        files[f"{n}.png"] = buffer.getvalue()
    return mmdata.read(write(root, files | {"metadata.jsonl": "\n".join(rows)}))


@pytest.mark.parametrize(("task", "length"), [(Captioning(), 9), (Retrieval(), 10)], ids=str)
def test_warns_of_more_than_one_in_a_hundred(task: Any, length: int, hundred: mmdata.Pairs) -> None:
    options: dict[str, Any] = {"text": "byte", "task": task, "image_size": (2, 2), "batch_size": 2}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mmdata.build(hundred, sequence_length=length + 1, **options)  # cuts one
    with pytest.warns(UserWarning, match=rf"sequence_length={length} cuts 2 of 100 ") as warned:
        mmdata.build(hundred, sequence_length=length, **options)
    assert [warning.filename for warning in warned] == [__file__]


def test_tags_are_counted_as_they_are_shuffled(tmp_path: pathlib.Path) -> None:
    pairs = mmdata.Pairs.of_rows(str(tmp_path), [Row("0.png", ["a,b,c,d,e"])], layout="sidecar")
    Image.new("RGB", (4, 4)).save(tmp_path / "0.png")
    task = Captioning(shuffle_tags=True)
    with pytest.warns(UserWarning, match=r"sequence_length=11 cuts 1 of 1 captions"):
        ds = mmdata.build(pairs, task=task, text=Text(tokenizer="byte", length=11))
    assert ds.length_report.longest == len("a, b, c, d, e") + 1


@pytest.mark.parametrize("template", ["{caption}", "a photo of {caption}"])
def test_each_split_has_the_vocabulary_of_train(tmp_path: pathlib.Path, template: str) -> None:
    """Tags are tidied for "train", and stay as they are for "validation"."""
    captions = ["red,dog", "dog , big,cat", "sea,,red"]
    for number in range(len(captions)):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / f"{number}.png")
    rows = [Row(f"{number}.png", [text]) for number, text in enumerate(captions)]
    pairs = mmdata.Pairs.of_rows(str(tmp_path), rows, layout="sidecar")
    names, split_of = ("train", "validation"), np.array([0, 0, 1], np.int8)
    pairs = dataclasses.replace(pairs, split_names=names, split_of=split_of)
    task = Captioning(shuffle_tags=True, template=template)
    text = Text(tokenizer="character", clean=None)
    found = [
        mmdata.build(pairs, split=split, task=task, text=text, image_size=(4, 4))
        for split in ("train", "validation")
    ]
    both = mmdata.build(pairs, split=names[::-1], task=task, text=text, image_size=(4, 4))
    assert len({ds.tokenizer.fingerprint for ds in (*found, *both)}) == 1
    lengths = [ds.length_report.longest for ds in (*found, *both)]
    extra = len(template.replace("{caption}", "")) + 1
    train, validation = len("dog, big, cat") + extra, len("sea,,red") + extra
    assert lengths == [train, validation, validation, train]


def test_warns_of_unknown_tokens(pairs: mmdata.Pairs) -> None:
    strange = Word((*SPECIAL_TOKENS, "犬"))
    with pytest.warns(
        UserWarning, match=r"^100\.0 % of the tokens .* are unknown to <Word"
    ) as warned:
        ds = mmdata.build(pairs, text=Text(tokenizer=strange, length=99), on_problem="drop")
    assert [warning.filename for warning in warned] == [__file__]
    assert ds.length_report.unknown_share == 1
