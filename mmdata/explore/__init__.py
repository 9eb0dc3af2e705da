"""Shows data before training, and results after it: plots of sizes, lengths, batches and searches.

Heavy libraries are imported only when they are used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmdata.explore.augmentations import plot_augmentations
    from mmdata.explore.batches import plot_batch
    from mmdata.explore.retrieval import plot_retrieval
    from mmdata.explore.sizes import plot_lengths, plot_sizes

__all__ = [
    "plot_augmentations",
    "plot_batch",
    "plot_lengths",
    "plot_retrieval",
    "plot_sizes",
]

_MODULES = {
    "plot_augmentations": "mmdata.explore.augmentations",
    "plot_batch": "mmdata.explore.batches",
    "plot_lengths": "mmdata.explore.sizes",
    "plot_retrieval": "mmdata.explore.retrieval",
    "plot_sizes": "mmdata.explore.sizes",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(
        f"module 'mmdata.explore' has no attribute {name!r}; it has {', '.join(__all__)}."
    )


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
