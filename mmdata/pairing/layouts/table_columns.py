"""The roles of the columns of a table: as the user names them, or recognised by their names."""

import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mmdata.files.limits import MOST_COLUMNS
from mmdata.pairing.folders import is_image
from mmdata.pairs.findings import PairingError

_IMAGES = (
    "file_name",
    "image",
    "filename",
    "filepath",
    "file",
    "path",
    "image_path",
    "image_name",
    "img",
    "image_id",
    "image_file",
    "id",
)
_CAPTIONS = (
    "caption",
    "captions",
    "text",
    "sentence",
    "sentences",
    "description",
    "comment",
    "prompt",
    "raw",
)
_NUMBERED = re.compile(rf"({'|'.join(_CAPTIONS)})_?([0-9]{{1,4}})")
_SHOWN = 20
_MOST_WORDS = 3
"""The most words of a name of a column that is not a caption."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns of a table that have a role, as the user names them.

    Attributes:
      image: The column that names the image; "auto" recognises it by its name.
      captions: The column of captions, or several; "auto" recognises them by their names. None
        means that captions are not wanted.
      weight: The column of weights; "auto" is one that is named "weight". None means no weights.

    Raises:
      ValueError: A column is named twice, or `captions` is empty.
    """

    image: str = "auto"
    captions: str | Sequence[str] | None = "auto"
    weight: str | None = "auto"

    def __post_init__(self) -> None:
        if self.captions is not None and not self.captions:
            raise ValueError(
                f"caption_column=... must name a column or several; got {self.captions!r}."
            )
        given = [self.image, *self.named_captions, self.weight or "auto"]
        named = [name for name in given if name != "auto"]
        if len(set(named)) < len(named):
            raise ValueError(
                f"image_column=..., caption_column=... and weight_column=... must name different "
                f"columns; got {self.image!r}, {self.captions!r} and {self.weight!r}."
            )

    @property
    def named_captions(self) -> tuple[str, ...]:
        """The columns of captions that the user named; empty if the user named none."""
        if self.captions is None or self.captions == "auto":
            return ()
        return (self.captions,) if isinstance(self.captions, str) else tuple(self.captions)

    @property
    def names_any(self) -> bool:
        """Whether the user named a column, so that the source must be a table."""
        return (self.image, self.captions, self.weight) != ("auto", "auto", "auto")


class Roles(NamedTuple):
    """The role of each column of one table.

    Attributes:
      image: The column that names the images.
      captions: The columns of captions; empty if captions are not wanted.
      split: The column of splits, if there is one.
      weight: The column of weights, if there is one.
      others: All other columns.
    """

    image: str
    captions: tuple[str, ...]
    split: str | None
    weight: str | None
    others: list[str]


def roles(columns: Columns, names: Sequence[str], path: str) -> Roles:
    """Finds the roles of the columns `names` of the table at `path`.

    Raises:
      PairingError: A column that the user named is missing; or it is not clear which one is meant.
    """
    image = _image(columns, names, path)
    captions = _captions(columns, image, names, path)
    rest = [name for name in names if name not in (image, *captions)]
    split = next((name for name in rest if _key(name) == "split"), None)
    weight = _weight(columns, rest, names, path)
    others = [name for name in rest if name not in (split, weight)]
    return Roles(image, captions, split, weight, others)


def require_different(names: Sequence[str], path: str) -> None:
    """Raises PairingError if two columns of the table at `path` have the same name."""
    require_few(len(names), path)
    counts = Counter(name for name in names if name)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise PairingError(
            f"{path}: columns must have different names; got {_shown(twice)} more than once."
        )


def require_few(count: int, path: str) -> None:
    """Raises PairingError if a source has more than `MOST_COLUMNS` columns."""
    if count > MOST_COLUMNS:
        raise PairingError(
            f"{path}: must have at most {MOST_COLUMNS:,} columns, or keys; got {count:,}."
        )


def is_image_column(name: str) -> bool:
    """Whether a column with this name holds names of images."""
    return _key(name) in _IMAGES


def _image(columns: Columns, names: Sequence[str], path: str) -> str:
    if columns.image != "auto":
        _require_columns("image_column", [columns.image], names, path)
        return columns.image
    named = columns.named_captions
    found = [name for name in names if is_image_column(name) and name not in named]
    if not found:
        _require_header(names, path)
        raise PairingError(
            f"{path}: one column must name the images, such as 'file_name' or 'image'; got "
            f"{_shown(names)}. Pass image_column=... with the one that does."
        )
    return min(found, key=lambda name: _IMAGES.index(_key(name)))


def _weight(columns: Columns, rest: Sequence[str], names: Sequence[str], path: str) -> str | None:
    if columns.weight not in (None, "auto"):
        _require_columns("weight_column", [columns.weight], names, path)
        return columns.weight
    named = (name for name in rest if _key(name) == "weight")
    return None if columns.weight is None else next(named, None)


def _captions(columns: Columns, image: str, names: Sequence[str], path: str) -> tuple[str, ...]:
    if columns.captions is None:
        return ()
    if columns.named_captions:
        _require_columns("caption_column", columns.named_captions, names, path)
        return columns.named_captions
    candidates = _caption_candidates(name for name in names if name != image)
    if not candidates:
        _require_header(names, path)
        raise PairingError(
            f"{path}: one column must hold the captions, such as 'caption' or 'text'; got "
            f"{_shown(names)}. Pass caption_column=... with the one that does; "
            "caption_column=None reads images without captions."
        )
    first = candidates[0]
    if len(candidates) > 1:
        every = list(itertools.chain.from_iterable(candidates))
        advice = f'"{first[0]}"' if len(first) == 1 else str(first)
        raise PairingError(
            f"{path}: only one column must look like captions; got {_shown(every)}. Pass one of "
            f"them, such as caption_column={advice}."
        )
    return first


def _caption_candidates(names: Iterable[str]) -> list[tuple[str, ...]]:
    """The columns that look like captions; numbered ones with the same word are one candidate."""
    found: list[tuple[str, ...]] = []
    families: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        numbered = _NUMBERED.fullmatch(_key(name))
        if numbered:
            families.setdefault(numbered[1], []).append((int(numbered[2]), name))
        elif _key(name) in _CAPTIONS:
            found.append((name,))
    return found + [tuple(name for _, name in sorted(family)) for family in families.values()]


def _require_columns(argument: str, named: Sequence[str], names: Sequence[str], path: str) -> None:
    for name in named:
        if name not in names:
            _require_header(names, path)
            raise PairingError(
                f"{argument}=... must name columns of {path}; got {name!r}. The columns are "
                f"{_shown(names)}."
            )


def _require_header(names: Sequence[str], path: str) -> None:
    """Raises PairingError if the names of columns are a row of data: an image, or a caption.

    The message names no cell of it, which nobody can pass as a column.
    """
    if any(is_image(name) or len(name.split()) > _MOST_WORDS for name in names):
        raise PairingError(
            f"{path}: the first row must name the columns; got a row of data. Add a first row such "
            "as 'file_name,caption'."
        )


def _key(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _shown(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
