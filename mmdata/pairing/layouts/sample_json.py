"""The `.json` of a sample in a shard: captions, split, weight and further values."""

import dataclasses
import json
from typing import Any

from mmdata.pairing.layouts.cells import MOST_WEIGHT
from mmdata.pairing.layouts.documents import decode, shown
from mmdata.pairing.layouts.rejected import rejected
from mmdata.pairing.layouts.table_columns import Columns


@dataclasses.dataclass
class SampleInfo:
    """The content of the `.json` of a sample.

    Attributes:
      captions: Its captions, stripped; None if it has no captions.
      split: The name of its split.
      weight: How much it counts.
      columns: Further single values.
      nested: Whether there are lists or objects among the further values.
      unused: Keys that look like captions, but were not read.
      rejected: The mark that rejects its captions; None if there is none.
    """

    captions: list[str] | None = None
    split: str | None = None
    weight: float | None = None
    columns: dict[str, Any] = dataclasses.field(default_factory=dict)
    nested: bool = False
    unused: tuple[str, ...] = ()
    rejected: str | None = None


def read(text: str, columns: Columns) -> SampleInfo:
    """Reads the text of a `.json`.

    Args:
      text: The text.
      columns: Which keys hold captions and weights. With `captions="auto"`, the first existing key
        of "captions", "caption" and "text" is used.

    Raises:
      ValueError: It is not JSON, or has values of wrong types.
      RecursionError: It is nested too deeply.
    """
    found = decode(text)
    if not isinstance(found, dict):
        raise ValueError(f"must be an object with each key once; got {shown(found)}")
    json.dumps(found, ensure_ascii=False, default=repr).encode()  # fails for half of a character
    found = {name: value for name, value in found.items() if value is not None}
    names: tuple[str, ...] = columns.named_captions
    unused: tuple[str, ...] = ()
    if columns.captions == "auto":
        known = tuple(name for name in ("captions", "caption", "text") if name in found)
        names, unused = known[:1], known[1:]
    given = [_captions(name, found.pop(name)) for name in names if name in found]
    weight = "weight" if columns.weight == "auto" else columns.weight
    info = SampleInfo(
        captions=[caption for captions in given for caption in captions] if given else None,
        split=_split(found.pop("split", None)),
        weight=None if weight is None else _weight(weight, found.pop(weight, None)),
        unused=unused,
        rejected=rejected(found),
    )
    info.columns = {n: v for n, v in found.items() if isinstance(v, str | int | float)}
    info.nested = len(info.columns) < len(found)
    return info


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
