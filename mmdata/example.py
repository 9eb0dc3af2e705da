"""What flows through a pipeline."""

from collections.abc import Callable
from typing import Any

Example = dict[str, Any]
"""Tensors by name; of one example, or of a batch of them."""

Stage = Callable[[Example], Example]
"""Maps an example to a new one; what it does not know passes through."""
