"""Image files -> RGB pixels, by TensorFlow: decode, blend alpha on a background, turn upright."""

import dataclasses
import functools
import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from mmdata.example import Example
from mmdata.files.headers import Format
from mmdata.images import decode as pillow
from mmdata.settings import as_dict
from mmdata.stages.resize import WHITE, Rgb, require_color

_GRAPH_DETAILS = re.compile(r"{{.*?}} | ?\[Op:.*?\]| name: .*")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decode:
    """Reads and decodes an image file, from `path` or `content`, and turns it upright.

    path: string []; content: string [], the bytes of the file; if "" or absent, `path` is read;
    format, orientation: int8 []; ratio: int8 [], if `fast`
      ->  image: uint8 [h, w, 3], RGB, 0-255; valid: bool []; removes `content`

    A file that cannot be read or decoded, or whose format is UNKNOWN or PILLOW, gives one black
    pixel and `valid` False, but see `strict`. Format and orientation come from a scan and are not
    checked. Decodes the first frame of a GIF; scales 16 bits to 8. Applies no colour profile.

    Attributes:
      background: RGB colour behind transparent pixels, 0-255.
      fast: Decodes a JPEG at 1/`ratio` (1, 2, 4 or 8) of its height and width.
      plain: Promises that each file is a JPEG of orientation 1, or UNKNOWN; makes the graph
        smaller.
      strict: Raises if a file cannot be read or decoded; catching the error costs a tenth more.

    Raises:
      ValueError: `background` is not a colour.
      tf.errors.OpError: A file cannot be read or decoded, and `strict` is set.

    Source: JPEG equals Pillow bit for bit, by libjpeg's accurate integer DCT; every other format
    within 1 grey level, tests/images/test_formats.py.
    """

    background: Rgb = WHITE
    fast: bool = False
    plain: bool = False
    strict: bool = False

    to_dict = as_dict

    def __post_init__(self) -> None:
        require_color("Decode(background=...)", self.background)

    def __call__(self, example: Example) -> Example:
        kind, orientation = example["format"], example["orientation"]
        keys = ("path", "content", "ratio") if self.fast else ("path", "content")
        file = {key: example[key] for key in keys if key in example}
        run = _decode_or_raise if self.strict else _decode_or_blank
        image, valid = tf.cond(
            tf.equal(kind, int(Format.JPEG)) & (self.plain or tf.equal(orientation, 1)),
            lambda: run(_decode_jpeg, file),
            _black
            if self.plain
            else lambda: _decode_and_turn(run, file, kind, orientation, self.background),
        )
        rest = {key: value for key, value in example.items() if key != "content"}
        image.set_shape([None, None, 3])
        return {**rest, "image": image, "valid": valid}


def decode_eagerly(content: bytes, kind: Format) -> NDArray[np.uint8]:
    """The pixels that the decoder of a format gives, as stored: uint8 [h, w, 1 to 4].

    Raises:
      tf.errors.OpError, ValueError: The image cannot be decoded.
    """
    if kind == Format.PILLOW:
        return pillow.decode(content)
    is_jpeg = kind == Format.JPEG
    image = _decode_jpeg({"content": content}) if is_jpeg else _DECODERS[kind](content)
    pixels: NDArray[np.uint8] = image.numpy()
    return pixels


def why_corrupt(content: bytes, kind: Format) -> str | None:
    """Decodes the bytes of an image file eagerly; returns why this fails, or None."""
    try:
        decode_eagerly(content, kind)
    except tf.errors.OpError as err:
        if _is_cut(content):
            return f"premature end of data after {len(content):,} bytes"
        return _GRAPH_DETAILS.sub("", str(err.message))
    except ValueError as err:
        return str(err)
    return None


def _is_cut(content: bytes) -> bool:
    """Whether the file is truncated, according to its container or to Pillow."""
    if content.startswith(b"RIFF"):
        return len(content) < 8 + int.from_bytes(content[4:8], "little")
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except Exception as err:  # plugins that a user registers may raise anything
        return "truncated" in str(err)
    return False


def _decode_jpeg(file: Example) -> Any:
    def decode(ratio: int) -> Any:
        return tf.io.decode_jpeg(
            file["content"], channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE"
        )

    if "ratio" not in file:
        return decode(1)
    ratios = [(tf.equal(file["ratio"], n), functools.partial(decode, n)) for n in (8, 4, 2)]
    return tf.case(ratios, default=functools.partial(decode, 1))


