"""`mmdata.build(cache=)`: the same batches, computed once, and never a wrong pixel."""

import gc
import io
import os
import pathlib
import re
import shutil
import tarfile
import types
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from batches import Batch, assert_same, epoch_of  # type: ignore[import-not-found]
from PIL import Image

import mmdata
from mmdata.files.image_files import Source
from mmdata.images import checksums as checksums_module
from mmdata.storage.row_store import Store, clear
from mmdata.storage.shards import contents

Rewrite = Callable[..., None]

SIZES = [(30, 45), (45, 30), (40, 40), (28, 56)]
COUNT = 10
KEEPING = re.compile(r"keeping (\d+) rows")


def picture(number: int, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    height, width = SIZES[number % len(SIZES)]
    pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def images(tmp_path: pathlib.Path) -> pathlib.Path:
    """Ten images: JPEG, one of them turned, a PNG, a TIFF, which only Pillow reads."""
    root = tmp_path / "images"
    root.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    files = {f"{n}.jpg": picture(n) for n in range(COUNT - 3)}
    files |= {
        "7.jpg": picture(7, exif=exif),
        "8.png": picture(8, "PNG"),
        "9.tiff": picture(9, "TIFF"),
    }
    for name, content in files.items():
        (root / name).write_bytes(content)
        (root / name).with_suffix(".txt").write_text(f"a cat on the left\nnumber {name[0]}")
    return root


def build(images: Any, cache: Any = None, **options: Any) -> mmdata.Dataset:
    made: dict[str, Any] = {"pixels": mmdata.Pixels(size=(16, 16)), "batch_size": 4}
    made |= {"text": "byte", "sequence_length": 32, "seed": 3, "cache": cache}
    ds: mmdata.Dataset = mmdata.build(images, **made | options)
    return ds


_known: dict[tuple[bytes, ...], list[Batch]] = {}


def without_cache(images: pathlib.Path) -> list[Batch]:
    """The first epoch without a cache; of files with the same contents, built once."""
    contents = tuple(path.read_bytes() for path in sorted(images.iterdir()))
    if contents not in _known:
        _known[contents] = epoch_of(build(images))
    return _known[contents]


@pytest.fixture
def kept(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """A folder, and how many images were decoded for it since this was asked last."""
    folder = tmp_path / "kept"

    def decoded() -> int:
        return sum(map(int, KEEPING.findall(capsys.readouterr().err)))

    return folder, decoded


CASES: dict[str, dict[str, Any]] = {
    "pad": {
        "pixels": mmdata.Pixels(
            size=(16, 24), fit="pad", interpolation="bicubic", normalize="uint8"
        ),
        "shuffle": False,
    },
    "middle": {"pixels": mmdata.Pixels(size=(16, 16), fit="crop", load_size=(20, 20))},
    "fast": {"pixels": mmdata.Pixels(size=(5, 5), fit="crop", quality="fast")},
    "buckets": {"pixels": mmdata.Pixels(fit="crop", buckets=((16, 16), (12, 24), (24, 12)))},
    "augmented": {"augment": (mmdata.RandomCrop(), mmdata.Flip(), mmdata.Color())},
    "buckets, augmented": {
        "pixels": mmdata.Pixels(fit="crop", buckets=((16, 16), (12, 24), (24, 12))),
        "augment": (mmdata.Flip(captions_aware=False), mmdata.Grayscale(p=0.5)),
        "text": mmdata.Text(tokenizer="byte", length=32, buckets=(12,)),
        "sequence_length": None,
    },
    "words, a shard": {
        "task": mmdata.Captioning(template="see: {caption}", dropout=0.5),
        "shard": (1, 2),
    },
    "retrieval": {"task": mmdata.Retrieval(captions="all")},
    "references": {"task": "references"},
    "blocks, the rest dropped": {
        "shuffle": mmdata.Blocks(window=2, rows=2),
        "batch_size": mmdata.Batching(size=8, remainder="drop"),
    },
    "wrapped": {"batch_size": mmdata.Batching(size=8, remainder="wrap"), "task": "retrieval"},
}


@pytest.mark.parametrize("case", CASES)
def test_the_same_batches_as_without(case: str, images: pathlib.Path, kept: Any) -> None:
    folder, decoded = kept
    without = build(images, **CASES[case])
    first, second = epoch_of(without), epoch_of(without)
    filling = build(images, folder, **CASES[case])
    assert decoded() == COUNT
    assert_same(epoch_of(filling), first)
    again = build(images, folder, **CASES[case])
    assert decoded() == 0
    assert again.element_spec == without.element_spec
    assert_same(epoch_of(again), first)
    assert_same(epoch_of(again), second)


def test_fixed_sizes_are_known(images: pathlib.Path, kept: Any) -> None:
    batches = mmdata.Batching(size=4, remainder="drop")
    for cache in (None, kept[0]):
        x, y, weight = build(images, cache, batch_size=batches).element_spec
        assert x["images"].shape == (4, 16, 16, 3)
        assert {spec.shape[0] for spec in (*x.values(), y, weight)} == {4}


def test_members_of_shards(images: pathlib.Path, tmp_path: pathlib.Path, kept: Any) -> None:
    folder, decoded = kept
    for number in range(2):
        with tarfile.open(tmp_path / f"{number}.tar", "w") as archive:
            for path in sorted(images.iterdir())[number * 10 : number * 10 + 10]:
                archive.add(path, path.name)
    without = build(tmp_path / "{0..1}.tar", shuffle="blocks")
    assert_same(
        epoch_of(build(tmp_path / "{0..1}.tar", folder, shuffle="blocks")), epoch_of(without)
    )
    assert decoded() == COUNT
    # Members have the name of their shard in theirs, so they are other images than the files.
    build(images, folder)
    assert decoded() == COUNT


def test_true_is_a_folder_of_the_user(
    images: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMDATA_HOME", str(tmp_path / "home"))
    build(images, True)
    (one,) = contents(tmp_path / "home" / "pixels")
    assert (one.rows, one.shape, one.dtype) == (COUNT, (16, 16, 3), "uint8")
    assert not set(os.listdir(images)) - {
        f"{n}.{end}" for n in range(COUNT) for end in ("jpg", "png", "tiff", "txt")
    }


def test_splits_share_a_cache(images: pathlib.Path, kept: Any) -> None:
    folder, decoded = kept
    pairs = mmdata.read(images)
    build(pairs, folder)
    assert decoded() == COUNT
    halves = pairs.split({"train": 0.5, "validation": 0.5})
    build(halves, folder, split=("train", "validation"))
    build(pairs.take(np.array([3, 5])), folder, task="retrieval", seed=9, batch_size=2)
    build(pairs, folder, pixels=mmdata.Pixels(size=(16, 16), normalize="imagenet"))
    assert decoded() == 0
    build(pairs, folder, pixels=mmdata.Pixels(size=(16, 16), interpolation="bicubic"))
    assert decoded() == COUNT


def test_only_a_changed_image_is_decoded_again(images: pathlib.Path, kept: Any) -> None:
    folder, decoded = kept
    build(images, folder)
    decoded()
    (images / "3.jpg").write_bytes(picture(23))
    assert_same(epoch_of(build(images, folder)), without_cache(images))
    assert decoded() == 1


def test_also_if_only_its_middle_changes(images: pathlib.Path, kept: Any) -> None:
    """Of the same length, with the same first and last 4 KiB: the same content key."""
    folder, decoded = kept
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for shade in (0, 255):
        noise[30:34] = shade
        Image.fromarray(noise).save(images / "3.ppm")
        (images / "3.jpg").unlink(missing_ok=True)
        content = (images / "3.ppm").read_bytes()
        assert len(content) > 3 * 4096
        assert_same(epoch_of(build(images, folder)), without_cache(images))
    assert decoded() == COUNT + 1


def test_images_of_a_folder_that_moved_are_known_again(
    images: pathlib.Path, tmp_path: pathlib.Path, kept: Any
) -> None:
    folder, decoded = kept
    build(images, folder)
    decoded()
    elsewhere = tmp_path / "elsewhere"
    shutil.move(images, elsewhere)
    assert_same(epoch_of(build(elsewhere, folder)), without_cache(elsewhere))
    assert decoded() == 0


def square(shade: int) -> bytes:
    """A JPEG of one shade: of one length, with the same first and last 4 KiB as any other."""
    buffer = io.BytesIO()
    image = Image.new("RGB", (16, 16), (shade, shade, shade))
    image.save(buffer, "JPEG", quality=90, icc_profile=bytes(5000))
    return buffer.getvalue().ljust(16_384, b"\0")


def pack(folder: pathlib.Path, shard: pathlib.Path) -> None:
    with tarfile.open(shard, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name)
    os.utime(shard, (1, 1))


@pytest.fixture(params=["files", "shard"])
def squares(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> pathlib.Path:
    """Three squares of one time, from dark to bright, as files or in a shard."""
    root = tmp_path / "squares"
    root.mkdir()
    for number, shade in enumerate([50, 100, 150]):
        (root / f"{number}.jpg").write_bytes(square(shade))
        (root / f"{number}.txt").write_text(f"of shade {shade}")
        os.utime(root / f"{number}.jpg", (1, 1))
    if request.param == "files":
        return root
    pack(root, tmp_path / "squares.tar")
    return tmp_path / "squares.tar"


def changed(squares: pathlib.Path, shade: int) -> tuple[pathlib.Path, bytes]:
    """The file to write, and its content, so that the square in the middle has another shade."""
    if squares.is_dir():
        return squares / "1.jpg", square(shade)
    content = bytearray(squares.read_bytes())
    with tarfile.open(squares) as archive:
        begin = archive.getmember("1.jpg").offset_data
    content[begin : begin + 16_384] = square(shade)
    return squares, bytes(content)


def shades(ds: mmdata.Dataset) -> list[int]:
    ((x, _, _),) = ds
    return [int(image.mean()) for image in x["images"].numpy()]


SQUARES: dict[str, Any] = {
    "pixels": mmdata.Pixels(size=(16, 16), normalize="uint8"),
    "shuffle": False,
    "task": mmdata.Captioning(captions="all"),
}


@pytest.fixture
def read_whole(monkeypatch: pytest.MonkeyPatch) -> Any:
    """How many files were read for their checksums since this was asked last."""
    rows: list[int] = []
    real = checksums_module._read

    def note(source: Source, row: int) -> int:
        rows.append(row)
        return real(source, row)

    def count() -> int:
        found = len(rows)
        rows.clear()
        return found

    monkeypatch.setattr(checksums_module, "_read", note)
    return count


def test_images_with_the_same_first_and_last_bytes(squares: pathlib.Path, kept: Any) -> None:
    assert shades(build(squares, kept[0], **SQUARES)) == [50, 100, 150]
    assert kept[1]() == 3


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("inode", [False, True], ids=["in place", "another file"])
def test_another_middle_behind_the_same_time(
    squares: pathlib.Path, kept: Any, rewrite: Rewrite, inode: bool
) -> None:
    folder, decoded = kept
    build(squares, folder, **SQUARES)
    decoded()
    path, content = changed(squares, 200)
    before = os.stat(path)
    rewrite(path, content, inode=inode)
    after = os.stat(path)
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    assert shades(build(squares, folder, **SQUARES)) == [50, 200, 150]
    assert decoded() == 1


@pytest.mark.usefixtures("settled")
def test_copies_are_compared_and_not_decoded(
    squares: pathlib.Path, tmp_path: pathlib.Path, kept: Any, read_whole: Any
) -> None:
    folder, decoded = kept
    build(squares, folder, **SQUARES)
    assert (decoded(), read_whole()) == (3, 3)
    build(squares, folder, **SQUARES)
    assert (decoded(), read_whole()) == (0, 0)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.np?")}
    for path in [squares, *squares.rglob("*")]:  # as `touch` or a checkout does
        os.utime(path, (2, 2))
    copy = tmp_path / "elsewhere" / squares.name
    copy.parent.mkdir()
    copied = shutil.copytree if squares.is_dir() else shutil.copyfile
    copied(squares, copy)
    for source in (squares, copy):
        for reads in (3, 0):
            assert shades(build(source, folder, **SQUARES)) == [50, 100, 150]
            assert read_whole() == reads
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.np?")} == before
    path, content = changed(copy, 200)
    path.write_bytes(content)
    os.utime(path, (3, 3))
    assert shades(build(copy, folder, **SQUARES)) == [50, 200, 150]
    assert decoded() == 1
    assert shades(build(squares, folder, **SQUARES)) == [50, 100, 150]
    assert decoded() == 0


@pytest.mark.usefixtures("settled")
def test_rows_are_known_without_the_scans_of_before(
    squares: pathlib.Path,
    tmp_path: pathlib.Path,
    kept: Any,
    read_whole: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, decoded = kept
    for home in ("a", "b"):
        monkeypatch.setenv("MMDATA_HOME", str(tmp_path / home))
        build(squares, folder, **SQUARES)
    assert (decoded(), read_whole()) == (3, 3)


@pytest.mark.usefixtures("settled")
def test_a_file_that_changes_with_an_unchanged_time_is_not_cached(
    squares: pathlib.Path, kept: Any, rewrite: Rewrite, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, decoded = kept
    real = checksums_module._read

    def change_and_read(source: Source, row: int) -> int:
        if row == 1:
            rewrite(*changed(squares, 200))
        return real(source, row)

    with monkeypatch.context() as patch:
        patch.setattr(checksums_module, "_read", change_and_read)
        ds = build(squares, folder, **SQUARES, on_problem="drop")
    assert shades(ds)[1] == 0
    decoded()
    assert shades(build(squares, folder, **SQUARES)) == [50, 200, 150]
    assert decoded() == (1 if squares.is_dir() else 3)


def test_pairs_that_were_scanned_before_are_looked_at_again(
    images: pathlib.Path, kept: Any
) -> None:
    folder, decoded = kept
    _, pairs = mmdata.read(images).scanned()
    build(pairs, folder)
    (images / "3.jpg").write_bytes(picture(23))
    assert_same(epoch_of(build(pairs, folder)), without_cache(images))
    assert decoded() == COUNT + 1


def test_an_image_that_changes_while_filling_is_not_cached(
    images: pathlib.Path, kept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, decoded = kept
    real = Store.fill

    def change_and_fill(*arguments: Any, **options: Any) -> Any:
        (images / "3.jpg").write_bytes(picture(23))
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "fill", change_and_fill)
        ds = build(images, folder, on_problem="drop")
    weights = [bool(row.any()) for _, _, weight in ds for row in weight.numpy()]
    assert weights.count(False) == 2
    assert_same(epoch_of(build(images, folder)), without_cache(images))
    assert decoded() == COUNT + 1


def cut(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def test_corrupt_images_are_named_before_training(images: pathlib.Path, kept: Any) -> None:
    cut(images / "2.jpg")
    cut(images / "8.png")
    with pytest.raises(mmdata.PairingError) as caught:
        build(images, kept[0])
    assert {found.path for found in caught.value.findings} == {"2.jpg", "8.png"}
    assert "premature end" in str(caught.value)


def test_budgets_count_all_splits(images: pathlib.Path, kept: Any) -> None:
    halves = mmdata.read(images).split({"train": 0.5, "validation": 0.5})
    for split in halves.split_names:
        cut(images / halves.subset(split).images[0])
    for allowed in (1, 1, 2):
        problems = mmdata.Problems(corrupt="drop", budget=allowed)
        options: dict[str, Any] = {"split": ("train", "validation"), "on_problem": problems}
        if allowed == 2:
            mmdata.build(halves, cache=kept[0], text="byte", sequence_length=32, **options)
        else:
            with pytest.raises(mmdata.PairingError, match=r"allows 1 problem.*got 2"):
                mmdata.build(halves, cache=kept[0], text="byte", sequence_length=32, **options)


def test_a_dataset_that_goes_takes_its_maps_along(images: pathlib.Path, kept: Any) -> None:
    ds = build(images, kept[0])
    kept_by_maps = [weakref.ref(part) for part in (ds.plan.cached, ds.plan.look_up)]
    for _ in ds:
        pass
    del ds
    gc.collect()
    assert [part() for part in kept_by_maps] == [None, None]


def test_an_iterator_keeps_what_it_reads(images: pathlib.Path, kept: Any) -> None:
    seen = 0
    for x, _, _ in build(images, kept[0]).map(lambda *batch: batch).prefetch(1):
        gc.collect()
        seen += len(x["images"])
    assert seen == 2 * COUNT


def test_invalid_folders(images: pathlib.Path) -> None:
    with pytest.raises(NotADirectoryError, match="must be a folder"):
        build(images, images / "1.txt")
    for cache in ("", images):
        with pytest.raises(ValueError, match="cache"):
            build(images, cache)


def test_corrupt_images_are_blank_and_decoded_again(images: pathlib.Path, kept: Any) -> None:
    folder, decoded = kept
    whole = (images / "2.jpg").read_bytes()
    cut(images / "2.jpg")
    for pixels in (
        mmdata.Pixels(size=(16, 16), normalize="uint8"),
        mmdata.Pixels(size=(16, 16), fit="pad", normalize="uint8"),
    ):
        without = build(images, on_problem="drop", pixels=pixels)
        ds = build(images, folder, on_problem="drop", pixels=pixels)
        assert [found.path for found in ds.report.problems] == ["2.jpg"]
        assert_same(epoch_of(ds), epoch_of(without))
        blank = [
            not image.any()
            for x, _, weight in ds
            for image, w in zip(x["images"].numpy(), weight.numpy(), strict=True)
            if not w.any()
        ]
        assert blank == [True, True]
    decoded()
    (images / "2.jpg").write_bytes(whole)
    assert_same(epoch_of(build(images, folder)), without_cache(images))
    assert decoded() == 1


def test_a_cut_shard_is_reported_and_filled_again(images: pathlib.Path, kept: Any) -> None:
    folder, decoded = kept
    without = build(images)
    build(images, folder)
    decoded()
    (shard,) = folder.glob("*/00000.row.npy")
    cut(shard)
    with pytest.warns(UserWarning, match=r"00000\.row\.npy: has .* bytes .* computed again"):
        ds = build(images, folder)
    assert decoded() == COUNT
    assert_same(epoch_of(ds), epoch_of(without))


def test_rows_cleared_while_reading_are_still_read(images: pathlib.Path, kept: Any) -> None:
    folder, decoded = kept
    ds = build(images, folder)
    clear(folder)
    assert_same(epoch_of(ds), without_cache(images))
    decoded()
    build(images, folder)
    assert decoded() == COUNT


def test_without_room_nothing_is_begun(
    images: pathlib.Path, kept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=100))
    with pytest.raises(OSError, match="no room for 10 rows"):
        build(images, kept[0])
    assert not list(kept[0].glob("*/*.npy"))
