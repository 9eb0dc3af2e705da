"""Captions that the source itself marks as rejected.

Source: VizWiz, https://vizwiz.org/tasks-and-datasets/image-captioning/: "is_rejected" and
"is_precanned".
"""

from collections.abc import Mapping
from typing import Any

MARKS = ("is_precanned", "is_rejected")


def rejected(values: Mapping[str, Any]) -> str | None:
    """The first mark that is set among the values of a caption; None if no mark is set."""
    return next((mark for mark in MARKS if mark in values and _is_set(values[mark])), None)


def _is_set(value: Any) -> bool:
    """Whether a value is true, in the spelling of JSON, pandas or CSV files."""
    return value == 1 or str(value).strip().lower() in ("true", "yes", "1", "1.0")
