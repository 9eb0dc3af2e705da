"""Reads the orientation from EXIF. Source: Exif 2.32 section 4.6, tag 0x0112."""

import struct


def orientation(exif: bytes) -> int:
    """The orientation, 1-8, from the first directory of EXIF; 1 if there is no orientation.

    Args:
      exif: A TIFF structure, with or without the "Exif" prefix that it has in a JPEG.
    """
    exif = exif.removeprefix(b"Exif\0\0")
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
