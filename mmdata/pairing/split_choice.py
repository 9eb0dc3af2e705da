"""The splits of a source, and which of them were chosen."""

import dataclasses
from collections.abc import Collection, Iterable

from mmdata.pairing.file_splits import FileSplits
from mmdata.pairing.listing import IfAny, Listing
from mmdata.pairs.findings import Finding
from mmdata.pairs.pairs import Pairs
from mmdata.pairs.split_names import aliases, split_name


def with_split_names(listing: Listing, *, replaced: bool) -> Listing:
    """The listing with the usual names of its splits, or without splits; a notice reports both."""
    if not any(listing.splits or ()):
        return listing
    renamed = aliases(listing.splits or ())
    detail = ", ".join(f"{name!r} is read as {split!r}" for name, split in renamed.items())
    splits = [name and split_name(name) for name in listing.splits or ()]
    if replaced:
        detail = "splits=... is used instead of the splits of this source"
    found = [Finding("splits", listing.source or ".", detail)] if detail else []
    return dataclasses.replace(
        listing,
        splits=None if replaced else splits,
        findings=[*listing.findings, *found],
    )


def with_contradictions(pairs: Pairs, folders: FileSplits) -> Pairs:
    """Reports images whose split, which the source names, is not that of their folder."""
    differ = [
        (image, split)
        for image, split in zip(pairs.images, pairs.split_labels, strict=True)
        if folders.of(image) not in (None, split)
    ]
    if not differ:
        return pairs
    image, split = differ[0]
    detail = (
        f"{len(differ):,} image(s) are in the folder of another split than the source names, which "
        f"is used: this one is in {split or 'no split'!r}"
    )
    findings = (*pairs.report.findings, Finding("splits", image, detail))
    return dataclasses.replace(pairs, report=dataclasses.replace(pairs.report, findings=findings))


def require_splits(
    splits: Iterable[str | None], chosen: Collection[str] | None, source: str
) -> None:
    """Raises ValueError unless the chosen splits are among those of a source.

    Args:
      splits: The splits of its entries.
      chosen: See `match`.
      source: Its name, for the message.
    """
    given = {name for name in splits if name}
    if chosen is None or (not given and isinstance(chosen, IfAny)):
        return
    if not given:
        raise ValueError(
            f"split=... must name splits of the source; got {sorted(chosen)}, but {source} has no "
            "splits. Leave it out to read all; Pairs.split() makes splits."
        )
    optional = {"train"} if isinstance(chosen, IfAny) else set()  # for a vocabulary
    if set(chosen) - given - optional or given.isdisjoint(chosen):
        raise ValueError(
            f"split=... must be among {sorted(given)}, the splits of {source}; got "
            f"{sorted(chosen)}. Leave it out to read all."
        )


def other_splits(others: Collection[str], chosen: Collection[str] | None) -> Finding:
    """A notice about images that are not in the chosen splits."""
    detail = f"split=... keeps {', '.join(sorted(chosen or ()))}"
    return Finding("other_split", min(others), detail, len(others))
