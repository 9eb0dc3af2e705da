"""Decoding with Pillow, against known pixels and arithmetic."""

import contextlib
import io
import struct
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from mmdata.files.limits import MAX_PIXELS
from mmdata.files.pillow import size_of
from mmdata.images.decode import decode, of_picture

pillow_heif.register_heif_opener()

Pixels = NDArray[np.uint8]

HEIGHT, WIDTH = 33, 21
RNG = np.random.default_rng(0)
RGB: Pixels = RNG.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
ALPHA: Pixels = RNG.choice(np.array([0, 1, 100, 128, 254, 255], np.uint8), (HEIGHT, WIDTH))
GREY: Pixels = RGB[..., 0]
WIDE: NDArray[np.uint16] = RNG.integers(0, 65536, (HEIGHT, WIDTH), np.uint16)
WIDE[0, :6] = 0, 128, 129, 385, 386, 65535  # about the halves of the steps of 257
SMOOTH: Pixels = (np.indices((HEIGHT, WIDTH)).sum(0)[..., None] * [4, 3, 2]).astype(np.uint8)
BACKGROUND = 10, 200, 90


def encode(kind: str, pixels: NDArray[Any], mode: str | None = None, **options: Any) -> bytes:
    picture = Image.fromarray(pixels)
    buffer = io.BytesIO()
    (picture if mode is None else picture.convert(mode)).save(buffer, kind, **options)
    return buffer.getvalue()


def oriented(turn: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif


def grey(pixels: NDArray[Any]) -> Pixels:
    return np.repeat(pixels[..., None], 3, -1).astype(np.uint8)


def blended(pixels: Pixels, alpha: Pixels, background: tuple[int, int, int]) -> Pixels:
    share = alpha[..., None] / 255
    return np.asarray(np.floor(pixels * share + np.array(background) * (1 - share) + 0.5), np.uint8)


def by_pillow(content: bytes) -> Pixels:
    """As the fewest calls of Pillow decode an opaque image that has no profile."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def png(depth: int, colour: int, rows: NDArray[Any], width: int, key: tuple[int, ...]) -> bytes:
    """A PNG with a transparent colour, of any depth; `rows` holds the bytes of its rows."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    head = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = chunk(b"IHDR", head), chunk(b"tRNS", struct.pack(f">{len(key)}H", *key))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def stacked(pixels: NDArray[Any], alpha: Pixels) -> NDArray[Any]:
    return np.concatenate([pixels, alpha[..., None]], -1)


def palette(count: int) -> tuple[Image.Image, Pixels]:
    """A picture of so many colours, and its pixels."""
    places = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH) % count
    colours = np.random.default_rng(1).integers(0, 256, (count, 3), np.uint8)
    picture = Image.fromarray(places, "L").convert("L")
    picture.putpalette(colours.tobytes())
    return picture, colours[places]


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


PALETTE, COLOURS = palette(200)
FOUR, FOUR_COLOURS = palette(4)
TWO_FRAMES = {"save_all": True, "append_images": [PALETTE.rotate(180)]}
HALF = np.where(ALPHA < 128, 0, 255).astype(np.uint8)
BITFIELDS = (
    b"BM"
    + struct.pack("<4I2i2H2I", 9999, 0, 122, 108, WIDTH, HEIGHT, 1, 32, 3, 0)
    + bytes(16)
    + struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    + bytes(52)
    + stacked(RGB[..., ::-1], ALPHA)[::-1].tobytes()
)

RUNS = (PALETTE_BMP := saved(PALETTE, "BMP"))[:30] + b"\1\0\0\0" + PALETTE_BMP[34:]
RUNS = RUNS[: int.from_bytes(RUNS[10:14], "little")]
RUNS += b"".join(bytes([WIDTH, row, 0, 0]) for row in range(HEIGHT)) + b"\0\1"

# A file, and its pixels; exactly.

