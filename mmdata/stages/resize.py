"""Images of any size -> images of one size."""

import dataclasses
from typing import Any, Literal, get_args

import tensorflow as tf

from mmdata.example import Example
from mmdata.settings import as_dict
from mmdata.stages.checks import require_one_of
from mmdata.stages.resampling import INTERPOLATIONS, Interpolation, resample

Fit = Literal["stretch", "crop", "pad"]
Size = tuple[int, int]
Rgb = tuple[int, int, int]

WHITE: Rgb = (255, 255, 255)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resize:
    """Resizes `image`, antialiased as Pillow does.

    image: uint8 [h, w, 3], RGB, 0-255; size: int32 [2], if the field is None; upright: int32 [2],
    height and width of the whole image, if it was decoded at a smaller size
      ->  image: uint8 [H, W, 3], RGB, 0-255

    Does not normalize. Keeps the aspect ratio only by cropping or padding.

    Attributes:
      size: (H, W) in pixels, both >= 1; None means the feature `size` of each example.
      fit: "stretch"; "crop" covers the size and cuts off the rest, equally on both sides; "pad"
        fits the whole image in, and fills the rest with `background`.
      interpolation: "bilinear" or "bicubic".
      background: RGB of the padding, 0-255.
      max_crop: Maximum share of an image that "crop" cuts off, 0 to 1; an image that would lose
        more is made smaller and padded.

    Raises:
      ValueError: A field is invalid.

    Source: Pillow `Image.resize`, `ImageOps.pad`; "crop" counts its pixels as torchvision's
    `Resize(n)` and `CenterCrop(n)`. Differs by at most 1 grey level, tests/stages/test_resize.py.
    """

    size: Size | None
    fit: Fit = "stretch"
    interpolation: Interpolation = "bilinear"
    background: Rgb = WHITE
    max_crop: float = 1.0

    to_dict = as_dict

    def __post_init__(self) -> None:
        if self.size is not None:
            require_size("Resize(size=...)", "size", self.size)
        require_color("Resize(background=...)", self.background)
        require_one_of("Resize(fit=...)", self.fit, get_args(Fit))
        require_one_of("Resize(interpolation=...)", self.interpolation, INTERPOLATIONS)
        if not (isinstance(self.max_crop, (int, float)) and 0 <= self.max_crop <= 1):
            raise ValueError(
                f"Resize(max_crop=...) must be a share from 0 to 1; got {self.max_crop!r}."
            )

    def __call__(self, example: Example) -> Example:
        image = example["image"]
        size = example["size"] if self.size is None else self.size
        shape = tf.shape(image)[:2]
        if self.fit == "stretch":
            scale = tf.cast(size, tf.float32) / tf.cast(shape, tf.float32)
            resized = resample(image, size, scale, (0.0, 0.0), self.interpolation)
        else:
            fitted = self._fitted(example.get("upright", shape), size)
            resized = self._fit_in(image, shape, size, fitted)
        resized.set_shape([*(self.size or (None, None)), 3])
        return {**example, "image": resized}

    def _fit_in(self, image: Any, shape: Any, size: Any, fitted: Any) -> Any:
        scale = tf.cast(fitted / shape, tf.float32)
        offset = tf.cast(_half(size - fitted), tf.float32)
        resized = resample(image, size, scale, offset, self.interpolation)
        if self.fit == "crop" and self.max_crop == 1:
            return resized
        return self._on_background(resized, fitted, offset)

    def _fitted(self, shape: Any, size: Any) -> Any:
        """Height and width of the whole image, scaled to the result, int32 [2]."""
        size, shape = tf.cast(size, tf.float64), tf.cast(shape, tf.float64)
        if self.fit == "pad":
            sides = tf.round(shape * tf.reduce_min(size / shape))
        else:
            scale = tf.reduce_max(size / shape)
            if self.max_crop < 1:
                scale = tf.minimum(scale, tf.reduce_min(size / shape) / (1 - self.max_crop))
            sides = tf.floor(shape * scale + 1e-6)
        return tf.cast(tf.maximum(sides, 1), tf.int32)

    def _on_background(self, image: Any, fitted: Any, offset: Any) -> Any:
        """Fills what is outside of the fitted image."""
        begin = tf.cast(offset, tf.int32)
        inside = [
            (begin[axis] <= tf.range(tf.shape(image)[axis]))
            & (tf.range(tf.shape(image)[axis]) < begin[axis] + fitted[axis])
            for axis in (0, 1)
        ]
        covered = inside[0][:, tf.newaxis, tf.newaxis] & inside[1][:, tf.newaxis]
        return tf.where(covered, image, tf.constant(self.background, tf.uint8))


@dataclasses.dataclass(frozen=True, kw_only=True)
class CenterCrop:
    """Crops the centre of `image`.

    image: uint8 [h, w, 3]  ->  uint8 [H, W, 3]

    Attributes:
      size: (H, W) in pixels, at most those of the image.

    Raises:
      ValueError: `size` is not two positive ints.
    """

    size: Size

    to_dict = as_dict

    def __post_init__(self) -> None:
        require_size("CenterCrop(size=...)", "size", self.size)

    def __call__(self, example: Example) -> Example:
        image = example["image"]
        top, left = tf.unstack(tf.cast(_half(tf.shape(image)[:2] - self.size), tf.int32))
        height, width = self.size
        return {**example, "image": image[top : top + height, left : left + width]}


def _half(pixels: Any) -> Any:
    """Half of a number of pixels, rounded to even, as in torchvision and Pillow."""
    return tf.round(pixels / 2)


def require_size(what: str, name: str, size: object) -> None:
    """Raises a ValueError with the name `what` unless `size` is two positive ints."""
    valid = isinstance(size, tuple) and len(size) == 2
    if not valid or not all(isinstance(side, int) and side >= 1 for side in size):  # type: ignore[attr-defined]
        raise ValueError(f"{what} must be two positive ints (height, width); got {name}={size!r}.")


def size_of(what: str, size: object) -> Size:
    """Returns (height, width): one int is both. Raises a ValueError with the name `what`."""
    sides = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(sides) != 2 or not all(_is_side(side) for side in sides):
        raise ValueError(
            f"{what} must be one positive int, or two (height, width), in pixels; got {size!r}."
        )
    height, width = map(int, sides)
    return height, width


def _is_side(side: Any) -> bool:
    return not isinstance(side, bool) and hasattr(side, "__index__") and int(side) >= 1


def require_color(what: str, color: object) -> None:
    """Raises a ValueError with the name `what` unless `color` is RGB, 0-255."""
    valid = isinstance(color, tuple) and len(color) == 3
    if not valid or not all(isinstance(c, int) and 0 <= c <= 255 for c in color):  # type: ignore[attr-defined]
        raise ValueError(f"{what} must be three ints from 0 to 255 (RGB); got {color!r}.")
