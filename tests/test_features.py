"""`mmdata.precompute_features`: outputs of a frozen encoder instead of images."""

import io
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import mmdata

Rewrite = Callable[..., None]

SAMPLES = pathlib.Path(__file__).parents[1] / "sample_data"


@pytest.fixture(scope="module")
def pairs() -> mmdata.Pairs:
    everything = mmdata.read(SAMPLES / "images", SAMPLES / "captions")
    return everything.take(np.arange(0, 40, 2))


def build(pairs: mmdata.Pairs, **options: Any) -> mmdata.Dataset:
    made: dict[str, Any] = {"text": "byte", "sequence_length": 90, "image_size": (16, 16)}
    ds: mmdata.Dataset = mmdata.build(pairs, **made | {"batch_size": 6, "seed": 2} | options)
    return ds


@pytest.fixture(scope="module")
def plain(pairs: mmdata.Pairs) -> mmdata.Dataset:
    """Images in their order; each epoch is the same."""
    return build(pairs, shuffle=False)


class Counting(keras.layers.Layer):
    """Means of quarters of an image; counts what it was given, and how."""

    def __init__(self, factor: float = 2.0) -> None:
        super().__init__()
        self.factor = self.add_weight(shape=(), initializer=keras.initializers.Constant(factor))
        self.images = 0

    def call(self, images: Any, training: bool = True) -> Any:
        assert training is False
        self.images += len(images)
        means = keras.ops.mean(keras.ops.reshape(images, (-1, 2, 8, 2, 8, 3)), axis=(2, 4))
        return means * self.factor


def means(images: Any) -> Any:
    return np.asarray(images).reshape(-1, 2, 8, 2, 8, 3).mean((2, 4)) * 2


@pytest.mark.parametrize("task", ["captioning", "retrieval"])
@pytest.mark.parametrize("cached", [False, True], ids=["files", "cache"])
def test_same_batches_with_features_for_images(
    pairs: mmdata.Pairs, task: str, cached: bool, tmp_path: pathlib.Path
) -> None:
    plain = build(pairs, task=task, cache=tmp_path / "pixels" if cached else None)
    encoder = Counting()
    ds = mmdata.precompute_features(plain, encoder, tmp_path)
    assert encoder.images == 1 + len(pairs)  # one that is blank tells the shape
    for _ in range(2):
        for left, right in zip(ds, plain, strict=True):
            got, batch = (part if isinstance(part, dict) else part[0] for part in (left, right))
            np.testing.assert_allclose(got["images"], means(batch["images"]), rtol=1e-5)
            assert got["images"].dtype == tf.float32
            for name in batch.keys() - {"images"}:
                np.testing.assert_array_equal(got[name], batch[name])
            if isinstance(left, tuple):
                for one, other in zip(left[1:], right[1:], strict=True):
                    np.testing.assert_array_equal(one, other)
    assert encoder.images == 1 + len(pairs)


def test_positions_are_those_of_the_images(pairs: mmdata.Pairs, tmp_path: pathlib.Path) -> None:
    ds = mmdata.precompute_features(build(pairs), Counting(), tmp_path)
    whole = [x["images"].numpy() for _ in range(2) for x, _, _ in ds]
    later = [x["images"].numpy() for x, _, _ in ds.at(len(ds) + 2)]
    assert len(later) == len(ds) - 2
    for got, expected in zip(later, whole[len(ds) + 2 :], strict=True):
        np.testing.assert_array_equal(got, expected)


def test_encoded_once_unless_anything_changes(
    pairs: mmdata.Pairs, plain: mmdata.Dataset, tmp_path: pathlib.Path
) -> None:
    def encoded(ds: mmdata.Dataset, factor: float = 2.0) -> int:
        encoder = Counting(factor)
        mmdata.precompute_features(ds, encoder, tmp_path)
        return encoder.images - 1

    assert encoded(plain) == len(pairs)
    assert encoded(build(pairs, task="retrieval", seed=5)) == 0
    assert encoded(build(pairs.take(np.arange(7)))) == 0
    assert encoded(plain, factor=3.0) == len(pairs)
    assert encoded(build(pairs, image_size=None, pixels=mmdata.Pixels(size=(16, 16), fit="pad")))
    assert encoded(build(pairs, pixels="signed")) == len(pairs)


