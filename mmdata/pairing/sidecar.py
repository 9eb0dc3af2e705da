"""Layout "sidecar": `a/b.jpg` is described by `a/b.txt`, beside it or in a parallel tree."""

import io
import os
from collections import defaultdict
from collections.abc import Iterable

from mmdata.pairing import folders
from mmdata.pairing.findings import Finding
from mmdata.pairing.pairs import Pairs


def read(images: str, captions: str) -> Pairs:
    """Pairs the image files under `images` with the `.txt` files under `captions`.

    Files match when their relative paths without the last extension are equal in Unicode NFC. Each
    line of a caption file that is not blank is a caption.

    Returns:
      The pairs; every file that found no partner is a finding of its report.
    """
    files, findings = folders.list_files(images)
    images_by_stem = _by_stem(file for file in files if folders.is_image(file))
    if not os.path.samefile(captions, images):
        files, more = folders.list_files(captions)
        findings += more
    texts_by_stem = _by_stem(file for file in files if file.lower().endswith(".txt"))

    rows: list[tuple[str, list[str]]] = []
    for key in sorted(images_by_stem.keys() | texts_by_stem.keys()):
        row, found = _match(captions, images_by_stem.get(key, []), texts_by_stem.get(key, []))
        rows += row
        findings += found
    return Pairs.of_rows(images, rows, layout="sidecar", findings=findings)


def _by_stem(files: Iterable[str]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = defaultdict(list)
    for file in files:
        grouped[folders.canonical(folders.stem(file))].append(file)
    return grouped


def _match(
    root: str, images: list[str], texts: list[str]
) -> tuple[list[tuple[str, list[str]]], list[Finding]]:
    """The row that the files of one stem make, if they make one, and what is to be told of them."""
    if not texts:
        return [], [Finding("missing_caption", image) for image in images]
    if not images:
        return [], [Finding("missing_image", text) for text in texts]
    if len(images) > 1 or len(texts) > 1:
        everyone = [*images, *texts]
        detail = "the same name: " + ", ".join(map(repr, everyone))
        return [], [Finding("ambiguous", image, detail) for image in images]
    (image,), (text,) = images, texts
    findings = []
    if folders.stem(image) != folders.stem(text):
        findings.append(Finding("name_mismatch", image, f"caption file {text!a}"))
    try:
        captions = _captions(os.path.join(root, text))
    except UnicodeDecodeError as err:
        detail = f"{text!r}: byte 0x{err.object[err.start]:02x} at offset {err.start:,}"
        return [], [Finding("encoding", image, detail)]
    except OSError as err:
        return [], [Finding("unreadable", text, err.strerror or str(err))]
    if not captions:
        return [], [*findings, Finding("empty_caption", image, f"{text!r} holds no text")]
    return [(image, captions)], findings


def _captions(path: str) -> list[str]:
    with open(path, "rb") as file:
        text = file.read().decode("utf-8").removeprefix("\ufeff")
    return [line.strip() for line in io.StringIO(text, newline=None) if line.strip()]
