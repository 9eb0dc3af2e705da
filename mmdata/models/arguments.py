"""Checks of what users hand to the models, one kind of argument each."""

from __future__ import annotations

import operator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class Tokenizer(Protocol):
    """What the models need to know of a tokenizer; any object with these four ints will do."""

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens, special ones included."""

    @property
    def start_id(self) -> int:
        """Token in front of every caption."""

    @property
    def end_id(self) -> int:
        """Token behind every caption."""

    @property
    def pad_id(self) -> int:
        """Token that fills up the rest."""


def special_ids(who: str, tokenizer: Tokenizer) -> dict[str, int]:
    """Returns the four ints of a tokenizer by name, checked."""
    names = ("vocabulary_size", "start_id", "end_id", "pad_id")
    missing = [name for name in names if not hasattr(tokenizer, name)]
    if missing:
        raise TypeError(
            f"{who}(tokenizer=...) must have the ints {', '.join(names)}; "
            f"got {type(tokenizer).__name__!r} without {', '.join(missing)}."
        )
    ids = {}
    for name in names:
        try:
            ids[name] = operator.index(getattr(tokenizer, name))
        except TypeError as err:
            raise TypeError(
                f"{who}(tokenizer=...).{name} must be an int; got {getattr(tokenizer, name)!r}."
            ) from err
    for name in names[1:]:
        if not 0 <= ids[name] < ids["vocabulary_size"]:
            raise ValueError(
                f"{who}(tokenizer=...).{name} must be an id of the vocabulary, 0 <= id < "
                f"{ids['vocabulary_size']}; got {ids[name]}."
            )
    return ids


def size(who: str, image_size: Any) -> tuple[int, int]:
    """Returns (height, width), both at least 32."""
    try:
        height, width = (operator.index(side) for side in image_size)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 32:
        raise ValueError(
            f"{who}(image_size=...) must be two ints >= 32 (height, width); got {image_size!r}."
        )
    return height, width


def count(who: str, name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """Returns an int between `least` and `most`."""
    wanted = f">= {least}" if most is None else f"from {least} to {most}"
    is_int = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if is_int and value >= least and (most is None or value <= most):
        return int(value)
    raise ValueError(f"{who}({name}=...) must be an int {wanted}; got {name}={value!r}.")


def share(who: str, name: str, value: Any, below: float) -> float:
    """Returns a float, 0 <= value < `below`."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < below:
        return float(value)
    raise ValueError(
        f"{who}({name}=...) must be a number, 0 <= {name} < {below:g}; got {name}={value!r}."
    )


def heads(who: str, value: Any, width: int) -> int:
    """Returns a number of attention heads that divides `width`."""
    if width % count(who, "heads", value):
        raise ValueError(
            f"{who}(heads=...) must divide width={width}; got heads={value!r}. "
            f"Pass width={width + -width % value} or another number of heads."
        )
    return int(value)


def images(who: str, value: Any, image_size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Returns images [b, H, W, 3] as numpy float32."""
    array = np.asarray(value)
    if array.ndim != 4 or array.shape[1:] != (*image_size, 3):
        raise ValueError(
            f"{who}(images=...) must have shape [b, {image_size[0]}, {image_size[1]}, 3]; "
            f"got shape {list(array.shape)}. One image needs images[None]."
        )
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"{who}(images=...) must be float32 as in training, 0-1; got dtype {array.dtype}. "
            "Divide uint8 pixels by 255."
        )
    return array.astype(np.float32, copy=False)


def tokens(
    who: str, token_ids: Any, padding_mask: Any, sequence_length: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Returns token_ids [b, t] as int32 and padding_mask [b, t] as bool, t <= sequence_length."""
    ids, mask = np.asarray(token_ids), np.asarray(padding_mask)
    if ids.ndim != 2 or not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(
            f"{who}(token_ids=...) must be ints of shape [b, t]; "
            f"got {ids.dtype} of shape {list(ids.shape)}."
        )
    if mask.shape != ids.shape or mask.dtype != np.bool_:
        raise ValueError(
            f"{who}(padding_mask=...) must be bool of the shape of token_ids {list(ids.shape)}; "
            f"got {mask.dtype} of shape {list(mask.shape)}."
        )
    if ids.shape[1] > sequence_length:
        raise ValueError(too_long(who, ids.shape[1], sequence_length))
    return ids.astype(np.int32, copy=False), mask


def too_long(who: str, length: int, sequence_length: int) -> str:
    """Returns what to say of captions longer than the model's positions."""
    return (
        f"{who}(token_ids=...) must hold at most sequence_length={sequence_length} tokens a "
        f"caption; got {length}. Build the model with sequence_length={length}."
    )


def features(who: str, inputs: Any, names: tuple[str, ...]) -> None:
    """Checks that `inputs` is a dict with these features."""
    if not isinstance(inputs, dict) or any(name not in inputs for name in names):
        got = sorted(inputs)[:5] if isinstance(inputs, dict) else type(inputs).__name__
        raise ValueError(f"{who} takes a dict with {', '.join(names)}; got {got!r}.")


def learning_rate(who: str, value: Any) -> Any:
    """Returns a float > 0, or the schedule that was given."""
    if callable(value):  # A schedule, or a function without arguments as Keras allows.
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e3:
        return float(value)
    raise ValueError(
        f"{who}(learning_rate=...) must be a number > 0 or a LearningRateSchedule; "
        f"got learning_rate={value!r}."
    )
