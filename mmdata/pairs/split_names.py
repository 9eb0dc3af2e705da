"""Names of splits: one table of aliases, for every source and every argument."""

from collections.abc import Iterable

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


def aliases(names: Iterable[str | None]) -> dict[str, str]:
    """The names that are not as in the table, also without case, and what they mean."""
    found = {name: split_name(name) for name in sorted({name for name in names if name})}
    return {name: split for name, split in found.items() if name.lower() != split.lower()}
