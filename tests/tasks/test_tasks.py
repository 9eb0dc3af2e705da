"""Batches of each task: labels, weights, and extra columns."""

import functools
import io
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image

import mmdata
from mmdata import Captioning, Classification, Problems, Retrieval
from mmdata.images.corrupt import Corrupt
from mmdata.tasks import Task
from mmdata.tokenizers import Byte

COUNT = 8
SMALL: dict[str, Any] = {"pixels": "uint8", "image_size": (2, 2), "text": "byte"}
LABELS = ["cat", "dog", "cat", "bird", "dog", "emu", "cat", "ant"]
SPLITS = ["train"] * 4 + ["validation"] * 2 + ["test"] * 2


def png(row: int) -> bytes:
    """A picture whose shade is ten times its row."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8), 10 * row).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def images(tmp_path: pathlib.Path) -> pathlib.Path:
    """`0.png` to `7.png`."""
    folder = tmp_path / "images"
    folder.mkdir()
    for row in range(COUNT):
        (folder / f"{row}.png").write_bytes(png(row))
    return folder


def table(images: pathlib.Path, **columns: Sequence[object]) -> pathlib.Path:
    """A CSV file beside the folder of images, a row an image."""
    columns = {"file_name": [f"{row}.png" for row in range(COUNT)], **columns}
    rows = [columns, *zip(*columns.values(), strict=True)]
    path = images.parent / "table.csv"
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    return path


def classify(images: Any, captions: Any = None, **options: Any) -> Any:
    task = Classification(column="label")
    return mmdata.build(images, captions, **SMALL | {"task": task, "shuffle": False} | options)


def keep(images: pathlib.Path, *names: str) -> None:
    """Deletes all other images."""
    for path in images.iterdir():
        if path.name not in names:
            path.unlink()


def rows_of(pixels: Any) -> list[int]:
    return [int(shade) // 10 for shade in np.max(pixels, axis=(1, 2, 3))]


LABELLED: dict[str, tuple[Sequence[object], tuple[str, ...] | None, list[int], list[str]]] = {
    "texts": (LABELS, None, [2, 3, 2, 1, 3, 4, 2, 0], ["ant", "bird", "cat", "dog", "emu"]),
    "texts in order": (
        LABELS,
        ("emu", "yak", "dog", "cat", "bird", "ant"),
        [3, 2, 3, 4, 2, 0, 3, 5],
        ["emu", "yak", "dog", "cat", "bird", "ant"],
    ),
    "codes": ([f"0{row}" for row in range(8)], None, [*range(8)], [f"0{r}" for r in range(8)]),
    "numbers": ([7, 0, 7, 3, 2**31 - 1, 1, 0, 9], None, [7, 0, 7, 3, 2**31 - 1, 1, 0, 9], []),
    "bools": ([True, False] * 4, None, [1, 0] * 4, []),
}


@pytest.mark.parametrize(
    ("cells", "classes", "labels", "names"), LABELLED.values(), ids=LABELLED.keys()
)
def test_labels(
    images: pathlib.Path,
    cells: Sequence[object],
    classes: tuple[str, ...] | None,
    labels: list[int],
    names: list[str],
) -> None:
    task = Classification(column="label", classes=classes)
    ds = classify(images, table(images, label=cells), task=task, batch_size=5)
    batches = list(ds)
    assert [label for _, part in batches for label in part.numpy()] == labels
    assert [row for pixels, _ in batches for row in rows_of(pixels)] == [*range(COUNT)]
    assert ds.class_names == names
    pixels, part = ds.element_spec
    assert (pixels.shape[1:], part.dtype, part.shape.rank) == ((2, 2, 3), tf.int32, 1)
    with pytest.raises(AttributeError, match="no text"):
        _ = ds.tokenizer
    with pytest.raises(ValueError, match=r"one of \['label'\]; got 'lable'"):
        classify(ds.pairs, task=Classification(column="lable"))


def test_labels_with_an_order_of_their_own(images: pathlib.Path) -> None:
    order = ["emu", "dog", "cat", "bird", "ant"]
    names = [f"{row}.png" for row in range(COUNT)]
    kinds = pd.Categorical(LABELS, categories=order)
    ds = classify(images, pd.DataFrame({"image": names, "label": kinds}))
    assert ds.class_names == order
    assert [n for _, part in ds for n in part.numpy()] == [order.index(name) for name in LABELS]


UNLABELLED: dict[str, tuple[Sequence[object], tuple[str, ...] | None, str]] = {
    "fractions": ([0.5] * 8, None, "must hold texts, or whole numbers .*; got float64"),
    "a number is missing": ([1, ""] * 4, None, "must hold texts, or whole numbers .*; got float64"),
    "numbers and classes": ([1] * 8, ("a",), r"without classes=\.\.\.; .*classes=\('a',\)"),
    "more than 32 bits": ([0] * 7 + [2**31], None, "32-bit numbers; got 0 to 2,147,483,648"),
    "a text is missing": (["", *LABELS[1:]], None, r"for each image, out of \['ant'.*got \[''\]"),
    "no text is no class": (["", *LABELS[1:]], ("", *sorted({*LABELS})), r"got \[''\]"),
    "unknown classes": (LABELS, ("dog", "cat"), r"\['dog', 'cat'\]; got \['ant', 'bird', 'emu'\]"),
}


@pytest.mark.parametrize(
    ("cells", "classes", "message"), UNLABELLED.values(), ids=UNLABELLED.keys()
)
def test_refused_labels(
    images: pathlib.Path, cells: Sequence[object], classes: tuple[str, ...] | None, message: str
) -> None:
    task = Classification(column="label", classes=classes)
    with pytest.raises(ValueError, match=message):
        classify(images, table(images, label=cells), task=task)


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        (Classification, {"column": "a", "classes": ["a", "b"]}, r"got \['a', 'b'\]"),
        (Classification, {"column": "a", "classes": ("a", "b", "a")}, "different texts"),
        (Classification, {"column": "a", "classes": (1, 2)}, r"got \(1, 2\)"),
        (Classification, {"column": "a", "columns": ("images",)}, r"Classification\(columns="),
        (Captioning, {"columns": ("a", "token_ids")}, r"Captioning\(columns="),
        (Captioning, {"columns": "year"}, "must be a tuple of names .*; got 'year'"),
        (Retrieval, {"columns": ("image_id",)}, r"Retrieval\(columns="),
    ],
)
def test_refused_arguments(task: type[Task], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task(**arguments)


def test_splits_agree_about_classes(images: pathlib.Path) -> None:
    captions = table(images, label=LABELS, split=SPLITS)
    train, test = classify(images, captions, split=("train", "test"))
    validation = classify(images, captions, split="validation")
    assert train.class_names == test.class_names == validation.class_names == sorted({*LABELS})
    names = [
        ds.class_names[label] for ds in (train, validation, test) for _, y in ds for label in y
    ]
    assert names == LABELS

    task = Classification(column="label", classes=("emu", "dog", "cat", "bird", "ant"))
    keep(images, "4.png", "5.png")
    ((_, labels),) = classify(images, captions, split="validation", task=task)
    assert labels.numpy().tolist() == [1, 0]


def test_ids_without_extension_and_a_table_among_the_images(images: pathlib.Path) -> None:
    captions = table(images, file_name=range(COUNT), label=range(COUNT))
    ((pixels, labels),) = list(classify(images, captions))
    assert labels.numpy().tolist() == rows_of(pixels) == [*range(COUNT)]
    table(images, label=LABELS).rename(images / "metadata.csv")
    assert classify(images).class_names == ["ant", "bird", "cat", "dog", "emu"]


def test_each_image_once_an_epoch_with_its_own_label(images: pathlib.Path) -> None:
    ds = classify(images, table(images, label=range(COUNT)), shuffle=True, batch_size=3)
    epochs = []
    for _ in range(2):
        batches = list(ds)
        epochs.append([label for _, labels in batches for label in labels.numpy().tolist()])
        assert [row for pixels, _ in batches for row in rows_of(pixels)] == epochs[-1]
    assert epochs[0] != epochs[1]
    assert sorted(epochs[0]) == sorted(epochs[1]) == [*range(COUNT)]


def test_weights_are_a_third_part(images: pathlib.Path) -> None:
    (images / "3.png").write_bytes(png(3)[:-30])
    captions = table(images, label=LABELS)
    ((_, labels, weight),) = list(classify(images, captions, on_problem="drop"))
    assert weight.numpy().tolist() == [1, 1, 1, 0, 1, 1, 1, 1]
    assert (weight.dtype, labels[3]) == (tf.float32, 1)
    captions = table(images, label=LABELS, weight=[0.5, 2, 0, 4, 1, 1, 1, 1])
    ((_, _, weight),) = list(classify(images, captions, on_problem="drop"))
    assert weight.numpy().tolist() == [0.5, 2, 0, 0, 1, 1, 1, 1]
    (images / "3.png").write_bytes(png(3))
    ((_, _, weight),) = list(classify(images, captions))
    assert weight.numpy().tolist() == [0.5, 2, 0, 4, 1, 1, 1, 1]


def test_keras_takes_it(images: pathlib.Path) -> None:
    task = Classification(column="label", columns=("year",))
    captions = table(images, label=LABELS, year=range(2000, 2008), weight=[1.5] * COUNT)
    ds = classify(images, captions, task=task, pixels="unit", batch_size=4, shuffle=True)
    images_in = keras.Input((2, 2, 3), name="images")
    inputs = {"images": images_in, "year": keras.Input((), dtype="int64", name="year")}
    model = keras.Model(inputs, keras.layers.Dense(5)(keras.layers.Flatten()(images_in)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, jit_compile=False)
    history = model.fit(ds, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"][0])
    assert model.predict(ds.at(0), verbose=0).shape == (COUNT, 5)


CARRIED = {"height": np.float32, "year": np.int64, "colour": np.bool_}
CARRYING: list[Task] = [
    Captioning(columns=tuple(CARRIED)),
    Retrieval(columns=tuple(CARRIED)),
    Classification(column="label", columns=tuple(CARRIED)),
]


@pytest.mark.parametrize("task", CARRYING, ids=lambda task: type(task).__name__)
def test_columns_come_along(images: pathlib.Path, task: Task) -> None:
    expected: dict[str, list[Any]] = {
        "height": [row / 4 for row in range(COUNT)],
        "year": [2**40 + row for row in range(COUNT)],
        "colour": [row % 3 == 0 for row in range(COUNT)],
    }
    captions = table(images, caption=["x"] * COUNT, label=LABELS, **expected)
    ds = mmdata.build(images, captions, task=task, batch_size=COUNT, **SMALL)
    (batch,) = list(ds)
    x = batch if isinstance(task, Retrieval) else batch[0]
    rows = rows_of(x["images"])
    for name, dtype in CARRIED.items():
        assert x[name].dtype == dtype
        assert x[name].numpy().tolist() == [expected[name][row] for row in rows]


@pytest.mark.parametrize(
    "task", [Captioning, Retrieval, functools.partial(Classification, column="label")]
)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("author", "must name columns of numbers; 'author' holds text"),
        ("yaer", r"\[.*'author'.*\]; got 'yaer'"),
    ],
)
def test_refused_columns(images: pathlib.Path, task: Any, name: str, message: str) -> None:
    captions = table(images, caption=LABELS, label=LABELS, author=["x"] * COUNT)
    pairs = mmdata.read(images, captions)
    with pytest.raises(ValueError, match=message):
        mmdata.build(pairs, task=task(columns=(name,)), batch_size=4, **SMALL)


def test_weights_multiply_those_of_tokens(images: pathlib.Path) -> None:
    (images / "6.png").write_bytes(png(6)[:-30])
    weights = [row / 4 for row in range(COUNT)]
    captions = table(images, caption=["x" * (row + 1) for row in range(COUNT)], weight=weights)
    ds = mmdata.build(images, captions, sequence_length=5, on_problem="drop", **SMALL)
    ((x, y, weight),) = list(ds)
    rows = np.array(rows_of(x["images"]))
    lengths = np.minimum(rows + 2, 5)
    expected = np.where(np.arange(5) < lengths[:, None], rows[:, None] / 4, 0)
    assert sorted(rows.tolist()) == [0, 0, 1, 2, 3, 4, 5, 7]
    np.testing.assert_array_equal(weight, expected)
    assert np.count_nonzero(y) == 2 + 3 + 4 + 5 * 5


@pytest.mark.parametrize("task", ["captioning", "retrieval"])
@pytest.mark.parametrize("text", ["byte", "word"])
def test_tasks_of_text_need_captions(images: pathlib.Path, task: Any, text: str) -> None:
    pairs = mmdata.read(images, table(images, label=LABELS, split=SPLITS), caption_column=None)
    with pytest.raises(ValueError, match=r"8 image\(s\) without, e\.g\. '0\.png'"):
        mmdata.build(pairs, task=task, **SMALL | {"text": text})
    with pytest.raises(ValueError, match=r"2 image\(s\) without, e\.g\. '4\.png'"):
        mmdata.build(pairs, task=task, split="validation", **SMALL | {"text": text})


@pytest.mark.parametrize(
    ("budget", "missing", "passes"),
    [
        *((None, 3, True), (2, 0, True), (1, 0, False), (0, 0, False)),
        *((0.3, 0, True), (0.2, 0, False), (3, 1, True), (2, 1, False), (4, 3, False)),
    ],
)
def test_budget_of_a_run(
    images: pathlib.Path, budget: int | float | None, missing: int, passes: bool
) -> None:
    for row in (2, 5):
        (images / f"{row}.png").write_bytes(png(row)[:-30])
    captions = table(images, caption=LABELS)
    with captions.open("a") as file:
        file.writelines(f"gone {n}.png,a caption\n" for n in range(missing))
    problems = Problems(missing="drop", corrupt="drop", budget=budget)
    ds = mmdata.build(images, captions, on_problem=problems, batch_size=3, **SMALL)
    if not passes:
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"[25]\.png.*cannot be decoded"):
            list(ds)
        return
    assert sum(len(y) for _, y, _ in ds) == COUNT
    assert [f.path for f in ds.report.findings if f.kind == "corrupt"] == ["2.png", "5.png"]


def test_corrupt_lets_pass_what_is_allowed(images: pathlib.Path) -> None:
    (images / "1.png").write_bytes(png(1)[:-30])
    scan, pairs = mmdata.read(images, table(images, caption=LABELS)).scanned()
    corrupt = Corrupt(pairs, scan, 2)

    def batch(rows: list[int], valid: list[bool]) -> dict[str, Any]:
        paths = [pairs.path(row) for row in rows]
        image = tf.ones([len(rows), 2, 2, 3], tf.uint8)
        row, is_valid = tf.constant(rows, tf.int64), tf.constant(valid)
        return {"row": row, "path": paths, "valid": is_valid, "image": image}

    for _ in range(3):  # the same image again is no other image
        passed = corrupt(batch([1, 0], [False, True]))
        assert passed["valid"].numpy().tolist() == [False, True]
        assert [image.any() for image in passed["image"].numpy()] == [False, True]
    (found,) = corrupt.findings()
    assert found.path == "1.png"
    assert found.detail == f"premature end of data after {len(png(1)) - 30} bytes"
    corrupt(batch([3], [False]))
    assert "can be decoded now" in corrupt.findings()[1].detail
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"(?s)7\.png.*2 may be"):
        corrupt(batch([6, 7], [True, False]))


def test_a_split_without_the_images_of_the_others(images: pathlib.Path) -> None:
    captions = table(images, caption=LABELS, split=SPLITS)
    whole = mmdata.build(images, captions, split="validation", **SMALL)
    learned = mmdata.build(images, captions, split="validation", **SMALL | {"text": "word"})
    words = {word for word in learned.tokenizer.vocabulary if word.isalpha()}
    assert words == {"cat", "dog", "bird"}
    keep(images, "4.png", "5.png")
    for text in (Byte(), "byte", mmdata.Text(tokenizer=learned.tokenizer)):
        part = mmdata.build(images, captions, split="validation", **SMALL | {"text": text})
        assert list(part.pairs.images) == list(whole.pairs.images) == ["4.png", "5.png"]
    with pytest.raises(mmdata.PairingError, match=r"4 caption\(s\) without an image"):
        mmdata.build(images, captions, split="validation", **SMALL | {"text": "word"})
