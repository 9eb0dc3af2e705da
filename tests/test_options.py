"""Option objects of `build`, and the meaning of names."""

import dataclasses
import functools
import pickle
from typing import Any

import pytest

from mmdata.config import pixels_of, task_of, text_of
from mmdata.options import PRESETS, Pixels, Text
from mmdata.stages.clean import Clean
from mmdata.stages.normalize import NORMALIZATIONS
from mmdata.stages.pack import Pack
from mmdata.stages.resize import Resize
from mmdata.tasks import Captioning, Retrieval
from mmdata.tokenizers import LEARNED, Byte, Word
from mmdata.tokenizers.clip_bpe import ClipBpe
from mmdata.tokenizers.vocabulary_tokenizer import SPECIAL_TOKENS

WORDS = Word((*SPECIAL_TOKENS, "a"))


RANGES = ("unit", "signed", "raw", "uint8", "caffe")


@pytest.mark.parametrize("name", RANGES)
def test_pixels_by_the_name_of_a_range(name: str) -> None:
    assert pixels_of(name, None) == Pixels(size=(224, 224), normalize=name)
    assert pixels_of(name, (32, 48)) == Pixels(size=(32, 48), normalize=name)


@pytest.mark.parametrize("name", PRESETS)
def test_pixels_by_the_name_of_a_preset(name: str) -> None:
    preset = PRESETS[name]
    assert pixels_of(name, None) == preset
    assert pixels_of(name, preset.size) == preset
    assert pixels_of(name, (112, 448)) == preset.resized((112, 448))


def test_each_normalization_is_a_name() -> None:
    assert {*NORMALIZATIONS} == {*RANGES, "clip", "imagenet"}
    assert {name: PRESETS[name].normalize for name in NORMALIZATIONS} == {
        name: name for name in NORMALIZATIONS
    }


def test_pixels_by_value() -> None:
    pixels = Pixels(size=(8, 9), normalize="caffe")
    assert pixels_of(pixels, None) is pixels
    assert Pixels() == Pixels(
        size=(224, 224),
        fit="stretch",
        interpolation="bilinear",
        normalize="unit",
        background=(255, 255, 255),
        load_size=None,
        buckets=(),
        max_crop=None,
        quality="exact",
    )


# The fields of a Pixels, and the stage that they make.

BUCKETS = ((4, 8), (8, 4))
STAGES: list[tuple[dict[str, Any], Resize]] = [
    ({}, Resize(size=(224, 224))),
    ({"size": (8, 9)}, Resize(size=(8, 9))),
    ({"size": (8, 9), "load_size": (8, 12)}, Resize(size=(8, 12))),
    (
        {"fit": "pad", "background": (1, 2, 3)},
        Resize(size=(224, 224), fit="pad", background=(1, 2, 3)),
    ),
    ({"interpolation": "bicubic"}, Resize(size=(224, 224), interpolation="bicubic")),
    ({"fit": "crop"}, Resize(size=(224, 224), fit="crop", max_crop=1)),
    ({"fit": "crop", "max_crop": 0.1}, Resize(size=(224, 224), fit="crop", max_crop=0.1)),
    ({"buckets": BUCKETS}, Resize(size=None, max_crop=0.25)),
    ({"buckets": BUCKETS, "fit": "crop"}, Resize(size=None, fit="crop", max_crop=0.25)),
    (
        {"buckets": BUCKETS, "fit": "crop", "max_crop": 1},
        Resize(size=None, fit="crop", max_crop=1),
    ),
    (
        {"buckets": BUCKETS, "fit": "crop", "max_crop": 0},
        Resize(size=None, fit="crop", max_crop=0),
    ),
    ({"quality": "fast", "normalize": "clip"}, Resize(size=(224, 224))),
]


@pytest.mark.parametrize(("fields", "stage"), STAGES, ids=str)
def test_the_stage_of_pixels(fields: dict[str, Any], stage: Resize) -> None:
    assert Pixels(**fields).resize == stage


@pytest.mark.parametrize(
    ("size", "load_size", "to", "expected"),
    [
        ((224, 224), None, (32, 48), None),
        ((224, 224), (256, 256), (448, 448), (512, 512)),
        ((224, 224), (256, 256), (112, 336), (128, 384)),
        ((224, 224), (256, 256), (1, 1), (1, 1)),
        ((224, 224), (256, 256), (384, 100), (439, 114)),
        ((10, 20), (15, 20), (30, 7), (45, 7)),
    ],
    ids=str,
)
def test_load_size_goes_with_the_size(size: Any, load_size: Any, to: Any, expected: Any) -> None:
    before = Pixels(size=size, load_size=load_size, fit="crop", normalize="clip", quality="fast")
    after = dataclasses.replace(before, size=to, load_size=expected)
    assert before.resized(to) == after