LOSSLESS: dict[str, tuple[bytes, Pixels]] = {
    "BMP palette": (saved(PALETTE, "BMP"), COLOURS),
    "BMP grey": (encode("BMP", GREY), grey(GREY)),
    "BMP 1 bit": (encode("BMP", GREY > 99), grey((GREY > 99) * 255)),
    "BMP alpha": (BITFIELDS, blended(RGB, ALPHA, BACKGROUND)),
    "GIF": (saved(PALETTE, "GIF"), COLOURS),
    "GIF transparent": (
        saved(FOUR, "GIF", transparency=2),
        blended(FOUR_COLOURS, np.where(np.asarray(FOUR) == 2, 0, 255).astype(np.uint8), BACKGROUND),
    ),
    "GIF animated": (saved(PALETTE, "GIF", **TWO_FRAMES), COLOURS),
    "JPEG 2000": (encode("JPEG2000", RGB), RGB),
    "JPEG 2000 grey of 16 bits": (encode("JPEG2000", WIDE), grey(np.round(WIDE / 257))),
    "JPEG 2000 RGBA": (encode("JPEG2000", stacked(RGB, ALPHA)), blended(RGB, ALPHA, BACKGROUND)),
    "PNG": (encode("PNG", RGB), RGB),
    "PNG alpha": (encode("PNG", stacked(RGB, ALPHA)), blended(RGB, ALPHA, BACKGROUND)),
    "PNG grey and alpha": (
        encode("PNG", np.stack([GREY, ALPHA], -1)),
        blended(grey(GREY), ALPHA, BACKGROUND),
    ),
    "PNG palette of alphas": (
        saved(FOUR, "PNG", transparency=b"\0\x80\xff\x01"),
        blended(FOUR_COLOURS, np.array([0, 128, 255, 1], np.uint8)[np.asarray(FOUR)], BACKGROUND),
    ),
    "PNG keyed": (
        png(8, 2, RGB, WIDTH, tuple(RGB[3, 4].tolist())),
        blended(RGB, np.where((RGB[3, 4] == RGB).all(-1), 0, 255).astype(np.uint8), BACKGROUND),
    ),
    "PNG grey keyed": (
        png(8, 0, GREY, WIDTH, (int(GREY[3, 4]),)),
        blended(grey(GREY), np.where(GREY[3, 4] == GREY, 0, 255).astype(np.uint8), BACKGROUND),
    ),
    "PNG grey of 1 bit, keyed": (
        png(1, 0, np.array([[0b01010000]], np.uint8), 4, (1,)),
        np.array([[(0, 0, 0), BACKGROUND] * 2], np.uint8),
    ),
    "PNG grey of 2 bits, keyed": (
        png(2, 0, np.array([[0b00011011]], np.uint8), 4, (2,)),
        np.array([[(0, 0, 0), (85, 85, 85), BACKGROUND, (255, 255, 255)]], np.uint8),
    ),
    "PNG grey of 4 bits, keyed": (
        png(4, 0, np.array([[0x01, 0x2F]], np.uint8), 4, (2,)),
        np.array([[(0, 0, 0), (17, 17, 17), BACKGROUND, (255, 255, 255)]], np.uint8),
    ),
    "PNG grey of 16 bits, keyed": (
        png(16, 0, WIDE.astype(">u2"), WIDTH, (385,)),
        blended(
            grey(np.round(WIDE / 257)), np.where(WIDE == 385, 0, 255).astype(np.uint8), BACKGROUND
        ),
    ),
    "PNG of 16 bits, keyed": (
        png(16, 2, np.array([[[1, 2, 3], [0x0203, 0x0405, 0x0607]]], ">u2"), 2, (515, 1029, 1543)),
        np.array([[(0, 0, 0), BACKGROUND]], np.uint8),
    ),
    "PNG grey of 16 bits": (encode("PNG", WIDE), grey(np.round(WIDE / 257))),
    "PPM": (encode("PPM", RGB), RGB),
    "PPM 1 bit": (encode("PPM", GREY > 99), grey((GREY > 99) * 255)),
    "PPM grey of 16 bits": (
        b"P5 21 33 65535\n" + WIDE.astype(">u2").tobytes(),
        grey(np.round(WIDE / 257)),
    ),
    "TIFF": (encode("TIFF", RGB), RGB),
    "TIFF LZW": (encode("TIFF", RGB, compression="tiff_lzw"), RGB),
    "TIFF 1 bit": (encode("TIFF", GREY > 99), grey((GREY > 99) * 255)),
    "TIFF fax": (encode("TIFF", GREY > 99, compression="group4"), grey((GREY > 99) * 255)),
    "TIFF palette": (saved(PALETTE, "TIFF"), COLOURS),
    "TIFF alpha": (encode("TIFF", stacked(RGB, ALPHA)), blended(RGB, ALPHA, BACKGROUND)),
    "TIFF grey of 16 bits": (encode("TIFF", WIDE), grey(np.round(WIDE / 257))),
    "TIFF big-endian grey of 16 bits": (
        saved(Image.frombytes("I;16B", (WIDTH, HEIGHT), WIDE.astype(">u2").tobytes()), "TIFF"),
        grey(np.round(WIDE / 257)),
    ),
    "TIFF of many pages": (
        saved(Image.fromarray(RGB), "TIFF", save_all=True, append_images=[PALETTE]),
        RGB,
    ),
    "WebP animated": (
        saved(Image.fromarray(RGB), "WEBP", lossless=True, **TWO_FRAMES),
        RGB,
    ),
    "WebP animated RGBA": (
        saved(Image.fromarray(stacked(RGB, HALF)), "WEBP", lossless=True, exact=True, **TWO_FRAMES),
        blended(RGB, HALF, BACKGROUND),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), LOSSLESS.values(), ids=LOSSLESS.keys())
