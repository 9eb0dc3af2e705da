"""Paths -> pairs: reads, scans and splits them, and checks their problems."""

import dataclasses
import functools
import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmdata.config import Config
from mmdata.files.headers import Format
from mmdata.pairing.interface import rewriting, rewritten
from mmdata.pairing.listing import IfAny
from mmdata.pairing.problems import OnProblem
from mmdata.pairing.read import read
from mmdata.pairing.split_sources import read_sources
from mmdata.pairs.findings import Finding, PairingError
from mmdata.pairs.pairs import Pairs
from mmdata.pairs.split_names import split_name
from mmdata.tasks import Task
from mmdata.tokenizers import LEARNED

_ALSO_OF_BUILD = {"images", "captions", "split", "on_problem"}
"""The arguments of `mmdata.read` that `build` has too."""


@dataclasses.dataclass(kw_only=True)
class Inputs:
    """The pairs that datasets are made of, and all problems with them.

    Attributes:
      pairs: All pairs that were read.
      config: The arguments of `build`, for all parts.
      parts: The pairs of each dataset: one for each split, or all.
      configs: The config of each part.
      findings: The problems found so far, which `check` checks.
      other_rows: Images of `pairs` that are in no part.
    """

    pairs: Pairs
    config: Config
    parts: list[Pairs]
    configs: list[Config]
    findings: list[Finding]
    other_rows: int

    @property
    def rows(self) -> int:
        """Number of images that were read and not dropped."""
        return self.other_rows + sum(map(len, self.parts))

    def check(self, step: str = "") -> None:
        """Raises one `PairingError` for all findings that `on_problem` does not accept.

        Call it after each step that may find problems: reading, cleaning, decoding.

        Args:
          step: The step that was just done, for the message.
        """
        where = repr(self.pairs.root) if self.pairs.root else f"{len(self.pairs):,} file(s)"
        where = f"{where}, {step}" if step else where
        self.config.problems.check(self.findings, rows=self.rows, where=where)

    def check_decoded(self, corrupt: list[Finding]) -> None:
        """Checks again after all images were decoded; `corrupt` replaces earlier such findings."""
        self.findings = [found for found in self.findings if found.kind != "corrupt"] + corrupt
        self.check()

    @property
    def corrupt_allowed(self) -> int | None:
        """How many more images may be corrupt, besides the findings; None means any number."""
        return self.config.problems.corrupt_allowed(self.findings, rows=self.rows)


def open_inputs(
    images: Any, captions: Any, split: str | tuple[str, ...] | None, config: Config
) -> Inputs:
    """Reads and scans; one error lists both what does not pair and what is not an image.

    What does not pair in `Pairs` was accepted when they were read; only their images are checked.

    Raises:
      PairingError: See `Inputs.check`.
      ValueError: The pairs lack what the task needs.
    """
    splits = _split_names(split)
    with rewriting(_in_terms_of_build):
        return _opened(images, captions, splits, config)


def _in_terms_of_build(message: str) -> str:
    """A message that says that some arguments are those of `mmdata.read`."""
    only_of_read = inspect.signature(read).parameters.keys() - _ALSO_OF_BUILD

    def of_read(name: str, value: str) -> str | None:
        return f"mmdata.read(..., {name}={value})" if name in only_of_read else None

    found = rewritten(message, of_read).replace("Pass mmdata.read(", "Call mmdata.read(")
    return found if found == message else f"{found} Then build from the pairs: build(pairs)."


def _opened(images: Any, captions: Any, splits: tuple[str, ...] | None, config: Config) -> Inputs:
    pairs, findings = _read(images, captions, splits, config)
    everything = Inputs(
        pairs=pairs, config=config, parts=[pairs], configs=[config], findings=findings, other_rows=0
    )
    try:
        everything.check()
    except PairingError as err:
        read = _splits_to_read(splits, config) or ()
        added = "train" in {*read} - {*(splits or ())} and "train" in pairs.split_names
        if isinstance(images, Pairs) or not added:
            raise
        raise PairingError(
            f"{err}\nThe split 'train' was read too, to learn a vocabulary. Pass text=... as a "
            'Tokenizer, "clip" or "byte" to read only the splits that you name.',
            err.findings,
        ) from err
    if splits is not None:
        pairs = pairs.split()
    elif not config.task.in_order and _holds_several_splits(pairs):
        names = ", ".join(map(repr, pairs.split_names))
        warnings.warn(
            f"split=None uses the images of all splits together: {names}. Pass split=..., e.g. "
            'split=("train", "validation") for two datasets.',
            stacklevel=4,
        )
    config = dataclasses.replace(config, task=config.task.with_pairs(pairs))
    parts = [pairs] if splits is None else [pairs.subset(name) for name in splits]
    for part in parts:
        _require_captions(part, config.task)
    return Inputs(
        pairs=pairs,
        config=config,
        parts=parts,
        configs=[config.for_split(name) for name in splits or (None,)],
        findings=findings,
        other_rows=len(pairs) - sum(map(len, parts)),
    )


