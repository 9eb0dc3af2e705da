"""Checks of stages' arguments; `what` is the argument's name in the message."""

import math
from collections.abc import Collection


def require_one_of(what: str, value: object, choices: Collection[object]) -> None:
    """Raises a ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{what} must be one of {list(choices)}; got {value!r}.")


def is_number(value: object) -> bool:
    """Whether a value is an int or a float, and no bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def require_number(what: str, value: object, low: float, high: float) -> None:
    """Raises a ValueError unless `value` is a finite number in [low, high]."""
    if not (is_number(value) and low <= value <= high and value < math.inf):  # type: ignore[operator]
        upper = f"from {low} to {high}" if high < math.inf else f"of at least {low}"
        raise ValueError(f"{what} must be a finite number {upper}; got {value!r}.")
