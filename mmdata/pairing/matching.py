"""`Listing` + a folder of images -> `Pairs`."""

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any, Literal

import numpy as np

from mmdata.pairing import columns
from mmdata.pairing.findings import Finding
from mmdata.pairing.listing import Listing
from mmdata.pairing.names import Names, plain, resolve
from mmdata.pairing.pairs import Pairs, Row
from mmdata.pairing.problems import Problems
from mmdata.pairing.tree import Tree

Numbered = tuple[Row, int]
"""A row, and the number of the entry that its further values come from; -1 for none."""


def match(
    listing: Listing,
    tree: Tree,
    *,
    problems: Problems,
    chosen: Collection[str] | None = None,
) -> Pairs:
    """Pairs image files with the entries of a listing.

    Args:
      listing: What a caption file says. Its names are paths relative to the root of `tree`, see
        `resolve`; one that leaves that folder, be it by a symbolic link, is refused.
      tree: The image files.
      problems: What images without a caption get.
      chosen: Splits to keep; entries of others are counted, not paired. None keeps all.

    Returns:
      The pairs; every image and every entry that found no partner is a finding of its report.
    """
    _require_splits(listing, chosen)
    entries: dict[str, list[int]] = {}
    spelled: dict[str, str] = {}
    for number, name in enumerate(listing.names):
        entries.setdefault(spelled.setdefault(plain(name), name), []).append(number)
    stems = listing.stems
    ids = {name: stems[numbers[0]] if stems else None for name, numbers in entries.items()}
    return _Matching(listing, tree, entries, resolve(ids, tree.images), problems, chosen).pairs()


def _require_splits(listing: Listing, chosen: Collection[str] | None) -> None:
    given = {name for name in listing.splits or () if name}
    if chosen is not None and given and given.isdisjoint(chosen):
        raise ValueError(
            f"split=... must be among {sorted(given)}, the splits of "
            f"{listing.source or 'these files'}; got {sorted(chosen)}."
        )


@dataclasses.dataclass
class _Matching:
    listing: Listing
    tree: Tree
    entries: dict[str, list[int]]
    names: Names
    problems: Problems
    chosen: Collection[str] | None

    def pairs(self) -> Pairs:
        """Turns each name and each file into a row or a finding."""
        listing = self.listing
        findings = [*listing.findings, *self.tree.findings]
        rows: list[Numbered] = []
        others: list[str] = []
        for name, numbers in self.entries.items():
            if not self._is_chosen(numbers):
                others.append(name)
            elif name not in self.names.refused:
                self._pair(name, numbers, rows, findings)
        elsewhere = set(others)
        findings += [
            found
            for found in self.names.findings
            if found.kind != "outside" or found.path not in elsewhere
        ]
        if others:
            detail = f"asked for {', '.join(sorted(self.chosen or ()))}"
            findings.append(Finding("other_split", min(others), detail, len(others)))
        told = (found.path for found in listing.findings if found.kind == "disagreement")
        listed = {*self.names.files.values(), *self.names.ambiguous, *told}
        for file in self.tree.images:
            if file not in listed:
                detail = f"not in {listing.source}" if listing.source else "not in any of the files"
                if self.chosen is None or listing.splits is None:
                    self._without_caption("missing_caption", file, detail, -1, rows, findings)
                else:  # filled or not, it would be in no split that was asked for
                    findings.append(Finding("missing_caption", file, detail))
        rows.sort(key=lambda numbered: numbered[0].image)
        paired = Pairs.of_rows(
            self.tree.root, (row for row, _ in rows), layout=listing.layout, findings=findings
        )
        return with_values(paired, listing, [number for _, number in rows])

    def _is_chosen(self, numbers: Sequence[int]) -> bool:
        given = self.listing.splits
        if self.chosen is None or given is None:
            return True
        return any(given[number] in self.chosen for number in numbers)

    def _pair(
        self, name: str, numbers: Sequence[int], rows: list[Numbered], findings: list[Finding]
    ) -> None:
        listing, file = self.listing, self.names.files.get(name)
        if name in listing.defects:
            findings.append(Finding("known_defect", name, listing.defects[name]))
        if file is None:
            if name not in listing.defects:
                findings.append(Finding("missing_image", name, listing.where(numbers[0])))
            return
        outside = self.tree.leaves(file)
        if outside is not None:
            findings.append(Finding("outside", file, f"a link to {outside!r}"))
            return
        disagreement = self._disagreement(numbers)
        if disagreement:
            findings.append(Finding("disagreement", file, disagreement))
        elif listing.captions is None:
            rows.append((Row(file, []), numbers[0]))
        else:
            given = [text for n in numbers for text in listing.captions[n]]
            texts = [text for text in map(str.strip, given) if text]
            if texts:
                rows.append((Row(file, texts), numbers[0]))
                findings += repeated(file, texts)
            else:
                kind: Literal["empty_caption", "missing_caption"]
                kind = "empty_caption" if given else "missing_caption"
                detail = f"{listing.where(numbers[0])} has no text"
                self._without_caption(kind, file, detail, numbers[0], rows, findings)

    def _disagreement(self, numbers: Sequence[int]) -> str | None:
        """What the entries of one image say differently, if they do."""
        listing = self.listing
        for what, values in (("split", listing.splits), ("weight", listing.weights)):
            if values is not None and len(numbers) > 1:
                for number in numbers[1:]:
                    if values[number] != values[numbers[0]]:
                        first, other = listing.where(numbers[0]), listing.where(number)
                        return (
                            f"{what} {values[numbers[0]]!r} at {first}, "
                            f"{values[number]!r} at {other}"
                        )
        return None

    def _without_caption(
        self,
        kind: Literal["empty_caption", "missing_caption"],
        file: str,
        detail: str,
        number: int,
        rows: list[Numbered],
        findings: list[Finding],
    ) -> None:
        text = self.problems.fill(kind, file)
        if text is None:
            findings.append(Finding(kind, file, detail))
        else:
            findings.append(Finding("filled", file, repr(text)))
            rows.append((Row(file, [text]), number))


