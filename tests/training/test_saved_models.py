"""Models on disk, with what new images and captions need."""

import pathlib
import subprocess
import sys
import zipfile
from typing import Any

import keras
import numpy as np
import pytest

import mmdata

SAMPLES = pathlib.Path(__file__).parents[2] / "sample_data" / "messy"
OPTIONS: dict[str, Any] = {"image_size": (32, 40), "batch_size": 4, "on_problem": "drop"}
SMALL: dict[str, Any] = {"width": 8, "heads": 1}


@pytest.fixture(scope="module")
def captioning() -> Any:
    return mmdata.build(SAMPLES, text="word", **OPTIONS)


@pytest.fixture(scope="module")
def retrieval() -> Any:
    return mmdata.build(SAMPLES, task="retrieval", text="byte", sequence_length=80, **OPTIONS)


@pytest.fixture(scope="module")
def captioner(captioning: Any) -> Any:
    return mmdata.Captioner.from_dataset(captioning, **SMALL)


def own_model() -> Any:
    images = keras.Input((32, 40, 3), name="images")
    return keras.Model({"images": images}, keras.layers.GlobalAveragePooling2D()(images))


def weights_of(model: Any) -> list[Any]:
    return [keras.ops.convert_to_numpy(variable) for variable in model.weights]


@pytest.mark.parametrize("how", ["its own save", "mmdata.save"])
@pytest.mark.parametrize("task", ["captioning", "retrieval"])
def test_our_models_come_back_with_their_preprocessing(
    task: str, how: str, captioner: Any, captioning: Any, retrieval: Any, tmp_path: pathlib.Path
) -> None:
    ds = captioning if task == "captioning" else retrieval
    model = captioner
    if task == "retrieval":
        model = mmdata.DualEncoder.from_dataset(retrieval, **SMALL)
    path = tmp_path / f"{task}.keras"
    if how == "mmdata.save":
        mmdata.save(model, path)
    else:
        model.save(path)
    for source in (path, tmp_path):
        loaded = mmdata.load(source)
        assert type(loaded) is type(model)
        assert loaded.preprocessing == ds.preprocessing
        np.testing.assert_equal(weights_of(loaded), weights_of(model))
    again = keras.models.load_model(path)
    again.save(path)
    assert mmdata.load(path).preprocessing == ds.preprocessing
    with zipfile.ZipFile(path) as archive:
        assert len({*archive.namelist()}) == len(archive.namelist())


def test_a_model_of_a_user(captioning: Any, tmp_path: pathlib.Path) -> None:
    model, path = own_model(), tmp_path / "own.keras"
    with pytest.raises(ValueError, match=r"save\(model\): this Functional does not know how"):
        mmdata.save(model, path)
    mmdata.save(model, path, dataset=captioning)
    assert mmdata.load(path).preprocessing == captioning.preprocessing
    plain = keras.models.load_model(path)
    images = np.ones([1, 32, 40, 3], np.float32)
    np.testing.assert_array_equal(plain({"images": images}), model({"images": images}))
    mmdata.save(model, path)
    assert [file.name for file in tmp_path.iterdir()] == ["own.keras"]
    with pytest.raises(ValueError, match=r"must end in \.keras"):
        mmdata.save(model, tmp_path / "own.h5")
    with pytest.raises(TypeError, match=r"save\(dataset=\.\.\.\) takes what mmdata\.build returns"):
        mmdata.save(model, path, dataset=captioning.take(1))


def test_what_cannot_be_loaded(captioner: Any, tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.keras: no such model"):
        mmdata.load(tmp_path / "none.keras")
    (tmp_path / "text.keras").write_text("text")
    with pytest.raises(ValueError, match=r"text\.keras: not a \.keras file"):
        mmdata.load(tmp_path / "text.keras")
    own_model().save(tmp_path / "own.keras")
    with pytest.raises(ValueError, match=r"own\.keras: holds no preprocessing of mmdata"):
        mmdata.load(tmp_path / "own.keras")
    with pytest.raises(ValueError, match=r"must hold one model, captioning\.keras or retrieval"):
        mmdata.load(tmp_path)
    for name in ("captioning", "retrieval"):
        captioner.save(tmp_path / f"{name}.keras")
    with pytest.raises(
        ValueError, match=r"got captioning\.keras, retrieval\.keras\. Name the file"
    ):
        mmdata.load(tmp_path)
    assert mmdata.load(tmp_path, task="captioning").preprocessing.task == "Captioning"


@pytest.mark.slow
def test_another_process_loads_it(captioner: Any, tmp_path: pathlib.Path) -> None:
    captioner.save(tmp_path / "m.keras")
    code = "import mmdata; print(mmdata.load('m.keras').preprocessing.text.tokenizer.vocabulary)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(pathlib.Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(captioner.preprocessing.tokenizer.vocabulary)
