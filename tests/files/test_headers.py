"""Headers, against Pillow and on hostile bytes."""

import importlib
import io
import itertools
import struct
import sys
import warnings
import zlib
from typing import Any

import numpy as np
import pillow_heif
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from mmdata.files.headers import Format, Header, HeaderError, read_header

importlib.import_module("pillow_jxl")  # has Pillow, the oracle, write and read JPEG XL
pillow_heif.register_heif_opener()

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (33, 21, 3), np.uint8))


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
    start = struct.pack("<I", 54 + 4 * len(masks))
    fields = struct.pack(f"<{len(masks)}I", *masks)
    return bmp[:10] + start + bmp[14:30] + b"\3\0\0\0" + bmp[34:54] + fields + bmp[54:]


def top_down(bmp: bytes) -> bytes:
    """The BMP with its height negated: its rows count from the top."""
    (height,) = struct.unpack_from("<i", bmp, 22)
    return bmp[:22] + struct.pack("<i", -height) + bmp[26:]


def frames(**options: Any) -> dict[str, Any]:
    return {"save_all": True, "append_images": [NOISE.rotate(90)], **options}


def app1(orientation: int, order: str = "<") -> bytes:
    """What the EXIF segment of a JPEG holds."""
    return b"Exif\0\0" + exif(orientation, order)


def box(kind: bytes, content: bytes, *, long: bool = False) -> bytes:
    """A box of a JPEG XL file."""
    if long:
        return struct.pack(">I4sQ", 1, kind, len(content) + 16) + content
    return struct.pack(">I4s", len(content) + 8, kind) + content


def boxes(*rest: bytes) -> bytes:
    """A JPEG XL file of these boxes."""
    return box(b"JXL ", b"\r\n\x87\n") + box(b"ftyp", b"jxl \0\0\0\0jxl ") + b"".join(rest)


def jxl(*fields: tuple[int, int]) -> bytes:
    """The start of a JPEG XL codestream whose header has these (value, number of bits)."""
    digits = "".join(f"{value:0{bits}b}"[::-1] for value, bits in fields).ljust(320, "0")
    octets = (digits[i : i + 8][::-1] for i in range(0, len(digits), 8))
    return b"\xff\x0a" + bytes(int(octet, 2) for octet in octets)


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
    "BMP 32 top-down": top_down(encode("BMP", "RGBA")),
    "JPEG XL": encode("JXL", lossless=True),
    "JPEG XL RGBA": encode("JXL", "RGBA"),
    "JPEG XL in a box": encode("JXL", use_container=True),
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


def test_length_may_be_that_of_the_whole_file() -> None:
    start = io.BytesIO(JPEG[:-500])
    assert read_header(start, 2) == Header(Format.JPEG, 33, 21)  # 33 * 21 <= 512 * 2
    with pytest.raises(HeaderError, match=r"^33 x 21 pixels cannot be in 1 bytes$"):
        read_header(start, 1)


# What goes to Pillow; which says the same of it, upright.


def keyed(mode: str, key: bytes) -> bytes:
    """A PNG with a transparent colour."""
    png = encode("PNG", mode)
    return png[:33] + chunk(b"tRNS", key) + png[33:]


def os2(bmp: bytes) -> bytes:
    """The BMP of 24 bits with the header of OS/2."""
    info = struct.pack("<IHHHH", 12, 21, 33, 1, 24)
    return bmp[:10] + struct.pack("<I", 26) + info + bmp[54:]


def gif(*extensions: bytes, frame: tuple[int, int, int, int] = (0, 0, 21, 33)) -> bytes:
    """A GIF with extensions before its frame, which is at (left, top, width, height)."""
    content = encode("GIF", "P")
    place = content.index(struct.pack("<c4H", b",", 0, 0, 21, 33))
    image = b"," + struct.pack("<4H", *frame)
    return content[:place] + b"".join(extensions) + image + content[place + 9 :]


def extension(label: int, *blocks: bytes) -> bytes:
    """An extension of a GIF."""
    parts = b"".join(bytes([len(block)]) + block for block in blocks)
    return b"!" + bytes([label]) + parts + b"\0"


def control(flags: int) -> bytes:
    """The extension of a GIF that says whether a frame has a transparent colour."""
    return extension(0xF9, struct.pack("<BHB", flags, 10, 3))