@pytest.mark.parametrize("text", ["word", "wordpiece", "byte", WORDS, Byte()], ids=str)
def test_text_by_tokenizer(text: Any) -> None:
    assert text_of(text, None) == Text(tokenizer=text)
    assert text_of(text, None).sequence_length == 32
    assert text_of(text, 3) == Text(tokenizer=text, length=3)
    assert text_of(text, 3).sequence_length == 3


def test_text_by_value() -> None:
    text = Text(clean=None, tokenizer="byte", vocabulary_size=300, length=9)
    assert text_of(text, None) is text
    assert Text().cleaner == Clean()
    assert Text().sequence_length == 32


class OfAModel(Byte):
    """A tokenizer that a model was trained with."""

    cleaning = "clip"
    sequence_length = 12


NAMED: list[tuple[Any, str]] = [
    ("word", "lower"),
    ("wordpiece", "lower"),
    ("character", "lower"),
    ("byte", "lower"),
    ("sentencepiece", "light"),
    ("bytepair", "light"),
    ("clip", "clip"),
    (WORDS, "lower"),
    (OfAModel(), "clip"),
]
CLEANERS: list[tuple[Text, Clean | None]] = [
    *((Text(tokenizer=name), Clean.preset(preset)) for name, preset in NAMED),
    (Text(tokenizer=OfAModel(), clean="siglip"), Clean.preset("siglip")),
    (Text(tokenizer="clip", clean="light"), Clean.preset("light")),
    (
        Text(tokenizer="clip", clean=Clean(lower=False, unescape=True)),
        Clean(lower=False, unescape=True),
    ),
    (Text(tokenizer="clip", clean=None), None),
]


@pytest.mark.parametrize(("text", "cleaner"), CLEANERS, ids=repr)
def test_cleaning_is_that_of_the_tokenizer(text: Text, cleaner: Clean | None) -> None:
    assert text.cleaner == cleaner


@pytest.mark.parametrize(
    ("text", "length"),
    [
        *((Text(tokenizer=name), 32) for name in (*LEARNED, "byte")),
        (Text(tokenizer=WORDS), 32),
        (Text(tokenizer="clip"), 77),
        (Text(tokenizer="clip", length=20), 20),
        (Text(tokenizer=OfAModel()), 12),
        (Text(tokenizer=OfAModel(), length=90), 90),
        (Text(buckets=(3, 31)), 32),
        (Text(tokenizer=OfAModel(), buckets=(3, 11)), 12),
    ],
    ids=repr,
)
def test_length_is_that_of_the_model(text: Text, length: int) -> None:
    assert text.sequence_length == length


def test_names_mean_what_the_tokenizers_themselves_say() -> None:
    kinds = {**LEARNED, "byte": Byte, "clip": ClipBpe}
    fixed = {name: kind for name, kind in kinds.items() if isinstance(kind.cleaning, str)}
    assert {"byte", "clip", "word"} <= fixed.keys()
    for name, kind in fixed.items():
        assert Text(tokenizer=name).cleaner == Clean.preset(kind.cleaning), name
        assert Text(tokenizer=name).sequence_length == (kind.sequence_length or 32), name


def test_the_stage_that_packs() -> None:
    text = Text(tokenizer="byte", length=9, padding_side="left", buckets=(5, 7))
    ends: dict[str, Any] = {"start_id": 2, "end_id": 3, "pad_id": 0}
    assert text.pack(Byte()) == Pack(length=9, padding_side="left", buckets=(5, 7, 9), **ends)
    assert text.pack(Byte(), lookahead=1, prompt="a") == Pack(
        length=10, padding_side="left", buckets=(6, 8, 10), prompt=(4 + ord("a"),), **ends
    )
    longest = Text(tokenizer="byte", length=9, padding="longest")
    assert longest.pack(Byte()) == Pack(length=9, padding="longest", **ends)
    with pytest.raises(ValueError, match=r"at least 7, .*a prompt of 4 token\(s\), .*; got 5\."):
        text.pack(Byte(), prompt="abcd")


