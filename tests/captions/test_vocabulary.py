"""Vocabularies: learned from the training captions, once."""

import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmdata.captions import vocabulary
from mmdata.captions.cleaned import Cleaner
from mmdata.example import Stage
from mmdata.options import Text
from mmdata.pairs.pairs import Pairs, Row
from mmdata.stages.captions import Template
from mmdata.stages.clean import Clean
from mmdata.tokenizers import LEARNED, Byte, Tokenizer, Word, WordPiece
from mmdata.tokenizers.vocabulary_tokenizer import SPECIAL_TOKENS

CAPTIONS = ["A red boat.", "a RED car", "two boats", "a zebra at night"]
WORDS = Text(tokenizer="word")


def pairs_of(captions: list[str], names: tuple[str, ...] = (), split_of: str = "") -> Pairs:
    """One image a caption; `split_of` has a digit a row, the place of its split among `names`."""
    rows = [Row(f"{row:04}.jpg", [caption]) for row, caption in enumerate(captions)]
    pairs = Pairs.of_rows("nowhere", rows, layout="sidecar")
    if not names:
        return pairs
    places = np.array([int(digit) for digit in split_of], np.int8)
    return dataclasses.replace(pairs, split_names=names, split_of=places)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of each test, where nothing has been learned."""
    monkeypatch.setenv("MMDATA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def tokenizer_for(text: Text, pairs: Pairs, rewording: tuple[Stage, ...] = ()) -> Tokenizer:
    tokenizer = vocabulary.tokenizer_for(text, pairs, Cleaner(text.cleaner, rewording))
    assert tokenizer is not None
    return tokenizer


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was learned from, a list each time."""
    calls: list[list[str]] = []
    for kind in LEARNED.values():
        learn: Callable[..., Tokenizer] = kind.learn

        def noting(
            captions: Any, learn: Callable[..., Tokenizer] = learn, **size: int
        ) -> Tokenizer:
            calls.append(list(captions))
            return learn(calls[-1], **size)

        monkeypatch.setattr(kind, "learn", noting)
    return calls


@pytest.mark.parametrize(("name", "kind"), [("word", Word), ("wordpiece", WordPiece)])
def test_learns_from_clean_captions(name: str, kind: type[Word | WordPiece]) -> None:
    clean = ["a red boat.", "a red car", "two boats", "a zebra at night"]
    expected = kind.learn(clean, vocabulary_size=40)
    text = Text(tokenizer=name, vocabulary_size=40)
    assert tokenizer_for(text, pairs_of(CAPTIONS)) == expected


def test_cleans_as_requested() -> None:
    as_typed = tokenizer_for(Text(tokenizer="word", clean=None), pairs_of(["A\u00a0 red", "RED"]))
    assert set(as_typed.vocabulary[4:]) == {"A", "\u00a0", "red", "RED"}
    cased = Text(tokenizer="word", clean=Clean(lower=False))
    assert set(tokenizer_for(cased, pairs_of(["A\u00a0 red", "RED"])).vocabulary[4:]) == {
        "A",
        "red",
        "RED",
    }


def test_learns_from_the_training_captions_alone() -> None:
    pairs = pairs_of(CAPTIONS, ("train", "validation", "test"), "0021")
    tokenizer = tokenizer_for(WORDS, pairs)
    assert set(tokenizer.vocabulary[4:]) == {"a", "red", "boat", ".", "car"}
    assert tokenizer.tokenize("a zebra").numpy().tolist() == [4, tokenizer.unknown_id]
    # Captions of other splits do not matter.
    other = pairs_of([*CAPTIONS[:2], "x y", "z"], ("train", "validation", "test"), "0021")
    assert tokenizer_for(WORDS, other) == tokenizer


def test_learns_from_everything_where_nothing_is_split() -> None:
    assert "zebra" in tokenizer_for(WORDS, pairs_of(CAPTIONS)).vocabulary


@pytest.mark.parametrize("name", ["word", "wordpiece"])
def test_splits_without_train(name: str) -> None:
    pairs = pairs_of(CAPTIONS, ("fit", "rest"), "0011")
    message = rf"text='{name}' learns .* from the split 'train'; got the splits \['fit', 'rest'\]"
    with pytest.raises(ValueError, match=message):
        tokenizer_for(Text(tokenizer=name), pairs)
    rest = pairs_of(CAPTIONS, ("train", "rest"), "0011").subset("rest")  # "train" has no row
    with pytest.raises(ValueError, match=r"got the splits \['rest'\]"):
        tokenizer_for(Text(tokenizer=name), rest)


@pytest.mark.parametrize("tokenizer", ["byte", Byte(), Word((*SPECIAL_TOKENS, "a"))], ids=str)
def test_what_is_not_learned(tokenizer: Any, folder: Path, learned: list[list[str]]) -> None:
    pairs = pairs_of(CAPTIONS, ("fit", "rest"), "0011")
    expected = Byte() if tokenizer == "byte" else tokenizer
    assert tokenizer_for(Text(tokenizer=tokenizer), pairs) == expected
    assert learned == []
    assert not folder.exists()


