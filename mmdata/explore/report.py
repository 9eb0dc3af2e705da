"""`mmdata.report`: a page about the data, to read before training."""

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
from mmdata.explore.gallery import Card, Gallery, ShownGroups, short
from mmdata.explore.page import Page, render
from mmdata.explore.survey import Survey, Words
from mmdata.explore.views import View, views
from mmdata.images.verify import verify
from mmdata.pairs.findings import Finding, PairingError, meaning
from mmdata.pairs.near_duplicates import look
from mmdata.pairs.pairs import Pairs
from mmdata.pipeline import build

_VIEWS = 6
_SHOWN_FINDINGS = 1000
_SHOWN_CAPTIONS = 50
_SWATCHES = 600


def report(data: Pairs | Dataset, *, gallery: int = 400, seed: int = 0, **arguments: Any) -> Page:
    """Makes a page about all images and captions: figures, problems, duplicates and examples.

    Decodes every image twice, with progress bars: as `mmdata.verify` does, and for its colours and
    its similarity to others. Figures are exact; the gallery shows some images. The same data give
    the same page.

    Args:
      data: Pairs, or a `Dataset`, which is shown with its own arguments.
      gallery: Maximum number of images to show: up to half with findings, and random others.
      seed: Selects the others.
      arguments: Those of `mmdata.build`, if `data` are Pairs; without on_problem, it drops what it
        cannot use.

    Returns:
      A `Page`, which Jupyter shows, and `save(path)` writes: about 3 MB for 400 images.

    Raises:
      TypeError: `data` is neither; or there are arguments and a Dataset, which has its own.
      ValueError: `gallery` is below 0, or an argument is invalid.
    """
    if not isinstance(data, (Pairs, Dataset)):
        raise TypeError(
            "report(...) takes Pairs, which mmdata.read returns, or a Dataset, which mmdata.build "
            f"returns; got a {type(data).__name__}."
        )
    if isinstance(data, Dataset) and arguments:
        raise TypeError(
            f"report(...) of a Dataset takes no arguments of build; got {sorted(arguments)}. Pass "
            "its .pairs to use other arguments."
        )
    if isinstance(gallery, bool) or not isinstance(gallery, int) or gallery < 0:
        raise ValueError(f"report(gallery=...) must be an int of at least 0; got {gallery!r}.")
    pairs = verify(data if isinstance(data, Pairs) else data.pairs)
    ds, not_built = (data, "") if isinstance(data, Dataset) else _built(pairs, arguments)
    survey = Survey.of(pairs, look(pairs.open, len(pairs)))
    described = _Description(pairs, survey, ds, not_built, gallery, seed)
    return Page(render(described), described.numbers)


def _built(pairs: Pairs, arguments: Mapping[str, Any]) -> tuple[Dataset | None, str]:
    """The dataset that `build` makes of pairs, or its error message."""
    if not pairs.pair_count:
        return None, ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the charts show it
            return build(pairs, **{"on_problem": "drop", **arguments}), ""
    except PairingError as err:
        return None, str(err)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Kind:
    """Findings of one kind; `left_out` is the number of further ones."""

    name: str
    meaning: str
    count: int
    is_problem: bool
    findings: Sequence[Finding]
    left_out: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class _WordLists:
    """A summary of the words of a dataset, and lists of words with names."""

    summary: str
    lists: Sequence[tuple[str, Sequence[tuple[str, int]]]]


