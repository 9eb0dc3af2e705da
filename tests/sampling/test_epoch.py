"""EpochIndex and Lookup: the images and captions of an epoch; no image is opened."""

import functools
import itertools
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import pytest
import tensorflow as tf
from chance import chance  # type: ignore[import-not-found]
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mmdata import (
    Captioning,
    Classification,
    Prediction,
    Prefix,
    References,
    Retrieval,
    TextToImage,
)
from mmdata.files.headers import Format
from mmdata.files.scan import Scan
from mmdata.pairs.pairs import Pairs, Row
from mmdata.sampling.caption_choice import LIST_SEPARATOR
from mmdata.sampling.epoch import EpochIndex
from mmdata.sampling.lookup import Lookup
from mmdata.sampling.order import Order, Remainder
from mmdata.seeding import random_keys
from mmdata.tasks import Task

POLICIES: list[Any] = ["all", "random", "cycle", "first", "longest", "join"]
TASKS: list[Task] = [
    References(),
    *(task(captions=captions) for task in (Captioning, Retrieval) for captions in POLICIES),
    Prefix(prompt="?", captions="cycle"),
    TextToImage(captions="longest"),
]

CAPTIONS = st.lists(st.text("ab,é🐈", max_size=3), min_size=1, max_size=4)
FILES = st.lists(st.tuples(CAPTIONS, st.integers(0, 3)), min_size=1, max_size=8)
Files = Sequence[tuple[Sequence[str], int]]


def pairs_of(files: Files) -> tuple[Pairs, Any]:
    """Pairs and the content keys of their files."""
    rows = [Row(f"{row}.png", captions) for row, (captions, _) in enumerate(files)]
    return Pairs.of_rows("root", rows, layout="rows"), np.array([key for _, key in files], np.int64)


def groups_of(files: Files, *, once_per_file: bool) -> list[list[int]]:
    """The pairs of each image: those of its copies too, where they are one image with it."""
    groups: dict[Any, list[int]] = {}
    pair = itertools.count()
    for row, (captions, key) in enumerate(files):
        name = key if once_per_file and key else f"row {row}"
        groups.setdefault(name, []).extend(next(pair) for _ in captions)
    return list(groups.values())


def first_copy(files: Files, row: int) -> int:
    """The first row with the key of this row; its own row if it has no key."""
    keys = [key for _, key in files]
    return keys.index(keys[row]) if keys[row] else row


def expected(task: Task, files: Files) -> list[list[int]]:
    """The pairs of each index, by a slow loop."""
    texts = [text.encode() for captions, _ in files for text in captions]
    if task.captions == "all":
        return [[pair] for pair in range(len(texts))]
    groups = groups_of(files, once_per_file=isinstance(task, (Retrieval, References)))
    if task.captions == "first":
        return [group[:1] for group in groups]
    if task.captions == "longest":  # Python's max, too, takes the first of equals
        return [[max(group, key=lambda pair: len(texts[pair]))] for group in groups]
    return groups


@given(files=FILES)
def test_visits_equal_a_slow_loop(files: Files) -> None:
    pairs, keys = pairs_of(files)
    texts = list(pairs.captions)
    row_of = [row for row, (captions, _) in enumerate(files) for _ in captions]
    for task in TASKS:
        epoch_index, wanted = EpochIndex.of(task, pairs, keys), expected(task, files)
        first = np.arange(epoch_index.count + 1) if epoch_index.first is None else epoch_index.first
        places = np.arange(first[-1]) if epoch_index.pairs is None else epoch_index.pairs
        found = [places[a:b].tolist() for a, b in itertools.pairwise(first)]
        assert (epoch_index.count, found) == (len(wanted), wanted), task
        rows = epoch_index.rows(pairs)
        assert rows.dtype == np.int64
        assert rows.tolist() == [row_of[group[0]] for group in wanted]

        captions = list(epoch_index.captions(task, pairs))
        if task.captions == "join":
            assert captions == [" ".join(texts[pair] for pair in group) for group in wanted]
        elif task.captions in ("all", "first", "longest"):
            assert captions == [texts[group[0]] for group in wanted]
        else:
            assert sorted(captions) == sorted(texts)


def test_copies_and_ties_by_hand() -> None:
    files = [(["a", "bb"], 7), (["cc"], 0), (["é"], 7), (["d"], 0)]
    pairs, keys = pairs_of(files)

    def chosen(task: Task) -> list[str]:
        return list(EpochIndex.of(task, pairs, keys).captions(task, pairs))

    assert chosen(Retrieval(captions="join")) == ["a bb é", "cc", "d"]
    assert chosen(Retrieval(captions="first")) == ["a", "cc", "d"]
    assert chosen(Retrieval(captions="longest")) == ["bb", "cc", "d"]  # é has two bytes, too
    assert chosen(Captioning(captions="longest")) == ["bb", "cc", "é", "d"]
    assert EpochIndex.of(References(), pairs, keys).rows(pairs).tolist() == [0, 1, 3]


