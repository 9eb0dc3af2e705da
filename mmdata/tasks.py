"""Tasks: a batch as `fit` wants it."""

import dataclasses
from typing import Any, ClassVar

import tensorflow as tf

from mmdata.example import Example
from mmdata.order import Permutes

_TAKEN = frozenset({"images", "token_ids", "padding_mask", "image_id"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Captioning:
    """Teacher forcing: predict each next token from the image and the tokens before it.

    An epoch visits each pair once. A batch is `({"images", "token_ids", "padding_mask"}, y,
    sample_weight)`:

      images: [b, H, W, 3], as `pixels` has it.
      token_ids: int32 [b, t], from the start token on.
      padding_mask: bool [b, t], True at real tokens.
      y: int32 [b, t], `token_ids` moved by one, up to the end token.
      sample_weight: float32 [b, t], the weight of the row, 1 where it has none, where y is a real
        token; 0 where it is padding or the image is corrupt.

    Attributes:
      columns: Columns of numbers that come along under their names, each [b].

    Source: the shapes of KerasHub's `CausalLMPreprocessor`.
    """

    columns: tuple[str, ...] = ()

    permutes: ClassVar[Permutes] = "pairs"
    has_text: ClassVar[bool] = True
    lookahead: ClassVar[int] = 1

    def __post_init__(self) -> None:
        _require_free(self)

    def __call__(self, example: Example) -> tuple[Example, Any, Any]:
        ids, mask = example["token_ids"], example["padding_mask"]
        weight = tf.cast(mask[:, 1:] & example["valid"][:, tf.newaxis], tf.float32)
        if "weight" in example:
            weight *= example["weight"][:, tf.newaxis]
        x = {"images": example["image"], "token_ids": ids[:, :-1], "padding_mask": mask[:, :-1]}
        return x | _carried(self, example), ids[:, 1:], weight


@dataclasses.dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Image and text towers: match each image with its caption among those of the batch.

    An epoch visits each image once, with one of its captions; the next epoch takes the next one. So
    no batch holds two captions of one image. Weights of rows are not used. A batch is a dict:

      images: [b, H, W, 3], as `pixels` has it.
      token_ids: int32 [b, t].
      padding_mask: bool [b, t], True at real tokens; all False where the image is corrupt.
      image_id: int64 [b], equal for copies of a file.

    Attributes:
      columns: Columns of numbers that come along under their names, each [b].
    """

    columns: tuple[str, ...] = ()

    permutes: ClassVar[Permutes] = "images"
    has_text: ClassVar[bool] = True
    lookahead: ClassVar[int] = 0

    def __post_init__(self) -> None:
        _require_free(self)

    def __call__(self, example: Example) -> Example:
        batch = {
            "images": example["image"],
            "token_ids": example["token_ids"],
            "padding_mask": example["padding_mask"] & example["valid"][:, tf.newaxis],
            "image_id": example["image_id"],
        }
        return batch | _carried(self, example)


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
      classes: The texts in the order of their labels; None sorts those that there are.
      columns: Columns of numbers that come along under their names, each [b].

    Raises:
      ValueError: `classes` is no tuple of different texts.
    """

    column: str
    classes: tuple[str, ...] | None = None
    columns: tuple[str, ...] = ()

    permutes: ClassVar[Permutes] = "images"
    has_text: ClassVar[bool] = False
    lookahead: ClassVar[int] = 0

    def __post_init__(self) -> None:
        _require_free(self)
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
        carried = _carried(self, example)
        batch = ({"images": images, **carried} if carried else images, example["label"])
        if "weight" not in example:
            return batch
        return (*batch, example["weight"] * tf.cast(example["valid"], tf.float32))


def _require_free(task: "Task") -> None:
    if not isinstance(task.columns, tuple) or _TAKEN.intersection(task.columns):
        raise ValueError(
            f"{type(task).__name__}(columns=...) must be a tuple of names other than "
            f"{sorted(_TAKEN)}; got {task.columns!r}."
        )


def _carried(task: "Task", example: Example) -> Example:
    return {name: example[f"column:{name}"] for name in task.columns}


Task = Captioning | Retrieval | Classification

TASKS: dict[str, Task] = {"captioning": Captioning(), "retrieval": Retrieval()}
