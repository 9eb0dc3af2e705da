"""`mmdata.verify`: finds and remembers files that cannot be decoded, until they are fixed."""

import io
import os
import pathlib
import re
import struct
import tarfile
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mmdata
from mmdata.files.headers import Format
from mmdata.images.verify import verify

LONG_AGO = 10**9
MESS = pathlib.Path(__file__).parents[2] / "sample_data" / "messy"
SMALL: dict[str, Any] = {"image_size": (8, 8), "sequence_length": 4, "text": "byte"}


pytestmark = pytest.mark.usefixtures("settled")


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder for records."""
    monkeypatch.setenv("MMDATA_HOME", str(tmp_path_factory.mktemp("home")))


def encode(format_: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
    Image.fromarray(noise).save(buffer, format_, **options)
    return buffer.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that promises this many pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    checksum = struct.pack(">I", zlib.crc32(head))
    return b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + head + checksum + encode("PNG")[33:]


JPEG, PNG, GIF, WEBP = (encode(name) for name in ("JPEG", "PNG", "GIF", "WEBP"))
GOOD = {"0 good.jpg": JPEG, "0 good.png": PNG, "0 good.gif": GIF, "0 good.webp": WEBP}
BAD: dict[str, tuple[bytes, str]] = {
    "bomb.png": (bomb(60_000, 60_000), "60000 x 60000 pixels, not between 1 and 178,956,970"),
    "cut in its header.jpg": (JPEG[:40], "the file ends inside its header"),
    "cut.bmp": (encode("BMP")[:-9], "premature end of data after 1,197 bytes"),
    "cut.gif": (GIF[:-20], f"premature end of data after {len(GIF) - 20:,} bytes"),
    "cut.jpg": (JPEG[:-20], f"premature end of data after {len(JPEG) - 20:,} bytes"),
    "cut.png": (PNG[: len(PNG) // 2], f"premature end of data after {len(PNG) // 2:,} bytes"),
    "cut.webp": (WEBP[:-20], "premature end of data after"),
    "damaged.png": (PNG[:200] + b"\0" + PNG[201:], "Invalid PNG data"),
    "empty.jpg": (b"", "the file is empty (0 bytes)"),
    "none.png": (bomb(0, 8), "8 x 0 pixels, not between 1 and"),
    "text.jpg": (b"<html>not found</html>", "not an image of a known format"),
}


FILES = GOOD | {name: content for name, (content, _) in BAD.items()}


def put(path: pathlib.Path, content: bytes, modified: int = LONG_AGO) -> None:
    path.write_bytes(content)
    os.utime(path, (modified, modified))


@pytest.fixture
def images(tmp_path: pathlib.Path) -> pathlib.Path:
    """Images of long ago, four good ones among them; `captions.csv` beside the folder."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name, content in FILES.items():
        put(folder / name, content)
    lines = ["file_name,caption", *(f"{name},caption of {name}" for name in FILES)]
    (tmp_path / "captions.csv").write_text("\n".join(lines))
    return folder


def read(images: pathlib.Path) -> mmdata.Pairs:
    return mmdata.read(images, images.parent / "captions.csv")


def corrupt(pairs: mmdata.Pairs) -> dict[str, str]:
    return {found.path: found.detail for found in pairs.report.findings if found.kind == "corrupt"}


def test_every_bad_file_is_named_with_its_reason(images: pathlib.Path) -> None:
    pairs = read(images)
    before = corrupt(pairs.scanned()[1])
    assert set(before) < set(BAD)
    verified = verify(pairs)
    found = corrupt(verified)
    assert set(found) == set(BAD)
    for name, reason in found.items():
        assert BAD[name][1] in reason
        assert not re.search(r"[{}]|Op:| name:|function_node|device", reason)
    assert list(verified.images) == list(pairs.images)
    assert list(verified.captions) == list(pairs.captions)
    problems = dict(zip(verified.images, verified.to_pandas()["problem"], strict=True))
    assert problems == dict.fromkeys(GOOD, "") | found
    assert verified.report.counts["corrupt"] == len(BAD)
    assert corrupt(pairs) == {}

    again = verify(verified)
    assert corrupt(again) == corrupt(verify(read(images))) == found
    assert again.report.counts == verified.report.counts


def test_build_stops_or_goes_on_knowing_them(images: pathlib.Path) -> None:
    verified = verify(read(images))
    with pytest.raises(mmdata.PairingError, match=r"cut\.gif") as caught:
        mmdata.build(verified, **SMALL)
    assert {found.path for found in caught.value.findings} == set(BAD)

    ds = mmdata.build(verified, on_problem="drop", shuffle=False, **SMALL)
    ((x, _, weight),) = list(ds)
    weights = dict(zip(ds.pairs.images, np.sum(weight, axis=1) > 0, strict=True))
    assert weights == dict.fromkeys(GOOD, True) | dict.fromkeys(BAD, False)
    brightest = dict(zip(ds.pairs.images, np.max(x["images"], axis=(1, 2, 3)) > 0, strict=True))
    assert brightest == weights
    assert sorted(f.path for f in ds.report.problems) == sorted(BAD)


