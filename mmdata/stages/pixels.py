"""uint8 pixels -> the numbers a model was trained on."""

import dataclasses

import tensorflow as tf

from mmdata.example import Example


@dataclasses.dataclass(frozen=True)
class _Preset:
    """(pixel - mean) / std, with 0-255 pixels; `bgr` reverses the channels first."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    bgr: bool = False


def _of_unit(mean: tuple[float, ...], std: tuple[float, ...]) -> _Preset:
    """The preset whose mean and std are published for pixels in 0..1."""
    (a, b, c), (d, e, f) = mean, std
    return _Preset((255 * a, 255 * b, 255 * c), (255 * d, 255 * e, 255 * f))


_PRESETS = {
    "raw": _Preset((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "unit": _Preset((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
    "signed": _Preset((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "imagenet": _of_unit((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": _of_unit((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "caffe": _Preset((103.939, 116.779, 123.68), (1.0, 1.0, 1.0), bgr=True),
}

NORMALIZATIONS = (*_PRESETS, "uint8")
"""The names that `Normalize` knows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Normalize:
    """Scales pixels to the range that a model expects.

    image: uint8 [..., H, W, 3], RGB, 0-255  ->  float32 [..., H, W, 3], or uint8 as it is

    Attributes:
      to: "unit" (0..1), "signed" (-1..1), "raw" (0..255), "imagenet" and "clip" (their mean and
        std), "caffe" (BGR minus ImageNet's means, as Keras' VGG16 and ResNet50), or "uint8".

    Raises:
      ValueError: `to` is not one of these.

    Source: mean and std of torchvision's ImageNet models, of OpenAI's CLIP `preprocess`, and of
    `keras.applications.imagenet_utils.preprocess_input(mode="caffe")`.
    """

    to: str

    def __post_init__(self) -> None:
        if self.to not in NORMALIZATIONS:
            raise ValueError(
                f"Normalize(to=...) must be one of {list(NORMALIZATIONS)}; got {self.to!r}."
            )

    def __call__(self, example: Example) -> Example:
        if self.to == "uint8":
            return example
        preset = _PRESETS[self.to]
        image = tf.cast(example["image"], tf.float32)
        image = tf.reverse(image, [-1]) if preset.bgr else image
        return {**example, "image": (image - preset.mean) / preset.std}
