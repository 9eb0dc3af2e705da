"""Token counts of captions: against a loop, and saved by fingerprint."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mmdata.captions import cleaned, token_counts
from mmdata.captions.cleaned import Cleaner
from mmdata.captions.token_counts import TokenCounts
from mmdata.example import Stage
from mmdata.options import Text
from mmdata.pairs.strings import Strings
from mmdata.stages.captions import Template
from mmdata.stages.clean import Clean
from mmdata.tokenizers import Byte, Tokenizer, Word, WordPiece
from mmdata.tokenizers.vocabulary_tokenizer import SPECIAL_TOKENS

WORDS = Word((*SPECIAL_TOKENS, "a", "red", "boat", "photo", "of"))
PIECES = WordPiece((*SPECIAL_TOKENS, "a", "red", "boat", "##s"))
CAPTIONS = [
    *("a red boat", "A  RED\tpurple boat, boats", "purple", "red", ""),
    *("\0", " \x01 \n", "\u200b", "<br>", "...", "  ", "caf\u00e9 \U0001f6a2", "a" * 300),
]
BARE = Clean(punctuation="remove", markup="remove")


def counts_of(
    captions: Strings, text: Text, tokenizer: Tokenizer, rewording: tuple[Stage, ...] = ()
) -> TokenCounts:
    return TokenCounts.of(captions, Cleaner(text.cleaner, rewording), tokenizer)


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Where counts are kept; nothing is there yet."""
    monkeypatch.setenv("MMDATA_HOME", str(tmp_path))
    return tmp_path / "lengths"


def by_loop(
    captions: Sequence[str], text: Text, tokenizer: Tokenizer, template: str
) -> dict[str, list[int] | list[bool]]:
    def ids_of(caption: str) -> list[int | None]:
        example = {"caption": tf.constant([caption])}
        clean = example if text.cleaner is None else text.cleaner(example)
        ids: list[int | None] = tokenizer.tokenize(clean["caption"])[0].numpy().tolist()
        return ids

    tokens, unknown, empty = [], [], []
    for caption in captions:
        ids = ids_of(template.replace("{caption}", caption))
        tokens.append(len(ids))
        unknown.append(ids.count(tokenizer.unknown_id))
        empty.append(not ids_of(caption) and bool(caption.strip()))  # without the template
    return {"tokens": tokens, "unknown": unknown, "empty": empty}


def lists_of(counted: TokenCounts) -> dict[str, list[int] | list[bool]]:
    return {
        field.name: getattr(counted, field.name).tolist() for field in dataclasses.fields(counted)
    }


@pytest.mark.parametrize(
    "template", ["{caption}", "a photo of {caption}", "{caption}!", "<br>{caption}"]
)
@pytest.mark.parametrize("clean", ["auto", None, BARE], ids=repr)
@pytest.mark.parametrize("tokenizer", [WORDS, PIECES, Byte()], ids=repr)
@pytest.mark.usefixtures("folder")
def test_counts_equal_a_loop(tokenizer: Tokenizer, clean: Clean | None, template: str) -> None:
    text = Text(clean=clean, tokenizer=tokenizer)
    expected = by_loop(CAPTIONS, text, tokenizer, template)
    for _ in range(2):  # counted, and kept
        counted = counts_of(Strings.of(CAPTIONS), text, tokenizer, (Template(text=template),))
        assert lists_of(counted) == expected
        assert counted.tokens.dtype == counted.unknown.dtype == np.int32
        assert counted.empty.dtype == np.bool_


@pytest.mark.usefixtures("folder")
def test_captions_without_tokens() -> None:
    def emptied(tokenizer: Tokenizer, clean: Clean | None) -> list[str]:
        counted = counts_of(Strings.of(CAPTIONS), Text(clean=clean, tokenizer=tokenizer), tokenizer)
        return [text for text, is_empty in zip(CAPTIONS, counted.empty, strict=True) if is_empty]

    assert emptied(Byte(), Clean()) == ["\0", " \x01 \n"]
    assert emptied(Byte(), BARE) == ["\0", " \x01 \n", "<br>", "..."]
    assert emptied(Byte(), None) == []
    assert emptied(PIECES, Clean()) == ["\0", " \x01 \n", "\u200b"]  # BERT passes over it


