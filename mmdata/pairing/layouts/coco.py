"""Layout "coco": a JSON file in COCO's format of captions, or of results.

Source: https://cocodataset.org/#format-data and #format-results, "Image Captioning".
"""

from typing import Any

from mmdata.pairing.folders import canonical
from mmdata.pairing.layouts.documents import Document, is_text, one_line, shown
from mmdata.pairing.layouts.rejected import MARKS, rejected
from mmdata.pairing.listing import Listing
from mmdata.pairs.findings import Finding, Notes, PairingError

_DIGITS = 12
_EXACT = 2**53  # above this, floats cannot represent every int
_REQUIRED = (
    'Required: "images", a list of {"id", "file_name"}, and "annotations", a list of {"image_id", '
    '"caption"}; or only a list of {"image_id", "caption"}. The ids are numbers or strings, all '
    "other values strings."
)


def read(document: Document) -> Listing:
    """Reads a COCO captions file: each of its images with its captions.

    An image without a `file_name`, as in results, is found by its id, zero-padded to 12 digits.
    White space inside a caption becomes single spaces, so a caption is one line. A caption that
    VizWiz marks as rejected or precanned is left out.

    Returns:
      The listing; malformed entries are findings.

    Raises:
      PairingError: The file is not in the COCO captions format.
    """
    value = document.value
    if isinstance(value, list):
        ids = [entry.get("image_id") for entry in value if isinstance(entry, dict)]
        images = [{"id": i, "file_name": padded(i)} for i in ids if padded(i)]
        value = {"images": images, "annotations": value}
    images, annotations = (
        _entries(document.path, value, "images"),
        _entries(document.path, value, "annotations"),
    )
    reading = _Reading(document.source, document.findings)
    for number, image in enumerate(images):
        reading.add_image(number, image)
    reading.add_captions(annotations)
    return reading.listing()


class _Reading:
    def __init__(self, source: str, findings: list[Finding]) -> None:
        self._source = source
        self._names_of: dict[Any, list[str]] = {}
        self._captions_of: dict[Any, list[str]] = {}
        self._names: list[str] = []
        self._ids: list[Any] = []
        self._places: list[int] = []
        self._notes = Notes(findings)

    def add_image(self, number: int, image: Any) -> None:
        try:
            name, identity = image["file_name"], _identity(image["id"])
        except (TypeError, KeyError):
            return self._refuse(f"images[{number}]", f"is {shown(image)}")
        if identity is None or not is_text(name) or not name:
            return self._refuse(f"images[{number}]", f"is {shown(image)}")
        names = self._names_of.setdefault(identity, [])
        if names and all(canonical(name) != canonical(other) for other in names):
            names.append(name)
            self._refuse(f"images[{number}]", f"has the same id as {names[0]!a}: {shown(image)}")
        elif not names:
            names.append(name)
            self._captions_of[identity] = []
            self._names.append(name)
            self._ids.append(identity)
            self._places.append(number)

    def add_captions(self, annotations: list[Any]) -> None:
        """Adds the captions; ordinary ones without a call for each."""
        marked = any(isinstance(a, dict) and any(mark in a for mark in MARKS) for a in annotations)
        captions_of = {
            identity: self._captions_of[identity]
            for identity, names in self._names_of.items()
            if len(names) == 1
        }
        for number, annotation in enumerate(annotations):
            try:
                if marked and self._is_rejected(number, annotation):
                    continue
                text, identity = annotation["caption"].strip(" "), annotation["image_id"]
                is_id = type(identity) is int or type(identity) is str
                if is_id and text and text.isascii() and text.isprintable() and "  " not in text:
                    captions_of[identity].append(text)
                    continue
            except (TypeError, KeyError, AttributeError):
                pass
            self._add_caption(number, annotation)

    def _add_caption(self, number: int, annotation: Any) -> None:
        try:
            text = one_line(annotation["caption"])  # a few in COCO have line breaks
            identity = _identity(annotation["image_id"])
            names = self._names_of.get(identity, ())
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
            self._captions_of[identity].append(text)

    def _is_rejected(self, number: int, annotation: dict[str, Any]) -> bool:
        mark = rejected(annotation)
        if mark is not None:
            where = f"{self._source}: annotations[{number}]"
            self._notes.count("rejected", f"marked as {mark}", where)
        return mark is not None

    def listing(self) -> Listing:
        return Listing(
            layout="coco",
            source=self._source,
            names=self._names,
            captions=list(self._captions_of.values()),
            places=self._places,
            place=": images[{}]",
            ids=self._ids,
            stems=list(map(padded, self._ids)),
            findings=self._notes.findings(),
        )

    def _refuse(self, where: str, detail: str) -> None:
        self._notes.add(Finding("malformed", f"{self._source}: {where}", detail))


def _entries(path: str, document: Any, key: str) -> list[Any]:
    entries = document.get(key) if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise PairingError(f"{path}: not COCO captions ({key!r} is not a list). {_REQUIRED}")
    return entries


def _identity(value: Any) -> int | str | None:
    """An id as an int or a text; None if it is neither, or a float that is not exact."""
    if type(value) is float and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    return value if type(value) is int or type(value) is str else None


def padded(identity: Any) -> str | None:
    """The id as COCO writes it in file names; None if it is not a number."""
    digits = str(identity)
    return digits.zfill(_DIGITS) if digits.isascii() and digits.isdigit() else None
