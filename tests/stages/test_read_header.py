"""ReadHeader in the graph equals a scan, also on damaged files."""

import io
import pathlib
import struct
import time
from random import Random
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from test_headers import (  # type: ignore[import-not-found]
    DECODED,
    JPEG,
    MAGICS,
    PILLOW,
    PNG,
    REFUSED,
    WEBP,
    app1,
    chunk,
    exif,
    patched,
    riff,
    segment,
)

from mmdata.files.headers import Format, HeaderError, read_header
from mmdata.files.limits import MAX_PIXELS
from mmdata.files.scan import scan
from mmdata.images.decode_in_graph import Decode
from mmdata.sampling.size_buckets import upright_sizes
from mmdata.stages.read_header import ReadHeader

SAMPLES = pathlib.Path(__file__).parents[2] / "sample_data" / "images"

Said = tuple[int, int, tuple[int, int]]
"""Format, orientation, and upright size; UNKNOWN, 1 and 0 x 0 of what is refused."""

READ = (Format.JPEG, Format.PNG, Format.WEBP)
NOTHING: Said = (Format.UNKNOWN, 1, (0, 0))


def expected(content: bytes) -> Said:
    """What a scan says of JPEG, PNG and WebP; everything else is refused."""
    try:
        found = read_header(io.BytesIO(content))
    except (HeaderError, ImportError):
        return NOTHING
    if found.format not in READ or not 0 < found.height * found.width <= MAX_PIXELS:
        return NOTHING
    sides = (found.height, found.width)
    return found.format, found.orientation, sides[::-1] if found.orientation >= 5 else sides


probed_in_graph = tf.function(
    lambda contents: tf.map_fn(
        lambda content: ReadHeader()({"content": content}),
        contents,
        fn_output_signature={
            "content": tf.string,
            "format": tf.int8,
            "orientation": tf.int8,
            "upright": tf.TensorSpec([2], tf.int32),
            "problem": tf.string,
        },
    ),
    input_signature=[tf.TensorSpec([None], tf.string)],
)


def probed(contents: list[bytes]) -> list[tuple[Said, str]]:
    """What ReadHeader says of each, and its problem."""
    found = {name: column.numpy() for name, column in probed_in_graph(contents).items()}
    assert found["content"].tolist() == contents
    assert (found["format"].dtype, found["orientation"].dtype) == (np.int8, np.int8)
    columns = (found[name].tolist() for name in ("format", "orientation", "upright", "problem"))
    return [
        ((kind, turn, (height, width)), problem.decode())
        for kind, turn, (height, width), problem in zip(*columns, strict=True)
    ]


def require_parity(contents: list[bytes]) -> None:
    for content, (found, problem) in zip(contents, probed(contents), strict=True):
        assert found == expected(content), (content[:80], problem)
        assert bool(problem) == (found == NOTHING)


