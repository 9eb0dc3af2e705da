"""Layout "coco": a JSON file in the COCO captions format, or in COCO's format of results.

Source: https://cocodataset.org/#format-data and #format-results, "Image Captioning".
"""

import os
from typing import Any

from mmdata.pairing.findings import Finding, PairingError
from mmdata.pairing.folders import canonical
from mmdata.pairing.layouts.documents import is_text, load, one_line, shown
from mmdata.pairing.listing import Listing

_DIGITS = 12
_REQUIRED = (
    'Required: "images", a list of {"id", "file_name"}, and "annotations", a list of {"image_id", '
    '"caption"}; or only a list of {"image_id", "caption"}. The ids are numbers or strings, the '
    "rest strings."
)


def read(path: str) -> Listing:
    """Reads a COCO captions file: each of its images with its captions.

    An image without a `file_name`, as in results, is found by its id, zero-padded to 12 digits.
    White space inside a caption becomes single spaces, so that a caption is a line.

    Returns:
      The listing; entries that are not right are findings.

    Raises:
      PairingError: The file is not JSON, or is not in the COCO captions format.
    """
    document = load(path)
    if isinstance(document, list):
        ids = [entry.get("image_id") for entry in document if isinstance(entry, dict)]
        images = [{"id": i, "file_name": _padded(i)} for i in ids if _padded(i)]
        document = {"images": images, "annotations": document}
    images, annotations = (
        _entries(path, document, "images"),
        _entries(path, document, "annotations"),
    )
    reading = _Reading(os.path.basename(path))
    for number, image in enumerate(images):
        reading.add_image(number, image)
    reading.add_captions(annotations)
    return reading.listing()


class _Reading:
    def __init__(self, source: str) -> None:
        self._source = source
        self._names_of: dict[Any, list[str]] = {}
        self._captions: dict[str, list[str]] = {}
        self._stems: list[str | None] = []
        self._places: list[int] = []
        self._findings: list[Finding] = []

    def add_image(self, number: int, image: Any) -> None:
        try:
            name, identity = image["file_name"], image["id"]
            names = self._names_of.setdefault(identity, [])
        except (TypeError, KeyError):
            return self._refuse(f"images[{number}]", f"is {shown(image)}")
        if not _is_id(identity) or not is_text(name) or not name:
            return self._refuse(f"images[{number}]", f"is {shown(image)}")
        if not names or all(canonical(name) != canonical(other) for other in names):
            names.append(name)
        if name not in self._captions:
            self._captions[name] = []
            self._stems.append(_padded(identity))
            self._places.append(number)

    def add_captions(self, annotations: list[Any]) -> None:
        """Adds the captions; those that need no second look go by without a call."""
        captions_of = {
            identity: self._captions[names[0]]
            for identity, names in self._names_of.items()
            if len(names) == 1
        }
        for number, annotation in enumerate(annotations):
            try:
                text = annotation["caption"].strip(" ")
                if text and text.isascii() and text.isprintable() and "  " not in text:
                    captions_of[annotation["image_id"]].append(text)
                    continue
            except (TypeError, KeyError, AttributeError):
                pass
            self._add_caption(number, annotation)

    def _add_caption(self, number: int, annotation: Any) -> None:
        try:
            text = one_line(annotation["caption"])  # a few of COCO's hold line breaks
            names = self._names_of.get(annotation["image_id"], ())
        except (TypeError, KeyError, AttributeError):
            return self._refuse(f"annotations[{number}]", f"is {shown(annotation)}")
        if len(names) != 1:
            detail = f"image_id {annotation['image_id']!a:.80} names {len(names)} images"
            self._refuse(f"annotations[{number}]", detail)
        elif not text:
            self._refuse(f"annotations[{number}]", "a blank caption")
        elif not is_text(text):
            self._refuse(f"annotations[{number}]", f"a lone surrogate in {text!a:.80}")
        else:
            self._captions[names[0]].append(text)

    def listing(self) -> Listing:
        return Listing(
            layout="coco",
            source=self._source,
            names=list(self._captions),
            captions=list(self._captions.values()),
            places=self._places,
            place=": images[{}]",
            stems=self._stems,
            findings=self._findings,
        )

    def _refuse(self, where: str, detail: str) -> None:
        self._findings.append(Finding("malformed", f"{self._source}: {where}", detail))


def _entries(path: str, document: Any, key: str) -> list[Any]:
    entries = document.get(key) if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise PairingError(f"{path}: not COCO captions ({key!r} is not a list). {_REQUIRED}")
    return entries


def _is_id(value: Any) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def _padded(identity: Any) -> str | None:
    """The id as COCO writes it into the names of files; None where it is no number."""
    digits = str(identity)
    return digits.zfill(_DIGITS) if digits.isascii() and digits.isdigit() else None
