"""Splits: by content only, so that nothing leaks and nothing moves."""

import dataclasses
import hashlib
import itertools
import math
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import mmdata
from mmdata.pairs import splits
from mmdata.pairs.findings import Finding
from mmdata.pairs.pairs import Pairs
from mmdata.pairs.strings import Strings

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]
Keys = np.ndarray[Any, np.dtype[np.int64]]

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
        ({"train": 0.8, "test": 0.1}, "takes shares with sum 1; got {'train': 0.8, 'test'"),
        ({"train": 80, "test": 20}, "with sum 100."),
        ({"train": math.inf}, "takes shares with sum 1"),
        ({"train": 1 - 1e-5}, "takes shares with sum 1"),
    ],
    ids=str,
)
def test_invalid_ratios(pairs: Pairs, shares: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=r"Pairs\.split\(\.\.\.\) takes shares") as caught:
        pairs.split(shares)
    assert message in str(caught.value)


def test_ratios_may_miss_1_by_rounding(pairs: Pairs) -> None:
    assert set(split_by_image(pairs.split({f"{n}": 1 / 3 for n in range(3)})).values()) == set(
        "012"
    )
    assert sum(10 * [0.1]) != 1.0
    with pytest.raises(ValueError, match="must leave no split empty"):  # not: sum 1
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
    assert whole.to_pandas()["split"].tolist() == list(by_image.values())
    for name in RATIOS:
        part = whole.subset(name)
        assert list(part.images) == [image for image in by_image if by_image[image] == name]
        assert set(split_by_image(part).values()) == {name}
        assert (part.report.images, part.report.pairs) == (len(part), part.pair_count)
        assert {found.path for found in part.report.problems} == set(part.images)
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
    assert not pairs.report.problems
    whole = pairs.split(RATIOS)
    assert whole.report.counts["corrupt"] == len(whole.report.problems) == 60
    assert whole.report.findings[0].path == "000.jpg"
    assert "not an image of a known format" in whole.report.findings[0].detail
    scan, again = whole.scanned()
    assert again is whole
    assert scan is whole.scan


def test_splits_that_are_there_stay(pairs: Pairs) -> None:
    split_of = (np.arange(60) % 2).astype(np.int8)
    given_splits = dataclasses.replace(pairs, split_names=("x", "y"), split_of=split_of)
    with pytest.raises(
        ValueError, match=r"needs pairs without splits; got the splits \['x', 'y'\]"
    ):
        given_splits.split(RATIOS)
    assert given_splits.split() is given_splits
    assert list(given_splits.subset("y").images) == list(pairs.images)[1::2]


