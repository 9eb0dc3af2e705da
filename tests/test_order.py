"""Order: what every epoch, batch and shard holds."""

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.order import Order, random_numbers


def step(number: int) -> Any:
    return tf.constant(number, tf.int64)


def batch(order: Order, number: int) -> list[int]:
    indices: list[int] = order.indices(step(number)).numpy().tolist()
    return indices


def epoch(order: Order, number: int = 0) -> list[list[int]]:
    steps = order.steps_per_epoch
    return [batch(order, number * steps + i) for i in range(steps)]


def flat(batches: list[list[int]]) -> list[int]:
    return [index for indices in batches for index in indices]


@st.composite
def orders(draw: st.DrawFn) -> Order:
    workers = draw(st.integers(1, 5))
    batch_size = workers * draw(st.integers(1, 8))
    remainder = draw(st.just(0) | st.integers(workers, max(batch_size - 1, workers)))
    count = max(draw(st.integers(0, 5)) * batch_size + remainder % batch_size, batch_size)
    seed, shuffle = draw(st.integers(-(2**40), 2**40)), draw(st.booleans())
    return Order(count=count, batch_size=batch_size, shuffle=shuffle, seed=seed, shard=(0, workers))


@settings(deadline=None, max_examples=60)
@given(order=orders(), number=st.integers(0, 1000))
def test_every_index_once_and_shards_cut_each_batch(order: Order, number: int) -> None:
    whole = dataclasses.replace(order, shard=(0, 1))
    batches = epoch(whole, number)
    assert sorted(flat(batches)) == list(range(order.count))
    full, rest = divmod(order.count, order.batch_size)
    assert [len(b) for b in batches] == [order.batch_size] * full + [rest] * (rest > 0)
    workers = order.shard[1]
    shards = [epoch(dataclasses.replace(order, shard=(k, workers)), number) for k in range(workers)]
    assert [flat(list(parts)) for parts in zip(*shards, strict=True)] == batches
    for parts in zip(*shards, strict=True):
        sizes = [len(part) for part in parts]
        assert min(sizes) >= 1
        assert max(sizes) - min(sizes) <= 1


TABLE = [(1, 1), (1, 8), (7, 7), (10, 3), (12, 4), (100, 32), (101, 100), (257, 64)]


