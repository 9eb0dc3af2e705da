"""The size of each image, the contents of a bucket, and ratios of decoding."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.files.headers import Format
from mmdata.files.scan import Scan
from mmdata.sampling.size_buckets import (
    Groups,
    aspect_buckets,
    decode_ratios,
    nearest_sizes,
    upright_sizes,
)

Size = tuple[int, int]
Seen = tuple[int, int, int, Format]
"""Height, width and orientation of an image as it is stored, and its format."""


def scan_of(*images: Seen) -> Scan:
    heights, widths, orientations, formats = zip(*images, strict=True)
    return Scan(
        keys=np.arange(len(images)),
        formats=np.array(formats, np.int8),
        orientations=np.array(orientations, np.int8),
        heights=np.array(heights, np.int32),
        widths=np.array(widths, np.int32),
        problems={},
        stamps=np.zeros(len(images), np.int64),
        checksums=np.zeros(len(images), np.int64),
        time=0,
    )


def jpegs(*sizes: Size, orientation: int = 1) -> Scan:
    return scan_of(*((height, width, orientation, Format.JPEG) for height, width in sizes))


SIDES = st.integers(1, 5000)
IMAGES = st.lists(
    st.tuples(SIDES, SIDES, st.integers(1, 8), st.sampled_from(list(Format)))
    | st.just((0, 0, 1, Format.UNKNOWN)),
    min_size=1,
    max_size=20,
)


def upright(image: Seen) -> Size:
    height, width, orientation, _ = image
    return (width, height) if orientation in (5, 6, 7, 8) else (height, width)


# aspect_buckets.


@pytest.mark.parametrize(
    ("size", "options", "expected"),
    [
        ((224, 224), {}, ((160, 288), (192, 256), (224, 224), (256, 192), (288, 160))),
        ((256, 256), {"step": 64}, ((192, 320), (256, 256), (320, 192))),
        ((100, 400), {"step": 100, "max_aspect": 1}, ((200, 200),)),
        ((400, 100), {"step": 100, "max_aspect": 4}, ((100, 400), (200, 200), (400, 100))),
        ((100, 400), {"step": 100, "max_aspect": 3.99}, ((200, 200),)),
        ((31, 33), {"step": 16, "max_aspect": 3}, ((16, 48), (48, 16))),
        ((1, 1), {"step": 1}, ((1, 1),)),
        ((3, 50), {"step": 10}, ((10, 10),)),
        ((63, 65), {"step": 64, "max_aspect": 9.0}, None),
    ],
    ids=str,
)
def test_buckets_of_aspect_ratios(
    size: Size, options: dict[str, Any], expected: tuple[Size, ...] | None
) -> None:
    if expected is None:
        with pytest.raises(ValueError, match=r"must leave a size of at most 4,095 pixels; got"):
            aspect_buckets(size, **options)
    else:
        assert aspect_buckets(size, **options) == expected


@given(
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    step=st.integers(1, 40),
    max_aspect=st.floats(1, 8),
)
def test_properties_of_buckets(size: Size, step: int, max_aspect: float) -> None:
    pixels = size[0] * size[1]
    allowed = set()
    for short in range(step, 301, step):
        longs = [n for n in range(short, pixels // short + 1) if n % step == 0]
        if longs and max(longs) <= max_aspect * short:
            allowed |= {(short, max(longs)), (max(longs), short)}
    if not allowed:
        with pytest.raises(ValueError, match=r"aspect_buckets\(step=\.\.\.\) must leave a size"):
            aspect_buckets(size, step=step, max_aspect=max_aspect)
        return
    sizes = aspect_buckets(size, step=step, max_aspect=max_aspect)
    assert set(sizes) == allowed
    assert len(sizes) == len(allowed)
    aspects = [height / width for height, width in sizes]
    assert aspects == sorted(aspects)
    assert len(set(aspects)) == len(aspects)
    for height, width in sizes:
        assert height * width <= pixels
        assert height % step == width % step == 0
        assert (width, height) in sizes
        assert max(height, width) <= max_aspect * min(height, width)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *(
            ({"size": size}, r"aspect_buckets\(size=\.\.\.\) must be two positive ints")
            for size in ((0, 224), (224,), 224, [224, 224], (224.0, 224), None)
        ),
        *(
            ({"step": step}, r"aspect_buckets\(step=\.\.\.\) must be an int of at least 1; got")
            for step in (0, -32, 32.0, "32", None)
        ),
        *(
            ({"max_aspect": most}, r"aspect_buckets\(max_aspect=\.\.\.\) must be at least 1; got")
            for most in (0.99, 0, -2, float("nan"))
        ),
        ({"step": 225}, r"leave a size of at most 50,176 pixels; got step=225, max_aspect=2\.0"),
    ],
    ids=str,
)
def test_arguments_that_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        aspect_buckets(**{"size": (224, 224), **arguments})


# upright_sizes.


@given(images=IMAGES)
def test_upright_sizes(images: list[Seen]) -> None:
    sizes = upright_sizes(scan_of(*images))
    assert sizes.dtype == np.int32
    assert sizes.tolist() == [list(upright(image)) for image in images]


# nearest_sizes.


@given(
    images=IMAGES,
    sizes=st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=6, unique=True),
)
def test_each_image_goes_to_the_nearest_aspect_ratio(images: list[Seen], sizes: list[Size]) -> None:
    nearest = nearest_sizes(scan_of(*images), tuple(sizes))
    assert nearest.dtype == np.int64
    for image, place in zip(images, nearest.tolist(), strict=True):
        height, width = upright(image)
        aspect = math.log(height / width) if height else 0.0
        distances = [abs(aspect - math.log(size[0] / size[1])) for size in sizes]
        assert distances[place] <= min(distances) + 1e-9


def test_ratios_are_compared_and_not_differences() -> None:
    # As a difference, 1.5 is nearer to 1 than to 2; as a ratio, it is nearer to 2.
    scan = jpegs((150, 100), (100, 150), (140, 100), (100, 140))
    assert nearest_sizes(scan, ((64, 128), (96, 96), (128, 64))).tolist() == [2, 0, 1, 1]


def test_orientation_counts_and_unknown_sizes_are_square() -> None:
    stored = [(100, 300, orientation, Format.JPEG) for orientation in range(1, 9)]
    scan = scan_of(*stored, (0, 0, 1, Format.UNKNOWN))
    nearest = nearest_sizes(scan, ((32, 96), (64, 64), (96, 32)))
    assert nearest.tolist() == [0] * 4 + [2] * 4 + [1]


# Groups.


@given(shapes=st.lists(st.integers(0, 6), min_size=1, max_size=40))
def test_groups_are_contiguous(shapes: list[int]) -> None:
    buckets = Groups.of(np.array(shapes, np.int64))
    members = [[i for i, shape in enumerate(shapes) if shape == one] for one in range(7)]
    assert buckets.indices.dtype == np.int64
    assert buckets.indices.tolist() == [index for bucket in members for index in bucket]
    assert buckets.counts == tuple(len(bucket) for bucket in members if bucket)


def test_thousands_of_indices_keep_their_order() -> None:
    buckets = Groups.of(np.arange(20_000) % 3)  # from 17 on, not every sort is stable
    assert buckets.counts == (6667, 6667, 6666)
    assert (np.diff(buckets.indices) == 3).sum() == 20_000 - 3


# decode_ratios.


def ratio_of(image: Seen, size: Size) -> int:
    (height, width), best = upright(image), 1
    for ratio in (2, 4, 8):
        if height >= 1.5 * ratio * size[0] and width >= 1.5 * ratio * size[1]:
            best = ratio
    return best if image[3] == Format.JPEG else 1


@given(images=IMAGES, data=st.data())
def test_ratios_of_decoding(images: list[Seen], data: st.DataObject) -> None:
    sides = st.integers(1, 500)
    size = data.draw(st.tuples(sides, sides))
    of_all = decode_ratios(scan_of(*images), np.array([size]))
    assert of_all.dtype == np.int8
    assert of_all.tolist() == [ratio_of(image, size) for image in images]
    count = len(images)
    sizes = data.draw(st.lists(st.tuples(sides, sides), min_size=count, max_size=count))
    of_each = decode_ratios(scan_of(*images), np.array(sizes, np.int32))
    both = zip(images, sizes, strict=True)
    assert of_each.tolist() == [ratio_of(image, size) for image, size in both]


@pytest.mark.parametrize(
    ("height", "width", "ratio"),
    [
        (300, 600, 2),
        (299, 600, 1),
        (300, 599, 1),
        (600, 1200, 4),
        (599, 5000, 2),
        (1200, 2400, 8),
        (1199, 2400, 4),
        (9999, 9999, 8),
        (0, 0, 1),
    ],
)
def test_what_is_decoded_has_half_as_much_again(height: int, width: int, ratio: int) -> None:
    size = np.array([[100, 200]])
    assert decode_ratios(jpegs((height, width)), size).tolist() == [ratio]
    lying = jpegs((width, height), orientation=6)
    assert decode_ratios(lying, size).tolist() == [ratio]


@pytest.mark.parametrize("kind", list(Format))
def test_only_a_jpeg_is_decoded_smaller(kind: Format) -> None:
    (ratio,) = decode_ratios(scan_of((5000, 5000, 1, kind)), np.array([[10, 10]])).tolist()
    assert ratio == (8 if kind == Format.JPEG else 1)
