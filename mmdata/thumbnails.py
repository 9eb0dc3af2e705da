"""Images -> small pictures inside a page."""

import base64
import dataclasses
import io
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

_UNREADABLE = (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A picture as a page holds it.

    Attributes:
      source: A data URL.
      width, height: In pixels.
    """

    source: str
    width: int
    height: int


def thumbnail(open_image: Callable[[], BinaryIO], side: int) -> Thumbnail | None:
    """The image, upright, at most `side` pixels a side; None where it cannot be decoded."""
    try:
        with open_image() as file, Image.open(file) as picture:
            picture.draft("RGB", (2 * side, 2 * side))
            image = ImageOps.exif_transpose(picture).convert("RGB")
            image.thumbnail((side, side))
    except _UNREADABLE:
        return None
    return _encoded(image, quality=70)


def exact(pixels: NDArray[np.uint8]) -> Thumbnail:
    """The pixels [h, w, 3] as they are."""
    return _encoded(Image.fromarray(pixels), lossless=True)


def _encoded(image: Image.Image, **options: Any) -> Thumbnail:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", **options)
    content = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Thumbnail(
        source=f"data:image/webp;base64,{content}", width=image.width, height=image.height
    )
