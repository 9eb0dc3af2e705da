"""The task of models that classify images."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
from typing_extensions import Self

from mmdata.example import Example
from mmdata.pairs.pairs import Pairs
from mmdata.pairs.strings import Strings
from mmdata.tasks.columns import column_of, extra_columns, require_free
from mmdata.tasks.task import Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classification(Task):
    """Images with one label each, from a column of a table; captions are not read.

    An epoch visits each image once. A batch is `(images, labels)`:

      images: [b, H, W, 3], as `pixels` sets it; with `columns`, a dict of "images" and the columns.
      labels: int32 [b]: the numbers of the column; for texts, their indices in `classes`.

    If rows have weights, or corrupt images are allowed, there is a third part, `sample_weight`,
    float32 [b]: the weight of the row (1 without weights), and 0 if the image is corrupt.

    Attributes:
      column: The column with the labels: whole numbers or texts.
      classes: The texts in the order of their labels; None takes the order of a `ClassLabel` or a
        pandas `Categorical`, and sorts other texts.
      columns: Numeric columns to add to the batch under their names, each [b].
      inputs: The features of x that batches keep, those that a model declares; () keeps all.

    Raises:
      ValueError: `classes` is not a tuple of different texts.
    """

    column: str
    classes: tuple[str, ...] | None = None
    columns: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_free(self)
        if self.classes is None:
            return
        valid = isinstance(self.classes, tuple) and all(isinstance(c, str) for c in self.classes)
        if not valid or len(set(self.classes)) < len(self.classes):
            raise ValueError(
                "Classification(classes=...) must be a tuple of different texts, or None; got "
                f"{self.classes!r}."
            )

    @property
    def reads_all_splits(self) -> bool:
        """True if classes must be collected, so that all splits have the same classes."""
        return self.classes is None

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, if labels are texts; else empty."""
        return self.classes or ()

    def with_pairs(self, pairs: Pairs) -> Self:
        """The task with the classes of all pairs.

        Raises:
          ValueError: The column is missing, or holds neither whole numbers (32 bits) nor texts, or
            a row has no label, or a label that is not a class.
        """
        labels = column_of(pairs, self.column, "Classification(column=...)")
        who = f"Classification(column={self.column!r})"
        if not isinstance(labels, Strings):
            if labels.dtype == np.float64 or self.classes is not None:
                raise ValueError(
                    f"{who} must hold texts, or whole numbers without classes=...; got "
                    f"{labels.dtype}, classes={self.classes!r}."
                )
            if np.any(labels != labels.astype(np.int32)):
                raise ValueError(
                    f"{who} must hold 32-bit numbers; got {labels.min():,} to {labels.max():,}."
                )
            return self
        given = set(labels)
        classes = self.classes or pairs.classes.get(self.column) or tuple(sorted(given - {""}))
        if invalid := sorted(given.difference(classes) | given.intersection([""])):
            raise ValueError(
                f"{who} needs a label for each image, out of {list(classes)[:5]}; got "
                f"{invalid[:5]}. Pairs.filter() removes rows."
            )
        return dataclasses.replace(self, classes=classes)

    def values(self, pairs: Pairs) -> dict[str, Any]:
        """The labels: int32 [rows]."""
        labels = pairs.columns[self.column]
        if isinstance(labels, Strings):
            number_of = {name: number for number, name in enumerate(self.class_names)}
            labels = np.array([number_of[label] for label in labels])
        return {"label": labels.astype(np.int32)}

    def __call__(self, example: Example) -> tuple[Any, ...]:
        images = example["image"]
        columns = extra_columns(self, example)
        batch = ({"images": images, **columns} if columns else images, example["label"])
        if "weight" not in example:
            return batch
        return (*batch, example["weight"] * tf.cast(example["valid"], tf.float32))
