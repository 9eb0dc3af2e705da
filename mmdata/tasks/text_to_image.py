"""The task of models that generate images from captions."""

import dataclasses

import tensorflow as tf

from mmdata.example import Example, Stage
from mmdata.tasks.captioned import Captioned
from mmdata.tasks.columns import extra_columns, raw_text


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextToImage(Captioned):
    """A caption and the image to generate, to train diffusion models.

    An epoch visits each pair once, unless `captions` says otherwise; see `Captioned` for the
    fields. `dropout` is for classifier-free guidance. Does not add noise. A batch is a dict:

      images: float32 [b, H, W, 3], -1 to 1.
      token_ids: int32 [b, t].
      padding_mask: int32 [b, t], 1 at real tokens, 0 at padding.
      weight: float32 [b], if rows have weights or corrupt images are allowed: the weight of the
        row, 0 if the image is corrupt.

    With `text=None`, `captions` (string [b]) replaces `token_ids` and `padding_mask`.

    Source: Ho and Salimans 2022, "Classifier-Free Diffusion Guidance", arXiv:2207.12598.
    """

    def check(
        self, *, normalize: str, text_buckets: tuple[int, ...], augment: tuple[Stage, ...]
    ) -> None:
        """Raises a ValueError if the range of pixels is not -1 to 1."""
        super().check(normalize=normalize, text_buckets=text_buckets, augment=augment)
        if normalize != "signed":
            raise ValueError(
                'task=TextToImage(...) takes pixels from -1 to 1, pixels="signed"; got '
                f"pixels={normalize!r}."
            )

    def __call__(self, example: Example) -> Example:
        if "token_ids" not in example:
            return raw_text(self, example)
        batch = {name: example[name] for name in ("token_ids", "padding_mask")}
        batch["images"] = example["image"]
        if "weight" in example:
            batch["weight"] = example["weight"] * tf.cast(example["valid"], tf.float32)
        return batch | extra_columns(self, example)