HEADS: dict[str, bytes] = {name: content for name, (content, _) in DECODED.items()}
HEADS |= PILLOW
HEADS |= {name: content for name, (content, _) in REFUSED.items()}
HEADS |= {
    "JPEG of as many pixels as fit": patched(64, 512 * len(JPEG) // 64),
    "JPEG of more": patched(64, 512 * len(JPEG) // 64 + 1),
    "JPEG of arithmetic coding": patched(13_000, 13_000).replace(b"\xff\xc0", b"\xff\xc9", 1),
    "JPEG of no height": patched(0, 21),
    "JPEG turned twice": JPEG[:2] + segment(0xE1, app1(3)) + segment(0xE1, app1(6)) + JPEG[2:],
    "JPEG, EXIF twice named": JPEG[:2] + segment(0xE1, b"Exif\0\0" + app1(6)) + JPEG[2:],
    "JPEG, EXIF of another type": JPEG[:2]
    + segment(0xE1, b"Exif\0\0" + exif(6, kind=4))
    + JPEG[2:],
    "PNG turned out of range": PNG[:33] + chunk(b"eXIf", exif(9)) + PNG[33:],
    "PNG turned twice": PNG[:33] + chunk(b"eXIf", exif(9) + exif(6)) + PNG[33:],
    "PNG of too many pixels": PNG[:16] + struct.pack(">II", 20_000, 20_000) + PNG[24:],
    "PNG of as many as may be": PNG[:16] + struct.pack(">II", 10, MAX_PIXELS // 10) + PNG[24:],
    "PNG of sides that overflow": PNG[:16] + struct.pack(">II", 2**32 - 1, 2**32 - 1) + PNG[24:],
    "WebP, EXIF behind an odd chunk": riff(
        (b"VP8X", b"\x08\0\0\0\x14\0\0\x20\0\0"), (b"VP8 ", b"odd"), (b"EXIF", exif(6))
    ),
    "PNG, EXIF cut behind the value": PNG[:33] + chunk(b"eXIf", exif(6)[:36]) + PNG[33:],
    "WebP bomb": riff((b"VP8L", b"\x2f" + (0x3FFF * 0x4001).to_bytes(4, "little"))),
}


def test_what_a_scan_says() -> None:
    require_parity(list(HEADS.values()))
    good = sum(expected(content) != NOTHING for content in HEADS.values())
    assert (good, len(HEADS)) == (112, 225)


def test_headers_cut_anywhere() -> None:
    names = ["JPEG EXIF big-endian 6", "PNG eXIf behind text 5", "WebP EXIF RGBA 8"]
    names += ["WebP lossy", "WebP lossless", "GIF animated", "JPEG XL in a box"]
    heads = [HEADS[name] for name in names]
    require_parity([head[:length] for head in heads for length in range(0, min(len(head), 160), 2)])


SEEDS = st.integers(0, 2**32)
BYTES = [0, 1, 0x7F, 0x80, 0xFF]


def mutated(content: bytes, random: Random) -> bytes:
    made = bytearray(content)
    for _ in range(random.randrange(8)):
        place = random.choice([random.randrange(80), random.randrange(2000)])
        made[place % len(made)] = random.choice([*BYTES, random.randrange(256)])
    return bytes(made[: random.choice([len(made), random.randrange(80), random.randrange(2000)])])


@pytest.mark.filterwarnings("ignore")  # Pillow warns of metadata that is damaged
@given(SEEDS)
@settings(max_examples=12)
def test_mutated_bytes(seed: int) -> None:
    random = Random(seed)
    require_parity([mutated(content, random) for content in HEADS.values() if content])


@pytest.mark.filterwarnings("ignore")
@given(SEEDS)
@settings(max_examples=8)
def test_any_bytes(seed: int) -> None:
    random = Random(seed)
    starts = [b"", *MAGICS] * 8
    require_parity([start + random.randbytes(random.randrange(99)) for start in starts])


ENDLESS = {
    "JPEG fill bytes": b"\xff\xd8" + b"\xff" * 10**6,
    "JPEG segments": b"\xff\xd8" + b"\xff\xe0\0\2" * 10**5,
    "PNG chunks": PNG[:33] + b"\0\0\0\0tEXt\0\0\0\0" * 10**5,
    "WebP chunks": WEBP[:12]
    + b"VP8X\x0a\0\0\0\x08\0\0\0\x14\0\0\x20\0\0"
    + b"junk\0\0\0\0" * 10**5,
}


def test_gives_up_headers_without_end() -> None:
    start = time.monotonic()
    for (found, problem), name in zip(probed(list(ENDLESS.values())), ENDLESS, strict=True):
        assert (found, problem) == (NOTHING, "its header has more than 4,096 parts"), name
    assert time.monotonic() - start < 30  # a million steps take minutes


def test_reads_long_headers() -> None:
    text = chunk(b"tEXt", b"a\0b") * 3000
    require_parity([PNG[:33] + text + PNG[33:], JPEG[:2] + segment(0xFE, b"") * 3000 + JPEG[2:]])


WHY = {
    "empty": "the file is empty (0 bytes)",
    "text": "not an image of a known format",
    "WAV": "not an image of a known format",
    "MP4": "not an image of a known format",
    "WebP of no image": "a WebP file without an image",
    "JPEG of no frame": "the JPEG has no frame header",
    "JPEG with a hole": "a JPEG marker is missing",
    "JPEG of tables": "the file ends inside its header",
    "JPEG of more": "a JPEG of more pixels than its bytes can hold",
    "JPEG of no height": "an image without pixels",
    "WebP bomb": "more than 178,956,970 pixels",
    "PNG of too many pixels": "more than 178,956,970 pixels",
}
OTHERS = "JPEG, PNG or WebP"
WHAT = {
    "AVIF": ("an AVIF", OTHERS),
    "BMP 24": ("a BMP", OTHERS),
    "BMP palette": ("a BMP", OTHERS),
    "GIF": ("a GIF", OTHERS),
    "GIF transparent": ("a GIF", OTHERS),
    "HEIF": ("a HEIC", OTHERS),
    "JPEG 2000": ("a JPEG 2000", OTHERS),
    "JPEG 2000 without boxes": ("a JPEG 2000", OTHERS),
    "JPEG XL": ("a JPEG XL", OTHERS),
    "JPEG XL in a box": ("a JPEG XL", OTHERS),
    "PPM 1 bit": ("a PPM", OTHERS),
    "TIFF big": ("a TIFF", OTHERS),
    "TIFF big-endian": ("a TIFF", OTHERS),
    "TIFF LZW": ("a TIFF", OTHERS),
    "PNG keyed": ("a PNG with a transparent colour", "PNG with alpha"),
    "WebP animated": ("an animated WebP", "a WebP of one image"),
    "WebP animated RGBA": ("an animated WebP", "a WebP of one image"),
}


def test_why() -> None:
    refused = "{}, which ImageDecoder does not decode: convert it to {}"
    expected = WHY | {name: refused.format(*what) for name, what in WHAT.items()}
    problems = [problem for _, problem in probed([HEADS[name] for name in expected])]
    assert dict(zip(expected, problems, strict=True)) == expected


def test_real_files(coco: pathlib.Path) -> None:
    """Also eagerly, and behind it, `Decode` knows all it needs."""
    paths = [str(path) for folder in (SAMPLES, coco) for path in sorted(folder.rglob("*"))]
    paths = [path for path in paths if pathlib.Path(path).suffix in (".jpg", ".png", ".webp")]
    assert len(paths) > 600
    seen = scan("/", paths)
    assert not seen.problems
    found: dict[str, Any] = probed_in_graph([pathlib.Path(p).read_bytes() for p in paths])
    np.testing.assert_array_equal(found["format"], seen.formats)
    np.testing.assert_array_equal(found["orientation"], seen.orientations)
    np.testing.assert_array_equal(found["upright"], upright_sizes(seen))
    example = ReadHeader()({"content": tf.constant(HEADS["JPEG EXIF big-endian 6"])})
    image = Decode()(example)["image"]
    assert tuple(example["upright"].numpy()) == image.shape[:2] == (21, 33)
