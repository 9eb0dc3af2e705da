"""Headers and content keys, against Pillow and against bytes that nobody should trust."""

import hashlib
import io
import os
import pathlib
import struct
import warnings
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from mmdata import scan as scan_module
from mmdata.headers import Format, Header, HeaderError, read_header
from mmdata.scan import MAX_PIXELS, Scan, scan

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]

NOISE = Image.effect_noise((21, 33), 80).convert("RGB")  # width, height


def encode(format_: str, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    NOISE.convert(mode).save(buffer, format_, **options)
    return buffer.getvalue()


def exif(orientation: int, order: str = "<", kind: int = 3) -> bytes:
    """A TIFF structure with ImageWidth, the orientation and Artist in its first directory."""
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 12) + b"\0\0\0\0"
    width = struct.pack(order + "HHII", 0x0100, 4, 1, 21)
    turn = struct.pack(order + "HHIHH", 0x0112, kind, 1, orientation, 0)
    artist = struct.pack(order + "HHI4s", 0x013B, 2, 4, b"abc\0")
    return head + struct.pack(order + "H", 3) + width + turn + artist + struct.pack("I", 0)


def segment(marker: int, content: bytes) -> bytes:
    """A marker segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP file of these chunks."""
    body = b"".join(
        kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def header(content: bytes) -> Header:
    return read_header(io.BytesIO(content))


def bitfields(*masks: int) -> bytes:
    """A BMP of 32 bits a pixel that says which bits are red, green and blue."""
    bmp = encode("BMP", "RGBA")
    return bmp[:30] + b"\3\0\0\0" + bmp[34:54] + struct.pack("<3I", *masks) + bmp[54:]


def top_down(bmp: bytes) -> bytes:
    """The BMP with its height negated: its rows count from the top."""
    (height,) = struct.unpack_from("<i", bmp, 22)
    return bmp[:22] + struct.pack("<i", -height) + bmp[26:]


def frames(**options: Any) -> dict[str, Any]:
    return {"save_all": True, "append_images": [NOISE.rotate(90)], **options}


def app1(orientation: int, order: str = "<") -> bytes:
    """What the EXIF segment of a JPEG holds."""
    return b"Exif\0\0" + exif(orientation, order)


PNG, JPEG, WEBP, BMP = encode("PNG"), encode("JPEG"), encode("WEBP"), encode("BMP")
SOI, JFIF, REST = JPEG[:2], JPEG[2:20], JPEG[20:]
XMP = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")

# What is decoded, by its orientation; Pillow says the same of it.

UPRIGHT = {
    "JPEG": JPEG,
    "JPEG grey": encode("JPEG", "L"),
    "JPEG CMYK": encode("JPEG", "CMYK"),
    "JPEG progressive": encode("JPEG", progressive=True),
    "JPEG with a profile": encode("JPEG", comment=b"c", icc_profile=b"i" * 99_999),
    "JPEG with fill bytes": SOI + b"\xff\xff" + JFIF + REST,
    "JPEG with a restart marker": SOI + b"\xff\xd0" + JFIF + REST,
    "JPEG with a JPEG inside": SOI + segment(0xE2, encode("JPEG", exif=app1(6))) + JFIF + REST,
    "JPEG with EXIF that is cut": SOI + JFIF + segment(0xE1, app1(8)[:21]) + REST,
    "JPEG with empty EXIF": SOI + JFIF + segment(0xE1, b"Exif\0\0") + REST,
    "PNG": PNG,
    "PNG grey": encode("PNG", "L"),
    "PNG grey, 1 bit": encode("PNG", "1"),
    "PNG grey and alpha": encode("PNG", "LA"),
    "PNG palette": encode("PNG", "P"),
    "PNG RGBA": encode("PNG", "RGBA"),
    "PNG 16 bits": encode("PNG", "I;16"),
    "WebP lossy": WEBP,
    "WebP lossless": encode("WEBP", lossless=True),
    "WebP RGBA": encode("WEBP", "RGBA"),
    "WebP RGBA lossless": encode("WEBP", "RGBA", lossless=True),
    "WebP lossy with a profile": encode("WEBP", icc_profile=b"i" * 99),
    "GIF": encode("GIF", "P"),
    "GIF animated": encode("GIF", "P", **frames()),
    "BMP 24": BMP,
    "BMP 32": encode("BMP", "RGBA"),
    "BMP 24 top-down": top_down(BMP),
    "BMP 32 bitfields": bitfields(0xFF0000, 0xFF00, 0xFF),
    "BMP 32 top-down": top_down(encode("BMP", "RGBA")),
}
DECODED: dict[str, tuple[bytes, int]] = {name: (content, 1) for name, content in UPRIGHT.items()}
for turn in range(1, 9):
    little, big = exif(turn, "<"), exif(turn, ">")
    behind_text = chunk(b"tEXt", b"a\0IDAT") + chunk(b"eXIf", little)
    turned = {
        "JPEG EXIF little-endian": encode("JPEG", exif=app1(turn, "<")),
        "JPEG EXIF big-endian": encode("JPEG", exif=app1(turn, ">")),
        "JPEG EXIF progressive": encode("JPEG", progressive=True, exif=app1(turn)),
        "JPEG EXIF behind XMP": SOI + XMP + segment(0xE1, app1(turn)) + JFIF + REST,
        "JPEG EXIF before XMP": SOI + JFIF + segment(0xE1, app1(turn)) + XMP + REST,
        "PNG eXIf": encode("PNG", exif=big),
        "PNG eXIf behind text": PNG[:33] + behind_text + PNG[33:],
        "WebP EXIF lossy": encode("WEBP", exif=little),
        "WebP EXIF lossless": encode("WEBP", lossless=True, exif=big),
        "WebP EXIF RGBA": encode("WEBP", "RGBA", exif=little),
    }
    DECODED |= {f"{name} {turn}": (content, turn) for name, content in turned.items()}


@pytest.mark.parametrize(("content", "orientation"), DECODED.values(), ids=DECODED.keys())
def test_pillow_reads_the_same(content: bytes, orientation: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of EXIF that is cut
        with Image.open(io.BytesIO(content)) as image:
            assert image.format is not None
            seen = Header(Format[image.format], *image.size[::-1], image.getexif().get(0x0112, 1))
    assert header(content) == seen == Header(seen.format, 33, 21, orientation)


@pytest.mark.parametrize("turn", [0, 9, 65535])
def test_orientation_out_of_range_is_upright(turn: int) -> None:
    assert header(encode("PNG", exif=exif(turn))).orientation == 1


def test_orientation_of_another_type_is_upright() -> None:
    assert header(encode("PNG", exif=exif(6, kind=2))).orientation == 1


def test_exif_of_webp_may_start_as_that_of_jpeg() -> None:
    flags = struct.pack("<I", 0x08) + bytes([20, 0, 0, 32, 0, 0])
    content = riff((b"VP8X", flags), (b"VP8 ", b"odd"), (b"EXIF", b"Exif\0\0" + exif(6)))
    assert header(content) == Header(Format.WEBP, 33, 21, 6)


def test_read_header_starts_at_the_start() -> None:
    file = io.BytesIO(PNG)
    file.seek(50)
    assert read_header(file) == Header(Format.PNG, 33, 21)


# What is refused, and why.

REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the file is empty (0 bytes)"),
    "text": (b"not an image", "not a JPEG, PNG, GIF, BMP or WebP image (starts with b'not an i')"),
    "one byte": (b"\xff", "not a JPEG"),
    "TIFF": (encode("TIFF"), "not a JPEG, PNG, GIF, BMP or WebP image (starts with b'II*"),
    "AVIF": (
        b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(99),
        "not a JPEG, PNG, GIF, BMP or WebP image",
    ),
    "WAV": (b"RIFF\x24\0\0\0WAVEfmt " + bytes(30), "not a JPEG"),
    "WebP animated": (encode("WEBP", **frames()), "an animated WebP, not decoded"),
    "WebP animated RGBA": (encode("WEBP", "RGBA", **frames()), "an animated WebP, not decoded"),
    "WebP of no image": (riff((b"ALPH", bytes(9))), "a WebP file without an image"),
    "BMP palette": (encode("BMP", "P"), "a BMP of 8 bits a pixel, compression 0, not decoded"),
    "BMP grey": (encode("BMP", "L"), "a BMP of 8 bits a pixel"),
    "BMP 1 bit": (encode("BMP", "1"), "a BMP of 1 bits a pixel"),
    "BMP 16": (BMP[:28] + b"\x10\0" + BMP[30:], "a BMP of 16 bits a pixel"),
    "BMP of another order": (bitfields(0xFF, 0xFF00, 0xFF0000), "channels in an unusual order"),
    "BMP of OS/2": (BMP[:14] + b"\x0c\0\0\0" + BMP[18:], "not decoded"),
    "BMP RLE": (BMP[:30] + b"\1\0\0\0" + BMP[34:], "compression 1, not decoded"),
    "JPEG of no frame": (b"\xff\xd8\xff\xd9", "the JPEG has no frame header"),
    "JPEG scan first": (b"\xff\xd8" + segment(0xDA, bytes(9)), "the JPEG has no frame header"),
    "JPEG with a hole": (JPEG[:20] + b"\0" + JPEG[21:], "a JPEG marker is missing"),
    "JPEG of tables": (JPEG[:2] + segment(0xC4, b"\0" * 9), "the file ends inside its header"),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(content: bytes, message: str) -> None:
    with pytest.raises(HeaderError) as caught:
        header(content)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("GIF", 9),
        ("BMP 24", 33),
        ("WebP lossy", 29),
        ("WebP lossless", 24),
        ("WebP RGBA", 29),
        ("PNG eXIf 6", b"IDAT"),
        ("JPEG EXIF big-endian 6", b"\xff\xc0\0\x11\x08\0\x21\0\x15"),
        ("JPEG progressive", b"\xff\xc2\0\x11\x08\0\x21\0\x15"),
    ],
)
def test_cut(name: str, last: int | bytes) -> None:
    content, _ = DECODED[name]
    end = last + 1 if isinstance(last, int) else content.index(last) + len(last)
    assert header(content[:end]) == header(content)
    for length in range(end):
        with pytest.raises(HeaderError):
            header(content[:length])


