"""Normalize, against NumPy and Keras."""

import pickle
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from mmdata.stages.normalize import NORMALIZATIONS, Normalize

Pixels = NDArray[Any]

# Every grey level in every channel, no two channels alike.
PICTURE = np.stack([np.roll(np.arange(256), shift) for shift in (0, 85, 170)], -1)
PICTURE = PICTURE.reshape(16, 16, 3).astype(np.uint8)

ORACLES: dict[str, Callable[[Pixels], Pixels]] = {
    "uint8": lambda x: x,
    "raw": lambda x: x.astype(float),
    "unit": lambda x: x / 255,
    "signed": lambda x: x / 127.5 - 1,
    "imagenet": lambda x: (x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225],
    "clip": lambda x: (
        (x / 255 - [0.48145466, 0.4578275, 0.40821073]) / [0.26862954, 0.26130258, 0.27577711]
    ),
    "caffe": lambda x: x[..., ::-1] - [103.939, 116.779, 123.68],
}
RANGES = {
    "uint8": (0, 255),
    "raw": (0, 255),
    "unit": (0, 1),
    "signed": (-1, 1),
    "imagenet": (-2.11790, 2.64),
    "clip": (-1.79226, 2.14590),
    "caffe": (-123.68, 151.061),
}


@pytest.fixture(scope="module")
def in_graph() -> dict[str, Any]:
    """Each name's pixels out of `tf.data`, at once."""

    def normalize(image: Any) -> dict[str, Any]:
        return {name: Normalize(to=name)({"image": image})["image"] for name in NORMALIZATIONS}

    ds = tf.data.Dataset.from_tensor_slices(PICTURE[np.newaxis]).batch(1).map(normalize)
    for name, spec in ds.element_spec.items():
        dtype = tf.uint8 if name == "uint8" else tf.float32
        assert spec == tf.TensorSpec([None, 16, 16, 3], dtype)
    return dict(next(iter(ds)))


def test_every_name_has_an_oracle() -> None:
    assert set(NORMALIZATIONS) == set(ORACLES) == set(RANGES)


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_equals_oracle(name: str, in_graph: dict[str, Any]) -> None:
    expected = ORACLES[name](PICTURE)
    eager = Normalize(to=name)({"image": tf.constant(PICTURE)})["image"].numpy()
    assert eager.dtype == (np.uint8 if name == "uint8" else np.float32)
    np.testing.assert_allclose(eager, expected, rtol=0, atol=2e-5)
    np.testing.assert_array_equal(in_graph[name][0], eager)
    np.testing.assert_allclose((eager.min(), eager.max()), RANGES[name], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "mode"), [("caffe", "caffe"), ("signed", "tf"), ("imagenet", "torch")]
)
def test_equals_keras(name: str, mode: str) -> None:
    expected = keras.applications.imagenet_utils.preprocess_input(
        PICTURE.astype(np.float32), data_format="channels_last", mode=mode
    )
    got = Normalize(to=name)({"image": tf.constant(PICTURE)})["image"]
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", NORMALIZATIONS)
@pytest.mark.parametrize("shape", [(4, 4, 3), (2, 4, 2, 3), (2, 1, 4, 2, 3)], ids=str)
def test_any_leading_shape(name: str, shape: tuple[int, ...]) -> None:
    image = PICTURE.reshape(-1)[: np.prod(shape)].reshape(shape)
    got = Normalize(to=name)({"image": tf.constant(image)})["image"]
    assert got.shape == shape
    np.testing.assert_allclose(got, ORACLES[name](image), rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", ["uint8", "caffe"])
def test_touches_nothing_else(name: str) -> None:
    example = {"image": tf.constant(PICTURE), "row": tf.constant(7)}
    before = dict(example)
    assert Normalize(to=name)(example)["row"] is before["row"]
    assert example.keys() == before.keys()
    assert all(example[key] is value for key, value in before.items())


@pytest.mark.parametrize("name", ["", "Unit", "imagenet ", None, 255, ["unit"]], ids=repr)
def test_refuses_unknown_names(name: Any) -> None:
    with pytest.raises(ValueError, match=r"Normalize\(to=\.\.\.\) must be one of .*; got"):
        Normalize(to=name)


def test_is_a_value() -> None:
    assert repr(Normalize(to="unit")) == "Normalize(to='unit')"
    assert Normalize(to="clip") == pickle.loads(pickle.dumps(Normalize(to="clip")))
    assert len({Normalize(to="unit"), Normalize(to="unit"), Normalize(to="raw")}) == 2
