"""`mmdata.report`: a page to look at before a training."""

import colorsys
import dataclasses
import functools
import importlib.metadata
import itertools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmdata.dataset import Dataset
from mmdata.explore.charts import Chart
from mmdata.explore.drawings import drawings
from mmdata.explore.gallery import Card, Gallery, Shown, short
from mmdata.explore.page import Page, render
from mmdata.explore.survey import Survey, Words
from mmdata.explore.views import View, views
from mmdata.images.verify import verify
from mmdata.pairs.findings import Finding, PairingError, meaning
from mmdata.pairs.near_duplicates import look
from mmdata.pairs.pairs import Pairs
from mmdata.pipeline import build

_VIEWS = 6
_NAMED = 1000
_SAID = 50
_SWATCHES = 600


def report(data: Pairs | Dataset, *, gallery: int = 400, seed: int = 0, **arguments: Any) -> Page:
    """Looks at all images and captions, and says what is there, what is broken and what repeats.

    Decodes every image twice, with progress bars: as `mmdata.verify` does, and for its colours and
    likeness. Figures are exact; pictures are of some images. The same data give the same page.

    Args:
      data: Pairs, or a `Dataset`, which shows what its own arguments make of them.
      gallery: Images to show, at most: those with findings, up to half, and others at random.
      seed: Which others.
      arguments: Those of `mmdata.build`, where `data` are Pairs; it drops what it cannot use.

    Returns:
      A `Page`, which Jupyter shows, and `save(path)` writes: about 3 MB for 400 images.

    Raises:
      TypeError: `data` is neither; or arguments come with a Dataset, which has its own.
      ValueError: `gallery` is below 0, or an argument is out of range.
    """
    if not isinstance(data, (Pairs, Dataset)):
        raise TypeError(
            "report(...) takes Pairs, which mmdata.read returns, or a Dataset, which mmdata.build "
            f"returns; got a {type(data).__name__}."
        )
    if isinstance(data, Dataset) and arguments:
        raise TypeError(
            f"report(...) of a Dataset takes no arguments of build; got {sorted(arguments)}. Pass "
            "its .pairs."
        )
    if isinstance(gallery, bool) or not isinstance(gallery, int) or gallery < 0:
        raise ValueError(f"report(gallery=...) takes an int of at least 0; got {gallery!r}.")
    pairs = verify(data if isinstance(data, Pairs) else data.pairs)
    ds, not_built = (data, "") if isinstance(data, Dataset) else _built(pairs, arguments)
    survey = Survey.of(pairs, look(pairs.open, len(pairs)))
    described = _Description(pairs, survey, ds, not_built, gallery, seed)
    return Page(render(described), described.numbers)


def _built(pairs: Pairs, arguments: Mapping[str, Any]) -> tuple[Dataset | None, str]:
    """What `build` makes of pairs, or why it makes nothing."""
    if not pairs.pair_count:
        return None, ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they say stands in the charts
            return build(pairs, **{"on_problem": "drop", **arguments}), ""
    except PairingError as err:
        return None, str(err)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Kind:
    """Findings of one kind; `left_out` are those that are not among them."""

    name: str
    meaning: str
    count: int
    is_problem: bool
    findings: Sequence[Finding]
    left_out: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Listed:
    """Words of a dataset, in lists with names."""

    told: str
    lists: Sequence[tuple[str, Sequence[tuple[str, int]]]]


