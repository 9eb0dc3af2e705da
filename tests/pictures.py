"""Pictures as files, for tests of many packages."""

import io
from typing import Any

from PIL import Image


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def oriented(orientation: int) -> Image.Exif:
    """EXIF with an orientation, 1 to 8."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif
