"""A dataset with a static length."""

from typing import Any

import tensorflow as tf


def of_length(ds: Any, length: int) -> Any:
    """The same dataset with a static length, so that datasets made from it have a length.

    Ends without an error where `ds` ends earlier, as in a resumed epoch.
    """

    def empty(_: Any) -> Any:
        return tf.nest.map_structure(_empty, ds.element_spec)

    # Of a finite and an infinite dataset, TensorFlow takes an infinite length, and `take` cuts it.
    zeros = tf.data.Dataset.from_tensors(tf.constant(0, tf.int64)).repeat()
    choice = tf.data.Dataset.choose_from_datasets(
        [ds, zeros.map(empty)], zeros, stop_on_empty_dataset=True
    )
    return choice.take(length)


def _empty(spec: Any) -> Any:
    """A tensor that fits `spec`, with 0 in each axis of unknown size."""
    sides = [side or 0 for side in spec.shape]
    if not isinstance(spec, tf.RaggedTensorSpec):
        return tf.zeros(sides, spec.dtype)
    values = tf.zeros([0, *sides[spec.ragged_rank + 1 :]], spec.dtype)
    splits = [tf.zeros([rows + 1], tf.int64) for rows in (sides[0], *[0] * (spec.ragged_rank - 1))]
    return tf.RaggedTensor.from_nested_row_splits(values, splits)
