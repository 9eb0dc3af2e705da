"""Splits: by content alone, so that nothing leaks and nothing moves."""

import dataclasses
import math
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import mmdata
from mmdata.pairing import splits
from mmdata.pairing.pairs import Pairs

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]

RATIOS = {"train": 0.5, "validation": 0.25, "test": 0.25}


def folder(start: int, end: int) -> dict[str, str | bytes]:
    """Files of images that no two are alike, each with a caption or two."""
    files: dict[str, str | bytes] = {}
    for n in range(start, end):
        files[f"{n:03}.jpg"] = f"content {n}"
        files[f"{n:03}.txt"] = f"one of {n}\ntwo of {n}" if n % 2 else f"one of {n}"
    return files


@pytest.fixture
def pairs(tmp_path: pathlib.Path, write: Write) -> Pairs:
    return mmdata.read(write(tmp_path, folder(0, 60)))


def split_by_image(pairs: Pairs) -> dict[str, str]:
    assert pairs.split_of is not None
    return {
        image: pairs.split_names[index]
        for image, index in zip(pairs.images, pairs.split_of, strict=True)
    }


# `splits.assign`, on content keys.

EVERYWHERE = np.linspace(-(2.0**63), 2.0**63, 99, endpoint=False).astype(np.int64)  # none is empty
keys = hnp.arrays(np.int64, st.integers(1, 60))
ratios = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(
    lambda shares: {f"split {n}": share / sum(shares) for n, share in enumerate(shares)}
)


@pytest.mark.parametrize("shares", [splits.DEFAULT, RATIOS, {"a": 0.05, "b": 0.95}, {"all": 1.0}])
def test_proportions(shares: Mapping[str, float]) -> None:
    count = 100_000
    keys = np.random.default_rng(0).integers(-(2**63), 2**63, count, np.int64)
    names, split_of = splits.assign(keys, shares)
    assert names == tuple(shares)
    assert split_of.dtype == np.int8
    for index, name in enumerate(names):
        spread = math.sqrt(shares[name] * (1 - shares[name]) / count)
        assert np.mean(split_of == index) == pytest.approx(shares[name], abs=4 * spread + 1e-9)


@given(keys, keys, ratios)
def test_adding_files_moves_no_other(
    old: np.ndarray[Any, np.dtype[np.int64]],
    new: np.ndarray[Any, np.dtype[np.int64]],
    ratios: dict[str, float],
) -> None:
    old = np.concatenate([old, EVERYWHERE])
    _, before = splits.assign(old, ratios)
    _, after = splits.assign(np.concatenate([new, old]), ratios)
    assert after[len(new) :].tolist() == before.tolist()


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (0, 0),
        (2**62 - 1, 0),
        (2**62, 0),
        (2**63 - 1024, 0),  # the last double below one half
        (-(2**63), 1),  # as unsigned: one half
        (-(2**62) - 2048, 1),  # the last double below three quarters
        (-(2**62), 2),
        (-1, 2),  # the largest of all keys: its fraction rounds to 1.0
    ],
)
def test_bounds(key: int, expected: int) -> None:
    fillers = np.array([1, -(2**63), -1], np.int64)  # one for each split
    _, split_of = splits.assign(np.append(fillers, np.int64(key)), RATIOS)
    assert split_of.tolist() == [0, 1, 2, expected]


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({}, "takes shares above 0; got {}"),
        ({"train": 1.5, "test": -0.5}, "takes shares above 0; got {'train': 1.5, 'test': -0.5}"),
        ({"train": 1.0, "test": 0.0}, "takes shares above 0"),
        ({"train": math.nan, "test": 0.5}, "takes shares above 0"),
        ({"train": 0.8, "test": 0.1}, "takes shares that add up to 1; got {'train': 0.8, 'test'"),
        ({"train": 80, "test": 20}, "in all 100."),
        ({"train": math.inf}, "takes shares that add up to 1"),
        ({"train": 1 - 1e-5}, "takes shares that add up to 1"),
    ],
    ids=str,
)
def test_ratios_that_do_not_serve(pairs: Pairs, shares: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=r"Pairs\.split\(\.\.\.\) takes shares") as caught:
        pairs.split(shares)
    assert message in str(caught.value)


