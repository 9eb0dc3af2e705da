"""Decode, then Resize, against Pillow."""

import io
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pictures import encoded, oriented  # type: ignore[import-not-found]
from PIL import Image, ImageOps

from mmdata.files.headers import Format, HeaderError, read_header
from mmdata.files.scan import scan
from mmdata.images.decode_in_graph import Decode, why_corrupt
from mmdata.sampling.size_buckets import decode_ratios, upright_sizes
from mmdata.stages.resize import Resize

Pixels = NDArray[Any]

ORIENTATIONS = range(1, 9)


def made_picture(height: int = 61, width: int = 90) -> Image.Image:
    """Gradients, edges and noise; no two sides, corners or channels alike."""
    y, x = np.mgrid[:height, :width].astype(float)
    red = 255 * x / max(width - 1, 1)
    green = 255 * y / max(height - 1, 1)
    blue = np.where((x // 7 + y // 5) % 2, 220, 30)
    noise = np.random.default_rng(0).normal(0, 12, (height, width, 3))
    return Image.fromarray((np.stack([red, green, blue], -1) + noise).clip(0, 255).astype(np.uint8))


PICTURE = made_picture()
PALETTE = PICTURE.convert("P", palette=Image.Palette.ADAPTIVE)
TWO_FRAMES = {"save_all": True, "append_images": [PALETTE.rotate(180)]}


FILES: dict[str, bytes] = {
    "baseline.jpg": encoded(PICTURE, "JPEG", quality=90),
    "progressive.jpg": encoded(PICTURE, "JPEG", quality=90, progressive=True),
    "444.jpg": encoded(PICTURE, "JPEG", quality=95, subsampling=0),
    "422.jpg": encoded(PICTURE, "JPEG", quality=20, subsampling=1),
    "gray.jpg": encoded(PICTURE.convert("L"), "JPEG"),
    "rgb.jpg": encoded(PICTURE, "JPEG", keep_rgb=True),
    "cmyk.jpg": encoded(PICTURE.convert("CMYK"), "JPEG"),
    "tail.jpg": encoded(PICTURE, "JPEG") + b"bytes behind the end",
    "rgb.png": encoded(PICTURE, "PNG"),
    "gray.png": encoded(PICTURE.convert("L"), "PNG"),
    "bits.png": encoded(PICTURE.convert("1"), "PNG"),
    "palette.png": encoded(PALETTE, "PNG"),
    "palette.gif": encoded(PALETTE, "GIF"),
    "interlaced.gif": encoded(PALETTE, "GIF", interlace=True),
    "animated.gif": encoded(PALETTE, "GIF", **TWO_FRAMES),
    "24 bits.bmp": encoded(PICTURE, "BMP"),
    "lossy.webp": encoded(PICTURE, "WEBP", quality=80),
    "lossless.webp": encoded(PICTURE, "WEBP", lossless=True),
    "one pixel.png": encoded(made_picture(1, 1), "PNG"),
    "one row.jpg": encoded(made_picture(1, 90), "JPEG"),
    "one column.webp": encoded(made_picture(61, 1), "WEBP"),
    **{
        f"{orientation}.{kind.lower()}": encoded(PICTURE, kind, exif=oriented(orientation))
        for orientation in ORIENTATIONS
        for kind in ("JPEG", "PNG", "WEBP")
    },
}

Write = Callable[[Path, Mapping[str, str | bytes]], Path]

# What no pixels can be read from, and what a scan takes it for.
BROKEN: dict[str, tuple[bytes, Format]] = {
    "cut.jpg": (FILES["baseline.jpg"][: len(FILES["baseline.jpg"]) // 2], Format.JPEG),
    "no end.jpg": (FILES["baseline.jpg"][:-2], Format.JPEG),
    "cut.png": (FILES["rgb.png"][:-200], Format.PNG),
    "checksum.png": (FILES["rgb.png"].replace(b"IDAT", b"IDAT~", 1)[:-1], Format.PNG),
    "cut.gif": (FILES["palette.gif"][:-500], Format.GIF),
    "cut.bmp": (FILES["24 bits.bmp"][:-500], Format.BMP),
    "cut.webp": (FILES["lossy.webp"][:-200], Format.WEBP),
    "cut in the header.jpg": (FILES["baseline.jpg"][:30], Format.UNKNOWN),
    "empty.jpg": (b"", Format.UNKNOWN),
    "text.png": (b"this is no image at all", Format.UNKNOWN),
    "animated.webp": (encoded(PICTURE, "WEBP", **TWO_FRAMES)[:-200], Format.PILLOW),
}


def scanned(paths: list[str]) -> dict[str, Any]:
    """The features that the stages take, of many files."""
    seen = scan("/", paths)
    return {
        "path": tf.constant(paths, tf.string),
        "format": tf.constant(seen.formats),
        "orientation": tf.constant(seen.orientations),
    }


def at(features: dict[str, Any], index: int) -> dict[str, Any]:
    return {name: column[index] for name, column in features.items()}


def by_pillow(file: str | Path | bytes, size: tuple[int, int] | None = None) -> Pixels:
    """Upright RGB, resized to (height, width)."""
    with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    if size is not None:
        picture = picture.resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(picture).astype(int)


def loading(size: tuple[int, int]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda example: Resize(size=size)(Decode()(example))


def furthest(got: Any, expected: Pixels) -> int:
    assert got.shape == expected.shape
    return int(np.abs(got.numpy().astype(int) - expected).max())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, write: Write) -> dict[str, Any]:
    folder = write(tmp_path_factory.mktemp("files"), FILES)
    return scanned([str(folder / name) for name in FILES])


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory, write: Write) -> dict[str, Any]:
    contents = {name: content for name, (content, _) in BROKEN.items()}
    folder = write(tmp_path_factory.mktemp("broken"), contents)
    return scanned([*(str(folder / name) for name in BROKEN), str(folder / "none"), str(folder)])


@pytest.fixture(scope="module")
def decoded(files: dict[str, Any]) -> list[Any]:
    """Each file as `tf.data` decodes it."""
    ds = tf.data.Dataset.from_tensor_slices(files).map(Decode())
    return list(ds)


@pytest.mark.parametrize("name", FILES)
def test_decode_equals_pillow(name: str, files: dict[str, Any], decoded: list[Any]) -> None:
    index = list(FILES).index(name)
    expected = by_pillow(FILES[name])
    for example in (Decode()(at(files, index)), decoded[index]):
        assert example["image"].dtype == tf.uint8
        assert furthest(example["image"], expected) == 0
        assert example["valid"]


def test_decode_does_what_the_scan_says_and_looks_for_nothing(files: dict[str, Any]) -> None:
    example = at(files, list(FILES).index("6.jpeg"))
    assert Decode()(example)["image"].shape == (90, 61, 3)
    assert Decode()({**example, "orientation": tf.constant(1, tf.int8)})["image"].shape[0] == 61
    unknown = Decode()({**example, "format": tf.constant(Format.UNKNOWN, tf.int8)})
    assert not unknown["valid"]
    assert unknown["image"].shape == (1, 1, 3)


NAMES = [*BROKEN, "missing", "a folder"]


def test_broken_files_are_what_they_seem(broken: dict[str, Any]) -> None:
    expected = [kind for _, kind in BROKEN.values()] + [Format.UNKNOWN] * 2
    assert broken["format"].numpy().tolist() == expected


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("orientation", [1, 6])
def test_what_cannot_be_decoded_is_one_black_pixel(
    name: str, orientation: int, broken: dict[str, Any]
) -> None:
    example = at(broken, NAMES.index(name))
    decoded = Decode()({**example, "orientation": tf.constant(orientation, tf.int8)})
    assert not decoded["valid"]
    np.testing.assert_array_equal(decoded["image"], np.zeros((1, 1, 3)))


def test_plain_decodes_upright_jpegs_as_ever(tmp_path: Path) -> None:
    cut = encoded(PICTURE, "JPEG")[:-500]
    for name, content in (("whole.jpg", encoded(PICTURE, "JPEG")), ("cut.jpg", cut)):
        (tmp_path / name).write_bytes(content)
        example = {"path": tf.constant(str(tmp_path / name)), "format": 0, "orientation": 1}
        branching, plain = Decode()(example), Decode(plain=True)(example)
        np.testing.assert_array_equal(branching["image"], plain["image"])
        assert bool(branching["valid"]) is bool(plain["valid"]) is (name == "whole.jpg")


@pytest.mark.parametrize(
    "name", [name for name, (_, kind) in BROKEN.items() if kind != Format.UNKNOWN]
)
def test_why_corrupt_names_a_reason(name: str) -> None:
    reason = why_corrupt(*BROKEN[name])
    assert reason
    assert "{{" not in reason
    assert "[Op:" not in reason


def test_why_corrupt_finds_nothing_in_good_files(files: dict[str, Any]) -> None:
    kinds = [Format(kind) for kind in files["format"].numpy()]
    contents = [Path(path.decode()).read_bytes() for path in files["path"].numpy()]
    found = [why_corrupt(*file) for file in zip(contents, kinds, strict=True)]
    assert found == [None] * len(FILES)


@pytest.fixture(scope="module")
def photos(coco: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Four real photos, wide and tall, each in all eight orientations."""
    folder = tmp_path_factory.mktemp("photos")
    paths = []
    chosen: dict[bool, list[Path]] = {True: [], False: []}
    for path in sorted(coco.glob("train2017/*.jpg")):
        with Image.open(path) as photo:
            chosen[photo.width > photo.height].append(path)
    for path in chosen[True][:2] + chosen[False][:2]:
        with Image.open(path) as photo:
            for orientation in ORIENTATIONS:
                paths.append(str(folder / f"{path.stem}-{orientation}.jpg"))
                photo.save(paths[-1], exif=oriented(orientation), quality=95)
    return scanned(paths)


@pytest.mark.parametrize("size", [(224, 224), (97, 310), (900, 700)], ids=str)
def test_photos_equal_pillow(size: tuple[int, int], photos: dict[str, Any]) -> None:
    ds = tf.data.Dataset.from_tensor_slices(photos).map(loading(size)).batch(32)
    batch = next(iter(ds))
    assert batch["valid"].numpy().tolist() == [True] * 32
    assert batch["orientation"].numpy().tolist() == [*ORIENTATIONS] * 4
    for path, image in zip(photos["path"].numpy(), batch["image"], strict=True):
        assert furthest(image, by_pillow(path.decode(), size)) <= 1, path


def test_what_fails_keeps_its_place(files: dict[str, Any], broken: dict[str, Any]) -> None:
    places = np.random.default_rng(0).permutation(2 * len(NAMES))  # broken files between good ones
    both = {name: tf.concat([files[name][: len(NAMES)], broken[name]], 0) for name in files}
    mixed = {name: tf.gather(column, places) for name, column in both.items()}
    ds = tf.data.Dataset.from_tensor_slices(mixed)
    ds = ds.map(loading((20, 30)), num_parallel_calls=4, deterministic=True).batch(len(places))
    for _ in range(3):
        batch = next(iter(ds))
        assert batch["path"].numpy().tolist() == mixed["path"].numpy().tolist()
        assert batch["valid"].numpy().tolist() == (places < len(NAMES)).tolist()
    for path, image, valid in zip(batch["path"], batch["image"], batch["valid"], strict=True):
        expected = by_pillow(path.numpy().decode(), (20, 30)) if valid else np.zeros((20, 30, 3))
        assert furthest(image, expected) <= int(valid)


@pytest.fixture(scope="module")
def load_in_graph() -> Callable[[dict[str, Any]], dict[str, Any]]:
    spec = {"path": tf.string, "format": tf.int8, "orientation": tf.int8}
    signature = {name: tf.TensorSpec([], dtype) for name, dtype in spec.items()}
    return tf.function(loading((4, 4)), input_signature=[signature])  # type: ignore[no-any-return]


SMALL = made_picture(9, 7)
SMALL_FILES = {
    "jpeg": encoded(SMALL, "JPEG"),
    "progressive": encoded(SMALL, "JPEG", progressive=True),
    "png": encoded(SMALL, "PNG"),
    "gif": encoded(SMALL.convert("P"), "GIF"),
    "bmp": encoded(SMALL, "BMP"),
    "lossy webp": encoded(SMALL, "WEBP"),
    "lossless webp": encoded(SMALL, "WEBP", lossless=True),
}


@given(
    name=st.sampled_from(sorted(SMALL_FILES)),
    changes=st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=4),
    cut=st.none() | st.integers(0, 2**16),
)
def test_any_bytes_are_an_image_or_not_valid(
    name: str,
    changes: list[tuple[int, int]],
    cut: int | None,
    load_in_graph: Callable[[dict[str, Any]], dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    content = bytearray(SMALL_FILES[name])
    for place, byte in changes:
        content[place % len(content)] = byte
    content = content if cut is None else content[: cut % len(content)]
    try:
        header = read_header(io.BytesIO(content))
    except HeaderError:
        header = None
    assume(header is None or header.height * header.width < 1_000_000)
    path = tmp_path_factory.getbasetemp() / "any bytes"
    path.write_bytes(content)
    loaded = load_in_graph(at(scanned([str(path)]), 0))
    if header is None:
        assert not loaded["valid"]
    assert loaded["valid"] or not loaded["image"].numpy().any()


def test_static_shapes(files: dict[str, Any]) -> None:
    ds = tf.data.Dataset.from_tensor_slices(files)
    decoded = ds.map(Decode())
    assert decoded.element_spec == {
        **ds.element_spec,
        "image": tf.TensorSpec([None, None, 3], tf.uint8),
        "valid": tf.TensorSpec([], tf.bool),
    }
    resized = decoded.map(Resize(size=(20, 30)))
    assert resized.element_spec["image"] == tf.TensorSpec([20, 30, 3], tf.uint8)


@pytest.mark.parametrize(
    ("stage", "changes"),
    [(Decode(), {"image", "valid"}), (Resize(size=(2, 2)), {"image"})],
    ids=["Decode", "Resize"],
)
def test_stages_touch_nothing_else(stage: Any, changes: set[str], files: dict[str, Any]) -> None:
    example = {**at(files, 0), "image": tf.zeros([5, 5, 3], tf.uint8), "caption": tf.constant("a")}
    before = dict(example)
    after = stage(example)
    assert {name for name, value in after.items() if before.get(name) is not value} == changes
    assert example.keys() == before.keys()
    assert all(example[name] is value for name, value in before.items())


def test_is_a_value() -> None:
    stage = Decode(fast=True)
    assert repr(stage) == "Decode(background=(255, 255, 255), fast=True, plain=False, strict=False)"
    copy = pickle.loads(pickle.dumps(stage))
    assert copy == stage
    assert hash(copy) == hash(stage)
    assert stage != Decode()


@pytest.mark.parametrize("color", [(0, 0), (0, 0, 256), "white", None, (0.0, 0, 0)], ids=repr)
def test_backgrounds_that_are_refused(color: Any) -> None:
    message = r"Decode\(background=\.\.\.\) must be three ints from 0 to 255 \(RGB\); got"
    with pytest.raises(ValueError, match=message):
        Decode(background=color)


def test_background_shows_through(tmp_path: Path) -> None:
    path = str(tmp_path / "half.png")
    Image.new("RGBA", (2, 1), (200, 100, 0, 51)).save(path)
    image = Decode(background=(0, 50, 255))(at(scanned([path]), 0))["image"].numpy()
    np.testing.assert_array_equal(image, [[(40, 60, 204)] * 2])


def test_content_goes_before_the_path(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(FILES["baseline.jpg"])
    example = at(scanned([str(tmp_path / "a.jpg")]), 0)
    for stage in (Decode(), Decode(plain=True)):
        other = stage({**example, "content": tf.constant(FILES["one row.jpg"])})
        assert other["image"].shape == (1, 90, 3)
        same = stage({**example, "content": tf.constant("")})
        np.testing.assert_array_equal(same["image"], stage(example)["image"])
        assert "content" not in same


@pytest.mark.parametrize("ratio", [1, 2, 4, 8])
@pytest.mark.parametrize("name", ["baseline.jpg", "progressive.jpg", "6.jpeg", "rgb.png"])
def test_fast_decodes_a_jpeg_at_a_part_of_its_size(
    name: str, ratio: int, files: dict[str, Any]
) -> None:
    example = at(files, list(FILES).index(name)) | {"ratio": tf.constant(ratio, tf.int8)}
    decoded = Decode(fast=True)(example)
    with Image.open(io.BytesIO(FILES[name])) as picture:
        if picture.format == "JPEG":
            picture.draft("RGB", (picture.width // ratio, picture.height // ratio))
        expected = np.asarray(ImageOps.exif_transpose(picture).convert("RGB")).astype(int)
    assert decoded["valid"]
    assert furthest(decoded["image"], expected) == 0


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_fast_is_close_to_exact(fit: Any, coco: Path) -> None:
    """Every photo that is large enough to be decoded at a quarter, and then resized to 80 x 80."""
    resize = Resize(size=(80, 80), fit=fit)
    paths = sorted(str(path) for path in coco.glob("val2017/*.jpg"))
    features = scanned(paths)
    ratios = decode_ratios(scan("/", paths), np.array([[80, 80]]))
    assert (ratios == 4).sum() > 50
    errors = []
    for index in np.flatnonzero(ratios == 4).tolist():
        example = at(features, index) | {"ratio": tf.constant(4, tf.int8)}
        example["upright"] = tf.constant(upright_sizes(scan("/", [paths[index]]))[0])
        exact, fast = (resize(Decode(fast=fast)(example))["image"] for fast in (False, True))
        errors.append(np.abs(exact.numpy().astype(int) - fast.numpy()))
    assert 0.3 < np.mean(errors) < 1.3
    assert np.max(errors) < 80
