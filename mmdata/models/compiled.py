"""Runs one method of a model as a compiled function of fixed shape, on any Keras backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from mmdata.models.image_encoder import Tensor

# XLA on a CPU compiles longer than it saves here (measured: convolutions run 0-45 % slower), and
# TensorFlow's graph is compiled enough; JAX has nothing between XLA and single operations.
JIT: bool | str = False if keras.backend.backend() == "tensorflow" else "auto"

_LARGEST_CHUNK = 64


class Compiled(keras.Model):
    """Holds `function`, a method of `owner`, so that `predict_on_batch` compiles it.

    Keras compiles train, test and predict steps only; this makes any method a predict step. It is
    not meant to be saved: it borrows the weights of `owner`.

    Attributes:
      owner: the model whose weights are used.
      function: from a tuple of tensors [b, ...] to one tensor [b, ...].
    """

    def __init__(self, owner: keras.Model, function: Callable[..., Tensor]) -> None:
        """Remembers both; compiles at the first call."""
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

    A chunk is a power of two, 64 at most, and the last one is filled up with copies of its last
    row, so a method is traced for seven shapes at most, whatever it is given.

    Args:
      owner: the model; it keeps what was compiled, but not among its layers.
      key: name of the method and of whatever else changes its graph.
      function: from tensors [b, ...] to one tensor [b, ...], each row for itself.
      *arrays: numpy arrays [b, ...] of the same b >= 1.

    Returns:
      A numpy array [b, ...].
    """
    rows = len(arrays[0])
    chunk = min(_LARGEST_CHUNK, 1 << (rows - 1).bit_length())
    # Plain attribute assignment would make it a sublayer, and the model a part of its own part.
    kept = vars(owner).setdefault("_compiled_methods", {})
    name = f"{key} of {chunk}"
    if name not in kept:
        kept[name] = Compiled(owner, function)
    results = []
    for start in range(0, rows, chunk):
        parts = [array[start : start + chunk] for array in arrays]
        missing = chunk - len(parts[0])
        if missing:
            parts = [np.concatenate([part, np.repeat(part[-1:], missing, 0)]) for part in parts]
        results.append(ops.convert_to_numpy(kept[name].predict_on_batch(tuple(parts))))
    return np.concatenate(results)[:rows]
