"""`mmdata.save` and `mmdata.load`: models with what new images and captions need."""

import os
import pathlib
import zipfile
from typing import TYPE_CHECKING, Any, Literal

import keras

import mmdata.models  # noqa: F401 - Keras loads only classes that are registered
from mmdata.dataset import Dataset
from mmdata.models.saved import PREPROCESSING
from mmdata.preprocessing import Preprocessing
from mmdata.storage.atomic import replacing

if TYPE_CHECKING:
    from _typeshed import StrPath

_MEMBER = f"assets/{PREPROCESSING}"
_TASKS = ("captioning", "retrieval")
_WITHOUT = (
    "does not know how its images became pixels. Pass dataset=ds, the dataset that it was trained "
    "on, or load a model that mmdata.save or mmdata train wrote."
)


def save(model: Any, path: "StrPath", *, dataset: Dataset | None = None) -> None:
    """Writes a Keras model with the preprocessing of its training set; never half-written.

    `keras.models.load_model` reads the file as any other. `mmdata.load` also finds pixels,
    tokenizer and lengths, so `mmdata.caption` and `mmdata.search` need no dataset. The models of
    mmdata do the same in their own `save`.

    Args:
      model: Any Keras model; its `preprocessing` is set.
      path: A file that ends in ".keras".
      dataset: What the model was trained on; None if the model has a `preprocessing`.

    Raises:
      ValueError: The name does not end in ".keras", or the preprocessing is unknown.
      OSError: The file cannot be written.
    """
    if not os.fspath(path).endswith(".keras"):
        raise ValueError(f"save(path=...) must end in .keras; got {os.fspath(path)!r}.")
    model.preprocessing = preprocessing_of(model, dataset, "save")
    with replacing(path) as file:
        model.save(file)
        with zipfile.ZipFile(file, "a") as archive:
            if _MEMBER not in archive.namelist():
                archive.writestr(_MEMBER, model.preprocessing.to_json())


def load(path: "StrPath", *, task: Literal["captioning", "retrieval"] | None = None) -> Any:
    """Reads a Keras model with its preprocessing.

    Classes of your own must be registered with Keras, as for `keras.models.load_model`.

    Args:
      path: A `.keras` file that `mmdata.save`, or the `save` of a model of mmdata, wrote; or the
        folder that `mmdata train` wrote.
      task: Which model of a folder that holds both.

    Returns:
      The model; its `preprocessing` is a `Preprocessing`.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: The file is not a Keras model, or has no preprocessing that this version reads.
    """
    file = _file(pathlib.Path(path).expanduser(), task)
    try:
        with zipfile.ZipFile(file) as archive:
            content = archive.read(_MEMBER) if _MEMBER in archive.namelist() else None
    except zipfile.BadZipFile as err:
        raise ValueError(f"{file}: not a .keras file ({err}).") from err
    if content is None:
        raise ValueError(
            f"{file}: holds no preprocessing of mmdata. Load it with keras.models.load_model, and "
            "write it again with mmdata.save(model, path, dataset=ds)."
        )
    preprocessing = Preprocessing.from_json(content, str(file))
    model = keras.models.load_model(file)
    model.preprocessing = preprocessing
    return model


def preprocessing_of(model: Any, dataset: Dataset | None, who: str) -> Preprocessing:
    """The preprocessing of a dataset, or of a model.

    Raises:
      TypeError: `dataset` is not a `Dataset`.
      ValueError: Neither is known.
    """
    if dataset is not None:
        if not isinstance(dataset, Dataset):
            raise TypeError(
                f"{who}(dataset=...) takes what mmdata.build returns; got a "
                f"{type(dataset).__name__}."
            )
        return dataset.preprocessing
    found = getattr(model, "preprocessing", None)
    if isinstance(found, bytes):
        return Preprocessing.from_json(found, type(model).__name__)
    if not isinstance(found, Preprocessing):
        raise ValueError(f"{who}(model): this {type(model).__name__} {_WITHOUT}")
    return found


def _file(path: pathlib.Path, task: str | None) -> pathlib.Path:
    """The file of a model: itself, or the one in a folder."""
    if not path.is_dir():
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such model.")
        return path
    names = [task] if task else _TASKS
    found = [file for name in names if (file := path / f"{name}.keras").is_file()]
    if len(found) != 1:
        wanted = " or ".join(f"{name}.keras" for name in names)
        got = ", ".join(file.name for file in found) or "none of them"
        raise ValueError(f"{path}: must hold one model, {wanted}; got {got}. Name the file.")
    return found[0]
