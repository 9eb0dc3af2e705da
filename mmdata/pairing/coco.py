"""Layout "coco": one JSON file in the COCO captions format.

Source: https://cocodataset.org/#format-data, "Image Captioning".
"""

import json
import re
from collections import defaultdict
from typing import Any

from mmdata.pairing import folders
from mmdata.pairing.findings import Finding, PairingError
from mmdata.pairing.pairs import Pairs

_REQUIRED = (
    'Required: "images", a list of {"id", "file_name"}, and "annotations", a list of {"image_id", '
    '"caption"}; the ids are numbers or strings, the rest strings.'
)
_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can spell them alone; UTF-8 cannot


def read(images: str, captions: str) -> Pairs:
    """Pairs the image files under `images` with a COCO captions JSON file.

    Images are found by their `file_name`, relative to `images`, equal in Unicode NFC. White space
    inside a caption becomes single spaces, so that a caption is a line.

    Returns:
      The pairs; every image and annotation that found no partner is a finding of its report.

    Raises:
      PairingError: The file is not JSON, or is not in the COCO captions format.
    """
    listed, annotations = _load(captions)
    files, findings = folders.list_files(images)
    on_disk: dict[str, list[str]] = defaultdict(list)
    for file in filter(folders.is_image, files):
        on_disk[folders.canonical(file)].append(file)

    names: dict[str, str] = {}
    keys_of_id: dict[Any, set[str]] = defaultdict(set)
    for image in listed:
        key = folders.canonical(image["file_name"])
        names[key] = image["file_name"]
        keys_of_id[image["id"]].add(key)
    captions_of: dict[str, list[str]] = {key: [] for key in names}
    for number, annotation in enumerate(annotations):
        keys = keys_of_id.get(annotation["image_id"], set())
        text = " ".join(annotation["caption"].split())  # a few of COCO's hold line breaks
        where = f"annotations[{number}]"
        if len(keys) != 1:
            detail = f"image_id {annotation['image_id']!r} names {len(keys)} images"
            findings.append(Finding("malformed", where, detail))
        elif _SURROGATE.search(text):
            findings.append(Finding("malformed", where, f"a lone surrogate in {text!a:.80}"))
        elif not text:
            findings.append(Finding("malformed", where, "a blank caption"))
        else:
            (key,) = keys
            captions_of[key].append(text)

    rows = []
    for key, texts in captions_of.items():
        found = on_disk.pop(key, [])
        if not found:
            findings.append(Finding("missing_image", names[key], f"{len(texts)} caption(s)"))
        elif len(found) > 1:
            detail = "the same name: " + ", ".join(map(ascii, found))
            findings += [Finding("ambiguous", file, detail) for file in found]
        elif not texts:
            findings.append(Finding("missing_caption", found[0], "no annotation with text"))
        else:
            rows.append((found[0], texts))
            if found[0] != names[key]:
                findings.append(Finding("name_mismatch", found[0], f"file_name {names[key]!a}"))
    findings += [Finding("missing_caption", file) for found in on_disk.values() for file in found]
    return Pairs.of_rows(images, rows, layout="coco", findings=findings)


def _load(path: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    try:
        with open(path, encoding="utf-8-sig") as file:
            document = json.load(file)
    except (ValueError, RecursionError) as err:
        raise PairingError(f"{path}: not a JSON file in UTF-8: {err}.") from err
    images = _entries(path, document, "images", "id", "file_name")
    return images, _entries(path, document, "annotations", "image_id", "caption")


def _entries(path: str, document: Any, key: str, number: str, text: str) -> list[dict[str, Any]]:
    """The list under `key`, whose entries hold an id in `number` and a string in `text`."""
    entries = document.get(key) if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise PairingError(f"{path}: not COCO captions ({key!r} is not a list). {_REQUIRED}")
    for index, entry in enumerate(entries):
        if not (
            isinstance(entry, dict)
            and isinstance(entry.get(number), int | float | str)
            and isinstance(entry.get(text), str)
        ):
            got = f"{key}[{index}] is {entry!a:.80}"
            raise PairingError(f"{path}: not COCO captions ({got}). {_REQUIRED}")
    return entries