def test_pixels(content: bytes, expected: Pixels) -> None:
    for source in (content, io.BytesIO(content)):
        found = decode(source, BACKGROUND)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected)
    assert size_of(io.BytesIO(content)) == expected.shape[:2]


# Files that lose something, or whose pixels Pillow alone knows.

OTHERS: dict[str, bytes] = {
    "AVIF": encode("AVIF", SMOOTH),
    "AVIF animated": saved(Image.fromarray(SMOOTH), "AVIF", **TWO_FRAMES),
    "HEIF": encode("HEIF", SMOOTH),
    "TIFF CMYK": encode("TIFF", SMOOTH, "CMYK"),
    "JPEG 2000 YCbCr": encode("JPEG2000", SMOOTH, "YCbCr"),
    "TIFF RGBX": encode("TIFF", SMOOTH, "RGBX"),
    "TIFF JPEG": encode("TIFF", SMOOTH, compression="jpeg"),
    "BMP RLE": RUNS,
}  # fmt: skip


@pytest.mark.parametrize("content", OTHERS.values(), ids=OTHERS.keys())
def test_pixels_are_those_of_pillow(content: bytes) -> None:
    expected = by_pillow(content)
    np.testing.assert_array_equal(decode(content), expected)
    assert size_of(io.BytesIO(content)) == expected.shape[:2] == (HEIGHT, WIDTH)


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_alpha_of_what_loses_something(kind: str) -> None:
    content = encode(kind, stacked(SMOOTH, ALPHA), quality=100)
    with Image.open(io.BytesIO(content)) as image:
        pixels = np.asarray(image.convert("RGBA"))
    expected = blended(pixels[..., :3], pixels[..., 3], BACKGROUND)
    np.testing.assert_array_equal(decode(content, BACKGROUND), expected)
    assert np.ptp(pixels[..., 3]) > 99


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["AVIF", "HEIF", "PNG", "TIFF", "WEBP"])
def test_orientation(kind: str, turn: int) -> None:
    turned = {
        1: SMOOTH,
        2: SMOOTH[:, ::-1],
        3: SMOOTH[::-1, ::-1],
        4: SMOOTH[::-1],
        5: SMOOTH.transpose(1, 0, 2),
        6: np.rot90(SMOOTH, -1),
        7: SMOOTH[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(SMOOTH),
    }
    buffer = io.BytesIO()
    picture = Image.fromarray(SMOOTH)
    if kind == "HEIF":  # by itself it says the turn in boxes of HEIF, as cameras do
        pillow_heif.from_pillow(picture).save(buffer, exif=oriented(turn).tobytes())
    else:
        options = {"save_all": True, "append_images": [picture.rotate(9)]} if kind == "WEBP" else {}
        picture.save(buffer, kind, exif=oriented(turn), **options)
    content = buffer.getvalue()
    found = decode(content).astype(int)
    assert size_of(io.BytesIO(content)) == found.shape[:2] == turned[turn].shape[:2]
    assert np.abs(found - turned[turn]).mean() < 9


def test_exif_after_the_pixels_of_a_png_is_ignored() -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    content = encode("PNG", RGB)
    late = content[:-12] + chunk(b"eXIf", oriented(6).tobytes()[6:]) + content[-12:]
    with Image.open(io.BytesIO(late)) as image:
        assert image.getexif()[0x0112] == 6
    np.testing.assert_array_equal(decode(late), RGB)


def test_background_is_white_by_default() -> None:
    content = encode("PNG", stacked(RGB, ALPHA))
    np.testing.assert_array_equal(decode(content), blended(RGB, ALPHA, (255, 255, 255)))


# Colour profiles.

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SWAPPED = SRGB.replace(b"rXYZ", b"~", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"~", b"bXYZ", 1)


def grey_profile() -> bytes:
    """An ICC profile of grey with linear light."""
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    curve = b"curv\0\0\0\0\0\0\0\0"
    tags = struct.pack(">I4sII4sII", 2, b"wtpt", 156, 20, b"kTRC", 176, 12)
    head = struct.pack(">I4sI4s4s4s", 188, b"", 0x02100000, b"mntr", b"GRAY", b"XYZ ").ljust(36)
    head = head[:24].ljust(36, b"\0") + b"acsp"
    light = struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    return head.ljust(68, b"\0") + light.ljust(60, b"\0") + tags + white + curve


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "AVIF", "HEIF", "WEBP"])
def test_profile_is_applied(kind: str) -> None:
    options: dict[str, Any] = {"icc_profile": SWAPPED}
    if kind == "WEBP":
        options |= {"save_all": True, "append_images": [Image.fromarray(RGB)], "lossless": True}
    content = encode(kind, SMOOTH, **options)
    found, plain = decode(content).astype(int), by_pillow(content).astype(int)
    assert np.abs(found - plain[..., ::-1]).max() <= 2
    assert np.abs(found - plain).max() > 40