@pytest.mark.parametrize(("count", "batch_size"), TABLE)
@pytest.mark.parametrize("shuffle", [True, False], ids=["shuffled", "counting"])
def test_every_index_once_an_epoch(count: int, batch_size: int, shuffle: bool) -> None:
    order = Order(count=count, batch_size=batch_size, shuffle=shuffle)
    assert order.steps_per_epoch == -(-count // batch_size)
    for number in (0, 1, 5):
        indices = flat(epoch(order, number))
        assert sorted(indices) == list(range(count))
        if not shuffle:
            assert indices == list(range(count))


def test_without_shuffling_it_counts_up() -> None:
    order = Order(count=10, batch_size=4, shuffle=False)
    assert epoch(order, 3) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_position_is_one_integer() -> None:
    order = Order(count=20, batch_size=6)
    assert [int(order.epoch(step(n))) for n in (0, 3, 4, 7, 8, 4000)] == [0, 0, 1, 1, 2, 1000]
    assert epoch(order) == epoch(Order(count=20, batch_size=6))
    # Batches cut one and the same order, whatever their size.
    assert flat(epoch(order)) == flat(epoch(dataclasses.replace(order, batch_size=20)))
    later = [batch(order, number) for number in (9, 4, 7)]
    assert later == [epoch(order, 2)[1], epoch(order, 1)[0], epoch(order, 1)[3]]


def test_seeds_and_epochs_make_distinct_permutations() -> None:
    # 2 of 600 are alike by chance once in 10**13.
    seen = {
        tuple(batch(Order(count=20, batch_size=20, seed=seed), number))
        for seed in range(300)
        for number in range(2)
    }
    assert len(seen) == 600


def test_many_epochs_make_distinct_and_even_permutations() -> None:
    order = Order(count=12, batch_size=12)
    table = np.array([batch(order, number) for number in range(600)])
    assert len({tuple(row) for row in table.tolist()}) == 600
    # Each index 50 times in each place, give or take 7.
    counts = np.array([np.bincount(column, minlength=12) for column in table.T])
    assert counts.min() > 15
    assert counts.max() < 95


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("shard", [(0, 1), (1, 2)], ids=str)
def test_the_same_in_a_graph(shuffle: bool, shard: tuple[int, int]) -> None:
    order = Order(count=37, batch_size=8, shuffle=shuffle, seed=-5, shard=shard)
    ds = tf.data.Dataset.range(2, 12).map(lambda n: (order.indices(n), order.epoch(n)))
    assert ds.element_spec == (tf.TensorSpec([None], tf.int64), tf.TensorSpec([], tf.int64))
    for number, (indices, in_epoch) in zip(range(2, 12), ds, strict=True):
        assert indices.numpy().tolist() == batch(order, number)
        assert int(in_epoch) == number // 5


# Buckets.


@st.composite
def bucketed_orders(draw: st.DrawFn) -> Order:
    workers = draw(st.integers(1, 3))
    batch_size = workers * draw(st.integers(1, 5))
    buckets = []
    for _ in range(draw(st.integers(1, 4))):
        remainder = draw(st.just(0) | st.integers(workers, max(batch_size - 1, workers)))
        size = draw(st.integers(0, 2)) * batch_size + remainder % batch_size
        buckets.append(size or batch_size)
    return Order(
        count=sum(buckets),
        batch_size=batch_size,
        shuffle=draw(st.booleans()),
        seed=draw(st.integers(-(2**40), 2**40)),
        shard=(0, workers),
        buckets=tuple(buckets),
    )


def bucket_of(order: Order, index: int) -> int:
    return int(np.searchsorted(np.cumsum(order.buckets), index, side="right"))


@settings(deadline=None, max_examples=30)
@given(order=bucketed_orders(), number=st.integers(0, 1000))
def test_no_batch_mixes_buckets_and_every_index_comes_once(order: Order, number: int) -> None:
    whole = dataclasses.replace(order, shard=(0, 1))
    batches = epoch(whole, number)
    assert sorted(flat(batches)) == list(range(order.count))
    sizes: dict[int, list[int]] = {bucket: [] for bucket in range(len(order.buckets))}
    for indices in batches:
        (bucket,) = {bucket_of(order, index) for index in indices}
        sizes[bucket].append(len(indices))
    for bucket, count in enumerate(order.buckets):
        full, rest = divmod(count, order.batch_size)
        of_batches = [order.batch_size] * full + [rest] * (rest > 0)
        assert sorted(sizes[bucket], reverse=True) == of_batches
    assert order.steps_per_epoch == len(batches) == sum(map(len, sizes.values()))
    if not order.shuffle:
        assert flat(batches) == list(range(order.count))
    workers = order.shard[1]
    shards = [epoch(dataclasses.replace(order, shard=(k, workers)), number) for k in range(workers)]
    assert [flat(list(parts)) for parts in zip(*shards, strict=True)] == batches
    for parts in zip(*shards, strict=True):
        lengths = [len(part) for part in parts]
        assert min(lengths) >= 1
        assert max(lengths) - min(lengths) <= 1


def test_without_shuffling_buckets_come_one_after_another() -> None:
    order = Order(count=9, batch_size=2, shuffle=False, buckets=(5, 1, 3))
    assert epoch(order, 7) == [[0, 1], [2, 3], [4], [5], [6, 7], [8]]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("shard", [(0, 1), (1, 2)], ids=str)
def test_buckets_are_the_same_in_a_graph(shuffle: bool, shard: tuple[int, int]) -> None:
    buckets = (6, 16, 2, 14)  # 2 + 4 + 1 + 4 batches
    order = Order(count=38, batch_size=4, shuffle=shuffle, seed=-5, shard=shard, buckets=buckets)
    ds = tf.data.Dataset.range(3, 25).map(lambda n: (order.indices(n), order.epoch(n)))
    assert ds.element_spec == (tf.TensorSpec([None], tf.int64), tf.TensorSpec([], tf.int64))
    for number, (indices, in_epoch) in zip(range(3, 25), ds, strict=True):
        assert indices.numpy().tolist() == batch(order, number)
        assert int(in_epoch) == number // 11


def test_a_position_among_buckets_is_one_integer() -> None:
    order = Order(count=23, batch_size=4, seed=9, buckets=(11, 12))
    epochs = [epoch(order, number) for number in range(3)]
    again = dataclasses.replace(order)
    later = [batch(again, number) for number in (16, 2, 11)]
    assert later == [epochs[2][4], epochs[0][2], epochs[1][5]]
    assert epoch(order, 1) == epochs[1]


def test_seeds_and_epochs_shuffle_batches_and_what_they_hold() -> None:
    order = Order(count=60, batch_size=6, buckets=(24, 36))
    steps = [
        indices.tolist()
        for indices in tf.data.Dataset.range(1000).map(order.indices).as_numpy_iterator()
    ]
    epochs = [steps[start : start + 10] for start in range(0, 1000, 10)]
    others = [epoch(dataclasses.replace(order, seed=seed), 0) for seed in range(1, 21)]
    assert len({str(batches) for batches in epochs + others}) == 120
    # Batches come in an order of their own: 10 over 4 ways for their buckets.
    ways = {tuple(bucket_of(order, indices[0]) for indices in batches) for batches in epochs}
    assert len(ways) > 60
    # And no two indices stay together: which ones share a batch with the first changes.
    first = [frozenset(b) for batches in epochs for b in batches if 0 in b]
    assert len(set(first)) > 90
    # Each place of an epoch holds the larger bucket 60 times of 100, give or take 5.
    larger = np.array([[indices[0] >= 24 for indices in batches] for batches in epochs]).sum(0)
    assert larger.min() > 35
    assert larger.max() < 85


def test_batches_of_a_bucket_cut_one_order_whatever_their_size() -> None:
    order = Order(count=40, batch_size=40, seed=3, buckets=(40,))
    (whole,) = epoch(order, 2)
    cut = epoch(dataclasses.replace(order, batch_size=8), 2)
    assert {tuple(b) for b in cut} == {tuple(whole[i : i + 8]) for i in range(0, 40, 8)}


@pytest.mark.parametrize("count", [10**9, 2**31, 10**12])
def test_huge_counts_need_no_memory(count: int) -> None:
    order = Order(count=count, batch_size=4096)
    first, last = batch(order, 0), batch(order, order.steps_per_epoch - 1)
    assert len(last) == (count % 4096 or 4096)
    indices = np.array(first + last)
    assert len(np.unique(indices)) == len(indices)
    assert indices.min() >= 0
    assert indices.max() < count
    assert np.abs(indices.mean() / count - 0.5) < 0.05  # from all over, not from a window


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"count": 0}, r"count=\.\.\. must be at least 1; got 0"),
        ({"count": -5}, r"count=\.\.\. must be at least 1; got -5"),
        ({"batch_size": 0}, r"batch_size=\.\.\. must be an int of at least 1; got 0"),
        ({"batch_size": -4}, r"batch_size=\.\.\. must be an int of at least 1; got -4"),
        ({"shard": (2, 2)}, r"shard=\.\.\. must be \(index, count\).*; got \(2, 2\)"),
        ({"shard": (-1, 2)}, r"shard=\.\.\. must be \(index, count\).*; got \(-1, 2\)"),
        ({"shard": (0, 0)}, r"shard=\.\.\. must be \(index, count\).*; got \(0, 0\)"),
        ({"shard": (0, 3)}, r"shared by all 3 shards and must be a multiple.*; got 8"),
        ({"shard": (0, 16)}, r"shared by all 16 shards and must be a multiple.*; got 8"),
        ({"count": 17, "shard": (1, 2)}, "last batch of 1 cannot be shared by 2 shards"),
        ({"count": 3, "shard": (0, 4)}, "last batch of 3 cannot be shared by 4 shards"),
        ({"buckets": (8, 7)}, r"buckets=\.\.\. must be numbers .*, 16 in all; got \(8, 7\)"),
        ({"buckets": (8, 9)}, r"buckets=\.\.\. must be numbers .*, 16 in all; got \(8, 9\)"),
        ({"buckets": (16, 0)}, r"buckets=\.\.\. must be numbers of at least 1, .*got \(16, 0\)"),
        ({"buckets": (17, -1)}, r"buckets=\.\.\. must be numbers of at least 1, .*got \(17, -1\)"),
        (
            {"buckets": (9, 7), "shard": (1, 2)},
            r"batch of 1 cannot be .* 2 shards; .* than 8 for 9",
        ),
        ({"buckets": (8, 5, 3), "shard": (0, 4)}, r"batch of 3 cannot be .* 4 shards; .* 8 for 3"),
    ],
    ids=str,
)
def test_fields_that_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Order(**{"count": 16, "batch_size": 8, **fields})


