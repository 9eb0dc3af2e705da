"""What the `.json` of a sample says about its image."""

import dataclasses
import json
from typing import Any

from mmdata.pairing.layouts.cells import MOST_WEIGHT


@dataclasses.dataclass
class Said:
    """What the `.json` of a sample says.

    Attributes:
      captions: Its captions, stripped; None where it gives none.
      split: The name of its split.
      weight: How often it counts.
      columns: Further single values.
      nested: Whether there are lists or objects among the further values.
    """

    captions: list[str] | None = None
    split: str | None = None
    weight: float | None = None
    columns: dict[str, Any] = dataclasses.field(default_factory=dict)
    nested: bool = False


def read(text: str) -> Said:
    """Reads the text of a `.json`.

    Raises:
      ValueError: It is no JSON, or not what it must be.
      RecursionError: It is nested too deeply.
    """
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"must hold an object; got {type(found).__name__}")
    json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair is no text
    found = {name: value for name, value in found.items() if value is not None}
    captions = next((name for name in ("captions", "caption", "text") if name in found), None)
    said = Said(
        captions=None if captions is None else _captions(captions, found.pop(captions)),
        split=_split(found.pop("split", None)),
        weight=_weight(found.pop("weight", None)),
    )
    said.columns = {n: v for n, v in found.items() if not isinstance(v, dict | list)}
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


def _weight(given: Any) -> float | None:
    if given is None:
        return None
    if (
        isinstance(given, bool)
        or not isinstance(given, int | float)
        or not 0 <= given < MOST_WEIGHT
    ):
        raise ValueError(f'"weight" must be a number >= 0; got {str(given)[:20]}')
    return float(given)
