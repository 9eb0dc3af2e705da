"""Encoded images -> what their headers say, inside the graph: where nothing was scanned before.

Sources: those of `mmdata.files.headers`, whose twin this is.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from mmdata.example import Example
from mmdata.files.headers import Format
from mmdata.files.limits import MAX_PIXELS
from mmdata.settings import as_dict

_MOST = 4096
"""Parts of a header that are read at most: some 50 are common, and a hostile file has millions."""

_EXIF = b"Exif\0\0"
_EXIF_LENGTH = 1 << 16

_PIXELS_PER_BYTE = 512  # each block of 8 x 8 takes a bit at least, in Huffman's code
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_NO_FRAME = {0xD9, 0xDA}
_BARE = {0x01, *range(0xD0, 0xD9)}

_JXL = b"\xff\x0a"
_JXL_BOXES = b"\0\0\0\x0cJXL \r\n\x87\n"
_JXL_HEAD = 32
_JXL_SIZES = (9, 13, 18, 30)
_JXL_RATIOS = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_LARGE = 1 << 31  # pixels: a side of which is too large, and whose square is an int64
_FAR = 1 << 40  # bytes: behind the end of every file, and far from where int64 overflows

_CUT = "the file ends inside its header"
_MANY = f"its header has more than {_MOST:,} parts"
_ADVICE = ", which TensorFlow does not decode: convert it to JPEG, or to PNG of RGB or RGBA"

_FOREIGN = {
    "a TIFF": (0, (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    "a JPEG 2000": (0, (b"\xff\x4f\xff\x51", b"\0\0\0\x0c")),
    "a PPM": (0, tuple(b"P%d%c" % (n, space) for n in range(1, 7) for space in b" \t\n\v\f\r")),
    "an AVIF": (8, (b"avif", b"avis")),
    "a HEIC": (8, (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")),
}
"""What only Pillow decodes: where its name lies, and how it starts."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadHeader:
    """Reads the header of the image file in `content`; decodes nothing.

    content: string [], the bytes of a file
      ->  format, orientation: int8 [], as `Decode` takes them; upright: int32 [2], height and width
        in pixels as the image is seen; problem: string [], why it must not be decoded, or ""

    Takes any bytes, and fails for none. Says what a scan says of each file that TensorFlow itself
    decodes. Where there is a `problem`, which holds for what only Pillow decodes, too, the format
    is UNKNOWN, and the size 0. Gives up at a header of more than 4,096 parts; a scan reads on.
    """

    to_dict = as_dict

    def __call__(self, example: Example) -> Example:
        content = example["content"]
        file = _File(content, tf.cast(tf.strings.length(content), tf.int64))
        kind, turn, height, width, problem = _read(file)
        pixels = tf.minimum(height, _LARGE) * tf.minimum(width, _LARGE)
        problem = _why(
            (problem != "", problem),
            (pixels == 0, "an image without pixels"),
            (pixels > MAX_PIXELS, f"more than {MAX_PIXELS:,} pixels"),
        )
        is_good = problem == ""
        sides = tf.where(turn >= 5, [width, height], [height, width])
        return {
            **example,
            "format": tf.cast(_if(is_good, kind, int(Format.UNKNOWN)), tf.int8),
            "orientation": tf.cast(_if(is_good, turn, 1), tf.int8),
            "upright": tf.cast(_if(is_good, sides, 0), tf.int32),
            "problem": problem,
        }


class _File(NamedTuple):
    """An image file: string [], and the number of its bytes, int64 []."""

    content: Any
    length: Any


_Header = tuple[Any, Any, Any, Any, Any]
"""Format, orientation, height and width as stored, int64 []; problem, string []."""


def _read(file: _File) -> _Header:
    count = len(_READERS)
    heads = tf.strings.substr(tf.fill([count], file.content), [0] * count, [*map(len, _READERS)])
    place = tf.reduce_max(tf.where(heads == tf.constant([*_READERS]), tf.range(1, count + 1), 0))
    readers = [_foreign, *_READERS.values()]
    return tf.switch_case(place, [functools.partial(reader, file) for reader in readers])  # type: ignore[no-any-return]