COMMENT = extension(0xFE, b"\1!,\xf9\4\1", b"\1" * 255)
ANIMATED = frames(duration=50)
PILLOW: dict[str, bytes] = {
    "AVIF": encode("AVIF"),
    "AVIF RGBA": encode("AVIF", "RGBA"),
    "AVIF animated": encode("AVIF", **ANIMATED),
    "BMP palette": encode("BMP", "P"),
    "BMP grey": encode("BMP", "L"),
    "BMP 1 bit": encode("BMP", "1"),
    "BMP 16": BMP[:28] + b"\x10\0" + BMP[30:],
    "BMP bitfields": bitfields(0xFF0000, 0xFF00, 0xFF),
    "BMP bitfields of another order": bitfields(0xFF000000, 0xFF0000, 0xFF00),
    "BMP of OS/2": os2(BMP),
    "BMP of OS/2 with pixels like a header": os2(BMP[:54] + b"\0\0\x18\0\0\0\0\0" + BMP[62:]),
    "BMP RLE": (lambda grey: grey[:30] + b"\1\0\0\0" + grey[34:])(encode("BMP", "L")),
    "GIF transparent": gif(control(1)),
    "GIF transparent, made by Pillow": encode(
        "GIF", "P", transparency=NOISE.convert("P").getpixel((0, 0))
    ),
    "GIF transparent behind more": gif(COMMENT, control(0x2D), COMMENT),
    "GIF without a palette for all": gif(control(1)).replace(b"\xf7", b"\x77", 1),
    "GIF of a smaller frame": gif(frame=(2, 3, 9, 10)),
    "GIF with a stray byte": gif(b"\0"),
    "HEIF": encode("HEIF"),
    "JPEG 2000": encode("JPEG2000"),
    "JPEG 2000 without boxes": encode("JPEG2000", no_jp2=True),
    "PNG keyed": keyed("RGB", bytes(6)),
    "PNG grey, keyed": keyed("L", b"\0\x80"),
    "PNG grey of 1 bit, keyed": keyed("1", b"\0\1"),
    "PPM": encode("PPM"),
    "PPM grey": encode("PPM", "L"),
    "PPM 1 bit": encode("PPM", "1"),
    "TIFF big-endian": encode("TIFF", "I;16B"),
    "TIFF big": encode("TIFF", big_tiff=True),
    "TIFF LZW": encode("TIFF", compression="tiff_lzw"),
    "WebP animated": encode("WEBP", **ANIMATED),
    "WebP animated RGBA": encode("WEBP", "RGBA", **ANIMATED),
}
for turn in range(1, 9):
    png, tiff = encode("PNG", exif=exif(turn)), Image.Exif()
    tiff[0x0112] = turn
    PILLOW |= {
        f"AVIF {turn}": encode("AVIF", exif=exif(turn)),
        f"HEIF {turn}": encode("HEIF", exif=exif(turn)),
        f"PNG keyed {turn}": png[:33] + chunk(b"tRNS", bytes(6)) + png[33:],
        f"TIFF {turn}": encode("TIFF", exif=tiff),
        f"WebP animated {turn}": encode("WEBP", exif=exif(turn), **ANIMATED),
    }


@pytest.mark.parametrize("content", PILLOW.values(), ids=PILLOW.keys())
def test_what_pillow_decodes(content: bytes) -> None:
    with Image.open(io.BytesIO(content)) as opened:
        image = ImageOps.exif_transpose(opened)
    assert header(content) == Header(Format.PILLOW, image.height, image.width)
    assert {image.height, image.width} == {21, 33}


def test_frame_of_a_gif_may_be_larger_than_its_screen() -> None:
    content = gif(frame=(4, 1, 20, 33))
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (24, 34)
    assert header(content) == Header(Format.PILLOW, 34, 24)


@pytest.mark.parametrize(
    "content",
    [
        gif(),
        gif(control(0)),
        gif(control(0xFE), COMMENT),
        gif(COMMENT, extension(1, b"\1"), extension(0xFF, b"NETSCAPE2.0", b"\1\0\0")),
    ],
    ids=["plain", "control", "all other flags", "others"],
)
def test_opaque_gif_does_not_go_to_pillow(content: bytes) -> None:
    assert header(content) == Header(Format.GIF, 33, 21)


