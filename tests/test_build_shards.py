"""Batches from tar shards equal those from files; a damaged shard does not hang."""

import io
import json
import os
import pathlib
import tarfile
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from batches import assert_same, epoch_of  # type: ignore[import-not-found]
from PIL import Image

import mmdata
from mmdata import Classification
from mmdata.files.blobs import Blobs
from mmdata.images.load import Load
from mmdata.images.verify import verify
from mmdata.stages.resize import Resize

SMALL: dict[str, Any] = {
    "pixels": "uint8",
    "image_size": (6, 5),
    "sequence_length": 8,
    "text": "word",
    "batch_size": 4,
}


def encode(format_: str, seed: int, orientation: int = 1, **options: Any) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, format_, exif=exif, **options)
    return buffer.getvalue()


IMAGES = {
    "a.gif": encode("GIF", 0),
    "b.jpg": encode("JPEG", 1),
    "c turned.jpg": encode("JPEG", 2, 6),
    "d.png": encode("PNG", 3),
    "e.webp": encode("WEBP", 4, lossless=True),
    "f.bmp": encode("BMP", 5),
    "g turned.webp": encode("WEBP", 6, 3),
    "h.jpg": encode("JPEG", 7),
}
CAPTIONS = {
    name: [f"image {row}", f"again {row}"][: row % 2 + 1] for row, name in enumerate(IMAGES)
}
LABELS = {name: name.rpartition(".")[2] for name in IMAGES}
JPEGS = {name: content for name, content in IMAGES.items() if name in ("b.jpg", "h.jpg")}


def pack(path: pathlib.Path, images: dict[str, bytes]) -> pathlib.Path:
    """A shard of images with their captions and labels."""
    with tarfile.open(path, "w") as archive:
        for name, content in images.items():
            stem, suffix = os.path.splitext(name)
            fields = {"label": LABELS[name], "weight": len(stem)}
            text = "\n".join(CAPTIONS[name]).encode()
            parts = {suffix: content, ".txt": text, ".json": json.dumps(fields).encode()}
            for ending, part in parts.items():
                info = tarfile.TarInfo(stem + ending)
                info.size = len(part)
                archive.addfile(info, io.BytesIO(part))
    return path


