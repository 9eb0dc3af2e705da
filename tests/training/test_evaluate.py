"""`mmdata.evaluate`: the images and captions that it takes, and its measures."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from keras import layers
from PIL import Image

import mmdata
from mmdata.cli import main
from mmdata.training.caption_metrics import caption_scores

SIZE, LENGTH = (8, 8), 12
PIXELS = mmdata.Pixels(size=SIZE)
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
IMAGES = {  # the second is a copy of the first
    "a.png": ("red", ["a red field", "Red all over!"]),
    "b.png": ("red", ["it's a red picture"]),
    "c.png": ("green", ["a green field of grass", "green"]),
    "d.png": ("blue", ["the blue sea"]),
}
REFERENCES = [
    ["a red field", "Red all over!", "it's a red picture"],
    ["a green field of grass", "green"],
    ["the blue sea"],
]
WRITTEN = ["red field", "green field", "blue field"]
RECALLS = [
    f"{name}_recall_at_{k}" for name in ("image_to_text", "text_to_image") for k in (1, 5, 10)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("colours")
    for name, (colour, captions) in IMAGES.items():
        Image.new("RGB", SIZE, COLOURS[colour]).save(folder / name)
        (folder / name).with_suffix(".txt").write_text("\n".join(captions))
    return folder


def build(folder: pathlib.Path, **options: Any) -> Any:
    text = mmdata.Text(tokenizer="word", length=LENGTH)
    return mmdata.build(folder, **{"text": text, "pixels": PIXELS, "batch_size": 2, **options})


@pytest.fixture(scope="module")
def ds(folder: pathlib.Path) -> Any:
    return build(folder)


def captioner(ds: Any, inputs: Any = None) -> Any:
    """An ordinary functional model that writes the colour of an image, and "field"."""
    vocabulary = list(ds.tokenizer.vocabulary)
    size, (field, end) = len(vocabulary), (vocabulary.index(w) for w in ("field", "[END]"))
    table, seen = np.zeros([size, size], np.float32), np.zeros([3, size], np.float32)
    for place, colour in enumerate(COLOURS):
        seen[place, vocabulary.index(colour)] = 1
        table[vocabulary.index(colour), field] = table[field, end] = 9
    images = keras.Input([*SIZE, 3] if inputs is None else inputs, name="images")
    token_ids = keras.Input([LENGTH], dtype="int32", name="token_ids")
    words, colours = layers.Embedding(size, size), layers.Dense(size, use_bias=False)
    pooled = layers.GlobalAveragePooling2D()(images) if inputs is None else images
    logits = words(token_ids) + layers.Reshape([1, size])(colours(pooled))
    words.set_weights([table])
    colours.set_weights([seen])
    return keras.Model({"images": images, "token_ids": token_ids}, logits)


@pytest.mark.parametrize(
    "options",
    [
        {"task": "retrieval"},
        {"task": "references"},
        {"augment": [mmdata.RandomCrop(), mmdata.Flip(), mmdata.Grayscale()], "shard": (1, 2)},
        {
            "task": mmdata.Captioning(inputs=("images", "token_ids")),
            "text": mmdata.Text(tokenizer="word", length=LENGTH, buckets=(6,)),
            "pixels": mmdata.Pixels(size=SIZE, buckets=(SIZE, (8, 16))),
        },
    ],
    ids="-".join,
)
def test_captions_are_measured_against_all_references(
    folder: pathlib.Path, options: dict[str, Any]
) -> None:
    ds = build(folder, **options)
    scores = mmdata.evaluate(captioner(ds), ds)
    assert scores == pytest.approx(caption_scores(WRITTEN, REFERENCES))
    assert list(scores) == ["bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d"]


def test_a_template_is_part_of_the_references(folder: pathlib.Path) -> None:
    ds = build(folder, task=mmdata.Captioning(template="see: {caption}"))
    expected = [[f"see: {text}" for text in texts] for texts in REFERENCES]
    scores = mmdata.evaluate(captioner(ds), ds)
    assert scores == pytest.approx(caption_scores(WRITTEN, expected))


def test_a_prompt_comes_before_the_caption(folder: pathlib.Path) -> None:
    ds = build(folder, task=mmdata.Prefix(prompt="blue "))
    scores = mmdata.evaluate(captioner(ds), ds)  # after "blue", it always writes "field"
    assert scores == pytest.approx(caption_scores(["field"] * 3, REFERENCES))


def test_the_next_epoch_is_the_same_as_without(ds: Any) -> None:
    before = ds.peek()[0]["token_ids"].numpy().tolist()
    scores = mmdata.evaluate(captioner(ds), ds)
    assert scores == pytest.approx(caption_scores(WRITTEN, REFERENCES))
    assert ds.peek()[0]["token_ids"].numpy().tolist() == before


def test_a_corrupt_image_is_left_out(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    content = (tmp_path / "c.png").read_bytes()
    (tmp_path / "c.png").write_bytes(content[:50])  # its header is intact
    ds = build(tmp_path, on_problem="drop")
    scores = mmdata.evaluate(captioner(ds), ds)
    expected = caption_scores([WRITTEN[0], WRITTEN[2]], [REFERENCES[0], REFERENCES[2]])
    assert scores == pytest.approx(expected)


def test_features_take_the_place_of_images(ds: Any, tmp_path: pathlib.Path) -> None:
    features = mmdata.precompute_features(ds, layers.GlobalAveragePooling2D(), tmp_path)
    scores = mmdata.evaluate(captioner(ds, inputs=[3]), features)
    assert scores == pytest.approx(caption_scores(WRITTEN, REFERENCES))


# Retrieval.


class Towers(keras.Model):
    """A retrieval model of a user: random embeddings of colours and of tokens."""

    def __init__(self, seed: int, vocabulary_size: int) -> None:
        super().__init__()
        random = np.random.default_rng(seed)
        self.colours = random.normal(size=[3, 4])
        self.words = random.normal(size=[vocabulary_size, 4])

    def encode_images(self, images: Any) -> Any:
        return images.mean(axis=(1, 2)) @ self.colours

    def encode_text(self, token_ids: Any, padding_mask: Any) -> Any:
        return (self.words[token_ids] * padding_mask[..., None]).sum(axis=1)


def benchmark_recalls(images: Any, texts: Any, text_to_image: Any) -> dict[str, float]:
    """Recall as CLIP_benchmark defines it: of an image with any text; of each text."""
    scores = texts @ images.T
    positive = text_to_image[:, None] == np.arange(len(images))
    recalls = {}
    for name, table, right in (
        ("image_to_text", scores.T, positive.T),
        ("text_to_image", scores, positive),
    ):
        order = np.argsort(-table, axis=1)
        for k in (1, 5, 10):
            found = np.take_along_axis(right, order[:, :k], axis=1).sum(axis=1)
            recalls[f"{name}_recall_at_{k}"] = float((found > 0).mean())
    return recalls


def test_recalls_are_those_of_the_field(tmp_path: pathlib.Path) -> None:
    random = np.random.default_rng(0)
    words = [f"w{i}" for i in range(30)]
    captions = []
    for number in range(14):
        Image.fromarray(random.integers(0, 256, [*SIZE, 3], np.uint8)).save(
            tmp_path / f"{number:02}.png"
        )
        captions.append([" ".join(random.choice(words, 4)) for _ in range(1 + number % 5)])
        (tmp_path / f"{number:02}.txt").write_text("\n".join(captions[-1]))
    ds = build(tmp_path, task="retrieval")
    model = Towers(0, ds.tokenizer.vocabulary_size)
    pictures = [np.asarray(Image.open(path)) / 255 for path in sorted(tmp_path.glob("*.png"))]
    images = model.encode_images(np.stack(pictures))
    flat = [text for texts in captions for text in texts]
    tokens = ds.tokenizer.tokenize(flat)
    ids = tokens.to_tensor(shape=[None, LENGTH]).numpy()
    start_and_end = model.words[[ds.tokenizer.start_id, ds.tokenizer.end_id]].sum(axis=0)
    texts = model.encode_text(ids, ids != 0) + start_and_end
    owners = np.repeat(np.arange(14), [len(each) for each in captions])
    images, texts = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (images, texts))
    scores = mmdata.evaluate(model, ds)
    assert scores == benchmark_recalls(images, texts, owners)
    assert list(scores) == RECALLS
    assert 0 < scores["text_to_image_recall_at_5"] < 1


def functional_towers(ds: Any, *, crossed: bool = False) -> Any:
    """Outputs with names; the text embedding needs the image, too, if `crossed`."""
    images = keras.Input([*SIZE, 3], name="images")
    token_ids = keras.Input([LENGTH], dtype="int32", name="token_ids")
    mask = keras.Input([LENGTH], dtype="int32", name="padding_mask")
    image = layers.Dense(4)(layers.GlobalAveragePooling2D()(images))
    words = layers.Embedding(ds.tokenizer.vocabulary_size, 4)(token_ids)
    text = keras.ops.sum(words * keras.ops.expand_dims(mask, -1), axis=1)
    outputs = {"image_embedding": image, "text_embedding": text + image if crossed else text}
    inputs = {"padding_mask": mask, "images": images, "token_ids": token_ids}
    return keras.Model(inputs, outputs)


def test_a_functional_model_with_two_embeddings(ds: Any) -> None:
    model = functional_towers(ds)
    outputs = Towers(0, ds.tokenizer.vocabulary_size)
    weights = {layer.name: layer for layer in model.layers if layer.weights}
    dense = next(layer for name, layer in weights.items() if name.startswith("dense"))
    embedding = next(layer for name, layer in weights.items() if name.startswith("embedding"))
    dense.set_weights([outputs.colours, np.zeros(4)])
    embedding.set_weights([outputs.words])
    assert mmdata.evaluate(model, ds) == mmdata.evaluate(outputs, ds)


class Both(Towers):
    """Writes captions and embeds them."""

    def generate(self, images: Any) -> Any:
        return np.full([len(images), 1], 4, np.int32)


def test_a_model_that_does_both_is_measured_for_the_task(folder: pathlib.Path, ds: Any) -> None:
    model = Both(0, ds.tokenizer.vocabulary_size)
    assert "cider_d" in mmdata.evaluate(model, ds)
    assert list(mmdata.evaluate(model, build(folder, task="retrieval"))) == RECALLS


@pytest.mark.slow
def test_our_models(folder: pathlib.Path) -> None:
    ds = build(folder, pixels=mmdata.Pixels(size=(32, 32)))
    assert "bleu_4" in mmdata.evaluate(mmdata.Captioner.from_dataset(ds, width=8), ds)
    ds = build(folder, pixels=mmdata.Pixels(size=(32, 32)), task="retrieval")
    model = mmdata.DualEncoder.from_dataset(ds, width=8)
    scores = mmdata.evaluate(model, ds)
    assert scores["text_to_image_recall_at_5"] == 1  # of three images
    assert 0 <= scores["text_to_image_recall_at_1"] <= 1


# The command.


def command(model: Any, ds: Any, folder: pathlib.Path, path: pathlib.Path) -> Any:
    mmdata.save(model, path, dataset=ds)
    result = CliRunner().invoke(main, ["evaluate", str(path), str(folder), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_command_prints_the_same(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "model.keras"
    ds = build(folder, task=mmdata.Prefix(template="see: {caption}", prompt="blue "))
    model = captioner(ds)
    assert command(model, ds, folder, path) == mmdata.evaluate(model, ds)
    ds = build(folder, task="retrieval")
    model = functional_towers(ds)
    assert command(model, ds, folder, path) == mmdata.evaluate(model, ds)
    lines = CliRunner().invoke(main, ["evaluate", str(path), str(folder)]).stdout.splitlines()
    assert lines[0] == "4 images, 6 captions"
    assert [line.split()[0] for line in lines[1:]] == RECALLS


# Errors.


def classifier() -> Any:
    return keras.Sequential([keras.Input([*SIZE, 3]), layers.Flatten(), layers.Dense(3)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _: classifier(), "got the output (None, 3)"),
        (lambda ds: functional_towers(ds, crossed=True), "where one of them needs others"),
        (lambda ds: keras.Model(*_renamed(ds)), "got the output ['image', 'text']"),
    ],
)
def test_a_model_of_another_kind(ds: Any, make: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        mmdata.evaluate(make(ds), ds)


def _renamed(ds: Any) -> tuple[Any, Any]:
    model = functional_towers(ds)
    image, text = model.output.values()
    return model.input, {"image": image, "text": text}


def test_what_is_not_a_dataset_with_captions(folder: pathlib.Path, ds: Any) -> None:
    table = pd.DataFrame({"image": [*IMAGES], "caption": "a field", "label": range(4)})
    labelled = mmdata.build(folder, table, task=mmdata.Classification(column="label"))
    with pytest.raises(ValueError, match="needs captions and their tokenizer; got task=Class"):
        mmdata.evaluate(classifier(), labelled)
    with pytest.raises(TypeError, match="got _TakeDataset"):
        mmdata.evaluate(classifier(), ds.take(1))
