"""Order: the contents of every epoch, batch and shard."""

import collections
import dataclasses
import operator
import pickle
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.sampling.order import Order, Remainder
from mmdata.seeding import random_numbers


def batch(order: Order, number: int) -> list[int]:
    indices: list[int] = order.indices(number).tolist()
    return indices


def epoch(order: Order, number: int = 0) -> list[list[int]]:
    steps = order.steps_per_epoch
    return [batch(order, number * steps + i) for i in range(steps)]


def flat(batches: list[list[int]]) -> list[int]:
    return [index for indices in batches for index in indices]


def at_once(order: Order, epochs: int) -> list[list[int]]:
    """Whole epochs of an order that has one step an epoch."""
    assert order.steps_per_epoch == 1
    return [batch(order, number) for number in range(epochs)]


def cut(whole: list[int], size: int, remainder: Remainder) -> list[list[int]]:
    """The batches that one epoch's order is cut into."""
    batches = [whole[i : i + size] for i in range(0, len(whole), size)]
    missing = size - len(batches[-1])
    if missing and remainder == "drop":
        batches.pop()
    if missing and remainder == "wrap":
        batches[-1] += whole[:missing]
    return batches


def require_slices(order: Order, number: int, batches: list[list[int]]) -> None:
    """Whether the shards are even slices of these batches."""
    workers = order.shard[1]
    shards = [epoch(dataclasses.replace(order, shard=(k, workers)), number) for k in range(workers)]
    assert [flat(list(parts)) for parts in zip(*shards, strict=True)] == batches
    for parts in zip(*shards, strict=True):
        sizes = [len(part) for part in parts]
        assert min(sizes) >= 1
        assert max(sizes) - min(sizes) <= (not order.full)


REMAINDERS: tuple[Remainder, ...] = get_args(Remainder)


@st.composite
def sizes(draw: st.DrawFn, workers: int, batch_size: int, remainder: Remainder, most: int) -> int:
    """A number of indices that makes at most `most` full batches, and perhaps a short one."""
    least = workers if remainder == "keep" else 1
    rest = draw(st.just(0) | st.integers(least, max(batch_size - 1, least)))
    full = draw(st.integers(0 if remainder == "keep" else 1, most))
    return full * batch_size + rest % batch_size or batch_size


@st.composite
def orders(draw: st.DrawFn) -> Order:
    workers, remainder = draw(st.integers(1, 5)), draw(st.sampled_from(REMAINDERS))
    batch_size = workers * draw(st.integers(1, 8))
    count = draw(sizes(workers, batch_size, remainder, most=5))
    ends = draw(st.sets(st.integers(1, count), max_size=12)) | {count}
    return Order(
        count=count,
        batch_size=batch_size,
        shuffle=draw(st.booleans()),
        seed=draw(st.integers(-(2**40), 2**40)),
        shard=(0, workers),
        remainder=remainder,
        blocks=draw(st.sampled_from([(), tuple(np.diff([0, *sorted(ends)]).tolist())])),
        window=draw(st.integers(1, 5)),
    )


@given(order=orders(), number=st.integers(0, 1000))
def test_every_index_once_and_shards_cut_each_batch(order: Order, number: int) -> None:
    unsharded = dataclasses.replace(order, shard=(0, 1))
    one = dataclasses.replace(unsharded, batch_size=order.count, remainder="keep")
    whole = batch(one, number)
    assert sorted(whole) == list(range(order.count))
    if not order.shuffle:
        assert whole == list(range(order.count))
    batches = epoch(unsharded, number)
    assert batches == cut(whole, order.batch_size, order.remainder)
    assert order.steps_per_epoch == len(batches)
    assert all(len(set(indices)) == len(indices) for indices in batches)
    require_slices(order, number, batches)


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
    assert [order.epoch(n) for n in (0, 3, 4, 7, 8, 4000)] == [0, 0, 1, 1, 2, 1000]
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


@pytest.mark.parametrize("blocks", [(), (3,) * 4], ids=["all", "blocks"])
def test_many_epochs_make_distinct_and_even_permutations(blocks: tuple[int, ...]) -> None:
    order = Order(count=12, batch_size=12, blocks=blocks, window=3)
    table = np.array(at_once(order, 1000))
    assert len({tuple(row) for row in table.tolist()}) == 1000
    # Each index 83 times in each place, give or take 9.
    counts = np.array([np.bincount(column, minlength=12) for column in table.T])
    assert counts.min() > 40
    assert counts.max() < 130


# Buckets.


