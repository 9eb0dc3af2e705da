"""`Listing`: the entries of a caption file, before they are matched with image files."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from mmdata.pairs.findings import Finding


class IfAny(frozenset[str]):
    """Splits to keep if the source names splits; if it does not, all images are kept."""


@dataclasses.dataclass(kw_only=True)
class Listing:
    """The entries of one caption file, in its order. Entries of one name are one image.

    Attributes:
      layout: How the file was read, e.g. "coco".
      source: The file's name, for findings.
      names: The image of each entry, as the file spells it.
      captions: The captions of each entry, as the file spells them, or with single spaces if the
        layout has one caption per line. An empty list if the entry has no caption, "" for a blank
        one. None if captions are not wanted.
      places: The place of each entry, a line or an index, for `place`.
      place: Format of what follows `source` for a place, e.g. ":{}" for "captions.csv:17".
      ids: The source's own id of the image of each entry; entries of one name must have one id.
        None if it has no ids.
      stems: The ends of the stems of the images' files, e.g. zero-padded ids, which are used if a
        name is not found; None if there are none.
      splits: The split of each entry, None or "" for no split; None if the file has no splits.
      weights: How much each entry counts; None if the file has no weights.
      columns: Further values of each entry, by name: int, float, bool, str or None.
      classes: The names of a column of labels, in the order of their numbers.
      defects: Names with a known defect, with a description and how to fix it: reported as a
        notice, whether or not the image is found.
      findings: What was wrong with the file, and what was changed on reading.
    """

    layout: str
    source: str
    names: list[str]
    captions: list[list[str]] | None
    places: Sequence[int | str]
    place: str = ":{}"
    ids: Sequence[Any] | None = None
    stems: Sequence[str | None] | None = None
    splits: list[str | None] | None = None
    weights: list[float] | None = None
    columns: dict[str, list[Any]] = dataclasses.field(default_factory=dict)
    classes: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    defects: dict[str, str] = dataclasses.field(default_factory=dict)
    findings: list[Finding] = dataclasses.field(default_factory=list)

    def where(self, entry: int) -> str:
        """The place of an entry, e.g. "captions.csv:17"."""
        return self.source + self.place.format(self.places[entry])


def concatenated(listings: Sequence[Listing]) -> Listing:
    """Joins several files of one layout into one listing; a single one is returned as it is."""
    if len(listings) == 1:
        return listings[0]
    names = dict.fromkeys(name for listing in listings for name in listing.columns)
    wanted = all(listing.captions is not None for listing in listings)
    return Listing(
        layout=listings[0].layout,
        source="",
        names=[name for listing in listings for name in listing.names],
        captions=[texts for listing in listings for texts in listing.captions or ()]
        if wanted
        else None,
        places=[
            listing.where(entry) for listing in listings for entry in range(len(listing.names))
        ],
        place="{}",
        splits=_filled([listing.splits for listing in listings], listings, None),
        weights=_filled([listing.weights for listing in listings], listings, 1.0),
        columns={
            name: _filled([listing.columns.get(name) for listing in listings], listings, None) or []
            for name in names
        },
        classes={
            name: first
            for name, first in listings[0].classes.items()
            if all(listing.classes.get(name) == first for listing in listings)
        },
        findings=[finding for listing in listings for finding in listing.findings],
    )


def _filled(parts: Sequence[list[Any] | None], listings: Sequence[Listing], value: Any) -> Any:
    """Joins the parts, with `value` for each entry of a file whose part is None."""
    if all(part is None for part in parts):
        return None
    return [
        entry
        for part, listing in zip(parts, listings, strict=True)
        for entry in ([value] * len(listing.names) if part is None else part)
    ]