@pytest.mark.usefixtures("folder")
def test_more_than_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    captions = ["a " * (place % 7) + "purple" for place in range(25)]
    expected = by_loop(captions, Text(), WORDS, "{caption}")
    monkeypatch.setattr(cleaned, "_BATCH", 8)
    assert lists_of(counts_of(Strings.of(captions), Text(), WORDS)) == expected


@pytest.mark.parametrize("tokenizer", [WORDS, PIECES, Byte()], ids=repr)
@pytest.mark.usefixtures("folder")
def test_no_captions(tokenizer: Tokenizer) -> None:
    for _ in range(2):
        counted = counts_of(Strings.of([]), Text(), tokenizer)
        assert lists_of(counted) == {"tokens": [], "unknown": [], "empty": []}
        assert counted.tokens.dtype == np.int32


def test_counts_once(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    captions = Strings.of(CAPTIONS)
    expected = lists_of(counts_of(captions, Text(), WORDS))
    (path,) = folder.iterdir()
    monkeypatch.setattr(token_counts, "_counted", None)
    assert lists_of(counts_of(Strings.of(CAPTIONS), Text(length=9), WORDS)) == expected
    assert [*folder.iterdir()] == [path]


def test_whatever_changes_the_counts_is_another_file(folder: pathlib.Path) -> None:
    cases: list[tuple[list[str], Text, Tokenizer, str]] = [
        (["ab", "c"], Text(), WORDS, "{caption}"),
        (["a", "bc"], Text(), WORDS, "{caption}"),
        (["ab", "c", ""], Text(), WORDS, "{caption}"),
        (["ab", "d"], Text(), WORDS, "{caption}"),
        (["ab", "c"], Text(clean="light"), WORDS, "{caption}"),
        (["ab", "c"], Text(clean=None), WORDS, "{caption}"),
        (["ab", "c"], Text(), Word((*SPECIAL_TOKENS, "ab")), "{caption}"),
        (["ab", "c"], Text(), WordPiece(WORDS.vocabulary), "{caption}"),
        (["ab", "c"], Text(), WORDS, "a {caption}"),
        (["ab", "c"], Text(), WORDS, "{caption} a"),
    ]
    for number, (captions, text, tokenizer, template) in enumerate(cases, 1):
        expected = by_loop(captions, text, tokenizer, template)
        counted = counts_of(Strings.of(captions), text, tokenizer, (Template(text=template),))
        assert lists_of(counted) == expected
        assert len([*folder.iterdir()]) == number


@pytest.mark.parametrize(
    "damage", ["cut", "empty", "text", "other arrays", "other length", "a folder"]
)
def test_damaged_file_is_counted_again(folder: pathlib.Path, damage: str) -> None:
    captions = Strings.of(CAPTIONS)
    expected = lists_of(counts_of(captions, Text(), WORDS))
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
        with pytest.warns(UserWarning, match="cannot be kept"):
            assert lists_of(counts_of(captions, Text(), WORDS)) == expected
        return
    if damage == "other arrays":
        np.savez(path, tokens=np.zeros(len(CAPTIONS), np.int32))
    elif damage == "other length":
        shorter: dict[str, Any] = {name: column[:-1] for name, column in expected.items()}
        np.savez(path, **shorter)
    else:
        path.write_bytes({"cut": whole[:-40], "empty": b"", "text": b"no archive"}[damage])
    assert lists_of(counts_of(captions, Text(), WORDS)) == expected
    with np.load(path) as kept:
        assert {name: kept[name].tolist() for name in kept.files} == expected