# Inlined, a branch would cost even where it is not taken: a graph visits each of its nodes.
_apart = functools.partial(
    tf.function, autograph=False, experimental_attributes={"_noinline": True}
)


def _header(kind: Format, height: Any, width: Any, problem: Any, turn: Any = 1) -> _Header:
    numbers = [tf.cast(number, tf.int64) for number in (int(kind), turn, height, width)]
    return (*numbers, problem)


def _steps() -> list[int]:
    """How far it is from each marker of a JPEG to the next: 0 to none, -1 as its length says."""
    lengths = {**dict.fromkeys(_BARE, 2), **dict.fromkeys(_FRAMES | _NO_FRAME, 0), 0xFF: 1}
    return [lengths.get(marker, -1) for marker in range(256)]


@_apart
def _jpeg(file: _File) -> _Header:
    steps = tf.constant(_steps(), tf.int64)

    def step(place: Any, turn: Any, _: Any) -> tuple[Any, Any, Any]:
        prefix, marker, size = _numbers(file, place, ">", 1, 1, 2)
        length = tf.gather(steps, marker)
        turn = tf.cond(
            (marker == 0xE1) & (size > 8) & (_part(file, place + 4, 6) == _EXIF),
            lambda: _orientation(_part(file, place + 10, size - 8)),
            lambda: turn,
        )
        more = (prefix == 0xFF) & (length != 0) & (place + 2 <= file.length)
        length = _if(length < 0, 2 + tf.maximum(size, 2), length)
        return _if(more, place + length, place), turn, more

    place, turn, more = _repeat(step, 2, 1)
    prefix, marker, _, height, width = _numbers(file, place, ">", 1, 1, 3, 2, 2)
    problem = _why(
        (more, _MANY),
        (place + 2 > file.length, _CUT),
        (prefix != 0xFF, "a JPEG marker is missing"),
        (marker >= min(_NO_FRAME), "the JPEG has no frame header"),
        (place + 9 > file.length, _CUT),
        (
            (marker < 0xC9) & (height * width > _PIXELS_PER_BYTE * file.length),
            "a JPEG of more pixels than its bytes can hold",
        ),
    )
    return _header(Format.JPEG, height, width, problem, turn)


@_apart
def _png(file: _File) -> _Header:
    width, height, _, colour = _numbers(file, 16, ">", 4, 4, 1, 1)
    has_no_palette = (colour == 0) | (colour == 2)

    def step(place: Any, turn: Any, is_keyed: Any, _: Any) -> tuple[Any, Any, Any, Any]:
        (length,) = _numbers(file, place, ">", 4)
        kind = _part(file, place + 4, 4)
        turn = tf.cond(
            kind == b"eXIf",
            lambda: _orientation(_part(file, place + 8, tf.minimum(length, _EXIF_LENGTH))),
            lambda: turn,
        )
        is_keyed |= (kind == b"tRNS") & has_no_palette
        more = (kind != b"IDAT") & (kind != b"IEND") & (place + 8 <= file.length)
        return _if(more, place + 12 + length, place), turn, is_keyed, more

    place, turn, is_keyed, more = _repeat(step, 33, 1, False)
    problem = _why(
        (more, _MANY),
        (place + 8 > file.length, _CUT),
        (is_keyed, f"a PNG with a transparent colour{_ADVICE}"),
    )
    return _header(Format.PNG, height, width, problem, turn)


@_apart
def _gif(file: _File) -> _Header:
    *size, flags = _numbers(file, 6, "<", 2, 2, 1)
    palette = _if(flags >= 0x80, 6 * 2 ** (flags % 8), 0)

    def step(place: Any, label: Any, is_clear: Any, _: Any) -> tuple[Any, Any, Any, Any]:
        """Passes over the start of an extension, whose label it takes, or over a block of it."""
        first, second = _numbers(file, place, "<", 1, 1)
        is_outside = label < 0
        more = (place < file.length) & (~is_outside | (first == ord("!")))
        is_clear |= (label == 0xF9) & (first > 0) & (second % 2 == 1)
        label = _if(is_outside, _if(more, second, -1), _if(first == 0, -1, label))
        return _if(more, place + _if(is_outside, 2, 1 + first), place), label, is_clear, more

    place, label, is_clear, more = _repeat(step, 13 + palette, -1, False)
    mark, left, top, *sides = _numbers(file, place, "<", 1, 2, 2, 2, 2)
    is_whole = tf.reduce_all(tf.stack([left, top, *sides]) == tf.stack([0, 0, *size]))
    problem = _why(
        (more, _MANY),
        ((label >= 0) | (place >= file.length), _CUT),
        (mark != ord(","), f"a GIF with stray bytes or without an image{_ADVICE}"),
        (place + 9 > file.length, _CUT),
        (is_clear, f"a transparent GIF{_ADVICE}"),
        (~is_whole, f"a GIF whose first frame is not of its size{_ADVICE}"),
    )
    return _header(Format.GIF, size[1], size[0], problem)


