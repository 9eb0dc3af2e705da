"""Every image format is decoded as by Pillow, or refused with a reason; see the README's table."""

import io
import pathlib
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401 - registers JPEG XL with Pillow
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mmdata.files.headers import Format
from mmdata.files.scan import scan
from mmdata.images.decode_in_graph import Decode, why_corrupt
from mmdata.images.load import Load
from mmdata.stages.resize import Resize

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]

README = pathlib.Path(__file__).parents[2] / "README.md"
HEIGHT, WIDTH = 61, 90
BACKGROUND = (255, 255, 255)

pillow_heif.register_heif_opener()


def made_picture() -> Image.Image:
    """Gradients, edges and a little noise; no two sides, corners or channels alike."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    blue = np.where((x // 7 + y // 5) % 2, 220, 30)
    noise = np.random.default_rng(0).normal(0, 6, (HEIGHT, WIDTH, 3))
    pixels = np.stack([255 * x / (WIDTH - 1), 255 * y / (HEIGHT - 1), blue], -1) + noise
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


PICTURE = made_picture()
GRAY = PICTURE.convert("L")
PALETTE = PICTURE.convert("P", palette=Image.Palette.ADAPTIVE)
CMYK = PICTURE.convert("CMYK")
RGBA = PICTURE.copy()
RGBA.putalpha(Image.fromarray(np.random.default_rng(1).integers(0, 256, (61, 90), dtype=np.uint8)))
GRAY_16 = Image.fromarray(
    np.asarray(GRAY).astype(np.uint16) * 250 + np.arange(WIDTH, dtype=np.uint16)
)
FRAMES = {"save_all": True, "append_images": [PICTURE.rotate(180), PICTURE.rotate(90)]}


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def ycck() -> bytes:
    """A CMYK file whose Adobe marker says that its channels are YCCK."""
    content = bytearray(encoded(CMYK, "JPEG", quality=95))
    content[content.index(b"Adobe") + 11] = 2
    return bytes(content)


# Pillow writes no colours of 16 bits.
VALUES_16 = (np.asarray(PICTURE).astype(">u2") * 255).tobytes()


def png_of_16_bits() -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + checksum

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 2, 0, 0, 0)
    rows = [VALUES_16[start : start + WIDTH * 6] for start in range(0, len(VALUES_16), WIDTH * 6)]
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


Files = dict[str, bytes]
BY_TENSORFLOW: dict[str, Files] = {
    "JPEG: baseline, progressive, 4:4:4, 4:2:2, 4:2:0, restart markers": {
        "baseline": encoded(PICTURE, "JPEG", quality=90),
        "progressive": encoded(PICTURE, "JPEG", progressive=True),
        "444": encoded(PICTURE, "JPEG", subsampling=0),
        "422": encoded(PICTURE, "JPEG", subsampling=1),
        "restarts": encoded(PICTURE, "JPEG", restart_marker_blocks=2),
        "tail": encoded(PICTURE, "JPEG") + b"bytes behind the end",
    },
    "JPEG: gray, RGB, CMYK, YCCK": {
        "gray": encoded(GRAY, "JPEG"),
        "rgb": encoded(PICTURE, "JPEG", keep_rgb=True),
        "cmyk": encoded(CMYK, "JPEG"),
        "ycck": ycck(),
    },
    "PNG: RGB, gray, palette, 1 bit, interlaced; first frame of an animation": {
        "rgb": encoded(PICTURE, "PNG"),
        "gray": encoded(GRAY, "PNG"),
        "palette": encoded(PALETTE, "PNG"),
        "bits": encoded(PICTURE.convert("1"), "PNG"),
        "animated": encoded(PICTURE, "PNG", **FRAMES),
    },
    "PNG: alpha, gray and alpha, transparent palette": {
        "rgba": encoded(RGBA, "PNG"),
        "gray alpha": encoded(RGBA.convert("LA"), "PNG"),
        "palette": encoded(PALETTE, "PNG", transparency=3),
        "palette of alphas": encoded(PALETTE, "PNG", transparency=bytes(range(0, 256, 2))),
    },
    "PNG: 16 bits": {"gray": encoded(GRAY_16, "PNG"), "rgb": png_of_16_bits()},
    "GIF: first frame": {
        "still": encoded(PALETTE, "GIF"),
        "interlaced": encoded(PALETTE, "GIF", interlace=True),
        "animated": encoded(PALETTE, "GIF", **FRAMES),
    },
    "WebP: lossy, lossless, alpha": {
        "lossy": encoded(PICTURE, "WEBP", quality=80),
        "lossless": encoded(PICTURE, "WEBP", lossless=True),
        "lossy alpha": encoded(RGBA, "WEBP", quality=80),
        "lossless alpha": encoded(RGBA, "WEBP", lossless=True, exact=True),
    },
    "BMP: 24 and 32 bits": {"24": encoded(PICTURE, "BMP")},
    "JPEG XL: lossy, lossless, gray, alpha": {
        "lossy": encoded(PICTURE, "JXL", quality=90),
        "lossless": encoded(PICTURE, "JXL", lossless=True),
        "gray": encoded(GRAY, "JXL", lossless=True),
        "alpha": encoded(RGBA, "JXL", lossless=True),
        "gray alpha": encoded(RGBA.convert("LA"), "JXL", lossless=True),
    },
}
BY_PILLOW: dict[str, Files] = {
    "PNG: a transparent colour": {
        "gray": encoded(GRAY, "PNG", transparency=100),
        "rgb": encoded(PICTURE, "PNG", transparency=PICTURE.getpixel((3, 4))),
    },
    "GIF: transparent": {
        "still": encoded(PALETTE, "GIF", transparency=3),
        "animated": encoded(PALETTE, "GIF", transparency=3, **FRAMES),
    },
    "WebP: first frame of an animation": {
        "animated": encoded(PICTURE, "WEBP", lossless=True, **FRAMES),
        "alpha": encoded(
            RGBA, "WEBP", lossless=True, exact=True, save_all=True, append_images=[RGBA.rotate(180)]
        ),
    },
    "BMP: palette, gray, 1 bit, alpha": {
        "palette": encoded(PALETTE, "BMP"),
        "gray": encoded(GRAY, "BMP"),
        "bits": encoded(PICTURE.convert("1"), "BMP"),
    },
    "TIFF: RGB, gray, palette, alpha, CMYK, 16 bits; first page": {
        "rgb": encoded(PICTURE, "TIFF"),
        "packed": encoded(PICTURE, "TIFF", compression="tiff_lzw"),
        "gray": encoded(GRAY, "TIFF"),
        "palette": encoded(PALETTE, "TIFF"),
        "alpha": encoded(RGBA, "TIFF"),
        "cmyk": encoded(CMYK, "TIFF"),
        "16 bits": encoded(GRAY_16, "TIFF"),
        "pages": encoded(PICTURE, "TIFF", **FRAMES),
    },
    "AVIF: lossy, alpha; first frame of an animation": {
        "lossy": encoded(PICTURE, "AVIF", quality=80),
        "alpha": encoded(RGBA, "AVIF", quality=80),
        "animated": encoded(PICTURE, "AVIF", **FRAMES),
    },
    "JPEG 2000, PPM": {
        "jp2": encoded(PICTURE, "JPEG2000"),
        "alpha": encoded(RGBA, "JPEG2000"),
        "ppm": encoded(PICTURE, "PPM"),
        "pgm": encoded(GRAY, "PPM"),
        "ppm of 16 bits": b"P6 %d %d 65535\n" % (WIDTH, HEIGHT) + VALUES_16,
    },
    "HEIC, with `mmdata[heic]`": {"heic": encoded(PICTURE, "HEIF", quality=80)},
}
CUT, JXL = encoded(PICTURE, "JPEG"), encoded(PICTURE, "JXL", quality=90)
REFUSED: dict[str, Files] = {
    "a file cut off": {
        "jpeg": CUT[: len(CUT) // 2],
        "png": encoded(PICTURE, "PNG")[:-500],
        "jxl": JXL[: len(JXL) // 2],
    },
    "JPEG XL: animation": {
        "animated": bytes.fromhex(
            "ff0a09050158505c1208080000005c004b188b1500d41f638c1f63fc0b48000028d01b433a60ea08"
        )
    },
    "TIFF of floats": {"float": encoded(Image.fromarray(np.ones((3, 4), np.float32)), "TIFF")},
    "SVG, PDF, HTML, PSD, a video, or not an image": {
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "pdf": b"%PDF-1.7\n",
        "html": b"<!doctype html><title>404</title>",
        "psd": b"8BPS\0\1",
        "mp4": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
        "zeros": bytes(4096),
        "empty": b"",
    },
    "more than 178,956,970 pixels": {
        "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (20000).to_bytes(4, "big") * 2 + b"\x08\x02",
        "webp": b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f" + (0x3FFF * 0x4001).to_bytes(4, "little"),
    },
}


def flat(table: dict[str, Files]) -> dict[tuple[str, str], bytes]:
    return {(row, name): file for row, files in table.items() for name, file in files.items()}


def expected(content: bytes) -> NDArray[np.float64]:
    """What Pillow's user would write: upright, on white, 8 bits; float [h, w, 3]."""
    with Image.open(io.BytesIO(content)) as opened:
        picture: Any = ImageOps.exif_transpose(opened)
        if picture.mode.startswith("I;16"):
            return np.repeat(np.asarray(picture)[..., np.newaxis] / 257.0, 3, -1)
        if not picture.has_transparency_data:
            return np.asarray(picture.convert("RGB")).astype(float)
        pixels = np.asarray(picture.convert("RGBA")).astype(float)
    alpha = pixels[..., 3:] / 255
    return pixels[..., :3] * alpha + np.array(BACKGROUND) * (1 - alpha)


