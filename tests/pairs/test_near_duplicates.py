"""Near duplicates: re-saved copies are one cluster, different images are not.

Colours: what is seen of an image is the mean of its pixels.
"""

import io
import itertools
import math
import pathlib
import struct
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import BinaryIO

import imagehash
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mmdata.pairs import near_duplicates as near

Change = Callable[[Image.Image], bytes]


def scene(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A gradient, shapes above it and some noise: a picture with something to see."""
    random = np.random.default_rng(seed)
    corners = Image.fromarray(random.integers(0, 256, (2, 2, 3)).astype(np.uint8))
    image = corners.resize(size, Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = (int(random.integers(0, side)) for side in size)
        width, height = random.integers(20, 120, 2).tolist()
        color = tuple(random.integers(0, 256, 3).tolist())
        shape = draw.ellipse if random.random() < 0.5 else draw.rectangle
        shape((x, y, x + width, y + height), fill=color)
    noise = random.normal(0, 6, (size[1], size[0], 3))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def saved(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def cropped(image: Image.Image, share: float) -> Image.Image:
    x, y = round(image.width * share), round(image.height * share)
    return image.crop((x, y, image.width - x, image.height - y))


def turned(image: Image.Image) -> bytes:
    """Stored on its side, with the EXIF orientation that sets it upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(image.transpose(Image.Transpose.ROTATE_90), quality=90, exif=exif)


def clusters(files: Sequence[bytes], distance: int = 4) -> list[int]:
    labels = near.clusters(lambda i: io.BytesIO(files[i]), len(files), distance=distance)
    assert labels.dtype == np.int64
    assert labels.shape == (len(files),)
    return list(labels.tolist())


def partition(labels: Sequence[int]) -> set[frozenset[int]]:
    return {frozenset(i for i, own in enumerate(labels) if own == label) for label in labels}


SCENES = [scene(seed) for seed in range(12)]
ORIGINALS = [saved(image, quality=95) for image in SCENES]


@pytest.mark.parametrize(
    "change",
    [
        lambda image: saved(image, quality=40),
        lambda image: saved(image.resize((160, 120)), quality=60),
        lambda image: saved(image.resize((900, 900))),
        lambda image: saved(image, "PNG"),
        lambda image: saved(image.convert("RGBA"), "WEBP", quality=70),
        lambda image: saved(image.convert("L")),
        lambda image: saved(image.convert("CMYK")),
        turned,
    ],
    ids=["quality", "half", "square", "png", "webp", "grey", "cmyk", "exif"],
)
def test_copies_are_one_cluster(change: Change) -> None:
    labels = clusters([*ORIGINALS, *map(change, SCENES)])
    count = len(SCENES)
    assert labels[:count] == labels[count:]
    assert len(set(labels)) == count


def test_slight_crops() -> None:
    crops = [saved(cropped(image, 0.01)) for image in SCENES]
    labels = clusters([*ORIGINALS, *crops], distance=8)
    assert labels[: len(SCENES)] == labels[len(SCENES) :]
    assert len(set(labels)) == len(SCENES)


def test_mirrored_and_rotated_are_others() -> None:
    ways = [Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180]
    others = [saved(image.transpose(way)) for image in SCENES for way in ways]
    assert len(set(clusters([*ORIGINALS, *others]))) == len(SCENES) + len(others)


def test_real_photos(coco: pathlib.Path) -> None:
    photos = [path.read_bytes() for path in sorted(coco.glob("*2017/*.jpg"))[:60]]
    images = [Image.open(io.BytesIO(photo)).convert("RGB") for photo in photos]
    small = [saved(im.resize((im.width // 2, im.height // 2)), quality=60) for im in images]
    labels = clusters([*photos, *small])
    assert labels[: len(photos)] == labels[len(photos) :]
    assert len(set(labels)) == len(photos)


def test_order_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [*ORIGINALS, *(saved(image, quality=50) for image in SCENES)]
    order = np.random.default_rng(0).permutation(len(files)).tolist()
    labels = clusters(files)
    monkeypatch.setattr(near, "_BLOCK", 5)
    assert clusters([files[i] for i in order]) == [labels[i] for i in order]


def with_exif(data: bytes) -> bytes:
    """ORIGINALS[0] with an APP1 of EXIF `data`."""
    segment = b"Exif\0\0" + data
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + ORIGINALS[0][2:]


def test_what_cannot_be_decoded_is_alone() -> None:
    broken = [b"", b"", b"no image", b"no image", ORIGINALS[0][:400], ORIGINALS[0][:400]]
    labels = clusters([*broken, *ORIGINALS, *ORIGINALS])
    assert len(set(labels)) == len(broken) + len(ORIGINALS)
    assert labels[len(broken) :] == 2 * labels[len(broken) :][: len(ORIGINALS)]


def test_what_cannot_be_opened_is_alone() -> None:
    def open_image(index: int) -> io.BytesIO:
        if index < 3:
            raise FileNotFoundError(index)
        return io.BytesIO(ORIGINALS[0])

    assert partition(near.clusters(open_image, 5).tolist()) == {
        frozenset(rows) for rows in ([0], [1], [2], [3, 4])
    }


def test_there_are_no_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50_000)  # twice that is an error
    odd = with_exif(b"II*\0\xff\xff\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labels = clusters([odd, saved(SCENES[0], "PNG"), saved(scene(0, (400, 300)), "PNG")])
    assert len(set(labels)) == 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_flat_images_are_alone(kind: str) -> None:
    colors = ["black", "white", "red", "blue", "red"]
    flat = [saved(Image.new("RGB", (64, 64), color), kind) for color in colors]
    faint = [saved(Image.linear_gradient("L").point(lambda v: 90 + v // 40), kind)] * 2
    assert len(set(clusters([*flat, *faint]))) == len(flat) + len(faint)


def test_low_contrast_is_enough() -> None:
    dim = [saved(image.point(lambda v: 100 + v // 8), "PNG") for image in SCENES]
    assert clusters([*dim, *dim]) == 2 * clusters(dim)
    assert len(set(clusters(dim))) == len(dim)


def test_distance_0_is_equal_hashes() -> None:
    assert len(set(clusters(2 * ORIGINALS, 0))) == len(ORIGINALS)


def test_none() -> None:
    assert clusters([]) == []


def unopened(index: int) -> BinaryIO:
    raise AssertionError(f"image {index} was opened")


@pytest.mark.parametrize("distance", [9, -1])
def test_distance_out_of_range(distance: int) -> None:
    message = rf"distance=\.\.\. must be 0-8 bits; got {distance}\."
    with pytest.raises(ValueError, match=message):
        near.clusters(unopened, 1, distance=distance)
    with pytest.raises(ValueError, match=message):
        near.clusters_of(look(ORIGINALS), distance=distance)


# Looks.


def look(files: Sequence[bytes]) -> near.Looks:
    return near.look(lambda i: io.BytesIO(files[i]), len(files))


def mean_color(content: bytes) -> NDArray[np.float64]:
    """Of all pixels, each on white."""
    image = Image.open(io.BytesIO(content)).convert("RGBA")
    rgb, alpha = np.split(np.asarray(image) / 255.0, [3], axis=-1)
    mean: NDArray[np.float64] = (rgb * alpha + 1 - alpha).mean((0, 1)) * 255
    return mean


def see_through(image: Image.Image) -> Image.Image:
    """Its left half transparent, the rest in steps."""
    alpha = np.zeros((image.height, image.width), np.uint8)
    alpha[:, image.width // 2 :] = np.linspace(0, 255, image.height).astype(np.uint8)[:, None]
    return Image.merge("RGBA", [*image.split(), Image.fromarray(alpha)])


@pytest.mark.parametrize(
    "change",
    [
        lambda image: saved(image, quality=90),
        lambda image: saved(image.resize((1000, 700)), quality=90),
        lambda image: saved(image.resize((5, 3)), "PNG"),
        lambda image: saved(image.convert("L"), quality=90),
        lambda image: saved(image.convert("P"), "PNG"),
        lambda image: saved(see_through(image), "PNG"),
        lambda image: saved(see_through(image).convert("P"), "GIF", transparency=3),
        turned,
    ],
    ids=["jpeg", "large", "tiny", "grey", "palette", "alpha", "transparent index", "exif"],
)
def test_colors(change: Change) -> None:
    files = [change(image) for image in SCENES]
    looks = look(files)
    assert looks.colors.shape == (len(files), 3)
    assert looks.colors.dtype == np.uint8
    assert looks.seen.all()
    wanted = np.stack([mean_color(file) for file in files])
    assert np.abs(looks.colors - wanted).max() <= 2
    assert abs((looks.colors - wanted).mean()) < 0.25
    assert np.ptp(wanted, axis=0).min() > 10


def test_colors_of_flat_images_are_theirs() -> None:
    colors = [(255, 0, 0), (0, 0, 255), (0, 0, 0), (255, 255, 255), (17, 99, 200)]
    looks = look([saved(Image.new("RGB", (50, 40), color), "PNG") for color in colors])
    assert looks.colors.tolist() == [list(color) for color in colors]
    assert looks.seen.tolist() == [True] * len(colors)
    assert looks.hashed.tolist() == [False] * len(colors)
    assert looks.hashes.tolist() == [0] * len(colors)


def test_what_was_not_seen() -> None:
    looks = look([ORIGINALS[0], b"no image", ORIGINALS[1], ORIGINALS[2][:400]])
    assert looks.seen.tolist() == looks.hashed.tolist() == [True, False, True, False]
    assert not looks.colors[~looks.seen].any()
    assert not looks.hashes[~looks.seen].any()
    assert looks.hashes.dtype == np.uint64
    assert near.look(unopened, 0).colors.shape == (0, 3)


def test_hashes_are_those_of_imagehash() -> None:
    """Of images as small as the hash takes them, so that no resampling is between."""
    small = [image.resize((32, 32)) for image in SCENES]
    wanted = [int(str(imagehash.phash(image)), 16) for image in small]
    assert look([saved(image, "PNG") for image in small]).hashes.tolist() == wanted


def test_each_image_is_opened_once_and_closed() -> None:
    opened: list[tuple[int, io.BytesIO]] = []

    def open_image(index: int) -> io.BytesIO:
        opened.append((index, io.BytesIO([ORIGINALS[0], b"no image"][index % 2])))
        return opened[-1][1]

    near.clusters(open_image, 150)
    assert sorted(index for index, _ in opened) == [*range(150)]
    assert all(file.closed for _, file in opened)


@pytest.mark.parametrize("library", ["imagehash", "faiss"])
def test_a_library_is_missing(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = look(ORIGINALS)
    monkeypatch.setitem(sys.modules, library, None)
    message = rf'{library} is required here .* pip install "mmdata\[duplicates\]"'
    with pytest.raises(ImportError, match=message):
        near.clusters(unopened, 1)
    looks = look(ORIGINALS)
    assert looks.colors.tolist() == whole.colors.tolist()
    assert looks.seen.all()
    assert not looks.hashed.any()
    with pytest.raises(ImportError, match=message):
        near.clusters_of(looks)


# The search for neighbours, against all pairs.


def least_by_all_pairs(hashes: Sequence[int], distance: int) -> list[int]:
    least = list(hashes)
    changed = True
    while changed:
        changed = False
        for i, j in itertools.permutations(range(len(hashes)), 2):
            if (hashes[i] ^ hashes[j]).bit_count() <= distance and least[i] > least[j]:
                least[i], changed = least[j], True
    return least


flips = st.lists(st.integers(0, 63), max_size=10).map(lambda bits: sum({1 << bit for bit in bits}))
seeds = st.sampled_from([0, 2**64 - 1, 0x9E3779B97F4A7C15])
near_each_other = st.lists(st.builds(lambda seed, flip: seed ^ flip, seeds, flips), max_size=14)


@given(near_each_other, st.integers(0, 8))
def test_neighbours(hashes: list[int], distance: int) -> None:
    found = near._smallest_in_cluster(np.array(hashes, np.uint64), distance)
    assert found.tolist() == least_by_all_pairs(hashes, distance)


@pytest.mark.parametrize("distance", range(9))
def test_neighbours_wherever_the_bits_are(distance: int) -> None:
    random = np.random.default_rng(distance)
    for _ in range(50):
        bits = random.permutation(64)[: distance + 1].tolist()
        one = int(random.integers(0, 2**64, dtype=np.uint64))
        at, beyond = (one ^ sum(1 << bit for bit in bits[:k]) for k in (distance, distance + 1))
        for other, count in ((at, 1), (beyond, 2)):
            found = near._smallest_in_cluster(np.array([one, other], np.uint64), distance)
            assert len(set(found.tolist())) == count


def test_neighbours_in_other_blocks_of_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "_FIRST", 3)
    monkeypatch.setattr(near, "_QUERIES", 7)
    random = np.random.default_rng(0)
    some = random.integers(0, 2**64, 40, np.uint64)
    flips = [1 << 63, 1 << 62 | 1, 7 << 31]  # far apart in the order of hashes, too
    hashes = [*some.tolist(), *(value ^ flip for value in some.tolist() for flip in flips)]
    for distance in (1, 2, 3):
        found = near._smallest_in_cluster(np.array(hashes, np.uint64), distance)
        assert found.tolist() == least_by_all_pairs(hashes, distance)
        assert len(set(found.tolist())) == 40 * (4 - distance)


def test_memory_is_bounded_however_many_are_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "_FIRST", 4)
    monkeypatch.setattr(near, "_FOUND", 5000)
    monkeypatch.setattr(near, "_QUERIES", 1000)
    each = sum(math.comb(12, flips) for flips in range(5))
    dense = [len(found) for _, found in near._neighbours(np.arange(4096, dtype=np.uint64), 4)]
    assert sum(dense) == 4096 * each
    assert max(dense) == 5000 // each * each
    sparse = np.random.default_rng(0).integers(0, 2**64, 2500, np.uint64)
    queries = [len(left) for left, _ in near._neighbours(np.sort(sparse), 4)]
    assert queries == [4, 1000, 1000, 496]


def test_many_in_one_bucket() -> None:
    bits = np.arange(3000, dtype=np.uint64)  # differ in the last 12 bits only
    assert set(near._smallest_in_cluster(bits, 1).tolist()) == {0}
    apart = bits[[int(b).bit_count() % 2 == 0 for b in bits]]  # in two bits at least
    assert near._smallest_in_cluster(apart, 1).tolist() == apart.tolist()
    assert set(near._smallest_in_cluster(apart, 2).tolist()) == {0}


def test_neighbours_that_are_not_next_to_each_other() -> None:
    random = np.random.default_rng(0)
    varied = sum(1 << bit for bit in range(64) if bit % 5 < 2)  # two of the five bands
    some = [value & varied for value in random.integers(0, 2**64, 150, np.uint64).tolist()]
    hashes = [
        *some,
        *(value ^ (1 | 1 << 61) for value in some),
    ]  # three bands agree, in one bucket of all
    found = near._smallest_in_cluster(np.array(hashes, np.uint64), 2)
    assert found.tolist() == least_by_all_pairs(hashes, 2)
    assert len(set(found.tolist())) == 150
