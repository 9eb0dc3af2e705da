"""Both models train, save, load and generate on JAX and PyTorch as on TensorFlow."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

SCRIPT = pathlib.Path(__file__).with_name("train_on_backend.py")
pytestmark = pytest.mark.border


def train_on(backend: str, folder: pathlib.Path) -> Any:
    done = subprocess.run(
        [sys.executable, SCRIPT, folder],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def on_tensorflow(folder: pathlib.Path) -> Any:
    return train_on("tensorflow", folder)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_backend(backend: str, on_tensorflow: Any, folder: pathlib.Path) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    trained = train_on(backend, folder)
    for task, wanted in on_tensorflow.items():
        got = trained[task]
        assert got["first"][0] == pytest.approx(wanted["first"][0], abs=1e-5), task
        assert got["loss"][-1] < got["loss"][0]
        np.testing.assert_allclose(got["before"], wanted["before"], atol=2e-4)
    assert trained["resume"]["resumed"] == trained["resume"]["unbroken"]
    without_seed = trained["resume"]["without_seed"]
    if backend == "torch":
        assert "the layer 'dropout" in without_seed
        assert "needs Dropout(seed=...)" in without_seed
    else:
        assert without_seed == "trained"
