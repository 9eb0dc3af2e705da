"""The types that flow through a pipeline, and chains of stages."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

Example = dict[str, Any]
"""Tensors with their names: one example, or a batch of examples."""

Stage = Callable[[Example], Example]
"""Maps an example to a new one; other features pass through."""


def chain(stages: Sequence[Callable[[Example], Any] | None]) -> Callable[[Example], Any]:
    """Joins stages into one that applies them in order; skips None."""

    def run(example: Example) -> Any:
        return functools.reduce(lambda e, stage: stage(e), filter(None, stages), example)

    return run