def test_profile_of_an_opened_picture_is_ignored() -> None:
    with Image.open(io.BytesIO(encode("PNG", RGB, icc_profile=SWAPPED))) as picture:
        np.testing.assert_array_equal(of_picture(picture), RGB)


def test_profile_is_applied_below_alpha_and_palette() -> None:
    below = decode(encode("TIFF", stacked(RGB, ALPHA), icc_profile=SWAPPED), BACKGROUND)
    expected = blended(RGB[..., ::-1].copy(), ALPHA, BACKGROUND)
    assert np.abs(below.astype(int) - expected).max() <= 2
    colours = decode(saved(PALETTE, "PNG", icc_profile=SWAPPED))
    assert np.abs(colours.astype(int) - COLOURS[..., ::-1]).max() <= 2


def test_profile_of_grey_is_applied() -> None:
    found = decode(encode("PNG", GREY, icc_profile=grey_profile())).astype(int)
    light = GREY / 255
    expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    assert np.abs(found - expected[..., None])[light > 0.1].max() <= 2


@pytest.mark.parametrize(
    ("pixels", "mode", "profile"),
    [
        (SMOOTH, "RGB", b"no profile"),
        (SMOOTH, "RGB", SWAPPED[:200]),
        (SMOOTH, "RGB", grey_profile()),
        (SMOOTH, "L", SWAPPED),
        (SMOOTH, "CMYK", SWAPPED),
    ],
    ids=["none", "cut", "of grey for RGB", "of RGB for grey", "of RGB for CMYK"],
)
def test_profile_that_does_not_fit_is_ignored(pixels: Pixels, mode: str, profile: bytes) -> None:
    content = encode("TIFF", pixels, mode, icc_profile=profile)
    with Image.open(io.BytesIO(content)) as image:
        assert image.info["icc_profile"] == profile
    np.testing.assert_array_equal(decode(content), by_pillow(content))


def test_lab() -> None:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    picture = Image.fromarray(SMOOTH)
    into_lab = ImageCms.buildTransform(srgb, lab, "RGB", "LAB")
    content = saved(into_lab.apply(picture), "TIFF")
    assert np.abs(decode(content).astype(int) - SMOOTH).max() <= 6


# What is refused, and why.

