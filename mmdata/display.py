"""HTML for Jupyter: thumbnails with their captions. Knows files and text, and nothing else."""

import base64
import html
import io
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO

from PIL import Image, ImageOps

SHOWN = 8
_SIDE = 144
_FIGURE = "display:inline-block;width:160px;margin:4px;vertical-align:top;font-size:12px"


Picture = tuple[str, Callable[[], BinaryIO], Sequence[str]]
"""An image: its name, what opens its file, its captions."""


def gallery(images: Iterable[Picture]) -> str:
    """One figure an image: its thumbnail, upright, above its captions.

    Returns:
      HTML without scripts or links; captions are escaped.
    """
    return "<div>" + "".join(_figure(*picture) for picture in images) + "</div>"


def _figure(name: str, open_image: Callable[[], BinaryIO], captions: Sequence[str]) -> str:
    text = "<br>".join(map(html.escape, captions))
    alt = html.escape(captions[0] if captions else name, quote=True)
    source = _thumbnail(open_image)
    picture = f'<img src="{source}" alt="{alt}">' if source else f"<em>unreadable: {alt}</em>"
    return f'<figure style="{_FIGURE}">{picture}<figcaption>{text}</figcaption></figure>'


def _thumbnail(open_image: Callable[[], BinaryIO]) -> str | None:
    """A data URL of the image, at most 144 px a side; None where it cannot be decoded."""
    try:
        with open_image() as file, Image.open(file) as picture:
            picture.draft("RGB", (2 * _SIDE, 2 * _SIDE))
            image = ImageOps.exif_transpose(picture).convert("RGB")
            image.thumbnail((_SIDE, _SIDE))
    except (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError):
        return None
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
