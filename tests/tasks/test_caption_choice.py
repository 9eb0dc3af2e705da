"""Which captions an epoch takes, and their text, from `mmdata.build` to the batch."""

import csv
import dataclasses
import itertools
import math
import pathlib
import pickle
from collections import Counter
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from chance import chance  # type: ignore[import-not-found]
from test_tasks import png  # type: ignore[import-not-found]

import mmdata
from mmdata import Captioning, Flip, Prefix, References, Retrieval, TextToImage
from mmdata.pairs.pairs import Pairs, Row
from mmdata.tasks import Task
from mmdata.tokenizers import Byte
from mmdata.training.caption_metrics import caption_scores

BYTE = Byte()
START, END = BYTE.start_id, BYTE.end_id
COUNTS = (1, 2, 3, 5, 2, 3, 1)
COPY_OF_2 = 5
BROKEN = 6


def captions_of(row: int) -> list[str]:
    """As many as `COUNTS` has, that tell the row; the second of each is the longest."""
    return [f"{row}{letter}" + "+" * (letter == "b") for letter in "abcde"[: COUNTS[row]]]


def write(folder: pathlib.Path, *, broken: bool) -> Pairs:
    """`0.png` to `6.png`, whose shades tell their rows; one is a copy, one may be cut short."""
    folder.mkdir()
    for row in range(len(COUNTS)):
        content = png(2 if row == COPY_OF_2 else row)
        (folder / f"{row}.png").write_bytes(content[: -30 * (broken and row == BROKEN) or None])
    rows = [Row(f"{row}.png", captions_of(row)) for row in range(len(COUNTS))]
    return Pairs.of_rows(str(folder), rows, layout="rows")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    """All images are there."""
    return write(tmp_path_factory.mktemp("whole") / "images", broken=False)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    """One image cannot be decoded."""
    return write(tmp_path_factory.mktemp("broken") / "images", broken=True)


def text(length: int = 24, **fields: Any) -> mmdata.Text:
    """Bytes as they are."""
    return mmdata.Text(tokenizer=BYTE, clean=None, length=length, **fields)


SMALL: dict[str, Any] = {
    "pixels": "uint8",
    "image_size": (2, 2),
    "text": text(),
    "batch_size": 4,
}


def build(pairs: Any, task: Any, captions: Any = None, **options: Any) -> Any:
    if isinstance(task, TextToImage):
        options = {"pixels": "signed"} | options
    return mmdata.build(pairs, captions, task=task, **SMALL | options)


def features(batch: Any) -> dict[str, Any]:
    """What a model sees."""
    x: dict[str, Any] = batch if isinstance(batch, dict) else batch[0]
    return x


def examples_of(batch: Any) -> list[tuple[int, str]]:
    """The image, by its shade, and the caption of each example."""
    x = features(batch)
    shades = x["images"].numpy()[:, 0, 0, 0]
    if shades.dtype == np.float32:
        shades = np.rint((shades + 1) * 127.5)
    texts = [bytes((ids[ids > 3] - 4).tolist()).decode() for ids in x["token_ids"].numpy()]
    return [(int(shade) // 10, text) for shade, text in zip(shades, texts, strict=True)]


def epochs(ds: Any, count: int) -> list[list[tuple[int, str]]]:
    """The examples of some epochs, one after another: one iterator for all is much faster."""
    batches = list(ds.repeat(count))
    steps = len(batches) // count
    return [
        list(itertools.chain(*map(examples_of, batches[i * steps :][:steps]))) for i in range(count)
    ]


def contents(batches: Any) -> list[bytes]:
    """All bytes of all tensors."""
    return [np.asarray(tensor).tobytes() for tensor in tf.nest.flatten(list(batches))]


# What an epoch takes.


def shade(row: int) -> int:
    return 2 if row == COPY_OF_2 else row


TAKEN: dict[str, tuple[Task, bool, Any]] = {
    "all": (Captioning(), True, lambda row, _: captions_of(row)),
    "cycle": (
        Captioning(captions="cycle", template="{caption}!"),
        False,
        lambda row, epoch: [captions_of(row)[(row + epoch) % COUNTS[row]] + "!"],
    ),
    "first": (
        Retrieval(captions="first", template="see {caption}"),
        True,
        lambda row, _: [f"see {row}a"] * (row != COPY_OF_2),
    ),
    "longest": (
        Prefix(prompt="? ", captions="longest", template="<{caption}>"),
        True,
        lambda row, _: [f"? <{captions_of(row)[COUNTS[row] > 1]}>"],
    ),
    "join": (
        TextToImage(captions="join", template="{caption}."),
        False,
        lambda row, _: [" ".join(captions_of(row)) + "."],
    ),
}


@pytest.mark.parametrize(("task", "shuffle", "wanted"), TAKEN.values(), ids=TAKEN.keys())
def test_what_an_epoch_takes(pairs: Pairs, task: Task, shuffle: bool, wanted: Any) -> None:
    found = epochs(build(pairs, task, shuffle=shuffle), 6)
    for epoch, examples in enumerate(found):
        rows = range(len(COUNTS))
        expected = [(shade(row), caption) for row in rows for caption in wanted(row, epoch)]
        assert sorted(examples) == sorted(expected)
        assert shuffle or examples == expected
    if shuffle:
        assert len({tuple(examples) for examples in found}) > 4


# Draws.


@pytest.fixture(scope="module")
def twins(pairs: Pairs) -> list[Any]:
    """Two datasets of the same seed, not to be iterated but by one test."""
    return [build(pairs, Captioning(captions="random"), seed=3) for _ in range(2)]


def test_random_captions_are_the_same_again(pairs: Pairs, twins: list[Any]) -> None:
    first, second = twins
    steps, batches = len(first), list(first.at(0).repeat(3))
    assert contents(second.at(steps + 1)) == contents(batches[steps + 1 : 2 * steps])
    shard = build(pairs, first.task, seed=3, shard=(1, 2))
    halves = [tf.nest.map_structure(lambda t: t[len(t) // 2 :], batch) for batch in batches]
    assert contents(shard.repeat(3)) == contents(halves)


class Tally(keras.layers.Layer):
    """Counts which caption a model sees of which image, and hands its tokens on."""

    def build(self, _: Any) -> None:
        self.seen = self.add_weight(
            shape=(len(COUNTS), 5), initializer="zeros", dtype="int32", trainable=False
        )

    def call(self, token_ids: Any) -> Any:
        places = token_ids[:, 1:3] - BYTE.tokenize("0a")
        ones = tf.ones_like(places[:, 0])
        self.seen.assign(tf.tensor_scatter_nd_add(self.seen, places, ones))
        return token_ids


def trained(ds: Any) -> list[Any]:
    """What a small model saw in 120 epochs, and what it learned."""
    keras.utils.set_random_seed(1)
    x = {
        "images": keras.Input((2, 2, 3), name="images", dtype="uint8"),
        "token_ids": keras.Input((24,), name="token_ids", dtype="int32"),
        "padding_mask": keras.Input((24,), name="padding_mask", dtype="int32"),
    }
    size = BYTE.vocabulary_size
    embedded = keras.layers.Embedding(size, 3)(Tally()(x["token_ids"]))
    colors = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(x["images"]))
    seen = embedded + keras.ops.expand_dims(colors, 1)
    kept = seen * keras.ops.cast(keras.ops.expand_dims(x["padding_mask"], -1), "float32")
    model = keras.Model(x, keras.layers.Dense(size)(kept))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, jit_compile=False)
    model.fit(ds.repeat(), steps_per_epoch=60 * len(ds), epochs=2, shuffle=False, verbose=0)
    weights: list[Any] = model.get_weights()
    return weights


def test_a_model_sees_each_caption_as_often_and_learns_the_same_again(twins: list[Any]) -> None:
    first, second = map(trained, twins)
    assert contents(first) == contents(second)
    seen, *_ = first
    assert (seen > 0).sum(axis=1).tolist() == list(COUNTS)
    assert set(seen.sum(axis=1)) == {120}
    several = [row[:count] for row, count in zip(seen, COUNTS, strict=True) if count > 1]
    assert min(chance(row) for row in several) > 1e-3


# Retrieval.


@pytest.mark.parametrize("captions", ["random", "first"])
def test_a_batch_larger_than_the_set_holds_each_image_once(pairs: Pairs, captions: Any) -> None:
    ds = build(pairs, Retrieval(captions=captions), batch_size=7)
    for _ in range(2):
        (batch,) = list(ds)
        assert len(set(batch["image_id"].numpy().tolist())) == len(batch["image_id"]) == 6


def test_equal_ids_are_captions_of_one_image(pairs: Pairs) -> None:
    ds = build(pairs, Retrieval(captions="all"), batch_size=sum(COUNTS))
    (batch,) = list(ds)
    shades = np.array([row for row, _ in examples_of(batch)])
    ids = batch["image_id"].numpy()
    assert ids.dtype == np.int32
    same = ids[:, None] == ids
    np.testing.assert_array_equal(same, shades[:, None] == shades)
    assert same.sum() == 1 + 4 + 36 + 25 + 4 + 1


# References.

UNUSUAL = {
    "0.png": ["one, with a comma"],
    "1.png": ["two\nlines", 'a "quoted" one', "a\x1eb", "\u00ff\ufffd"],
    "2.png": ["🐈\u200d⬛ , é", "plain"],
    "3.png": ["plain"],
    f"{COPY_OF_2}.png": ["of the copy", "plain"],
}


@pytest.fixture(scope="module")
def referred(broken: Pairs) -> tuple[Any, dict[str, Any]]:
    """A dataset of references from a CSV file, and its one batch."""
    path = pathlib.Path(broken.root).parent / "captions.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "caption"])
        captions = {**UNUSUAL, f"{BROKEN}.png": ["not to be seen", "nor this"]}
        table.writerows([image, text] for image, texts in captions.items() for text in texts)
    lower = mmdata.Text(tokenizer=BYTE, length=16)
    options = {"text": lower, "shuffle": False, "batch_size": 8, "on_problem": "drop"}
    with pytest.warns(UserWarning, match="cuts 2 of 12 captions"):
        ds = build(broken.root, "references", path, **options)
    (batch,) = list(ds)
    return ds, batch


def references(batch: dict[str, Any]) -> list[list[str]]:
    return [[text.decode() for text in texts] for texts in batch["references"].to_list()]


MERGED = [
    UNUSUAL["0.png"],
    UNUSUAL["1.png"],
    UNUSUAL["2.png"] + UNUSUAL[f"{COPY_OF_2}.png"],
    UNUSUAL["3.png"],
    ["not to be seen", "nor this"],
]


def test_references_are_all_captions_of_each_image(referred: tuple[Any, dict[str, Any]]) -> None:
    ds, batch = referred
    assert references(batch) == MERGED
    names = list(ds.pairs.images)
    wanted = [names.index(f"{row}.png") for row in (0, 1, 2, 3, BROKEN)]
    assert batch["image_id"].numpy().tolist() == wanted
    assert batch["images"][:, 0, 0, 0].numpy().tolist() == [0, 10, 20, 30, 0]
    spec = ds.element_spec
    assert (spec["token_ids"].shape[2], spec["references"].dtype) == (16, tf.string)
    assert [finding.path for finding in ds.report.findings if finding.kind == "corrupt"] == [
        f"{BROKEN}.png"
    ]


def test_references_are_tokenized_like_each_alone(referred: tuple[Any, dict[str, Any]]) -> None:
    ds, batch = referred
    clean = ds.text.cleaner
    for place, texts in enumerate(MERGED):
        ids, mask = batch["token_ids"][place], batch["padding_mask"][place]
        assert ids.shape == mask.shape == (len(texts), 16)
        for text, row, real in zip(texts, ids.numpy(), mask.numpy(), strict=True):
            cleaned = clean({"caption": tf.constant(text)})["caption"]
            alone = [START, *BYTE.tokenize(cleaned).numpy()[:14], END]
            assert row.tolist() == alone + [0] * (16 - len(alone))
            known = place < 4  # the last cannot be decoded
            assert real.tolist() == [int(known)] * len(alone) + [0] * (16 - len(alone))


def test_references_are_what_measures_take(referred: tuple[Any, dict[str, Any]]) -> None:
    _, batch = referred
    refs = references(batch)
    assert caption_scores([texts[-1] for texts in refs], refs)["bleu_1"] == pytest.approx(1)
    assert caption_scores(["nothing of it"] * len(refs), refs)["bleu_1"] < 0.5

    real = batch["padding_mask"].numpy()[:4]
    owners = np.repeat(batch["image_id"], batch["token_ids"].row_lengths())
    gallery = np.eye(len(refs))
    queries = np.repeat(gallery, batch["token_ids"].row_lengths(), axis=0)
    assert all(mask.any() for mask in real)
    assert mmdata.recall_at_k(queries, gallery, owners, batch["image_id"], 1) == 1
    wrong = np.roll(gallery, 1, axis=0)
    assert mmdata.recall_at_k(queries, wrong, owners, batch["image_id"], 1) == 0


def test_references_are_not_augmented(pairs: Pairs) -> None:
    with pytest.raises(ValueError, match=r"augment=.* must be empty with task=References"):
        build(pairs, References(), augment=[Flip()])
    with pytest.raises(ValueError, match="buckets"):
        build(pairs, References(), text=text(buckets=(8,)))


# Prefix.


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_prompt_is_seen_and_not_learned(broken: Pairs, side: Any) -> None:
    prompt, length = "Was?\n", 11  # so that three bytes of a caption have room, and of four, too
    weights = np.array([1, 2, 0.5, 1, 0, 4, 3], np.float32)
    long = [Row(f"{row}.png", [f"{row}" * (row + 1)]) for row in range(len(COUNTS))]
    given = Pairs.of_rows(broken.root, long, layout="rows")
    given = dataclasses.replace(given, weights=weights)
    options = {"text": text(length, padding_side=side), "batch_size": 8, "on_problem": "drop"}
    with pytest.warns(UserWarning, match="cuts"):
        ds = build(given, Prefix(prompt=prompt), shuffle=False, **options)
    ((x, y, weight),) = list(ds)
    before = [START, *BYTE.tokenize(prompt).numpy()]
    assert x.keys() == {"images", "token_ids", "padding_mask", "response_mask"}
    for row in range(len(COUNTS)):
        answer = [*BYTE.tokenize(f"{row}" * (row + 1)).numpy()[: length - len(before)], END]
        # One token more than a sequence has, as y is a place ahead.
        whole = [*before, *answer]
        gap = [0] * (length + 1 - len(whole))
        learned = [False] * len(before) + [True] * len(answer)
        none = [False] * len(gap)
        sequence = whole + gap if side == "right" else gap + whole
        response = learned + none if side == "right" else none + learned
        real = [token != 0 for token in sequence]
        assert x["token_ids"][row].numpy().tolist() == sequence[:-1]
        assert y[row].numpy().tolist() == sequence[1:]
        assert x["padding_mask"][row].numpy().tolist() == real[:-1]
        assert x["response_mask"][row].numpy().tolist() == response[:-1]
        expected = weights[row] * (row != BROKEN) * np.array(response[1:])
        np.testing.assert_array_equal(weight[row], expected)


def test_a_prompt_that_leaves_no_room_is_refused(pairs: Pairs) -> None:
    with pytest.raises(ValueError, match=r"at least 12, .*a prompt of 10 token.*; got 11\."):
        build(pairs, Prefix(prompt="0123456789"), text=text(11))


# TextToImage.

TAGS = "hat, red, big, old, far"
DROPOUT = 0.3


@pytest.fixture(scope="module")
def drawn(pairs: Pairs) -> tuple[list[Any], list[Any]]:
    """Batches of tags, some dropped: of 60 epochs of "train", and of 10 of "validation"."""
    rows = [Row(f"{row}.png", [TAGS]) for row in range(BROKEN)]
    split_of = np.array([0, 0, 0, 1, 1, 0], np.int8)
    given = Pairs.of_rows(pairs.root, rows, layout="rows")
    given = dataclasses.replace(given, split_names=("train", "validation"), split_of=split_of)
    task = TextToImage(
        dropout=DROPOUT, template="a photo of {caption}", shuffle_tags=True, keep_tags=1
    )
    train, validation = build(given, task, text=text(40), split=("train", "validation"))
    return list(train.repeat(60)), list(validation.repeat(10))


def test_pictures_are_signed_and_weighed_only_where_needed(
    drawn: tuple[list[Any], list[Any]], pairs: Pairs, broken: Pairs
) -> None:
    batch = drawn[0][0]
    assert batch.keys() == {"images", "token_ids", "padding_mask"}
    rows = sorted(batch["images"][:, 0, 0, 0].numpy().tolist())
    np.testing.assert_allclose(rows, [r * 10 / 127.5 - 1 for r in (0, 1, 2, 2)], atol=1e-6)
    assert batch["images"].dtype == tf.float32
    ds = build(broken, TextToImage(captions="first"), on_problem="drop", shuffle=False)
    weights = np.concatenate([batch["weight"] for batch in ds])
    assert weights.tolist() == [row != BROKEN for row in range(len(COUNTS))]
    for pixels in ("unit", "uint8", "clip", "caffe", "raw"):
        with pytest.raises(ValueError, match=rf'pixels="signed"; got pixels={pixels!r}'):
            build(pairs, TextToImage(), pixels=pixels)


def test_captions_are_dropped_whole_and_others_each_epoch(
    drawn: tuple[list[Any], list[Any]],
) -> None:
    batches, _ = drawn
    count = len(batches)
    assert count == 60
    dropped: list[tuple[bool, ...]] = []
    orders: Counter[str] = Counter()
    for batch in batches:
        texts = [text for _, text in examples_of(batch)]
        dropped.append(tuple(text == "" for text in texts))
        orders.update(filter(None, texts))
        for ids, mask, empty in zip(
            batch["token_ids"].numpy(), batch["padding_mask"].numpy(), dropped[-1], strict=True
        ):
            assert not empty or ids.tolist() == [START, END] + [0] * 38
            assert mask.tolist() == (ids != 0).tolist()
    total = sum(map(sum, dropped))
    deviation = math.sqrt(4 * count * DROPOUT * (1 - DROPOUT))
    assert abs(total - 4 * count * DROPOUT) < 4 * deviation
    assert len(set(dropped)) > 8  # of 16 ways
    assert len(orders) == 24
    assert all(text.startswith("a photo of hat, ") for text in orders)
    tags = sorted(TAGS.split(", "))
    assert {tuple(sorted(text[11:].split(", "))) for text in orders} == {tuple(tags)}


def test_what_is_measured_is_neither_dropped_nor_shuffled(
    drawn: tuple[list[Any], list[Any]],
) -> None:
    examples = [example for batch in drawn[1] for example in examples_of(batch)]
    assert Counter(examples) == dict.fromkeys([(row, f"a photo of {TAGS}") for row in (3, 4)], 10)


# Arguments.

REFUSED: list[tuple[Any, dict[str, Any], str]] = [
    (Captioning, {"captions": "any"}, r"Captioning\(captions=\.\.\.\) must be one of .*got 'any'"),
    (Retrieval, {"captions": "gather"}, r"Retrieval\(captions=.*got 'gather'"),
    (TextToImage, {"captions": None}, "got None"),
    (Prefix, {"prompt": "?", "captions": ["all"]}, r"Prefix\(captions=.*got \['all'\]"),
    (Captioning, {"template": "a photo"}, "once; got 'a photo'"),
    (Captioning, {"template": "{caption} {caption}"}, "once; got"),
    (Retrieval, {"template": "{Caption}"}, r"Retrieval\(template="),
    (Captioning, {"template": None}, "once; got None"),
    (Captioning, {"template": b"{caption}"}, "once; got b"),
    *(
        (TextToImage, {"dropout": bad}, r"below 1; got")
        for bad in (-0.1, 1, 1.5, True, "0.1", None)
    ),
    (TextToImage, {"dropout": math.nan}, r"TextToImage\(dropout=.*got nan"),
    *(
        (Captioning, {"shuffle_tags": bad}, r"Captioning\(shuffle_tags=.*True or False; got")
        for bad in ("no", 1, None)
    ),
    (Captioning, {"keep_tags": 1}, r"keep_tags=.*0 without shuffle_tags=True; got 1"),
    *(
        (Captioning, {"shuffle_tags": True, "keep_tags": bad}, r"Captioning\(keep_tags=")
        for bad in (-1, 1.0, True, "1", None)
    ),
    *((Prefix, {"prompt": bad}, r"Prefix\(prompt=.*a text; got") for bad in ("", None, 5, b"a")),
    (Prefix, {"prompt": "?", "columns": ("response_mask",)}, r"Prefix\(columns="),
    (References, {"columns": ("references",)}, r"References\(columns="),
    (TextToImage, {"columns": ("weight",)}, r"TextToImage\(columns="),
]


@pytest.mark.parametrize(("task", "fields", "message"), REFUSED)
def test_refused_fields(task: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task(**fields)


def test_tasks_are_values() -> None:
    tasks: list[Any] = [task for task, _, _ in TAKEN.values()]
    tasks += [References(), References(columns=("a",)), Prefix(prompt="a"), Prefix(prompt="b")]
    tasks += [Captioning(shuffle_tags=True, keep_tags=2, dropout=0.5), Retrieval(), TextToImage()]
    assert len(set(tasks)) == len(tasks)
    for task in tasks:
        again = pickle.loads(pickle.dumps(task))
        assert again == task
        assert hash(again) == hash(task)
        assert eval(repr(task)) == task
    assert (Retrieval().captions, Captioning().captions) == ("cycle", "all")
    with pytest.raises(dataclasses.FrozenInstanceError):
        tasks[0].captions = "first"
