"""Batches of a dataset as NumPy arrays, which many assertions may look at."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Batch = list[NDArray[Any]]
"""The tensors of a batch, in the order of `tf.nest.flatten`."""


def epoch_of(ds: Any) -> list[Batch]:
    """The batches of the next epoch."""
    return [
        [tensor.numpy() for tensor in tf.nest.flatten(batch, expand_composites=True)]
        for batch in ds
    ]


def assert_same(batches: list[Batch], expected: list[Batch]) -> None:
    """That batches have the same shapes and values."""
    for batch, other in zip(batches, expected, strict=True):
        for array, wanted in zip(batch, other, strict=True):
            np.testing.assert_array_equal(array, wanted, strict=True)


def joined(shards: Iterable[list[Batch]]) -> list[Batch]:
    """The batches that the shards, one after another, are slices of."""
    return [
        [np.concatenate(slices) for slices in zip(*parts, strict=True)]
        for parts in zip(*shards, strict=True)
    ]