def middle(shade: int) -> bytes:
    """A JPEG of one shade: of one length, with the same first and last 4 KiB as any other."""
    buffer = io.BytesIO()
    image = Image.new("RGB", (16, 16), (shade, shade, shade))
    image.save(buffer, "JPEG", quality=90, icc_profile=bytes(5000))
    return buffer.getvalue().ljust(16_384, b"\0")


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("cached", [False, True], ids=["files", "cache"])
def test_features_are_those_of_the_files(
    cached: bool, tmp_path: pathlib.Path, rewrite: Rewrite
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number, shade in enumerate([50, 100]):
        (images / f"{number}.jpg").write_bytes(middle(shade))
        (images / f"{number}.txt").write_text("a picture")
    folder = tmp_path / "pixels" if cached else None

    def encoded() -> tuple[list[int], int]:
        encoder = Counting()
        plain = build(mmdata.read(images), pixels="raw", shuffle=False, cache=folder)
        ((x, _, _),) = mmdata.precompute_features(plain, encoder, tmp_path / "kept")
        return [round(float(features.max()) / 2) for features in x["images"].numpy()], (
            encoder.images - 1
        )

    assert encoded() == ([50, 100], 2)
    rewrite(images / "1.jpg", middle(200))
    assert encoded() == ([50, 200], 1)
    for path in images.iterdir():
        path.touch()
    assert encoded() == ([50, 200], 0)


@pytest.mark.usefixtures("settled")
def test_a_file_that_changes_behind_build_is_not_given_its_old_features(
    tmp_path: pathlib.Path, rewrite: Rewrite
) -> None:
    (tmp_path / "0.jpg").write_bytes(middle(50))
    (tmp_path / "0.txt").write_text("a picture")
    plain = build(mmdata.read(tmp_path))
    mmdata.precompute_features(plain, Counting(), tmp_path / "kept")
    rewrite(tmp_path / "0.jpg", middle(200))
    with pytest.raises(mmdata.PairingError, match="changed while it was read"):
        mmdata.precompute_features(plain, Counting(), tmp_path / "kept")


def test_what_keras_has(plain: mmdata.Dataset, tmp_path: pathlib.Path) -> None:
    encoder = keras.Sequential(
        [keras.Input((16, 16, 3)), keras.layers.Conv2D(4, 3), keras.layers.GlobalMaxPooling2D()]
    )
    ds = mmdata.precompute_features(plain, encoder, tmp_path)
    assert ds.element_spec[0]["images"].shape == (None, 4)
    for (x, _, _), (images, _, _) in zip(ds, plain, strict=True):
        np.testing.assert_allclose(x["images"], encoder(images["images"]), atol=1e-5)
    assert ds.settings != plain.settings
    assert ds.pixels == plain.pixels


def test_encoders_that_are_not_built_are_distinguished(
    plain: mmdata.Dataset, tmp_path: pathlib.Path
) -> None:
    for seed in range(2):
        keras.utils.set_random_seed(seed)
        encoder = keras.Sequential([keras.layers.Conv2D(4, 3), keras.layers.Flatten()])
        ds = mmdata.precompute_features(plain, encoder, tmp_path)
        for (x, _, _), (images, _, _) in zip(ds, plain, strict=True):
            np.testing.assert_allclose(x["images"], encoder(images["images"]), atol=1e-5)


def test_made_again_with_the_same_weights_it_is_the_same(
    plain: mmdata.Dataset, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def make() -> Any:
        keras.utils.set_random_seed(0)
        inputs = keras.Input((16, 16, 3))
        outputs = keras.layers.Dropout(0.5)(keras.layers.Conv2D(4, 3)(inputs))
        return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(outputs))

    first, second = make(), make()
    second(np.zeros((1, 16, 16, 3)), training=True)  # moves the state of its dropout
    for encoder in (first, second):
        mmdata.precompute_features(plain, encoder, tmp_path)
    assert capsys.readouterr().err.count("keeping 20 rows") == 1


def test_half_precision_stays_and_bfloat16_becomes_float32(
    plain: mmdata.Dataset, tmp_path: pathlib.Path
) -> None:
    for dtype, expected in (("float16", tf.float16), ("bfloat16", tf.float32)):
        encoder = keras.layers.Lambda(lambda x, dtype=dtype: keras.ops.cast(x[:, 0, 0], dtype))
        ds = mmdata.precompute_features(plain, encoder, tmp_path / dtype)
        assert ds.element_spec[0]["images"].dtype == expected


def test_a_corrupt_image_has_zeros(tmp_path: pathlib.Path) -> None:
    for number in range(3):
        image = np.full((16, 16, 3), 50 * number + 9, np.uint8)
        keras.utils.save_img(tmp_path / f"{number}.png", image, scale=False)
        (tmp_path / f"{number}.txt").write_text("a picture")
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:-30])
    plain = build(mmdata.read(tmp_path), on_problem="drop", shuffle=False)
    ds = mmdata.precompute_features(plain, Counting(), tmp_path / "kept")
    ((x, _, weight),) = ds
    assert [features.any() for features in x["images"].numpy()] == [True, False, True]
    assert [row.any() for row in weight.numpy()] == [True, False, True]
    assert [found.path for found in ds.report.findings] == ["1.png"]
    (tmp_path / "1.png").touch()  # so that no cache has it
    with pytest.raises(mmdata.PairingError, match=r"1\.png"):
        mmdata.precompute_features(build(mmdata.read(tmp_path)), Counting(), tmp_path / "others")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"augment": (mmdata.Flip(),)}, "augment"),
        ({"image_size": None, "pixels": mmdata.Pixels(buckets=((8, 8), (8, 16)))}, "buckets"),
    ],
    ids=["augment", "buckets"],
)
def test_images_that_do_not_stay_are_refused(
    pairs: mmdata.Pairs, options: dict[str, Any], words: str, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(ValueError, match=words):
        mmdata.precompute_features(build(pairs, **options), Counting(), tmp_path)
    assert not any(tmp_path.iterdir())


def test_outputs_that_are_no_tensor_are_refused(
    plain: mmdata.Dataset, tmp_path: pathlib.Path
) -> None:
    for encoder in (
        keras.layers.Lambda(lambda x: {"features": x}),
        keras.layers.Lambda(lambda x: keras.ops.mean(x)),
    ):
        with pytest.raises(ValueError, match="one tensor"):
            mmdata.precompute_features(plain, encoder, tmp_path)
    with pytest.raises(ValueError, match="path"):
        mmdata.precompute_features(plain, Counting(), False)
    for ds, model in ((plain.take(1), Counting()), (plain, np.mean)):
        with pytest.raises(TypeError, match=r"takes what mmdata\.build returns"):
            mmdata.precompute_features(ds, model, tmp_path)
    again = mmdata.precompute_features(plain, Counting(), tmp_path)
    with pytest.raises(ValueError, match="encoder="):
        mmdata.precompute_features(again, Counting(), tmp_path)
