"""Columns of `Pairs` -> what a task wants of them: labels, weights, numbers that come along."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.pairs.columns import Column
from mmdata.pairs.pairs import Pairs
from mmdata.pairs.strings import Strings
from mmdata.tasks import Classification, Task


def with_classes(task: Task, pairs: Pairs) -> Task:
    """The task, with the classes of all pairs where it sorts them, so that splits agree.

    Raises:
      ValueError: The column of labels is not there, or holds neither whole numbers (of 32 bits) nor
        texts, or a row has no label, or one that is no class.
    """
    if not isinstance(task, Classification):
        return task
    labels = _column(pairs, task.column, "Classification(column=...)")
    if not isinstance(labels, Strings):
        if labels.dtype == np.float64 or task.classes is not None:
            raise ValueError(
                f"Classification(column={task.column!r}) must hold whole numbers, and then no "
                f"classes, or texts; got {labels.dtype}, classes={task.classes!r}."
            )
        if np.any(labels != labels.astype(np.int32)):
            raise ValueError(
                f"Classification(column={task.column!r}) must hold numbers of 32 bits; got "
                f"{labels.min():,} to {labels.max():,}."
            )
        return task
    given = set(labels)
    classes = task.classes or pairs.classes.get(task.column) or tuple(sorted(given - {""}))
    strange = sorted(given.difference(classes) | given.intersection([""]))
    if strange:
        raise ValueError(
            f"Classification(column={task.column!r}) needs a label for each image, out of "
            f"{list(classes)[:5]}; got {strange[:5]}. Pairs.filter() takes rows away."
        )
    return dataclasses.replace(task, classes=classes)


def values_of(task: Task, pairs: Pairs, *, weighted: bool) -> dict[str, NDArray[np.generic]]:
    """What the examples of a task get from the columns of their rows.

    Args:
      task: The task, with its classes.
      pairs: The pairs.
      weighted: Whether there is a "weight" even where all are 1.

    Returns:
      "weight": float32 [rows], if there is one; "label": int32 [rows], for `Classification`; and
      "column:name": float32, int64 or bool [rows], for each of `task.columns`.

    Raises:
      ValueError: A column is not there, or does not hold numbers.
    """
    values: dict[str, NDArray[Any]] = {}
    if pairs.weights is not None:
        values["weight"] = pairs.weights
    elif weighted:
        values["weight"] = np.ones(len(pairs), np.float32)
    if isinstance(task, Classification):
        labels = pairs.columns[task.column]
        if isinstance(labels, Strings):
            places = {name: place for place, name in enumerate(task.classes or ())}
            labels = np.array([places[label] for label in labels])
        values["label"] = labels.astype(np.int32)
    for name in task.columns:
        column = _column(pairs, name, f"{type(task).__name__}(columns=...)")
        if isinstance(column, Strings):
            raise ValueError(
                f"{type(task).__name__}(columns=...) must name columns of numbers; {name!r} holds "
                "text."
            )
        values[f"column:{name}"] = (
            column.astype(np.float32) if column.dtype == np.float64 else column
        )
    return values


def _column(pairs: Pairs, name: str, argument: str) -> Column:
    if name not in pairs.columns:
        raise ValueError(
            f"{argument} must name a column of the pairs, one of {list(pairs.columns)}; got "
            f"{name!r}."
        )
    return pairs.columns[name]
