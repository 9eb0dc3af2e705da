"""HTML for Jupyter: thumbnails with their captions. Depends on files and text only."""

import html
from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO

from mmdata.images.thumbnails import thumbnail
from mmdata.printable import printable

_SIDE = 144
_FIGURE = "display:inline-block;width:160px;margin:4px;vertical-align:top;font-size:12px"


Picture = tuple[str, Callable[[], BinaryIO], Sequence[str]]
"""An image: its name, a function that opens its file, its captions."""


def gallery(images: Iterable[Picture]) -> str:
    """One figure for each image: its upright thumbnail above its captions.

    Returns:
      HTML without scripts or links; names and captions are escaped, printable and isolated: they
      cannot change the direction of the text around them.
    """
    return "<div>" + "".join(_figure(*picture) for picture in images) + "</div>"


def _figure(name: str, open_image: Callable[[], BinaryIO], captions: Sequence[str]) -> str:
    text = "<br>".join(f"<bdi>{_escaped(caption)}</bdi>" for caption in captions)
    alt = _escaped(captions[0] if captions else name)
    shown = thumbnail(open_image, _SIDE)
    picture = (
        f'<img src="{shown.source}" alt="{alt}">'
        if shown
        else f"<em>unreadable: <bdi>{alt}</bdi></em>"
    )
    return f'<figure style="{_FIGURE}">{picture}<figcaption>{text}</figcaption></figure>'


def _escaped(text: str) -> str:
    return html.escape(printable(text), quote=True)
