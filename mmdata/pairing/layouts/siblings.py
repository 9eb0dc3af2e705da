"""Which images and caption files of one folder belong together, by their names alone."""

import dataclasses
import posixpath
import re
from collections.abc import Iterable

from mmdata.pairing.folders import canonical, folded, stem
from mmdata.pairing.tree import index

NUMBER = re.compile(r"\.(\d{1,9})$")
_MASK = "_mask"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """The files of one stem.

    Attributes:
      images: Image files; more than one is a question that names cannot answer.
      texts: Caption files of the same stem.
      numbered: Caption files with a number behind the stem, `b.0.txt`, `b.1.txt`, in their order.
    """

    images: list[str]
    texts: list[str]
    numbered: list[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Siblings:
    """The files of a folder.

    Attributes:
      families: One for each stem that an image has.
      orphans: Caption files without an image.
      masks: Image files `b_mask.png` beside an image `b`: masks for training, no images.
    """

    families: list[Family]
    orphans: list[str]
    masks: list[str]


def siblings(images: Iterable[str], texts: Iterable[str]) -> Siblings:
    """Groups the files of one folder by stem: equal in NFC; or, if nothing is, equal but for case.

    Args:
      images: Names or paths of image files.
      texts: Names or paths of caption files; only their last parts count.
    """
    wanted = index(images, _key)
    given: dict[str, list[tuple[int, str]]] = {}
    cases: set[str] = set()
    for text in texts:
        key, number = _key(text), -1
        numbered = None if key in wanted else NUMBER.search(key)
        if numbered:
            cases = cases or set(map(folded, wanted))
        if numbered and folded(key) not in cases:
            key, number = key[: numbered.start()], int(numbered[1])
        given.setdefault(key, []).append((number, text))
    _join_cases(wanted, given)
    _join_whole_names(wanted, given)

    families, masks = [], []
    for key, names in wanted.items():
        if key.endswith(_MASK) and key not in given and key.removesuffix(_MASK) in wanted:
            masks += names
            continue
        found = sorted(given.pop(key, ()))
        plain = [text for number, text in found if number < 0]
        families.append(
            Family(images=names, texts=plain, numbered=[text for n, text in found if n >= 0])
        )
    orphans = [text for found in given.values() for _, text in found]
    return Siblings(families=families, orphans=sorted(orphans), masks=masks)


def _key(path: str) -> str:
    return canonical(stem(posixpath.basename(path)))


def _join_cases(wanted: dict[str, list[str]], given: dict[str, list[tuple[int, str]]]) -> None:
    """Gives each caption file without an image to the only one that differs by case, if any."""
    lonely = index(given.keys() - wanted.keys(), folded)
    if lonely:
        for key, images in index(wanted.keys() - given.keys(), folded).items():
            texts = lonely.get(key, [])
            if len(images) == 1 and len(texts) == 1:
                given[images[0]] = given.pop(texts[0])


def _join_whole_names(
    wanted: dict[str, list[str]], given: dict[str, list[tuple[int, str]]]
) -> None:
    """Gives `b.jpg.txt` to an image `b.jpg` that has no other captions."""
    for key in sorted(given.keys() - wanted.keys()):
        images = wanted.get(stem(key), [])
        is_whole = [canonical(posixpath.basename(image)) for image in images] == [key]
        if is_whole and stem(key) not in given:
            given[stem(key)] = given.pop(key)