def test_later_it_is_known_without_decoding(images: pathlib.Path) -> None:
    found = corrupt(verify(read(images)))
    captions = images.parent / "captions.csv"
    with pytest.raises(mmdata.PairingError) as caught:
        mmdata.build(images, captions, **SMALL)
    assert {error.path: error.detail for error in caught.value.findings} == found
    scan, scanned = read(images).scanned()
    assert corrupt(scanned) == found
    refused = np.flatnonzero(scan.formats == Format.UNKNOWN)
    assert {scanned.images[row] for row in refused.tolist()} == set(BAD)
    part = np.flatnonzero([name in ("cut.jpg", "0 good.jpg") for name in scanned.images])
    assert corrupt(read(images).take(part).scanned()[1]) == {"cut.jpg": found["cut.jpg"]}


def test_fixed_files_are_forgotten(images: pathlib.Path) -> None:
    verify(read(images))
    assert len(BAD["damaged.png"][0]) == len(PNG)
    for name in BAD:
        put(images / name, encode(Image.registered_extensions()[name[name.rindex(".") :]]))
    assert corrupt(read(images).scanned()[1]) == {}
    assert corrupt(verify(read(images))) == {}
    put(images / "cut.jpg", JPEG[:-20], LONG_AGO + 2)
    assert corrupt(read(images).scanned()[1]) == {}
    assert set(corrupt(verify(read(images)))) == {"cut.jpg"}


def test_a_file_that_went_is_named(images: pathlib.Path) -> None:
    pairs = read(images)
    _, scanned = pairs.scanned()
    for name in ("0 good.jpg", "0 good.webp"):
        (images / name).unlink()
    for gone in (verify(scanned), verify(pairs)):
        for name in ("0 good.jpg", "0 good.webp"):
            assert corrupt(gone)[name] == "No such file or directory"
    for name in ("0 good.jpg", "0 good.webp"):
        put(images / name, GOOD[name])
    assert set(corrupt(verify(read(images)))) == set(BAD)


def test_an_older_file_that_comes_back_is_not_blamed(images: pathlib.Path) -> None:
    _, scanned = read(images).scanned()
    assert "0 good.png" not in corrupt(scanned)
    (images / "0 good.png").write_bytes(PNG[:99])  # too new to be kept
    assert "0 good.png" in corrupt(verify(read(images)))
    put(images / "0 good.png", PNG)
    assert "0 good.png" not in corrupt(read(images).scanned()[1])


def test_good_files_give_no_findings(images: pathlib.Path) -> None:
    pairs = read(images)
    good = verify(pairs.take(np.flatnonzero([name in GOOD for name in pairs.images])))
    assert corrupt(good) == {}
    assert set(good.to_pandas()["problem"]) == {""}
    jpeg = verify(good.take(np.array([list(good.images).index("0 good.jpg")])))
    assert jpeg.scan is not None
    assert jpeg.scan.plain
    assert len(verify(pairs.take(np.array([], np.int64)))) == 0


def test_plain_jpegs(images: pathlib.Path) -> None:
    pairs = read(images)
    names = ("0 good.jpg", "cut.jpg")
    jpegs = pairs.take(np.flatnonzero([name in names for name in pairs.images]))
    assert set(corrupt(verify(jpegs))) == {"cut.jpg"}


def test_members_of_shards(tmp_path: pathlib.Path) -> None:
    for shard, names in (("a.tar", list(FILES)[::2]), ("b.tar", list(FILES)[1::2])):
        with tarfile.open(tmp_path / shard, "w") as archive:
            for place, name in enumerate(names):
                for suffix, content in ((name.rpartition(".")[2], FILES[name]), ("txt", b"a")):
                    info = tarfile.TarInfo(f"{place} {name.rpartition('.')[0]}.{suffix}")
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
        os.utime(tmp_path / shard, (LONG_AGO, LONG_AGO))
    verified = verify(mmdata.read(tmp_path))
    found = corrupt(verified)
    assert {re.sub(r"[ab]\.tar/\d+ ", "", path) for path in found} == set(BAD)
    for path, reason in found.items():
        assert BAD[path.partition(" ")[2]][1] in reason
    assert corrupt(mmdata.read(tmp_path).scanned()[1]) == found
    with pytest.raises(mmdata.PairingError, match=r"[ab]\.tar/\d+ bomb\.png"):
        mmdata.build(tmp_path, **SMALL)


def test_pairing_problems_stay_in_the_report() -> None:
    pairs = mmdata.read(MESS, on_problem="drop")
    verified = verify(pairs)
    assert verified.report.counts == pairs.report.counts | {"corrupt": 1}
    (found,) = (found for found in verified.report.problems if found.kind == "corrupt")
    assert found.path == "download (1).jpg"
    assert "premature end of data" in found.detail


def test_is_a_function_however_often_it_is_asked_for() -> None:
    assert all(callable(mmdata.verify) for _ in range(2))
