"""Columns of `Pairs` -> features of a batch: weights, and further numbers."""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmdata.example import Example
from mmdata.pairs.columns import Column
from mmdata.pairs.pairs import Pairs
from mmdata.pairs.strings import Strings
from mmdata.tasks.task import Task

_RESERVED = frozenset(
    {
        "captions",
        "images",
        "image_id",
        "padding_mask",
        "references",
        "response_mask",
        "token_ids",
        "weight",
    }
)


def require_names(argument: str, names: Any) -> tuple[str, ...]:
    """Returns names as a tuple; raises a ValueError unless they are different texts."""
    are_texts = isinstance(names, tuple) and all(isinstance(name, str) for name in names)
    if not are_texts or not 0 < len(set(names)) == len(names):
        raise ValueError(
            f"{argument} must be a tuple of names of features, each once; got {names!r}."
        )
    return tuple(names)


def require_free(task: Task) -> None:
    """Raises a ValueError unless `task.columns` and `task.inputs` are tuples of names.

    No column has the name of a feature.
    """
    if task.inputs != ():
        require_names(f"{type(task).__name__}(inputs=...)", task.inputs)
    if not isinstance(task.columns, tuple) or _RESERVED.intersection(task.columns):
        raise ValueError(
            f"{type(task).__name__}(columns=...) must be a tuple of names other than "
            f"{sorted(_RESERVED)}; got {task.columns!r}."
        )


def extra_columns(task: Task, example: Example) -> Example:
    """The columns that `task.columns` names, under their names."""
    return {name: example[f"column:{name}"] for name in task.columns}


def raw_text(task: Task, example: Example) -> Example:
    """The features of a batch with `text=None`: images, captions, columns, and the weight, if any.

    The weight is that of the row, or 0 if the image is corrupt.
    """
    batch = {"images": example["image"], "captions": example["caption"]}
    if "weight" in example:
        batch["weight"] = example["weight"] * tf.cast(example["valid"], tf.float32)
    return batch | extra_columns(task, example)


def row_values(task: Task, pairs: Pairs, *, weighted: bool) -> dict[str, NDArray[Any]]:
    """The features that a task takes from the columns of each row.

    Args:
      task: The task, after `Task.with_pairs`.
      pairs: The pairs.
      weighted: Whether to add a "weight" of 1 if the pairs have no weights.

    Returns:
      `Task.values`; "weight": float32 [rows], if there are weights; and "column:name": float32,
      int64 or bool [rows], for each of `task.columns`.

    Raises:
      ValueError: A column is missing, or does not hold numbers.
    """
    values: dict[str, NDArray[Any]] = {}
    if pairs.weights is not None:
        values["weight"] = pairs.weights
    elif weighted:
        values["weight"] = np.ones(len(pairs), np.float32)
    argument = f"{type(task).__name__}(columns=...)"
    for name in task.columns:
        column = column_of(pairs, name, argument)
        if isinstance(column, Strings):
            raise ValueError(f"{argument} must name columns of numbers; {name!r} holds text.")
        is_double = column.dtype == np.float64
        values[f"column:{name}"] = column.astype(np.float32) if is_double else column
    return values | task.values(pairs)


def column_of(pairs: Pairs, name: str, argument: str) -> Column:
    """A column of the pairs; raises a ValueError that names `argument` if there is none."""
    if name not in pairs.columns:
        raise ValueError(
            f"{argument} must name a column of the pairs, one of {list(pairs.columns)}; got "
            f"{name!r}."
        )
    return pairs.columns[name]
