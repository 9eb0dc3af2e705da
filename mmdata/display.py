"""HTML for Jupyter: thumbnails with their captions. Knows files and text, and nothing else."""

import html
from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO

from mmdata.thumbnails import thumbnail

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
    shown = thumbnail(open_image, _SIDE)
    picture = f'<img src="{shown.source}" alt="{alt}">' if shown else f"<em>unreadable: {alt}</em>"
    return f'<figure style="{_FIGURE}">{picture}<figcaption>{text}</figcaption></figure>'
