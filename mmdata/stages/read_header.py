"""Encoded images -> what their headers say, inside the graph: where nothing was scanned before.

Sources: those of `mmdata.files.headers`, which says the same of JPEG, PNG and WebP.
"""

import dataclasses
import functools
from typing import Any

import numpy as np
import tensorflow as tf

from mmdata.example import Example
from mmdata.files.headers import Format
from mmdata.files.limits import MAX_PIXELS
from mmdata.settings import as_dict

_MOST = 4096
"""Parts of a header that are read at most: some 50 are common, and a hostile file has millions."""

_LARGE = 1 << 31  # a side that is too large, and whose square is an int64
_PIXELS_PER_BYTE = 512  # each block of 8 x 8 takes a bit at least, in Huffman's code
_EXIF = b"Exif\0\0"
_EXIF_LENGTH = 1 << 16

_FRAMES = [marker for marker in range(0xC0, 0xD0) if marker not in (0xC4, 0xC8, 0xCC)]
_NO_FRAME = [0xD9, 0xDA]
_BARE = [0x01, *range(0xD0, 0xD9)]  # markers without a length and content

_CUT = "the file ends inside its header"
_MANY = f"its header has more than {_MOST:,} parts"
_REFUSED = "{}, which ImageDecoder does not decode: convert it to {}"

