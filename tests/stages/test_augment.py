"""Augmentation, against Pillow, NumPy and captions."""

# ruff: noqa: RUF001  (quotation marks and letters of other scripts are what is tested)

import colorsys
import dataclasses
import functools
import itertools
import json
import math
import pathlib
import pickle
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from mmdata.example import Example, Stage
from mmdata.seeding import random_keys
from mmdata.stages.augment import Color, Flip, Grayscale, RandomCrop
from mmdata.stages.english import (
    ENGLISH_COLORS,
    ENGLISH_SIDE_PHRASES,
    ENGLISH_SIDES,
    ENGLISH_WRITING,
    mentions,
    mirror,
    swap_words,
)

Pixels = NDArray[Any]

STAGES: dict[str, Any] = {
    "crop": RandomCrop(size=(5, 7)),
    "crop, bicubic": RandomCrop(size=(30, 11), interpolation="bicubic"),
    "flip": Flip(),
    "flip, unaware": Flip(captions_aware=False),
    "color": Color(),
    "color, hue": Color(brightness=1.5, contrast=0, hue=0.5),
    "gray": Grayscale(p=0.5),
}


def photo(height: int, width: int, seed: int = 0) -> Pixels:
    """A smooth picture with noise, unlike its mirror image, no two channels alike."""
    rng = np.random.default_rng(seed)
    ramps = np.linspace(0, 200, height * width * 3).reshape(height, 3, width).transpose(0, 2, 1)
    return (ramps + rng.integers(0, 56, (height, width, 3))).astype(np.uint8)


PHOTO = photo(12, 18)


def examples(count: int, image: Pixels, caption: str | None = None, epoch: int = 0) -> Any:
    """A dataset of one image under many keys."""
    fixed: Example = {"image": tf.constant(image)}
    if caption is not None:
        fixed["caption"] = tf.constant(caption)
    keys = random_keys(np.arange(count), 1, epoch)
    return tf.data.Dataset.from_tensor_slices(keys).map(lambda key: {**fixed, "seed": key})


def images(ds: Any, *stages: Stage, calls: int | None = None) -> Pixels:
    for stage in stages:
        ds = ds.map(stage, num_parallel_calls=calls)
    (pixels,) = ds.map(lambda example: example["image"]).batch(10_000).as_numpy_iterator()
    return np.asarray(pixels)


def one(image: Pixels, caption: str | bytes | None = None, key: int = 0) -> Example:
    given: Example = {"image": tf.constant(image), "seed": tf.constant([key, 5])}
    return given if caption is None else {**given, "caption": tf.constant(caption)}


def draws(key: int, count: int) -> Pixels:
    """The numbers in [0, 1) that a stage draws."""
    own = tf.constant([key - 1640531527, 5 + 1779033703])
    return np.asarray(tf.random.stateless_uniform([count], own), np.float64)


# What all stages promise.


@pytest.mark.parametrize("name", STAGES)
def test_same_seed_same_pixels(name: str) -> None:
    stage, ds = STAGES[name], examples(24, PHOTO, "to his left")
    alone = [stage(given) for given in ds]
    for calls in (None, 4):
        for got, expected in zip(ds.map(stage, num_parallel_calls=calls), alone, strict=True):
            for key in expected:
                np.testing.assert_array_equal(got[key], expected[key])
    skipped = next(iter(ds.skip(17).map(stage)))
    np.testing.assert_array_equal(skipped["image"], alone[17]["image"])


