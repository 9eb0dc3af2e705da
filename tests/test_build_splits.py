"""`mmdata.build` on sources with splits, on a source for each split, and wrong splits."""

import json
import pathlib
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import mmdata
from mmdata import PairingError, Pairs, Problems

SMALL: dict[str, Any] = {"image_size": (16, 16), "sequence_length": 8, "text": "word"}


def picture(path: pathlib.Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4 + number, 4), (number, 0, 0)).save(path)


def folder_of(root: pathlib.Path, words: list[str], start: int = 0) -> pathlib.Path:
    """Different pictures with a caption each, next to them."""
    for number, word in enumerate(words, start):
        picture(root / f"{number}.png", number)
        (root / f"{number}.txt").write_text(f"a {word}")
    return root


def words_of(ds: mmdata.Dataset) -> list[str]:
    """The captions of an epoch, in its order."""
    found = [ds.tokenizer.detokenize(y).numpy() for _, y, _ in ds]
    return [text.decode() for batch in found for text in batch]


def files_of(ds: mmdata.Dataset) -> set[str]:
    return {pathlib.Path(path).name for path in ds.pairs.paths}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    root = tmp_path_factory.mktemp("folders")
    folder_of(root / "train", ["dog", "cat", "cow", "pig", "hen", "fox"])
    folder_of(root / "Val", ["dog", "owl"], 6)
    folder_of(root / "test", ["cat"], 8)
    return root


def test_folders_are_the_splits(folders: pathlib.Path) -> None:
    train, val = mmdata.build(folders, split=("train", "val"), augment=[mmdata.Flip()], **SMALL)
    assert files_of(train) == {f"{number}.png" for number in range(6)}
    assert words_of(val) == ["a dog", "a [UNK]"]  # in order; the word is not of the training split
    assert words_of(val) == ["a dog", "a [UNK]"]
    with pytest.raises(ValueError, match=r"among \['test', 'train', 'validation'\].*got \['fold'"):
        mmdata.build(folders, split="fold", text="byte", image_size=(16, 16))


def test_all_splits_together_warn(folders: pathlib.Path) -> None:
    together = "split=None uses the images of all splits together: 'train', 'validation', 'test'"
    for source in (folders, mmdata.read(folders)):
        with pytest.warns(UserWarning, match=together) as caught:
            assert len(mmdata.build(source, **SMALL).pairs) == 9
        assert __file__ in {warning.filename for warning in caught}
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="split=None")
        mmdata.build(mmdata.read(folders, split="train"), **SMALL)
        mmdata.build(mmdata.read(folders, split=["train", "dev"]), **SMALL)
        mmdata.build(mmdata.read(folders).subset("train"), **SMALL)
        mmdata.build(folders, split="train", **SMALL)
        mmdata.build(mmdata.read(folders).drop("split"), **SMALL)


WRONG: list[tuple[Any, str]] = [
    (0.2, r"got 0\.2\. Shares are for Pairs\.split: pairs = mmdata\.read\(\.\.\.\)\.split\("),
    ({"train": 0.8}, r"got \{'train': 0\.8\}\. Shares are for"),
    (["train", "test"], r"a tuple of different names; got \['train', 'test'\]\."),
    ((), r"a tuple of different names; got \(\)\."),
    (("train", 3), r"got \('train', 3\)"),
    (("val", "validation"), r"different names; got \('val', 'validation'\)"),
    (("train", "train"), r"different names; got \('train', 'train'\)"),
]