def test_png_with_a_transparent_palette_does_not_go_to_pillow() -> None:
    assert header(encode("PNG", "P", transparency=b"\0\x80\xff")).format == Format.PNG


def test_heif_without_pillow_heif(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for brands in (b"heic", b"mif1....heic", b"msf1....miaf"):
        with pytest.raises(ImportError, match=r'pip install "mmdata\[heic\]"'):
            header(box(b"ftyp", brands.ljust(8, b"\0")))
    assert header(PILLOW["AVIF"]).format == Format.PILLOW
    with pytest.raises(HeaderError, match="not a readable AVIF image"):
        header(box(b"ftyp", b"mif1\0\0\0\0mif1avif"))


# JPEG XL.

SIDES = [1, 2, 7, 8, 9, 16, 17, 120, 255, 256, 257, 264, 333, 512, 513, 1024, 8192, 8193]
RATIOS = [(1, 1), (6, 5), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1)]
BY_RATIO = {(across * n // down, n) for across, down in RATIOS for n in (8, 25, 90, 248, 300)}
ACROSS = {size for size in itertools.product(SIDES, SIDES) if min(size) < 10}


@pytest.mark.parametrize("is_boxed", [False, True])
@pytest.mark.parametrize(("width", "height"), sorted(BY_RATIO | ACROSS))
def test_size_of_jxl(width: int, height: int, is_boxed: bool) -> None:
    buffer = io.BytesIO()
    picture = Image.new("L", (width, height))
    picture.save(buffer, "JXL", effort=1, lossless=True, use_container=is_boxed)
    assert header(buffer.getvalue()) == Header(Format.JXL, height, width)


# By cjxl 0.7: a JPEG of 5 x 3 pixels with an EXIF orientation of 6; a GIF of three frames.
TURNED_JXL = bytes.fromhex(
    "0000000c4a584c200d0a870a00000014667479706a786c20000000006a786c20000000446a786c63ff0a10500b2414"
    "970401c0008b4d0900800a9551c60d5ecef57cf9a1c362dac67586b6dab6b084b1d95e1824249cc0c685b29b830d6c"
    "06422b2a4900"
)
ANIMATED_JXL = bytes.fromhex(
    "ff0a18304100161497040808000000b8004b188b15c209aa5b0074ef011890579dd1efc8a1a09c0a78f4b0c51147fb"
    "f53cf7d89ec32a0000000080fc0100000808000000b8004b188b15c20932b74174f5008c77bb431a41db4b8d9f7a47"
    "63aa305603c5be939c3dfefb2200000000c0fc0100000808400000d0004b188b15c211aa830544f77a00b2bdc2431d"
    "c76f26a9c5016d5c53c7cd5e7cf11c93bf1cc36a0000000080fca9ff374320d30000"
)
BARE_JXL = UPRIGHT["JPEG XL"]
LARGE = (0, 1), (3, 2), (99_999, 30), (0, 3), (2, 2), (199_999, 18)
SMALL = (1, 1), (4, 5), (0, 3), (30, 5)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (TURNED_JXL, (5, 3)),
        (boxes(box(b"jxlc", BARE_JXL, long=True)), (33, 21)),
        (boxes(box(b"free", b"jxlc" * 9), box(b"jxlc", BARE_JXL)), (33, 21)),
        (boxes(b"\0\0\0\0jxlc" + BARE_JXL), (33, 21)),
        (
            boxes(
                box(b"jxlp", b"\0\0\0\0" + BARE_JXL[:40]),
                box(b"jxlp", b"\x80\0\0\1" + BARE_JXL[40:]),
            ),
            (33, 21),
        ),
        (encode("JXL", use_container=True, exif=exif(1)), (33, 21)),
    ],
    ids=["turned", "long box", "another box", "box to the end", "parts", "EXIF"],
)
def test_boxes_of_jxl(content: bytes, expected: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(content)) as image:
        assert image.size[::-1] == expected
    assert header(content) == Header(Format.JXL, *expected)