@st.composite
def bucketed_orders(draw: st.DrawFn) -> Order:
    workers, remainder = draw(st.integers(1, 3)), draw(st.sampled_from(REMAINDERS))
    batch_size = workers * draw(st.integers(1, 5))
    some = sizes(workers, batch_size, remainder, most=3)
    buckets = draw(st.lists(some, min_size=1, max_size=4))
    if remainder == "drop":  # A bucket may have no batch, if another has.
        buckets += draw(st.lists(st.integers(1, batch_size), max_size=2))
    buckets = draw(st.permutations(buckets))
    return Order(
        count=sum(buckets),
        batch_size=batch_size,
        shuffle=draw(st.booleans()),
        seed=draw(st.integers(-(2**40), 2**40)),
        shard=(0, workers),
        buckets=tuple(buckets),
        remainder=remainder,
    )


def bucket_of(order: Order, index: int) -> int:
    return int(np.searchsorted(np.cumsum(order.buckets), index, side="right"))


@settings(max_examples=30)
@given(order=bucketed_orders(), number=st.integers(0, 1000))
def test_no_batch_mixes_buckets_and_every_index_comes_once(order: Order, number: int) -> None:
    batches = epoch(dataclasses.replace(order, shard=(0, 1)), number)
    expected, first = [], 0
    for size in order.buckets:  # An order of its own each, as if it were alone.
        alone = Order(count=size, batch_size=size, shuffle=order.shuffle, seed=order.seed)
        whole = [first + index for index in batch(alone, number)]
        assert sorted(whole) == list(range(first, first + size))
        expected += cut(whole, order.batch_size, order.remainder)
        first += size
    assert sorted(batches) == sorted(expected)
    if not order.shuffle:
        assert batches == expected
    assert order.steps_per_epoch == len(batches)
    require_slices(order, number, batches)


def test_without_shuffling_buckets_come_one_after_another() -> None:
    order = Order(count=9, batch_size=2, shuffle=False, buckets=(5, 1, 3))
    assert epoch(order, 7) == [[0, 1], [2, 3], [4], [5], [6, 7], [8]]


def test_a_position_among_buckets_is_one_integer() -> None:
    order = Order(count=23, batch_size=4, seed=9, buckets=(11, 12))
    epochs = [epoch(order, number) for number in range(3)]
    again = dataclasses.replace(order)
    later = [batch(again, number) for number in (16, 2, 11)]
    assert later == [epochs[2][4], epochs[0][2], epochs[1][5]]
    assert epoch(order, 1) == epochs[1]


def test_seeds_and_epochs_shuffle_batches_and_what_they_hold() -> None:
    order = Order(count=60, batch_size=6, buckets=(24, 36))
    steps = [batch(order, number) for number in range(1000)]
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
    wrapped = dataclasses.replace(order, remainder="wrap")
    assert batch(wrapped, order.steps_per_epoch - 1) == last + first[: 4096 - len(last)]


# Blocks.


def block_of(order: Order, indices: list[int]) -> list[int]:
    blocks: list[int] = np.searchsorted(np.cumsum(order.blocks), indices, side="right").tolist()
    return blocks


def windows(order: Order, indices: list[int]) -> list[set[int]]:
    """Cuts an epoch into windows: so many blocks, each of them whole, or all that are left."""
    found, inside, read = [], set[int](), 0
    left = len(order.blocks)
    for block in block_of(order, indices):
        inside.add(block)
        read += 1
        whole = read == sum(order.blocks[b] for b in inside)
        if whole and len(inside) == min(order.window, left):
            found.append(inside)
            left -= len(inside)
            inside, read = set(), 0
    assert not inside
    return found


