"""Files -> pixels: decode, turn upright, resize."""

import dataclasses
import functools
import io
import re
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from PIL import Image

from mmdata.example import Example
from mmdata.headers import Format

_PLUMBING = re.compile(r"{{.*?}} | ?\[Op:.*?\]| name: .*")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decode:
    """Reads and decodes the image file at `path`, or in `content`, upright. Never fails.

    path: string []; or content: string [], the bytes of the file; format, orientation: int8 []
      ->  image: uint8 [h, w, 3], RGB, 0-255; valid: bool []; `content` goes

    A file that cannot be read or decoded, or whose format is UNKNOWN, gives one black pixel and
    `valid` False. Takes format and orientation from a scan; does not look for them. First frame of
    a GIF. Drops an alpha channel without compositing, and applies no colour profile.

    Attributes:
      plain: Promises that each file is a JPEG of orientation 1, which saves a branch in the graph.

    Source: equals Pillow bit for bit, by libjpeg's accurate integer DCT, tests/test_images.py; but
    16-bit gray is scaled where Pillow clips, and transparent pixels of a GIF may differ.
    """

    plain: bool = False

    def __call__(self, example: Example) -> Example:
        kind, orientation = example["format"], example["orientation"]
        is_read = "content" in example
        source = example["content" if is_read else "path"]
        if self.plain:
            image, valid = _attempt(_decode_jpeg, source, is_read)
        else:
            image, valid = tf.cond(
                tf.equal(kind, int(Format.JPEG)) & tf.equal(orientation, 1),
                lambda: _attempt(_decode_jpeg, source, is_read),
                lambda: _decode_and_turn(source, kind, orientation, is_read),
            )
        rest = {key: value for key, value in example.items() if key != "content"}
        return {**rest, "image": tf.ensure_shape(image, [None, None, 3]), "valid": valid}


def why_corrupt(content: bytes, kind: Format) -> str | None:
    """Decodes the bytes of an image file eagerly: what speaks against them, or None."""
    decode = {Format.JPEG: _decode_jpeg, Format.WEBP: _decode_webp}.get(kind, _decode_any)
    try:
        decode(content)
    except tf.errors.OpError as err:
        if _is_cut(content):
            return f"premature end of data after {len(content):,} bytes"
        return _PLUMBING.sub("", str(err.message))
    return None


def _is_cut(content: bytes) -> bool:
    """Whether an image ends before its end, as its container or Pillow says."""
    if content.startswith(b"RIFF"):
        return len(content) < 8 + int.from_bytes(content[4:8], "little")
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except OSError as err:
        return "truncated" in str(err)
    except (ValueError, SyntaxError, Image.DecompressionBombError):
        pass
    return False


def _decode_jpeg(content: Any) -> Any:
    return tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")


def _decode_webp(content: Any) -> Any:
    return tf.io.decode_webp(content, channels=0)[0, :, :, :3]


def _decode_any(content: Any) -> Any:
    return tf.io.decode_image(content, channels=3, expand_animations=False)


def _attempt(decode: Callable[[Any], Any], source: Any, is_read: bool) -> tuple[Any, Any]:
    """An image and True; or, where reading or `decode` fails, a black pixel and False.

    A graph cannot catch an error, but a dataset can pass over the elements that raise one.
    """

    def succeed(source: Any) -> tuple[Any, bool]:
        content = source if is_read else tf.io.read_file(source)
        return tf.ensure_shape(decode(content), [None, None, 3]), True

    decoded = tf.data.Dataset.from_tensors(source).map(succeed).ignore_errors()
    blank = tf.data.Dataset.from_tensors(_black())
    image, valid = decoded.concatenate(blank).take(1).get_single_element()
    return tf.ensure_shape(image, [None, None, 3]), valid


def _black() -> tuple[Any, Any]:
    return tf.zeros([1, 1, 3], tf.uint8), tf.constant(False)


# Inlined, this branch would cost even where it is not taken: a graph visits each of its nodes.
@functools.partial(tf.function, autograph=False, experimental_attributes={"_noinline": True})
def _decode_and_turn(source: Any, kind: Any, orientation: Any, is_read: bool) -> Any:
    image, valid = tf.case(
        [
            (tf.equal(kind, int(Format.JPEG)), lambda: _attempt(_decode_jpeg, source, is_read)),
            (tf.equal(kind, int(Format.WEBP)), lambda: _attempt(_decode_webp, source, is_read)),
            (tf.equal(kind, int(Format.UNKNOWN)), _black),
        ],
        default=lambda: _attempt(_decode_any, source, is_read),
    )
    return _turn_upright(image, orientation), valid


def _turn_upright(image: Any, orientation: Any) -> Any:
    """Undoes an EXIF orientation, 1-8. Source: Exif 2.32, tag 0x0112."""
    turns = [
        lambda: image,
        lambda: tf.reverse(image, [1]),
        lambda: tf.reverse(image, [0, 1]),
        lambda: tf.reverse(image, [0]),
        lambda: tf.transpose(image, [1, 0, 2]),
        lambda: tf.image.rot90(image, 3),
        lambda: tf.transpose(tf.reverse(image, [0, 1]), [1, 0, 2]),
        lambda: tf.image.rot90(image, 1),
    ]
    return tf.switch_case(tf.cast(orientation, tf.int32) - 1, turns)


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