@_apart
def _bmp(file: _File) -> _Header:
    start, *sides, _, bits, compression = _numbers(file, 14, "<", 4, 4, 4, 2, 2, 4)
    width, height = (tf.minimum(side, (1 << 32) - side) for side in sides)  # two's complement
    is_new = start >= 40
    is_plain = is_new & ((bits == 24) | (bits == 32)) & (compression == 0)
    problem = _why(
        ((file.length < 18) | (is_new & (file.length < 34)), _CUT),
        (~is_plain, f"a BMP with a palette, bit fields or compression{_ADVICE}"),
    )
    return _header(Format.BMP, height, width, problem)


@_apart
def _webp(file: _File) -> _Header:
    kinds = {b"VP8 ": _vp8, b"VP8L": _vp8l, b"VP8X": _vp8x}
    kind = _part(file, 12, 4)
    place = tf.reduce_max(tf.where(kind == tf.constant([*kinds]), [1, 2, 3], 0))
    readers = [functools.partial(reader, file) for reader in kinds.values()]
    is_riff = _part(file, 8, 4) != b"WEBP"
    return tf.switch_case(  # type: ignore[no-any-return]
        tf.where(is_riff, 0, place), [lambda: _no_webp(is_riff), *readers]
    )


def _no_webp(is_riff: Any) -> _Header:
    problem = tf.where(is_riff, _STRANGE, "a WebP file without an image")
    return _header(Format.WEBP, 0, 0, problem)


def _vp8(file: _File) -> _Header:
    width, height = _numbers(file, 26, "<", 2, 2)
    return _header(Format.WEBP, height % 0x4000, width % 0x4000, _why((file.length < 30, _CUT)))


def _vp8l(file: _File) -> _Header:
    (bits,) = _numbers(file, 21, "<", 4)
    height, width = bits // 0x4000 % 0x4000 + 1, bits % 0x4000 + 1
    return _header(Format.WEBP, height, width, _why((file.length < 25, _CUT)))


