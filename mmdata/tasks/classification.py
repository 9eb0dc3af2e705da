"""Models that name classes."""

import dataclasses
from typing import Any, ClassVar

import tensorflow as tf

from mmdata.example import Example
from mmdata.tasks.columns import carried, require_free


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classification:
    """Images and a label each, from a column of a table; captions are not read.

    An epoch visits each image once. A batch is `(images, labels)`:

      images: [b, H, W, 3], as `pixels` has it; with `columns`, a dict of these and of "images".
      labels: int32 [b]: the numbers of the column; of texts, their places in `classes`.

    Where rows have weights, or corrupt images may be passed over, a third part is `sample_weight`,
    float32 [b]: the weight of the row, 1 where it has none, and 0 where the image is corrupt.

    Attributes:
      column: The column that holds the labels: whole numbers or texts.
      classes: The texts in the order of their labels; None takes the order of a `ClassLabel` or a
        pandas `Categorical`, and sorts other texts.
      columns: Columns of numbers that come along under their names, each [b].

    Raises:
      ValueError: `classes` is no tuple of different texts.
    """

    column: str
    classes: tuple[str, ...] | None = None
    columns: tuple[str, ...] = ()

    has_text: ClassVar[bool] = False

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

    def __call__(self, example: Example) -> tuple[Any, ...]:
        images = example["image"]
        along = carried(self, example)
        batch = ({"images": images, **along} if along else images, example["label"])
        if "weight" not in example:
            return batch
        return (*batch, example["weight"] * tf.cast(example["valid"], tf.float32))