def decoded(paths: list[str], in_graph: bool) -> list[dict[str, Any]]:
    """As the pipeline does it, eagerly or within tf.data; at the files' own size."""
    seen = scan("/", paths)
    sizes = np.maximum(np.stack([seen.heights, seen.widths], 1), 1)
    batch = {
        "row": tf.range(len(paths), dtype=tf.int64),
        "path": tf.constant(paths),
        "format": tf.constant(seen.formats),
        "orientation": tf.constant(seen.orientations),
        "size": tf.constant(sizes),
    }
    load = Load(resize=Resize(size=None))
    if in_graph:
        ds = tf.data.Dataset.from_tensors(batch).map(load).unbatch().map(Decode())
        return list(ds)
    loaded = load(batch)
    examples = [{name: column[i] for name, column in loaded.items()} for i in range(len(paths))]
    return [Decode()(example) for example in examples]


GOOD = flat(BY_TENSORFLOW) | flat(BY_PILLOW)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory, write: Write) -> dict[tuple[str, str], str]:
    """The path of each file; its name does not reveal its format."""
    everything = GOOD | flat(REFUSED)
    names = {key: f"{number}.jpg" for number, key in enumerate(everything)}
    folder = write(
        tmp_path_factory.mktemp("formats"), {names[key]: everything[key] for key in everything}
    )
    return {key: str(folder / name) for key, name in names.items()}


