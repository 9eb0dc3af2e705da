"""Findings of pairing, the report that holds them, and the error that carries them."""

import dataclasses
import html
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from mmdata.printable import printable

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal[
    "missing_caption",
    "missing_image",
    "empty_caption",
    "ambiguous",
    "disagreement",
    "encoding",
    "malformed",
    "outside",
    "unreadable",
    "unknown_name",
    "corrupt",
    "filled",
    "name_mismatch",
    "blank_caption",
    "several_lines",
    "coerced",
    "known_defect",
    "duplicate_caption",
    "duplicate_image",
    "leaked_image",
    "leaked_caption",
    "splits",
    "other_split",
    "rejected",
    "missing_number",
    "stray_quote",
    "cut_off",
    "weights",
    "repeats",
    "mask",
    "ignored",
]

_PROBLEMS: dict[str, str] = {
    "missing_caption": "image(s) without a caption",
    "missing_image": "caption(s) without an image",
    "empty_caption": "image(s) whose caption is empty",
    "ambiguous": "file(s) without a clear match, because several names are alike",
    "disagreement": "image(s) with contradictory entries or files",
    "encoding": "caption file(s) that are not UTF-8",
    "malformed": "malformed entry(ies) in a caption file, or a damaged shard",
    "outside": "path(s) that leave the folder of images",
    "unreadable": "path(s) that cannot be read",
    "unknown_name": "name(s) in a list of a split that no image has",
    "corrupt": "image(s) that cannot be decoded",
}
_NOTICES: dict[str, str] = {
    "filled": "image(s) that got a caption from Problems(...)",
    "name_mismatch": "name(s) matched although they are spelled differently",
    "blank_caption": "caption(s) without text, left out: their images have others",
    "several_lines": "caption file(s) of several lines",
    "coerced": "caption file(s) not decoded as plain UTF-8",
    "known_defect": "known defect(s) of a published caption file",
    "duplicate_caption": "image(s) with the same caption twice",
    "duplicate_image": "image file(s) that are copies of another",
    "leaked_image": "image(s) in more than one split",
    "leaked_caption": "caption(s) in more than one split",
    "splits": "note(s) about splits",
    "other_split": "image(s) of other splits, or of no split",
    "rejected": "caption(s) that the source marks as rejected, left out",
    "missing_number": "image(s) whose numbered caption files skip a number",
    "stray_quote": "row(s) with an odd number of quotes",
    "cut_off": "file(s) that do not end with a line feed: the last line may be cut off",
    "weights": "source(s) with weights, used for the loss",
    "repeats": "folder(s) whose name begins with a number, used as a weight",
    "mask": "mask(s), ignored",
    "ignored": "file(s), columns or values that are neither image nor caption, ignored",
}
_MEANING = _PROBLEMS | _NOTICES
_RANK = {kind: rank for rank, kind in enumerate(_MEANING)}
ALL_IN_FINDINGS = "All problems are in .findings of this error."
_SHOWN = 5
_DIGITS = re.compile(r"(\d{1,18})")


@dataclasses.dataclass(frozen=True)
class Finding:
    """One observation about one file, or about several of the same kind.

    Attributes:
      kind: E.g. "missing_caption"; `PairingReport` describes each kind.
      path: The file, relative to the folder it was found in; the first of several files.
      detail: What exactly was seen; may be empty.
      count: Number of files or entries that it covers.
    """

    kind: Kind
    path: str
    detail: str = ""
    count: int = 1

    @property
    def is_problem(self) -> bool:
        """Whether something is missing in training; False for a notice."""
        return self.kind in _PROBLEMS


def _natural(path: str) -> list[str | int]:
    """A key that puts line 2 before line 10."""
    return [int(part) if part.isdecimal() else part for part in _DIGITS.split(path)]


