"""What `from_dataset` of both models shares: arguments from a dataset, and an optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from mmdata.models import checks

if TYPE_CHECKING:
    from mmdata.dataset import Dataset

_ATTRIBUTES = ("image_sizes", "pixels", "task", "text")


def arguments_of(who: str, ds: Dataset, task: str) -> dict[str, Any]:
    """Returns the arguments of a model that follow from its dataset.

    Args:
      who: The method that takes the dataset, for messages.
      ds: What `mmdata.build` returns.
      task: The class of task that the model is for, e.g. "Captioning".

    Returns:
      image_size, normalize, sequence_length and vocabulary_size.

    Raises:
      TypeError: `ds` is not a dataset of `mmdata.build`.
      ValueError: The model cannot be trained on `ds`.
    """
    if not all(hasattr(ds, name) for name in _ATTRIBUTES):
        raise TypeError(
            f"{who}(ds) takes a dataset from mmdata.build; got {type(ds).__name__}. Pass "
            "one dataset, as mmdata.build returned it: without map(), take() and the like."
        )
    got, name = type(ds.task).__name__, task.lower()
    if not hasattr(ds, "tokenizer"):
        raise ValueError(
            f"{who}(ds) needs captions; got task={got}(...), which has no text. "
            f'Pass task="{name}" to mmdata.build.'
        )
    if got != task:
        raise ValueError(
            f"{who}(ds) needs batches of task={task}(...); got task={got}(...). "
            f'Pass task="{name}" to mmdata.build.'
        )
    if len(ds.image_sizes) > 1:
        raise ValueError(
            f"{who}(ds) needs images of one size; got {len(ds.image_sizes)} sizes, "
            f"{ds.image_sizes[:5]}. Pass Pixels(size=...) without buckets=... to mmdata.build."
        )
    (image_size,) = ds.image_sizes
    spec = ds.element_spec
    images = (spec[0] if isinstance(spec, tuple) else spec)["images"]
    if not images.shape[1:].is_compatible_with([*image_size, 3]):
        raise ValueError(
            f"{who}(ds) needs images [b, {image_size[0]}, {image_size[1]}, 3]; got features "
            f"{images.shape}. Pass the dataset that precompute_features was given."
        )
    return {
        "image_size": image_size,
        "normalize": ds.pixels.normalize,
        "sequence_length": ds.text.sequence_length,
        "vocabulary_size": ds.tokenizer.vocabulary_size,
    }


def adamw(who: str, learning_rate: Any, weight_decay: float) -> Any:
    """Returns the optimizer of both models."""
    is_number = isinstance(learning_rate, (int, float)) and not isinstance(learning_rate, bool)
    if not callable(learning_rate) and not (is_number and 0 < learning_rate < 1e3):
        raise ValueError(
            f"{who}(learning_rate=...) must be a number > 0 or a LearningRateSchedule; "
            f"got learning_rate={learning_rate!r}."
        )
    return keras.optimizers.AdamW(
        learning_rate,
        weight_decay=checks.number(who, "weight_decay", weight_decay, below=1),
        clipnorm=1.0,
    )
