"""`build(text=None)`: batches with captions as strings."""

import pathlib
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tokenizers

import mmdata
from mmdata.options import Text
from mmdata.tokenizers import Byte

CAPTIONS = [["A red BOAT ", "the  sea"], ["Café, at night"], ["a dog", "two dogs", "x"]]
CLEAN = [["A red BOAT", "the sea"], ["Café, at night"], ["a dog", "two dogs", "x"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("pairs")
    for row, captions in enumerate(CAPTIONS):
        keras.utils.save_img(folder / f"{row}.png", np.full((8, 8, 3), 60 * row), scale=False)
        (folder / f"{row}.txt").write_text("\n".join(captions), "utf-8")
    return folder


def built(folder: Any, task: Any = "captioning", **changes: Any) -> mmdata.Dataset:
    given: Any = {"text": None, "image_size": (8, 8), "shuffle": False, "batch_size": 8} | changes
    ds: mmdata.Dataset = mmdata.build(folder, folder, task=task, **given)
    return ds


def texts_of(captions: Any) -> list[Any]:
    if isinstance(captions, tf.RaggedTensor):
        return [[text.decode() for text in texts] for texts in captions.to_list()]
    return [text.decode() for text in captions.numpy()]


FLAT = [text for texts in CLEAN for text in texts]


def test_captioning(folder: pathlib.Path) -> None:
    ds = built(folder)
    batch = ds.peek()
    assert list(batch) == ["images", "captions"]
    assert ds.element_spec["captions"] == tf.TensorSpec([None], tf.string)
    assert texts_of(batch["captions"]) == FLAT
    rows = np.round(batch["images"].numpy()[:, 0, 0, 0] * 255 / 60)
    assert rows.tolist() == [0, 0, 1, 2, 2, 2]
    again = built(folder, text=Text(tokenizer=None))
    assert again.settings == ds.settings
    assert texts_of(again.peek()["captions"]) == FLAT


def test_tokenizers_of_hugging_face(folder: pathlib.Path) -> None:
    words = {"[UNK]": 0, "a": 1, "dog": 2, "dogs": 3, "two": 4}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.enable_padding(length=4)
    ids = [
        encoding.ids
        for batch in built(folder, batch_size=4).as_numpy_iterator()
        for encoding in tokenizer.encode_batch([text.decode() for text in batch["captions"]])
    ]
    assert ids[3:] == [[1, 2, 0, 0], [4, 3, 0, 0], [0, 0, 0, 0]]
    assert len(ids) == len(FLAT)


def test_other_tasks(folder: pathlib.Path) -> None:
    batch = built(folder, mmdata.Retrieval(captions="first")).peek()
    assert list(batch) == ["images", "captions", "image_id"]
    assert texts_of(batch["captions"]) == [texts[0] for texts in CLEAN]
    assert batch["image_id"].numpy().tolist() == [0, 1, 2]
    batch = built(folder, "text_to_image", pixels="signed").peek()
    assert list(batch) == ["images", "captions"]
    assert texts_of(batch["captions"]) == FLAT
    batch = built(folder, "references").peek()
    assert list(batch) == ["images", "captions", "image_id", "references"]
    assert texts_of(batch["captions"]) == CLEAN
    assert texts_of(batch["references"]) == [[t.rstrip() for t in texts] for texts in CAPTIONS]


@pytest.mark.parametrize(
    ("clean", "expected"),
    [
        (None, "A red BOAT"),
        ("lower", "a red boat"),
        (mmdata.Clean(lower=False, punctuation="remove"), "A red BOAT"),
    ],
    ids=repr,
)
def test_cleaning(clean: Any, expected: str, folder: pathlib.Path) -> None:
    batch = built(folder, text=Text(tokenizer=None, clean=clean)).peek()
    assert texts_of(batch["captions"])[0] == expected


def test_template_dropout_and_inputs(folder: pathlib.Path) -> None:
    task = mmdata.Captioning(template="a photo: {caption}", dropout=0.5, inputs=("captions",))
    ds = built(folder, task)
    seen = [text for _ in range(8) for batch in ds for text in texts_of(batch["captions"])]
    assert set(seen) == {"", *(f"a photo: {text}" for text in FLAT)}
    assert list(ds.peek()) == ["captions"]


def test_a_corrupt_image_has_weight_0(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    content = (folder / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(content[: len(content) * 2 // 3])
    for task in ("captioning", "retrieval"):
        batch = built(tmp_path, task, on_problem="drop").peek()
        expected = [1, 1, 0, 1, 1, 1] if task == "captioning" else [1, 0, 1]
        assert batch["weight"].numpy().tolist() == expected
        assert batch["captions"].shape == len(expected)


def test_an_empty_caption_is_dropped(tmp_path: pathlib.Path, folder: pathlib.Path) -> None:
    (tmp_path / "0.png").write_bytes((folder / "0.png").read_bytes())
    (tmp_path / "0.txt").write_text("\u0007\na boat", "utf-8")
    ds = built(tmp_path, on_problem="drop")
    assert texts_of(ds.peek()["captions"]) == ["a boat"]
    assert any(found.kind == "blank_caption" for found in ds.report.findings)


def test_what_needs_tokens(folder: pathlib.Path) -> None:
    ds = built(folder)
    assert not ds.has_tokens
    assert built(folder, text=Byte()).has_tokens
    for name in ("tokenizer", "length_report"):
        with pytest.raises(AttributeError, match=r"has raw text \(text=None\), so it has no"):
            getattr(ds, name)
    with pytest.raises(ValueError, match="text=None gives raw text, without a prompt; got"):
        built(folder, mmdata.Prefix(prompt="caption: "))


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"length": 9}, "length=9"),
        ({"buckets": (8,)}, r"buckets=\(8,\)"),
        ({"padding": "longest", "vocabulary_size": 9}, "padding='longest', vocabulary_size=9"),
    ],
    ids=["length", "buckets", "two"],
)
def test_raw_text_has_no_lengths(changes: dict[str, Any], shown: str) -> None:
    with pytest.raises(ValueError, match=f"gives raw text, .* so it has no lengths; got {shown}"):
        Text(tokenizer=None, **changes)


def test_it_can_be_shown(folder: pathlib.Path) -> None:
    pytest.importorskip("matplotlib")
    ds = built(folder)
    assert "captions" in ds._repr_html_()
    mmdata.explore.plot_batch(ds)
    report = mmdata.report(ds)
    assert report is not None
