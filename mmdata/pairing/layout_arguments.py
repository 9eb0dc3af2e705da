"""Which arguments of `read` a layout obeys; the others are refused, so that none is ignored."""

from collections.abc import Mapping
from typing import Any

from mmdata.pairing.layouts import LAYOUTS

_TEXT = frozenset({"encoding", "encoding_errors", "links"})
_TABLE = frozenset({"image_column", "caption_column", "weight_column"})

_OBEYED: Mapping[str, frozenset[str]] = {
    "sidecar": _TEXT | {"extensions", "lines", "repeats"},
    "metadata": _TEXT | _TABLE,
    "coco": _TEXT,
    "karpathy": _TEXT,
    "flickr": _TEXT,
    "webdataset": _TEXT | {"caption_column", "weight_column", "extensions", "lines", "key"},
    "frame": _TABLE | {"links"},
}


def require_obeyed(layout: str, where: str, given: Mapping[str, Any]) -> None:
    """Raises ValueError for an argument that means nothing for a layout.

    Args:
      layout: A name of `LAYOUTS`.
      where: What has this layout, for the message.
      given: The arguments of `read` that are not as by default. `caption_column=None`, images
        without captions, is obeyed wherever something else than captions names the images.
    """
    for name, value in given.items():
        if name == "caption_column" and value is None and layout != "sidecar":
            continue
        if name not in _OBEYED[layout]:
            able = [repr(other) for other in LAYOUTS if name in _OBEYED[other]]
            raise ValueError(
                f"{name}=... is for layout {', '.join(able)}; got {value!r} for {where}, which has "
                f"layout {layout!r}. Leave it out, or pass layout=... to read it in another way."
            )
