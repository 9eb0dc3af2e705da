"""Batches are bit-exact for any number of threads and shards, with a cache, and after resuming."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import mmdata
from mmdata.sampling.order import Order

SAMPLES = pathlib.Path(__file__).parents[1] / "sample_data"
EPOCHS = 2
MADE: dict[str, dict[str, Any]] = {
    "augmented": {
        "task": mmdata.Captioning(captions="random", dropout=0.2),
        "augment": (mmdata.RandomCrop(), mmdata.Flip(), mmdata.Color()),
    },
    "buckets": {
        "pixels": mmdata.Pixels(
            fit="crop", buckets=((24, 24), (16, 32), (32, 16)), normalize="uint8"
        ),
        "augment": (mmdata.Flip(),),
        "batch_size": mmdata.Batching(size=8, remainder="drop"),
    },
    "plain": {"task": "retrieval", "pixels": mmdata.Pixels(size=(24, 24), normalize="uint8")},
}


@pytest.fixture(scope="module")
def pairs() -> mmdata.Pairs:
    """As many images as make batches that four shards can share, also the last of each bucket."""
    everything = mmdata.read(SAMPLES / "images", SAMPLES / "captions")
    return everything.take(np.arange(0, 240, 4))


def build(pairs: mmdata.Pairs, how: str, **more: Any) -> mmdata.Dataset:
    options: dict[str, Any] = {
        "text": "byte",
        "sequence_length": 64,
        "batch_size": 8,
        "seed": 11,
        "image_size": None if "pixels" in MADE[how] else (24, 24),
    }
    ds: mmdata.Dataset = mmdata.build(pairs, **options | MADE[how] | more)
    return ds


def threaded(ds: Any, threads: int) -> Any:
    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    return ds.with_options(options)


def leaves(batch: Any) -> list[Any]:
    return [tensor.numpy() for tensor in tf.nest.flatten(batch)]


def hashes(batches: Any) -> list[str]:
    return [
        hashlib.sha256(b"".join(leaf.tobytes() for leaf in leaves(batch))).hexdigest()
        for batch in batches
    ]


def epochs(ds: Any, count: int = EPOCHS) -> list[str]:
    return [digest for _ in range(count) for digest in hashes(ds)]


@pytest.fixture(scope="module", params=MADE)
def how(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def expected(pairs: mmdata.Pairs, how: str) -> list[str]:
    """Every batch of some epochs, without a cache, in one process."""
    found = epochs(build(pairs, how))
    assert len(set(found)) > 0.9 * len(found)
    return found


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("kept")


@pytest.mark.parametrize(
    ("threads", "cached"), [(1, False), (8, False), (8, True)], ids=["1", "8", "8, cache"]
)
def test_threads_and_cache(
    pairs: mmdata.Pairs,
    how: str,
    expected: list[str],
    kept: pathlib.Path,
    threads: int,
    cached: bool,
) -> None:
    ds = build(pairs, how, cache=kept if cached else None)
    assert epochs(threaded(ds, threads)) == expected


def joined(parts: list[Any]) -> Iterator[list[Any]]:
    for batches in zip(*parts, strict=True):
        yield [np.concatenate(leaf) for leaf in zip(*map(leaves, batches), strict=True)]


@pytest.mark.parametrize(("workers", "cached"), [(4, False), (2, True)], ids=["4", "2, cache"])
def test_shards_join_to_the_whole(
    pairs: mmdata.Pairs,
    how: str,
    expected: list[str],
    kept: pathlib.Path,
    workers: int,
    cached: bool,
) -> None:
    cache = kept if cached else None
    parts = [build(pairs, how, cache=cache, shard=(k, workers)) for k in range(workers)]
    found = [
        hashlib.sha256(b"".join(leaf.tobytes() for leaf in whole)).hexdigest()
        for _ in range(EPOCHS)
        for whole in joined(parts)
    ]
    assert found == expected


@pytest.mark.parametrize("cached", [False, True], ids=["files", "cache"])
def test_resumed_at_every_tenth_step(
    pairs: mmdata.Pairs, how: str, expected: list[str], kept: pathlib.Path, cached: bool
) -> None:
    ds = build(pairs, how, cache=kept if cached else None)
    for step in range(5, len(expected), 10):
        later = ds.at(step)
        rest = len(ds) - step % len(ds)
        assert int(later.cardinality()) == rest
        found = hashes(later)
        assert len(found) == rest
        assert found == expected[step : step + rest]


def test_a_thousand_epochs_in_a_thousand_orders(pairs: mmdata.Pairs, kept: pathlib.Path) -> None:
    ds = build(pairs, "plain", cache=kept, task="captioning")
    order: Order = ds.plan.order
    order = dataclasses.replace(order, batch_size=order.count)  # one step an epoch
    rows = np.array([order.indices(number) for number in range(1000)])
    assert len(np.unique(rows, axis=0)) == 1000
    np.testing.assert_array_equal(np.sort(rows, axis=1), np.tile(np.arange(order.count), (1000, 1)))


@pytest.mark.parametrize("captions", ["random", "cycle"])
def test_what_is_measured_is_the_same_each_epoch(pairs: mmdata.Pairs, captions: Any) -> None:
    splits = ("train", "validation")
    task = mmdata.Retrieval(captions=captions)
    halves = pairs.split({"train": 0.5, "validation": 0.5})
    train, validation = build(halves, "plain", split=splits, task=task)
    first, second = hashes(validation), hashes(validation)
    assert first == second == hashes(validation.at(7 * len(validation)))
    assert set(hashes(train)).isdisjoint(hashes(train))
    part = validation.pairs
    seen = np.concatenate([batch["image_id"] for batch in validation])
    assert len(part) == len(seen)
    np.testing.assert_array_equal(seen, np.arange(len(part)))
