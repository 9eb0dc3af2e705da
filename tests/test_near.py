"""Near duplicates: copies that were saved anew are one cluster, different images are not."""

import io
import itertools
import pathlib
import struct
import sys
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from mmdata.pairing import near

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


def test_nothing_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50_000)  # twice that is an error
    odd = with_exif(b"II*\0\xff\xff\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labels = clusters([odd, saved(SCENES[0], "PNG"), saved(scene(0, (400, 300)), "PNG")])
    assert len(set(labels)) == 2


def test_files_are_closed() -> None:
    opened: list[io.BytesIO] = []

    def open_image(index: int) -> io.BytesIO:
        opened.append(io.BytesIO([ORIGINALS[0], b"no image"][index]))
        return opened[-1]

    near.clusters(open_image, 2)
    assert [file.closed for file in opened] == [True, True]


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


@pytest.mark.parametrize("distance", [-1, 9])
def test_distance_out_of_range(distance: int) -> None:
    with pytest.raises(ValueError, match=rf"distance=\.\.\. must be 0-8 bits; got {distance}\."):
        clusters(ORIGINALS, distance)


def test_imagehash_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imagehash", None)
    with pytest.raises(ImportError, match=r'pip install "mmdata\[duplicates\]"'):
        clusters(ORIGINALS)


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
    found = near._least_of_cluster(np.array(hashes, np.uint64), distance)
    assert found.tolist() == least_by_all_pairs(hashes, distance)


@pytest.mark.parametrize("distance", range(9))
def test_neighbours_wherever_the_bits_are(distance: int) -> None:
    random = np.random.default_rng(distance)
    for _ in range(50):
        bits = random.permutation(64)[: distance + 1].tolist()
        one = int(random.integers(0, 2**64, dtype=np.uint64))
        at, beyond = (one ^ sum(1 << bit for bit in bits[:k]) for k in (distance, distance + 1))
        for other, count in ((at, 1), (beyond, 2)):
            found = near._least_of_cluster(np.array([one, other], np.uint64), distance)
            assert len(set(found.tolist())) == count


def test_many_in_one_bucket() -> None:
    bits = np.arange(3000, dtype=np.uint64)  # differ in the last 12 bits only
    assert set(near._least_of_cluster(bits, 1).tolist()) == {0}
    apart = bits[[int(b).bit_count() % 2 == 0 for b in bits]]  # in two bits at least
    assert near._least_of_cluster(apart, 1).tolist() == apart.tolist()
    assert set(near._least_of_cluster(apart, 2).tolist()) == {0}


def test_neighbours_that_are_not_next_to_each_other() -> None:
    random = np.random.default_rng(0)
    varied = sum(1 << bit for bit in range(64) if bit % 5 < 2)  # two of the five bands
    some = [value & varied for value in random.integers(0, 2**64, 150, np.uint64).tolist()]
    hashes = [
        *some,
        *(value ^ (1 | 1 << 61) for value in some),
    ]  # three bands agree, in one bucket of all
    found = near._least_of_cluster(np.array(hashes, np.uint64), 2)
    assert found.tolist() == least_by_all_pairs(hashes, 2)
    assert len(set(found.tolist())) == 150
