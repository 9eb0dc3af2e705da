"""Image files -> thumbnails."""

import base64
import dataclasses
import io
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from mmdata.files.limits import MAX_PIXELS
from mmdata.images.decode import decode

_JPEG = b"\xff\xd8"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A picture for an HTML page.

    Attributes:
      source: A data URL.
      width, height: In pixels.
    """

    source: str
    width: int
    height: int


def thumbnail(open_image: Callable[[], BinaryIO], side: int) -> Thumbnail | None:
    """The image, upright, at most `side` pixels high and wide; None if it cannot be decoded."""
    image = picture(open_image, 2 * side)
    if image is None:
        return None
    image.thumbnail((side, side))
    return _encoded(image, quality=70)


def picture(open_image: Callable[[], BinaryIO], side: int) -> Image.Image | None:
    """The image, upright, RGB, on white; None if Pillow cannot decode it, e.g. a JPEG XL.

    Args:
      open_image: Opens the file; this function closes it.
      side: A JPEG is decoded at a smaller size, if both sides still have this many pixels.
    """
    try:
        with open_image() as file:
            is_jpeg = file.read(len(_JPEG)) == _JPEG
            file.seek(0)
            if not is_jpeg:
                return Image.fromarray(decode(file))
            with JpegImageFile(file) as image:
                if image.width * image.height > MAX_PIXELS:
                    return None
                image.draft("RGB", (side, side))
                return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, SyntaxError, struct.error):
        return None


def exact(pixels: NDArray[np.uint8]) -> Thumbnail:
    """The pixels [h, w, 3], unchanged (lossless)."""
    return _encoded(Image.fromarray(pixels), lossless=True)


def _encoded(image: Image.Image, **options: Any) -> Thumbnail:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", **options)
    content = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Thumbnail(
        source=f"data:image/webp;base64,{content}", width=image.width, height=image.height
    )
