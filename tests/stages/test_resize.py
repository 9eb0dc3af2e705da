"""Resize and CenterCrop, against Pillow."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from mmdata.stages.resize import CenterCrop, Resize

Size = tuple[int, int]
Pixels = NDArray[Any]

BACKGROUND = (9, 200, 30)
FITS = ("stretch", "crop", "pad")
KERNELS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def made_pixels(height: int, width: int) -> Pixels:
    """Gradients, edges and noise; no two sides, corners or channels alike."""
    y, x = np.mgrid[:height, :width].astype(float)
    red = 255 * x / max(width - 1, 1)
    green = 255 * y / max(height - 1, 1)
    blue = np.where((x // 7 + y // 5) % 2, 220, 30)
    noise = np.random.default_rng(0).normal(0, 12, (height, width, 3))
    return (np.stack([red, green, blue], -1) + noise).clip(0, 255).astype(np.uint8)


def stretched(picture: Image.Image, size: Size, interpolation: str) -> Image.Image:
    """Columns first, then rows, as Pillow itself up to version 12."""
    kernel = KERNELS[interpolation]
    return picture.resize((size[1], picture.height), kernel).resize(size[::-1], kernel)


def by_pillow(pixels: Pixels, size: Size, fit: str, interpolation: str) -> Pixels:
    picture = Image.fromarray(pixels)
    (height, width), (h, w) = size, pixels.shape[:2]
    if fit == "stretch":
        return np.asarray(stretched(picture, size, interpolation)).astype(int)
    if fit == "crop":  # torchvision: the shorter side as asked, the other one cut to whole pixels
        wide = height * w >= width * h
        inner = (height, w * height // h) if wide else (h * width // w, width)
    elif w * height > h * width:  # ImageOps.contain
        inner = (max(round(h / w * width), 1), width)
    else:
        inner = (height, max(round(w / h * height), 1))
    top, left = round((height - inner[0]) / 2), round((width - inner[1]) / 2)
    canvas = Image.new("RGB", size[::-1], BACKGROUND)
    canvas.paste(stretched(picture, inner, interpolation), (left, top))
    return np.asarray(canvas).astype(int)


def furthest(got: Any, expected: Pixels) -> int:
    assert got.shape == expected.shape
    return int(np.abs(got.numpy().astype(int) - expected).max())


SIZES = [(1, 1), (1, 200), (31, 17), (61, 90), (224, 224), (90, 61), (400, 33)]
SHAPES = [(61, 90), (90, 61), (1, 1), (1, 50), (50, 1), (2, 3), (480, 500)]
STAGES = [
    Resize(size=size, fit=fit, interpolation=interpolation, background=BACKGROUND)  # type: ignore[arg-type]
    for size in SIZES
    for fit in FITS
    for interpolation in KERNELS
]


@pytest.fixture(scope="module")
def resized() -> Callable[[Pixels], Any]:
    """All of `STAGES` at once, inside a graph traced once."""

    def resize(image: Any) -> list[Any]:
        return [stage({"image": image})["image"] for stage in STAGES]

    signature = [tf.TensorSpec([None, None, 3], tf.uint8)]
    return tf.function(resize, input_signature=signature)  # type: ignore[no-any-return]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_resize_equals_pillow(shape: Size, resized: Callable[[Pixels], Any]) -> None:
    pixels = made_pixels(*shape)
    for stage, in_graph in zip(STAGES, resized(pixels), strict=True):
        assert stage.size is not None
        expected = by_pillow(pixels, stage.size, stage.fit, stage.interpolation)
        eager = stage({"image": tf.constant(pixels)})["image"]
        assert eager.dtype == in_graph.dtype == tf.uint8
        assert furthest(in_graph, expected) <= 1, stage
        assert furthest(eager, expected) <= 1, stage


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    fit=st.sampled_from(FITS),
    interpolation=st.sampled_from(sorted(KERNELS)),
    level=st.integers(0, 2**32 - 1),
)
def test_resize_of_noise_equals_pillow(
    shape: Size, size: Size, fit: Any, interpolation: Any, level: int
) -> None:
    pixels = np.random.default_rng(level).integers(0, 256, (*shape, 3), dtype=np.uint8)
    stage = Resize(size=size, fit=fit, interpolation=interpolation, background=BACKGROUND)
    expected = by_pillow(pixels, size, fit, interpolation)
    # Rounded by another 1 between the passes, bicubic weights may make it 2; see the photos below.
    most = 1 if interpolation == "bilinear" else 2
    assert furthest(stage({"image": tf.constant(pixels)})["image"], expected) <= most


@pytest.mark.parametrize("interpolation", KERNELS)
@pytest.mark.parametrize("fit", FITS)
def test_photos_equal_pillow(fit: Any, interpolation: Any, coco: Path) -> None:
    stage = Resize(size=(224, 224), fit=fit, interpolation=interpolation, background=BACKGROUND)
    paths = sorted(coco.glob("val2017/*.jpg"))[:40]
    assert len(paths) == 40
    for path in paths:
        with Image.open(path) as photo:
            pixels = np.asarray(photo.convert("RGB"))
        expected = by_pillow(pixels, (224, 224), fit, interpolation)
        assert furthest(stage({"image": tf.constant(pixels)})["image"], expected) <= 1, path


@pytest.mark.parametrize("interpolation", KERNELS)
@pytest.mark.parametrize("level", [0, 1, 127, 255])
def test_resize_keeps_a_plain_colour(level: int, interpolation: Any) -> None:
    stage = Resize(size=(13, 29), interpolation=interpolation)
    image = stage({"image": tf.fill([50, 7, 3], tf.cast(level, tf.uint8))})["image"]
    np.testing.assert_array_equal(image, np.full((13, 29, 3), level))


@pytest.mark.parametrize("interpolation", KERNELS)
@pytest.mark.parametrize("fit", FITS)
def test_a_resized_image_stays_as_it_is(fit: Any, interpolation: Any) -> None:
    stage = Resize(size=(31, 57), fit=fit, interpolation=interpolation)
    once = stage({"image": tf.constant(made_pixels(90, 61))})
    np.testing.assert_array_equal(stage(once)["image"], once["image"])


@pytest.mark.parametrize(
    ("shape", "max_crop", "rows", "columns"),
    [
        ((100, 100), 0.0, (0, 100), (0, 100)),
        ((100, 110), 0.25, (0, 100), (0, 100)),  # a tenth is cut off
        ((100, 200), 0.25, (17, 83), (0, 100)),  # 100 of 133 columns are left, and 66 rows
        ((100, 200), 0.0, (25, 75), (0, 100)),  # as fit="pad"
        ((200, 100), 0.25, (0, 100), (17, 83)),
        ((100, 200), 0.5, (0, 100), (0, 100)),  # just covers
        ((100, 1000), 1.0, (0, 100), (0, 100)),
    ],
)
def test_no_more_is_cut_off_than_may_be(
    shape: Size, max_crop: float, rows: Size, columns: Size
) -> None:
    stage = Resize(size=(100, 100), fit="crop", max_crop=max_crop, background=(255, 0, 0))
    image = stage({"image": tf.zeros([*shape, 3], tf.uint8)})["image"].numpy()
    covered = np.zeros((100, 100), bool)
    covered[slice(*rows), slice(*columns)] = True
    np.testing.assert_array_equal(image[..., 0], np.where(covered, 0, 255))


@given(
    shape=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    size=st.tuples(st.integers(8, 60), st.integers(8, 60)),
    max_crop=st.floats(0, 0.9),
)
def test_max_crop_keeps_the_promised_part(shape: Size, size: Size, max_crop: float) -> None:
    """A ramp along each axis shows which part of an image is left."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    ramps = [255 * y / max(shape[0] - 1, 1), 255 * x / max(shape[1] - 1, 1), 0 * y]
    stage = Resize(size=size, fit="crop", max_crop=max_crop, background=(0, 0, 255))
    image = stage({"image": tf.constant(np.stack(ramps, -1).astype(np.uint8))})["image"].numpy()
    covered = image[..., 2] == 0
    for axis in (0, 1):
        levels = image[covered][:, axis] / 255
        shown = covered.any(axis=1 - axis).sum()
        blurred = 3 / shown + 2 / shape[axis]  # about a pixel at each end
        assert np.ptp(levels) >= 1 - max_crop - blurred


