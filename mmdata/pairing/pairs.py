"""`Pairs`: one row an image, with all its captions, in columns."""

import dataclasses
import html
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmdata import display
from mmdata.pairing import splits
from mmdata.pairing.findings import Finding, Report
from mmdata.pairing.strings import Strings
from mmdata.scan import Scan
from mmdata.scan import scan as scan_files

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Pairs:
    """Images and their captions: what `mmdata.read` returns and `mmdata.build` takes.

    A row is an image with all its captions; a pair is an image with one of them. `len(pairs)`
    counts rows. Holds names and captions only; `split` and `scanned` read the first and last bytes
    of each image, and decode none.

    Attributes:
      root: The folder of images.
      images: Paths relative to `root`, one a row, sorted.
      captions: All captions, row by row.
      offsets: int64 [rows + 1]; the captions of row i are `captions[offsets[i]:offsets[i + 1]]`.
      split_names: Names that `split_of` indexes; empty where nothing was split.
      split_of: int8 [rows], the row's split; None where nothing was split.
      report: What paired, what did not, and why.
      scan: Headers and content keys of the images; None until they are needed.
    """

    root: str
    images: Strings
    captions: Strings
    offsets: NDArray[np.int64]
    split_names: tuple[str, ...] = ()
    split_of: NDArray[np.int8] | None = None
    report: Report
    scan: Scan | None = None

    @classmethod
    def of_rows(
        cls,
        root: str,
        rows: Iterable[tuple[str, Sequence[str]]],
        *,
        layout: str,
        findings: Sequence[Finding] = (),
    ) -> "Pairs":
        """Builds `Pairs` from (image path relative to `root`, its captions), sorted by path."""
        ordered = sorted(rows, key=lambda row: row[0])
        counts = np.fromiter((len(captions) for _, captions in ordered), np.int64, len(ordered))
        return cls(
            root=root,
            images=Strings.of(image for image, _ in ordered),
            captions=Strings.of(text for _, captions in ordered for text in captions),
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            report=Report(layout, len(ordered), int(counts.sum()), tuple(findings)),
        )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def pair_count(self) -> int:
        """Number of (image, caption) pairs, over all rows."""
        return len(self.captions)

    def path(self, row: int) -> str:
        """The image file of a row, as `open` takes it."""
        return os.path.join(self.root, self.images[row])

    @property
    def paths(self) -> list[str]:
        """The image file of every row, as `open` takes it."""
        return [os.path.join(self.root, image) for image in self.images]

    def captions_of(self, row: int) -> list[str]:
        """All captions of a row."""
        row = range(len(self))[row]
        return self.captions[int(self.offsets[row]) : int(self.offsets[row + 1])]

    @property
    def frame(self) -> "pd.DataFrame":
        """A table, one row an image: image (path), captions (list), split where there is one."""
        import pandas as pd

        columns: dict[str, object] = {
            "image": self.paths,
            "captions": [self.captions_of(row) for row in range(len(self))],
        }
        if self.split_of is not None:
            columns["split"] = [self.split_names[i] for i in self.split_of]
        return pd.DataFrame(columns)

    def split(self, ratios: Mapping[str, float] = splits.DEFAULT) -> "Pairs":
        """Assigns every image to a split by the content of its file.

        All captions of an image, and all copies of a file, land on one side. Adding files moves no
        other file. Pairs that are split already keep their splits, and `ratios` is not used.

        Args:
          ratios: Share of the images by name of the split, each above 0, together 1.

        Returns:
          The same rows, with `split_of` filled.

        Raises:
          ValueError: A ratio is not above 0, the ratios do not add up to 1, or a split is empty.
        """
        if self.split_of is not None:
            return self
        scan, pairs = self.scanned()
        names, split_of = splits.assign(scan.keys, ratios)
        return dataclasses.replace(pairs, split_names=names, split_of=split_of)

    def scanned(self) -> tuple[Scan, "Pairs"]:
        """The scan of the images, made now if it was not before, and the pairs that keep it.

        Images that must not be decoded are then findings of the report.
        """
        if self.scan is not None:
            return self.scan, self
        scan = scan_files(self.paths)
        corrupt = [Finding("corrupt", self.images[row], why) for row, why in scan.problems.items()]
        findings = (*self.report.findings, *corrupt)
        report = dataclasses.replace(self.report, findings=findings)
        return scan, dataclasses.replace(self, scan=scan, report=report)

    def subset(self, split: str) -> "Pairs":
        """The rows of one split.

        Raises:
          ValueError: There is no such split.
        """
        if self.split_of is None or split not in self.split_names:
            raise ValueError(
                f"split=... must be one of {list(self.split_names)}; got {split!r}. "
                "Pairs.split({...}) makes splits of other names."
            )
        return self.take(np.flatnonzero(self.split_of == self.split_names.index(split)))

    def take(self, rows: NDArray[np.integer[Any]]) -> "Pairs":
        """The rows at `rows`, ints [k], in that order."""
        places = np.asarray(rows, np.int64)
        counts = np.diff(self.offsets)[places]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        shift = np.repeat(self.offsets[places] - offsets[:-1], counts)
        captions = self.captions.take(np.arange(offsets[-1]) + shift)
        return dataclasses.replace(
            self,
            images=self.images.take(places),
            captions=captions,
            offsets=offsets,
            split_of=None if self.split_of is None else self.split_of[places],
            scan=None if self.scan is None else self.scan.take(places),
            report=dataclasses.replace(self.report, images=len(places), pairs=len(captions)),
        )

    def __repr__(self) -> str:
        return f"<mmdata.Pairs: {len(self):,} images, {self.pair_count:,} captions, {self.root!r}>"

    def gallery(self, count: int = 8) -> str:
        """HTML that shows `count` images, from all over the set, above their captions."""
        shown = range(0, len(self), max(len(self) // max(count, 1), 1))[:count]
        return display.gallery((self.path(row), self.captions_of(row)) for row in shown)

    def _repr_html_(self) -> str:
        return f"{self.gallery()}<pre>{html.escape(str(self.report))}</pre>"
