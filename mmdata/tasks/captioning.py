"""Tasks of models that generate captions."""

import dataclasses
from typing import Any

import tensorflow as tf

from mmdata.example import Example
from mmdata.tasks.captioned import Captioned
from mmdata.tasks.columns import extra_columns, raw_text


@dataclasses.dataclass(frozen=True, kw_only=True)
class Captioning(Captioned):
    """Teacher forcing: predict each next token from the image and the tokens before it.

    An epoch visits each pair once, unless `captions` says otherwise; see `Captioned` for the
    fields. A batch is `({"images", "token_ids", "padding_mask"}, y, sample_weight)`:

      images: [b, H, W, 3], as `pixels` sets it.
      token_ids: int32 [b, t], beginning with the start token.
      padding_mask: int32 [b, t], 1 at real tokens, 0 at padding.
      y: int32 [b, t], `token_ids` shifted by one, up to the end token.
      sample_weight: float32 [b, t], the weight of the row (1 without weights) where y is a real
        token that follows a real token; 0 at padding or if the image is corrupt.

    With `text=None`, a batch is a dict of `images`, `captions` (string [b]) and, if rows have
    weights or corrupt images are allowed, `weight` (float32 [b], 0 if the image is corrupt).

    Source: the shapes of KerasHub's `CausalLMPreprocessor`.
    """

    lookahead = 1

    def __call__(self, example: Example) -> Any:
        if "token_ids" not in example:
            return raw_text(self, example)
        ids, mask = example["token_ids"], example["padding_mask"]
        weight = _weight(example, mask[:, :-1] * mask[:, 1:])
        x = {"images": example["image"], "token_ids": ids[:, :-1], "padding_mask": mask[:, :-1]}
        return x | extra_columns(self, example), ids[:, 1:], weight


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prefix(Captioned):
    r"""Answers to a prompt: predict the caption from the image and a text before the caption.

    A batch is that of `Captioning`, but its `token_ids` begin with the start token and the prompt.
    The prompt is never cut and not learned, so a model needs the prompt to generate a caption.
    `mmdata.Captioner` generates from the start token only, so it does not fit this task.
    There is one more feature, and other weights:

      response_mask: int32 [b, t], 1 at the tokens of the caption and at the end token. Prefix
        attention is bidirectional where it is 0.
      sample_weight: float32 [b, t], as in `Captioning`, and 0 where y belongs to the prompt.

    Attributes:
      prompt: Text before each caption, e.g. "caption en\n"; tokenized separately, and not cleaned.

    Raises:
      ValueError: `prompt` is not a text, or a field of `Captioned` is out of range.

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
        return x | extra_columns(self, example), ids[:, 1:], _weight(example, response[:, 1:])


def _weight(example: Example, counts: Any) -> Any:
    """The weight of each token: that of its row, or 0 if it does not count or is corrupt."""
    weight = tf.cast(counts, tf.float32) * tf.cast(example["valid"], tf.float32)[:, tf.newaxis]
    return weight * example["weight"][:, tf.newaxis] if "weight" in example else weight
