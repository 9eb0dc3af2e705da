"""Files -> pixels: decode, turn upright, resize."""

import dataclasses
from typing import Any

import tensorflow as tf

from mmdata.example import Example
from mmdata.headers import Format


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decode:
    """Reads and decodes the image file at `path`, upright.

    path: string [], format: int8 [], orientation: int8 []  ->  image: uint8 [h, w, 3], RGB, 0-255

    Takes format and orientation from a scan; does not look for them. First frame of a GIF. Drops an
    alpha channel without compositing, and applies no colour profile.

    Raises:
      tf.errors.OpError: The file cannot be read, is no image, is cut short, or `format` is UNKNOWN.

    Source: equals Pillow bit for bit, by libjpeg's accurate integer DCT, tests/test_images.py.
    """

    def __call__(self, example: Example) -> Example:
        content = tf.io.read_file(example["path"])
        known = tf.debugging.Assert(
            tf.not_equal(example["format"], tf.cast(Format.UNKNOWN, tf.int8)),
            ["not an image that can be decoded:", example["path"]],
        )
        with tf.control_dependencies([known]):
            content = tf.identity(content)
        image = tf.switch_case(
            tf.cast(example["format"], tf.int32),
            {
                int(Format.JPEG): lambda: _decode_jpeg(content),
                int(Format.WEBP): lambda: _decode_webp(content),
            },
            default=lambda: _decode_any(content),
        )
        return {**example, "image": _turn_upright(image, example["orientation"])}


def _decode_jpeg(content: Any) -> Any:
    return tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")


def _decode_webp(content: Any) -> Any:
    return tf.io.decode_webp(content, channels=0)[0, :, :, :3]


def _decode_any(content: Any) -> Any:
    return tf.io.decode_image(content, channels=3, expand_animations=False)


def _turn_upright(image: Any, orientation: Any) -> Any:
    """Undoes an EXIF orientation. Source: Exif 2.32, tag 0x0112."""
    image = tf.ensure_shape(image, [None, None, 3])
    turned = [
        lambda: image,
        lambda: tf.reverse(image, [1]),
        lambda: tf.reverse(image, [0, 1]),
        lambda: tf.reverse(image, [0]),
        lambda: tf.transpose(image, [1, 0, 2]),
        lambda: tf.image.rot90(image, 3),
        lambda: tf.transpose(tf.reverse(image, [0, 1]), [1, 0, 2]),
        lambda: tf.image.rot90(image, 1),
    ]
    upright = tf.switch_case(tf.cast(orientation, tf.int32) - 1, turned)
    return tf.ensure_shape(upright, [None, None, 3])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resize:
    """Resizes `image` to a fixed size, antialiased as Pillow does.

    image: uint8 [h, w, 3], RGB, 0-255  ->  uint8 [H, W, 3], RGB, 0-255

    Does not keep the aspect ratio, and does not normalize.

    Attributes:
      size: (H, W) in pixels, both >= 1.

    Raises:
      ValueError: `size` is not two positive ints.

    Source: Pillow `Image.resize` with BILINEAR; differs by at most 1 grey level,
    tests/test_images.py.
    """

    size: tuple[int, int]

    def __post_init__(self) -> None:
        valid = isinstance(self.size, tuple) and len(self.size) == 2
        if not valid or not all(isinstance(side, int) and side >= 1 for side in self.size):
            raise ValueError(
                "Resize(size=...) must be two positive ints (height, width); "
                f"got size={self.size!r}."
            )

    def __call__(self, example: Example) -> Example:
        height, width = self.size
        turned = tf.transpose(_shrink_rows(example["image"], height), [1, 0, 2])
        image = tf.transpose(_shrink_rows(turned, width), [1, 0, 2])
        rounded = tf.clip_by_value(tf.round(image), 0.0, 255.0)
        return {**example, "image": tf.ensure_shape(tf.cast(rounded, tf.uint8), [*self.size, 3])}


def _shrink_rows(image: Any, height: int) -> Any:
    """Resizes the first axis: [h, w, 3] -> float32 [height, w, 3].

    Seen as one column of pixels with w * 3 channels, for which the kernel runs along whole rows;
    along columns it would go pixel by pixel.
    """
    rows, columns = tf.shape(image)[0], tf.shape(image)[1]
    resized = tf.raw_ops.ScaleAndTranslate(
        images=tf.reshape(image, [1, rows, 1, columns * 3]),
        size=[height, 1],
        scale=[tf.cast(height / rows, tf.float32), 1.0],
        translation=[0.0, 0.0],
        kernel_type="triangle",
        antialias=True,
    )
    return tf.reshape(resized, [height, columns, 3])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Load:
    """Decodes and resizes the image at `path`; one that fails is blank, and keeps its place.

    path: string [], format: int8 [], orientation: int8 []
      ->  image: uint8 [H, W, 3], RGB, 0-255; valid: bool [], False where `image` is blank

    Attributes:
      size: (H, W) in pixels, both >= 1.

    Raises:
      ValueError: `size` is not two positive ints.
    """

    size: tuple[int, int]

    def __post_init__(self) -> None:
        Resize(size=self.size)

    def __call__(self, example: Example) -> Example:
        file = {name: example[name] for name in ("path", "format", "orientation")}
        decoded = tf.data.Dataset.from_tensors(file).map(self._decode).ignore_errors()
        blank = tf.data.Dataset.from_tensors((tf.zeros([*self.size, 3], tf.uint8), False))
        image, valid = decoded.concatenate(blank).take(1).get_single_element()
        return {**example, "image": image, "valid": valid}

    def _decode(self, file: Example) -> tuple[Any, Any]:
        return Resize(size=self.size)(Decode()(file))["image"], True
