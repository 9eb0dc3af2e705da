"""Which arguments of `read` each layout uses; others are refused, so none is ignored."""

from collections.abc import Mapping
from typing import Any

from mmdata.pairing.layouts import LAYOUTS

_TEXT = frozenset({"encoding", "encoding_errors", "links"})
_TABLE = frozenset({"image_column", "caption_column", "weight_column"})

_USED: Mapping[str, frozenset[str]] = {
    "sidecar": _TEXT | {"extensions", "lines", "repeats"},
    "metadata": _TEXT | _TABLE,
    "coco": _TEXT,
    "karpathy": _TEXT,
    "flickr": _TEXT,
    "webdataset": _TEXT | {"caption_column", "weight_column", "extensions", "lines", "key"},
    "frame": _TABLE | {"links"},
}


def require_obeyed(layout: str, where: str, given: Mapping[str, Any]) -> None:
    """Raises ValueError for an argument that a layout does not use.

    Args:
      layout: A name of `LAYOUTS`.
      where: The source that has this layout, for the message.
      given: The arguments of `read` that differ from their defaults. `caption_column=None`, images
        without captions, is used by every layout that does not take image names from captions.
    """
    for name, value in given.items():
        if name == "caption_column" and value is None and layout != "sidecar":
            continue
        if name not in _USED[layout]:
            layouts = [repr(other) for other in LAYOUTS if name in _USED[other]]
            raise ValueError(
                f"{name}=... is for layout {', '.join(layouts)}; got {value!r} for {where}, layout "
                f"{layout!r}. Leave it out, or pass another layout=...."
            )