def _read(
    images: Any, captions: Any, splits: tuple[str, ...] | None, config: Config
) -> tuple[Pairs, list[Finding]]:
    max_pixels = config.problems.max_pixels
    if isinstance(images, Mapping):
        if captions is not None:
            raise ValueError(
                "captions=... must be None if images=... is a dict of sources, which has them; got "
                f"{captions!r}."
            )
        reader = functools.partial(_read_source, config=config)
        pairs, findings = read_sources(images, _splits_to_read(splits, config), reader)
        pairs = _refuse_large_images(pairs, max_pixels)
        scanned = [f for f in pairs.report.findings if f.kind in ("corrupt", "duplicate_image")]
        return pairs, [*findings, *scanned]
    if isinstance(images, Pairs):
        if captions is not None:
            raise ValueError(f"captions=... must be None if images=... is Pairs; got {captions!r}.")
        if config.cache is not None:  # the cache must hold the files as they are now
            images = dataclasses.replace(images, scan=None)
        pairs = _refuse_large_images(images, max_pixels)
        return pairs, list(pairs.corrupt)
    pairs = _read_source(images, captions, _splits_to_read(splits, config), config=config)
    pairs = _refuse_large_images(pairs, max_pixels)
    return pairs, list(pairs.report.findings)


def _read_source(images: Any, captions: Any, chosen: IfAny | None, *, config: Config) -> Pairs:
    on_problem = config.problems.without_errors()
    return read_for(config.task, images, captions, split=chosen, on_problem=on_problem)


def read_for(
    task: Task,
    images: Any,
    captions: Any,
    *,
    split: IfAny | None = None,
    on_problem: OnProblem = "error",
) -> Pairs:
    """Reads what a task needs: captions, or images alone; see `mmdata.read`."""
    return read(
        images,
        captions,
        layout="images" if captions is None and task.in_order else "auto",
        split=split,
        caption_column="auto" if task.has_text else None,
        on_problem=on_problem,
    )


def _split_names(split: Any) -> tuple[str, ...] | None:
    """The names of splits that `build(split=)` means; None means all images.

    Raises:
      TypeError, ValueError: It is neither a name nor a tuple of different names.
    """
    if split is None:
        return None
    accepted = 'split=... must be None, a name such as "train", or a tuple of different names'
    if isinstance(split, int | float | Mapping):
        raise TypeError(
            f"{accepted}; got {split!r}. Shares are for Pairs.split: pairs = mmdata.read(...)"
            '.split({"train": 0.8, "validation": 0.2}), then build(pairs, split=...).'
        )
    names = (split,) if isinstance(split, str) else split
    if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{accepted}; got {split!r}.")
    found = tuple(map(split_name, names))
    if not found or len(set(found)) < len(found):
        raise ValueError(f"{accepted}; got {split!r}.")
    return found


def _holds_several_splits(pairs: Pairs) -> bool:
    """Whether rows are in different splits, and `read(split=)` did not choose these."""
    chosen = any(finding.kind == "other_split" for finding in pairs.report.findings)
    return not chosen and pairs.split_of is not None and len(np.unique(pairs.split_of)) > 1


def _require_captions(pairs: Pairs, task: Task) -> None:
    """Raises a ValueError if a task reads captions and an image has no caption."""
    without = np.flatnonzero(np.diff(pairs.offsets) == 0)
    if task.has_text and len(without):
        raise ValueError(
            f"task={task!r} needs a caption for each image; got {len(without):,} image(s) without, "
            f"e.g. {pairs.images[int(without[0])]!r}. Pairs.filter() removes rows."
        )


def _refuse_large_images(pairs: Pairs, max_pixels: int) -> Pairs:
    """The pairs, scanned; images with more than `max_pixels` are marked as corrupt."""
    scan, pairs = pairs.scanned()
    sides = scan.heights.astype(np.int64), scan.widths.astype(np.int64)
    large = np.flatnonzero((sides[0] * sides[1] > max_pixels) & (scan.formats != Format.UNKNOWN))
    if not large.size:
        return pairs
    problems = {
        row: f"{sides[0][row]} x {sides[1][row]} pixels, more than {max_pixels:,} in all"
        for row in large.tolist()
    }
    return pairs.with_scan(scan.refuse(problems))


def _splits_to_read(splits: tuple[str, ...] | None, config: Config) -> IfAny | None:
    """The splits to read; None means all.

    Includes "train" if a vocabulary must be learned from its captions.
    """
    if splits is None or config.task.reads_all_splits:
        return None
    learned = config.task.has_text and config.text.tokenizer in tuple(LEARNED)
    return IfAny((*splits, "train")) if learned else IfAny(splits)
