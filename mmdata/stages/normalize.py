"""uint8 pixels -> the numbers that a model was trained with."""

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from mmdata.example import Example
from mmdata.settings import as_dict
from mmdata.stages.checks import require_one_of

_Triple = tuple[float, float, float]


def _standardize(mean: _Triple, std: _Triple) -> Callable[[Any], Any]:
    """Makes a function (image - mean) / std, per channel, for float32 images [..., W, 3]."""

    def standardize(image: Any) -> Any:
        # Rows as vectors: broadcasting along an axis of 3 is seven times as slow.
        shape = tf.shape(image)
        rows = tf.reshape(image, tf.concat([shape[:-2], [shape[-2] * 3]], axis=0))
        rows = (rows - tf.tile(mean, shape[-2:-1])) / tf.tile(std, shape[-2:-1])
        return tf.ensure_shape(tf.reshape(rows, shape), image.shape)

    return standardize


def _scaled(values: _Triple) -> _Triple:
    """Values that are published for pixels in 0..1 -> for 0..255."""
    red, green, blue = values
    return 255.0 * red, 255.0 * green, 255.0 * blue


_imagenet = _standardize(_scaled((0.485, 0.456, 0.406)), _scaled((0.229, 0.224, 0.225)))
_clip = _standardize(
    _scaled((0.48145466, 0.4578275, 0.40821073)), _scaled((0.26862954, 0.26130258, 0.27577711))
)
_minus_means = _standardize((103.939, 116.779, 123.68), (1.0, 1.0, 1.0))

_SCALES: dict[str, Callable[[Any], Any]] = {
    "raw": lambda image: image,
    "unit": lambda image: image / 255.0,
    "signed": lambda image: image / 127.5 - 1.0,
    "imagenet": _imagenet,
    "clip": _clip,
    "caffe": lambda image: _minus_means(tf.reverse(image, [-1])),
}

NORMALIZATIONS = (*_SCALES, "uint8")
"""The choices of `Normalize(to=...)`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Normalize:
    """Scales pixels to the range that a model expects.

    image: uint8 [..., H, W, 3], RGB, 0-255  ->  float32 [..., H, W, 3], or unchanged uint8

    Attributes:
      to: "unit" (0..1), "signed" (-1..1), "raw" (0..255), "imagenet" and "clip" (their mean and
        std), "caffe" (BGR minus ImageNet's means, as Keras' VGG16 and ResNet50), or "uint8".

    Raises:
      ValueError: `to` is not one of these.

    Source: mean and std of torchvision's ImageNet models, of OpenAI's CLIP `preprocess`, and of
    `keras.applications.imagenet_utils.preprocess_input(mode="caffe")`.
    """

    to: str

    to_dict = as_dict

    def __post_init__(self) -> None:
        require_one_of("Normalize(to=...)", self.to, NORMALIZATIONS)

    def __call__(self, example: Example) -> Example:
        if self.to == "uint8":
            return example
        return {**example, "image": _SCALES[self.to](tf.cast(example["image"], tf.float32))}
