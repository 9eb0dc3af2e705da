"""Reads the headers of image files, without decoding any pixel.

Sources: JPEG: ITU-T T.81 annex B; PNG: W3C PNG third edition; GIF89a; BMP: BITMAPINFOHEADER; WebP:
RFC 9649; JPEG XL: ISO/IEC 18181-1 annex D (image header), 18181-2 (boxes).
"""

import dataclasses
import enum
import io
import struct
from typing import Any, BinaryIO

from mmdata.files import pillow
from mmdata.files.exif import orientation

_SEGMENT = struct.Struct(">BBH")
_FRAME = struct.Struct(">BHH")
_PIXELS_PER_BYTE = 512  # in Huffman coding, a block of 8 x 8 takes at least one bit
_JXL_BOXES = b"\0\0\0\x0cJXL \r\n\x87\n"
_JXL_HEAD = 32  # bytes; the part of the header that is read is shorter
_JXL_SIZES = (9, 13, 18, 30)
_JXL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_CUT = "the file ends inside its header"


class Format(enum.IntEnum):
    """Formats that the pipeline decodes; UNKNOWN means any other content.

    PILLOW means that Pillow decodes the content, and that TensorFlow does not, or does it wrongly:
    other formats (AVIF, HEIF, JPEG 2000, PPM, TIFF), animated WebP, GIF with a first frame that is
    transparent or smaller than the screen, PNG with a transparent colour, BMP with a palette or bit
    fields.
    """

    UNKNOWN = -1
    JPEG = 0
    WEBP = 1
    PNG = 2
    GIF = 3
    BMP = 4
    JXL = 5
    PILLOW = 6


@dataclasses.dataclass(frozen=True)
class Header:
    """The header of an image file.

    Attributes:
      format: The format, recognised by the content, not by the file name.
      height, width: Pixels as stored, before the orientation is applied.
      orientation: EXIF orientation, 1-8; 1 is upright. JXL, PILLOW: always 1, the decoder rotates.
    """

    format: Format
    height: int
    width: int
    orientation: int = 1


class HeaderError(ValueError):
    """The file is not an image that the pipeline decodes; the message says why."""


def read_header(file: BinaryIO, length: int | None = None) -> Header:
    """Reads the header of an open, seekable file from its start.

    Args:
      file: The file, or its start.
      length: Number of bytes of the whole file, if `file` is only its start.

    Raises:
      HeaderError: The format is not known, or the content ends inside the header, cannot hold as
        many pixels as the header says, or is of a kind that is decoded wrongly (animated JPEG XL).
      ImportError: The content is HEIF, and pillow-heif is not installed.
    """
    length = file.seek(0, io.SEEK_END) if length is None else length
    file.seek(0)
    magic = file.read(12)
    if not magic:
        raise HeaderError("the file is empty (0 bytes)")
    file.seek(0)
    try:
        if magic.startswith(b"\xff\xd8\xff"):
            return _jpeg(file, length)
        if magic.startswith(b"\x89PNG\r\n\x1a\n"):
            return _png(file)
        if magic.startswith((b"GIF87a", b"GIF89a")):
            return _gif(file)
        if magic.startswith(b"BM"):
            return _bmp(file)
        if magic.startswith(b"RIFF") and magic[8:] == b"WEBP":
            return _webp(file)
        if magic.startswith((b"\xff\x0a", _JXL_BOXES)):
            return _jxl(file)
        return _by_pillow(file)
    except (struct.error, OverflowError) as err:  # overflow: an offset beyond any file
        raise HeaderError(_CUT) from err


def _by_pillow(file: BinaryIO) -> Header:
    try:
        return Header(Format.PILLOW, *pillow.size_of(file))
    except ValueError as err:
        raise HeaderError(str(err)) from err


def _header(kind: Format, height: int, width: int, turn: int) -> Header:
    """The header; upright if the decoder of the format applies the orientation itself."""
    if kind not in (Format.JXL, Format.PILLOW):
        return Header(kind, height, width, turn)
    return Header(kind, width, height) if turn >= 5 else Header(kind, height, width)


def _unpack(layout: str | struct.Struct, file: BinaryIO) -> tuple[Any, ...]:
    layout = struct.Struct(layout) if isinstance(layout, str) else layout
    return layout.unpack(file.read(layout.size))


def _jpeg(file: BinaryIO, length: int) -> Header:
    turn = 1
    offset = 2
    while True:
        file.seek(offset)
        head = file.read(4)
        prefix, marker, size = _SEGMENT.unpack(head.ljust(4, b"\0") if len(head) > 1 else head)
        if prefix != 0xFF:
            raise HeaderError("a JPEG marker is missing")
        if marker == 0xFF:  # a fill byte: any number may follow
            offset += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            offset += 2
        elif marker in (0xD9, 0xDA):
            raise HeaderError("the JPEG has no frame header")
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            _, height, width = _unpack(_FRAME, file)
            if marker < 0xC9 and height * width > _PIXELS_PER_BYTE * length:
                raise HeaderError(f"{height} x {width} pixels cannot be in {length:,} bytes")
            return Header(Format.JPEG, height, width, turn)
        else:
            if marker == 0xE1 and size > 8 and file.read(6) == b"Exif\0\0":
                turn = orientation(file.read(size - 8))
            offset += 2 + max(size, 2)


