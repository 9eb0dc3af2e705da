"""normalize.js gives the float32 values of `Normalize`."""

import pathlib
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from mmdata.stages.normalize import NORMALIZATIONS, Normalize

pytestmark = pytest.mark.slow

_SCRIPT = pathlib.Path(__file__).with_name("normalize_files.js")


@pytest.fixture(scope="module")
def folder(node: str, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Every value in every channel, and what Node makes of it."""
    folder = tmp_path_factory.mktemp("normalize")
    values = np.arange(256, dtype=np.uint8)
    np.stack([values, values[::-1], np.roll(values, 7)], axis=-1).tofile(folder / "images.raw")
    subprocess.run([node, _SCRIPT, folder], check=True)
    return folder


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_same_numbers(name: str, folder: pathlib.Path) -> None:
    images = np.fromfile(folder / "images.raw", np.uint8).reshape(1, 1, 16, 16, 3)
    ds = tf.data.Dataset.from_tensor_slices({"image": images}).map(Normalize(to=name))
    expected = next(ds.as_numpy_iterator())["image"]
    found = np.fromfile(folder / f"{name}.raw", expected.dtype)
    assert np.array_equal(found, expected.ravel())