@pytest.mark.parametrize("fit", FITS)
def test_size_of_each_example(fit: Any) -> None:
    sizes = [(20, 30), (30, 20), (25, 25)]
    pixels = made_pixels(61, 90)
    ds = tf.data.Dataset.from_tensor_slices({"size": np.array(sizes, np.int32)})
    ds = ds.map(lambda example: {**example, "image": tf.constant(pixels)})
    ds = ds.map(Resize(size=None, fit=fit, max_crop=0.2))
    assert ds.element_spec["image"] == tf.TensorSpec([None, None, 3], tf.uint8)
    for size, example in zip(sizes, ds, strict=True):
        alone = Resize(size=size, fit=fit, max_crop=0.2)({"image": tf.constant(pixels)})
        np.testing.assert_array_equal(example["image"], alone["image"])


@pytest.mark.parametrize(
    ("shape", "size", "top", "left"),
    [((10, 10), (10, 10), 0, 0), ((10, 12), (4, 6), 3, 3), ((11, 8), (4, 7), 4, 0)],
)
def test_center_crop(shape: Size, size: Size, top: int, left: int) -> None:
    pixels = made_pixels(*shape)
    example = CenterCrop(size=size)({"image": tf.constant(pixels), "caption": "a"})
    expected = pixels[top : top + size[0], left : left + size[1]]
    np.testing.assert_array_equal(example["image"], expected)
    assert example["caption"] == "a"


