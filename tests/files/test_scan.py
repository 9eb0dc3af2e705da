"""Scans of files: formats, problems and content keys."""

import hashlib
import io
import os
import pathlib
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmdata.files import image_files as sources
from mmdata.files import scan as scan_module
from mmdata.files.headers import Format, Header
from mmdata.files.limits import MAX_PIXELS
from mmdata.files.scan import Scan, scan

NOISE = Image.effect_noise((21, 33), 80).convert("RGB")  # width, height


def encode(format_: str, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    NOISE.convert(mode).save(buffer, format_, **options)
    return buffer.getvalue()


def oriented(turn: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif


def segment(marker: int, content: bytes) -> bytes:
    """A marker segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def webp(kind: bytes, content: bytes) -> bytes:
    """A WebP file of one chunk."""
    body = kind + struct.pack("<I", len(content)) + content
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


PNG, JPEG, BMP = encode("PNG"), encode("JPEG"), encode("BMP")


def scan_bytes(folder: pathlib.Path, *contents: bytes) -> Scan:
    paths = [folder / f"{n}.bin" for n in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return scan(str(folder), [path.name for path in paths])


def test_scan(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_module, "_BLOCK", 2)  # more blocks than threads take at once
    turned_png, turned_webp = encode("PNG", exif=oriented(6)), encode("WEBP", exif=oriented(8))
    contents = [JPEG, b"text", turned_png, b"", turned_webp] * 9
    found = scan_bytes(tmp_path, *contents)
    dtypes = [found.keys.dtype, found.formats.dtype, found.orientations.dtype]
    assert dtypes == [np.int64, np.int8, np.int8]
    assert found.formats.tolist() == [0, -1, 2, -1, 1] * 9
    assert found.orientations.tolist() == [1, 1, 6, 1, 8] * 9
    assert len(set(found.keys.tolist())) == 5
    assert sorted(found.problems) == [row for row in range(45) if row % 5 in (1, 3)]
    assert found.problems[3] == found.problems[43] == "the file is empty (0 bytes)"

    rows = np.array([8, 0, 7], np.int64)
    taken = found.take(rows)
    assert taken.keys.tolist() == found.keys[rows].tolist()
    assert (taken.formats.tolist(), taken.orientations.tolist()) == ([-1, 0, 2], [1, 1, 6])
    assert taken.problems == {0: "the file is empty (0 bytes)"}
    jpegs = found.formats == Format.JPEG
    assert found.take(np.flatnonzero(jpegs & (found.orientations == 1))).plain
    assert not found.plain


def test_scan_of_nothing() -> None:
    found = scan("", [])
    assert (found.keys.shape, found.formats.shape, found.problems) == ((0,), (0,), {})


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("gone.jpg", "No such file or directory"),
        ("", "not a regular file"),
        ("pipe.jpg", "not a regular file"),
        ("loop.jpg", "Too many levels of symbolic links"),
        ("a\0b.jpg", "embedded null byte"),
        ("\ud800.jpg", "surrogates not allowed"),
    ],
    ids=ascii,
)
def test_file_that_cannot_be_read_is_a_problem(
    tmp_path: pathlib.Path, name: str, problem: str
) -> None:
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "good.png").write_bytes(PNG)
    found = scan(str(tmp_path), [name, "good.png"])
    assert list(found.problems) == [0]
    assert problem in found.problems[0]
    assert found.formats.tolist() == [Format.UNKNOWN, Format.PNG]


def test_read_error_is_a_problem(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Header:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(scan_module, "read_header", fail)
    assert scan_bytes(tmp_path, PNG).problems == {0: "Input/output error"}


def test_a_large_jpeg_is_opened_once(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (3000, 2000)).save(buffer, "JPEG")  # more pixels than its start could hold
    monkeypatch.setattr(sources, "open", None, raising=False)
    found = scan_bytes(tmp_path, buffer.getvalue())
    assert (found.formats.tolist(), found.heights.tolist()) == ([Format.JPEG], [2000])


def test_jpeg_of_more_pixels_than_its_bytes_can_hold(tmp_path: pathlib.Path) -> None:
    content = JPEG.replace(b"\x08\0\x21\0\x15", b"\x08\x33\0\x33\0", 1)
    found = scan_bytes(tmp_path, content)
    assert found.formats.tolist() == [Format.UNKNOWN]
    assert found.problems == {0: f"13056 x 13056 pixels cannot be in {len(content):,} bytes"}


def test_what_pillow_decodes_is_read_to_its_end(tmp_path: pathlib.Path) -> None:
    large = Image.effect_noise((99, 88), 80).convert("RGB")
    buffers = [io.BytesIO(), io.BytesIO(), io.BytesIO()]
    large.save(buffers[0], "TIFF", compression="tiff_lzw", exif=oriented(6))  # tags come last
    large.save(buffers[1], "AVIF", quality=100, exif=oriented(8))
    frames = {"save_all": True, "append_images": [large.rotate(9)]}
    large.save(buffers[2], "WEBP", lossless=True, exif=oriented(6), **frames)  # EXIF comes last
    contents = [buffer.getvalue() for buffer in buffers]
    assert min(map(len, contents)) > 8192
    found = scan_bytes(tmp_path, *contents)
    assert found.problems == {}
    assert found.formats.tolist() == [Format.PILLOW] * 3
    assert found.orientations.tolist() == [1, 1, 1]
    assert (found.heights.tolist(), found.widths.tolist()) == ([99, 99, 99], [88, 88, 88])


@pytest.mark.parametrize("kind", ["TIFF", "BMP", "PPM"])
def test_images_that_differ_in_the_middle_alone_have_keys_of_their_own(
    kind: str, tmp_path: pathlib.Path
) -> None:
    contents = []
    for level in (0, 1, 1):
        picture, buffer = Image.new("RGB", (100, 100)), io.BytesIO()
        picture.putpixel((50, 50), (level, 0, 0))
        picture.save(buffer, kind)
        contents.append(buffer.getvalue())
    first, second, third = scan_bytes(tmp_path, *contents).keys
    assert first != second
    assert second == third


def png(width: int, height: int) -> bytes:
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG[:8] + chunk(b"IHDR", size) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


SIZES: dict[str, tuple[bytes, str | None]] = {
    "PNG at the limit": (png(MAX_PIXELS, 1), None),
    "PNG past the limit": (png(1, MAX_PIXELS + 1), "178956971 x 1 pixels"),
    "PNG of no pixel": (png(0, 5), "5 x 0 pixels"),
    "PNG of 2**62": (png(2**31, 2**31), "2147483648 x 2147483648 pixels"),
    "JPEG": (
        b"\xff\xd8" + segment(0xC0, b"\x08\xff\xff\xff\xff\3") + bytes(9_000_000),
        "65535 x 65535 pixels",
    ),
    "JPEG XL": (b"\xff\x0a\xfe" + b"\xff" * 9, "1073741824 x 2147483648 pixels"),
    "PPM": (b"P6 65535 65535 255\n", "65535 x 65535 pixels"),
    "JPEG of no height": (b"\xff\xd8" + segment(0xC0, b"\x08\0\0\0\x09\3"), "0 x 9 pixels"),
    "GIF": (b"GIF89a\xff\xff\xff\xff\0\0\0," + bytes(9), "65535 x 65535 pixels"),
    "BMP": (BMP[:18] + struct.pack("<ii", 2**30, -(2**31)) + BMP[26:], "2147483648 x 1073741824"),
    "WebP lossy": (webp(b"VP8 ", b"\0\0\0\x9d\1\x2a\xff\xff\xff\xff"), "16383 x 16383 pixels"),
    "WebP lossless": (webp(b"VP8L", b"\x2f\xff\xff\xff\xff"), "16384 x 16384 pixels"),
    "WebP extended": (webp(b"VP8X", bytes(4) + b"\xff" * 6), "16777216 x 16777216 pixels"),
}


@pytest.mark.parametrize(("content", "problem"), SIZES.values(), ids=SIZES.keys())
def test_bombs(tmp_path: pathlib.Path, content: bytes, problem: str | None) -> None:
    found = scan_bytes(tmp_path, content)
    if problem is None:
        assert (found.formats.tolist(), found.problems) == ([Format.PNG], {})
    else:
        assert found.formats.tolist() == [Format.UNKNOWN]
        assert problem in found.problems[0]
        assert "not between 1 and 178,956,970 in all" in found.problems[0]


@pytest.mark.parametrize("length", [0, 1, 4095, 4096, 4097, 8191, 8192, 8193, 20_000])
def test_content_key(tmp_path: pathlib.Path, length: int) -> None:
    content = np.random.default_rng(length).bytes(length)
    changed = {f"longer by {extra!r}": content + extra for extra in (b"\0", b"a")}
    for place in {0, 4095, length // 2, length - 4096, length - 1} & set(range(length)):
        if place < 4096 or place >= length - 4096:
            other = bytes([content[place] ^ 1])
            changed[f"byte {place}"] = content[:place] + other + content[place + 1 :]
    if length:
        changed["shorter"] = content[:-1]
    copy, *keys = scan_bytes(tmp_path, content, content, *changed.values()).keys.tolist()
    assert keys[0] == copy
    assert len({*keys}) == len(keys) == 1 + len(changed)

    edges = length.to_bytes(8, "little") + content[:4096] + content[max(length - 4096, 0) :]
    digest = hashlib.blake2b(edges, digest_size=8).digest()
    assert copy == int.from_bytes(digest, "little", signed=True)  # learned splits depend on it
