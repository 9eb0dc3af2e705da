"""Names of splits: one table of aliases, for every source and every argument."""

from collections.abc import Iterable, Mapping
from typing import Any

_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""Source: https://huggingface.co/docs/datasets/repository_structure, keywords of splits."""

_SPLIT_OF = {alias: name for name, aliases in _NAMES.items() for alias in aliases}


def known_split(word: str) -> str | None:
    """The split that a word in any case names, e.g. "validation" for "Val"; None for other words.

    >>> known_split("Val"), known_split("cats")
    ('validation', None)
    """
    return _SPLIT_OF.get(word.strip().lower())


def split_name(name: str) -> str:
    """The name of a split: that of the table for an alias, any other name as it is.

    >>> split_name("DEV"), split_name("fold 1")
    ('validation', 'fold 1')
    """
    return known_split(name) or name


def by_split(argument: str, values: Mapping[Any, Any]) -> dict[str, Any]:
    """The values of a dict by the usual names of their splits.

    Args:
      argument: The name of the dict, for messages.
      values: Name or alias -> value.

    Raises:
      TypeError: A key is not the name of a split.
      ValueError: Two keys name one split.
    """
    named: dict[str, Any] = {}
    for name, value in values.items():
        if not isinstance(name, str) or not name.strip():
            raise TypeError(f"{argument} must have names of splits as keys; got {name!r}.")
        if split_name(name) in named:
            raise ValueError(
                f"{argument} must name each split once; got {list(values)}, of which two are "
                f"{split_name(name)!r}."
            )
        named[split_name(name)] = value
    return named


def aliases(names: Iterable[str | None]) -> dict[str, str]:
    """The names that are not as in the table, also without case, and what they mean."""
    found = {name: split_name(name) for name in sorted({name for name in names if name})}
    return {name: split for name, split in found.items() if name.lower() != split.lower()}