@pytest.mark.parametrize("name", LEARNED)
def test_learns_once(name: str, folder: Path, learned: list[list[str]]) -> None:
    text = Text(tokenizer=name, vocabulary_size=400, clean="lower")
    first = tokenizer_for(text, pairs_of(CAPTIONS))
    files = list(folder.rglob("*"))
    assert tokenizer_for(text, pairs_of(CAPTIONS)) == first
    assert learned == [["a red boat.", "a red car", "two boats", "a zebra at night"]]
    assert list(folder.rglob("*")) == files
    (kept,) = (folder / "vocabularies").iterdir()
    assert kept.name.startswith(f"{name}-")


def test_what_is_irrelevant_does_not_learn_again(learned: list[list[str]]) -> None:
    tokenizer_for(WORDS, pairs_of(CAPTIONS[:2]))
    tokenizer_for(dataclasses.replace(WORDS, length=9), pairs_of(CAPTIONS[:2]))
    tokenizer_for(WORDS, pairs_of(CAPTIONS, ("train", "rest"), "0011"))
    assert len(learned) == 1


@pytest.mark.parametrize(
    ("text", "captions"),
    [
        (Text(tokenizer="wordpiece"), CAPTIONS),
        (Text(tokenizer="word", clean=None), CAPTIONS),
        (Text(tokenizer="word", clean=Clean(lower=False)), CAPTIONS),
        (Text(tokenizer="word", vocabulary_size=7999), CAPTIONS),
        (WORDS, [*CAPTIONS[:3], "a zebra at nighT!"]),
        (WORDS, CAPTIONS[:3]),
        (WORDS, ["A red boat.a RED car", *CAPTIONS[2:]]),
        (WORDS, ["A red boat.a", " RED car", *CAPTIONS[2:]]),
    ],
    ids=["kind", "clean", "lower", "size", "changed", "removed", "joined", "moved"],
)
def test_what_changes_learns_again(
    text: Text, captions: list[str], learned: list[list[str]]
) -> None:
    tokenizer_for(WORDS, pairs_of(CAPTIONS))
    again = tokenizer_for(text, pairs_of(captions))
    assert len(learned) == 2
    assert tokenizer_for(text, pairs_of(captions)) == again
    assert len(learned) == 2


def test_every_caption_of_many_is_learned_from(learned: list[list[str]]) -> None:
    captions = [f"Word{n}" for n in range(5000)]
    tokenizer_for(WORDS, pairs_of(captions))
    assert learned == [[caption.lower() for caption in captions]]


def test_a_home_that_cannot_be_written(folder: Path) -> None:
    folder.write_text("a file where a folder should be")
    with pytest.warns(UserWarning, match="the vocabulary was learned but cannot be saved"):
        tokenizer = tokenizer_for(WORDS, pairs_of(CAPTIONS))
    assert "zebra" in tokenizer.vocabulary
    assert folder.read_text() == "a file where a folder should be"


@pytest.mark.parametrize("name", LEARNED)
def test_a_damaged_vocabulary_is_learned_again(
    name: str, folder: Path, learned: list[list[str]]
) -> None:
    text = Text(tokenizer=name, vocabulary_size=400)
    first = tokenizer_for(text, pairs_of(CAPTIONS))
    (path,) = folder.glob("vocabularies/*")
    (path / "merges.txt" if path.is_dir() else path).write_bytes(b"\xff\xfe")
    assert tokenizer_for(text, pairs_of(CAPTIONS)) == first
    assert len(learned) == 2
    assert tokenizer_for(text, pairs_of(CAPTIONS)) == first
    assert len(learned) == 2
    assert [*folder.glob("vocabularies/*")] == [path]


def test_words_of_a_template_are_learned(learned: list[list[str]]) -> None:
    template = (Template(text="Photo of {caption}"),)
    assert "photo" in tokenizer_for(WORDS, pairs_of(CAPTIONS), template).vocabulary
    assert learned == [[f"photo of {caption.lower()}" for caption in CAPTIONS]]
    assert "photo" not in tokenizer_for(WORDS, pairs_of(CAPTIONS)).vocabulary


@pytest.mark.parametrize("name", LEARNED)
def test_a_size_that_the_captions_do_not_give_is_reported(name: str) -> None:
    text = Text(tokenizer=name, vocabulary_size=4000)
    for _ in range(2):  # learned, and loaded
        with pytest.warns(UserWarning, match=r"vocabulary_size=4000\) is more than") as caught:
            tokenizer = tokenizer_for(text, pairs_of(CAPTIONS))
        size = tokenizer.vocabulary_size
        assert f"4 captions give: the vocabulary has {size:,} tokens" in str(caught[0].message)


@pytest.mark.parametrize("size", [None, 20])
def test_a_size_that_is_reached_or_not_asked_for_is_not_reported(size: int | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tokenizer = tokenizer_for(Text(vocabulary_size=size), pairs_of(CAPTIONS))
    assert size is None or tokenizer.vocabulary_size == size
