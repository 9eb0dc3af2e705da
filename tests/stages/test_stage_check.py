"""What a user's stage of `augment` must return, checked when the pipeline is built."""

import pathlib
from typing import Any

import keras
import pytest
import tensorflow as tf

import mmdata

SAMPLES = pathlib.Path(__file__).parents[2] / "sample_data"
Example = dict[str, Any]


@pytest.fixture(scope="module")
def pairs() -> mmdata.Pairs:
    return mmdata.read(SAMPLES / "images", SAMPLES / "captions").sample(4)


def build(pairs: mmdata.Pairs, *stages: Any, **options: Any) -> mmdata.Dataset:
    settings = {"image_size": (16, 16), "sequence_length": 100, "text": "byte", "batch_size": 2}
    ds: mmdata.Dataset = mmdata.build(pairs, augment=stages, **{**settings, **options})
    return ds


def scaled(example: Example) -> Example:
    return {**example, "image": tf.image.convert_image_dtype(example["image"], tf.float32)}


def cropped(example: Example) -> Example:
    return {**example, "image": example["image"][:8]}


def without_others(example: Example) -> Example:
    return {"image": example["image"], "caption": example["caption"]}


def image_alone(example: Example) -> Any:
    return example["image"]


def broken(example: Example) -> Example:
    return {**example, "image": example["picture"]}


def of_unknown_shape(example: Example) -> Example:
    height = tf.random.stateless_uniform([], example["seed"], 8, 16, tf.int32)
    return {**example, "image": example["image"][:height]}


class Brighten:
    """Adds to each pixel; a good stage, but for its name in errors."""

    def __init__(self, dtype: Any = tf.uint8) -> None:
        self.dtype = dtype

    def __call__(self, example: Example) -> Example:
        image = tf.cast(example["image"], tf.float32) * 0 + 200.0
        return {**example, "image": tf.cast(image, self.dtype), "extra": tf.constant(1)}


WRONG: list[tuple[Any, str]] = [
    (of_unknown_shape, r"got uint8 \[None, 16, 3\]. Use tf.ensure_shape\(x, \[16, 16, 3\]\)"),
    (scaled, r"scaled must return 'image' as uint8 \[16, 16, 3\], 0 to 255; got float32 \[16, 16"),
    (cropped, r"cropped must return 'image' as uint8 \[16, 16, 3\], 0 to 255; got uint8 \[8, 16, "),
    (
        without_others,
        r"without_others must return all features .*\['epoch', .*Return {\*\*example, ",
    ),
    (image_alone, r"image_alone must return a dict, .*; got a Tensor"),
    (broken, r"broken failed when it got an example with .*image.*: KeyError: 'picture'"),
    (Brighten(tf.float16), r"the stage Brighten must return 'image' as uint8"),
]


@pytest.mark.parametrize(
    ("stage", "message"),
    WRONG,
    ids=["unknown", "dtype", "shape", "lost", "no dict", "error", "object"],
)
def test_wrong_stages(pairs: mmdata.Pairs, stage: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        build(pairs, mmdata.Flip(), stage)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("cached", [False, True], ids=["files", "cache"])
def test_good_stages(pairs: mmdata.Pairs, cached: bool, tmp_path: pathlib.Path) -> None:
    ds = build(pairs, mmdata.RandomCrop(), Brighten(), cache=tmp_path if cached else None)
    x, *_ = ds.peek()
    assert x["images"].shape == (2, 16, 16, 3)
    assert float(tf.reduce_min(x["images"])) == pytest.approx(200 / 255)


LAYERS: list[tuple[Any, str]] = [
    (lambda: keras.layers.RandomFlip(), r"got the Keras layer RandomFlip. Use mmdata.Flip\(\)"),
    (lambda: keras.layers.RandomContrast(0.1), r"layer RandomContrast. Use mmdata.Color\(\)"),
    (lambda: keras.layers.RandomRotation(0.1), r"layer RandomRotation. Write a stage: see CONTRI"),
]


@pytest.mark.parametrize(("make", "message"), LAYERS, ids=["flip", "contrast", "rotation"])
def test_keras_layers(pairs: mmdata.Pairs, make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(pairs, make())
