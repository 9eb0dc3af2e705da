"""Files -> pixels: decode, turn upright."""

import dataclasses
import functools
import io
import re
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from PIL import Image

from mmdata.example import Example
from mmdata.files.headers import Format
from mmdata.images import decode as pillow
from mmdata.settings import as_dict
from mmdata.stages.resize import WHITE, Rgb, require_color

_PLUMBING = re.compile(r"{{.*?}} | ?\[Op:.*?\]| name: .*")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decode:
    """Reads and decodes the image file at `path`, or in `content`, upright.

    path: string []; content: string [], the bytes of the file, "" or absent where they are to be
    read from `path`; format, orientation: int8 []; ratio: int8 [], if `fast`
      ->  image: uint8 [h, w, 3], RGB, 0-255; valid: bool []; `content` goes

    A file that cannot be read or decoded, or whose format is UNKNOWN or PILLOW, gives one black
    pixel and `valid` False, but see `strict`. Takes format and orientation from a scan; does not
    look for them. First frame of a GIF; 16 bits are scaled to 8. Applies no colour profile.

    Attributes:
      background: RGB behind transparent pixels, 0-255.
      fast: Decodes a JPEG at 1/`ratio` (1, 2, 4 or 8) of its height and width.
      plain: Promises that each file is a JPEG of orientation 1, or UNKNOWN, which saves branches in
        the graph.
      strict: Fails where a file cannot be read or decoded: being ready for it costs a tenth more.

    Raises:
      ValueError: `background` is no colour.
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
        run = _insist if self.strict else _attempt
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


def why_corrupt(content: bytes, kind: Format) -> str | None:
    """Decodes the bytes of an image file eagerly: what speaks against them, or None."""
    try:
        if kind == Format.PILLOW:
            pillow.decode(content)
        elif kind == Format.JPEG:
            _decode_jpeg({"content": content})
        else:
            _DECODERS[kind](content)
    except tf.errors.OpError as err:
        if _is_cut(content):
            return f"premature end of data after {len(content):,} bytes"
        return _PLUMBING.sub("", str(err.message))
    except ValueError as err:
        return str(err)
    return None


def _is_cut(content: bytes) -> bool:
    """Whether an image ends before its end, as its container or Pillow says."""
    if content.startswith(b"RIFF"):
        return len(content) < 8 + int.from_bytes(content[4:8], "little")
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except Exception as err:  # whatever plugins the user has registered may raise
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


def _insist(decode: Callable[[Example], Any], file: Example) -> tuple[Any, Any]:
    """An image and True; or an error."""
    return decode({**file, "content": _content(file)}), tf.constant(True)


def _attempt(decode: Callable[[Example], Any], file: Example) -> tuple[Any, Any]:
    """An image and True; or, where reading or `decode` fails, a black pixel and False.

    A graph cannot catch an error, but a dataset can pass over the elements that raise one.
    """
    decoded = tf.data.Dataset.from_tensors(file).map(lambda file: _insist(decode, file))
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


# Inlined, this branch would cost even where it is not taken: a graph visits each of its nodes.
@functools.partial(tf.function, autograph=False, experimental_attributes={"_noinline": True})
def _decode_and_turn(run: _Run, file: Example, kind: Any, orientation: Any, background: Rgb) -> Any:
    def running(decode: Callable[[Any], Any]) -> Callable[[], Any]:
        return lambda: run(lambda e: _on_background(decode(e["content"]), background), file)

    formats = [(tf.equal(kind, int(f)), running(decode)) for f, decode in _DECODERS.items()]
    jpeg = (tf.equal(kind, int(Format.JPEG)), lambda: run(_decode_jpeg, file))
    image, valid = tf.case([jpeg, *formats], default=_black)
    return _turn_upright(image, orientation), valid


def _on_background(image: Any, background: Rgb) -> Any:
    """Gives 1 to 4 channels their 3: uint8 [h, w, c] -> uint8 [h, w, 3]."""
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