_DECODERS: dict[Format, Callable[[Any], Any]] = {
    Format.WEBP: lambda content: tf.io.decode_webp(content, channels=0)[0],
    Format.PNG: tf.io.decode_png,
    Format.GIF: functools.partial(tf.io.decode_image, channels=3, expand_animations=False),
    Format.BMP: functools.partial(tf.io.decode_bmp, channels=3),
    Format.JXL: tf.io.decode_jxl,
}
"""Bytes -> uint8 [h, w, c]: gray, gray and alpha, RGB, or RGB and alpha."""


_Run = Callable[[Callable[[Example], Any], Example], tuple[Any, Any]]


def _decode_or_raise(decode: Callable[[Example], Any], file: Example) -> tuple[Any, Any]:
    """Returns an image and True; raises if reading or `decode` fails."""
    return decode({**file, "content": _content(file)}), tf.constant(True)


def _decode_or_blank(decode: Callable[[Example], Any], file: Example) -> tuple[Any, Any]:
    """Returns an image and True; if reading or `decode` fails, a black pixel and False.

    A graph cannot catch an error, but a dataset can skip the elements that raise one.
    """
    decoded = tf.data.Dataset.from_tensors(file).map(lambda file: _decode_or_raise(decode, file))
    blank = tf.data.Dataset.from_tensors(_black())
    image, valid = decoded.ignore_errors().concatenate(blank).take(1).get_single_element()
    return image, valid


def _content(file: Example) -> Any:
    if "content" not in file:
        return tf.io.read_file(file["path"])
    if "path" not in file:
        return file["content"]
    content = file["content"]
    return tf.cond(tf.equal(content, ""), lambda: tf.io.read_file(file["path"]), lambda: content)


def _black() -> tuple[Any, Any]:
    return tf.zeros([1, 1, 3], tf.uint8), tf.constant(False)


# If inlined, this branch would cost even if it is not taken: a graph visits each of its nodes.
@functools.partial(tf.function, autograph=False, experimental_attributes={"_noinline": True})
def _decode_and_turn(run: _Run, file: Example, kind: Any, orientation: Any, background: Rgb) -> Any:
    def running(decode: Callable[[Any], Any]) -> Callable[[], Any]:
        return lambda: run(lambda e: _on_background(decode(e["content"]), background), file)

    formats = [(tf.equal(kind, int(f)), running(decode)) for f, decode in _DECODERS.items()]
    jpeg = (tf.equal(kind, int(Format.JPEG)), lambda: run(_decode_jpeg, file))
    image, valid = tf.case([jpeg, *formats], default=_black)
    return _turn_upright(image, orientation), valid


def _on_background(image: Any, background: Rgb) -> Any:
    """Converts 1 to 4 channels to RGB: uint8 [h, w, c] -> uint8 [h, w, 3]."""
    if image.shape[-1] == 3:
        return image
    behind = tf.constant(background, tf.float32)

    def blend() -> Any:
        pixels = tf.cast(image, tf.float32)
        colors, alpha = pixels[..., :-1], pixels[..., -1:] / 255.0
        return tf.cast(tf.round(behind + (colors - behind) * alpha), tf.uint8)

    channels = tf.shape(image)[-1]
    return tf.switch_case(
        channels - 1,
        [lambda: tf.repeat(image, 3, axis=-1), blend, lambda: image, blend],
    )


def _turn_upright(image: Any, orientation: Any) -> Any:
    """Undoes an EXIF orientation, 1-8. Source: Exif 2.32, tag 0x0112."""
    turns = [
        lambda: image,
        lambda: tf.reverse(image, [1]),
        lambda: tf.reverse(image, [0, 1]),
        lambda: tf.reverse(image, [0]),
        lambda: tf.transpose(image, [1, 0, 2]),
        lambda: tf.transpose(tf.reverse(image, [0]), [1, 0, 2]),
        lambda: tf.transpose(tf.reverse(image, [0, 1]), [1, 0, 2]),
        lambda: tf.transpose(tf.reverse(image, [1]), [1, 0, 2]),
    ]
    return tf.switch_case(tf.cast(orientation, tf.int32) - 1, turns)