@pytest.fixture(scope="module")
def images(paths: dict[tuple[str, str], str]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    chosen = [paths[key] for key in GOOD]
    both = zip(decoded(chosen, in_graph=True), decoded(chosen, in_graph=False), strict=True)
    return dict(zip(GOOD, map(list, both), strict=True))


@pytest.mark.parametrize("key", GOOD, ids=" - ".join)
def test_decoded_as_pillow_does(key: tuple[str, str], images: dict[Any, Any]) -> None:
    right = expected(GOOD[key])
    for example in images[key]:
        assert example["valid"]
        assert example["image"].shape == right.shape
        assert np.abs(example["image"].numpy() - right).max() <= 1


@pytest.mark.parametrize("key", GOOD, ids=" - ".join)
def test_decoded_by_whom_the_table_says(key: tuple[str, str], paths: dict[Any, str]) -> None:
    by_pillow = scan("/", [paths[key]]).formats[0] == Format.PILLOW
    assert by_pillow == (key[0] in BY_PILLOW)


@pytest.fixture(scope="module")
def refused(paths: dict[tuple[str, str], str]) -> dict[tuple[str, str], dict[str, Any]]:
    keys = flat(REFUSED)
    return dict(zip(keys, decoded([paths[key] for key in keys], in_graph=True), strict=True))


@pytest.mark.parametrize("key", flat(REFUSED), ids=" - ".join)
def test_refused_with_a_reason(
    key: tuple[str, str], paths: dict[Any, str], refused: dict[Any, dict[str, Any]]
) -> None:
    assert not refused[key]["valid"]
    seen = scan("/", [paths[key]])
    why = seen.problems.get(0) or why_corrupt(flat(REFUSED)[key], Format(seen.formats[0]))
    assert why
    assert len(why) < 200
    assert "{{" not in why


def test_readme_holds_this_table() -> None:
    rows = [f"| {row} | TensorFlow, in the graph |" for row in BY_TENSORFLOW]
    rows += [f"| {row} | Pillow |" for row in BY_PILLOW]
    rows += [f"| {row} | refused: a finding with the reason |" for row in REFUSED]
    table = README.read_text().partition("### Formats")[2].partition("\n#")[0]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert lines[2:] == rows
