"""Matches images and caption files of one folder by their names only."""

import dataclasses
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from mmdata.pairing.folders import canonical, folded, stem
from mmdata.pairing.tree import index

NUMBER = re.compile(r"\.(\d{1,9})$")
_STARTS = (0, 1)
_MASK = "_mask"


class Family(NamedTuple):
    """The files of one stem.

    Attributes:
      images: Image files; if there are several, names do not decide which one has the captions.
      groups: Caption files; those of one group differ only in their extensions. One group, or one
        for each number of `b.0.txt`, `b.1.txt`, in the order of numbers.
      gaps: The missing numbers between these.
    """

    images: list[str]
    groups: list[list[str]]
    gaps: Sequence[int] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Siblings:
    """The files of a folder.

    Attributes:
      families: One for each stem that an image has.
      orphans: Caption files without an image, and why they belong to no image; may be "".
      masks: Image files `b_mask.png` next to an image `b`: masks for training, not images.
    """

    families: list[Family]
    orphans: dict[str, str]
    masks: list[str]


def siblings(images: Iterable[str], texts: Iterable[str]) -> Siblings:
    """Groups the files of one folder by stem: equal in NFC; or, if none is, equal except for case.

    `b.0.txt` and `b.1.txt` belong to `b.jpg` if there is no `b.txt`, and if they are a series: two
    or more, counted from 0 or 1, with at least half of the numbers. A single file is a series if
    other images of the folder have a series that begins with its number, or if each image has one
    file with that number and nothing else. Else "Figure 3.1.txt" would describe "Figure 3.png".

    Args:
      images: Names or paths of image files.
      texts: Names or paths of caption files; only their last parts are compared.
    """
    wanted = index(images, _key)
    given: dict[str, list[str]] = {}
    numbered: dict[str, dict[int, list[str]]] = {}
    cases: set[str] = set()
    for text in texts:
        key = _key(text)
        found = None if key in wanted else NUMBER.search(key)
        if found:
            cases = cases or set(map(folded, wanted))
        if found and folded(key) not in cases:
            numbers = numbered.setdefault(key[: found.start()], {})
            numbers.setdefault(int(found[1]), []).append(text)
        else:
            given.setdefault(key, []).append(text)
    _join_cases(wanted, given, numbered)
    _join_whole_names(wanted, given, numbered)
    orphans = _drop_no_series(given, numbered, wanted)

    families, masks = [], []
    for key, names in wanted.items():
        is_mask = key.endswith(_MASK) and key.removesuffix(_MASK) in wanted
        if is_mask and key not in given and key not in numbered:
            masks += names
            continue
        if key in numbered:
            series = numbered.pop(key)
            gaps = sorted(set(range(min(series), max(series))) - series.keys())
            groups = [sorted(series[number]) for number in sorted(series)]
            families.append(Family(names, groups, gaps))
        else:
            families.append(Family(names, [sorted(given.pop(key))] if key in given else []))
    unmatched = [text for texts in given.values() for text in texts]
    unmatched += [
        text for series in numbered.values() for texts in series.values() for text in texts
    ]
    return Siblings(families=families, orphans=orphans | dict.fromkeys(unmatched, ""), masks=masks)


def _drop_no_series(
    given: dict[str, list[str]],
    numbered: dict[str, dict[int, list[str]]],
    wanted: Mapping[str, object],
) -> dict[str, str]:
    """Removes numbered files that are not captions of their stem's image; returns the reasons."""
    starts = {min(numbers) for numbers in numbered.values() if len(numbers) > 1}
    singles = {number for numbers in numbered.values() for number in numbers}
    if not given and len(singles) == 1 and numbered.keys() == wanted.keys() and len(wanted) > 1:
        starts = singles  # each image has one, of the same number
    orphans: dict[str, str] = {}
    for key, numbers in list(numbered.items()):
        if key in given:
            why = f"numbered, next to {min(given[key])!r}"
        elif min(numbers) not in _STARTS:
            why = "numbered, but not from 0 or 1"
        elif 2 * len(numbers) < max(numbers) - min(numbers) + 1:
            why = "numbered, but most numbers in between are missing"
        elif len(numbers) == 1 and min(numbers) not in starts:
            why = "numbered, but the only one"
        else:
            continue
        orphans |= {text: why for texts in numbers.values() for text in texts}
        del numbered[key]
    return orphans


def _key(path: str) -> str:
    return canonical(stem(posixpath.basename(path)))


def _join_cases(
    wanted: dict[str, list[str]],
    given: dict[str, list[str]],
    numbered: dict[str, dict[int, list[str]]],
) -> None:
    """Matches caption files without an image to the only stem that differs by case only."""
    for texts in (given, numbered):
        unmatched = texts.keys() - wanted.keys()
        if not unmatched:
            continue
        stems, keys = index(wanted, folded), index(texts, folded)
        for key in unmatched:
            images = stems.get(folded(key), [])
            if len(images) == len(keys[folded(key)]) == 1:
                texts[images[0]] = texts.pop(key)  # type: ignore[assignment]


def _join_whole_names(
    wanted: dict[str, list[str]],
    given: dict[str, list[str]],
    numbered: dict[str, dict[int, list[str]]],
) -> None:
    """Matches `b.jpg.txt`, or `b.jpg.0.txt`, to an image `b.jpg` without other captions."""
    for texts in (given, numbered):
        for key in sorted(texts.keys() - wanted.keys()):
            images = wanted.get(stem(key), [])
            is_whole = [canonical(posixpath.basename(image)) for image in images] == [key]
            if is_whole and stem(key) not in given and stem(key) not in numbered:
                texts[stem(key)] = texts.pop(key)  # type: ignore[assignment]
