"""Layout "images": images alone, e.g. new photos; no captions are read."""

import dataclasses
import os
from collections.abc import Sequence

from mmdata.files.links import Links, outside_detail
from mmdata.pairing.tree import Tree
from mmdata.pairs.findings import Finding
from mmdata.pairs.pairs import Pairs, Row


def read(images: str | Sequence[str], *, links: Links) -> Pairs:
    """Lists images, and opens none.

    Args:
      images: A folder, searched with its subfolders; or files and folders, which are read in this
        order. A file that is named need not have the extension of an image; one that does not exist
        is found when the images are scanned.
      links: Whether links out of a folder are followed.

    Returns:
      A row for each image, without captions. Names are relative to the folder; those of a list are
      as given, and `root` is "".
    """
    if isinstance(images, str):
        names, findings = _below(images, links)
        return _pairs(images, names, findings)
    names, findings = [], []
    for path in images:
        if not os.path.isdir(path):
            names.append(path)
            continue
        found, about = _below(path, links)
        names += [os.path.join(path, name) for name in found]
        findings += [dataclasses.replace(f, path=os.path.join(path, f.path)) for f in about]
    return _pairs("", names, findings)


def _pairs(root: str, names: Sequence[str], findings: Sequence[Finding]) -> Pairs:
    rows = (Row(name, ()) for name in names)
    return Pairs.of_rows(root, rows, layout="images", findings=findings)


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
