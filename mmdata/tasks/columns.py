"""Columns of numbers that come along in a batch, whatever the task."""

from typing import Any

from mmdata.example import Example

_TAKEN = frozenset(
    {
        "images",
        "image_id",
        "padding_mask",
        "positives",
        "references",
        "response_mask",
        "token_ids",
        "weight",
    }
)


def require_free(task: Any) -> None:
    """Raises a ValueError unless `task.columns` is a tuple of names that batches leave free."""
    if not isinstance(task.columns, tuple) or _TAKEN.intersection(task.columns):
        raise ValueError(
            f"{type(task).__name__}(columns=...) must be a tuple of names other than "
            f"{sorted(_TAKEN)}; got {task.columns!r}."
        )


def carried(task: Any, example: Example) -> Example:
    """The columns that `task.columns` names, under their names."""
    return {name: example[f"column:{name}"] for name in task.columns}
