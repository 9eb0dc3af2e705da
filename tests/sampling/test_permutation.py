"""The permutation of an epoch: bijective for every count, and all permutations as likely."""

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from chance import chance  # type: ignore[import-not-found]
from hypothesis import given
from hypothesis import strategies as st

from mmdata.sampling.order import Order

SEEDS, EPOCHS = st.integers(0, 2**63 - 1), st.integers(0, 2**53)


def whole(count: int, seed: int, epoch: int) -> Any:
    return Order(count=count, batch_size=count, seed=seed).indices(epoch)


@pytest.mark.parametrize("count", range(1, 70))
def test_is_a_permutation_of_each_small_count(count: int) -> None:
    for epoch in range(3):
        assert sorted(whole(count, 5, epoch).tolist()) == list(range(count))


@given(count=st.integers(1, 20_000), seed=SEEDS, epoch=EPOCHS)
def test_is_a_permutation_of_any_count(count: int, seed: int, epoch: int) -> None:
    np.testing.assert_array_equal(np.sort(whole(count, seed, epoch)), np.arange(count))


@given(count=st.integers(256, 2**40), seed=SEEDS, epoch=st.integers(0, 1000))
def test_places_of_any_count_stay_apart(count: int, seed: int, epoch: int) -> None:
    order = Order(count=count, batch_size=256, seed=seed)
    begin = epoch * order.steps_per_epoch
    steps = {begin, begin + order.steps_per_epoch // 2, begin + order.steps_per_epoch - 1}
    indices = np.concatenate([order.indices(step) for step in steps])
    assert len(np.unique(indices)) == len(indices)
    assert 0 <= indices.min() <= indices.max() < count


# These are functions of fixed seeds: they pass always, or never. A fair permutation fails one of
# them once in 5,000 times.

FAIR = 1e-4


def require_fair(*tables: Any) -> None:
    assert FAIR < chance(*tables) < 1 - FAIR


def times(numbers: Any, kinds: int) -> Any:
    """How often each of `range(kinds)` comes."""
    return np.bincount(numbers, minlength=kinds)


def times_of_permutations(table: Any) -> Any:
    """How often each permutation comes in the rows of a table."""
    count = table.shape[1]
    _, found = np.unique(table @ count ** np.arange(count), return_counts=True)
    return np.concatenate([found, np.zeros(math.factorial(count) - len(found))])


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_epochs_have_all_permutations(count: int) -> None:
    table = np.array([whole(count, 0, epoch) for epoch in range(20 * math.factorial(count))])
    require_fair(times_of_permutations(table))
    require_fair(*(times(table[:, place], count) for place in range(count - 1)))


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 7, 8, 9])
def test_windows_have_all_permutations(count: int) -> None:
    windows = 40_000
    order = Order(
        count=count * windows, batch_size=count * windows, blocks=(count,) * windows, window=1
    )
    table = order.indices(0).reshape(windows, count) % count
    if count < 8:
        require_fair(times_of_permutations(table))
    first = table[:, :3] @ count ** np.arange(min(3, count))
    _, found = np.unique(first, return_counts=True)
    assert len(found) == math.perm(count, min(3, count))
    require_fair(found)


@pytest.mark.parametrize("count", [7, 9, 25, 49])
def test_half_of_the_permutations_are_odd(count: int) -> None:
    identity = np.eye(count)
    signs = [np.linalg.det(identity[whole(count, 1, epoch)]) for epoch in range(400)]
    require_fair(times((np.array(signs) > 0).astype(int), 2))


@pytest.mark.parametrize(
    ("count", "kinds", "steps"),
    [(64, 32, 63), (256, 32, 51), (1000, 25, 37), (100_000, 32, 41), (2**31 - 2, 31, 31)],
)
def test_places_neighbours_and_epochs_are_fair(count: int, kinds: int, steps: int) -> None:
    order = Order(count=count, batch_size=4, seed=7)
    middle = order.steps_per_epoch // 2
    begins = [epoch * order.steps_per_epoch + middle for epoch in range(3000)]
    table = np.array([order.indices(begin) for begin in begins])
    require_fair(*(times(column * kinds // count, kinds) for column in table.T))
    require_fair(*(times(column % kinds, kinds) for column in table.T))
    apart = (table[:, 1] - table[:, 0]) % count - 1  # from 0 to count - 2
    require_fair(times(apart * steps // (count - 1), steps))
    moved = (table[1:, 0] - table[:-1, 0]) % count
    require_fair(times(moved * kinds // count, kinds))


def test_sorted_rows_are_mixed_at_once() -> None:
    # 1,000 rows of one class, then 1,000 of another one.
    order = Order(count=2000, batch_size=32, seed=0)
    second = [int((order.indices(step) >= 1000).sum()) for step in range(10)]
    # 16 of 32 each, give or take 2.8; 160 of 320 in all, give or take 8.2.
    assert min(second) >= 5
    assert max(second) <= 27
    assert abs(sum(second) - 160) < 33
    # A buffer begins with rows of the first class: the second class is rare.
    buffered = tf.data.Dataset.range(2000).shuffle(1000, seed=0).take(320).as_numpy_iterator()
    assert sum(row >= 1000 for row in buffered) < 80