REFUSED_TEXTS: list[tuple[dict[str, Any], str]] = [
    *(
        ({"clean": name}, r"clean=\.\.\. must be one of \['lower', .*\] or a Clean; got")
        for name in ("", "Auto", "uncased", "clip ")
    ),
    *(
        (
            {"clean": value},
            r'Text\(clean=\.\.\.\) must be a Clean, the name of one, "auto" or None; ',
        )
        for value in (1, True, ["lower"], Clean, b"lower")
    ),
    *(
        ({"padding": name}, r"Text\(padding=\.\.\.\) must be one of \['length', 'longest'\]; got")
        for name in ("", "max", None, True, ["length"])
    ),
    *(
        ({"padding_side": name}, r"Text\(padding_side=\.\.\.\) must be one of \['right', 'left'\]")
        for name in ("", "both", None, False, ["left"])
    ),
    *(
        (
            {"buckets": buckets},
            r"buckets=\.\.\.\) must be ascending lengths from 3 to below length=32",
        )
        for buckets in (
            *((2,), (32,), (33,), (8, 8), (16, 8), (8, 16, 32), (0, 8), (-3, 8)),
            *((8.0,), ("8",), [8], [], None, 8, {8}),
        )
    ),
    ({"buckets": (8,), "length": 8}, r"to below length=8, .*; got \(8,\), padding='length'"),
    ({"buckets": (8,), "padding": "longest"}, r"with padding=\"length\"; got \(8,\), padding='lon"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED_TEXTS, ids=str)
def test_fields_of_text_that_are_refused(fields: dict[str, Any], message: str) -> None:
    for make in (Text, functools.partial(dataclasses.replace, Text())):
        with pytest.raises(ValueError, match=message):
            make(**fields)


def test_buckets_of_mixed_types_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must be ascending lengths .*; got \(8, '16'\)"):
        Text(buckets=(8, "16"))  # type: ignore[arg-type]


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
def test_size_given_twice(size: tuple[int, int]) -> None:
    message = r"image_size=\(.*\) and pixels=Pixels\(size=\.\.\.\) set the same value; pass one"
    with pytest.raises(ValueError, match=message):
        pixels_of(Pixels(), size)


@pytest.mark.parametrize("length", [32, 9])
def test_length_given_twice(length: int) -> None:
    message = (
        rf"sequence_length={length} and text=Text\(length=\.\.\.\) set the same value; pass one"
    )
    with pytest.raises(ValueError, match=message):
        text_of(Text(), length)


@pytest.mark.parametrize("pixels", ["", "Unit", None, 224, ["unit"], Pixels], ids=repr)
def test_pixels_that_are_refused(pixels: Any) -> None:
    with pytest.raises(
        ValueError, match=r"pixels=\.\.\. must be one of \['unit', 'signed', .*; got"
    ):
        pixels_of(pixels, None)


@pytest.mark.parametrize("size", [(0, 224), (224,), 0, [32], (1.5, 2), "224", True], ids=repr)
def test_sizes_that_are_refused(size: Any) -> None:
    message = r"size=\.\.\.\)? must be one positive int, or two \(height, width\), in pixels; got "
    with pytest.raises(ValueError, match=rf"Pixels\({message}"):
        Pixels(size=size)
    for name in PRESETS:
        with pytest.raises(ValueError, match=f"image_{message}"):
            pixels_of(name, size)


REFUSED: list[tuple[dict[str, Any], str]] = [
    *(
        ({"load_size": size}, r"load_size=\.\.\.\) must be one positive int")
        for size in ((0, 256), (256,), 0, [256], (256.0, 256.0), "256")
    ),
    *(
        ({"load_size": size}, r"load_size=\.\.\.\) must be at least size=\(224, 224\); got \(")
        for size in ((223, 224), (224, 223), (1, 1), (512, 223))
    ),
    (
        {"load_size": (256, 256), "buckets": ((32, 32),)},
        r"load_size=\.\.\.\) must be None with buckets=\.\.\.; got \(256, 256\)",
    ),
    *(
        ({"buckets": buckets}, r"buckets=\.\.\.\) must be a tuple of different sizes")
        for buckets in (((8, 4), (8, 4)), [(8, 4)], None, {(8, 4)})
    ),
    *(
        ({"buckets": buckets}, r"buckets=\.\.\.\) must be two positive ints")
        for buckets in (((8, 4), (0, 4)), ((8, 4), (8,)), (8, 4), ((8.0, 4.0),), ((8, -4),))
    ),
    *(
        ({"quality": quality}, r'quality=\.\.\.\) must be "exact" or "fast"; got')
        for quality in ("", "Fast", None, True, 1, ["fast"])
    ),
    *(
        ({"background": color}, r"background=\.\.\.\) must be three ints from 0 to 255")
        for color in ("white", None, (0, 0), (0, 0, 256), (0, 0, -1), (0.0, 0, 0), [0, 0, 0])
    ),
    ({"max_crop": 0.1}, r'max_crop=\.\.\.\) needs fit="crop"; got fit=.stretch., max_crop=0.1'),
    *(
        ({"fit": "crop", "max_crop": share}, r"max_crop=\.\.\.\) must be a share from 0 to 1; got")
        for share in (-0.01, 1.01, float("nan"), "1", [0.5])
    ),
    *(
        ({"fit": fit}, r"fit=\.\.\.\) must be one of \['stretch', 'crop', 'pad'\]; got")
        for fit in ("", "Crop", None, "cover", ["pad"])
    ),
    *(
        ({"interpolation": name}, r"interpolation=\.\.\.\) must be one of \['bilinear', 'bic")
        for name in ("", "nearest", None, "lanczos3", ["bicubic"])
    ),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED, ids=str)
def test_fields_of_pixels_that_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pixels(**fields)
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Pixels(), **fields)