def repeated(file: str, captions: Sequence[str]) -> list[Finding]:
    """A notice where a caption stands twice."""
    if len(captions) < 2 or len(set(captions)) == len(captions):
        return []
    twice = next(text for text in captions if captions.count(text) > 1)
    return [Finding("duplicate_caption", file, repr(twice))]


def with_values(pairs: Pairs, listing: Listing, numbers: Sequence[int]) -> Pairs:
    """Adds splits, weights and further columns, taken from the entries at `numbers`."""
    rows = np.array(numbers, np.int64)
    names, split_of = columns.labels(listing.splits or [None] * len(listing.names), rows)
    weights = None
    if listing.weights is not None:
        given = np.array([*listing.weights, 1.0], np.float32)  # the last is that of entry -1
        weights = given[rows]
    kept, found = _columns(listing)
    report = dataclasses.replace(pairs.report, findings=(*pairs.report.findings, *found))
    return dataclasses.replace(
        pairs,
        split_names=names,
        split_of=split_of,
        weights=weights,
        columns={name: columns.take(column, rows) for name, column in kept.items()},
        report=report,
    )


def _columns(listing: Listing) -> tuple[dict[str, columns.Column], list[Finding]]:
    """The columns that have one value of one kind an image; a notice for each other one."""
    first: dict[str, int] = {}
    repeats = [
        (first[name], number)
        for number, name in enumerate(map(plain, listing.names))
        if first.setdefault(name, number) != number
    ]
    kept: dict[str, columns.Column] = {}
    found: list[Finding] = []
    for name, values in listing.columns.items():
        column = columns.column(values)
        if any(_differ(values[a], values[b]) for a, b in repeats):
            detail = f"column {name!r} differs within an image"
            found.append(Finding("ignored", listing.source, detail))
        elif column is None:
            detail = f"column {name!r} holds values of different kinds"
            found.append(Finding("ignored", listing.source, detail))
        else:
            kept[name] = column
    return kept, found


def _differ(left: Any, right: Any) -> bool:
    is_nan = left != left and right != right
    return bool(left != right and not is_nan)