_FOREIGN = (
    ("a GIF", 0, [b"GIF87a", b"GIF89a"]),
    ("a BMP", 0, [b"BM"]),
    ("a JPEG XL", 0, [b"\xff\x0a"]),
    ("a JPEG XL", 0, [b"\0\0\0\x0cJXL "]),
    ("a JPEG 2000", 0, [b"\xff\x4f\xff\x51", b"\0\0\0\x0c"]),
    ("a TIFF", 0, [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"]),
    ("a PPM", 0, [b"P%d%c" % (n, space) for n in range(1, 7) for space in b" \t\n\v\f\r"]),
    ("an AVIF", 8, [b"avif", b"avis"]),
    ("a HEIC", 8, [b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"]),
)
"""What a scan knows besides: its name, and what it starts with at which place."""

_Header = tuple[Any, Any, Any, Any, Any]
"""Format, orientation, height and width as stored, int64 []; problem, string []."""


# Traced once, and called where it is needed: inlined, a branch costs even where it is not taken.
_apart = functools.partial(
    tf.function, autograph=False, experimental_attributes={"_noinline": True}
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadHeader:
    """Reads the header of the JPEG, PNG or WebP file in `content`; decodes nothing.

    content: string [], the bytes of a file
      ->  format, orientation: int8 [], as `Decode` takes them; upright: int32 [2], height and width
        in pixels as the image is seen; problem: string [], why it must not be decoded, or ""

    Takes any bytes, and fails for none. Finds what a scan finds. Where there is a `problem`, the
    format is UNKNOWN, and the size 0: in damaged files, other formats, animated WebP, and PNG with
    a transparent colour. Gives up at a header of more than 4,096 parts; a scan reads on.
    """

    to_dict = as_dict

    def __call__(self, example: Example) -> Example:
        kind, turn, height, width, problem = _read(example["content"])
        pixels = tf.minimum(height, _LARGE) * tf.minimum(width, _LARGE)
        problem = _first(
            (problem != "", problem),
            (pixels == 0, "an image without pixels"),
            (pixels > MAX_PIXELS, f"more than {MAX_PIXELS:,} pixels"),
        )
        is_good = problem == ""
        sides = tf.where(turn >= 5, [width, height], [height, width])
        return {
            **example,
            "format": tf.cast(_where(is_good, kind, int(Format.UNKNOWN)), tf.int8),
            "orientation": tf.cast(_where(is_good, turn, 1), tf.int8),
            "upright": tf.cast(_where(is_good, sides, 0), tf.int32),
            "problem": problem,
        }


def _read(content: Any) -> _Header:
    is_webp = (_part(content, 0, 4) == b"RIFF") & (_part(content, 8, 4) == b"WEBP")
    readers = [
        (_part(content, 0, 3) == b"\xff\xd8\xff", lambda: _jpeg(content)),
        (_part(content, 0, 8) == b"\x89PNG\r\n\x1a\n", lambda: _png(content)),
        (is_webp, lambda: _webp(content)),
    ]
    return tf.case(readers, default=lambda: _foreign(content))  # type: ignore[no-any-return]


def _header(kind: Format, turn: Any, height: Any, width: Any, problem: Any) -> _Header:
    numbers = [tf.cast(number, tf.int64) for number in (int(kind), turn, height, width)]
    return (*numbers, problem)


@_apart
def _jpeg(content: Any) -> _Header:
    length = _length(content)

    def step(place: Any, turn: Any) -> tuple[Any, Any, Any]:
        """Passes over a segment, or a byte that fills up; stops at a frame, and where none is."""
        marker, size = _number(content, place + 1, 1), _number(content, place + 2, 2)
        turn = tf.cond(
            (marker == 0xE1) & (size > 8) & (_part(content, place + 4, 6) == _EXIF),
            lambda: _orientation(_part(content, place + 10, size - 8)),
            lambda: turn,
        )
        stops = _is_one_of(marker, _FRAMES + _NO_FRAME) | (_number(content, place, 1) != 0xFF)
        bytes_ = _where(_is_one_of(marker, _BARE), 2, 2 + tf.maximum(size, 2))
        bytes_ = _where(marker == 0xFF, 1, bytes_)
        return ~stops & (place + 2 <= length), place + bytes_, turn

    more, place, turn = _repeat(step, 2, 1)
    marker = _number(content, place + 1, 1)
    height, width = _number(content, place + 5, 2), _number(content, place + 7, 2)
    is_huffman = marker < 0xC9
    problem = _first(
        (more, _MANY),
        (place + 2 > length, _CUT),
        (_number(content, place, 1) != 0xFF, "a JPEG marker is missing"),
        (_is_one_of(marker, _NO_FRAME), "the JPEG has no frame header"),
        (place + 9 > length, _CUT),
        (
            is_huffman & (height * width > _PIXELS_PER_BYTE * length),
            "a JPEG of more pixels than its bytes can hold",
        ),
    )
    return _header(Format.JPEG, turn, height, width, problem)


@_apart
def _png(content: Any) -> _Header:
    length = _length(content)
    width, height = _number(content, 16, 4), _number(content, 20, 4)
    has_no_palette = _is_one_of(_number(content, 25, 1), [0, 2])

    def step(place: Any, turn: Any, is_keyed: Any) -> tuple[Any, Any, Any, Any]:
        """Passes over a chunk; stops at the pixels and at the end."""
        size, kind = _number(content, place, 4), _part(content, place + 4, 4)
        turn = tf.cond(
            kind == b"eXIf",
            lambda: _orientation(_part(content, place + 8, tf.minimum(size, _EXIF_LENGTH))),
            lambda: turn,
        )
        is_keyed |= _where((kind == b"tRNS") & has_no_palette, 1, 0)
        stops = (kind == b"IDAT") | (kind == b"IEND")
        return ~stops & (place + 8 <= length), place + 12 + size, turn, is_keyed

    more, place, turn, is_keyed = _repeat(step, 33, 1, 0)
    keyed = _REFUSED.format("a PNG with a transparent colour", "PNG with alpha")
    problem = _first((more, _MANY), (place + 8 > length, _CUT), (is_keyed == 1, keyed))
    return _header(Format.PNG, turn, height, width, problem)


@_apart
def _webp(content: Any) -> _Header:
    kind, length = _part(content, 12, 4), _length(content)
    is_lossy, is_lossless, is_extended = (kind == name for name in (b"VP8 ", b"VP8L", b"VP8X"))
    bits = _number(content, 21, 4, "<")
    width = _where(
        is_lossy,
        _number(content, 26, 2, "<") % 0x4000,
        _where(is_lossless, bits % 0x4000 + 1, _number(content, 24, 3, "<") + 1),
    )
    height = _where(
        is_lossy,
        _number(content, 28, 2, "<") % 0x4000,
        _where(is_lossless, bits // 0x4000 % 0x4000 + 1, _number(content, 27, 3, "<") + 1),
    )
    flags = _where(is_extended, _number(content, 20, 1), 0)
    more, turn = tf.cond(
        flags // 8 % 2 == 1,
        lambda: _webp_orientation(content),
        lambda: (tf.constant(False), tf.constant(1, tf.int64)),
    )
    animated = _REFUSED.format("an animated WebP", "a WebP of one image")
    problem = _first(
        (~(is_lossy | is_lossless | is_extended), "a WebP file without an image"),
        (length < _where(is_lossless, 25, 30), _CUT),
        (flags // 2 % 2 == 1, animated),
        (more, _MANY),
    )
    return _header(Format.WEBP, turn, height, width, problem)


def _webp_orientation(content: Any) -> tuple[Any, Any]:
    """Whether there are too many chunks, and the orientation of the first EXIF."""

    def step(place: Any) -> tuple[Any, Any]:
        size = _number(content, place + 4, 4, "<")
        more = (_part(content, place, 4) != b"EXIF") & (place + 8 <= _length(content))
        return more, place + 8 + size + size % 2

    more, place = _repeat(step, 30)
    size = tf.minimum(_number(content, place + 4, 4, "<"), _EXIF_LENGTH)
    return more, _orientation(_part(content, place + 8, size))


@_apart
def _foreign(content: Any) -> _Header:
    names = [
        (
            tf.reduce_any(_part(content, place, len(starts[0])) == tf.constant(starts)),
            _REFUSED.format(name, "JPEG, PNG or WebP"),
        )
        for name, place, starts in _FOREIGN
    ]
    is_empty = content == b""
    problem = _first(
        (is_empty, "the file is empty (0 bytes)"), *names, (True, "not an image of a known format")
    )
    return _header(Format.UNKNOWN, 1, 0, 0, problem)


@_apart
def _orientation(exif: Any) -> Any:
    """The orientation that EXIF holds in its first directory, int64 [], 1-8; or 1."""
    prefix = _where(_part(exif, 0, 6) == _EXIF, 6, 0)
    exif = _part(exif, prefix, _EXIF_LENGTH)
    is_big = _part(exif, 0, 2) == b"MM"
    is_tiff = is_big | (_part(exif, 0, 2) == b"II")

    def number(place: Any, size: int) -> Any:
        big, little = (_number(exif, place, size, order) for order in "><")
        return _where(is_big, big, little)

    start = number(4, 4)
    # Two more bytes, since those of the last entry may be missing: nothing is read of them.
    entries = _part(exif, start + 2, 12 * number(start, 2)) + b"\0\0"
    octets = tf.cast(tf.io.decode_raw(entries, tf.uint8), tf.int64)
    octets = tf.reshape(octets[: tf.size(octets) // 12 * 12], [-1, 12])

    def column(place: int) -> Any:
        first, second = octets[:, place], octets[:, place + 1]
        return tf.where(is_big, 256 * first + second, first + 256 * second)

    tag, kind, value = column(0), column(2), column(8)
    is_turn = is_tiff & (tag == 0x0112) & (kind == 3) & (value >= 1) & (value <= 8)
    return tf.concat([value[is_turn], [1]], 0)[0]


def _repeat(step: Any, place: int, *state: int) -> Any:
    """Runs `step` on a place in a file, and a state, int64 [], while it returns that there is more.

    Returns:
      Whether there is still more, and then the place and the state where it stopped.
    """

    def body(_: Any, *before: Any) -> Any:
        more, place, *state = step(*before)
        return more, _where(more, place, before[0]), *state

    start = (tf.constant(True), *(tf.constant(n, tf.int64) for n in (place, *state)))
    return tf.while_loop(lambda more, *_: more, body, start, maximum_iterations=_MOST)


def _length(content: Any) -> Any:
    return tf.cast(tf.strings.length(content), tf.int64)


def _part(content: Any, place: Any, length: Any) -> Any:
    """The bytes from `place` on: fewer where the file ends, none behind its end."""
    place = tf.minimum(tf.cast(place, tf.int64), _length(content))
    return tf.strings.substr(content, place, tf.cast(length, tf.int64))


def _number(content: Any, place: Any, size: int, order: str = ">") -> Any:
    """The unsigned number in `size` bytes, int64 []; bytes behind the end count as 0.

    `order` is ">" where the highest byte comes first, "<" where the lowest does.
    """
    powers = 256 ** np.arange(size)
    octets = tf.io.decode_raw(_part(content, place, size), tf.uint8, fixed_length=size)
    return tf.reduce_sum(tf.cast(octets, tf.int64) * powers[:: -1 if order == ">" else 1])


def _is_one_of(number: Any, choices: list[int]) -> Any:
    return tf.reduce_any(number == tf.constant(choices, tf.int64))


def _where(condition: Any, number: Any, other: Any) -> Any:
    """Int64 [...]: `tf.where` would take a bare int for an int32."""
    return tf.where(condition, tf.cast(number, tf.int64), tf.cast(other, tf.int64))


def _first(*problems: tuple[Any, Any]) -> Any:
    """The text beside the first condition that holds, string []; "" if none does."""
    holds, texts = zip(*problems, (True, ""), strict=True)
    return tf.gather(tf.stack(texts), tf.argmax(tf.cast(tf.stack(holds), tf.int32)))
