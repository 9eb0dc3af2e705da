"""Layout "images": images alone, e.g. new photos; no captions are read."""

import dataclasses
import os
from collections.abc import Collection, Sequence

from mmdata.files.links import Links, outside_detail
from mmdata.pairing.file_splits import FileSplits, Lists, by_folders, by_lists, folder_counts
from mmdata.pairing.split_choice import other_splits, require_splits
from mmdata.pairing.tree import Tree
from mmdata.pairs.findings import Finding
from mmdata.pairs.pairs import Pairs, Row


def read(
    images: str | Sequence[str],
    *,
    links: Links,
    chosen: Collection[str] | None = None,
    lists: Lists | None = None,
) -> Pairs:
    """Lists images, and opens none.

    Args:
      images: A folder, searched with its subfolders; or files and folders, which are read in this
        order. A file that is named need not have the extension of an image; one that does not exist
        is found when the images are scanned.
      links: Whether links out of a folder are followed.
      chosen: Splits to keep; None keeps all.
      lists: The names of the images of each split; None recognises folders that are splits, if
        `images` is a folder.

    Returns:
      A row for each image, without captions. Names are relative to the folder; those of a list are
      as given, and `root` is "".
    """
    if isinstance(images, str):
        root, (names, findings) = images, _below(images, links)
        splits = by_folders(folder_counts(names)) if lists is None else by_lists(lists, names)
    else:
        root, (names, findings) = "", _named(images, links)
        splits = FileSplits() if lists is None else by_lists(lists, names)
    require_splits(splits.names, chosen, "layout 'images'")
    kept = chosen if splits.names else None
    others = {name for name in names if not splits.keeps(name, kept)} - splits.refused
    findings += splits.findings
    if others:
        findings.append(other_splits(others, chosen))
    rows = (Row(name, ()) for name in names if splits.keeps(name, kept))
    return splits.label(Pairs.of_rows(root, rows, layout="images", findings=findings))


def _named(paths: Sequence[str], links: Links) -> tuple[list[str], list[Finding]]:
    """Files, and the images in folders, in their order."""
    names: list[str] = []
    findings: list[Finding] = []
    for path in paths:
        if not os.path.isdir(path):
            names.append(path)
            continue
        found, about = _below(path, links)
        names += [os.path.join(path, name) for name in found]
        findings += [dataclasses.replace(f, path=os.path.join(path, f.path)) for f in about]
    return names, findings


def _below(folder: str, links: Links) -> tuple[list[str], list[Finding]]:
    """The images in a folder and its subfolders, and what was found beside them."""
    tree = Tree.walk(folder, links=links)
    outside = [
        Finding("outside", image, outside_detail(target))
        for image in tree.images
        if (target := tree.target_outside(image)) is not None
    ]
    left_out = {finding.path for finding in outside}
    return [image for image in tree.images if image not in left_out], [*tree.findings, *outside]