@pytest.fixture
def shards(tmp_path: pathlib.Path) -> pathlib.Path:
    """Two shards: `0.tar` with five images, `1.tar` with three."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for shard, names in (("0.tar", list(IMAGES)[:5]), ("1.tar", list(IMAGES)[5:])):
        pack(folder / shard, {name: IMAGES[name] for name in names})
    return folder


@pytest.fixture
def files(tmp_path: pathlib.Path) -> mmdata.Pairs:
    """The same images as files, with the same captions, labels and weights."""
    folder = tmp_path / "files"
    folder.mkdir()
    lines = []
    for name, content in IMAGES.items():
        (folder / name).write_bytes(content)
        fields = {"label": LABELS[name], "weight": len(os.path.splitext(name)[0])}
        lines.append(json.dumps({"file_name": name, "captions": CAPTIONS[name], **fields}))
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    return mmdata.read(folder)


def corrupt(report: mmdata.PairingReport) -> dict[str, str]:
    return {found.path: found.detail for found in report.findings if found.kind == "corrupt"}


@pytest.mark.parametrize(
    "task", ["captioning", "retrieval", Classification(column="label")], ids=lambda t: str(t)[:14]
)
def test_same_batches_as_from_files(shards: pathlib.Path, files: mmdata.Pairs, task: Any) -> None:
    options = {**SMALL, "task": task, "seed": 3, "on_problem": "drop"}
    packed, unpacked = mmdata.build(shards, **options), mmdata.build(files, **options)
    for _ in range(2):
        batches = epoch_of(packed)
        assert_same(batches, epoch_of(unpacked))
    pictures = [array for batch in batches for array in batch if array.ndim == 4]
    assert len({image.tobytes() for part in pictures for image in part}) == len(IMAGES)
    assert corrupt(packed.report) == {}


def test_same_batches_of_upright_jpegs(tmp_path: pathlib.Path, files: mmdata.Pairs) -> None:
    shard = pack(tmp_path / "s.tar", JPEGS)
    jpegs = files.filter(np.array([name in JPEGS for name in files.images]))
    assert_same(epoch_of(mmdata.build(shard, **SMALL)), epoch_of(mmdata.build(jpegs, **SMALL)))


def test_splits_and_shares_are_the_same_as_of_files(
    shards: pathlib.Path, files: mmdata.Pairs
) -> None:
    ratios = {"train": 0.5, "validation": 0.5}
    packed, unpacked = mmdata.read(shards).split(ratios), files.split(ratios)
    assert packed.split_labels == unpacked.split_labels
    options = {**SMALL, "split": ("train", "validation"), "batch_size": 2}
    parts = zip(mmdata.build(packed, **options), mmdata.build(unpacked, **options), strict=True)
    for ds, other in parts:
        assert_same(epoch_of(ds), epoch_of(other))
        assert 0 < len(ds.pairs) < len(IMAGES)
    options = {**SMALL, "task": "retrieval", "shard": (1, 2)}
    batches, expected = (epoch_of(mmdata.build(pairs, **options)) for pairs in (packed, unpacked))
    assert_same(batches, expected)


def test_rows_keep_their_members(shards: pathlib.Path) -> None:
    pairs = mmdata.read(shards)
    rows = np.array([7, 2, 2, 0])
    _, split = pairs.split({"train": 0.5, "rest": 0.5}), pairs.take(rows).split({"rest": 1.0})
    chosen = [
        pairs,
        pairs.take(rows),
        split.subset("rest"),
        pairs.sample(3),
        mmdata.merge([pairs, pairs]),
    ]
    for part in chosen:
        for row, name in enumerate(part.images):
            with part.open(row) as file:
                assert file.read() == IMAGES[name.partition("/")[2]]
    assert list(split.images) == ["1.tar/h.jpg", *["0.tar/c turned.jpg"] * 2, "0.tar/a.gif"]


def test_gallery_shows_members(shards: pathlib.Path) -> None:
    page = mmdata.read(shards).gallery(8)
    assert page.count('<img src="data:image/webp;base64,') == len(IMAGES)
    assert "<bdi>image 7</bdi><br><bdi>again 7</bdi>" in page
    assert "unreadable" not in page


# Damage.


def broken(shards: pathlib.Path) -> pathlib.Path:
    """The shards with a cut image in the second one."""
    images = {name: IMAGES[name] for name in list(IMAGES)[5:]}
    pack(shards / "1.tar", images | {"h.jpg": IMAGES["h.jpg"][:-60]})
    return shards


def test_corrupt_member_stops_a_strict_run_by_name(shards: pathlib.Path) -> None:
    ds = mmdata.build(broken(shards), **SMALL)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"1\.tar/h\.jpg.*cannot be decoded"):
        list(ds)
    assert list(corrupt(ds.report)) == ["1.tar/h.jpg"]


def test_corrupt_member_keeps_its_place(shards: pathlib.Path, files: mmdata.Pairs) -> None:
    options = {**SMALL, "task": Classification(column="label"), "on_problem": "drop"}
    packed = mmdata.build(broken(shards), **options)
    blank = []
    for (x, y, weight), (x_good, y_good, weight_good) in zip(
        packed, mmdata.build(files, **options), strict=True
    ):
        lost = np.max(x, axis=(1, 2, 3)) == 0
        blank += lost.tolist()
        np.testing.assert_array_equal(y, y_good)
        np.testing.assert_array_equal(weight, np.where(lost, 0, weight_good))
        np.testing.assert_array_equal(x, np.where(lost[:, None, None, None], 0, x_good))
    assert sorted(blank) == [False] * 7 + [True]
    reason = f"premature end of data after {len(IMAGES['h.jpg']) - 60:,} bytes"
    assert corrupt(packed.report) == {"1.tar/h.jpg": reason}


def valid_of(ds: mmdata.Dataset) -> dict[str, bool]:
    """Whether each image counts, of a dataset for classification in the order of rows."""
    weights = np.concatenate([weight for _, _, weight in ds])
    return dict(zip(ds.pairs.images, (weights > 0).tolist(), strict=True))


@pytest.mark.parametrize("is_gone", [False, True], ids=["cut", "gone"])
def test_shard_that_is_damaged_after_reading(shards: pathlib.Path, is_gone: bool) -> None:
    _, pairs = mmdata.read(shards).scanned()
    assert pairs.blobs is not None
    shard = shards / "0.tar"
    if is_gone:
        shard.unlink()
    else:
        os.truncate(shard, int(pairs.blobs.start[3]) + 200)
    options = {**SMALL, "task": Classification(column="label"), "shuffle": False}
    ds = mmdata.build(pairs, **options, on_problem="drop")
    lost = ["0.tar/d.png", "0.tar/e.webp"]
    reasons = ["premature end of data after 200 bytes", "Input is empty."]
    if is_gone:
        lost = [name for name in pairs.images if name.startswith("0.tar")]
        reasons = ["No such file or directory"] * 5
    assert valid_of(ds) == {name: name not in lost for name in pairs.images}
    assert list(corrupt(ds.report)) == lost
    for found, reason in zip(corrupt(ds.report).values(), reasons, strict=True):
        assert reason in found
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"0\.tar/.*cannot be decoded"):
        list(mmdata.build(pairs, **options))
    assert corrupt(verify(pairs).report) == corrupt(ds.report)


def test_shard_that_went_before_it_was_scanned(shards: pathlib.Path) -> None:
    pairs = mmdata.read(shards)
    (shards / "0.tar").unlink()
    with pytest.raises((FileNotFoundError, mmdata.PairingError), match=r"0\.tar"):
        mmdata.build(pairs, **SMALL)


# The stage alone.


@pytest.fixture
def blobs(tmp_path: pathlib.Path) -> Blobs:
    """Members at odd places of two files; the last one ends behind its file."""
    (tmp_path / "x").write_bytes(b"0123456789\0\0")
    (tmp_path / "y").write_bytes(b"abcdef")
    shard, start, size = np.array([[0, 8, 4], [1, 0, 3], [0, 2, 0], [1, 1, 2], [1, 4, 9]]).T
    paths = (str(tmp_path / "x"), str(tmp_path / "y"))
    return Blobs(paths, shard.astype(np.int32), start, size)


CONTENTS = [b"89\0\0", b"abc", b"", b"bc", b"ef"]
ROWS: dict[str, list[int]] = {"all": [0, 1, 2, 3, 4], "mixed": [3, 0, 3, 4], "one": [2], "none": []}


def unread(rows: Any) -> dict[str, Any]:
    """Members of which nothing is known but the format, which is one that the graph decodes."""
    jpeg = tf.zeros(tf.shape(rows), tf.int8)
    return {"row": rows, "path": tf.fill(tf.shape(rows), ""), "format": jpeg}


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS.keys())
def test_read_members(blobs: Blobs, rows: list[int]) -> None:
    stage = Load(resize=Resize(size=(2, 2)), blobs=blobs)
    example = {**unread(tf.constant(rows, tf.int64)), "other": tf.constant("kept")}
    for run in (stage, tf.function(stage)):
        read = run(example)
        assert read["content"].numpy().tolist() == [CONTENTS[row] for row in rows]
        assert read["other"] == b"kept"
        assert (read["content"].dtype, read["content"].shape) == (tf.string, (len(rows),))
    assert "content" not in example


def test_read_members_of_a_file_that_went(blobs: Blobs) -> None:
    os.unlink(blobs.shards[0])
    stage = Load(resize=Resize(size=(2, 2)), blobs=blobs)
    ds = tf.data.Dataset.range(5).batch(3).map(lambda rows: stage(unread(rows)))
    assert ds.element_spec["content"] == tf.TensorSpec([None], tf.string)
    contents = [content for batch in ds for content in batch["content"].numpy()]
    assert contents == [b"", b"abc", b"", b"bc", b"ef"]


def test_labels_of_shards_need_no_captions(tmp_path: pathlib.Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for n, name in enumerate(["x", "y"]):
            for end, content in ((".png", encode("PNG", n)), (".cls", str(n + 3).encode())):
                header = tarfile.TarInfo(name + end)
                header.size = len(content)
                tar.addfile(header, io.BytesIO(content))
    task = Classification(column="cls")
    (batch,) = mmdata.build(tmp_path, task=task, image_size=(8, 8), shuffle=False)
    assert batch[1].numpy().tolist() == [3, 4]
