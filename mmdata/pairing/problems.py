"""`Problems`: what happens to images and captions that do not pair or cannot be decoded."""

import dataclasses
import posixpath
from collections.abc import Iterable
from fractions import Fraction
from typing import Literal

from mmdata.files.limits import MAX_PIXELS
from mmdata.pairing.folders import stem
from mmdata.pairs.findings import Finding, PairingError, raise_for
from mmdata.settings import as_dict

Policy = Literal["error", "drop", "blank", "folder", "file"]
_UNPAIRED_IMAGES = ("missing_caption", "empty_caption", "ambiguous", "disagreement", "encoding")
_POLICIES = ("error", "drop", "blank", "folder", "file")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problems:
    """How to handle each kind of problem: the detailed form of `on_problem="error"` and `"drop"`.

    The report lists everything that is dropped or filled.

    Attributes:
      missing: Images without a caption, captions without an image, and everything else that
        cannot be paired: "error" raises; "drop" leaves them out. "blank", "folder" and "file" give
        an image without a caption one: "", the name of its folder, or its own name without
        extension; then captions without an image are left out, and all else is an error.
      empty: Images whose caption has no text: the same choices.
      corrupt: Images that cannot be decoded: "error" raises; "drop" keeps their place in the
        order, as a blank image with weight 0.
      budget: How many problems may be dropped or filled before an error is raised: a number, or a
        share (a float below 1) of all images; None is any number.
      max_pixels: Images with a larger size in their header are corrupt, and not decoded: 1 to
        178,956,970, above which neither Pillow nor TensorFlow decodes.

    Raises:
      ValueError: A field has another value.
    """

    missing: Policy = "error"
    empty: Policy = "error"
    corrupt: Literal["error", "drop"] = "error"
    budget: int | float | None = None
    max_pixels: int = MAX_PIXELS

    to_dict = as_dict

    def __post_init__(self) -> None:
        for name in ("missing", "empty"):
            if getattr(self, name) not in _POLICIES:
                raise ValueError(
                    f"Problems({name}=...) must be one of {list(_POLICIES)}; "
                    f"got {getattr(self, name)!r}."
                )
        if self.corrupt not in ("error", "drop"):
            raise ValueError(
                f'Problems(corrupt=...) must be "error" or "drop"; got {self.corrupt!r}.'
            )
        whole = isinstance(self.budget, int) and not isinstance(self.budget, bool)
        share = isinstance(self.budget, float) and self.budget < 1
        if self.budget is not None and not ((whole or share) and self.budget >= 0):
            raise ValueError(
                "Problems(budget=...) must be an int of at least 0, a float from 0 to below 1, or "
                f"None; got {self.budget!r}."
            )
        if not (isinstance(self.max_pixels, int) and 1 <= self.max_pixels <= MAX_PIXELS):
            raise ValueError(
                f"Problems(max_pixels=...) must be an int from 1 to {MAX_PIXELS:,}; got "
                f"{self.max_pixels!r}."
            )

    def fill(self, kind: Literal["missing_caption", "empty_caption"], image: str) -> str | None:
        """The caption for an image without one; None if it gets no caption.

        Args:
          kind: The problem.
          image: The path of the image, relative to the folder of images.
        """
        policy = self.missing if kind == "missing_caption" else self.empty
        if policy == "blank":
            return ""
        if policy == "folder":
            return posixpath.basename(posixpath.dirname(image))
        if policy == "file":
            return posixpath.basename(stem(image))
        return None

    def check(self, findings: Iterable[Finding], *, rows: int, where: str) -> None:
        """Raises one `PairingError` for all problems that are errors or exceed the budget.

        Args:
          findings: All findings.
          rows: Number of images that paired.
          where: The source, for the message.
        """
        found = list(findings)
        raise_for([f for f in found if self._stops(f)], where=where, nothing_left=not rows)
        allowed, spent = self._allowed(found, rows), _spent(found)
        if allowed is not None and _count(spent) > allowed:
            raise PairingError(
                f"Problems(budget={self.budget!r}) allows {allowed:,} problem(s); got "
                f"{_count(spent):,} problem(s) in {where}.",
                spent,
            )

    def corrupt_allowed(self, findings: Iterable[Finding], *, rows: int) -> int | None:
        """How many rows may be corrupt, in addition to `findings`; None is any number."""
        if self.corrupt == "error":
            return 0
        others = [finding for finding in findings if finding.kind != "corrupt"]
        allowed = self._allowed(others, rows)
        return None if allowed is None else max(allowed - _count(_spent(others)), 0)

    def _allowed(self, findings: Iterable[Finding], rows: int) -> int | None:
        """The budget as a number: a share is a share of all images, paired or not."""
        if isinstance(self.budget, float):
            images = rows + _count(f for f in findings if f.kind in _UNPAIRED_IMAGES)
            return int(Fraction(str(self.budget)) * images)  # 0.29 of 100 is 29 exactly
        return self.budget

    def without_errors(self) -> "Problems":
        """The same, but drops every error, without a budget: for checks that come later."""
        return Problems(
            missing="drop" if self.missing == "error" else self.missing,
            empty="drop" if self.empty == "error" else self.empty,
            corrupt="drop",
            max_pixels=self.max_pixels,
        )

    def _stops(self, finding: Finding) -> bool:
        if not finding.is_problem:
            return False
        if finding.kind == "corrupt":
            return self.corrupt == "error"
        if finding.kind == "empty_caption":
            return self.empty == "error"
        if finding.kind in ("missing_caption", "missing_image"):
            return self.missing == "error"
        return self.missing != "drop"


def _spent(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.is_problem or finding.kind == "filled"]


def _count(findings: Iterable[Finding]) -> int:
    return sum(finding.count for finding in findings)


OnProblem = Literal["error", "drop"] | Problems

_NAMED = {
    "error": Problems(),
    "drop": Problems(missing="drop", empty="drop", corrupt="drop"),
}


def problems_of(on_problem: OnProblem) -> Problems:
    """What `on_problem=` means.

    Raises:
      ValueError: It is neither "error" nor "drop" nor a `Problems`.
    """
    if isinstance(on_problem, Problems):
        return on_problem
    if on_problem not in _NAMED:
        raise ValueError(
            f'on_problem=... must be "error", "drop" or a Problems; got {on_problem!r}.'
        )
    return _NAMED[on_problem]