@dataclasses.dataclass(frozen=True)
class PairingReport:
    """What paired, what did not, and why.

    Attributes:
      layout: How the captions were read, e.g. "sidecar" or "coco".
      images: Number of images that paired.
      pairs: Number of (image, caption) pairs.
      findings: Every finding, in the order of kinds and paths; problems come before notices.
    """

    layout: str
    images: int
    pairs: int
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        ordered = sorted(self.findings, key=lambda found: (_RANK[found.kind], _natural(found.path)))
        object.__setattr__(self, "findings", tuple(ordered))

    @property
    def counts(self) -> dict[str, int]:
        """Number of files or entries of each kind, in the order of `findings`."""
        counts: Counter[str] = Counter()
        for finding in self.findings:
            counts[finding.kind] += finding.count
        return dict(counts)

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings that are problems; empty if everything paired."""
        return tuple(finding for finding in self.findings if finding.is_problem)

    def to_pandas(self) -> "pd.DataFrame":
        """The findings as a table with the columns kind, path, detail, count."""
        import pandas as pd

        rows = [dataclasses.astuple(finding) for finding in self.findings]
        names = [field.name for field in dataclasses.fields(Finding)]
        frame = pd.DataFrame(rows, columns=names, dtype=object)  # paths may not be UTF-8
        return frame.astype({"count": "int64"})

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values for JSON, with `counts`."""
        return {**dataclasses.asdict(self), "counts": self.counts}

    def __str__(self) -> str:
        head = f"{self.images:,} image(s) with {self.pairs:,} caption(s), layout {self.layout}."
        return "\n".join([head, *describe(self.findings)])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


class Notes:
    """Collects the findings of a report; those of the same kind and detail can be counted."""

    def __init__(self, findings: Iterable[Finding] = ()) -> None:
        self._findings = list(findings)
        self._counted: dict[tuple[Kind, str], tuple[str, int]] = {}

    def add(self, finding: Finding) -> None:
        """Adds a finding."""
        self._findings.append(finding)

    def count(self, kind: Kind, detail: str, where: str) -> None:
        """Counts one of a kind and detail; of the first, `where` is reported."""
        first, count = self._counted.get((kind, detail), (where, 0))
        self._counted[kind, detail] = first, count + 1

    def findings(self) -> list[Finding]:
        """All findings; the counted ones are last."""
        counted = [
            Finding(kind, first, detail, count)
            for (kind, detail), (first, count) in self._counted.items()
        ]
        return [*self._findings, *counted]


class PairingError(ValueError):
    """Images and captions do not pair completely.

    Attributes:
      findings: Every problem, not only those that the message shows.
    """

    def __init__(self, message: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


def meaning(kind: str) -> str:
    """The description of a kind, to be written after a number."""
    return _MEANING[kind]


def describe(findings: Iterable[Finding]) -> list[str]:
    """One line for each kind: its count, its description and the first five files."""
    by_kind: dict[str, list[Finding]] = {}
    for finding in findings:
        by_kind.setdefault(finding.kind, []).append(finding)
    return [
        f"  {sum(f.count for f in group):,} {_MEANING[kind]} ({kind}): {_first_five(group)}"
        for kind, group in by_kind.items()
    ]


def _first_five(findings: Sequence[Finding]) -> str:
    shown = [f"{f.path!r}" + (f" ({f.detail})" if f.detail else "") for f in findings[:_SHOWN]]
    return printable(", ".join(shown)) + (", ..." if len(findings) > _SHOWN else "")


def raise_for(findings: Iterable[Finding], *, where: str, nothing_left: bool = False) -> None:
    """Raises one `PairingError` that carries every problem among `findings`, if there is one.

    The message advises to drop them. With `nothing_left`, no pair would remain: it lists notices
    too, since the captions may be in a file that was ignored.
    """
    findings = list(findings)
    problems = [finding for finding in findings if finding.is_problem]
    if not problems:
        return
    raise PairingError(
        "\n".join(
            [
                f"Every image needs a readable file and a caption; got "
                f"{sum(f.count for f in problems):,} problem(s) in {where}:",
                *describe(findings if nothing_left else problems),
                "Nothing pairs at all: do images and captions belong together? Is captions=... the "
                "file that holds them?"
                if nothing_left
                else 'Fix the files, or pass on_problem="drop" to continue without them; the '
                "report lists them.",
                ALL_IN_FINDINGS,
            ]
        ),
        problems,
    )