@pytest.mark.parametrize(("split", "message"), WRONG)
def test_wrong_split(folders: pathlib.Path, split: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        mmdata.build(folders, split=split)
    assert str(caught.value).startswith('split=... must be None, a name such as "train", or')


# A source for each split.


def as_pairs(folder: pathlib.Path) -> Pairs:
    return mmdata.read(folder)


def as_table(folder: pathlib.Path) -> Any:
    pairs = mmdata.read(folder)
    table = folder / "table.csv"
    pd.DataFrame({"image": list(pairs.images), "caption": list(pairs.captions), "n": 1}).to_csv(
        table, index=False
    )
    return folder, table


def as_frame(folder: pathlib.Path) -> Any:
    pairs = mmdata.read(folder)
    return pd.DataFrame({"image": pairs.paths, "caption": list(pairs.captions), "weight": 2.0})


def as_shards(folder: pathlib.Path) -> Any:
    shards = folder.parent / f"{folder.name} shards"
    mmdata.read(folder).to_webdataset(shards)
    return shards


SOURCES = [str, as_pairs, as_table, as_frame, as_shards]


@pytest.mark.parametrize("train_as", SOURCES)
@pytest.mark.parametrize("other_as", [str, as_shards])
def test_a_source_for_each_split(tmp_path: pathlib.Path, train_as: Any, other_as: Any) -> None:
    train = train_as(folder_of(tmp_path / "one", ["dog", "cat", "cow", "pig", "hen", "fox"]))
    other = other_as(folder_of(tmp_path / "two", ["owl", "dog", "cat", "bee"], 6))
    sources = {"Train": train, "val": other}
    datasets = mmdata.build(
        sources, split=("train", "validation"), augment=[mmdata.Flip()], **SMALL
    )
    assert [len(ds.pairs) for ds in datasets] == [6, 4]
    assert datasets[0].tokenizer is datasets[1].tokenizer
    assert words_of(datasets[1]) == ["a [UNK]", "a dog", "a cat", "a [UNK]"]  # learned on train
    orders = [words_of(datasets[0]) for _ in range(3)]
    assert sorted(orders[0]) == sorted(orders[1])
    assert len(set(map(tuple, orders))) > 1
    reds = [
        red for x, _, _ in datasets[1] for red in np.rint(255 * x["images"].numpy()[:, 0, 0, 0])
    ]
    assert reds == [6, 7, 8, 9]


def test_copies_in_two_sources_are_leaks(tmp_path: pathlib.Path) -> None:
    one, two = folder_of(tmp_path / "one", ["dog", "cat"]), folder_of(tmp_path / "two", ["a dog"])
    pairs = mmdata.merge([mmdata.read(one).with_split("train"), mmdata.read(two).with_split("dev")])
    assert pairs.split_labels == ["train", "train", "validation"]
    [leak] = pairs.leaks()
    assert (leak.kind, leak.path) == ("leaked_image", "one/0.png")
    assert "'two/0.png' in 'validation'" in leak.detail


def test_sources_that_share_a_folder(tmp_path: pathlib.Path) -> None:
    images = folder_of(tmp_path / "images", ["dog", "cat", "cow", "pig"])
    for text in images.glob("*.txt"):
        text.unlink()
    tables = {"train": ["0.png", "1.png"], "validation": ["2.png"]}
    for name, listed in tables.items():
        entries = [{"id": n, "file_name": image} for n, image in enumerate(listed)]
        texts = [{"image_id": n, "caption": "a dog"} for n in range(len(listed))]
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps({"images": entries, "annotations": texts}))
    sources = {name: (images, tmp_path / f"{name}.json") for name in tables}
    with pytest.raises(PairingError) as caught:
        mmdata.build(sources, split=("train", "validation"), **SMALL)
    assert {finding.path for finding in caught.value.findings} == {"3.png"}
    (images / "3.png").unlink()
    for names in (("train", "validation"), ("train",), ("validation",)):
        datasets = mmdata.build(sources, split=names, **SMALL)
        assert [files_of(ds) for ds in datasets] == [set(tables[name]) for name in names]
    blank = Problems(missing="blank")
    datasets = mmdata.build(sources, split=("train", "validation"), on_problem=blank, **SMALL)
    assert [files_of(ds) for ds in datasets] == [{"0.png", "1.png"}, {"2.png"}]


def test_problems_of_sources(tmp_path: pathlib.Path, folders: pathlib.Path) -> None:
    other = folder_of(tmp_path / "other", ["dog"])
    picture(other / "none.png", 1)
    (other / "broken.png").write_bytes(b"no picture")
    (other / "broken.txt").write_text("a dog")
    sources = {"train": folders / "train", "validation": other}
    with pytest.raises(PairingError) as caught:
        mmdata.build(sources, split=("train", "validation"), **SMALL)
    kinds = {(found.kind, pathlib.Path(found.path).name) for found in caught.value.findings}
    assert kinds == {("missing_caption", "none.png"), ("corrupt", "broken.png")}
    dropped = mmdata.build(sources, split="validation", on_problem="drop", **SMALL)
    assert files_of(dropped) == {"0.png", "broken.png"}
    mmdata.build(sources, split="train", **SMALL)  # the other source is not read


def test_a_source_with_splits_gives_its_own(folders: pathlib.Path, tmp_path: pathlib.Path) -> None:
    other = folder_of(tmp_path / "other", ["dog"])
    sources = {"train": folders, "validation": other, "test": mmdata.read(folders)}
    datasets = mmdata.build(sources, split=("train", "validation", "test"), **SMALL)
    assert [len(ds.pairs) for ds in datasets] == [6, 1, 1]
    pairs = mmdata.read(folders).subset("test")
    with pytest.raises(ValueError, match=r"must have Pairs with the split 'dev2', or without"):
        mmdata.build({"train": other, "dev2": pairs}, **SMALL)


@pytest.mark.parametrize(
    ("sources", "options", "message"),
    [
        ({}, {}, "a source for at least one split; got none"),
        ({1: "a"}, {}, "names of splits as keys; got 1"),
        ({"val": "a", "dev": "b"}, {}, r"each split once; got \['val', 'dev'\]"),
        ({"train": ("a", "b", "c")}, {}, "got 3 values for 'train'"),
        ({"train": "a"}, {"captions": "b"}, "captions=... must be None if images=... is a dict"),
        ({"train": "a"}, {"split": "tset"}, r"split=... must be among \['train'\]; got \['ts"),
        (
            {"train": 3},
            {},
            "images=... must be a path, a DataFrame or a datasets.Dataset; got a in",
        ),
    ],
)
def test_wrong_sources(sources: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        mmdata.build(sources, **{"text": "byte", **options})
