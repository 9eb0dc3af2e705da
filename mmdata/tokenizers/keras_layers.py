"""Layers of Keras as plain data and files, to compare, pickle and save them."""

import copy
import importlib
import json
import pathlib
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, TypedDict


class SavedLayer(TypedDict):
    """A layer: its class and configuration as plain data, and the content of its files by name."""

    layer: dict[str, Any]
    files: dict[str, bytes]


def saved(layer: Any, who: str) -> SavedLayer:
    """The class and configuration of a layer as plain data, and the content of its files."""
    import keras

    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # a lambda, which is refused below
        config = keras.saving.serialize_keras_object(layer)
        if hasattr(layer, "save_assets"):
            layer.save_assets(folder)
        paths = sorted(pathlib.Path(folder).iterdir())
        files = {path.name: path.read_bytes() for path in paths}
    if code := next(_unregistered(config), None):
        raise ValueError(
            f"{who} must be restorable from its configuration, so that its results can be "
            f"recognized: register {code} with keras.saving.register_keras_serializable()."
        )
    try:
        return {"layer": json.loads(json.dumps(config)), "files": files}
    except TypeError as err:
        raise ValueError(f"{who} must have a configuration of plain values: {err}.") from err


def _unregistered(config: Any) -> Iterator[str]:
    """The functions in a configuration of Keras that only this process knows."""
    if isinstance(config, Mapping):
        if config.get("class_name") == "__lambda__":
            yield "its lambda, as a function with a name,"
        elif config.get("class_name") == "function" and ">" not in str(config["config"]):
            yield f"its function {config['config']!r}"
    for inner in config.values() if isinstance(config, Mapping) else ():
        yield from _unregistered(inner)


def restored(content: SavedLayer, who: str) -> Any:
    """The layer that `saved` saved."""
    import keras

    if str(content["layer"].get("module")).startswith("keras_hub"):
        importlib.import_module("keras_hub")  # it registers its classes
    try:
        config = copy.deepcopy(content["layer"])  # Keras may change it
        layer = keras.saving.deserialize_keras_object(config)
        if content["files"]:
            with tempfile.TemporaryDirectory() as folder:
                for name, data in content["files"].items():
                    pathlib.Path(folder, pathlib.Path(name).name).write_bytes(data)
                layer.load_assets(folder)
    except (TypeError, ValueError, AttributeError) as err:
        raise ValueError(f"{who} must be restorable from its configuration: {err}") from err
    return layer
