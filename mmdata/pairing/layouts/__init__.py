"""Readers of caption sources, a layout each, and what they are made of."""

from typing import Literal, get_args

Layout = Literal["sidecar", "metadata", "coco", "karpathy", "flickr", "webdataset", "frame"]
LAYOUTS: tuple[str, ...] = get_args(Layout)
