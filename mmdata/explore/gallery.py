"""Small images with their captions and findings, for a page."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from mmdata.explore.survey import Groups, words_of
from mmdata.images.thumbnails import Thumbnail, thumbnail
from mmdata.pairs.findings import Finding
from mmdata.pairs.pairs import Pairs
from mmdata.progress import progress
from mmdata.sampling.size_buckets import upright_sizes

_SIDE = 160
_GROUPS, _IMAGES_OF_GROUP = 24, 6
_CAPTIONS, _FOLDED = 5, 45
_CHARACTERS = 400


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card:
    """An image in the gallery, or in a group.

    Attributes:
      shown: The thumbnail; None if the image cannot be shown.
      name: Its path.
      split: Its split, or "".
      captions: The first captions.
      folded: Further ones, which a click shows.
      more: Number of captions that are in neither.
      findings: The kinds of its findings.
      words: Number of words in its longest caption.
      height, width: In pixels, upright; 0 if not known.
    """

    shown: Thumbnail | None
    name: str
    split: str
    captions: Sequence[str]
    folded: Sequence[str]
    more: int
    findings: Sequence[str]
    words: int
    height: int
    width: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShownGroups:
    """Groups of images: their number, and the first of them."""

    count: int
    groups: Sequence[Sequence[Card]]


class Gallery:
    """Makes cards for images of pairs that were scanned."""

    def __init__(self, pairs: Pairs, findings: Sequence[Finding]) -> None:
        self._pairs = pairs
        self._splits = pairs.split_labels
        self._sizes = upright_sizes(pairs.scanned()[0])
        self._kinds: dict[str, list[str]] = {}
        for finding in findings:
            kinds = self._kinds.setdefault(finding.path, [])
            if finding.kind not in kinds:
                kinds.append(finding.kind)

    def some(self, count: int, seed: int) -> list[Card]:
        """At most `count` images, in order: up to half with findings, and random others."""
        found = [row for row, image in enumerate(self._pairs.images) if image in self._kinds]
        chosen = set(found[:: max(2 * len(found) // max(count, 1), 1)][:count])
        for row in np.random.default_rng(seed).permutation(len(self._pairs)).tolist():
            if len(chosen) >= count:
                break
            chosen.add(row)
        return [self._card(row) for row in progress(sorted(chosen), what="drawing", unit="image")]

    def groups(self, groups: Groups) -> ShownGroups:
        """The first groups of rows, and the first images of each."""
        return ShownGroups(
            count=len(groups),
            groups=[
                [self._card(row) for row in rows[:_IMAGES_OF_GROUP]] for rows in groups[:_GROUPS]
            ],
        )

    def _card(self, row: int) -> Card:
        name = self._pairs.images[row]
        captions = self._pairs.captions_of(row)
        height, width = self._sizes[row].tolist()
        shown = [short(caption) for caption in captions[: _CAPTIONS + _FOLDED]]
        return Card(
            shown=thumbnail(functools.partial(self._pairs.open, row), _SIDE),
            name=name,
            split=self._splits[row] or "",
            captions=shown[:_CAPTIONS],
            folded=shown[_CAPTIONS:],
            more=len(captions) - len(shown),
            findings=self._kinds.get(name, ()),
            words=int(words_of(captions).max(initial=0)),
            height=height,
            width=width,
        )


def short(caption: str) -> str:
    """The first 400 characters of a caption."""
    return caption if len(caption) <= _CHARACTERS else f"{caption[:_CHARACTERS]} ..."
