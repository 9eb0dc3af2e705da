"""Images in memory become what the same images in files become."""

import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from pictures import encoded, oriented  # type: ignore[import-not-found]
from PIL import Image

import mmdata
from mmdata.images.in_memory import images_in_memory, pixels_of
from mmdata.pairs.pairs import Pairs

PIXELS = [
    *(mmdata.Pixels(size=(9, 14), normalize=name) for name in ("unit", "signed", "caffe", "uint8")),
    mmdata.Pixels.preset("clip").resized((16, 16)),
    mmdata.Pixels.preset("imagenet").resized((14, 14)),
    mmdata.Pixels(size=(9, 14), fit="pad", background=(9, 200, 3)),
]


def noise(mode: str = "RGB", size: tuple[int, int] = (37, 23)) -> Image.Image:
    random = np.random.default_rng(len(mode))
    return Image.fromarray(random.integers(0, 256, (*size[::-1], 4), np.uint8), "RGBA").convert(
        mode
    )


def of_file(path: pathlib.Path, pixels: mmdata.Pixels) -> Any:
    return next(iter(mmdata.build(path, task="prediction", pixels=pixels))).numpy()[0]


@pytest.mark.parametrize("pixels", PIXELS, ids=lambda pixels: f"{pixels.normalize} {pixels.fit}")
def test_arrays_and_pictures_become_what_files_become(
    tmp_path: pathlib.Path, pixels: mmdata.Pixels
) -> None:
    picture = noise()
    picture.save(tmp_path / "a.png")
    expected = of_file(tmp_path / "a.png", pixels)
    made = pixels_of([np.asarray(picture), picture], pixels, "caption")
    np.testing.assert_array_equal(made, np.stack([expected] * 2), strict=True)


FILES: dict[str, bytes] = {
    "turned.jpg": encoded(noise(), "JPEG", exif=oriented(6)),
    "mirrored.png": encoded(noise(), "PNG", exif=oriented(2)),
    "grey.png": encoded(noise("L"), "PNG"),
    "bits.png": encoded(noise("1"), "PNG"),
    "alpha.png": encoded(noise("RGBA"), "PNG"),
    "palette.png": encoded(noise().quantize(16), "PNG"),
    "key.png": encoded(noise("L"), "PNG", transparency=7),
    "grey alpha.png": encoded(noise("LA"), "PNG"),
    "grey.jpg": encoded(noise("L"), "JPEG"),
    "deep.png": encoded(
        Image.fromarray(np.arange(800, dtype=np.uint16).reshape(20, 40) * 80), "PNG"
    ),
    "alpha.webp": encoded(noise("RGBA"), "WEBP", lossless=True),
    "turned.tiff": encoded(noise(), "TIFF", exif=oriented(8)),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("loaded", [False, True])
def test_opened_files_of_every_mode(tmp_path: pathlib.Path, name: str, loaded: bool) -> None:
    (tmp_path / name).write_bytes(FILES[name])
    pixels = mmdata.Pixels(size=(23, 37), normalize="uint8", background=(1, 99, 200))
    with Image.open(tmp_path / name) as picture:
        if loaded:
            picture.load()
        made = pixels_of([picture], pixels, "caption")[0]
        again = pixels_of([picture], pixels, "caption")[0]
    np.testing.assert_array_equal(made, again)
    most = np.abs(made.astype(int) - of_file(tmp_path / name, pixels)).max()
    assert most <= 1


def test_what_is_in_memory(tmp_path: pathlib.Path) -> None:
    array = np.zeros([2, 4, 5, 3], np.uint8)
    for images, count in (
        (array, 2),
        (array[0], 1),
        (list(array), 2),
        (tf.constant(array), 2),
        (noise(), 1),
        ((noise(), array[0]), 2),
    ):
        assert len(images_in_memory(images) or ()) == count
    for files in ("a.jpg", tmp_path, ["a.jpg"], (tmp_path,), [], Pairs.of_rows("", [], layout="")):
        assert images_in_memory(files) is None


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros([4, 4, 3], np.float32), ValueError, "RGB from 0 to 255; got float32 [4, 4, 3]"),
        (
            np.zeros([4, 4], np.uint8),
            ValueError,
            "uint8 [h, w, 3], RGB from 0 to 255; got uint8 [4",
        ),
        (np.zeros([0, 4, 3], np.uint8), ValueError, "got uint8 [0, 4, 3]"),
        (object(), TypeError, "files, Pillow images, or arrays uint8 [h, w, 3]; got a object"),
        (noise("L").convert("F"), ValueError, "pixels of 32 bits have no range"),
    ],
)
def test_what_is_refused(image: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        pixels_of([image], mmdata.Pixels(size=(4, 4)), "caption")
    assert message in str(caught.value)


def test_buckets_need_files() -> None:
    pixels = mmdata.Pixels(fit="crop", buckets=((4, 4), (4, 8)))
    with pytest.raises(ValueError, match="must be files if pixels have several sizes"):
        pixels_of([noise()], pixels, "caption")
