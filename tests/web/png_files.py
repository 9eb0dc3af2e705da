"""PNG files of every kind, made by hand where Pillow cannot write them."""

import itertools
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples of a pixel, by color type."""

DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Bits of a sample, by color type."""

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_WHOLE = ((0, 0, 1, 1),)
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png(
    samples: NDArray[np.int64],
    color: int,
    depth: int,
    *,
    interlaced: bool = False,
    filters: tuple[int, ...] = (0, 1, 2, 3, 4),
    before: bytes = b"",
) -> bytes:
    """A PNG file of samples [h, w, channels]; rows take turns with filters; `before` the pixels."""
    height, width = samples.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    rows = b"".join(_rows(samples, depth, _ADAM7 if interlaced else _WHOLE, filters))
    stream = zlib.compress(rows)
    parts = [stream[: len(stream) // 2], stream[len(stream) // 2 :]]
    pixels = b"".join(chunk(b"IDAT", part) for part in parts)
    return SIGNATURE + chunk(b"IHDR", header) + before + pixels + chunk(b"IEND", b"")


def _rows(
    samples: NDArray[np.int64],
    depth: int,
    passes: tuple[tuple[int, int, int, int], ...],
    filters: tuple[int, ...],
) -> Iterator[bytes]:
    size = max(samples.shape[2] * depth // 8, 1)
    kinds = itertools.cycle(filters)
    for x, y, right, down in passes:
        part = samples[y::down, x::right]
        if not part.size:
            continue
        rows = _packed(part.reshape(len(part), -1), depth).astype(np.int64)
        for row, above in zip(rows, np.vstack([0 * rows[:1], rows[:-1]]), strict=True):
            kind = next(kinds)
            yield bytes([kind]) + _filtered(row, above, kind, size)


def _packed(rows: NDArray[np.int64], depth: int) -> NDArray[np.uint8]:
    bits = rows[..., np.newaxis] >> np.arange(depth - 1, -1, -1) & 1
    return np.packbits(bits.reshape(len(rows), -1).astype(np.uint8), axis=1)


def _filtered(row: NDArray[np.int64], above: NDArray[np.int64], kind: int, size: int) -> bytes:
    left = np.concatenate([np.zeros(size, np.int64), row[:-size]])
    corner = np.concatenate([np.zeros(size, np.int64), above[:-size]])
    distances = np.abs(np.stack([left, above, corner]) - (left + above - corner))
    paeth = np.choose(np.argmin(distances, axis=0), [left, above, corner])
    guesses = (0 * row, left, above, (left + above) // 2, paeth)
    return ((row - guesses[kind]) % 256).astype(np.uint8).tobytes()


def with_checksums(content: bytes) -> bytes:
    """The same chunks with right checksums, as far as chunks can be found."""
    parts, at = [content[:8]], 8
    for kind, inner in chunks(content):
        parts.append(chunk(kind, inner))
        at += 12 + len(inner)
    return b"".join([*parts, content[at:]])


def with_stream(content: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """A copy in which a function changed the rows, before they are compressed."""
    found = list(chunks(content))
    rows = zlib.decompress(b"".join(inner for kind, inner in found if kind == b"IDAT"))
    before = [chunk(kind, inner) for kind, inner in found if kind not in (b"IDAT", b"IEND")]
    pixels = chunk(b"IDAT", zlib.compress(change(rows)))
    return b"".join([SIGNATURE, *before, pixels, chunk(b"IEND", b"")])


def chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kinds and contents of the chunks, up to one that is cut off."""
    at = 8
    while at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4])
        if end + 4 > len(content):
            return
        yield content[at + 4 : at + 8], content[at + 8 : end]
        at = end + 4