@pytest.mark.parametrize("name", STAGES)
def test_differs_by_index_and_epoch(name: str) -> None:
    first, again, other = (
        images(examples(24, PHOTO, epoch=epoch), STAGES[name]) for epoch in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert len(np.unique(first, axis=0)) > 1


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("caption", [None, "a cat"])
def test_shapes_are_known(name: str, caption: str | None) -> None:
    ds = examples(1, PHOTO, caption).map(STAGES[name])
    size = getattr(STAGES[name], "size", (12, 18))
    expected = {
        "image": tf.TensorSpec([*size, 3], tf.uint8),
        "seed": tf.TensorSpec([2], tf.int32),
    }
    if caption is not None:
        expected["caption"] = tf.TensorSpec([], tf.string)
    assert ds.element_spec == expected


@pytest.mark.parametrize("name", STAGES)
def test_touches_nothing_else(name: str) -> None:
    given = {**one(PHOTO, "a cat"), "row": tf.constant(7)}
    before = dict(given)
    changed = STAGES[name](given)
    assert changed["row"] is before["row"]
    assert changed.keys() == given.keys() == before.keys()
    assert all(given[key] is value for key, value in before.items())
    np.testing.assert_array_equal(given["image"], PHOTO)


@pytest.mark.parametrize("name", STAGES)
def test_leaves_another_key(name: str) -> None:
    seen = {(k, 5) for k in range(50)}
    for key in range(50):
        given = one(PHOTO, key=key)
        left = tuple(STAGES[name](given)["seed"].numpy())
        assert left not in seen
        assert left != (key - 1640531527, 5 + 1779033703)
        seen.add(left)


@pytest.mark.parametrize("name", STAGES)
def test_is_a_value(name: str) -> None:
    stage = STAGES[name]
    assert stage == pickle.loads(pickle.dumps(stage))
    assert len({stage, dataclasses.replace(stage)}) == 1
    assert repr(stage).startswith(f"{type(stage).__name__}(")
    with pytest.raises(dataclasses.FrozenInstanceError):
        stage.p = 1


NUMBER = r"must be a finite number (from 0 to \S+|of at least 0); got"
SCALE = r"RandomCrop\(scale=\.\.\.\) must be two shares of the area, .*; got"
RATIO = r"RandomCrop\(ratio=\.\.\.\) must be two ratios width / height, .*; got"
PATTERNS = r"skip=\.\.\.\) must be (a tuple of )?regular expressions.*; got"
PAIRS = r"Flip\(swap=\.\.\.\) must be a tuple of pairs of words, .*; got"
NAN = math.nan

BAD: list[tuple[Any, dict[str, Any], str]] = [
    *((stage, {"p": p}, NUMBER) for stage in (Flip, Grayscale) for p in (-0.1, 1.1, True, NAN)),
    *((Flip, {"p": p}, NUMBER) for p in ("1", None)),
    *((Color, {"hue": x}, NUMBER) for x in (-0.1, 0.51, True, NAN)),
    *(
        (Color, {name: x}, NUMBER)
        for name in ("brightness", "contrast", "saturation")
        for x in (-0.1, False, NAN, math.inf, None)
    ),
    *(
        (RandomCrop, {"scale": scale}, SCALE)
        for scale in ((0, 1), (0.5, 0.4), (0.5, 1.1), (NAN, 1), (0.5, NAN), 0.5, (0.5,), (True, 1))
    ),
    (RandomCrop, {"scale": [0.5, 1]}, SCALE),
    *(
        (RandomCrop, {"ratio": ratio}, RATIO)
        for ratio in ((0, 1), (2, 1), (-1, 1), (1, math.inf), (1, NAN), None, ("1", "2"))
    ),
    *((RandomCrop, {"size": s}, r"size=\.\.\.") for s in ((0, 4), 4, (4,), [4, 4])),
    (RandomCrop, {"interpolation": "nearest"}, r"interpolation=\.\.\."),
    *(
        (stage, {"skip": skip}, PATTERNS)
        for stage in (Flip, Color, Grayscale)
        for skip in ("red", ["red"], (1,), ("(",), ("a)(b",), ("(?<=a)b",), (r"\Qa",), None)
    ),
    (Flip, {"within": ("(",)}, r"within=\.\.\."),
    *(
        (Flip, {"swap": swap}, PAIRS)
        for swap in (
            ("left", "right"),
            [("a", "b")],
            (("a", "a"),),
            (("a", "b"), ("c", "b")),
            (("a", "b", "c"),),
            (("a b", "c"),),
            (("", "c"),),
            (("a", "c\n"),),
            (("a.", "c"),),
            (("Left", "right"),),
            ((1, 2),),
            None,
        )
    ),
]


@pytest.mark.parametrize(("stage", "fields", "message"), BAD, ids=repr)
def test_refuses(stage: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        stage(**fields)
    assert repr(next(iter(fields.values()))).strip("(),[]") in str(caught.value)


@pytest.mark.parametrize(
    "stage",
    [
        *(Flip(p=p) for p in (0, 1, 0.0, 1.0)),
        Flip(swap=(("links", "rechts"), ("лево", "право"), ("左", "右")), skip=()),
        Color(brightness=0, contrast=3, hue=0.5),
        RandomCrop(scale=(1, 1), ratio=(1, 1)),
    ],
    ids=repr,
)
def test_takes_the_limits(stage: Any) -> None:
    assert dataclasses.replace(stage) == stage


# Seed.


def test_seeds_differ() -> None:
    def key(seed: int, epoch: int, index: int) -> tuple[int, ...]:
        (one,) = random_keys(np.array([index]), seed, epoch).tolist()
        return tuple(one)

    places = list(itertools.product(range(2), range(4), range(8)))
    first, again = ({key(*place) for place in places} for _ in range(2))
    assert first == again
    assert len(first) == len(places)
    many = random_keys(np.arange(8), 1, 3)
    assert many.dtype == np.int32
    assert many.shape == (8, 2)
    assert [tuple(one) for one in many.tolist()] == [key(1, 3, index) for index in range(8)]


# RandomCrop.


def box_of(height: int, width: int, stage: RandomCrop, key: int) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the box, in plain Python."""
    share, shape, top, left = draws(key, 4)
    area = height * width * (stage.scale[0] + (stage.scale[1] - stage.scale[0]) * share)
    ratio = stage.ratio[0] * (stage.ratio[1] / stage.ratio[0]) ** shape
    rows = max(1, min(height, round(math.sqrt(area / ratio))))
    columns = max(1, min(width, round(math.sqrt(area * ratio))))
    return int(top * (height - rows + 1)), int(left * (width - columns + 1)), rows, columns


@pytest.mark.parametrize("key", range(12))
@pytest.mark.parametrize("shape", [(60, 90), (256, 256), (200, 31)], ids=str)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_crop_equals_pillow(key: int, shape: tuple[int, int], interpolation: Any) -> None:
    stage = RandomCrop(size=(32, 48), scale=(0.05, 1), interpolation=interpolation)
    picture = photo(*shape, seed=key)
    top, left, rows, columns = box_of(*shape, stage, key)
    box = Image.fromarray(picture[top : top + rows, left : left + columns])
    expected = np.asarray(box.resize((48, 32), Image.Resampling[interpolation.upper()]))
    got = stage(one(picture, key=key))["image"].numpy()
    if interpolation == "bicubic" and rows != 32 and columns != 48:
        assert np.abs(got - expected.astype(int)).mean() < 0.5  # Pillow chooses which axis is first
    else:
        assert np.abs(got - expected.astype(int)).max() <= 1


@given(
    shape=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    scale=st.tuples(st.floats(1e-6, 1), st.floats(1e-6, 1)),
    ratio=st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)),
    shares=st.lists(
        st.floats(0, 1, width=32, exclude_max=True) | st.just(1 - 2**-24), min_size=4, max_size=4
    ),
)
@example(shape=(1, 1), scale=(1e-6, 1e-6), ratio=(100.0, 100.0), shares=[1 - 2**-24] * 4)
@example(shape=(4999, 4999), scale=(0.1, 0.1), ratio=(1.0, 1.0), shares=[1 - 2**-24] * 4)
def test_box_is_inside_and_as_drawn(
    shape: tuple[int, int], scale: Any, ratio: Any, shares: list[float]
) -> None:
    stage = RandomCrop(scale=tuple(sorted(scale)), ratio=tuple(sorted(ratio)))
    begin, sides = (
        np.asarray(part) for part in stage._box(tf.constant(shape, tf.float32), tf.constant(shares))
    )
    assert (begin >= 0).all()
    assert (sides >= 1).all()
    assert (begin + sides <= shape).all()
    if (sides < shape).all() and (sides > 1).all():
        low, high = sides - 0.51, sides + 0.51
        assert low.prod() <= stage.scale[1] * math.prod(shape) * 1.0001
        assert high.prod() >= stage.scale[0] * math.prod(shape) * 0.9999
        assert low[1] / high[0] <= stage.ratio[1] * 1.0001
        assert high[1] / low[0] >= stage.ratio[0] * 0.9999


def test_boxes_are_spread_evenly() -> None:
    stage = RandomCrop(scale=(0.2, 0.6), ratio=(0.5, 2))
    shape, spread = tf.constant([1000.0, 1000.0]), []

    def box(key: Any) -> Any:
        return stage._box(shape, tf.random.stateless_uniform([4], [key, 5]))

    for (top, left), (height, width) in tf.data.Dataset.range(2000).map(box).as_numpy_iterator():
        share, skew = height * width / 1e6, math.log2(width / height)
        where = (top + 0.5) / (1001 - height), (left + 0.5) / (1001 - width)
        spread.append([(share - 0.2) / 0.4, (skew + 1) / 2, *where])
    means, variances = np.mean(spread, 0), np.var(spread, 0)
    np.testing.assert_allclose(means, 0.5, atol=4 * math.sqrt(1 / 12 / 2000))
    np.testing.assert_allclose(variances, 1 / 12, atol=0.008)


@pytest.mark.parametrize("size", [(12, 18), (6, 6)], ids=str)
def test_whole_image_is_only_resized(size: tuple[int, int]) -> None:
    stage = RandomCrop(size=size, scale=(1, 1), ratio=(1.5, 1.5))
    got = stage(one(PHOTO))["image"].numpy()
    expected = np.asarray(Image.fromarray(PHOTO).resize(size[::-1], Image.Resampling.BILINEAR))
    assert np.abs(got - expected.astype(int)).max() <= (0 if size == (12, 18) else 1)


def test_crop_takes_images_of_any_size() -> None:
    stage = RandomCrop(size=(4, 4))
    spec = {
        "image": tf.TensorSpec([None, None, 3], tf.uint8),
        "seed": tf.TensorSpec([2], tf.int32),
    }

    def run() -> Any:
        for shape in [(1, 1), (1, 50), (50, 1), (7, 9)]:
            yield one(np.full((*shape, 3), 77, np.uint8))

    ds = tf.data.Dataset.from_generator(run, output_signature=spec).map(stage)
    assert ds.element_spec["image"] == tf.TensorSpec([4, 4, 3], tf.uint8)
    assert {value for got in ds for value in got["image"].numpy().flat} == {77}


def test_size_is_needed_in_the_end() -> None:
    with pytest.raises(ValueError, match=r"RandomCrop\(size=\.\.\.\) must be two positive ints"):
        RandomCrop()(one(PHOTO))


# Flip.


def flipped(stage: Stage, caption: str | bytes | None, key: int = 0) -> tuple[bool, Any]:
    """Whether the image is mirrored, and the caption that goes with it."""
    got = stage(one(PHOTO[:1, :2], caption, key))
    mirrored = bool((got["image"].numpy() == PHOTO[:1, 1::-1]).all())
    assert mirrored or (got["image"].numpy() == PHOTO[:1, :2]).all()
    return mirrored, got["caption"].numpy() if "caption" in got else None


# Traced once, they take a fraction of the time over many captions.
flip_in_graph: Any = tf.function(Flip(p=1))
swap_sides: Any = tf.function(functools.partial(swap_words, swap=ENGLISH_SIDES))


def test_flip_is_numpys() -> None:
    np.testing.assert_array_equal(Flip(p=1)(one(PHOTO))["image"], PHOTO[:, ::-1])
    np.testing.assert_array_equal(Flip(p=0)(one(PHOTO))["image"], PHOTO)


def assert_likely(count: int, of: int, p: float) -> None:
    assert abs(count - of * p) <= 4 * math.sqrt(of * p * (1 - p))


@pytest.mark.parametrize("p", [0, 0.1, 0.5, 0.9, 1])
@pytest.mark.parametrize("stage", [Flip, Grayscale])
def test_as_often_as_p_says(stage: Any, p: float) -> None:
    image = PHOTO[:2, :2]
    got = images(examples(2000, image), stage(p=p))
    assert_likely(int((got != image).any(axis=(1, 2, 3)).sum()), 2000, p)


def test_two_of_a_kind_are_independent() -> None:
    image = PHOTO[:2, :2]
    twice = images(examples(2000, image), Flip(), Flip())
    assert_likely(int((twice != image).any(axis=(1, 2, 3)).sum()), 2000, 0.5)
    both = images(examples(2000, image), Flip(), Grayscale(p=0.5))
    gray = Grayscale(p=1)(one(image))["image"].numpy()
    for outcome in (image, image[:, ::-1], gray, gray[:, ::-1]):
        assert_likely(int((both == outcome).all(axis=(1, 2, 3)).sum()), 2000, 0.25)


SWAPPED = {
    "a hat in his left hand": "a hat in his right hand",
    "The cat on the left.": "The cat on the right.",
    "Left of it? No: to the RIGHT": None,
    "Left hand raised": "Right hand raised",
    "ON THE RIGHT SIDE": "ON THE LEFT SIDE",
    "the left, the right; the left": "the right, the left; the right",
    "left left side": None,
    "a left-handed batter": "a right-handed batter",
    "the rightmost man": "the leftmost man",
    "at the top left corner": "at the top right corner",
    "a dog in the far right lane": "a dog in the far left lane",
    "a man on the left wearing red": "a man on the right wearing red",
    "the one on the left is big": "the one on the right is big",
    "a man looking right.": "a man looking left.",
    "on the left and right sides": "on the right and left sides",
    "a bright upright piano, leftover cake, copyright": (
        "a bright upright piano, leftover cake, copyright"
    ),
    "": "",
    "nothing of that kind": "nothing of that kind",
    "two wrights, one cleft": "two wrights, one cleft",
    "the \u00e9left": "the \u00e9left",
    "the tHe LeFt side": None,
    "right next to a bus": None,
    "on the left, right next to a bus": None,
    "he is right behind it": None,
    "people right in front of it": None,
    "the laptop was left open": None,
    "the left over food": None,
    "one slice left.": None,
    "the man in the back left the room": None,
    "he left the dog on the left": None,
    "she has left": None,
    "all that is left of it": None,
    "bikes left side by side": None,
    "turned right side up": None,
    "the right shoes": None,
    "in the right direction": None,
    "their right to vote": None,
    "it looks right.": None,
    "it looks all right": None,
    "as of right now": None,
    "at a right angle": None,
    "the right of way": None,
    "a run for rights": None,
    "turning clockwise": None,
    "an anti-clockwise swirl": None,
    "counter clockwise": None,
    "ten o'clock": None,
    "a clock at 12:43": None,
    "a stop sign": None,
    "A SIGN": None,
    "many signs": None,
    "a shirt that says no": None,
    "a wall with graffiti": None,
    "reading a newspaper": None,
    "the intersection is marked as one way": None,
    "the word love": None,
    "letters on it": None,
    "some text": None,
    "written on it": None,
    'a "happy" cat': None,
    "a “happy” cat": None,
    "a 'happy' cat": None,
    "a ‘very happy’ cat.": None,
    "a player with number 8": None,
    "a boy's dog and a girl's": "a boy's dog and a girl's",
    "a number of cats, designed": "a number of cats, designed",
    "on the driver's side": None,
    "the starboard rail": None,
}


@pytest.mark.parametrize("caption", SWAPPED)
def test_flip_keeps_captions_true(caption: str) -> None:
    expected = SWAPPED[caption]
    mirrored, got = flipped(Flip(p=1), caption)
    assert mirrored == (expected is not None)
    assert got.decode() == (caption if expected is None else expected)
    assert flipped(Flip(p=0), caption) == (False, caption.encode())
    assert flipped(Flip(p=1, captions_aware=False), caption) == (True, caption.encode())


def test_flip_in_a_graph_keeps_captions_true() -> None:
    keys = list(SWAPPED)
    ds = tf.data.Dataset.from_tensor_slices(keys).map(
        lambda caption: Flip(p=1)({**one(PHOTO[:1, :2]), "caption": caption})
    )
    got = {key: one["caption"].numpy().decode() for key, one in zip(keys, ds, strict=True)}
    assert got == {key: key if value is None else value for key, value in SWAPPED.items()}


GERMAN = (("links", "rechts"), ("linke", "rechte"))


@pytest.mark.parametrize(
    ("fields", "caption", "expected"),
    [
        ({"swap": GERMAN}, "Links, rechts, die LINKE Hand", "Rechts, links, die RECHTE Hand"),
        ({"swap": GERMAN}, "linkslinks, rechts_, Länks", "linkslinks, rechts_, Länks"),
        ({"swap": GERMAN, "within": ("der linke",)}, "die linke Hand", None),
        ({"swap": GERMAN, "within": ("die (linke|rechte)",)}, "Die linke Hand", "Die rechte Hand"),
        ({"swap": GERMAN, "skip": ("schrift",)}, "rechts eine Aufschrift", None),
        ({"swap": GERMAN, "skip": ("^schrift",)}, "rechts\nAufschrift", "links\nAufschrift"),
        ({"swap": (("слева", "справа"),)}, "Слева кот", "Справа кот"),
        ({"swap": GERMAN}, "links\u0301 \u0301rechts links", "links\u0301 \u0301rechts rechts"),
        ({"swap": (("左", "右"),)}, "左 左側", "右 左側"),
        ({"skip": ()}, "a stop sign", "a stop sign"),
        ({"within": ()}, "it was left right there", "it was right left there"),
        ({"swap": ()}, "on the left", "on the left"),
        ({"skip": ("a", "q"), "swap": ()}, "quay", None),
    ],
)  # fmt: skip
def test_custom_words_and_patterns(
    fields: dict[str, Any], caption: str, expected: str | None
) -> None:
    mirrored, got = flipped(Flip(p=1, **fields), caption)
    assert (mirrored, got.decode()) == (expected is not None, expected or caption)


@pytest.mark.parametrize(
    "caption", [b"a \xff sign", b"sign \xff", b"\0 sign\n\xe2\x82", b"\xff left \xff open"]
)
def test_invalid_text_hides_nothing(caption: bytes) -> None:
    assert flipped(Flip(p=1), caption) == (False, caption)


ODD = st.text() | st.text(
    st.sampled_from("left LEFTRightG\0\1\2\3\n\t_ é\u0301\u200d左👩🏽‍🚀\ufeff\ud7ff\U0010ffff.'-0")
)
SIDED = st.lists(ODD | st.sampled_from(["left", "right", "Left", "RIGHT", " ", "leftmost"]))
TEXTS = SIDED.map("".join)


def swapped_by_hand(text: str, pairs: Any) -> str:
    """As `swap_words`, for words of ASCII."""
    forms = {
        case(a): case(b)
        for pair in pairs
        for a, b in (pair, pair[::-1])
        for case in (str.lower, str.capitalize, str.upper)
    }
    return re.sub("[A-Za-z0-9_]+", lambda found: forms.get(found[0], found[0]), text)


@given(text=TEXTS)
@example(text="\1left\1 \2right\2")
@example(text="left\0right")
@example(text="left right left  right")
@example(text="left\u0301 éright 0left left_ right")
def test_swapping_twice_changes_nothing(text: str) -> None:
    once = swap_sides(tf.constant(text))
    assert swap_sides(once).numpy() == text.encode()
    assert swap_words(tf.constant(text), ()).numpy() == text.encode()
    if text.isascii():
        assert once.numpy().decode() == swapped_by_hand(text, ENGLISH_SIDES)


@given(parts=st.lists(st.binary(max_size=5) | st.sampled_from([b"left", b" ", b"Right"])))
@example(parts=[b"\xff", b"left", b"\xc3"])
def test_swapping_bytes_twice_changes_nothing(parts: list[bytes]) -> None:
    text = b"".join(parts)
    once = swap_sides(tf.constant(text))
    assert swap_sides(once).numpy() == text


@pytest.mark.parametrize(
    "pairs",
    [(("左", "left"),), (("l", "r"),), (("straße", "strasse"),), (("ß", "ss"), ("ŉ", "n")),
     (("ǆ", "ǳ"),)],
    ids=str,
)  # fmt: skip
def test_swapping_odd_cases_twice_changes_nothing(pairs: Any) -> None:
    for word in (word for pair in pairs for word in pair):
        for text in (word, word.upper(), word.capitalize(), word.title()):
            once = swap_words(tf.constant(text), pairs)
            assert swap_words(once, pairs).numpy().decode() == text
        assert swap_words(tf.constant(word), pairs).numpy().decode() != word


WORDS = (
    "left right Left RIGHT leftmost right-handed the his a man hand side corner lane page half "
    "eaten up by on in of to way and or is was open next wearing top far back looking turning "
    ". , ; - / \" 's sign says clockwise rights prints"
)


@given(words=st.lists(st.sampled_from(WORDS.split()), max_size=9))
def test_may_be_mirrored_back(words: list[str]) -> None:
    caption = " ".join(words)
    swapped = swap_sides(tf.constant(caption)).numpy()
    mirrored, got = flipped(flip_in_graph, caption)
    assert got == (swapped if mirrored else caption.encode())
    assert flipped(flip_in_graph, swapped) == (mirrored, caption.encode() if mirrored else swapped)


@pytest.fixture(scope="module")
def captions() -> list[str]:
    folder = pathlib.Path(__file__).parents[3] / "shared" / "data"
    path = folder / "coco_captions_val2017.json"
    if not path.is_file():
        pytest.skip(f"needs real captions in {path}")
    found = json.loads(path.read_text("utf-8"))["annotations"]
    return [annotation["caption"] for annotation in found]


def test_real_captions_may_be_mirrored_back(captions: list[str]) -> None:
    def judge(caption: Any) -> tuple[Any, ...]:
        swapped, is_true = mirror(caption, ENGLISH_SIDES, ENGLISH_SIDE_PHRASES)
        back, still = mirror(swapped, ENGLISH_SIDES, ENGLISH_SIDE_PHRASES)
        skips = mentions(caption, ENGLISH_WRITING), mentions(swapped, ENGLISH_WRITING)
        return swapped, back, is_true, still, *skips, mentions(caption, ENGLISH_COLORS)

    ds = tf.data.Dataset.from_tensor_slices(captions).map(judge)
    judged = [
        row for batch in ds.batch(1000).as_numpy_iterator() for row in zip(*batch, strict=True)
    ]
    assert [back.decode() for _, back, *_ in judged] == captions
    assert all(is_true == still and one == two for _, _, is_true, still, one, two, _ in judged)
    changed = [
        row[0].decode() != caption and row[2] and not row[4]
        for row, caption in zip(judged, captions, strict=True)
    ]
    assert 25 <= sum(changed) <= 40  # all read, none of them wrong
    assert 0.02 < np.mean([row[4] for row in judged]) < 0.05
    assert 0.15 < np.mean([row[6] for row in judged]) < 0.25


# Color and Grayscale.

ENHANCERS: dict[str, Callable[[Image.Image], Any]] = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
}
ALL: dict[str, Any] = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0}
NOISE = np.random.default_rng(3).integers(0, 256, (40, 50, 3)).astype(np.uint8)


def factor_of(place: int, greatest: float, key: int) -> float:
    low = max(0.0, 1 - greatest)
    return float(low + (1 + greatest - low) * draws(key, 4)[place])


@pytest.mark.parametrize("picture", [photo(40, 50), NOISE], ids=["photo", "noise"])
@pytest.mark.parametrize("greatest", [0.2, 1, 2.5])
@pytest.mark.parametrize("place", range(3), ids=list(ALL))
def test_each_change_is_pillows(place: int, greatest: float, picture: Pixels) -> None:
    name = list(ALL)[place]
    for key in range(8):
        got = Color(**{**ALL, name: greatest})(one(picture, key=key))["image"].numpy()
        pillow = ENHANCERS[name](Image.fromarray(picture))
        expected = np.asarray(pillow.enhance(factor_of(place, greatest, key)))
        assert np.abs(got - expected.astype(int)).max() <= (1 if greatest <= 1 else 2)


@pytest.mark.parametrize("picture", [photo(40, 50), NOISE], ids=["photo", "noise"])
def test_changes_in_turn_are_pillows(picture: Pixels) -> None:
    for key in range(20):
        expected = Image.fromarray(picture)
        for place, name in enumerate(ALL):
            expected = ENHANCERS[name](expected).enhance(factor_of(place, 0.4, key))
        got = Color(brightness=0.4, contrast=0.4, saturation=0.4)(one(picture, key=key))
        difference = np.abs(got["image"].numpy() - np.asarray(expected, int))
        assert difference.max() <= 4  # Pillow cuts off fractions, three times
        assert difference.mean() < 2.2  # half a level each, grown by factors up to 1.4


@pytest.mark.parametrize("hue", [0.05, 0.5])
def test_hue_is_turned_in_hsv(hue: float) -> None:
    picture = np.concatenate([NOISE[:4, :4], np.full((4, 1, 3), 90, np.uint8)], axis=1)
    for key in range(6):
        got = Color(**ALL, hue=hue)(one(picture, key=key))["image"].numpy()
        turn = hue * (2 * draws(key, 4)[3] - 1)
        for pixel, turned in zip(picture.reshape(-1, 3), got.reshape(-1, 3), strict=True):
            h, s, v = colorsys.rgb_to_hsv(*(pixel / 255))
            expected = np.array(colorsys.hsv_to_rgb((h + turn) % 1, s, v)) * 255
            assert np.abs(turned - expected).max() <= 0.51


def test_factors_are_spread_evenly() -> None:
    gray = np.full((1, 1, 3), 100, np.uint8)
    levels = images(examples(2000, gray), Color(**{**ALL, "brightness": 0.5}))[:, 0, 0, 0] / 100
    assert levels.min() >= 0.5
    assert levels.max() <= 1.5
    assert abs(levels.mean() - 1) < 4 * math.sqrt(1 / 12 / 2000)
    assert abs(levels.var() - 1 / 12) < 0.008


def test_no_change_is_no_change() -> None:
    for picture in (PHOTO, NOISE):
        np.testing.assert_array_equal(Color(**ALL)(one(picture))["image"], picture)
        almost = Color(brightness=1e-9, contrast=1e-9, saturation=1e-9)(one(picture))
        np.testing.assert_array_equal(almost["image"], picture)


def test_gray_is_pillows() -> None:
    levels = np.array(np.meshgrid(*[[*range(0, 256, 5), 254, 1, 127, 128]] * 3), np.uint8)
    picture = levels.reshape(3, -1).T.reshape(56, -1, 3)
    got = Grayscale(p=1)(one(picture))["image"].numpy()
    expected = np.asarray(Image.fromarray(picture).convert("L"))
    np.testing.assert_array_equal(got, np.repeat(expected[..., np.newaxis], 3, -1))


COLORED = {
    **dict.fromkeys(
        """a red car|RED|reddish brown|two oranges|an orange|Yellow bananas|the greenest lawn
        bluish light|a purple-white cloth|violet|pinkish|browned meat|black-and-white|the whites
        white.|gray|grey|greyish|beige|tan|golden|a gold ring|silver|maroon|turquoise|teal|cyan
        magenta|colorful|colourful kites|multicolored|multi-coloured|in color|dark|darkness|darker
        bright|brightly lit|the brightest|pale|blond hair|a blonde|blondes|a redhead|dimly lit
        a rainbow|in sepia
        \nred\n""".replace("\n        ", "|").split("|"),
        True,
    ),
    **dict.fromkeys(
        """a man on a bench|a shredded covered bed|hundred|blackboard|a tandem|tank|goldfish
        greedy|browse|pinko|whiting|eye|a traffic light|""".replace("\n        ", "|").split("|"),
        False,
    ),
}


@pytest.mark.parametrize("caption", COLORED)
def test_named_colors_stay(caption: str) -> None:
    stages: list[Any] = [Color(), Grayscale(p=1)]
    for stage in stages:
        got = stage(one(PHOTO, caption))
        assert (got["image"].numpy() == PHOTO).all() == COLORED[caption]
        assert got["caption"].numpy().decode() == caption
        unaware = dataclasses.replace(stage, captions_aware=False)(one(PHOTO, caption))
        assert (unaware["image"].numpy() != PHOTO).any()
        other = dataclasses.replace(stage, skip=("rot",))
        assert (other(one(PHOTO, caption))["image"].numpy() != PHOTO).any()
        assert (other(one(PHOTO, "ein ROTES Auto"))["image"].numpy() == PHOTO).all()


def test_several_in_a_row() -> None:
    stages: Sequence[Stage] = [RandomCrop(size=(8, 8)), Flip(), Color(hue=0.1), Grayscale()]
    ds = examples(16, PHOTO, "a cat on the left")
    expected = images(ds, *stages)
    order = random.Random(0).sample(range(16), 16)
    shuffled = tf.data.Dataset.from_tensor_slices(random_keys(np.array(order), 1, 0))
    fixed: Example = {"image": tf.constant(PHOTO), "caption": tf.constant("a cat on the left")}

    def run(key: Any) -> Example:
        return functools.reduce(lambda one, stage: stage(one), stages, {**fixed, "seed": key})

    got = images(shuffled.map(run, num_parallel_calls=3))
    np.testing.assert_array_equal(got, expected[order])
