"""HTML for Jupyter: thumbnails with their captions. Knows files and text, and nothing else."""

import base64
import html
import io
from collections.abc import Iterable, Sequence

from PIL import Image, ImageOps

SHOWN = 8
_SIDE = 144
_FIGURE = "display:inline-block;width:160px;margin:4px;vertical-align:top;font-size:12px"


def gallery(images: Iterable[tuple[str, Sequence[str]]]) -> str:
    """One figure an image: its thumbnail, upright, above its captions.

    Args:
      images: (file, captions) of each figure.

    Returns:
      HTML without scripts or links; captions are escaped.
    """
    return "<div>" + "".join(_figure(path, captions) for path, captions in images) + "</div>"


def _figure(path: str, captions: Sequence[str]) -> str:
    text = "<br>".join(map(html.escape, captions))
    alt = html.escape(captions[0] if captions else path, quote=True)
    source = _thumbnail(path)
    picture = f'<img src="{source}" alt="{alt}">' if source else f"<em>unreadable: {alt}</em>"
    return f'<figure style="{_FIGURE}">{picture}<figcaption>{text}</figcaption></figure>'


def _thumbnail(path: str) -> str | None:
    """A data URL of the image, at most 144 px a side; None where it cannot be decoded."""
    try:
        with Image.open(path) as file:
            file.draft("RGB", (2 * _SIDE, 2 * _SIDE))
            image = ImageOps.exif_transpose(file).convert("RGB")
            image.thumbnail((_SIDE, _SIDE))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
