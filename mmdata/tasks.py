"""Tasks: a batch as `fit` wants it."""

import dataclasses
from typing import Any, ClassVar

import tensorflow as tf

from mmdata.example import Example
from mmdata.order import Permutes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Captioning:
    """Teacher forcing: predict each next token from the image and the tokens before it.

    An epoch visits each pair once. A batch is `({"images", "token_ids", "padding_mask"}, y,
    sample_weight)`:

      images: [b, H, W, 3], as `pixels` has it.
      token_ids: int32 [b, t], from the start token on.
      padding_mask: bool [b, t], True at real tokens.
      y: int32 [b, t], `token_ids` moved by one, up to the end token.
      sample_weight: float32 [b, t], 1 where y is a real token, 0 where it is padding or the image
        is corrupt.

    Source: the shapes of KerasHub's `CausalLMPreprocessor`.
    """

    permutes: ClassVar[Permutes] = "pairs"
    lookahead: ClassVar[int] = 1

    def __call__(self, example: Example) -> tuple[Example, Any, Any]:
        ids, mask = example["token_ids"], example["padding_mask"]
        weight = mask[:, 1:] & example["valid"][:, tf.newaxis]
        x = {"images": example["image"], "token_ids": ids[:, :-1], "padding_mask": mask[:, :-1]}
        return x, ids[:, 1:], tf.cast(weight, tf.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Image and text towers: match each image with its caption among those of the batch.

    An epoch visits each image once, with one of its captions; the next epoch takes the next one. So
    no batch holds two captions of one image. A batch is a dict:

      images: [b, H, W, 3], as `pixels` has it.
      token_ids: int32 [b, t].
      padding_mask: bool [b, t], True at real tokens; all False where the image is corrupt.
      image_id: int64 [b], equal for copies of a file.
    """

    permutes: ClassVar[Permutes] = "images"
    lookahead: ClassVar[int] = 0

    def __call__(self, example: Example) -> Example:
        return {
            "images": example["image"],
            "token_ids": example["token_ids"],
            "padding_mask": example["padding_mask"] & example["valid"][:, tf.newaxis],
            "image_id": example["image_id"],
        }


Task = Captioning | Retrieval

TASKS: dict[str, Task] = {"captioning": Captioning(), "retrieval": Retrieval()}