@pytest.mark.parametrize(
    ("whole", "message"),
    [
        (True, r"must be one of \['train', 'validation', 'test'\]; got 'fold'"),
        (False, "got 'fold'"),
    ],
    ids=["of three", "of none"],
)
def test_unknown_split(pairs: Pairs, whole: bool, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        (pairs.split(RATIOS) if whole else pairs).subset("fold")


# `splits.group_keys`: what is linked is one group.

labels_of_rows = st.lists(st.tuples(*3 * [st.integers(0, 9)]), min_size=1, max_size=30)


def hashed(labels: Iterable[int], salt: int = 0) -> Keys:
    """A hash for each label; 0 stays 0."""
    return splits.shuffled(
        np.array([label and 1000 * salt + label for label in labels], np.int64)
    ).view(np.int64)


def linked(groupings: Sequence[Keys]) -> set[frozenset[int]]:
    """The groups of rows, by joining two at a time."""
    groups = [{row} for row in range(len(groupings[0]))]
    for grouping in groupings:
        for i, j in itertools.combinations(range(len(grouping)), 2):
            if grouping[i] == grouping[j] != 0 and groups[i] is not groups[j]:
                groups[i] |= groups[j]
                for row in groups[j]:
                    groups[row] = groups[i]
    return {frozenset(group) for group in groups}


def test_one_grouping_is_its_own_keys() -> None:
    for values in (EVERYWHERE, np.array([0, 5, 0, -1, 5]), np.empty(0, np.int64)):
        assert splits.group_keys([values]).tolist() == values.tolist()


@given(labels_of_rows, st.integers(1, 3))
def test_groups_are_what_is_linked(rows: list[tuple[int, ...]], count: int) -> None:
    columns = list(zip(*rows, strict=True))[:count]
    groupings = [hashed(column, salt) for salt, column in enumerate(columns)]
    keys = splits.group_keys(groupings)
    for group in linked(groupings):
        assert len({keys[row] for row in group}) == 1
        assert keys[min(group)] in {groupings[0][row] for row in group}
    known = [group for group in linked(groupings) if all(groupings[0][row] for row in group)]
    assert len({keys[min(group)] for group in known}) == len(known)


@given(labels_of_rows, labels_of_rows)
def test_rows_that_link_to_nothing_move_no_other(
    old: list[tuple[int, ...]], new: list[tuple[int, ...]]
) -> None:
    def keys(rows: Sequence[tuple[int, ...]]) -> list[int]:
        columns = zip(*rows, strict=True)
        return list(splits.group_keys([hashed(column) for column in columns]).tolist())

    apart = [tuple(label and label + 100 for label in row) for row in new]
    assert keys([*apart, *old])[len(new) :] == keys(old)


@given(labels_of_rows, labels_of_rows)
def test_new_members_do_not_move_a_group_of_the_column(
    old: list[tuple[int, ...]], new: list[tuple[int, ...]]
) -> None:
    column = np.array([1 + row[0] for row in old])
    members = np.array([column[row[0] % len(old)] for row in new])
    contents = np.arange(1, len(old) + len(new) + 1)  # no two alike
    before = splits.group_keys([hashed(column), hashed(contents[: len(old)])])
    both = np.concatenate([column, members])
    after = splits.group_keys([hashed(both), hashed(contents)])
    assert after[: len(old)].tolist() == before.tolist() == hashed(column).tolist()


def test_of_groups_that_become_one_one_stays() -> None:
    for n in range(50):
        column = hashed([2 * n + 1, 2 * n + 2])
        joined = splits.group_keys([column, np.array([7, 7])])
        assert np.count_nonzero(joined == column) == 1


def test_what_cannot_be_read_links_nothing() -> None:
    column, contents = hashed([1, 2, 3, 3]), np.zeros(4, np.int64)
    assert splits.group_keys([column, contents]).tolist() == column.tolist()
    assert splits.group_keys([contents, column]).tolist() == 4 * [0]
    assert splits.group_keys([np.array([0, 9]), np.array([4, 4])]).tolist() == [9, 9]


@pytest.mark.parametrize("size", [1, 2, 10])
def test_proportions_of_groups(size: int) -> None:
    count = 20_000
    contents = np.random.default_rng(size).integers(-(2**63), 2**63, count * size, np.int64)
    clusters = hashed(np.repeat(np.arange(1, count + 1), size).tolist())
    names, split_of = splits.assign(splits.group_keys([contents, clusters]), RATIOS)
    by_cluster = split_of.reshape(count, size)
    assert (by_cluster == by_cluster[:, :1]).all()
    for index, name in enumerate(names):
        spread = math.sqrt(RATIOS[name] * (1 - RATIOS[name]) / count)
        assert np.mean(by_cluster[:, 0] == index) == pytest.approx(RATIOS[name], abs=4 * spread)


def test_chains() -> None:
    count = 100_000
    order = np.random.default_rng(0).permutation(count)
    links = [hashed((1 + (order + shift) // 2).tolist()) for shift in (0, 1)]
    assert len(set(splits.group_keys(links).tolist())) == 1


def test_connect_leaves_its_argument() -> None:
    labels = np.arange(4)
    assert splits.connect(labels, np.array([3, 1]), np.array([1, 2])).tolist() == [0, 1, 1, 1]
    assert labels.tolist() == [0, 1, 2, 3]


def test_shuffled() -> None:
    states = (1234567 + np.arange(1, 4, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)).view(
        np.int64
    )
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]  # by SplitMix64
    assert splits.shuffled(states).tolist() == published
    assert splits.shuffled(np.zeros(1, np.int64)).tolist() == [0]


def test_most_splits() -> None:
    keys = np.linspace(-(2.0**63), 2.0**63, 9999, endpoint=False).astype(np.int64)
    names, split_of = splits.assign(keys, {f"{n}": 1 / 127 for n in range(127)})
    assert (len(names), split_of.min(), split_of.max()) == (127, 0, 126)
    with pytest.raises(ValueError, match=r"takes at most 127 splits; got 128\."):
        splits.assign(keys, {f"{n}": 1 / 128 for n in range(128)})


# `splits.hashes`


def test_hashes() -> None:
    texts = ["a", "", "é", "a", "7", "b\udcff"]
    found = splits.hashes(Strings.of(texts))
    expected = [
        int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little", signed=True)
        for data in (b"a", b"", "é".encode(), b"a", b"7", b"b\xff")
    ]
    assert found.dtype == np.int64
    assert found.tolist() == expected
    assert splits.hashes(np.array(texts, object)).tolist() == expected
    assert splits.hashes(np.array([7, 8]))[0] == found[4]
    values = [np.array([True, False]), np.array([0.5, -0.0, np.nan]), np.array([2**63], np.uint64)]
    for column in values:
        strings = Strings.of(map(repr, column.tolist()))
        assert splits.hashes(column).tolist() == splits.hashes(strings).tolist()
    assert splits.hashes(Strings.of([])).tolist() == []


# `splits.leaks` and `splits.duplicates`


def leaks(rows: Sequence[tuple[int, int, Sequence[str]]]) -> list[tuple[str, str, str]]:
    """What leaks, of rows (split, content key, captions), whose images are 0.jpg, 1.jpg, ..."""
    found = splits.leaks(
        np.array([split for split, _, _ in rows], np.int8),
        ("train", "validation", "test"),
        Strings.of(f"{n}.jpg" for n in range(len(rows))),
        np.array([key for _, key, _ in rows], np.int64),
        Strings.of(caption for _, _, captions in rows for caption in captions),
        np.cumsum([0, *(len(captions) for _, _, captions in rows)]),
    )
    assert all(finding.count == 1 for finding in found)
    return [(finding.kind, finding.path, finding.detail) for finding in found]


def test_leaked_images() -> None:
    keys_of_splits = [(0, 5), (2, 7), (0, 5), (0, 7), (2, 5), (1, 5), (2, 5), (1, 9), (1, 9)]
    assert leaks([(split, key, []) for split, key in keys_of_splits]) == [
        ("leaked_image", "0.jpg", "in 'train', also '4.jpg' in 'test', '5.jpg' in 'validation'"),
        ("leaked_image", "1.jpg", "in 'test', also '3.jpg' in 'train'"),
    ]


def test_leaked_captions() -> None:
    assert leaks(
        [
            (0, 1, ["A  dog ", "a cat", "mine"]),
            (0, 2, ["a dog", "a cat", "", "STRASSE"]),
            (2, 3, ["a\tdog", "a dog", " ", "a bird"]),
            (1, 4, ["a bird", "a dogs", "straße"]),
        ]
    ) == [
        ("leaked_caption", "0.jpg", "'A  dog ' in 'train', also '2.jpg' in 'test'"),
        ("leaked_caption", "1.jpg", "'STRASSE' in 'train', also '3.jpg' in 'validation'"),
        ("leaked_caption", "2.jpg", "'a bird' in 'test', also '3.jpg' in 'validation'"),
    ]


def test_what_leaks_nothing() -> None:
    assert leaks([]) == []
    assert leaks([(0, 0, []), (1, 0, [])]) == []  # that cannot be read
    assert leaks([(-1, 5, ["a"]), (0, 5, ["a"]), (0, 5, ["a"]), (-1, 5, ["a"])]) == []
    assert leaks([(0, 5, ["a", "a"]), (1, 6, ["b"])]) == []


@given(st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 4)), max_size=20))
def test_groups_leak_nothing_and_what_leaks_is_found(rows: list[tuple[int, int]]) -> None:
    found = leaks([(split, key, [f"{key}" if key else ""]) for split, key in rows])
    splits_of = {
        key: {split for split, own in rows if own == key and split >= 0} for _, key in rows
    }
    leaked = [key for key in splits_of if key and len(splits_of[key]) > 1]
    assert [kind for kind, _, _ in found].count("leaked_image") == len(leaked)
    assert [kind for kind, _, _ in found].count("leaked_caption") == len(leaked)
    assert sum(detail.count(".jpg") for _, _, detail in found) == 2 * sum(
        len(splits_of[key]) - 1 for key in leaked
    )


