"""Models whose `.keras` file also holds how images and captions became their inputs."""

from __future__ import annotations

import pathlib
from typing import Any

import keras

PREPROCESSING = "mmdata-preprocessing.json"
"""The file among the assets of a `.keras` archive."""


class SavedWithPreprocessing(keras.Model):
    """A model that writes its preprocessing when it is saved, and finds it when it is loaded.

    Attributes:
      preprocessing: What `ds.preprocessing` of the training set was; its JSON, as bytes, after
        `keras.models.load_model`, and a value again after `mmdata.load`. None if it is unknown.
    """

    preprocessing: Any = None

    def save_assets(self, dir_path: str) -> None:
        """Writes the preprocessing; Keras calls it."""
        content = self.preprocessing
        if content is not None:
            content = content if isinstance(content, bytes) else content.to_json()
            pathlib.Path(dir_path, PREPROCESSING).write_bytes(content)

    def load_assets(self, dir_path: str) -> None:
        """Reads the preprocessing; Keras calls it."""
        file = pathlib.Path(dir_path, PREPROCESSING)
        if file.is_file():
            self.preprocessing = file.read_bytes()
