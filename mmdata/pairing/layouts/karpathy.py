"""Layout "karpathy": one JSON file with the captions and the splits of a whole set.

Source: Karpathy and Li 2015, https://cs.stanford.edu/people/karpathy/deepimagesent/:
dataset_coco.json, dataset_flickr8k.json and dataset_flickr30k.json.
"""

import dataclasses
from typing import Any

from mmdata.pairing.layouts.documents import Document, DuplicateKey, is_text, one_line, shown
from mmdata.pairing.listing import Listing
from mmdata.pairs.findings import Finding, PairingError
from mmdata.pairs.split_names import split_name

_REQUIRED = (
    'Required: "images", a list of {"filename", "sentences", "split"}, whose sentences are a list '
    'of {"raw"} or {"tokens"}.'
)
_PLACE = ": images[{}]"
_RESTVAL = "restval"
_ID_DIGITS = 12


@dataclasses.dataclass(frozen=True)
class _Image:
    """One entry; `problems` are its sentences that cannot be read."""

    index: int
    name: str
    captions: list[str]
    split: str | None
    identity: Any
    stem: str | None
    problems: list[str]


class _MalformedError(ValueError):
    """What is wrong with one entry."""


def read(document: Document) -> Listing:
    """Reads the images, captions and splits of a file in Karpathy's format.

    A name is `filepath` and `filename`; a caption is `raw`, or `tokens` if it has no `raw`.
    Images of "restval", the part of COCO's validation images for training, are "train"; "val" is
    "validation".

    Returns:
      The listing; every malformed entry or sentence is a finding.

    Raises:
      PairingError: The file is not in this format.
    """
    source = document.source
    images: list[_Image] = []
    findings = document.findings
    for index, entry in enumerate(_entries(document)):
        try:
            images.append(_image(index, entry))
            problems = images[-1].problems
        except _MalformedError as err:
            problems = [str(err)]
        where = source + _PLACE.format(index)
        findings += [Finding("malformed", where, problem) for problem in problems]
    stems = [image.stem for image in images if image.stem is not None]
    splits = [image.split for image in images]
    return Listing(
        layout="karpathy",
        source=source,
        names=[image.name for image in images],
        captions=[image.captions for image in images],
        places=[image.index for image in images],
        place=_PLACE,
        ids=[image.identity for image in images],
        stems=stems if stems and len(stems) == len(images) else None,
        splits=splits if any(splits) else None,
        findings=findings,
    )


def _entries(document: Document) -> list[Any]:
    path, value = document.path, document.value
    images = value.get("images") if isinstance(value, dict) else None
    if not isinstance(images, list) or not images:
        raise PairingError(f"{path}: must list images; got {shown(value)}. {_REQUIRED}")
    if not any(map(has_sentences, images)):
        got = f"images[0] is {shown(images[0])}"
        raise PairingError(f"{path}: images must have sentences; got {got}. {_REQUIRED}")
    return images


def has_sentences(entry: Any) -> bool:
    """Whether an entry has sentences, as in Karpathy's format, also if it has a key twice."""
    keys = (
        entry.keys if isinstance(entry, DuplicateKey) else entry if isinstance(entry, dict) else ()
    )
    return "sentences" in keys


def _image(index: int, entry: Any) -> _Image:
    if not isinstance(entry, dict):
        raise _MalformedError(f"not an object with each key once: {shown(entry)}")
    captions, problems = _captions(entry)
    identity = entry.get("cocoid", entry.get("imgid"))
    return _Image(index, _name(entry), captions, _split(entry), identity, _stem(entry), problems)


def _name(entry: dict[str, Any]) -> str:
    folder, name = entry.get("filepath"), entry.get("filename")
    folder = "" if folder is None else folder
    for key, value in (("filepath", folder), ("filename", name)):
        if not is_text(value) or "\0" in value:
            raise _MalformedError(f"{key} is not the text of a path: {shown(value)}")
    if not name:
        raise _MalformedError("filename is empty")
    return f"{folder}/{name}" if folder else name


def _split(entry: dict[str, Any]) -> str | None:
    split = entry.get("split")
    if split is None:
        return None
    if not is_text(split):
        raise _MalformedError(f"split is not text: {shown(split)}")
    return "train" if split == _RESTVAL else split_name(split)


def _stem(entry: dict[str, Any]) -> str | None:
    number = entry.get("cocoid")
    fits = type(number) is int and 0 <= number < 10**_ID_DIGITS
    return f"{number:0{_ID_DIGITS}}" if fits else None


def _captions(entry: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The captions of an image, and the problems of other sentences."""
    sentences = entry.get("sentences")
    if not isinstance(sentences, list):
        raise _MalformedError(f"sentences is not a list: {shown(sentences)}")
    captions: list[str] = []
    problems: list[str] = []
    for index, sentence in enumerate(sentences):
        text = _caption(sentence)
        if text is None:
            why = "has no text in raw or tokens"
            problems.append(f"sentences[{index}] {why}: {shown(sentence)}")
        else:
            captions.append(one_line(text))
    return captions, problems


def _caption(sentence: Any) -> str | None:
    if not isinstance(sentence, dict):
        return None
    text = sentence.get("raw")
    if text is not None:
        return text if is_text(text) else None
    tokens = sentence.get("tokens")
    return " ".join(tokens) if isinstance(tokens, list) and all(map(is_text, tokens)) else None