@pytest.mark.parametrize("size", [LARGE, SMALL], ids=["large", "small"])
@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("intrinsic", [(), SMALL, LARGE], ids=["no", "small", "large"])
def test_orientation_of_jxl(
    size: tuple[tuple[int, int], ...], turn: int, intrinsic: tuple[tuple[int, int], ...]
) -> None:
    shape = (100_000, 200_000) if size == LARGE else (40, 248)
    extra = [(0, 1), (1, 1), (turn - 1, 3), (int(bool(intrinsic)), 1), *intrinsic, (0, 2)]
    found = header(jxl(*size, *extra))
    assert found == Header(Format.JXL, *(shape[::-1] if turn > 4 else shape))


@pytest.mark.parametrize("length", range(2, 12))
def test_header_of_jxl_may_go_on_in_another_part(length: int) -> None:
    extra = [(0, 1), (1, 1), (5, 3), (1, 1), *SMALL, (0, 2)]
    start, rest = (whole := jxl(*LARGE, *extra))[:length], whole[length:]
    first, last = box(b"jxlp", b"\0\0\0\0" + start), box(b"jxlp", b"\x80\0\0\1" + rest)
    expected = Header(Format.JXL, 200_000, 100_000)
    assert header(boxes(first, box(b"Exif", exif(3)), last)) == expected
    with pytest.raises(HeaderError):
        header(boxes(first))


def test_metadata_of_jxl_may_say_nothing() -> None:
    for rest in ([(1, 1)], [(0, 1), (0, 1)]):
        assert header(jxl(*SMALL, *rest, (2**20 - 1, 20))) == Header(Format.JXL, 40, 248)


# What is refused, and why.

REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the file is empty (0 bytes)"),
    "text": (b"not an image", "not an image of a known format (starts with b'not an image')"),
    "Python": (b"P1thon, no PPM", "not an image of a known format (starts with b'P1thon, no P')"),
    "one byte": (b"\xff", "not an image of a known format (starts with b'\\xff')"),
    "EPS": (encode("EPS"), "not an image of a known format"),
    "AVIF of no image": (
        box(b"ftyp", b"avif\0\0\0\0avifmif1miaf") + bytes(99),
        "not a readable AVIF image (",
    ),
    "AVIF cut": (PILLOW["AVIF"][:200], "not a readable AVIF image (premature end of data"),
    "HEIF cut": (PILLOW["HEIF"][:200], "not a readable HEIF image ("),
    "MP4": (box(b"ftyp", b"isom\0\0\0\0mp42"), "not an image of a known format"),
    "WAV": (b"RIFF\x24\0\0\0WAVEfmt " + bytes(30), "not an image of a known format"),
    "WebP of no image": (riff((b"ALPH", bytes(9))), "a WebP file without an image"),
    "BMP of 7 bits": (BMP[:28] + b"\7\0" + BMP[30:], "not a readable BMP image ("),
    "BMP of unknown fields": (bitfields(1, 2, 4), "(Unsupported BMP bitfields layout)"),
    "GIF of no image": (encode("GIF", "P")[:13] + b"\0" * 768 + b";", "not a readable GIF image ("),
    "TIFF cut": (encode("TIFF")[:30], "not a readable TIFF image ("),
    "JPEG of no frame": (b"\xff\xd8\xff\xd9", "the JPEG has no frame header"),
    "JPEG scan first": (b"\xff\xd8" + segment(0xDA, bytes(9)), "the JPEG has no frame header"),
    "JPEG with a hole": (JPEG[:20] + b"\0" + JPEG[21:], "a JPEG marker is missing"),
    "JPEG of tables": (JPEG[:2] + segment(0xC4, b"\0" * 9), "the file ends inside its header"),
    "JPEG XL animated": (ANIMATED_JXL, "an animated JPEG XL, not decoded"),
    "JPEG XL preview": (
        jxl(*SMALL, (0, 1), (1, 1), (0, 3), (0, 1), (1, 1)),
        "a JPEG XL with a preview, not decoded",
    ),
    "JPEG XL of no size": (b"\xff\x0a", "the file ends inside its header"),
    "JPEG XL of no image": (boxes(b"\0\0\0\0free"), "a JPEG XL file without an image"),
    "JPEG XL of a foreign image": (boxes(b"\0\0\0\0jxlcJPEG"), "a JPEG XL file without an image"),
    "JPEG XL of a box within its head": (
        boxes(struct.pack(">I4sQ", 1, b"free", 15)),
        "a JPEG XL file without an image",
    ),
    "JPEG XL of a box without end": (
        boxes(struct.pack(">I4sQ", 1, b"free", 2**64 - 1)),
        "the file ends inside its header",
    ),
    "JPEG XL of other boxes": (boxes(box(b"free", b"")), "a JPEG XL file without an image"),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(content: bytes, message: str) -> None:
    with pytest.raises(HeaderError) as caught:
        header(content)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("GIF", b",\0\0\0\0\x15\0\x21\0"),
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


