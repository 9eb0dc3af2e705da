"""Models that write captions."""

import dataclasses
from typing import Any

import tensorflow as tf

from mmdata.example import Example
from mmdata.tasks.captioned import Captioned
from mmdata.tasks.columns import carried


@dataclasses.dataclass(frozen=True, kw_only=True)
class Captioning(Captioned):
    """Teacher forcing: predict each next token from the image and the tokens before it.

    An epoch visits each pair once, unless `captions` says otherwise; see `Captioned` for the
    fields. A batch is `({"images", "token_ids", "padding_mask"}, y, sample_weight)`:

      images: [b, H, W, 3], as `pixels` has it.
      token_ids: int32 [b, t], from the start token on.
      padding_mask: bool [b, t], True at real tokens.
      y: int32 [b, t], `token_ids` moved by one, up to the end token.
      sample_weight: float32 [b, t], the weight of the row, 1 where it has none, where y is a real
        token that follows one; 0 where it is padding or the image is corrupt.

    Source: the shapes of KerasHub's `CausalLMPreprocessor`.
    """

    lookahead = 1

    def __call__(self, example: Example) -> tuple[Example, Any, Any]:
        ids, mask = example["token_ids"], example["padding_mask"]
        weight = _weight(example, mask[:, :-1] & mask[:, 1:])
        x = {"images": example["image"], "token_ids": ids[:, :-1], "padding_mask": mask[:, :-1]}
        return x | carried(self, example), ids[:, 1:], weight


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prefix(Captioned):
    r"""Answers to a prompt: predict the caption from the image and a text that stands before it.

    A batch is that of `Captioning`, whose `token_ids` begin with the start token and the prompt;
    the prompt is never cut, and never learned, so a model has to be given it to write on:
    `mmdata.Captioner`, which writes from the start token alone, is not for this task.
    One feature more:

      response_mask: bool [b, t], True at the tokens of the caption and at the
        end token. Prefix attention sees all places where it is False at once.
      sample_weight: float32 [b, t], as of `Captioning`, and 0 where y belongs to the prompt.

    Attributes:
      prompt: What stands before each caption, e.g. "caption en\n"; tokenized by itself, and not
        cleaned.

    Raises:
      ValueError: `prompt` is no text, or a field of `Captioned` is out of range.

    Source: Beyer et al. 2024, "PaliGemma", arXiv:2407.07726, section 3.2.1; the shapes of
    KerasHub's `PaliGemmaCausalLMPreprocessor`.
    """

    prompt: str = dataclasses.field()  # required: no default of the base

    lookahead = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.prompt, str) or not self.prompt:
            raise ValueError(f"Prefix(prompt=...) must be a text; got {self.prompt!r}.")

    def __call__(self, example: Example) -> tuple[Example, Any, Any]:
        ids, mask, response = (
            example[name] for name in ("token_ids", "padding_mask", "response_mask")
        )
        x = {
            "images": example["image"],
            "token_ids": ids[:, :-1],
            "padding_mask": mask[:, :-1],
            "response_mask": response[:, :-1],
        }
        return x | carried(self, example), ids[:, 1:], _weight(example, response[:, 1:])


def _weight(example: Example, counts: Any) -> Any:
    """The weight of each token: that of its row where it counts and the image is there."""
    weight = tf.cast(counts & example["valid"][:, tf.newaxis], tf.float32)
    return weight * example["weight"][:, tf.newaxis] if "weight" in example else weight
