"""Splits that depend on nothing but the content of each image file."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

DEFAULT: Mapping[str, float] = {"train": 0.8, "validation": 0.1, "test": 0.1}


def assign(
    keys: NDArray[np.int64], ratios: Mapping[str, float]
) -> tuple[tuple[str, ...], NDArray[np.int8]]:
    """Assigns each file to a split by its content key, int64 [n].

    The key is a hash, so key / 2**64 is uniform in [0, 1); the split is the part of the cumulated
    ratios that it falls into. Copies of a file fall into one split.

    Returns:
      The names of the splits; int8 [n], the index of each file's split.

    Raises:
      ValueError: See `Pairs.split`.
    """
    _require_ratios(ratios)
    names = tuple(ratios)
    bounds = np.cumsum([ratios[name] for name in names])[:-1]
    fractions = keys.view(np.uint64) / 2.0**64
    split_of = np.searchsorted(bounds, fractions, side="right").astype(np.int8)
    counts = np.bincount(split_of, minlength=len(names))
    empty = [name for name, count in zip(names, counts, strict=True) if not count]
    if empty:
        raise ValueError(
            f"Pairs.split(...) must leave no split empty; got no image in {empty} of {len(keys)} "
            f"image(s) with ratios {dict(ratios)}. Add images or give larger shares to {empty}."
        )
    return names, split_of


def _require_ratios(ratios: Mapping[str, float]) -> None:
    if not ratios or any(not ratio > 0 for ratio in ratios.values()):
        raise ValueError(f"Pairs.split(...) takes shares above 0; got {dict(ratios)!r}.")
    if not math.isclose(sum(ratios.values()), 1.0, abs_tol=1e-6):
        raise ValueError(
            f"Pairs.split(...) takes shares that add up to 1; got {dict(ratios)!r}, in all "
            f"{sum(ratios.values()):g}."
        )
