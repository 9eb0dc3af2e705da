"""Layout "coco": one JSON file in the COCO captions format.

Source: https://cocodataset.org/#format-data, "Image Captioning".
"""

import json
from typing import Any

from mmdata.pairing import folders
from mmdata.pairing.findings import Finding, PairingError
from mmdata.pairing.pairs import Pairs


def read(images: str, captions: str) -> Pairs:
    """Pairs the image files under `images` with a COCO captions JSON file.

    Images are found by their `file_name`, relative to `images`.

    Returns:
      The pairs; every image and annotation that found no partner is a finding of its report.

    Raises:
      PairingError: The file is not JSON, or is not in the COCO captions format.
    """
    names, annotations = _load(captions)
    files, findings = folders.list_files(images)
    on_disk = {folders.canonical(file): file for file in files if folders.is_image(file)}

    captions_of: dict[str, list[str]] = {name: [] for name in names.values()}
    for number, annotation in enumerate(annotations):
        name = names.get(annotation["image_id"])
        if name is None:
            where = f"annotations[{number}]"
            detail = f"image_id {annotation['image_id']!r} is not among images"
            findings.append(Finding("malformed", where, detail))
        elif text := annotation["caption"].strip():
            captions_of[name].append(text)

    rows = []
    for name, texts in captions_of.items():
        file = on_disk.pop(folders.canonical(name), None)
        if file is None:
            findings.append(Finding("missing_image", name, f"{len(texts)} caption(s)"))
        elif not texts:
            findings.append(Finding("missing_caption", file, "no annotation with text"))
        else:
            rows.append((file, texts))
    findings += [Finding("missing_caption", file) for file in on_disk.values()]
    return Pairs.of_rows(images, rows, layout="coco", findings=findings)


def _load(path: str) -> tuple[dict[Any, str], list[dict[str, Any]]]:
    try:
        with open(path, encoding="utf-8-sig") as file:
            document = json.load(file)
        names = {image["id"]: str(image["file_name"]) for image in document["images"]}
        annotations = document["annotations"]
        for annotation in annotations:
            annotation["image_id"], annotation["caption"].strip()
    except (ValueError, RecursionError) as err:
        raise PairingError(f"{path}: not a JSON file in UTF-8: {err}.") from err
    except (KeyError, TypeError, AttributeError) as err:
        raise PairingError(
            f'{path}: not COCO captions ({type(err).__name__}: {err}). Required: "images", a list '
            'of {"id", "file_name"}, and "annotations", a list of {"image_id", "caption"}.'
        ) from err
    return names, annotations