def patched(height: int, width: int, **options: Any) -> bytes:
    """A JPEG of few pixels whose header says another size."""
    content = encode("JPEG", **options)
    place = content.index(b"\x08\0\x21\0\x15")
    return content[: place + 1] + struct.pack(">HH", height, width) + content[place + 5 :]


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_jpeg_of_more_pixels_than_its_bytes_can_hold(options: dict[str, Any]) -> None:
    content = patched(13_000, 13_000, **options)
    why = f"^13000 x 13000 pixels cannot be in {len(content):,} bytes$"
    with pytest.raises(HeaderError, match=why):
        header(content)
    most = 512 * len(content) // 64
    assert header(patched(64, most, **options)).width == most
    with pytest.raises(HeaderError, match="cannot be in"):
        header(patched(64, most + 1, **options))


def test_arithmetic_coding_may_take_less_than_a_bit() -> None:
    content = patched(13_000, 13_000).replace(b"\xff\xc0", b"\xff\xc9", 1)
    assert header(content) == Header(Format.JPEG, 13_000, 13_000)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    "options", [{}, {"optimize": True}, {"optimize": True, "progressive": True}], ids=str
)
def test_jpeg_of_one_colour_is_no_bomb(mode: str, options: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    plain = Image.new("RGB", (4000, 4000), (90, 120, 30)).convert(mode)
    plain.save(buffer, "JPEG", quality=1, subsampling=2, **options)
    assert header(buffer.getvalue()) == Header(Format.JPEG, 4000, 4000)


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
FUZZED += [content for name, content in PILLOW.items() if name[-1] not in "1234578"]
FUZZED += [TURNED_JXL, ANIMATED_JXL, BARE_JXL]
places = st.integers(0, 120) | st.integers(0, 5000)
byte = st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255)


@pytest.mark.filterwarnings("ignore")  # Pillow warns of metadata that is damaged
@given(st.sampled_from(FUZZED), st.lists(st.tuples(places, byte), max_size=12), places)
@settings(max_examples=10 * settings().max_examples)
def test_mutated_bytes(content: bytes, changes: list[tuple[int, int]], cut: int) -> None:
    mutated = bytearray(content)
    for place, value in changes:
        mutated[place % len(mutated)] = value
    assert is_result_or_refusal(bytes(mutated))
    assert is_result_or_refusal(bytes(mutated[:cut]))


MAGICS = [b"\xff\xd8\xff", PNG[:33], b"GIF89a", b"BM", *(WEBP[:12] + k for k in (b"VP8 ", b"VP8X"))]
MAGICS += [b"\xff\x0a", boxes(), b"P6 ", b"II*\0", PILLOW["AVIF"][:32], PILLOW["JPEG 2000"][:20]]


@pytest.mark.filterwarnings("ignore")
@given(st.sampled_from([b"", *MAGICS]), st.binary(max_size=200))
@example(b"\xff\xd8\xff", b"\xff" * 200)
@example(b"\xff\xd8\xff", b"\xe0\0\0" + b"\xff\xe0\0\0" * 50)
@example(PNG[:33], b"\xff\xff\xff\xffeXIf")
@example(WEBP[:12] + b"VP8X", b"\xff" * 20 + b"EXIF\xff\xff\xff\xff")
@example(b"GIF89a", b"\xff" * 7 + b"!\xff\1\0" * 60)
@example(boxes(), b"\0\0\0\x08free" * 20)
@settings(max_examples=10 * settings().max_examples)
def test_any_bytes(magic: bytes, rest: bytes) -> None:
    assert is_result_or_refusal(magic + rest)