@settings(max_examples=40)
@given(
    blocks=st.lists(st.integers(1, 9), min_size=1, max_size=30),
    window=st.integers(1, 40),
    seed=st.integers(-(2**40), 2**40),
    number=st.integers(0, 1000),
)
def test_an_epoch_reads_some_blocks_at_a_time(
    blocks: list[int], window: int, seed: int, number: int
) -> None:
    count = sum(blocks)
    order = Order(count=count, batch_size=count, blocks=tuple(blocks), window=window, seed=seed)
    read = windows(order, batch(order, number))
    assert len(read) == -(-len(blocks) // window)
    assert sorted(block for inside in read for block in inside) == list(range(len(blocks)))
    assert [len(inside) for inside in read[:-1]] == [window] * (len(read) - 1)


def test_a_batch_has_indices_of_few_blocks() -> None:
    blocks = tuple(np.random.default_rng(0).integers(20, 60, 50).tolist())
    order = Order(count=sum(blocks), batch_size=16, blocks=blocks, window=4, seed=1)
    touched = [len(set(block_of(order, indices))) for indices in epoch(order)]
    assert max(touched) <= 8
    # 12 borders of 13 windows.
    assert sum(number > 4 for number in touched) <= 12
    assert np.mean(touched) > 3.5  # a mixture, not one block after another


def test_blocks_come_in_all_orders() -> None:
    order = Order(count=7, batch_size=7, blocks=(2, 1, 3, 1), window=1)
    # Each of 24 orders 33 times, give or take 6.
    seen = collections.Counter(
        tuple(dict.fromkeys(block_of(order, indices))) for indices in at_once(order, 800)
    )
    assert len(seen) == 24
    assert min(seen.values()) > 5
    assert max(seen.values()) < 65
    others = [dataclasses.replace(order, seed=seed) for seed in range(30)]
    assert len({tuple(block_of(order, batch(other, 0))) for other in others}) > 10


def test_windows_are_permuted_independently() -> None:
    order = Order(count=12, batch_size=12, blocks=(6, 6), window=1)
    table = np.array(at_once(order, 400)) % 6
    first, second = table[:, :6].tolist(), table[:, 6:].tolist()
    # 400 draws find 307 of 720 permutations, give or take 8.
    assert len({tuple(places) for places in first}) > 265
    assert len({tuple(places) for places in second}) > 265
    assert sum(map(operator.eq, first, second)) < 8
    assert sum(map(operator.eq, first, first[1:])) < 8


def test_without_shuffling_blocks_change_nothing() -> None:
    order = Order(count=10, batch_size=4, shuffle=False, blocks=(3, 7), window=1)
    assert epoch(order, 3) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_many_blocks_are_known_by_place() -> None:
    blocks = tuple(np.random.default_rng(0).integers(1, 200, 100_000).tolist())
    order = Order(count=sum(blocks), batch_size=64, blocks=blocks, remainder="drop")
    for number in (0, order.steps_per_epoch - 1, 5 * order.steps_per_epoch // 2):
        indices = batch(order, number)
        assert len(set(indices)) == 64
        assert 0 <= min(indices) <= max(indices) < order.count
        assert len(set(block_of(order, indices))) <= 16


# Remainders.


@pytest.mark.parametrize(
    ("remainder", "batches", "full"),
    [
        ("keep", [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]], False),
        ("drop", [[0, 1, 2, 3], [4, 5, 6, 7]], True),
        ("wrap", [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 1]], True),
    ],
)
def test_remainder(remainder: Remainder, batches: list[list[int]], full: bool) -> None:
    order = Order(count=10, batch_size=4, shuffle=False, remainder=remainder)
    assert (epoch(order, 2), order.full) == (batches, full)
    assert order.steps_per_epoch == len(batches)
    # Of `remainder` alone: another example must not change what shapes are known.
    assert dataclasses.replace(order, count=8).full is full


@pytest.mark.parametrize(
    ("remainder", "buckets", "batches"),
    [
        ("drop", (5, 1, 3, 2), [[0, 1], [2, 3], [6, 7], [9, 10]]),
        ("drop", (1, 2, 1), [[1, 2]]),
        ("wrap", (5, 2, 3), [[0, 1], [2, 3], [4, 0], [5, 6], [7, 8], [9, 7]]),
    ],
)
def test_remainder_of_each_bucket(
    remainder: Remainder, buckets: tuple[int, ...], batches: list[list[int]]
) -> None:
    order = Order(
        count=sum(buckets), batch_size=2, shuffle=False, buckets=buckets, remainder=remainder
    )
    assert epoch(order, 3) == batches


def test_each_epoch_drops_others() -> None:
    order = Order(count=11, batch_size=4, remainder="drop")
    dropped = [frozenset(range(11)) - set(flat(epoch(order, number))) for number in range(60)]
    assert {len(indices) for indices in dropped} == {3}
    assert len(set(dropped)) > 40  # of 165
    assert frozenset.union(*dropped) == frozenset(range(11))


