"""`Listing` + a folder of images -> `Pairs`."""

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal

import numpy as np

from mmdata.files.links import outside_detail
from mmdata.pairing.file_splits import FileSplits, by_folders, folder_counts
from mmdata.pairing.listing import IfAny, Listing
from mmdata.pairing.moved_folders import relative_to
from mmdata.pairing.names import Names, plain, resolve
from mmdata.pairing.problems import Problems
from mmdata.pairing.texts import why_without_text, with_text
from mmdata.pairing.tree import Tree
from mmdata.pairs import columns
from mmdata.pairs.findings import Finding, Notes
from mmdata.pairs.pairs import Pairs, Row
from mmdata.pairs.split_names import aliases, split_name

Numbered = tuple[Row, int]
"""A row, and the number of the entry that gives its further values; -1 for no entry."""


def match(
    listing: Listing,
    tree: Tree,
    *,
    problems: Problems,
    chosen: Collection[str] | None = None,
    files: FileSplits | None = None,
) -> Pairs:
    """Pairs image files with the entries of a listing.

    Args:
      listing: The entries of a caption file. Their names are paths relative to the root of `tree`,
        see `resolve`; a path that leaves that folder, also by a symbolic link, is refused.
      tree: The image files.
      problems: The captions for images without one.
      chosen: Splits to keep; entries of other splits are counted, not paired. None keeps all.
      files: The splits of the images, which replace those of the listing; None recognises folders
        that are splits, if the listing has no splits.

    Returns:
      The pairs; every image and every entry without a match is a finding in its report.
    """
    listing = _with_split_names(listing, replaced=files is not None)
    if files is None and listing.splits is None:
        files = by_folders(folder_counts(tree.images))
    given = listing.splits or () if files is None else files.names
    require_splits(given, chosen, listing.source or "these files")
    names = map(tree.unaliased, relative_to(tree.root, listing.names))
    listing = dataclasses.replace(listing, names=list(names))
    entries: dict[str, list[int]] = {}
    spelled: dict[str, str] = {}
    for number, name in enumerate(listing.names):
        entries.setdefault(spelled.setdefault(plain(name), name), []).append(number)
    stems = listing.stems
    ids = {name: stems[numbers[0]] if stems else None for name, numbers in entries.items()}
    names_found = resolve(ids, tree.images)
    return _Matching(listing, tree, entries, names_found, problems, chosen, files).pairs()


def _with_split_names(listing: Listing, *, replaced: bool) -> Listing:
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