class _Description:
    """What the template shows, by name."""

    def __init__(
        self,
        pairs: Pairs,
        survey: Survey,
        ds: Dataset | None,
        not_built: str,
        gallery: int,
        seed: int,
    ) -> None:
        self._pairs = pairs
        self._survey = survey
        self._ds = ds
        self._count = gallery
        self._seed = seed
        self._findings = [*pairs.report.findings, *survey.leaks]
        self._gallery = Gallery(pairs, self._findings)
        self._words = Words.of(pairs.captions, ds if ds is not None and _speaks(ds) else None)
        self.not_built = not_built
        self.images = len(pairs)
        self.title = f"{len(pairs):,} images with {pairs.pair_count:,} captions"
        self.root = pairs.root
        self.layout = pairs.report.layout
        self.made = (
            f"Made by mmdata {importlib.metadata.version('mmdata')}. Fingerprint of names, "
            f"contents, captions and splits: {pairs.fingerprint}."
        )

    @functools.cached_property
    def numbers(self) -> dict[str, Any]:
        """All figures, as plain values."""
        survey, words = self._survey, self._words
        fit = (
            self._ds.length_report.to_dict() if self._ds is not None and _speaks(self._ds) else None
        )
        return {
            "images": self.images,
            "captions": self._pairs.pair_count,
            "fingerprint": self._pairs.fingerprint,
            "splits": {
                name: {"images": images, "captions": captions}
                for name, (images, captions) in survey.splits.items()
            },
            "problems": self._told(problems=True),
            "notices": self._told(problems=False),
            "findings": {kind.name: kind.count for kind in self.findings},
            "words": {
                "different": len(words.counts),
                "in all": words.counts.total(),
                "once": words.once,
                "unknown": None if words.unknown is None else len(words.unknown),
            },
            "copies": len(survey.copies),
            "alike": None if survey.alike is None else len(survey.alike),
            "captions_of_several_images": self.said_count,
            "fit": fit,
        }

    @functools.cached_property
    def figures(self) -> list[tuple[str, str, str]]:
        """The figures on top: the split, or "", the name and the value of each."""
        found = [
            ("", "Images", f"{self.images:,}"),
            ("", "Captions", f"{self._pairs.pair_count:,}"),
            ("", "Problems", f"{self.numbers['problems']:,}"),
            ("", "Notices", f"{self.numbers['notices']:,}"),
        ]
        for split, (images, captions) in self._survey.splits.items():
            found.append((split, "images / captions", f"{images:,} / {captions:,}"))
        if len(sizes := self._survey.sizes):
            height, width = np.median(sizes, axis=0)
            found.append(("", "Median width x height", f"{width:.0f}x{height:.0f}"))
        return found

    @functools.cached_property
    def findings(self) -> list[_Kind]:
        """All findings, by kind."""
        by_kind = itertools.groupby(self._findings, lambda finding: finding.kind)
        kinds = []
        for name, of_kind in by_kind:
            found = list(of_kind)
            kinds.append(
                _Kind(
                    name=name,
                    meaning=meaning(name),
                    count=sum(finding.count for finding in found),
                    is_problem=found[0].is_problem,
                    findings=found[:_NAMED],
                    left_out=max(len(found) - _NAMED, 0),
                )
            )
        return kinds

    def _told(self, *, problems: bool) -> int:
        return sum(kind.count for kind in self.findings if kind.is_problem is problems)

    @property
    def splits(self) -> list[str]:
        """The names of the splits."""
        return list(self._survey.splits)

    @functools.cached_property
    def kinds(self) -> list[str]:
        """The kinds of findings that images of the gallery have."""
        there = {kind for card in self.cards for kind in card.findings}
        return [kind.name for kind in self.findings if kind.name in there]

    @functools.cached_property
    def cards(self) -> list[Card]:
        """The gallery."""
        return self._gallery.some(self._count, self._seed)

    @functools.cached_property
    def copies(self) -> Shown:
        """Images of one content."""
        return self._gallery.groups(self._survey.copies)

    @functools.cached_property
    def alike(self) -> Shown | None:
        """Images that look alike."""
        alike = self._survey.alike
        return None if alike is None else self._gallery.groups(alike)

    not_alike = 'Install what finds them: pip install "mmdata[duplicates]".'

    @functools.cached_property
    def _said(self) -> list[tuple[str, int]]:
        return self._survey.said_of_several()

    @property
    def said_count(self) -> int:
        """How many captions stand beside several images."""
        return len(self._said)

    @property
    def said(self) -> list[tuple[str, int]]:
        """The first of them."""
        return [(short(caption), count) for caption, count in self._said[:_SAID]]

    @property
    def leaked(self) -> str:
        """What stands in more than one split."""
        kinds = [leak.kind for leak in self._survey.leaks]
        images, captions = kinds.count("leaked_image"), kinds.count("leaked_caption")
        return (
            f"{images:,} images, by content, and {captions:,} captions: see the findings. Of the "
            f"groups that look alike, {self._survey.alike_across:,} are."
        )

    @functools.cached_property
    def views(self) -> list[View]:
        """Files beside what the model gets."""
        return [] if self._ds is None else views(self._ds, _VIEWS)

    @property
    def settings(self) -> str:
        """How the dataset was made."""
        if self._ds is None:
            return ""
        pixels = self._ds.pixels
        sizes = ", ".join(f"{height}x{width}" for height, width in self._ds.image_sizes)
        told = (
            f"{type(self._ds.task).__name__}; images of {sizes} (height x width), "
            f'fit="{pixels.fit}", {pixels.interpolation}, normalize="{pixels.normalize}"'
        )
        if not _speaks(self._ds):
            return f"{told}."
        return f"{told}; {self._ds.tokenizer}, sequence_length={self._ds.text.sequence_length}."

    @functools.cached_property
    def words(self) -> _Listed | None:
        """Vocabulary; None without captions."""
        words = self._words
        if not words.counts:
            return None
        told = (
            f"{len(words.counts):,} different words, {words.counts.total():,} in all; "
            f"{words.once:,} stand there once."
        )
        lists = [("Commonest", words.commonest), ("Rarest", words.rarest)]
        if words.unknown is not None and self._ds is not None:
            told += (
                f" {len(words.unknown):,} words have parts that {self._ds.tokenizer} does not know."
            )
            lists.append(("Unknown to the tokenizer", words.unknown.most_common(len(lists[0][1]))))
        return _Listed(told=told, lists=lists)

    @functools.cached_property
    def swatches(self) -> list[str]:
        """Mean colours, by hue."""
        colors = self._survey.looks.colors[self._survey.looks.seen]
        some = colors[:: max(len(colors) // _SWATCHES, 1)][:_SWATCHES] / 255.0
        ordered = sorted(some.tolist(), key=lambda color: colorsys.rgb_to_hsv(*color))
        return ["#" + "".join(f"{round(255 * part):02x}" for part in color) for color in ordered]

    @functools.cached_property
    def charts(self) -> list[Chart]:
        """All that is drawn."""
        return drawings(self._survey, self._ds)


def _speaks(ds: Dataset) -> bool:
    """Whether a dataset has text."""
    return ds.task.has_text
