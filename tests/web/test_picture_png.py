"""The PNG decoder of mmdata.js against that of mmdata."""

import contextlib
import io
import itertools
import json
import pathlib
import struct
import subprocess
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from pictures import oriented  # type: ignore[import-not-found]

from mmdata.files.headers import Format, read_header
from mmdata.images import decode as pillow
from mmdata.images.decode_in_graph import Decode
from tests.web.png_files import CHANNELS, DEPTHS, SIGNATURE, chunk, png, with_checksums, with_stream

pytestmark = pytest.mark.slow

Result = NDArray[np.uint8] | dict[str, str]
Run = Callable[[Sequence[bytes]], list[Any]]

_BACKGROUND = (250, 17, 100)
_SCRIPT = pathlib.Path(__file__).with_name("decode_png_files.js")


@pytest.fixture(scope="module")
def run(node: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Decodes files in Node: pixels, or {"name", "message"} of the error."""

    def decode(files: Sequence[bytes]) -> list[Result]:
        folder = tmp_path_factory.mktemp("png")
        ends = np.cumsum([0, *map(len, files)]).tolist()
        jobs = list(itertools.pairwise(ends))
        (folder / "files.raw").write_bytes(b"".join(files))
        (folder / "jobs.json").write_text(json.dumps({"background": _BACKGROUND, "jobs": jobs}))
        subprocess.run([node, _SCRIPT, folder], check=True, timeout=300)
        pixels, at = np.fromfile(folder / "result.raw", np.uint8), 0
        results: list[Result] = []
        for result in json.loads((folder / "result.json").read_text()):
            if "shape" in result:
                end = at + int(np.prod(result["shape"]))
                results.append(pixels[at:end].reshape(result["shape"]))
                at = end
            else:
                results.append(result)
        assert (at, len(results)) == (len(pixels), len(files))
        return results

    return decode


def by_python(content: bytes) -> Any:
    """The pixels that the pipeline gets."""
    header = read_header(io.BytesIO(content))
    if header.format == Format.PILLOW:
        return pillow.decode(content, _BACKGROUND)
    example = {
        "format": tf.constant(int(header.format), tf.int8),
        "orientation": tf.constant(header.orientation, tf.int8),
        "content": tf.constant(content),
    }
    return Decode(background=_BACKGROUND, strict=True)(example)["image"].numpy()


def extras(color: int, depth: int) -> dict[str, bytes]:
    """Chunks before the pixels, by name: palettes, and transparency."""
    rng = np.random.default_rng(depth)
    if color == 3:
        count = min(1 << depth, 200)  # of 8 bits: some indices have no color
        colors = chunk(b"PLTE", rng.bytes(3 * count))
        alphas = chunk(b"tRNS", rng.bytes(count - 1))
        return {"opaque": colors, "transparent": colors + alphas}
    top = (1 << depth) - 1
    if color == 0:
        return {"opaque": b"", "transparent": chunk(b"tRNS", struct.pack(">H", top // 3))}
    if color == 2:
        key = struct.pack(">3H", top, top // 2, 0)
        return {"opaque": b"", "transparent": chunk(b"tRNS", key)}
    return {"opaque": b""}


def files() -> dict[tuple[Any, ...], bytes]:
    """Every color type, depth, transparency, and both orders of pixels, at odd sizes."""
    rng = np.random.default_rng(0)
    found = {}
    for color, depths in DEPTHS.items():
        for depth in depths:
            for name, before in extras(color, depth).items():
                for interlaced in (False, True):
                    for size in ((1, 1), (3, 2), (13, 21), (1, 30), (30, 1)):
                        top = 1 << depth
                        levels = np.array([0, top // 3, top // 2, top - 1])
                        samples = rng.choice(levels, (*size, CHANNELS[color]))
                        noise = rng.integers(0, top, samples.shape)
                        samples = np.where(rng.random(samples.shape) < 0.5, samples, noise)
                        if color == 2 and size[0] > 1:
                            samples[1, 0] = top - 1, (top - 1) // 2, 0
                        key = color, depth, name, interlaced, size
                        found[key] = png(
                            samples, color, depth, interlaced=interlaced, before=before
                        )
    return found


def test_every_kind_equals_python(run: Run) -> None:
    made = files()
    for key, content, found in zip(made, made.values(), run([*made.values()]), strict=True):
        assert isinstance(found, np.ndarray), (key, found)
        assert np.array_equal(found, by_python(content)), key


def test_every_alpha_on_the_background_equals_python(run: Run) -> None:
    grey, alpha = np.meshgrid(np.arange(256), np.arange(256))
    content = png(np.stack([grey, alpha], axis=-1), 4, 8)
    assert np.array_equal(run([content])[0], by_python(content))


@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_orientation_is_applied(run: Run, prefix: bytes) -> None:
    samples = np.random.default_rng(0).integers(0, 256, (3, 5, 3))
    contents = [
        png(samples, 2, 8, before=chunk(b"eXIf", prefix + oriented(turn).tobytes()[6:]))
        for turn in range(1, 9)
    ]
    found = run(contents)
    assert len({image.tobytes() for image in found}) == 8
    for content, image in zip(contents, found, strict=True):
        assert np.array_equal(image, by_python(content))


def header(width: int, height: int, *rest: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">II5B", width, height, *(rest or (8, 2, 0, 0, 0))))


_GREY = png(np.arange(12).reshape(3, 4, 1), 0, 8)
_START = SIGNATURE + header(4, 3, 8, 0, 0, 0, 0)
_DATA = _GREY[len(_START) : -12]
_CUT = 12 + int.from_bytes(_DATA[:4])
_TEXT = chunk(b"tEXt", b"a\0b")
_END = chunk(b"IEND", b"")

DAMAGED = {
    "premature end of data": [
        _GREY[:20], _GREY[:-20], _GREY[:-12], _GREY[:-1], SIGNATURE,
        SIGNATURE + header(4, 4, 8, 0, 0, 0, 0) + _DATA + _END,
    ],
    "checksum of its IDAT chunk": [_GREY[:-13] + b"x" + _GREY[-12:]],
    "checksum of its IHDR chunk": [_GREY[:20] + b"\1" + _GREY[21:]],
    "compressed pixels are damaged": [_START + chunk(b"IDAT", b"no zlib stream") + _END],
    "IHDR is not its first chunk": [
        SIGNATURE + _DATA + _END, _START + _START[8:] + _DATA + _END, SIGNATURE + _END,
    ],
    "no pixels": [_START + _END],
    "another chunk is between": [_START + _DATA[:_CUT] + _TEXT + _DATA[_CUT:] + _END],
    "palette is missing": [SIGNATURE + header(4, 3, 8, 3, 0, 0, 0) + _DATA + _END],
    "unknown kind, \"CgBI\"": [_START + chunk(b"CgBI", b"") + _DATA + _END],
    "filter 5": [_START + chunk(b"IDAT", zlib.compress(b"\5" * 15)) + _END],
    "color type 5": [SIGNATURE + header(4, 3, 8, 5, 0, 0, 0) + _DATA + _END],
    "with 4 bits": [SIGNATURE + header(4, 3, 4, 2, 0, 0, 0) + _DATA + _END],
    "interlace method": [SIGNATURE + header(4, 3, 8, 0, 0, 0, 2) + _DATA + _END],
    "not between 1 and 178,956,970 in all": [
        SIGNATURE + header(0, 3) + _DATA + _END, SIGNATURE + header(20_000, 20_000) + _DATA + _END,
    ],
    "it does not have all rows": [SIGNATURE + header(13_000, 13_000) + _DATA + _END],
}  # fmt: skip
"""Parts of messages -> files that give them; Python refuses each file too."""


def test_damaged_files_give_clear_errors(run: Run) -> None:
    pairs = [(text, file) for text, files in DAMAGED.items() for file in files]
    for (text, file), found in zip(pairs, run([file for _, file in pairs]), strict=True):
        assert isinstance(found, dict), text
        assert found["name"] == "Error"
        assert text in found["message"]
        with pytest.raises((tf.errors.OpError, ValueError)):
            by_python(file)


def mutated(rng: np.random.Generator, content: bytes) -> bytes:
    """A copy with bytes changed, removed or repeated."""

    def change(content: bytes) -> bytes:
        for _ in range(rng.integers(1, 4)):
            at, length = rng.integers(0, len(content)), rng.integers(1, 9)
            middle = (rng.bytes(int(length)), b"", 2 * content[at : at + length])[rng.integers(3)]
            content = content[:at] + middle + content[at + length :]
        return content

    kind = rng.integers(3)
    if kind == 0:
        return with_stream(content, change)
    damaged = SIGNATURE + change(content[8:])
    return with_checksums(damaged) if kind == 1 else damaged


def test_2000_damaged_files_give_a_picture_or_an_error(run: Run) -> None:
    rng = np.random.default_rng(0)
    sound = [file for key, file in files().items() if key[-1] == (13, 21)]
    damaged = [mutated(rng, sound[i % len(sound)]) for i in range(2_000)]
    found = run(damaged)
    assert all(isinstance(result, np.ndarray) or result["name"] == "Error" for result in found)
    decoded = [i for i, result in enumerate(found) if isinstance(result, np.ndarray)]
    assert 80 < len(decoded) < 1_000
    for i in decoded:
        with contextlib.suppress(tf.errors.OpError, ValueError):
            assert np.array_equal(found[i], by_python(damaged[i]))