def test_a_seed_means_what_it_meant() -> None:
    # Else a training that is resumed sees some examples twice and others never.
    order = Order(count=12, batch_size=6, seed=7)
    assert epoch(order, 1) == [[10, 8, 7, 0, 5, 3], [2, 9, 4, 11, 6, 1]]
    bucketed = dataclasses.replace(order, buckets=(5, 7))
    assert epoch(bucketed, 1) == [[10], [2, 1, 0, 3, 4], [7, 6, 5, 8, 11, 9]]
    blocks = dataclasses.replace(order, blocks=(3, 4, 5), window=2)
    assert epoch(blocks, 1) == [[2, 1, 0, 8, 7, 11], [9, 10, 6, 5, 4, 3]]
    assert numbers(range(3), seed=7, epoch=1).tolist() == [1861704540, 3765536148, 2218946388]


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
        ({"window": 0}, r"window=\.\.\. must be an int of at least 1; got 0"),
        ({"window": 1.5}, r"window=\.\.\. must be an int of at least 1; got 1\.5"),
        ({"remainder": "pad"}, r"must be one of \['keep', 'drop', 'wrap'\]; got 'pad'"),
        ({"blocks": (8, 9)}, r"blocks=\.\.\. must be .*, 16 in all; got \(8, 9\), 17 in all"),
        ({"blocks": (16, 0)}, r"blocks=\.\.\. must be numbers of at least 1, .*got \(16, 0\)"),
        ({"blocks": (2,) * 9}, r"got \(2, 2, 2, 2, 2, 2, \.\.\.\), 18 in all"),
        ({"blocks": (16,), "buckets": (9, 7)}, "exclude each other.*; got 2 buckets and 1 blocks"),
        ({"count": 7, "remainder": "drop"}, '"drop" leaves no batch of 8 out of 7 indices; choose'),
        (
            {"buckets": (5, 7, 4), "remainder": "drop"},
            '"drop" leaves no batch of 8 out of 7 indices of one bucket; choose a smaller',
        ),
        (
            {"count": 7, "remainder": "wrap"},
            r"twice in one batch of 8: there are 7 indices; choose",
        ),
        (
            {"buckets": (12, 4), "remainder": "wrap"},
            'there are 4 indices of one bucket; choose a smaller batch_size, or remainder="keep"',
        ),
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
    return random_numbers(np.array(index), seed, epoch)


def test_numbers_are_a_function_of_seed_epoch_and_index() -> None:
    some = [5, 0, 2**32 - 1, 7, 5]
    drawn = numbers(some, seed=3, epoch=2)
    assert (drawn.dtype, drawn[0]) == (np.int64, drawn[4])
    assert [numbers([index], seed=3, epoch=2)[0] for index in some] == drawn.tolist()
    tables = [numbers(range(8), seed, epoch) for seed in range(-8, 9) for epoch in range(9)]
    assert len({tuple(table) for table in tables}) == len(tables)


def test_numbers_fill_their_range_evenly() -> None:
    count = 40_000
    for epoch in (0, 1):
        drawn = numbers(range(count), seed=1, epoch=epoch)
        assert drawn.min() >= 0
        assert drawn.max() < 2**32
        for part in (drawn % 16, drawn >> 28, (drawn >> 13) % 16):
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
        "Order(count=16, batch_size=8, shuffle=True, seed=3, shard=(0, 1), buckets=(), "
        "remainder='keep', blocks=(), window=8)"
    )
    bucketed = dataclasses.replace(order, buckets=(6, 10))
    assert pickle.loads(pickle.dumps(order)) == order
    assert pickle.loads(pickle.dumps(bucketed)) == bucketed != order
    assert hash(pickle.loads(pickle.dumps(bucketed))) == hash(bucketed)
    assert len({order, Order(count=16, batch_size=8, seed=3), Order(count=16, batch_size=8)}) == 2


REPLICAS: list[tuple[dict[str, Any], int, str]] = [
    ({"count": 12, "batch_size": 4}, 2, ""),
    ({"count": 14, "batch_size": 4}, 2, ""),
    ({"count": 13, "batch_size": 4}, 1, ""),
    ({"count": 13, "batch_size": 4, "remainder": "drop"}, 2, ""),
    (
        {"count": 13, "batch_size": 4},
        2,
        r"last batch has 1\. Pass batch_size=Batching\(size=4",
    ),
    ({"count": 12, "batch_size": 3}, 2, r"must be a multiple of the 2 replicas .*; got 3 on each"),
    ({"count": 18, "batch_size": 8, "shard": (0, 2)}, 2, r"last batch has 1\."),
    ({"count": 12, "batch_size": 4, "buckets": (7, 5)}, 2, r"last batch has 1\."),
]


@pytest.mark.parametrize(("fields", "replicas", "message"), REPLICAS, ids=str)
def test_replicas(fields: dict[str, Any], replicas: int, message: str) -> None:
    order = Order(**{"shuffle": False, **fields})
    if not message:
        order.require_replicas(replicas)
        return
    with pytest.raises(ValueError, match=message):
        order.require_replicas(replicas)
