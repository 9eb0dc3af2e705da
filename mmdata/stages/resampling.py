"""Resizes uint8 images, antialiased as in Pillow, in two passes along whole rows."""

from typing import Any, Literal

import tensorflow as tf

Interpolation = Literal["bilinear", "bicubic"]

INTERPOLATIONS = ("bilinear", "bicubic")
"""The choices of `resample(interpolation=...)`."""


def resample(image: Any, size: Any, scale: Any, offset: Any, interpolation: Interpolation) -> Any:
    """Scales an image, moves it, and crops it to a frame, which is black where it has no pixels.

    On each axis, pixel y of the result shows position (y + 0.5 - offset) / scale - 0.5 of the
    image.

    Args:
      image: uint8 [h, w, 3].
      size: (H, W) of the frame: two ints, or int32 [2].
      scale: Factors for rows and columns, float32 [2].
      offset: Rows and columns, in pixels of the result, float32 [2].
      interpolation: "bilinear", or "bicubic" (a = -0.5).

    Returns:
      uint8 [H, W, 3].

    Between the passes the image is transposed as a matrix: this separates the channels, and is
    cheaper than keeping them together.

    Source: Pillow `Image.resize`; differs by at most 1 grey level, tests/stages/test_resize.py.
    Bicubic does the columns first and rounds between the passes, as Pillow up to version 12 does;
    later ones choose the order, so results differ where values are clipped.
    """
    height, width = size[0], size[1]
    if (
        interpolation == "bilinear"
    ):  # no overshoot: neither order nor rounding between passes matters
        rows = _along_rows(image, height, scale[0], offset[0], "triangle")
        by_column = tf.reshape(tf.transpose(rows), [-1, 3 * height])
        columns = _along_rows(by_column, width, scale[1], offset[1], "triangle")
        turned = tf.transpose(tf.reshape(columns, [width * 3, height]))
        return tf.cast(tf.reshape(turned, [height, width, 3]) + 0.5, tf.uint8)
    by_column = tf.transpose(image, [1, 0, 2])
    columns = _along_rows(by_column, width, scale[1], offset[1], "keyscubic")
    turned = tf.transpose(tf.reshape(_rounded(columns), [width, -1, 3]), [1, 0, 2])
    rows = _along_rows(turned, height, scale[0], offset[0], "keyscubic")
    return tf.reshape(_rounded(rows), [height, width, 3])


def _along_rows(image: Any, height: Any, scale: Any, offset: Any, kernel: str) -> Any:
    """Resamples the first axis: [h, ...] -> float32 [height, n], n numbers in each row.

    Treats the image as one column of pixels with n channels: so the op works along whole rows;
    along columns it would work pixel by pixel.
    """
    resized = tf.raw_ops.ScaleAndTranslate(
        images=tf.reshape(image, [1, tf.shape(image)[0], 1, -1]),
        size=[height, 1],
        scale=[scale, 1.0],
        translation=[offset, 0.0],
        kernel_type=kernel,
        antialias=True,
    )
    return tf.reshape(resized, [height, -1])


def _rounded(image: Any) -> Any:
    return tf.cast(tf.clip_by_value(image + 0.5, 0.0, 255.0), tf.uint8)
