"""Checks arguments of the models, one function for each kind."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import numpy.typing as npt


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


def choice(who: str, name: str, value: Any, choices: tuple[str, ...]) -> str:
    """Returns one of `choices`."""
    if value not in choices:
        raise ValueError(f"{who}({name}=...) must be one of {list(choices)}; got {name}={value!r}.")
    return str(value)


def count(who: str, name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """Returns an int between `least` and `most`."""
    wanted = f">= {least}" if most is None else f"from {least} to {most}"
    is_int = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if is_int and value >= least and (most is None or value <= most):
        return int(value)
    raise ValueError(f"{who}({name}=...) must be an int {wanted}; got {name}={value!r}.")


def heads(who: str, value: Any, width: int) -> int:
    """Returns a number of attention heads that divides `width`."""
    if width % count(who, "heads", value):
        raise ValueError(
            f"{who}(heads=...) must divide width={width}; got heads={value!r}. "
            f"Pass width={width + -width % value} or another number of heads."
        )
    return int(value)


def number(who: str, name: str, value: Any, below: float) -> float:
    """Returns a float, 0 <= value < `below`."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < below:
        return float(value)
    raise ValueError(
        f"{who}({name}=...) must be a number, 0 <= {name} < {below:g}; got {name}={value!r}."
    )


def images(who: str, value: Any, image_size: tuple[int, int], normalize: str) -> npt.NDArray[Any]:
    """Returns images [b, H, W, 3] as numpy: uint8 where `normalize` is "uint8", else float32."""
    array = np.asarray(value)
    if array.ndim != 4 or array.shape[1:] != (*image_size, 3):
        raise ValueError(
            f"{who}(images=...) must have shape [b, {image_size[0]}, {image_size[1]}, 3]; "
            f"got shape {list(array.shape)}. One image needs images[None]."
        )
    wanted = np.uint8 if normalize == "uint8" else np.float32
    if not np.issubdtype(array.dtype, np.uint8 if wanted == np.uint8 else np.floating):
        raise ValueError(
            f"{who}(images=...) must be {np.dtype(wanted)}, pixels={normalize!r} as in training; "
            f"got dtype {array.dtype}. Take images from a dataset that is built with these pixels."
        )
    return array.astype(wanted, copy=False)


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
    if mask.shape != ids.shape or mask.dtype.kind not in "bi":
        raise ValueError(
            f"{who}(padding_mask=...) must be bool or int, of the shape of token_ids "
            f"{list(ids.shape)}; got {mask.dtype} of shape {list(mask.shape)}."
        )
    _length(who, ids, sequence_length)
    return ids.astype(np.int32, copy=False), mask.astype(bool, copy=False)


def inputs(who: str, value: Any, names: tuple[str, ...], sequence_length: int) -> None:
    """Checks that `value` is a dict with these features, and that captions are not too long."""
    if not isinstance(value, dict) or any(name not in value for name in names):
        got = sorted(value)[:5] if isinstance(value, dict) else type(value).__name__
        raise ValueError(f"{who} takes a dict with {', '.join(names)}; got {got!r}.")
    _length(who, value["token_ids"], sequence_length)


def _length(who: str, token_ids: Any, sequence_length: int) -> None:
    length = token_ids.shape[1]  # None if a graph does not know it
    if length is not None and length > sequence_length:
        raise ValueError(
            f"{who}(token_ids=...) must have at most sequence_length={sequence_length} tokens per "
            f"caption; got {length}. Build the model with sequence_length={length}."
        )
