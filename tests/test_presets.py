"""Presets of pixels by the name of a model, against Pillow and each model's own steps."""

import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

import mmdata
from mmdata.options import PRESETS

Steps = Callable[[Image.Image], NDArray[Any]]
Triple = tuple[float, float, float]

CLIP: tuple[Triple, Triple] = (
    (0.48145466, 0.4578275, 0.40821073),
    (0.26862954, 0.26130258, 0.27577711),
)
IMAGENET: tuple[Triple, Triple] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
KERNELS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def stretched(picture: Image.Image, height: int, width: int, kernel: str) -> Image.Image:
    """Columns first, then rows, as Pillow itself up to version 12."""
    columns = picture.resize((width, picture.height), KERNELS[kernel])
    return columns.resize((width, height), KERNELS[kernel])


def plain(scale: Callable[[NDArray[Any]], NDArray[Any]], kernel: str = "bilinear") -> Steps:
    """Stretches to 224 x 224, then scales."""
    return lambda picture: scale(np.asarray(stretched(picture, 224, 224, kernel)).astype(float))


def by_keras(module: Any, side: int) -> Steps:
    """What an application of Keras is fed."""

    def steps(picture: Image.Image) -> NDArray[Any]:
        pixels = np.asarray(stretched(picture, side, side, "bilinear")).astype(np.float32)
        return np.asarray(module.preprocess_input(pixels, data_format="channels_last"))

    return steps


def cut(load: int, side: int, kernel: str, means_and_stds: tuple[Triple, Triple]) -> Steps:
    """Shorter side to `load`, the middle `side` x `side`, then (pixels / 255 - mean) / std.

    Source: torchvision's `Resize(load)`, `CenterCrop(side)`, `ToTensor`, `Normalize`.
    """

    def steps(picture: Image.Image) -> NDArray[Any]:
        width, height = picture.size
        if width <= height:
            height, width = int(load * height / width), load
        else:
            height, width = load, int(load * width / height)
        resized = np.asarray(stretched(picture, height, width, kernel)).astype(float)
        top, left = round((height - side) / 2.0), round((width - side) / 2.0)
        mean, std = means_and_stds
        return (resized[top : top + side, left : left + side] / 255 - mean) / std

    return steps


def signed(pixels: NDArray[Any]) -> NDArray[Any]:
    return (pixels / 255 - 0.5) / 0.5


applications = keras.applications
REFERENCES: dict[str, Steps] = {
    "unit": plain(lambda pixels: pixels / 255),
    "signed": plain(signed),
    "raw": plain(lambda pixels: pixels),
    "uint8": plain(lambda pixels: pixels),
    "caffe": plain(lambda pixels: pixels[..., ::-1] - np.array([103.939, 116.779, 123.68])),
    "clip": cut(224, 224, "bicubic", CLIP),
    "siglip": plain(signed, "bicubic"),
    "paligemma": plain(signed, "bicubic"),
    "imagenet": cut(256, 224, "bilinear", IMAGENET),
    "inception_v3": by_keras(applications.inception_v3, 299),
    "resnet50": by_keras(applications.resnet50, 224),
    "vgg16": by_keras(applications.vgg16, 224),
    "efficientnet": by_keras(applications.efficientnet, 224),
    "mobilenet_v3": by_keras(applications.mobilenet_v3, 224),
}
LEVELS: dict[str, Any] = {
    "unit": 1 / 255,
    **dict.fromkeys(("signed", "siglip", "paligemma", "inception_v3"), 1 / 127.5),
    "clip": 1 / (255 * np.array(CLIP[1])),
    "imagenet": 1 / (255 * np.array(IMAGENET[1])),
}
"""One grey level on the scale of each preset; 1 where it is not listed."""


def made_picture(height: int, width: int) -> Image.Image:
    """Gradients, edges and noise; no two sides, corners or channels alike."""
    y, x = np.mgrid[:height, :width].astype(float)
    blue = np.where((x // 17 + y // 11) % 2, 220, 30)
    noise = np.random.default_rng(0).normal(0, 12, (height, width, 3))
    pixels = np.stack([255 * x / (width - 1), 255 * y / (height - 1), blue], -1) + noise
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> pathlib.Path:
    """Made pictures, and real photos where there are any; wide, tall and square."""
    root = tmp_path_factory.mktemp("presets")
    for height, width in [(301, 430), (430, 301), (150, 333)]:
        made_picture(height, width).save(root / f"made {height} {width}.png")
    try:
        coco = request.getfixturevalue("coco")
    except pytest.skip.Exception:
        coco = root
    photos: dict[bool, list[pathlib.Path]] = {True: [], False: []}
    for path in sorted(coco.glob("val2017/*.jpg")):
        with Image.open(path) as photo:
            photos[photo.width > photo.height].append(path)
    for path in photos[True][:2] + photos[False][:1]:
        shutil.copy(path, root)
    for path in list(root.iterdir()):
        path.with_suffix(".txt").write_text("a picture")
    return root


def built(folder: pathlib.Path, **options: Any) -> tuple[Any, NDArray[Any]]:
    """The dataset, and its images as one array, in the order of `ds.pairs`."""
    ds = mmdata.build(folder, text="byte", shuffle=False, batch_size=16, **options)
    ((x, _, _),) = list(ds)
    return ds, x["images"].numpy()


@pytest.fixture(scope="module")
def by_preset(folder: pathlib.Path) -> Callable[[str], tuple[Any, NDArray[Any]]]:
    """What `built` gives for a preset, once for all names of the same."""
    known: dict[mmdata.Pixels, tuple[Any, NDArray[Any]]] = {}

    def build(name: str) -> tuple[Any, NDArray[Any]]:
        if PRESETS[name] not in known:
            known[PRESETS[name]] = built(folder, pixels=name)
        return known[PRESETS[name]]

    return build


def assert_equal(ds: Any, images: NDArray[Any], steps: Steps, level: Any) -> None:
    for row, image in enumerate(images):
        with Image.open(ds.pairs.path(row)) as picture:
            expected = steps(picture.convert("RGB"))
        assert image.shape == expected.shape
        levels = np.abs(image - expected) / level
        assert levels.max() < 1.001, ds.pairs.images[row]
        assert levels.mean() < 0.3, ds.pairs.images[row]


def test_each_preset_has_a_reference() -> None:
    assert list(PRESETS) == list(REFERENCES)


@pytest.mark.parametrize("name", REFERENCES)
def test_build_equals_the_model_s_own_steps(name: str, by_preset: Any) -> None:
    ds, images = by_preset(name)
    side = 299 if name == "inception_v3" else 224
    assert ds.image_sizes == ((side, side),)
    dtype = tf.uint8 if name == "uint8" else tf.float32
    assert ds.element_spec[0]["images"] == tf.TensorSpec([None, side, side, 3], dtype)
    assert len(images) >= 3
    assert_equal(ds, images, REFERENCES[name], LEVELS.get(name, 1))


@pytest.mark.parametrize(
    ("name", "side", "steps"),
    [
        ("imagenet", 448, cut(512, 448, "bilinear", IMAGENET)),
        ("clip", 160, cut(160, 160, "bicubic", CLIP)),
    ],
)
def test_image_size_scales_a_preset(
    name: str, side: int, steps: Steps, folder: pathlib.Path
) -> None:
    ds, images = built(folder, pixels=name, image_size=(side, side))
    assert ds.image_sizes == ((side, side),)
    assert_equal(ds, images, steps, LEVELS[name])