class Counted(io.BytesIO):
    """A file that fails when it is read more often than its length can explain."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        assert self.reads < 99 + len(self.getbuffer()), "reads without end"
        return super().read(size)


def is_result_or_refusal(content: bytes) -> bool:
    try:
        found = read_header(Counted(content))
    except HeaderError as err:
        return bool(str(err))
    return found.format in set(Format) - {Format.UNKNOWN} and 1 <= found.orientation <= 8


FUZZED = [content for content, turn in DECODED.values() if turn in (1, 6)]
FUZZED += [encode("WEBP", **frames()), encode("TIFF")]
places = st.integers(0, 120) | st.integers(0, 5000)
byte = st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255)


@given(st.sampled_from(FUZZED), st.lists(st.tuples(places, byte), max_size=12), places)
@settings(max_examples=1000)
def test_mutated_bytes(content: bytes, changes: list[tuple[int, int]], cut: int) -> None:
    mutated = bytearray(content)
    for place, value in changes:
        mutated[place % len(mutated)] = value
    assert is_result_or_refusal(bytes(mutated))
    assert is_result_or_refusal(bytes(mutated[:cut]))


MAGICS = [b"\xff\xd8\xff", PNG[:33], b"GIF89a", b"BM", *(WEBP[:12] + k for k in (b"VP8 ", b"VP8X"))]


@given(st.sampled_from([b"", *MAGICS]), st.binary(max_size=200))
@example(b"\xff\xd8\xff", b"\xff" * 200)
@example(b"\xff\xd8\xff", b"\xe0\0\0" + b"\xff\xe0\0\0" * 50)
@example(PNG[:33], b"\xff\xff\xff\xffeXIf")
@example(WEBP[:12] + b"VP8X", b"\xff" * 20 + b"EXIF\xff\xff\xff\xff")
@settings(max_examples=500)
def test_any_bytes(magic: bytes, rest: bytes) -> None:
    assert is_result_or_refusal(magic + rest)


# Scans of files.


def scan_bytes(folder: pathlib.Path, *contents: bytes) -> Scan:
    paths = [folder / f"{n}.bin" for n in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return scan(str(folder), [path.name for path in paths])


def test_scan(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_module, "_BLOCK", 2)  # more blocks than threads take at once
    (turned_png, _), (turned_webp, _) = DECODED["PNG eXIf 6"], DECODED["WebP EXIF lossy 8"]
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
    def fail(_: Any) -> Header:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(scan_module, "read_header", fail)
    assert scan_bytes(tmp_path, PNG).problems == {0: "Input/output error"}


def png(width: int, height: int) -> bytes:
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG[:8] + chunk(b"IHDR", size) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


SIZES: dict[str, tuple[bytes, str | None]] = {
    "PNG at the limit": (png(MAX_PIXELS, 1), None),
    "PNG past the limit": (png(1, MAX_PIXELS + 1), "178956971 x 1 pixels"),
    "PNG of no pixel": (png(0, 5), "5 x 0 pixels"),
    "PNG of 2**62": (png(2**31, 2**31), "2147483648 x 2147483648 pixels"),
    "JPEG": (b"\xff\xd8" + segment(0xC0, b"\x08\xff\xff\xff\xff\3"), "65535 x 65535 pixels"),
    "JPEG of no height": (b"\xff\xd8" + segment(0xC0, b"\x08\0\0\0\x09\3"), "0 x 9 pixels"),
    "GIF": (b"GIF89a\xff\xff\xff\xff" + bytes(9), "65535 x 65535 pixels"),
    "BMP": (BMP[:18] + struct.pack("<ii", 2**30, -(2**31)) + BMP[26:], "2147483648 x 1073741824"),
    "WebP lossy": (riff((b"VP8 ", b"\0\0\0\x9d\1\x2a\xff\xff\xff\xff")), "16383 x 16383 pixels"),
    "WebP lossless": (riff((b"VP8L", b"\x2f\xff\xff\xff\xff")), "16384 x 16384 pixels"),
    "WebP extended": (riff((b"VP8X", bytes(4) + b"\xff" * 6)), "16777216 x 16777216 pixels"),
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