def test_without_captions_an_index_is_a_row() -> None:
    pairs, keys = pairs_of([([], 5), (["a", "b"], 5), ([], 0)])
    epoch_index = EpochIndex.of(Classification(column="label"), pairs, keys)
    assert (epoch_index.count, epoch_index.rows(pairs).tolist()) == (3, [0, 1, 2])


# Which captions a step takes.


def look_up(task: Task, files: Files, **order: Any) -> Lookup:
    """The lookup of an order that takes all indices in one batch, unless `order` changes it."""
    pairs, keys = pairs_of(files)
    count = EpochIndex.of(task, pairs, keys).count
    fields = {"batch_size": count, "shuffle": False} | order
    return lookup_of(task, pairs, keys, Order(count=count, **fields))


def lookup_of(task: Task, pairs: Pairs, keys: Any, order: Order, **options: Any) -> Lookup:
    upright, side = np.ones(len(pairs), np.int8), np.full(len(pairs), 8, np.int32)
    scan = Scan(keys, upright * np.int8(Format.PNG), upright, side, side, {}, keys, keys, time=0)
    epoch_index = EpochIndex.of(task, pairs, keys)
    return Lookup(pairs, scan, epoch_index, order, task, {}, {}, **options)


def batches(looking: Lookup, steps: int, begin: int = 0) -> list[dict[str, Any]]:
    """What some steps hold, in a graph."""
    ds = tf.data.Dataset.range(begin, begin + steps).map(looking)
    return list(ds.as_numpy_iterator())


