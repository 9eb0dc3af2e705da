"""`mmdata.read`: names and captions on disk -> `Pairs`."""

import os

from mmdata.pairing import coco, folders, sidecar
from mmdata.pairing.findings import OnProblem, PairingError, raise_for, require_on_problem
from mmdata.pairing.pairs import Pairs


def read(
    images: str | os.PathLike[str],
    captions: str | os.PathLike[str] | None = None,
    *,
    on_problem: OnProblem = "error",
) -> Pairs:
    """Pairs images with captions. Opens caption files, and no image.

    Args:
      images: A folder of images, searched with its subfolders.
      captions: A folder of `.txt` files that match by relative path without extension, a caption a
        line; or a COCO captions `.json` file; or None where the `.txt` files lie beside the images.
      on_problem: "error" raises unless everything pairs; "drop" goes on with what does, and keeps
        the rest in `.report`.

    Returns:
      One row an image, sorted by path.

    Raises:
      FileNotFoundError, NotADirectoryError: A path is not there, or not a folder.
      PairingError: Something does not pair and `on_problem` is "error"; or nothing pairs at all.
    """
    require_on_problem(on_problem)
    images = os.fspath(images)
    captions = images if captions is None else os.fspath(captions)
    folders.require_folder(images, "images")
    if captions.lower().endswith(".json") and os.path.isfile(captions):
        pairs = coco.read(images, captions)
    else:
        folders.require_folder(captions, "captions")
        pairs = sidecar.read(images, captions)
    if on_problem == "error" or not len(pairs):
        where = f"{images!r} and {captions!r}"
        raise_for(pairs.report.findings, where=where, nothing_left=not len(pairs))
    if not len(pairs):
        raise PairingError(
            f"images=... must hold image files ({', '.join(folders.DECODED)}); got none in "
            f"{images!r}."
        )
    return pairs
