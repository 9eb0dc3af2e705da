"""Layout "webdataset": tar shards that hold images and captions under common keys.

Source: https://github.com/webdataset/webdataset, "The WebDataset Format".
"""

import dataclasses
import os
from collections.abc import Collection

import numpy as np

from mmdata.files.links import Links
from mmdata.pairing.file_splits import (
    FileSplits,
    Lists,
    by_folders,
    by_lists,
    folder_counts,
    split_shards,
)
from mmdata.pairing.layouts import shards
from mmdata.pairing.layouts.table_columns import Columns
from mmdata.pairing.listing import Listing
from mmdata.pairing.matching import match
from mmdata.pairing.problems import Problems
from mmdata.pairing.texts import Lines, TextDecoder
from mmdata.pairing.tree import Tree
from mmdata.pairs.pairs import Pairs


def read(
    path: str,
    *,
    decoder: TextDecoder,
    lines: Lines,
    key: shards.Key,
    columns: Columns,
    extensions: tuple[str, ...] | None,
    links: Links,
    problems: Problems,
    chosen: Collection[str] | None,
    lists: Lists | None,
) -> Pairs:
    """Pairs the images in tar shards with their captions, without unpacking anything.

    Returns:
      The pairs; `images` are named `shard.tar/name`, and `blobs` has their positions.
    """
    found = shards.read(
        path,
        decoder=decoder,
        lines=lines,
        key=key,
        columns=columns,
        extensions=extensions,
        links=links,
    )
    listing = Listing(
        layout="webdataset",
        source=os.path.basename(path),
        names=found.images,
        captions=None if columns.captions is None else found.captions,
        places=range(len(found.images)),
        place=": image {}",
        splits=found.splits,
        weights=found.weights,
        columns=found.columns,
        findings=found.findings,
    )
    folders = [os.path.dirname(os.path.abspath(shard)) for shard in found.blobs.shards]
    root = os.path.commonpath(folders) if folders else os.curdir
    tree = Tree(root=root, images=sorted(found.images))
    files = _splits(found, lists)
    pairs = match(listing, tree, problems=problems, chosen=chosen, files=files)
    places = {image: place for place, image in enumerate(found.images)}
    rows = np.array([places[image] for image in pairs.images], np.int64)
    return dataclasses.replace(pairs, blobs=found.blobs.take(rows))


def _splits(found: shards.Contents, lists: Lists | None) -> FileSplits | None:
    """The splits of images by lists, folders or names of shards; None if samples name them."""
    if lists is not None:
        return by_lists(lists, found.images, within=found.labels)
    if found.splits is not None:
        return None
    counts = folder_counts(found.images)
    return by_folders(counts, split_shards(found.labels, counts))