class _Description:
    """The values that the template shows, as attributes."""

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
        self._words = Words.of(pairs.captions, ds if ds is not None and ds.has_tokens else None)
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
        ds = self._ds
        return {
            "images": self.images,
            "captions": self._pairs.pair_count,
            "fingerprint": self._pairs.fingerprint,
            "splits": {
                name: {"images": images, "captions": captions}
                for name, (images, captions) in survey.splits.items()
            },
            "problems": self._count_findings(problems=True),
            "notices": self._count_findings(problems=False),
            "findings": {kind.name: kind.count for kind in self.findings},
            "words": {
                "different": len(words.counts),
                "in all": words.counts.total(),
                "once": words.once,
                "unknown": None if words.unknown is None else len(words.unknown),
            },
            "copies": len(survey.copies),
            "alike": None if survey.alike is None else len(survey.alike),
            "captions_of_several_images": self.repeated_count,
            "fit": None if ds is None or not ds.has_tokens else ds.length_report.to_dict(),
        }

    @functools.cached_property
    def figures(self) -> list[tuple[str, str, str]]:
        """The figures at the top: (split or "", name, value) of each."""
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
                    findings=found[:_SHOWN_FINDINGS],
                    left_out=max(len(found) - _SHOWN_FINDINGS, 0),
                )
            )
        return kinds

    def _count_findings(self, *, problems: bool) -> int:
        return sum(kind.count for kind in self.findings if kind.is_problem is problems)

    @property
    def splits(self) -> list[str]:
        """The names of the splits."""
        return list(self._survey.splits)

    @functools.cached_property
    def kinds(self) -> list[str]:
        """The kinds of findings of the images in the gallery."""
        found = {kind for card in self.cards for kind in card.findings}
        return [kind.name for kind in self.findings if kind.name in found]

    @functools.cached_property
    def cards(self) -> list[Card]:
        """The images in the gallery."""
        return self._gallery.some(self._count, self._seed)

    @functools.cached_property
    def copies(self) -> ShownGroups:
        """Groups of images with the same content."""
        return self._gallery.groups(self._survey.copies)

    @functools.cached_property
    def alike(self) -> ShownGroups | None:
        """Groups of images that look alike; None without a search."""
        alike = self._survey.alike
        return None if alike is None else self._gallery.groups(alike)

    not_alike = 'The search needs more libraries: pip install "mmdata[duplicates]".'

    @functools.cached_property
    def _repeated(self) -> list[tuple[str, int]]:
        return self._survey.captions_of_several_images()

    @property
    def repeated_count(self) -> int:
        """Number of captions that several images have."""
        return len(self._repeated)

    @property
    def repeated(self) -> list[tuple[str, int]]:
        """The first of these captions, with the number of their images."""
        return [(short(caption), count) for caption, count in self._repeated[:_SHOWN_CAPTIONS]]

    @property
    def leaked(self) -> str:
        """A sentence about images and captions in more than one split."""
        kinds = [leak.kind for leak in self._survey.leaks]
        images, captions = kinds.count("leaked_image"), kinds.count("leaked_caption")
        return (
            f"{images:,} images with the same content and {captions:,} captions: see the findings. "
            f"Also {self._survey.alike_across:,} groups of images that look alike."
        )

    @functools.cached_property
    def views(self) -> list[View]:
        """Examples: the files, and what the model gets."""
        return [] if self._ds is None else views(self._ds, _VIEWS)

    @property
    def settings(self) -> str:
        """The settings of the dataset."""
        if self._ds is None:
            return ""
        pixels = self._ds.pixels
        sizes = ", ".join(f"{height}x{width}" for height, width in self._ds.image_sizes)
        text = (
            f"{type(self._ds.task).__name__}; images of {sizes} (height x width), "
            f'fit="{pixels.fit}", {pixels.interpolation}, normalize="{pixels.normalize}"'
        )
        if not self._ds.has_tokens:
            return f"{text}."
        return f"{text}; {self._ds.tokenizer}, sequence_length={self._ds.text.sequence_length}."

    @functools.cached_property
    def words(self) -> _WordLists | None:
        """The words of the captions; None without captions."""
        words = self._words
        if not words.counts:
            return None
        summary = (
            f"{len(words.counts):,} different words, {words.counts.total():,} in total; "
            f"{words.once:,} occur once."
        )
        lists = [("Most common", words.most_common), ("Rarest", words.rarest)]
        if words.unknown is not None and self._ds is not None:
            unknown = f"{len(words.unknown):,} words have parts that are unknown to"
            summary += f" {unknown} {self._ds.tokenizer}."
            lists.append(("Unknown to the tokenizer", words.unknown.most_common(len(lists[0][1]))))
        return _WordLists(summary=summary, lists=lists)

    @functools.cached_property
    def swatches(self) -> list[str]:
        """Mean colours of some images, sorted by hue."""
        colors = self._survey.looks.colors[self._survey.looks.seen]
        some = colors[:: max(len(colors) // _SWATCHES, 1)][:_SWATCHES] / 255.0
        ordered = sorted(some.tolist(), key=lambda color: colorsys.rgb_to_hsv(*color))
        return ["#" + "".join(f"{round(255 * part):02x}" for part in color) for color in ordered]

    @functools.cached_property
    def charts(self) -> list[Chart]:
        """The charts."""
        return drawings(self._survey, self._ds)
