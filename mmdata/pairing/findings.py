"""What pairing found: findings, the report that holds them, the error that carries them."""

import dataclasses
import html
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal[
    "missing_caption",
    "missing_image",
    "empty_caption",
    "ambiguous",
    "encoding",
    "malformed",
    "unreadable",
    "corrupt",
    "name_mismatch",
]

OnProblem = Literal["error", "drop"]

_MEANING: dict[str, str] = {
    "missing_caption": "image(s) without a caption",
    "missing_image": "caption(s) without an image",
    "empty_caption": "image(s) whose caption is empty",
    "ambiguous": "image(s) that share one caption file",
    "encoding": "caption file(s) that are not UTF-8",
    "malformed": "malformed entry(ies) in the caption file",
    "unreadable": "path(s) that cannot be read",
    "corrupt": "image(s) that cannot be decoded",
    "name_mismatch": "name(s) matched although their Unicode forms differ",
}
_NOTICES = frozenset({"name_mismatch"})
_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing pairing noticed about one file.

    Attributes:
      kind: What it is, e.g. "missing_caption"; `Report` explains each kind in words.
      path: The file, relative to the folder it was found in.
      detail: What exactly was seen; may be empty.
    """

    kind: Kind
    path: str
    detail: str = ""

    @property
    def is_problem(self) -> bool:
        """Whether the file is lost to training; a notice (False) only tells."""
        return self.kind not in _NOTICES


@dataclasses.dataclass(frozen=True)
class Report:
    """What paired, what did not, and why.

    Attributes:
      layout: How the captions were read: "sidecar" or "coco".
      images: Number of images that have a caption.
      pairs: Number of (image, caption) pairs.
      findings: Every finding, in the order of kinds and paths.
    """

    layout: str
    images: int
    pairs: int
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        kinds = list(_MEANING)
        ordered = sorted(self.findings, key=lambda found: (kinds.index(found.kind), found.path))
        object.__setattr__(self, "findings", tuple(ordered))

    @property
    def counts(self) -> dict[str, int]:
        """Number of findings by kind, in the order of `findings`."""
        return dict(Counter(finding.kind for finding in self.findings))

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings that cost a file; empty where everything paired."""
        return tuple(finding for finding in self.findings if finding.is_problem)

    @property
    def frame(self) -> "pd.DataFrame":
        """The findings as a table with the columns kind, path, detail."""
        import pandas as pd

        rows = [dataclasses.astuple(finding) for finding in self.findings]
        return pd.DataFrame(rows, columns=["kind", "path", "detail"])

    def __str__(self) -> str:
        head = f"{self.images:,} image(s) with {self.pairs:,} caption(s), layout {self.layout}."
        return "\n".join([head, *describe(self.findings)])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


class PairingError(ValueError):
    """Images and captions do not pair as they should.

    Attributes:
      findings: Every problem, not only those that the message shows.
    """

    def __init__(self, message: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


def describe(findings: Iterable[Finding]) -> list[str]:
    """One line a kind: its count, its meaning and the first five files."""
    by_kind: dict[str, list[Finding]] = {}
    for finding in findings:
        by_kind.setdefault(finding.kind, []).append(finding)
    return [
        f"  {len(group):,} {_MEANING[kind]} ({kind}): {_first_five(group)}"
        for kind, group in by_kind.items()
    ]


def _first_five(findings: Sequence[Finding]) -> str:
    shown = [f"{f.path!r}" + (f" ({f.detail})" if f.detail else "") for f in findings[:_SHOWN]]
    return ", ".join(shown) + (", ..." if len(findings) > _SHOWN else "")


def require_on_problem(value: str) -> None:
    """Raises a ValueError unless `value` is "error" or "drop"."""
    if value not in ("error", "drop"):
        raise ValueError(f'on_problem=... must be "error" or "drop"; got {value!r}.')


def raise_for(findings: Iterable[Finding], *, where: str, nothing_left: bool = False) -> None:
    """Raises one `PairingError` that names every problem among `findings`, if there is one.

    Its advice is to drop them, unless `nothing_left` says that no pair would be left.
    """
    problems = [finding for finding in findings if finding.is_problem]
    if not problems:
        return
    raise PairingError(
        "\n".join(
            [
                f"Every image needs a readable file and a caption; got {len(problems):,} "
                f"problem(s) in {where}:",
                *describe(problems),
                "Nothing pairs at all: do images and captions belong together?"
                if nothing_left
                else 'Mend the files, or pass on_problem="drop" to go on without them: the report '
                "keeps the list.",
                "This error's .findings has every one.",
            ]
        ),
        problems,
    )