FEW: Files = [
    (["a", "b"], 7),
    (["", "c,d", "", "é"], 0),
    (["longest", "", "longest"], 3),
    (["f"], 0),
    (["g", "h", "i"], 7),
    (["", ""], 3),
    (["j", "k"], 5),
]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{type(task).__name__} {task.captions}")
def test_steps_equal_a_slow_loop(task: Task) -> None:
    wanted = expected(task, FEW)
    texts = [text.encode() for captions, _ in FEW for text in captions]
    row_of = [row for row, (captions, _) in enumerate(FEW) for _ in captions]
    steps = -(-len(wanted) // 3)
    indices: list[list[int]] = [[] for _ in range(6)]
    for step, batch in enumerate(batches(look_up(task, FEW, batch_size=3), 6 * steps)):
        epoch = step // steps
        columns = (batch[name].tolist() for name in ("index", "caption", "row", "path", "image_id"))
        for index, caption, row, path, image_id in zip(*columns, strict=True):
            indices[epoch].append(index)
            group = wanted[index]
            if task.captions in ("join", "list"):
                between = LIST_SEPARATOR if task.captions == "list" else b" "
                chosen = {(between.join(texts[pair] for pair in group), row_of[group[0]])}
            else:
                turn = [group[(index + epoch) % len(group)]]
                pairs = group if task.captions == "random" else turn
                chosen = {(texts[pair], row_of[pair]) for pair in pairs}
            assert (caption, row) in chosen
            assert path == f"root/{row}.png".encode()
            assert image_id == first_copy(FEW, row)
        assert set(batch["step"]) == {step}
        assert set(batch["epoch"]) == {epoch}
    assert indices == [list(range(len(wanted)))] * 6


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("shard", [(0, 1), (1, 2)], ids=str)
@pytest.mark.parametrize("parts", [{}, {"blocks": (9, 1, 20, 8)}, {"buckets": (9, 21, 8)}], ids=str)
@pytest.mark.parametrize("remainder", get_args(Remainder))
def test_a_graph_takes_the_indices_of_the_order(
    shuffle: bool, shard: tuple[int, int], parts: dict[str, Any], remainder: Remainder
) -> None:
    fields: dict[str, Any] = {"batch_size": 6, "shuffle": shuffle, "seed": -5, "shard": shard}
    fields |= {"window": 2, "remainder": remainder, **parts}
    order = Order(count=38, **fields)
    looking = look_up(Prediction(), [([], row) for row in range(38)], **fields)
    steps = range(2, 2 * order.steps_per_epoch)
    ds = tf.data.Dataset.range(steps.start, steps.stop).map(looking)
    length = 6 // shard[1] if order.full else None
    for name in ("index", "epoch", "row"):
        assert ds.element_spec[name] == tf.TensorSpec([length], tf.int64)
    for step, examples in zip(steps, ds.as_numpy_iterator(), strict=True):
        assert examples["index"].tolist() == order.indices(step).tolist()
        assert set(examples["epoch"].tolist()) == {step // order.steps_per_epoch}


def test_each_example_has_a_seed_if_asked_for() -> None:
    pairs, keys = pairs_of(FEW)
    order = Order(count=pairs.pair_count, batch_size=4, seed=9, remainder="wrap")
    looking = lookup_of(Captioning(), pairs, keys, order, with_seeds=True)
    ds = tf.data.Dataset.range(8).map(looking)
    assert ds.element_spec["seed"] == tf.TensorSpec([4, 2], tf.int32)
    for examples in ds.as_numpy_iterator():
        wanted = random_keys(examples["index"], 9, int(examples["epoch"][0]))
        assert examples["seed"].tolist() == wanted.tolist()


@settings(max_examples=8)
@given(
    files=FILES,
    captions=st.sampled_from(POLICIES[1:]),
    batch_size=st.integers(1, 4),
    workers=st.integers(1, 2),
    seed=st.integers(0, 99),
)
def test_no_batch_of_retrieval_holds_an_image_twice(
    files: Files, captions: Any, batch_size: int, workers: int, seed: int
) -> None:
    task, groups = Retrieval(captions=captions), groups_of(files, once_per_file=True)
    batch_size *= workers
    assume(not 0 < len(groups) % batch_size < workers)  # `Order` refuses it
    steps = -(-len(groups) // batch_size)
    order: dict[str, Any] = {"batch_size": batch_size, "shuffle": True, "seed": seed}
    shards = [
        batches(look_up(task, files, shard=(worker, workers), **order), 3 * steps)
        for worker in range(workers)
    ]
    epochs: list[list[Any]] = [[], [], []]
    for step, parts in enumerate(zip(*shards, strict=True)):
        images = np.concatenate([part["image_id"] for part in parts]).tolist()
        assert len(set(images)) == len(images) <= batch_size
        epochs[step // steps] += images
    for images in epochs:
        assert len(set(images)) == len(images) == len(groups)


# Draws.

COUNTS = np.array([2, 3, 5] * 6)
EPOCHS = 400


def seems_fair(draws: Any) -> bool:
    """Whether draws are even, those of two images and of two epochs in a row among them.

    A fair one fails once in a hundred.

    Args:
      draws: int [epochs, images], which of its `COUNTS` captions each image shows.
    """
    columns = list(zip(draws.T, COUNTS, strict=True))
    single = [np.bincount(column, minlength=n) for column, n in columns]
    later = [np.bincount(column[::2] * n + column[1::2], minlength=n * n) for column, n in columns]
    joint = [
        np.bincount(one * n + other, minlength=n * n)
        for (one, n), (other, m) in itertools.combinations(columns, 2)
        if n == m
    ]
    together = chance(*single), chance(*later)
    alone = min(map(chance, single)), min(map(chance, joint))
    return bool(
        min(together) > 1e-3 and max(together) < 0.999 and alone[0] > 1e-4 and alone[1] > 1e-5
    )


@functools.cache
def drawn(seed: int) -> Any:
    files = [([f"{'abcde'[k]}" for k in range(n)], row + 1) for row, n in enumerate(COUNTS)]
    looking = look_up(Retrieval(captions="random"), files, seed=seed)
    captions = np.stack([batch["caption"] for batch in batches(looking, EPOCHS)])
    return captions.astype("S1").view(np.uint8).astype(np.int64) - ord("a")


@pytest.mark.parametrize("seed", [0, 1])
def test_each_caption_is_drawn_as_often_and_images_draw_apart(seed: int) -> None:
    assert drawn(seed).shape == (EPOCHS, len(COUNTS))
    assert seems_fair(drawn(seed))


def test_another_seed_draws_apart() -> None:
    both = zip((drawn(0) * COUNTS + drawn(1)).T, COUNTS, strict=True)
    assert 1e-3 < chance(*(np.bincount(column, minlength=n * n) for column, n in both)) < 0.999


def test_the_measure_separates_fair_from_unfair() -> None:
    rng = np.random.default_rng(0)

    def fair() -> Any:
        return rng.integers(0, COUNTS, (EPOCHS, len(COUNTS)))

    unfair = {
        "one caption twice as often": rng.integers(0, COUNTS + 1, fair().shape) % COUNTS,
        "all images alike": rng.integers(0, 30, (EPOCHS, 1)) % COUNTS,
        "two images alike": fair()[:, [*range(15), 0, 16, 17]],
        "in turn": (np.arange(EPOCHS)[:, None] + np.arange(len(COUNTS))) % COUNTS,
        "each draw twice": np.repeat(fair()[::2], 2, axis=0),
    }
    assert [name for name, draws in unfair.items() if seems_fair(draws)] == []
    assert sum(seems_fair(fair()) for _ in range(20)) >= 19


def test_a_draw_is_a_function_of_seed_epoch_and_image() -> None:
    files = [([f"{'abcde'[k]}" for k in range(n)], row + 1) for row, n in enumerate(COUNTS)]
    task, count = Captioning(captions="random"), len(COUNTS)
    whole = batches(look_up(task, files, seed=5), 3, begin=7)
    wanted = {
        (batch["epoch"][0], index): caption
        for batch in whole
        for index, caption in zip(batch["index"], batch["caption"], strict=True)
    }
    assert len(wanted) == 3 * count
    orders: list[dict[str, Any]] = [{"batch_size": 4}, {"batch_size": 6, "shard": (1, 2)}]
    for fields in orders:
        looking = look_up(task, files, seed=5, **{"shuffle": True, **fields})
        steps = -(-count // fields["batch_size"])
        for batch in batches(looking, 3 * steps, begin=7 * steps):
            examples = zip(batch["epoch"], batch["index"], batch["caption"], strict=True)
            assert all(wanted[epoch, index] == caption for epoch, index, caption in examples)