CLAP = struct.pack(">4i", -31, 2, -43, 2)[:8]  # where the picture is in blocks of 64 pixels
REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not an image of a known format (starts with b'')"),
    "JPEG": (encode("JPEG", RGB), "not an image of a known format (starts with b'\\xff\\xd8"),
    "PNG cut": (
        encode("PNG", RGB)[:1234],
        "not a readable PNG image (premature end of data after 1,234 bytes)",
    ),
    "TIFF cut": (encode("TIFF", RGB)[:30], "not a readable TIFF image ("),
    "AVIF cut": (OTHERS["AVIF"][:-50], "not a readable AVIF image (premature end of data after "),
    "HEIF cut": (OTHERS["HEIF"][:-50], "not a readable HEIF image ("),
    "JPEG 2000 cut": (encode("JPEG2000", RGB)[:90], "not a readable JPEG2000 image ("),
    "GIF cut": (saved(PALETTE, "GIF")[:-200], "not a readable GIF image (premature end of data"),
    "WebP cut": (saved(FOUR, "WEBP", **TWO_FRAMES)[:-99], "not a readable WEBP image ("),
    "PPM cut": (encode("PPM", RGB)[:-9], "not a readable PPM image ("),
    "HEIF that is cropped to another size": (
        OTHERS["HEIF"].replace(CLAP, struct.pack(">4B", 0xFF, 0, 0xFF, 0xE1) + CLAP[4:]),
        "(64 x 21 pixels, and its header says another size)",
    ),
    "floats": (
        encode("TIFF", GREY.astype(np.float32)),
        "not a readable TIFF image (pixels of 32 bits have no range)",
    ),
    "32 bits": (encode("TIFF", GREY.astype(np.int32)), "pixels of 32 bits have no range"),
    "too many": (
        b"P4 17895698 11\n",
        "(11 x 17895698 pixels, more than 178,956,970 in all)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        decode(content)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_heif_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ValueError, match=r'pip install "mmdata\[heic\]"'):
        decode(OTHERS["HEIF"])
    with pytest.raises(ImportError, match=r'pip install "mmdata\[heic\]"'):
        size_of(io.BytesIO(OTHERS["HEIF"]))


def test_a_disk_that_fails_is_no_damaged_image() -> None:
    class Failing(io.BytesIO):
        reads = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.reads += 1
            if self.reads > 1:
                raise OSError(5, "Input/output error")
            return super().read(size)

    with pytest.raises(OSError, match="Input/output error"):
        size_of(Failing(OTHERS["AVIF"]))


def test_what_is_permitted_gives_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert size_of(io.BytesIO(b"P4 10000 17000\n")) == (17000, 10000)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", HEIGHT * WIDTH - 1)
        for content, expected in LOSSLESS.values():
            np.testing.assert_array_equal(decode(content, BACKGROUND), expected)


def test_threads() -> None:
    files = [*LOSSLESS.values()] * 8
    with ThreadPoolExecutor(16) as pool:
        found = pool.map(lambda file: decode(file[0], BACKGROUND), files)
        assert all(
            np.array_equal(pixels, expected)
            for pixels, (_, expected) in zip(found, files, strict=True)
        )


SEEDS = [content for content, _ in LOSSLESS.values()] + [*OTHERS.values()]
SEEDS += [encode("TIFF", RGB, icc_profile=SWAPPED), encode("AVIF", RGB, exif=oriented(6))]
places = st.integers(0, 300) | st.integers(0, 5000)
byte = st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255)


@pytest.mark.filterwarnings("ignore")  # Pillow warns of metadata that is damaged
@given(st.sampled_from(SEEDS), st.lists(st.tuples(places, byte), max_size=8), places)
@settings(max_examples=10 * settings().max_examples)
def test_mutated_bytes(content: bytes, changes: list[tuple[int, int]], cut: int) -> None:
    mutated = bytearray(content)
    for place, value in changes:
        mutated[place % len(mutated)] = value
    for damaged in (bytes(mutated), bytes(mutated[:cut])):
        with contextlib.suppress(ValueError):
            height, width = size_of(io.BytesIO(damaged))
            if height * width < 10**6:  # more would only be slow
                found = decode(damaged)
                assert found.dtype == np.uint8
                assert found.shape == (height, width, 3)


def test_limit_is_that_of_pillow() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert MAX_PIXELS == 2 * Image.MAX_IMAGE_PIXELS
