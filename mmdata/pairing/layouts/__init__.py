"""Readers of caption sources, one per layout, and their parts."""

from typing import Literal, get_args

Layout = Literal[
    "sidecar", "metadata", "coco", "karpathy", "flickr", "webdataset", "frame", "images"
]
LAYOUTS: tuple[str, ...] = get_args(Layout)