def test_duplicates() -> None:
    images = Strings.of(["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg", "g.jpg"])
    found = splits.duplicates(images, np.array([9, 3, 9, 0, 0, 3, 9]))
    assert found == [
        Finding("duplicate_image", "c.jpg", "a copy of 'a.jpg'"),
        Finding("duplicate_image", "f.jpg", "a copy of 'b.jpg'"),
        Finding("duplicate_image", "g.jpg", "a copy of 'a.jpg'"),
    ]
    assert splits.duplicates(Strings.of([]), np.empty(0, np.int64)) == []


# `Pairs.split` and `Pairs.leaks` as users call them.


def grouped(tmp_path: pathlib.Path, write: Write, column: Callable[[int], str]) -> Pairs:
    """60 images that no two are alike, and a table with a column."""
    lines = [f"{n:03}.jpg,caption {n},{column(n)}" for n in range(60)]
    table = "\n".join(["file_name,caption,scene", *lines])
    images: dict[str, str | bytes] = {f"{n:03}.jpg": f"content {n}" for n in range(60)}
    return mmdata.read(write(tmp_path, images | {"metadata.csv": table}))


def test_groups_of_a_column_stay_together(tmp_path: pathlib.Path, write: Write) -> None:
    pairs = grouped(tmp_path, write, lambda n: f"scene {n // 3}")
    found = split_by_image(pairs.split(RATIOS, groups="scene"))
    together = [{found[f"{3 * scene + n:03}.jpg"] for n in range(3)} for scene in range(20)]
    assert all(len(splits_of_scene) == 1 for splits_of_scene in together)
    assert set.union(*together) == RATIOS.keys()