def _vp8x(file: _File) -> _Header:
    flags, width, height = _numbers(file, 20, "<", 4, 3, 3)

    def step(place: Any, _: Any) -> tuple[Any, Any]:
        (length,) = _numbers(file, place + 4, "<", 4)
        more = (_part(file, place, 4) != b"EXIF") & (place + 8 <= file.length)
        return _if(more, place + 8 + length + length % 2, place), more

    def turn_and_more() -> tuple[Any, Any]:
        place, more = _repeat(step, 30)
        (length,) = _numbers(file, place + 4, "<", 4)
        return _orientation(_part(file, place + 8, tf.minimum(length, _EXIF_LENGTH))), more

    turn, more = tf.cond(
        flags // 8 % 2 == 1, turn_and_more, lambda: (tf.constant(1, tf.int64), tf.constant(False))
    )
    problem = _why(
        (file.length < 30, _CUT),
        (flags // 2 % 2 == 1, f"an animated WebP{_ADVICE}"),
        (more, _MANY),
    )
    return _header(Format.WEBP, height + 1, width + 1, problem, turn)


@_apart
def _boxed_jxl(file: _File) -> _Header:
    """The start of the codestream is put together from the boxes that hold it."""

    def step(place: Any, found: Any, _: Any) -> tuple[Any, Any, Any]:
        short, _, long = _numbers(file, place, ">", 4, 4, 8)
        kind = _part(file, place + 4, 4)
        size = tf.minimum(_if(short == 1, long, short), _FAR)
        head = _if(short == 1, 16, 8)
        start = head + _if(kind == b"jxlp", 4, 0)
        rest = _if(size == 0, _JXL_HEAD, tf.clip_by_value(size - start, 0, _JXL_HEAD))
        is_image = (kind == b"jxlc") | (kind == b"jxlp")
        found += _part(file, place + start, _if(is_image, rest, 0))
        more = (size >= head) & (place + 8 <= file.length)
        return place + tf.maximum(size, 0), found, more & (tf.strings.length(found) < _JXL_HEAD)

    _, found, more = _repeat(step, 0, b"")
    codestream = _File(found, tf.cast(tf.strings.length(found), tf.int64))
    kind, turn, height, width, problem = _jxl(codestream)
    problem = _why(
        (more, _MANY),
        (_part(codestream, 0, 2) != _JXL, "a JPEG XL file without an image"),
        (problem != "", problem),
    )
    return kind, turn, height, width, problem


@_apart
def _jxl(codestream: _File) -> _Header:
    octets = tf.stack(_numbers(codestream, 2, "<", *[1] * _JXL_HEAD))
    bits = tf.reshape(octets[:, tf.newaxis] // 2 ** np.arange(8) % 2, [-1])
    height, width, at = _jxl_size(bits, tf.constant(0, tf.int64))
    is_default = _taken(bits, at, 1) == 1
    is_extra = ~is_default & (_taken(bits, at + 1, 1) == 1)
    turn = _taken(bits, at + 2, 3) + 1
    _, _, behind = _jxl_size(bits, at + 6)  # the size at which to show it
    flags = _if(_taken(bits, at + 5, 1) == 1, behind, at + 6)
    end = _if(is_extra, flags + 2, _if(is_default, at + 1, at + 2))
    problem = _why(
        (end > 8 * (codestream.length - 2), _CUT),
        (is_extra & (_taken(bits, flags, 1) == 1), "a JPEG XL with a preview, not decoded"),
        (is_extra & (_taken(bits, flags + 1, 1) == 1), "an animated JPEG XL, not decoded"),
    )
    lies = is_extra & (turn >= 5)  # its decoder turns it upright
    return _header(Format.JXL, _if(lies, width, height), _if(lies, height, width), problem)


def _jxl_size(bits: Any, at: Any) -> tuple[Any, Any, Any]:
    """Height and width in a JPEG XL SizeHeader, and where it ends."""
    is_small = _taken(bits, at, 1) == 1

    def side(at: Any) -> tuple[Any, Any]:
        count = tf.gather(tf.constant(_JXL_SIZES, tf.int64), _taken(bits, at, 2))
        large, small = _taken(bits, at + 2, count) + 1, 8 * (_taken(bits, at, 5) + 1)
        return _if(is_small, small, large), at + _if(is_small, 5, 2 + count)

    height, at = side(at + 1)
    ratio = _taken(bits, at, 3)
    across, down = tf.unstack(tf.gather(tf.constant(_JXL_RATIOS, tf.int64), ratio))
    width, end = side(at + 3)
    is_free = ratio == 0
    return height, _if(is_free, width, height * across // down), _if(is_free, end, at + 3)


def _taken(bits: Any, at: Any, count: Any) -> Any:
    """The number in `count` bits, at most 30, the lowest first."""
    places = tf.range(30, dtype=tf.int64)
    some = tf.slice(bits, at[tf.newaxis], [30])
    return tf.reduce_sum(_if(places < count, some * 2**places, 0))


_STRANGE = "not an image of a known format"


@_apart
def _foreign(file: _File) -> _Header:
    names = (
        (tf.reduce_any(_part(file, at, len(starts[0])) == tf.constant(starts)), f"{name}{_ADVICE}")
        for name, (at, starts) in _FOREIGN.items()
    )
    problem = _why((file.length == 0, "the file is empty (0 bytes)"), *names, (True, _STRANGE))
    return _header(Format.UNKNOWN, 0, 0, problem)


_READERS: dict[bytes, Callable[[_File], _Header]] = {
    b"\xff\xd8\xff": _jpeg,
    b"\x89PNG\r\n\x1a\n": _png,
    b"GIF87a": _gif,
    b"GIF89a": _gif,
    b"BM": _bmp,
    b"RIFF": _webp,
    _JXL: _jxl,
    _JXL_BOXES: _boxed_jxl,
}
"""How files start, and what reads their headers."""


@_apart
def _orientation(exif: Any) -> Any:
    """The orientation that EXIF holds in its first directory, int64 [], 1-8; or 1."""
    prefix = _if(tf.strings.substr(exif, 0, 6) == _EXIF, 6, 0)
    exif = tf.strings.substr(exif, prefix, _EXIF_LENGTH)
    file = _File(exif, tf.cast(tf.strings.length(exif), tf.int64))
    order = _part(file, 0, 2)
    is_big = order == b"MM"

    def number(place: Any, size: int) -> Any:
        (little,), (big,) = (_numbers(file, place, order, size) for order in "<>")
        return _if(is_big, big, little)

    start = number(4, 4)
    entries = _part(file, start + 2, 12 * number(start, 2))
    # Two more bytes, since those of the last entry may be missing: nothing is read of them.
    octets = tf.io.decode_raw(entries + b"\0\0", tf.uint8)
    octets = tf.reshape(octets[: tf.size(octets) // 12 * 12], [-1, 6, 2])
    halves = tf.cast(tf.where(is_big, octets[..., ::-1], octets), tf.int64)
    words = halves[..., 0] + 256 * halves[..., 1]
    tag, kind, value = words[:, 0], words[:, 1], words[:, 4]
    is_turn = (tag == 0x0112) & (kind == 3) & (value >= 1) & (value <= 8)
    is_turn &= is_big | (order == b"II")
    return tf.concat([value[is_turn], [1]], 0)[0]


def _repeat(step: Any, place: Any, *state: Any) -> Any:
    """Runs `step` on a place in a file, and a state, while it says that there is more."""
    numbers = (tf.constant(n, tf.int64) if type(n) is int else tf.constant(n) for n in state)
    start = (tf.cast(place, tf.int64), *numbers, tf.constant(True))
    return tf.while_loop(lambda *s: s[-1], step, start, maximum_iterations=_MOST)


def _part(file: _File, place: Any, length: Any) -> Any:
    """The bytes from `place` on: fewer where the file ends, none behind its end."""
    place = tf.minimum(tf.cast(place, tf.int64), file.length)
    return tf.strings.substr(file.content, place, tf.cast(length, tf.int64))


def _numbers(file: _File, place: Any, order: str, *sizes: int) -> list[Any]:
    """Unsigned numbers of so many bytes, one behind another, int64 []; 0 behind the end.

    Args:
      file: The file.
      place: Where the first one begins.
      order: "<" if they begin with their lowest byte, ">" with their highest.
      sizes: Bytes of each.
    """
    count = sum(sizes)
    octets = tf.io.decode_raw(_part(file, place, count), tf.uint8, fixed_length=count)
    octets, weights = tf.cast(octets, tf.int64), tf.constant(_weights(order, sizes))
    return tf.unstack(tf.reduce_sum(octets * weights, -1))  # type: ignore[no-any-return]


def _weights(order: str, sizes: Sequence[int]) -> Any:
    """What each byte counts in each number: int64 [numbers, bytes]."""
    weights = np.zeros((len(sizes), sum(sizes)), np.int64)
    for row, size in enumerate(sizes):
        start = sum(sizes[:row])
        powers = 256 ** np.arange(size)
        weights[row, start : start + size] = powers if order == "<" else powers[::-1]
    return weights


def _if(condition: Any, number: Any, other: Any) -> Any:
    """Int64 [...]: `tf.where` would take a bare int for an int32."""
    return tf.where(condition, tf.cast(number, tf.int64), tf.cast(other, tf.int64))


def _why(*problems: tuple[Any, Any]) -> Any:
    """The text beside the first condition that holds, string []; "" if none does."""
    holds, texts = zip(*problems, (True, ""), strict=True)
    return tf.gather(tf.stack(texts), tf.argmax(tf.cast(tf.stack(holds), tf.int32)))
