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

_DEFAULTS: Mapping[str, Any] = {
    "image_column": "auto",
    "caption_column": "auto",
    "weight_column": "auto",
    "extensions": None,
    "lines": "auto",
    "repeats": "auto",
    "key": "last_dot",
    "links": "inside",
    "encoding": None,
    "encoding_errors": "strict",
}


def require_obeyed(layout: str, where: str, arguments: Mapping[str, Any]) -> None:
    """Raises ValueError for an argument that is given and means nothing for a layout.

    Args:
      layout: A name of `LAYOUTS`.
      where: What has this layout, for the message.
      arguments: Arguments of `read` by name. `caption_column=None`, images without captions, is
        obeyed wherever something else than captions names the images.
    """
    for name, value in arguments.items():
        is_given = value is not _DEFAULTS[name] and value != _DEFAULTS[name]
        if name == "caption_column" and value is None and layout != "sidecar":
            continue
        if is_given and name not in _OBEYED[layout]:
            able = [repr(other) for other in LAYOUTS if name in _OBEYED[other]]
            raise ValueError(
                f"{name}=... is for layout {', '.join(able)}; got {value!r} for {where}, which has "
                f"layout {layout!r}. Leave it out, or pass layout=... to read it in another way."
            )