def test_ratios_may_miss_1_by_rounding(pairs: Pairs) -> None:
    assert set(split_by_image(pairs.split({f"{n}": 1 / 3 for n in range(3)})).values()) == set(
        "012"
    )
    assert sum(10 * [0.1]) != 1.0
    with pytest.raises(ValueError, match="must leave no split empty"):  # and not: add up to 1
        splits.assign(np.zeros(1, np.int64), {f"{n}": 0.1 for n in range(10)})


def test_empty_split(tmp_path: pathlib.Path, write: Write) -> None:
    one = mmdata.read(write(tmp_path, folder(0, 1)))
    with pytest.raises(ValueError, match=r"leave no split empty; got no image in \[.*of 1 image"):
        one.split()
    assert split_by_image(one.split({"all": 1.0})) == {"000.jpg": "all"}


# `Pairs.split` and `Pairs.subset`, on files.


def test_split_is_a_partition(pairs: Pairs) -> None:
    whole = pairs.split(RATIOS)
    assert pairs.split_of is None
    assert list(whole.images) == list(pairs.images)
    by_image = split_by_image(whole)
    assert whole.frame["split"].tolist() == list(by_image.values())
    for name in RATIOS:
        part = whole.subset(name)
        assert list(part.images) == [image for image in by_image if by_image[image] == name]
        assert set(split_by_image(part).values()) == {name}
        assert (part.report.images, part.report.pairs) == (len(part), part.pair_count)
        assert part.report.findings == whole.report.findings
        for row, image in enumerate(part.images):  # all captions of an image, on its side
            lines = pathlib.Path(part.path(row)).with_suffix(".txt").read_text().splitlines()
            assert part.captions_of(row) == lines, image
        keys = whole.scanned()[0].keys[[by_image[image] == name for image in by_image]]
        assert part.scanned()[0].keys.tolist() == keys.tolist()


def test_no_other_file_moves(tmp_path: pathlib.Path, write: Write, pairs: Pairs) -> None:
    before = split_by_image(pairs.split(RATIOS))
    write(tmp_path, folder(60, 100) | {"a": ""})
    after = split_by_image(mmdata.read(tmp_path).split(RATIOS))
    assert len(after) == 100
    assert {image: after[image] for image in before} == before


def test_names_do_not_matter(tmp_path: pathlib.Path, write: Write, pairs: Pairs) -> None:
    before = split_by_image(pairs.split(RATIOS))
    copies = {
        f"copies/{n:03}.{end}": content
        for n in range(60)
        for end, content in (("png", f"content {n}"), ("txt", "another caption"))
    }
    both = split_by_image(mmdata.read(write(tmp_path, copies)).split(RATIOS))
    assert len(both) == 120
    for image, name in before.items():
        assert both[image] == both[f"copies/{image[:-4]}.png"] == name


def test_images_that_must_not_be_decoded_are_findings(pairs: Pairs) -> None:
    assert pairs.report.counts == {}
    whole = pairs.split(RATIOS)
    assert whole.report.counts == {"corrupt": 60}
    assert whole.report.findings[0].path == "000.jpg"
    assert "not a JPEG, PNG, GIF, BMP or WebP image" in whole.report.findings[0].detail
    scan, again = whole.scanned()
    assert again is whole
    assert scan is whole.scan


def test_splits_that_are_there_stay(pairs: Pairs) -> None:
    split_of = (np.arange(60) % 2).astype(np.int8)
    given_splits = dataclasses.replace(pairs, split_names=("x", "y"), split_of=split_of)
    assert given_splits.split(RATIOS) is given_splits
    assert given_splits.split() is given_splits
    assert list(given_splits.subset("y").images) == list(pairs.images)[1::2]


@pytest.mark.parametrize(
    ("whole", "message"),
    [(True, r"must be one of \['train', 'validation', 'test'\]; got 'val'"), (False, "got 'val'")],
    ids=["of three", "of none"],
)
def test_unknown_split(pairs: Pairs, whole: bool, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        (pairs.split(RATIOS) if whole else pairs).subset("val")
