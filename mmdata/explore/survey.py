"""`Survey`: exact figures about pairs before training, for data of any size."""

import contextlib
import dataclasses
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.dataset import Dataset
from mmdata.pairs.findings import Finding
from mmdata.pairs.near_duplicates import Looks, clusters_of
from mmdata.pairs.pairs import Pairs
from mmdata.pairs.splits import caption_keys
from mmdata.sampling.size_buckets import upright_sizes

_PUNCTUATION = (
    r"!-&(-,./:-@\[-`{-~\u00a1-\u00bf\u2000-\u2018\u201a-\u206f\u3000-\u303f\uff00-\uff0f"
    r"\u060c\u061b\u061f\u06d4\u0964\u0965"
)
_WORD = re.compile(rf"[^\W_][^\s{_PUNCTUATION}]*")
"""From a letter or digit to the next space or punctuation. Combining marks are not punctuation;
scripts without spaces have long words."""

_WORDS = 8192
_SHOWN_WORDS = 30
_LUMA = np.array([0.299, 0.587, 0.114])

Groups = list[list[int]]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Survey:
    """Figures about n images and their captions.

    Attributes:
      pairs: The pairs.
      looks: How each image looks.
      leaks: Images and captions in more than one split.
      copies: Groups of images with the same content, a list of rows each.
      alike: Groups of images that look alike and are not all copies, a list of rows each; None if
        the libraries for the search are not installed.
    """

    pairs: Pairs
    looks: Looks
    leaks: list[Finding]
    copies: Groups
    alike: Groups | None

    @classmethod
    def of(cls, pairs: Pairs, looks: Looks) -> "Survey":
        """Computes the figures of pairs that were scanned."""
        scan, _ = pairs.scanned()
        alike = None
        with contextlib.suppress(ImportError):
            likeness = clusters_of(looks)
            alike = [rows for rows in _groups(likeness) if len(set(scan.keys[rows].tolist())) > 1]
        return cls(
            pairs=pairs,
            looks=looks,
            leaks=pairs.leaks(),
            copies=_groups(scan.keys),
            alike=alike,
        )

    @property
    def alike_across(self) -> int:
        """Number of groups of images that look alike and are in more than one split."""
        if self.alike is None or self.pairs.split_of is None:
            return 0
        return sum(len(set(self.pairs.split_of[rows].tolist()) - {-1}) > 1 for rows in self.alike)

    @property
    def sizes(self) -> NDArray[np.int32]:
        """Height and width of the images with a valid header, upright, int32 [k, 2]."""
        sizes = upright_sizes(self.pairs.scanned()[0])
        return sizes[(sizes > 0).all(1)]

    @property
    def captions_per_image(self) -> NDArray[np.int64]:
        """Number of captions of each image, int64 [n]."""
        return np.diff(self.pairs.offsets)

    @property
    def brightness(self) -> NDArray[np.float64]:
        """Mean brightness of the images that can be decoded, 0-1, float64 [k].

        Source: luma of Rec. ITU-R BT.601 of the mean colour.
        """
        brightness: NDArray[np.float64] = self.looks.colors[self.looks.seen] @ _LUMA / 255
        return brightness

    @property
    def splits(self) -> dict[str, tuple[int, int]]:
        """Number of images and of captions in each split; empty without splits."""
        if self.pairs.split_of is None:
            return {}
        found = {}
        for place, name in enumerate(self.pairs.split_names):
            inside = self.pairs.split_of == place
            captions = int(self.captions_per_image[inside].sum())
            found[name] = int(inside.sum()), captions
        return found

    def captions_of_several_images(self) -> list[tuple[str, int]]:
        """Captions with the number of their images, most images first; ignores case and spaces."""
        captions = self.pairs.captions
        if not len(captions):
            return []
        keys = caption_keys(captions)
        image_of = np.repeat(np.arange(len(self.pairs)), self.captions_per_image)
        order = np.lexsort((image_of, keys))
        keys, image_of = keys[order], image_of[order]
        is_new = np.append(True, (keys[1:] != keys[:-1]) | (image_of[1:] != image_of[:-1]))
        keys, order = keys[is_new], order[is_new]
        _, first, images = np.unique(keys, return_index=True, return_counts=True)
        several = np.flatnonzero((images > 1) & (keys[first] != 0))
        several = several[np.argsort(-images[several], kind="stable")]
        return [
            (" ".join(captions[order[place]].split()), int(count))
            for place, count in zip(first[several], images[several], strict=True)
        ]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Words:
    """The words of captions, in lower case, and those that a tokenizer does not fully know.

    Attributes:
      counts: How often each word occurs in the captions.
      unknown: The same, for words with a part that is not in the vocabulary; None if there is no
        tokenizer, or no text is unknown to it.
    """

    counts: Counter[str]
    unknown: Counter[str] | None

    @classmethod
    def of(cls, captions: Iterable[str], ds: Dataset | None) -> "Words":
        """Counts the words of captions; `ds` has the tokenizer."""
        counts: Counter[str] = Counter()
        for caption in captions:
            counts.update(_words(caption.lower()))
        return cls(counts=counts, unknown=None if ds is None else _unknown(counts, ds))

    @property
    def most_common(self) -> list[tuple[str, int]]:
        """The most common words."""
        return self.counts.most_common(_SHOWN_WORDS)

    @property
    def rarest(self) -> list[tuple[str, int]]:
        """The rarest words; equally rare ones in alphabetical order."""
        return sorted(self.counts.items(), key=lambda item: (item[1], item[0]))[:_SHOWN_WORDS]

    @property
    def once(self) -> int:
        """Number of words that occur once."""
        return sum(count == 1 for count in self.counts.values())


def words_of(captions: Iterable[str]) -> NDArray[np.int64]:
    """Number of words in each caption, int64 [n]."""
    return np.array([len(_words(caption)) for caption in captions], np.int64)


def _words(caption: str) -> list[str]:
    return [word.rstrip("-'\u2019") for word in _WORD.findall(caption)]


def _unknown(counts: Counter[str], ds: Dataset) -> Counter[str] | None:
    tokenizer, cleaner = ds.tokenizer, ds.text.cleaner
    if tokenizer.unknown_id is None:
        return None
    words, unknown = list(counts), Counter[str]()
    for begin in range(0, len(words), _WORDS):
        part: Any = words[begin : begin + _WORDS]
        example = {"caption": part} if cleaner is None else cleaner({"caption": part})
        ids = tokenizer.tokenize(example["caption"])
        for word, found in zip(part, ids.to_list(), strict=True):
            if tokenizer.unknown_id in found:
                unknown[word] = counts[word]
    return unknown


def _groups(labels: NDArray[np.int64]) -> Groups:
    """Groups of two or more positions with the same label; 0 means no label."""
    order = np.argsort(labels, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    several = [part.tolist() for part in parts if len(part) > 1 and labels[part[0]]]
    return sorted(several)