@pytest.mark.parametrize("column", [lambda _: "", lambda n: "" if n else "0.5"])
def test_rows_without_a_group_are_split_by_content(
    tmp_path: pathlib.Path, write: Write, column: Callable[[int], str]
) -> None:
    pairs = grouped(tmp_path, write, column)
    by_group = split_by_image(pairs.split(RATIOS, groups="scene"))
    by_content = split_by_image(pairs.split(RATIOS))
    assert {image: by_group[image] for image in list(by_group)[1:]} == {
        image: by_content[image] for image in list(by_content)[1:]
    }


def test_groups_of_a_column_that_is_not_there(pairs: Pairs) -> None:
    with pytest.raises(ValueError, match=r"groups=... must be one of the columns \[\]; got 'nope'"):
        pairs.split(RATIOS, groups="nope")


def test_look_alikes_stay_together(tmp_path: pathlib.Path) -> None:
    for n in range(12):
        noise = np.random.default_rng(n).integers(0, 256, (6, 6, 3)).astype(np.uint8)
        image = Image.fromarray(noise).resize((96, 96), Image.Resampling.BICUBIC)
        image.save(tmp_path / f"{n:02}-a.png")
        image.resize((64, 64)).save(tmp_path / f"{n:02}-b.jpg", quality=70)
        for end in ("a", "b"):
            (tmp_path / f"{n:02}-{end}.txt").write_text(f"picture {n}")
    pairs = mmdata.read(tmp_path)
    apart = split_by_image(pairs.split({"train": 0.5, "test": 0.5}))
    assert any(apart[f"{n:02}-a.png"] != apart[f"{n:02}-b.jpg"] for n in range(12))
    together = pairs.split({"train": 0.5, "test": 0.5}, near_duplicates=True)
    found = split_by_image(together)
    assert all(found[f"{n:02}-a.png"] == found[f"{n:02}-b.jpg"] for n in range(12))
    assert set(found.values()) == {"train", "test"}
    assert together.leaks() == []


def test_leaks_of_pairs(tmp_path: pathlib.Path, write: Write) -> None:
    files = {"a.jpg": "one", "b.jpg": "one", "c.jpg": "two", "d.jpg": "three"}
    table = "file_name,caption,split\na.jpg,x,train\nb.jpg,y,test\nc.jpg,Y  ,train\nd.jpg,z,test\n"
    pairs = mmdata.read(write(tmp_path, files | {"metadata.csv": table}))
    assert [(leak.kind, leak.path) for leak in pairs.leaks()] == [
        ("leaked_image", "a.jpg"),
        ("leaked_caption", "b.jpg"),
    ]
    assert pairs.drop("split").leaks() == []
    assert pairs.drop("split").split({"all": 1.0}).leaks() == []
