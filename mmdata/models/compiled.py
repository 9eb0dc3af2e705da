"""Runs one method of a model as a compiled function of fixed shape, on any Keras backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from mmdata.models.image_encoder import Tensor

# XLA does not pay off on a CPU: it compiles long, and convolutions ran 0-45 % slower (measured).
# TensorFlow's graphs are fast enough without it. JAX has only XLA or single operations.
JIT: bool | str = False if keras.backend.backend() == "tensorflow" else "auto"

_LARGEST_CHUNK = 64


class Compiled(keras.Model):
    """Holds `function`, a method of `owner`, so that `predict_on_batch` compiles it.

    Keras compiles only train, test and predict steps; this makes any method a predict step. Do not
    save it: the weights belong to `owner`.

    Attributes:
      owner: the model whose weights are used.
      function: from a tuple of tensors [b, ...] to one tensor [b, ...].
    """

    def __init__(self, owner: keras.Model, function: Callable[..., Tensor]) -> None:
        """Stores both; compiles at the first call."""
        super().__init__()
        self.owner = owner
        self.function = function
        self.jit_compile = JIT == "auto" and owner.jit_compile
        self.built = True

    def call(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Returns `function(*inputs)`."""
        return self.function(*inputs)


def run(owner: keras.Model, key: str, function: Callable[..., Tensor], *arrays: Any) -> Any:
    """Runs a method of a model over arrays in chunks of fixed shape.

    A chunk has a power of two of rows, at most 64. The last chunk is filled up with copies of its
    last row. So a method is traced for at most seven shapes, for any number of rows.

    Args:
      owner: the model; it keeps the compiled functions, but not as layers.
      key: name of the method, and of everything else that changes its graph.
      function: from tensors [b, ...] to one tensor [b, ...], each row independently.
      *arrays: numpy arrays [b, ...] of the same b >= 1.

    Returns:
      A numpy array [b, ...].
    """
    rows = len(arrays[0])
    chunk = min(_LARGEST_CHUNK, 1 << (rows - 1).bit_length())
    # Assigning an attribute would make it a sublayer, and the model would contain itself.
    functions = vars(owner).setdefault("_compiled_methods", {})
    name = f"{key} of {chunk}"
    if name not in functions:
        functions[name] = Compiled(owner, function)
    results = []
    for start in range(0, rows, chunk):
        parts = [array[start : start + chunk] for array in arrays]
        missing = chunk - len(parts[0])
        if missing:
            parts = [np.concatenate([part, np.repeat(part[-1:], missing, 0)]) for part in parts]
        results.append(ops.convert_to_numpy(functions[name].predict_on_batch(tuple(parts))))
    return np.concatenate(results)[:rows]