# Random numbers.


def numbers(index: Any, seed: int = 0, epoch: int = 0) -> Any:
    return random_numbers(tf.constant(index, tf.int64), seed, step(epoch)).numpy()


def test_numbers_are_a_function_of_seed_epoch_and_index() -> None:
    some = [5, 0, 2**31 - 1, 7, 5]
    drawn = numbers(some, seed=3, epoch=2)
    assert (drawn.dtype, drawn[0]) == (np.int64, drawn[4])
    assert [numbers([index], seed=3, epoch=2)[0] for index in some] == drawn.tolist()
    ds = tf.data.Dataset.range(3).map(lambda e: random_numbers(tf.constant(some, tf.int64), 3, e))
    assert list(ds.as_numpy_iterator())[2].tolist() == drawn.tolist()
    tables = [numbers(range(8), seed, epoch) for seed in range(-8, 9) for epoch in range(9)]
    assert len({tuple(table) for table in tables}) == len(tables)


def test_numbers_fill_their_range_evenly() -> None:
    count = 40_000
    for epoch in (0, 1):
        drawn = numbers(range(count), seed=1, epoch=epoch)
        assert drawn.min() >= 0
        assert drawn.max() < 2**31
        for part in (drawn % 16, drawn >> 27, (drawn >> 13) % 16):
            counts = np.bincount(part, minlength=16)  # 2,500 each, give or take 48
            assert np.abs(counts - count / 16).max() < 250
            pairs = np.bincount(part[1:] * 16 + part[:-1], minlength=256)  # 156, give or take 12
            assert np.abs(pairs - count / 256).max() < 65


def test_numbers_do_not_know_the_order_of_their_seed() -> None:
    drawn, order = numbers(range(4000)), np.array(batch(Order(count=4000, batch_size=4000), 0))
    assert abs(np.corrcoef(drawn, order)[0, 1]) < 0.08  # five standard deviations
    assert abs(np.corrcoef(drawn, numbers(range(4000), epoch=1))[0, 1]) < 0.08


def test_is_a_value() -> None:
    order = Order(count=16, batch_size=8, seed=3)
    assert repr(order) == (
        "Order(count=16, batch_size=8, shuffle=True, seed=3, shard=(0, 1), buckets=())"
    )
    bucketed = dataclasses.replace(order, buckets=(6, 10))
    assert pickle.loads(pickle.dumps(order)) == order
    assert pickle.loads(pickle.dumps(bucketed)) == bucketed != order
    assert hash(pickle.loads(pickle.dumps(bucketed))) == hash(bucketed)
    assert len({order, Order(count=16, batch_size=8, seed=3), Order(count=16, batch_size=8)}) == 2