def _png(file: BinaryIO) -> Header:
    file.seek(16)
    width, height, _, colour = _unpack(">IIBB", file)
    kind, turn = Format.PNG, 1
    file.seek(33)
    while True:
        (length,) = _unpack(">I", file)
        chunk = file.read(4)
        if chunk in (b"IDAT", b"IEND"):
            return _header(kind, height, width, turn)
        end = file.tell() + length + 4
        if chunk == b"eXIf":
            turn = orientation(file.read(min(length, 1 << 16)))
        elif chunk == b"tRNS" and colour in (0, 2):
            kind = Format.PILLOW
        file.seek(end)


def _gif(file: BinaryIO) -> Header:
    file.seek(6)
    width, height, flags, _ = _unpack("<HHBH", file)
    if flags & 0x80:
        file.seek(3 << (flags & 7) + 1, io.SEEK_CUR)
    is_transparent = False
    while (block := file.read(1)) == b"!":
        is_transparent |= _is_transparent(file)
    if block not in (b",", b""):
        return _by_pillow(file)
    left, top, columns, rows = frame = _unpack("<4H", file)
    if is_transparent or frame != (0, 0, width, height):
        return Header(Format.PILLOW, max(height, top + rows), max(width, left + columns))
    return Header(Format.GIF, height, width)


def _is_transparent(file: BinaryIO) -> bool:
    """Skips an extension of a GIF; returns whether it declares a transparent colour."""
    label = file.read(1)
    found = False
    while size := _unpack("B", file)[0]:
        first = _unpack("B", file)[0]
        found |= label == b"\xf9" and bool(first & 1)
        file.seek(size - 1, io.SEEK_CUR)
    return found


def _bmp(file: BinaryIO) -> Header:
    file.seek(14)
    if _unpack("<I", file) >= (40,):
        width, height, _, bits, compression = _unpack("<iiHHI", file)
        if bits in (24, 32) and compression == 0:
            return Header(Format.BMP, abs(height), abs(width))
    return _by_pillow(file)


def _webp(file: BinaryIO) -> Header:
    file.seek(12)
    kind = file.read(4)
    file.seek(20)
    if kind == b"VP8 ":
        file.seek(26)
        width, height = (value & 0x3FFF for value in _unpack("<HH", file))
        return Header(Format.WEBP, height, width)
    if kind == b"VP8L":
        _, bits = _unpack("<BI", file)
        return Header(Format.WEBP, (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1)
    if kind == b"VP8X":
        flags, *size = _unpack("<I6B", file)
        width, height = (int.from_bytes(bytes(size[i : i + 3]), "little") + 1 for i in (0, 3))
        turn = _webp_orientation(file) if flags & 0x08 else 1
        return _header(Format.PILLOW if flags & 0x02 else Format.WEBP, height, width, turn)
    raise HeaderError("a WebP file without an image")


def _webp_orientation(file: BinaryIO) -> int:
    while len(chunk := file.read(8)) == 8:
        (length,) = struct.unpack("<I", chunk[4:])
        if chunk[:4] == b"EXIF":
            return orientation(file.read(min(length, 1 << 16)))
        file.seek(length + length % 2, io.SEEK_CUR)
    return 1


def _jxl(file: BinaryIO) -> Header:
    content = file.read(_JXL_HEAD)
    if not content.startswith(b"\xff\x0a"):
        content = _jxl_codestream(file)
    bits = _Bits(content[2:])
    height, width = _jxl_size(bits)
    turn = 1
    if not bits.take(1) and bits.take(1):
        turn = bits.take(3) + 1
        if bits.take(1):
            _jxl_size(bits)  # the size to show it at
        if bits.take(1):
            raise HeaderError("a JPEG XL with a preview, not decoded")
        if bits.take(1):
            raise HeaderError("an animated JPEG XL, not decoded")
    return _header(Format.JXL, height, width, turn)


def _jxl_codestream(file: BinaryIO) -> bytes:
    """Joins the start of the codestream from boxes; the first box may end inside the header."""
    found = b""
    offset = 0
    while len(found) < _JXL_HEAD:
        file.seek(offset)
        box = file.read(16)
        if len(box) < 8:
            break
        size, kind = struct.unpack(">I4s", box[:8])
        start = 8
        if size == 1:
            (size,) = struct.unpack(">Q", box[8:])
            start = 16
        if kind in (b"jxlc", b"jxlp"):
            file.seek(offset + start + 4 * (kind == b"jxlp"))
            end = offset + size if size else file.tell() + _JXL_HEAD
            found += file.read(max(0, min(end - file.tell(), _JXL_HEAD)))
        if size < start:  # size 0: the box ends at the end of the file
            break
        offset += size
    if not found.startswith(b"\xff\x0a"):
        raise HeaderError("a JPEG XL file without an image")
    return found


class _Bits:
    """Reads numbers from bytes, lowest bits first."""

    def __init__(self, content: bytes) -> None:
        self._rest = int.from_bytes(content, "little")
        self._left = 8 * len(content)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise HeaderError(_CUT)
        taken = self._rest & (1 << count) - 1
        self._rest >>= count
        return taken


def _jxl_size(bits: _Bits) -> tuple[int, int]:
    """The height and width of a JPEG XL SizeHeader."""
    is_small = bits.take(1)

    def side() -> int:
        return 8 * (bits.take(5) + 1) if is_small else bits.take(_JXL_SIZES[bits.take(2)]) + 1

    height = side()
    ratio = bits.take(3)
    if not ratio:
        return height, side()
    across, down = _JXL_RATIOS[ratio - 1]
    return height, height * across // down
