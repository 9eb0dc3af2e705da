"""Scores of captions: BLEU, ROUGE-L and CIDEr-D, as the COCO evaluation server counts them."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from mmdata.progress import progress
from mmdata.training.ptb_tokens import ptb_tokens

_LONGEST = 4  # words of an n-gram
_BETA = 1.2  # how much more recall counts than precision, in ROUGE-L
_SIGMA = 6.0  # words by which lengths may differ, in CIDEr-D

NGrams = Counter[tuple[str, ...]]


def caption_scores(
    captions: Sequence[str], references: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Scores captions against all references of their images, as coco-caption does.

    All scores are fractions, as coco-caption prints them: papers show them times 100. BLEU and
    ROUGE-L are at most 1; CIDEr-D is at most 10, and good captions of COCO reach 1. CIDEr-D weighs
    words by how few of these images have them in their references, so it is 0 for one image, and
    scores of different sets of images do not compare.

    Args:
      captions: One caption per image.
      references: One or more references per image, in the same order.

    Returns:
      "bleu_1" to "bleu_4", of the whole corpus; "rouge_l" and "cider_d", means over the images.

    Raises:
      ValueError: There are no captions, their number is not that of the images, or an image has no
        references.

    Source: Papineni et al. 2002 (BLEU), Lin 2004 (ROUGE-L), Vedantam et al. 2015, arXiv:1411.5726
    (CIDEr-D), with the tokens and constants of coco-caption, github.com/tylin/coco-caption. Equal
    to its scores on COCO's val2017, apart from rounding.
    """
    if not captions or len(captions) != len(references) or not all(references):
        counts = [len(group) for group in references]
        raise ValueError(
            "caption_scores(captions, references) must have a caption and at least one reference "
            f"for each image; got {len(captions)} captions and {len(counts)} images, with "
            f"{min(counts, default=0)} or more references."
        )
    texts = ptb_tokens(captions)
    flat = iter(ptb_tokens([reference for group in references for reference in group]))
    groups = [[next(flat) for _ in group] for group in references]
    ours = [_ngrams(text) for text in texts]
    theirs = [[_ngrams(text) for text in group] for group in groups]
    rouge = [_rouge_l(text, group) for text, group in zip(texts, groups, strict=True)]
    bleu = {f"bleu_{n}": score for n, score in enumerate(_bleu(ours, theirs), start=1)}
    return {**bleu, "rouge_l": float(np.mean(rouge)), "cider_d": _cider_d(ours, theirs)}


def _ngrams(text: str) -> NGrams:
    """How often each sequence of 1 to 4 words occurs."""
    words = text.split()
    return Counter(
        tuple(words[i : i + n]) for n in range(1, _LONGEST + 1) for i in range(len(words) - n + 1)
    )


def _length(ngrams: NGrams) -> int:
    return sum(count for ngram, count in ngrams.items() if len(ngram) == 1)


def _bleu(captions: list[NGrams], references: list[list[NGrams]]) -> list[float]:
    """BLEU-1 to BLEU-4 of the corpus."""
    right, total = np.zeros(_LONGEST), np.zeros(_LONGEST)
    length = wanted = 0
    for caption, group in zip(captions, references, strict=True):
        words = _length(caption)
        length += words
        _, closest = min((abs(n - words), n) for n in map(_length, group))
        wanted += closest
        most = group[0].copy()
        for reference in group[1:]:
            most |= reference
        for ngram, count in (caption & most).items():
            right[len(ngram) - 1] += count
        total += np.maximum(words - np.arange(_LONGEST), 0)
    precisions = np.cumprod((right + 1e-15) / (total + 1e-9))
    ratio = (length + 1e-15) / (wanted + 1e-9)
    brevity = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    return [float(p ** (1 / n)) * brevity for n, p in enumerate(precisions, start=1)]


def _rouge_l(caption: str, references: list[str]) -> float:
    """ROUGE-L of an image: best precision and best recall may be of different references."""
    words = caption.split(" ")
    common = [(_longest_common(words, other), len(other)) for other in map(_split, references)]
    precision = max(count for count, _ in common) / len(words)
    recall = max(count / length for count, length in common)
    if not precision or not recall:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def _split(text: str) -> list[str]:
    return text.split(" ")  # "" has one word, as in coco-caption


def _longest_common(words: list[str], others: list[str]) -> int:
    """The number of words of the longest common subsequence."""
    row = [0] * (len(others) + 1)
    for word in words:
        diagonal = 0
        for i, other in enumerate(others, start=1):
            above = row[i]
            row[i] = diagonal + 1 if word == other else max(above, row[i - 1])
            diagonal = above
    return row[-1]


def _cider_d(captions: list[NGrams], references: list[list[NGrams]]) -> float:
    """The mean of CIDEr-D over images."""
    documents: NGrams = Counter()
    for group in references:
        documents.update(set().union(*group))
    images = math.log(len(captions))
    rarity = {ngram: images - math.log(count) for ngram, count in documents.items()}
    work = zip(captions, references, strict=True)
    scores = []
    for caption, group in progress(work, total=len(captions), what="CIDEr-D", unit="image"):
        vector = _Vector(caption, rarity, images)
        similar = [vector.similarity(_Vector(reference, rarity, images)) for reference in group]
        scores.append(10 * float(np.mean(similar)))
    return float(np.mean(scores))


class _Vector:
    """The n-grams of a text, each with its count times its rarity, and their norm for each n."""

    def __init__(self, ngrams: NGrams, rarity: dict[tuple[str, ...], float], unseen: float) -> None:
        self.weights = {ngram: n * rarity.get(ngram, unseen) for ngram, n in ngrams.items()}
        self.length = _length(ngrams)
        squares = [0.0] * _LONGEST
        for ngram, weight in self.weights.items():
            squares[len(ngram) - 1] += weight**2
        self.norms = [math.sqrt(square) for square in squares]

    def similarity(self, reference: "_Vector") -> float:
        """The mean over n of the clipped cosine, less if lengths differ."""
        sums = [0.0] * _LONGEST
        for ngram, weight in self.weights.items():
            other = reference.weights.get(ngram)
            if other is not None:
                sums[len(ngram) - 1] += min(weight, other) * other
        norms = [ours * theirs for ours, theirs in zip(self.norms, reference.norms, strict=True)]
        cosines = [total / norm for total, norm in zip(sums, norms, strict=True) if norm]
        # coco-caption takes the number of pairs of words for the length: 0 for one word.
        difference = max(self.length - 1, 0) - max(reference.length - 1, 0)
        return math.exp(-(difference**2) / (2 * _SIGMA**2)) * sum(cosines) / _LONGEST