def test_load_and_center_crop_are_torchvision_s_evaluation() -> None:
    pixels = made_pixels(301, 400)
    loaded = Resize(size=(64, 64), fit="crop")({"image": tf.constant(pixels)})
    image = CenterCrop(size=(56, 56))(loaded)["image"]
    whole = stretched(Image.fromarray(pixels), (64, 400 * 64 // 301), "bilinear")
    top, left = round((64 - 56) / 2), round((whole.width - 56) / 2)
    expected = np.asarray(whole).astype(int)[top : top + 56, left : left + 56]
    assert furthest(image, expected) <= 1


BAD_SIZES = [(0, 224), (224, -1), (224,), (1, 2, 3), [224, 224], 224, (224.0, 224), ("2", 2)]


@pytest.mark.parametrize("size", BAD_SIZES, ids=repr)
def test_sizes_that_are_refused(size: Any) -> None:
    for stage in (Resize, CenterCrop):
        message = (
            rf"{stage.__name__}\(size=\.\.\.\) must be two positive ints \(height, width\); "
            "got size="
        )
        with pytest.raises(ValueError, match=message):
            stage(size=size)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fit": "cover"}, r"Resize\(fit=\.\.\.\) must be one of .*; got 'cover'"),
        ({"interpolation": "nearest"}, r"must be one of \['bilinear', 'bicubic'\]; got 'nearest'"),
        (
            {"background": (0, 0)},
            r"Resize\(background=\.\.\.\) must be three ints .*; got \(0, 0\)",
        ),
        ({"background": (0, 0, 256)}, "three ints from 0 to 255"),
        ({"background": "white"}, "three ints from 0 to 255"),
        ({"max_crop": 1.5}, r"Resize\(max_crop=\.\.\.\) must be a share from 0 to 1; got 1.5"),
        ({"max_crop": float("nan")}, "got nan"),
        ({"max_crop": None}, "got None"),
    ],
    ids=str,
)
def test_fields_that_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Resize(**{"size": (2, 2), **fields})


def test_static_shapes_and_other_features() -> None:
    ds = tf.data.Dataset.from_tensors({"image": tf.zeros([5, 7, 3], tf.uint8), "caption": "a"})
    for stage in (Resize(size=(2, 3)), CenterCrop(size=(2, 3))):
        spec = ds.map(stage).element_spec
        assert spec["image"] == tf.TensorSpec([2, 3, 3], tf.uint8)
        assert spec["caption"] == tf.TensorSpec([], tf.string)


def test_stages_are_values() -> None:
    assert repr(Resize(size=(2, 3))) == (
        "Resize(size=(2, 3), fit='stretch', interpolation='bilinear', "
        "background=(255, 255, 255), max_crop=1.0)"
    )
    for stage in (Resize(size=(2, 3)), CenterCrop(size=(2, 3))):
        copy = pickle.loads(pickle.dumps(stage))
        assert copy == stage
        assert hash(copy) == hash(stage)
    assert Resize(size=(2, 3)) != Resize(size=(3, 2))
