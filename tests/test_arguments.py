"""The arguments of `build` that are values of their own, and what names stand for."""

import dataclasses
import pickle
from typing import Any

import pytest

from mmdata.arguments import Pixels, Text, pixels_of, task_of, text_of
from mmdata.stages.pixels import NORMALIZATIONS
from mmdata.stages.text import Clean
from mmdata.tasks import Captioning, Retrieval
from mmdata.tokenizers import Byte, Word
from mmdata.tokenizers.tokenizer import SPECIAL_TOKENS

WORDS = Word((*SPECIAL_TOKENS, "a"))


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_pixels_by_name(name: str) -> None:
    assert pixels_of(name, None) == Pixels(size=(224, 224), normalize=name)
    assert pixels_of(name, (32, 48)) == Pixels(size=(32, 48), normalize=name)


def test_pixels_by_value() -> None:
    pixels = Pixels(size=(8, 9), normalize="caffe")
    assert pixels_of(pixels, None) is pixels
    assert Pixels() == Pixels(size=(224, 224), normalize="unit")


@pytest.mark.parametrize("text", ["word", "wordpiece", "byte", WORDS, Byte()], ids=str)
def test_text_by_tokenizer(text: Any) -> None:
    assert text_of(text, None) == Text(tokenizer=text, length=32)
    assert text_of(text, 3) == Text(tokenizer=text, length=3)


def test_text_by_value() -> None:
    text = Text(clean=None, tokenizer="byte", vocabulary_size=300, length=9)
    assert text_of(text, None) is text
    assert Text() == Text(clean=Clean(), tokenizer="wordpiece", vocabulary_size=8000, length=32)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("captioning", Captioning()),
        ("retrieval", Retrieval()),
        (Captioning(), Captioning()),
        (Retrieval(), Retrieval()),
    ],
    ids=str,
)
def test_tasks(task: Any, expected: Captioning | Retrieval) -> None:
    assert task_of(task) == expected


@pytest.mark.parametrize("size", [(224, 224), (8, 9)], ids=str)
def test_size_said_twice(size: tuple[int, int]) -> None:
    message = r"image_size=\(.*\) and pixels=Pixels\(size=\.\.\.\) set the same; pass one of them"
    with pytest.raises(ValueError, match=message):
        pixels_of(Pixels(), size)


@pytest.mark.parametrize("length", [32, 9])
def test_length_said_twice(length: int) -> None:
    message = rf"sequence_length={length} and text=Text\(length=\.\.\.\) set the same; pass one"
    with pytest.raises(ValueError, match=message):
        text_of(Text(), length)


@pytest.mark.parametrize("pixels", ["", "Unit", None, 224, ["unit"], Pixels], ids=repr)
def test_pixels_that_are_refused(pixels: Any) -> None:
    with pytest.raises(ValueError, match=r"pixels=\.\.\. must be one of \['raw', 'unit', .*; got"):
        pixels_of(pixels, None)


@pytest.mark.parametrize("size", [(0, 224), (224,), 224, [32, 32], (1.5, 2), "224"], ids=repr)
def test_sizes_that_are_refused(size: Any) -> None:
    message = r"size=\.\.\.\) must be two positive ints \(height, width\); got"
    with pytest.raises(ValueError, match=message):
        Pixels(size=size)
    with pytest.raises(ValueError, match=message):
        pixels_of("unit", size)


@pytest.mark.parametrize("name", ["", "Unit", None, ["unit"]], ids=repr)
def test_normalizations_that_are_refused(name: Any) -> None:
    with pytest.raises(ValueError, match=r"must be one of .*; got"):
        Pixels(normalize=name)


@pytest.mark.parametrize("text", ["", "words", "bytes", None, 32, Word, ["word"]], ids=repr)
def test_tokenizers_that_are_refused(text: Any) -> None:
    message = (
        r"text=\.\.\. must be one of \['word', 'wordpiece', 'byte'\], a Tokenizer or a Text; got"
    )
    with pytest.raises(ValueError, match=message):
        text_of(text, None)
    with pytest.raises(ValueError, match=message):
        Text(tokenizer=text)


@pytest.mark.parametrize("length", [2, 0, -1, 32.0, "32"], ids=repr)
def test_lengths_that_are_refused(length: Any) -> None:
    message = r"sequence_length=\.\.\. must be an int of at least 3.*; got"
    with pytest.raises(ValueError, match=message):
        text_of("byte", length)
    with pytest.raises(ValueError, match=message):
        Text(length=length)


@pytest.mark.parametrize("size", [4, 0, -1, 8000.0, "8000", None], ids=repr)
def test_vocabulary_sizes_that_are_refused(size: Any) -> None:
    with pytest.raises(ValueError, match=r"vocabulary_size=\.\.\. must be an int above 4.*; got"):
        Text(vocabulary_size=size)


@pytest.mark.parametrize("task", ["", "Captioning", None, 1, Captioning, ["retrieval"]], ids=repr)
def test_tasks_that_are_refused(task: Any) -> None:
    message = r"task=\.\.\. must be one of \['captioning', 'retrieval'\], or a Captioning, .*; got"
    with pytest.raises(ValueError, match=message):
        task_of(task)


@pytest.mark.parametrize(
    "value",
    [Pixels(size=(8, 9)), Text(tokenizer=WORDS, length=5), Captioning(), Retrieval()],
    ids=repr,
)
def test_are_values(value: Any) -> None:
    copy = pickle.loads(pickle.dumps(value))
    assert copy == value
    assert hash(copy) == hash(value)
    assert repr(copy) == repr(value)
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.size = (1, 1)
