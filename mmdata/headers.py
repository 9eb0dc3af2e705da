"""Reads what the header of an image file says, without decoding a pixel.

Sources: JPEG: ITU-T T.81 annex B; Exif 2.32 section 4.6 (orientation, tag 0x0112); PNG: W3C PNG
third edition; GIF89a; BMP: BITMAPINFOHEADER; WebP: RFC 9649.
"""

import dataclasses
import enum
import struct
from typing import BinaryIO

_SEGMENT = struct.Struct(">BBH")
_FRAME = struct.Struct(">BHH")


class Format(enum.IntEnum):
    """Formats that the pipeline decodes; UNKNOWN stands for every other content."""

    UNKNOWN = -1
    JPEG = 0
    WEBP = 1
    PNG = 2
    GIF = 3
    BMP = 4


@dataclasses.dataclass(frozen=True)
class Header:
    """What the header says.

    Attributes:
      format: The format, by content and not by name.
      height, width: Pixels as stored, before the orientation is applied.
      orientation: EXIF orientation, 1-8; 1 is upright.
    """

    format: Format
    height: int
    width: int
    orientation: int = 1


class HeaderError(ValueError):
    """The file is not an image that the pipeline decodes; the message says why."""


def read_header(file: BinaryIO) -> Header:
    """Reads the header of an open, seekable file from its start.

    Raises:
      HeaderError: The content is not that of a JPEG, PNG, GIF, BMP or WebP image, ends inside the
        header, or is of a kind that TensorFlow decodes wrongly (palette BMP) or that crashes it
        (animated WebP).
    """
    file.seek(0)
    magic = file.read(12)
    if not magic:
        raise HeaderError("the file is empty (0 bytes)")
    file.seek(0)
    try:
        if magic.startswith(b"\xff\xd8\xff"):
            return _jpeg(file)
        if magic.startswith(b"\x89PNG\r\n\x1a\n"):
            return _png(file)
        if magic.startswith((b"GIF87a", b"GIF89a")):
            return _gif(file)
        if magic.startswith(b"BM"):
            return _bmp(file)
        if magic.startswith(b"RIFF") and magic[8:] == b"WEBP":
            return _webp(file)
    except struct.error as err:
        raise HeaderError("the file ends inside its header") from err
    raise HeaderError(f"not a JPEG, PNG, GIF, BMP or WebP image (starts with {magic[:8]!r})")


def _unpack(layout: str | struct.Struct, file: BinaryIO) -> tuple[int, ...]:
    layout = struct.Struct(layout) if isinstance(layout, str) else layout
    return layout.unpack(file.read(layout.size))


def _jpeg(file: BinaryIO) -> Header:
    orientation = 1
    place = 2
    while True:
        file.seek(place)
        head = file.read(4)
        prefix, marker, length = _SEGMENT.unpack(head.ljust(4, b"\0") if len(head) > 1 else head)
        if prefix != 0xFF:
            raise HeaderError("a JPEG marker is missing")
        if marker == 0xFF:  # any number of them may fill up
            place += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            place += 2
        elif marker in (0xD9, 0xDA):
            raise HeaderError("the JPEG has no frame header")
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            _, height, width = _unpack(_FRAME, file)
            return Header(Format.JPEG, height, width, orientation)
        else:
            if marker == 0xE1 and length > 8 and file.read(6) == b"Exif\0\0":
                orientation = _orientation(file.read(length - 8))
            place += 2 + max(length, 2)


def _png(file: BinaryIO) -> Header:
    file.seek(16)
    width, height = _unpack(">II", file)
    orientation = 1
    file.seek(33)
    while True:
        (length,) = _unpack(">I", file)
        kind = file.read(4)
        if kind in (b"IDAT", b"IEND"):
            return Header(Format.PNG, height, width, orientation)
        end = file.tell() + length + 4
        if kind == b"eXIf":
            orientation = _orientation(file.read(min(length, 1 << 16)))
        file.seek(end)


def _gif(file: BinaryIO) -> Header:
    file.seek(6)
    width, height = _unpack("<HH", file)
    return Header(Format.GIF, height, width)


def _bmp(file: BinaryIO) -> Header:
    file.seek(14)
    size, width, height, _, bits, compression = _unpack("<IiiHHI", file)
    if size < 40 or bits not in (24, 32) or compression not in (0, 3):
        raise HeaderError(f"a BMP of {bits} bits a pixel, compression {compression}, not decoded")
    if compression == 3:
        file.seek(54)
        if _unpack("<3I", file) != (0xFF0000, 0x00FF00, 0x0000FF):
            raise HeaderError("a BMP with channels in an unusual order, not decoded")
    return Header(Format.BMP, abs(height), abs(width))


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
        if flags & 0x02:
            raise HeaderError("an animated WebP, not decoded")
        width, height = (int.from_bytes(bytes(size[i : i + 3]), "little") + 1 for i in (0, 3))
        orientation = _webp_orientation(file) if flags & 0x08 else 1
        return Header(Format.WEBP, height, width, orientation)
    raise HeaderError("a WebP file without an image")


def _webp_orientation(file: BinaryIO) -> int:
    while len(chunk := file.read(8)) == 8:
        (length,) = struct.unpack("<I", chunk[4:])
        if chunk[:4] == b"EXIF":
            return _orientation(file.read(min(length, 1 << 16)).removeprefix(b"Exif\0\0"))
        file.seek(length + length % 2, 1)
    return 1


def _orientation(exif: bytes) -> int:
    """The orientation that a TIFF structure holds in its first directory; 1 where it holds none."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", exif, entry)
            if tag == 0x0112 and kind == 3 and 1 <= value <= 8:
                return int(value)
    except struct.error:
        pass
    return 1