@dataclasses.dataclass
class _Matching:
    listing: Listing
    tree: Tree
    entries: dict[str, list[int]]
    names: Names
    problems: Problems
    chosen: Collection[str] | None
    files: FileSplits | None
    rows: list[Numbered] = dataclasses.field(default_factory=list)
    notes: Notes = dataclasses.field(default_factory=Notes)

    def pairs(self) -> Pairs:
        """Turns each name and each file into a row or a finding."""
        others: set[str] = set()
        for name, numbers in self.entries.items():
            if not self._is_chosen(name, numbers):
                others.add(name)
            elif name not in self.names.refused:
                self._pair(name, numbers)
        others |= self._add_unlisted()
        of_splits = () if self.files is None else self.files.findings
        findings = *self.listing.findings, *self.tree.findings, *self.names.findings, *of_splits
        for finding in findings:
            if finding.kind != "outside" or finding.path not in others:
                self.notes.add(finding)
        if others:
            self.notes.add(other_splits(others, self.chosen))
        if self.listing.weights:
            low, high = min(self.listing.weights), max(self.listing.weights)
            detail = f"{low:g} to {high:g}; weight_column=None ignores them"
            self.notes.add(Finding("weights", self.listing.source or ".", detail))
        self.rows.sort(key=lambda numbered: numbered[0].image)
        paired = Pairs.of_rows(
            self.tree.root,
            (row for row, _ in self.rows),
            layout=self.listing.layout,
            findings=self.notes.findings(),
        )
        pairs = with_values(paired, self.listing, [number for _, number in self.rows])
        return pairs if self.files is None else self.files.label(pairs)

    def _is_chosen(self, name: str, numbers: Sequence[int]) -> bool:
        if self.files is not None and self.files.names:
            file = self.names.files.get(name, plain(name))
            return file in self.files.refused or self.files.keeps(file, self.chosen)
        given = self.listing.splits
        if self.chosen is None or given is None:
            return True
        return any(given[number] in self.chosen for number in numbers)

    def _pair(self, name: str, numbers: Sequence[int]) -> None:
        listing, file = self.listing, self.names.files.get(name)
        if name in listing.defects:
            self.notes.add(Finding("known_defect", name, listing.defects[name]))
        target = self.tree.target_outside(file or plain(name))
        if target is not None:
            self.notes.add(Finding("outside", file or name, outside_detail(target)))
            return
        if file is None:
            if name not in listing.defects:
                self.notes.add(Finding("missing_image", name, listing.where(numbers[0])))
            return
        if self.files is not None and file in self.files.refused:
            return  # a finding of the lists
        disagreement = self._disagreement(numbers)
        if disagreement:
            self.notes.add(Finding("disagreement", file, disagreement))
        elif listing.captions is None:
            self.rows.append((Row(file, []), numbers[0]))
        else:
            given = [text for n in numbers for text in listing.captions[n]]
            if given and len(numbers) > 1:
                for number in (n for n in numbers if not listing.captions[n]):
                    detail = f"{listing.where(number)} has no caption"
                    self.notes.add(Finding("blank_caption", file, detail))
            self._add(file, given, numbers[0])

    def _add(self, file: str, given: Sequence[str], number: int) -> None:
        texts, others = with_text(given)
        if not texts:
            kind: Literal["empty_caption", "missing_caption"]
            kind = "empty_caption" if given else "missing_caption"
            where = self.listing.where(number)
            self._fill(kind, file, f"{where} {why_without_text(others)}", number)
            return
        self.rows.append((Row(file, texts), number))
        for finding in repeated(file, texts):
            self.notes.add(finding)
        for other in others:
            self.notes.count("blank_caption", why_without_text([other]) if other else "", file)

    def _add_unlisted(self) -> set[str]:
        """Adds the images that no entry names, as rows or findings; returns those of other splits.

        A folder or a list gives them a split; without these, they are in no split.
        """
        others: set[str] = set()
        files = self.files if self.files is not None and self.files.names else None
        source = self.listing.source
        reported = (found.path for found in self.listing.findings if found.kind == "disagreement")
        listed = {*self.names.files.values(), *self.names.ambiguous, *reported}
        for file in self.tree.images:
            if file in listed or (files is not None and file in files.refused):
                continue
            if files is not None and not files.keeps(file, self.chosen):
                others.add(file)
                continue
            target = self.tree.target_outside(file)
            if target is not None:
                self.notes.add(Finding("outside", file, outside_detail(target)))
            else:
                detail = f"not in {source or 'any of the files'}"
                self._fill("missing_caption", file, detail, number=-1)
        return others

    def _disagreement(self, numbers: Sequence[int]) -> str | None:
        """How the entries of one image contradict each other, if they do."""
        if len(numbers) == 1:
            return None
        listing = self.listing
        given = (("id", listing.ids), ("split", listing.splits), ("weight", listing.weights))
        for what, values in given:
            for number in numbers[1:] if values is not None else ():
                if values is not None and values[number] != values[numbers[0]]:
                    first, other = listing.where(numbers[0]), listing.where(number)
                    return (
                        f"{what} {values[numbers[0]]!r} at {first}, {values[number]!r} at {other}"
                    )
        return None

    def _fill(
        self,
        kind: Literal["empty_caption", "missing_caption"],
        file: str,
        detail: str,
        number: int,
    ) -> None:
        """Gives an image without a caption the one that `problems` has for it, or reports it.

        An image that no entry names is in no split, so in no chosen split.
        """
        is_wanted = number >= 0 or self.chosen is None or self.listing.splits is None
        text = self.problems.fill(kind, file) if is_wanted else None
        if text is None:
            self.notes.add(Finding(kind, file, detail))
        else:
            self.notes.add(Finding("filled", file, repr(text)))
            self.rows.append((Row(file, [text]), number))


def other_splits(others: Collection[str], chosen: Collection[str] | None) -> Finding:
    """A notice about images that are not in the chosen splits."""
    detail = f"split=... keeps {', '.join(sorted(chosen or ()))}"
    return Finding("other_split", min(others), detail, len(others))


def repeated(file: str, captions: Sequence[str]) -> list[Finding]:
    """A notice if a caption occurs twice."""
    if len(captions) < 2 or len(set(captions)) == len(captions):
        return []
    twice = next(text for text in captions if captions.count(text) > 1)
    return [Finding("duplicate_caption", file, repr(twice))]


def with_values(pairs: Pairs, listing: Listing, numbers: Sequence[int]) -> Pairs:
    """Adds splits, weights and further columns from the entries at `numbers`."""
    rows = np.array(numbers, np.int64)
    names, split_of = columns.labels(listing.splits or [None] * len(listing.names), rows)
    weights = None
    if listing.weights is not None:
        given = np.array([*listing.weights, 1.0], np.float32)  # the last one is for entry -1
        weights = given[rows]
    kept, found = _columns(listing)
    report = dataclasses.replace(pairs.report, findings=(*pairs.report.findings, *found))
    return dataclasses.replace(
        pairs,
        split_names=names,
        split_of=split_of,
        weights=weights,
        columns={name: columns.take(column, rows) for name, column in kept.items()},
        classes={name: names for name, names in listing.classes.items() if name in kept},
        report=report,
    )


def _columns(listing: Listing) -> tuple[dict[str, columns.Column], list[Finding]]:
    """The columns with one kind, and one value per image; a notice for each other column."""
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
            detail = f"column {name!r} has different values for one image"
            found.append(Finding("ignored", listing.source, detail))
        elif column is None:
            detail = f"column {name!r} has values of different kinds"
            found.append(Finding("ignored", listing.source, detail))
        else:
            kept[name] = column
    return kept, found


def _differ(left: Any, right: Any) -> bool:
    is_nan = left != left and right != right
    return bool(left != right and not is_nan)
