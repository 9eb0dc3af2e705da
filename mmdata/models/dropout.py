"""Dropout with a seed."""

from __future__ import annotations

import random
from typing import Any

from keras import layers


def seeded_dropout(rate: float) -> Any:
    """Makes a Dropout layer with the seed that Keras would draw.

    Without a seed of its own, the layer draws from PyTorch's random state on that backend, and
    `mmdata.Resume` cannot save this state.
    """
    return layers.Dropout(rate, seed=random.randint(1, 10**9))
