"""What flows through a pipeline."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

Example = dict[str, Any]
"""Tensors by name; of one example, or of a batch of them."""

Stage = Callable[[Example], Example]
"""Maps an example to a new one; what it does not know passes through."""


def chain(stages: Sequence[Callable[[Example], Any] | None]) -> Callable[[Example], Any]:
    """One after another, as a stage; None is none."""

    def run(example: Example) -> Any:
        return functools.reduce(lambda e, stage: stage(e), filter(None, stages), example)

    return run
