"""Image files -> RGB pixels, by Pillow: formats that TensorFlow does not decode. Thread-safe."""

import contextlib
import io
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile

from mmdata.files.limits import MAX_PIXELS
from mmdata.files.pillow import opened, turn_of

_GREY = frozenset({"1", "L", "LA", "La"})
_STEPS = {"1": 255, "L;2": 85, "L;4": 17}
_KEPT = frozenset({"CMYK", "LAB"})
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(
    content: bytes | BinaryIO, background: tuple[int, int, int] = (255, 255, 255)
) -> NDArray[np.uint8]:
    """Decodes the first frame of an image file: uint8 [h, w, 3], sRGB, upright.

    Applies the colour profile and the EXIF orientation. Scales 16-bit grey to 8 bits, instead of
    clipping it. Does not read JPEG or JPEG XL.

    Args:
      content: The file, or its bytes.
      background: RGB colour behind transparent pixels, 0-255.

    Raises:
      ValueError: The content cannot be decoded; the message says why.
    """
    file = io.BytesIO(content if isinstance(content, bytes) else content.read())
    try:
        with opened(file) as image:
            return np.asarray(_decode(image, background))
    except ImportError as err:
        raise ValueError(str(err)) from err


def of_picture(
    picture: Image.Image, background: tuple[int, int, int] = (255, 255, 255)
) -> NDArray[np.uint8]:
    """Converts a Pillow image: uint8 [h, w, 3], RGB, upright.

    As TensorFlow decodes its file: applies the EXIF orientation, and not the colour profile.

    Args:
      picture: An image of any mode.
      background: RGB colour behind transparent pixels, 0-255.

    Raises:
      ValueError: The image cannot be decoded, or its pixels have no range.
    """
    try:
        return np.asarray(_decode(picture, background, profiled=False))
    except OSError as err:
        raise ValueError(f"not a readable image ({err})") from err


def _decode(
    image: Image.Image, background: tuple[int, int, int], *, profiled: bool = True
) -> Image.Image:
    width, height = size = image.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"{height} x {width} pixels, more than {MAX_PIXELS:,} in all")
    turn, key = turn_of(image), _key(image)  # a PNG may have other EXIF after its pixels
    profile = image.info.get("icc_profile") if profiled else None
    image.load()
    if image.size != size:  # possible in damaged HEIF
        raise ValueError(f"{image.height} x {image.width} pixels, and its header says another size")
    colour, alpha = _split(image, key)
    picture = _to_srgb(colour, profile)
    if alpha is not None:
        canvas = Image.new("RGB", picture.size, background)
        canvas.paste(picture, mask=alpha)
        picture = canvas
    return picture.transpose(_TURNS[turn]) if turn in _TURNS else picture


def _key(image: Image.Image) -> Any:
    """The transparent colour in the range of the pixels; Pillow leaves some as a PNG stores it."""
    key = image.info.get("transparency")
    if key is None or not isinstance(image, PngImageFile) or not image.tile:
        return key
    stored = image.tile[0][3]
    if stored in _STEPS:
        return min(key * _STEPS[stored], 255)
    return tuple(value >> 8 for value in key) if stored == "RGB;16B" else key


def _split(image: Image.Image, key: Any) -> tuple[Image.Image, Image.Image | None]:
    """Colour, of mode L, RGB, CMYK or LAB; and alpha, or None."""
    if image.mode.startswith("I;16") or (image.mode == "I" and isinstance(image, PpmImageFile)):
        values = np.asarray(image).astype(np.uint32)
        alpha = None if key is None else np.where(values == key, 0, 255).astype(np.uint8)
        grey = Image.fromarray(((values + 128) // 257).astype(np.uint8))
        return grey, None if alpha is None else Image.fromarray(alpha)
    if image.mode in ("I", "F"):
        raise ValueError("pixels of 32 bits have no range")
    if key is not None:
        image.info["transparency"] = key
    base = "L" if image.mode in _GREY else "RGB"
    if image.has_transparency_data:
        whole = image.convert(base + "A")
        return whole.convert(base), whole.getchannel("A")
    return (image if image.mode in _KEPT else image.convert(base)), None


def _to_srgb(colour: Image.Image, profile: bytes | None) -> Image.Image:
    if profile:
        # Ignore a profile that is damaged or for other channels.
        with contextlib.suppress(ImageCms.PyCMSError, OSError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            return ImageCms.buildTransform(source, srgb, colour.mode, "RGB").apply(colour)
    return colour.convert("RGB")
