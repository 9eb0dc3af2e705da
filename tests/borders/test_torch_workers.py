"""PyTorch's `DataLoader`: its workers build their own datasets, and share each batch."""

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import mmdata

torch = pytest.importorskip("torch")

SAMPLES = pathlib.Path(__file__).parents[2] / "sample_data"
BATCH, WORKERS = 4, 2
pytestmark = pytest.mark.border


@pytest.fixture(scope="module")
def pairs() -> mmdata.Pairs:
    return mmdata.read(SAMPLES / "images", SAMPLES / "captions").sample(20)


def build(pairs: mmdata.Pairs, size: Any, shard: tuple[int, int] = (0, 1)) -> mmdata.Dataset:
    ds: mmdata.Dataset = mmdata.build(
        pairs, image_size=8, text="byte", sequence_length=100, batch_size=size, shard=shard
    )
    return ds


def shard_of(rank: int, world: int, worker: int, workers: int) -> tuple[int, int]:
    """The shard of a worker of process `rank`, one of `world` processes."""
    return rank * workers + worker, world * workers


class Captions(torch.utils.data.IterableDataset):  # type: ignore[name-defined]
    """Batches of `batch_size` examples, from epoch `epoch` on."""

    ds: mmdata.Dataset | None = None

    def __init__(self, pairs: mmdata.Pairs, batch_size: int, epoch: int = 0) -> None:
        self.pairs, self.batch_size, self.epoch = pairs, batch_size, epoch

    def __iter__(self) -> Iterator[Any]:
        if self.ds is None:  # once in each worker: each iteration is the next epoch
            info = torch.utils.data.get_worker_info()
            shard = shard_of(0, 1, info.id, info.num_workers)
            ds = build(self.pairs, self.batch_size * info.num_workers, shard)
            self.ds = ds.at(self.epoch * len(ds))
        for x, y, weight in self.ds.as_numpy_iterator():
            x = {name: torch.tensor(value) for name, value in x.items()}
            yield x, torch.tensor(y), torch.tensor(weight)


def joined(parts: Any) -> list[Any]:
    """The batches (x, y, weight) of all shards, as the arrays of one batch."""
    leaves = [[*x.values(), y, weight] for x, y, weight in parts]
    return [np.concatenate(part) for part in zip(*leaves, strict=True)]


def epoch_of(ds: mmdata.Dataset, epoch: int) -> list[list[Any]]:
    start = ds.at(epoch * len(ds))
    return [joined([batch]) for batch in start.take(len(ds)).as_numpy_iterator()]


def assert_same(got: list[list[Any]], wanted: list[list[Any]]) -> None:
    for parts, whole in zip(got, wanted, strict=True):
        for part, array in zip(parts, whole, strict=True):
            np.testing.assert_array_equal(part, array)


def test_workers_share_each_batch_of_each_epoch(pairs: mmdata.Pairs) -> None:
    first, whole = 3, build(pairs, BATCH * WORKERS)
    loader = torch.utils.data.DataLoader(
        Captions(pairs, BATCH, first),
        batch_size=None,
        num_workers=WORKERS,
        multiprocessing_context="spawn",
        persistent_workers=True,
    )
    for epoch in (first, first + 1):
        batches = list(loader)  # one of each worker, in turn
        assert {len(y) for _, y, _ in batches[:-WORKERS]} == {BATCH}
        assert sum(len(y) for _, y, _ in batches) == pairs.pair_count
        steps = [batches[i : i + WORKERS] for i in range(0, len(batches), WORKERS)]
        assert_same([joined(step) for step in steps], epoch_of(whole, epoch))


def test_workers_of_all_ranks_share_each_batch(pairs: mmdata.Pairs) -> None:
    size = mmdata.Batching(size=16, remainder="drop")
    shards = [shard_of(rank, 2, worker, 2) for rank in range(2) for worker in range(2)]
    parts = [build(pairs, size, shard).as_numpy_iterator() for shard in shards]
    got = [joined(step) for step in zip(*parts, strict=True)]
    assert_same(got, epoch_of(build(pairs, size), 0))


def test_a_last_batch_that_workers_cannot_share(pairs: mmdata.Pairs) -> None:
    size, count = 10, pairs.pair_count
    assert count % size == 1
    with pytest.raises(ValueError, match="the last batch of 1 cannot be shared by 2 shards"):
        build(pairs, size, (0, 2))
    for remainder, steps in (("drop", count // size), ("wrap", count // size + 1)):
        batching = mmdata.Batching(size=size, remainder=remainder)  # type: ignore[arg-type]
        assert len(build(pairs, batching, (0, 2))) == steps
