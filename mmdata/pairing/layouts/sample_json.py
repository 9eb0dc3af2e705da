"""What the `.json` of a sample says about its image."""

import dataclasses
import json
from typing import Any

from mmdata.pairing.layouts.cells import MOST_WEIGHT
from mmdata.pairing.layouts.documents import decode, shown
from mmdata.pairing.layouts.rejected import rejected
from mmdata.pairing.layouts.table_columns import Columns


@dataclasses.dataclass
class Said:
    """What the `.json` of a sample says.

    Attributes:
      captions: Its captions, stripped; None where it gives none.
      split: The name of its split.
      weight: How often it counts.
      columns: Further single values.
      nested: Whether there are lists or objects among the further values.
      passed_over: Keys that look like captions, beside those that were read.
      rejected: The mark by which its captions are to be left out; None where there is none.
    """

    captions: list[str] | None = None
    split: str | None = None
    weight: float | None = None
    columns: dict[str, Any] = dataclasses.field(default_factory=dict)
    nested: bool = False
    passed_over: tuple[str, ...] = ()
    rejected: str | None = None


def read(text: str, columns: Columns) -> Said:
    """Reads the text of a `.json`.

    Args:
      text: The text.
      columns: Which keys hold captions and weights. Of `captions="auto"`, "captions", "caption" and
        "text" the first counts that there is.

    Raises:
      ValueError: It is not JSON, or not what it must be.
      RecursionError: It is nested too deeply.
    """
    found = decode(text)
    if not isinstance(found, dict):
        raise ValueError(f"must be an object with each key once; got {shown(found)}")
    json.dumps(found, ensure_ascii=False, default=repr).encode()  # fails at half a character
    found = {name: value for name, value in found.items() if value is not None}
    names: tuple[str, ...] = columns.named_captions
    passed_over: tuple[str, ...] = ()
    if columns.captions == "auto":
        known = tuple(name for name in ("captions", "caption", "text") if name in found)
        names, passed_over = known[:1], known[1:]
    given = [_captions(name, found.pop(name)) for name in names if name in found]
    weight = "weight" if columns.weight == "auto" else columns.weight
    said = Said(
        captions=[caption for captions in given for caption in captions] if given else None,
        split=_split(found.pop("split", None)),
        weight=None if weight is None else _weight(weight, found.pop(weight, None)),
        passed_over=passed_over,
        rejected=rejected(found),
    )
    said.columns = {n: v for n, v in found.items() if isinstance(v, str | int | float)}
    said.nested = len(said.columns) < len(found)
    return said


def _captions(name: str, given: Any) -> list[str]:
    captions = [given] if isinstance(given, str) and name != "captions" else given
    if not isinstance(captions, list) or not all(isinstance(each, str) for each in captions):
        raise ValueError(f'"{name}" must be text, or a list of texts')
    return [caption.strip() for caption in captions]


def _split(given: Any) -> str | None:
    if not isinstance(given, str | None):
        raise ValueError(f'"split" must be text; got {given!r}')
    return given


def _weight(name: str, given: Any) -> float | None:
    if given is None:
        return None
    if (
        isinstance(given, bool)
        or not isinstance(given, int | float)
        or not 0 <= given < MOST_WEIGHT
    ):
        raise ValueError(f'"{name}" must be a number >= 0; got {str(given)[:20]}')
    return float(given)