@pytest.mark.parametrize("name", ["", "Unit", None, ["unit"]], ids=repr)
def test_normalizations_that_are_refused(name: Any) -> None:
    with pytest.raises(ValueError, match=r"must be one of .*; got"):
        Pixels(normalize=name)


@pytest.mark.parametrize("text", ["", "words", "bytes", 32, Word, ["word"]], ids=repr)
def test_tokenizers_that_are_refused(text: Any) -> None:
    message = r"text=\.\.\. must be one of \['word', .*\], a Tokenizer, .*, a Text, or None; got"
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


@pytest.mark.parametrize("size", [4, 0, -1, 8000.0, "8000"], ids=repr)
def test_vocabulary_sizes_that_are_refused(size: Any) -> None:
    with pytest.raises(ValueError, match=r"vocabulary_size=\.\.\. must be an int above 4.*; got"):
        Text(vocabulary_size=size)


@pytest.mark.parametrize("task", ["", "Captioning", None, 1, Captioning, ["retrieval"]], ids=repr)
def test_tasks_that_are_refused(task: Any) -> None:
    message = (
        r"task=\.\.\. must be one of \['captioning', 'retrieval', .*\], or a Captioning, .*; got"
    )
    with pytest.raises(ValueError, match=message):
        task_of(task)


@pytest.mark.parametrize(
    "value",
    [
        Pixels(size=(8, 9)),
        Pixels(buckets=BUCKETS, fit="crop", max_crop=0.1, quality="fast", background=(0, 1, 2)),
        *PRESETS.values(),
        Text(tokenizer=WORDS, length=5),
        Text(clean=Clean(lower=False), padding_side="left", buckets=(8, 16)),
        Text(clean="siglip", tokenizer="byte", vocabulary_size=300, padding="longest"),
        Captioning(),
        Retrieval(),
    ],
    ids=repr,
)
def test_are_values(value: Any) -> None:
    copy = pickle.loads(pickle.dumps(value))
    assert copy == value
    assert hash(copy) == hash(value)
    assert repr(copy) == repr(value)
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.size = (1, 1)


def test_pixels_print_every_field() -> None:
    assert repr(PRESETS["imagenet"]) == (
        "Pixels(size=(224, 224), fit='crop', interpolation='bilinear', normalize='imagenet', "
        "background=(255, 255, 255), load_size=(256, 256), buckets=(), max_crop=None, "
        "quality='exact')"
    )
    assert len({*PRESETS.values()}) == 9


def test_preset_with_changes() -> None:
    fast = Pixels.preset("clip", quality="fast")
    assert fast == dataclasses.replace(PRESETS["clip"], quality="fast")
    assert pixels_of(fast, None) is fast
    with pytest.raises(ValueError, match=r"pixels=\.\.\. must be one of .*; got 'vit'"):
        Pixels.preset("vit")
    with pytest.raises(ValueError, match=r"quality=\.\.\.\) must be"):
        Pixels.preset("clip", quality="good")
