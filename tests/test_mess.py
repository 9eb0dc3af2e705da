"""Training on a folder with corrupt files and bombs goes on, within its memory."""

import io
import json
import pathlib
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from PIL import Image

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]

pytestmark = pytest.mark.slow

GIGABYTES = 2
SIDE = 48
GOOD_COUNT = 252

# Trains, then shows each image once, unshuffled and resized to its own size.
TRAINING = r"""
import json, pathlib, re, resource, sys
import numpy as np
import mmdata

def peak():
    # In gigabytes. On Linux, `resource` includes what the process held that started this one.
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30

folder, side = sys.argv[1], int(sys.argv[2])
common = dict(on_problem="drop", image_size=(side, side), text="byte", sequence_length=24)
train = mmdata.build(folder, batch_size=16, **common)
model = mmdata.Captioner.from_dataset(train)
history = model.fit(train, epochs=2, verbose=0)
shown = {}
for x, y, weight in mmdata.build(folder, shuffle=False, pixels="uint8", **common):
    names = train.tokenizer.detokenize(y).numpy()
    for name, image, row in zip(names, x["images"].numpy(), weight.numpy(), strict=True):
        shown[name.decode()] = [bool(row.any()), image.tolist()]
print(json.dumps({
    "loss": history.history["loss"],
    "shown": shown,
    "findings": {f.path: f.detail for f in train.report.findings if f.kind == "corrupt"},
    "gigabytes": peak(),
}))
"""


def picture(number: int) -> Image.Image:
    y, x = np.mgrid[:SIDE, :SIDE]
    waves = [np.sin(x / 5 + number), np.cos(y / 7 + number), np.sin((x + y) / 9 - number)]
    return Image.fromarray((np.stack(waves, -1) * 120 + 128).astype(np.uint8))


def encoded(kind: str, number: int, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture(number).save(buffer, kind, **options)
    return buffer.getvalue()


def patched_jpeg(height: int, width: int) -> bytes:
    """A JPEG of 48 x 48 whose header promises more."""
    content = bytearray(encoded("JPEG", 0))
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(content)


def corrupt() -> dict[str, bytes]:
    jpeg, png, gif, webp = (encoded(kind, 0) for kind in ("JPEG", "PNG", "GIF", "WEBP"))
    bitmap, tiff = encoded("BMP", 0), encoded("TIFF", 0)
    return {
        "cut.jpg": jpeg[: len(jpeg) // 2],
        "header.jpg": jpeg[:25],
        "empty.jpg": b"",
        "zeros.jpg": bytes(5000),
        "page.jpg": b"<html><body>404 Not Found</body></html>",
        "cut.png": png[: len(png) // 2],
        "checksum.png": png[:60] + b"\0" + png[61:],
        "cut.gif": gif[:-300],
        "cut.webp": webp[: len(webp) // 2],
        "cut.bmp": bitmap[:-2000],
        "cut.tiff": tiff[: len(tiff) // 2],
    }


def bombs() -> dict[str, bytes]:
    sides = (16382 | 16382 << 14).to_bytes(4, "little")
    webp = b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f" + sides + b"\x10\x88\x88\xfe\x07\0\0\0\0"
    assert len(webp) == 34
    return {
        "bomb.webp": webp,
        "bomb.jpg": patched_jpeg(65_000, 65_000),
        "patched.jpg": patched_jpeg(13_000, 13_000),  # few enough pixels, but not in these bytes
    }


def good() -> dict[str, bytes]:
    kinds = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
    files = {
        f"{number}.{suffix}": encoded(kinds[suffix], number)
        for number in range(GOOD_COUNT)
        for suffix in [list(kinds)[number % 3]]
    }
    palette, buffer = picture(1).convert("P", palette=Image.Palette.ADAPTIVE), io.BytesIO()
    palette.save(buffer, "BMP")
    frames = [picture(number) for number in (2, 3)]
    animated = encoded("WEBP", 1, lossless=True, save_all=True, append_images=frames)
    return files | {"palette.bmp": buffer.getvalue(), "animated.webp": animated}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory, write: Write) -> dict[str, Any]:
    files: dict[str, str | bytes] = dict(good() | corrupt() | bombs())
    captions = {f"{name.replace('.', '_')}": name for name in files}
    folder = tmp_path_factory.mktemp("mess")
    write(
        folder,
        {f"{stem}{pathlib.Path(name).suffix}": files[name] for stem, name in captions.items()},
    )
    write(folder, {f"{stem}.txt": name for stem, name in captions.items()})
    command = [sys.executable, "-c", TRAINING, str(folder), str(SIDE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=540, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def test_a_twentieth_of_the_files_is_corrupt_in_ten_ways() -> None:
    bad = len(corrupt() | bombs())
    assert len(corrupt()) >= 10
    assert 0.05 <= bad / (bad + len(good())) < 0.06


def test_trains_to_the_end_within_its_memory(outcome: dict[str, Any]) -> None:
    first, second = outcome["loss"]
    assert 0 < second < first
    assert outcome["gigabytes"] < GIGABYTES


def test_each_bad_file_is_named_with_a_reason(outcome: dict[str, Any]) -> None:
    bad = {f"{name.replace('.', '_')}{pathlib.Path(name).suffix}" for name in corrupt() | bombs()}
    assert outcome["findings"].keys() == bad
    assert all(outcome["findings"].values())


def test_each_good_file_is_right_and_each_bad_one_weighs_nothing(outcome: dict[str, Any]) -> None:
    files = good()
    assert outcome["shown"].keys() == (files | corrupt() | bombs()).keys()
    for name, (weighs, image) in outcome["shown"].items():
        assert weighs == (name in files), name
        if name in files:
            with Image.open(io.BytesIO(files[name])) as opened:
                expected = np.asarray(opened.convert("RGB")).astype(int)
            assert np.abs(np.array(image) - expected).max() <= 1, name
        else:
            assert not np.any(image), name
