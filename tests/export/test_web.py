"""`mmdata.export_web`: every byte of images, captions and ids; what it refuses; what it leaves."""

import io
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import mmdata
from mmdata.export import web_shards
from mmdata.storage.web_manifest import WebFile, read_web_manifest

HEIGHT, WIDTH = 10, 14
PIXELS = mmdata.Pixels(size=(HEIGHT, WIDTH), background=(9, 99, 199))
COMMON: dict[str, Any] = {"pixels": PIXELS, "text": "byte", "sequence_length": 24, "seed": 2**60}
SECRET = "zanzibar"
WHO = "nobody-else"


def encoded(number: int, kind: str, mode: str = "RGB", **options: Any) -> bytes:
    rng = np.random.default_rng(number)
    shape = (20 + number, 30, len(Image.new(mode, (1, 1)).getbands()))
    pixels = rng.integers(0, 256, shape, np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze(), mode).save(buffer, kind, **options)
    return buffer.getvalue()


def pictures() -> dict[str, bytes]:
    """Files of many kinds: turned, with alpha, gray, corrupt, read by Pillow, and copies."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = SECRET
    files = {f"{SECRET}-{n:02}.jpg": encoded(n, "JPEG") for n in range(14)}
    files[f"{SECRET}-14.jpg"] = encoded(14, "JPEG", exif=exif)
    files[f"{SECRET}-15.png"] = encoded(15, "PNG", "RGBA")
    files[f"{SECRET}-16.png"] = encoded(16, "PNG", "L")
    files[f"{SECRET}-17.tiff"] = encoded(17, "TIFF")
    files[f"{SECRET}-18.jpg"] = encoded(18, "JPEG")[:300]
    files[f"{SECRET}-19.jpg"] = files[f"{SECRET}-03.jpg"]
    files[f"{SECRET}-20.jpg"] = files[f"{SECRET}-02.jpg"]
    return files


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> mmdata.Pairs:
    """Such files with 1 to 3 captions, weights, numbers and labels, in two splits."""
    root = tmp_path_factory.mktemp(WHO)
    rows = []
    for number, (name, content) in enumerate(pictures().items()):
        (root / name).write_bytes(content)
        captions = [f"A Été {number}, {'x' * (9 * n)} n° {n}" for n in range(1 + number % 3)]
        rows.append(
            {
                "file_name": name,
                "captions": captions,
                "split": "validation" if number in (4, 9) else "train",
                "weight": 1 + number / 2,
                "number": number - 5,
                "big": number * 2**40,
                "share": number / 7,
                "flag": number % 2 == 0,
                "kind": ["cat", "dog"][number % 2],
            }
        )
    table = root / "captions.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return mmdata.read(root, table, on_problem="drop")


@pytest.fixture(scope="module")
def train(pairs: mmdata.Pairs) -> Any:
    """The dataset for training of one task, which several tests export."""
    return built(pairs, split=("train",))[0]


@pytest.fixture
def tiny_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five images a shard."""
    monkeypatch.setattr(web_shards, "_SHARD", 5 * HEIGHT * WIDTH * 3 + 7)


class Export:
    """Reads an export by Pillow and NumPy, and checks all sizes and checksums."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.manifest = read_web_manifest(folder)
        self.settings = self.manifest.settings
        self.columns = self.manifest.columns

    def content(self, file: WebFile) -> bytes:
        content = (self.folder / file.file).read_bytes()
        assert (len(content), zlib.crc32(content)) == (file.bytes, file.crc32)
        assert f".{file.crc32:08x}." in file.file
        return content

    def array(self, file: WebFile, dtype: str) -> NDArray[Any]:
        array: NDArray[Any] = np.load(io.BytesIO(self.content(file)))
        assert array.dtype.str == dtype
        return array

    def shards(self, split: str) -> Iterator[Any]:
        return (shard for shard in self.manifest.shards if shard.split == split)

    def column(self, split: str, name: str) -> NDArray[Any]:
        dtype = self.columns[name].dtype
        parts = [self.array(shard.files[name], dtype) for shard in self.shards(split)]
        return np.concatenate(parts)

    def items(self, split: str, name: str) -> list[NDArray[Any]]:
        """The items of a ragged column."""
        items: list[NDArray[Any]] = []
        for shard in self.shards(split):
            file = shard.files[name]
            values = self.array(file, self.columns[name].dtype)
            ends = self.array(file.offsets, "<u4")
            assert (ends[0], ends[-1]) == (0, len(values))
            items += [values[begin:end] for begin, end in itertools.pairwise(ends.tolist())]
        return items

    def texts(self, split: str, name: str = "captions") -> list[str]:
        return [item.tobytes().decode() for item in self.items(split, name)]

    def images(self, split: str) -> NDArray[Any]:
        if self.columns["image"].kind == "fixed":
            return self.column(split, "image")
        return np.concatenate([self._sprite(shard) for shard in self.shards(split)])

    def _sprite(self, shard: Any) -> NDArray[Any]:
        height, width, channels = self.columns["image"].shape
        rows, columns = shard.files["image"].grid
        with Image.open(io.BytesIO(self.content(shard.files["image"]))) as image:
            assert (image.mode, image.format, image.info) == ("RGB", "PNG", {})
            cells = np.asarray(image).reshape(rows, height, columns, width, channels)
        cells = cells.swapaxes(1, 2).reshape(-1, height, width, channels)
        assert not cells[shard.rows :].any()
        return cells[: shard.rows]


def exported(data: Any, folder: pathlib.Path, **options: Any) -> Export:
    mmdata.export_web(data, folder, **options)
    return Export(folder)


def built(pairs: mmdata.Pairs, **options: Any) -> tuple[Any, ...]:
    options = {**COMMON, "on_problem": "drop", "split": ("train", "validation"), **options}
    return tuple(mmdata.build(pairs, **options))


def images_of(pairs: mmdata.Pairs, pixels: mmdata.Pixels = PIXELS) -> NDArray[Any]:
    """The images of all rows, by a dataset."""
    raw = mmdata.Pixels(**{**vars(pixels), "normalize": "uint8"})
    ds: Any = mmdata.build(pairs, task="prediction", pixels=raw, on_problem="drop")
    return np.concatenate([batch.numpy() for batch in ds])


def idat(content: bytes) -> bytes:
    """The inflated lines of a PNG of exactly three chunks."""
    kinds, lines, place = [], b"", 8
    while place < len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        kinds.append(content[place + 4 : place + 8])
        if kinds[-1] == b"IDAT":
            lines = zlib.decompress(content[place + 8 : place + 8 + size])
        place += 12 + size
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]
    return lines


def bytes_of(folder: pathlib.Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("encoding", ["png", "npy"])
@pytest.mark.usefixtures("tiny_shards")
def test_images_captions_ids_and_columns_are_those_of_the_dataset(
    pairs: mmdata.Pairs, tmp_path: pathlib.Path, encoding: Any
) -> None:
    columns = ("number", "big", "share", "flag")
    task = mmdata.Captioning(columns=columns, template="see: {caption}")
    train, validation = built(pairs, task=task, shuffle=False, batch_size=64)
    export = exported((train, validation), tmp_path / "site", encoding=encoding, file_names=True)
    sizes = export.settings["splits"]
    assert list(sizes) == ["train", "validation"]
    for name, ds in (("train", train), ("validation", validation)):
        rows, counts = len(ds.pairs), np.diff(ds.pairs.offsets)
        shards = [shard.rows for shard in export.shards(name)]
        assert shards[:-1] == [5] * (len(shards) - 1)
        assert sizes[name] == {
            "rows": rows,
            "captions": ds.pairs.pair_count,
            "shards": len(shards),
            "shard_rows": 5,
            "evaluation": name == "validation",
        }
        images = images_of(ds.pairs)
        np.testing.assert_array_equal(export.images(name), images)
        assert export.texts(name) == list(ds.pairs.captions)
        assert export.texts(name, "file_name") == list(ds.pairs.images)
        np.testing.assert_array_equal(export.column(name, "caption_count"), counts)
        np.testing.assert_array_equal(export.column(name, "weight"), ds.pairs.weights)
        np.testing.assert_array_equal(export.column(name, "valid"), images.any((1, 2, 3)))
        (batch,) = ds  # one example for each caption
        for column in columns:
            values = np.repeat(export.column(name, f"column:{column}"), counts)
            np.testing.assert_array_equal(values, batch[0][column])
        packed = np.concatenate([batch[0]["token_ids"], batch[1][:, -1:]], 1)
        np.testing.assert_array_equal(packed_ids(export, name), packed)
        assert len(export.column(name, "image_id")) == rows
        if encoding == "npy":
            sums = [zlib.crc32(image.tobytes()) for image in images]
            np.testing.assert_array_equal(export.column(name, "image_crc32"), sums)
    kinds = {name: export.columns[f"column:{name}"].dtype for name in columns}
    assert kinds == {"number": "<i4", "big": "<i8", "share": "<f4", "flag": "|u1"}
    assert export.column("train", "valid").tolist().count(0) == 1


def packed_ids(export: Export, split: str) -> NDArray[Any]:
    """Token ids with special tokens, cut and padded as the manifest says."""
    text = export.settings["text"]
    packed = np.full((export.settings["splits"][split]["captions"], text["length"]), text["pad_id"])
    for row, ids in enumerate(export.items(split, "token_ids")):
        sequence = [text["start_id"], *text["prompt"], *ids.tolist(), text["end_id"]]
        packed[row, : len(sequence)] = sequence  # fails if a sequence is too long
    return packed


@pytest.mark.usefixtures("tiny_shards")
def test_retrieval_merges_copies_and_takes_the_captions_of_all(
    pairs: mmdata.Pairs, tmp_path: pathlib.Path
) -> None:
    train, validation = built(pairs, task="retrieval", shuffle=False, batch_size=64)
    export = exported({"train": train, "validation": validation}, tmp_path / "site")
    assert export.settings["task"]["captions"] == "cycle"
    assert export.settings["splits"]["train"]["rows"] == len(train.pairs) - 2
    captions, ids = export.texts("train"), packed_ids(export, "train")
    counts = export.column("train", "caption_count").astype(int)
    assert sorted(captions) == sorted(train.pairs.captions)
    first = np.cumsum([0, *counts])
    assert counts[2] == np.diff(train.pairs.offsets)[2] + np.diff(train.pairs.offsets)[-1]
    for epoch in range(3):
        (batch,) = train
        index = np.arange(len(counts))
        np.testing.assert_array_equal(batch["image_id"], export.column("train", "image_id"))
        chosen = ids[first[:-1] + (index + epoch) % counts]
        np.testing.assert_array_equal(batch["token_ids"], chosen)
    rows = export.column("train", "image_id")
    np.testing.assert_array_equal(export.images("train"), images_of(train.pairs)[rows])


def test_joined_captions_are_one(pairs: mmdata.Pairs, tmp_path: pathlib.Path) -> None:
    for number, task in enumerate(
        (mmdata.Captioning(captions="join"), mmdata.Retrieval(captions="join"))
    ):
        raw = {"text": mmdata.Text(tokenizer=None, clean=None), "sequence_length": None}
        (train,) = built(pairs, task=task, split=("train",), **raw, shuffle=False)
        export = exported(train, tmp_path / str(number))
        joined = [text.decode() for batch in train for text in batch["captions"].numpy()]
        assert export.texts("train") == joined
        assert set(export.column("train", "caption_count").tolist()) == {1}
        assert "token_ids" not in export.columns


def test_classification_has_labels_and_no_captions(
    pairs: mmdata.Pairs, tmp_path: pathlib.Path
) -> None:
    datasets = built(pairs, task=mmdata.Classification(column="kind"), shuffle=False)
    export = exported(datasets, tmp_path / "site")
    labels = [label for _, batch, _ in datasets[0] for label in batch.numpy()]
    assert export.column("train", "label").tolist() == labels
    assert export.settings["task"]["class_names"] == ["cat", "dog"]
    assert export.settings["text"] is None
    assert not {"captions", "token_ids", "caption_count"} & export.columns.keys()


def test_settings_are_those_of_training(pairs: mmdata.Pairs, tmp_path: pathlib.Path) -> None:
    pixels = mmdata.Pixels(
        size=(HEIGHT, WIDTH), load_size=(12, 16), fit="crop", normalize="clip", max_crop=0.5
    )
    datasets = built(
        pairs,
        pixels=pixels,
        batch_size=mmdata.Batching(size=6, remainder="drop"),
        shuffle=mmdata.Blocks(window=3),
        task=mmdata.Prefix(prompt="en", captions="first"),
    )
    export = exported(datasets, tmp_path / "site")
    assert export.settings["order"] == {
        "seed": str(2**60),  # JavaScript has no such number
        "shuffle": "blocks",
        "batch_size": 6,
        "remainder": "drop",
        "window": 3,
    }
    assert export.settings["pixels"] == {
        "size": [HEIGHT, WIDTH],
        "channels": 3,
        "fit": "crop",
        "interpolation": "bilinear",
        "background": [255, 255, 255],
        "max_crop": 0.5,
        "load_size": [12, 16],
        "normalize": "clip",
    }
    text = export.settings["text"]
    assert (text["length"], len(text["prompt"]), text["padding"]) == (25, 2, "length")
    raw = mmdata.Pixels(**{**vars(pixels), "normalize": "uint8"})
    np.testing.assert_array_equal(export.images("train"), images_of(datasets[0].pairs, raw))
    tokenizer = json.loads((tmp_path / "site" / text["tokenizer"]).read_text())
    assert (tokenizer["type"], tokenizer["start_id"]) == ("Byte", text["start_id"])


def test_large_sprites_are_shuffled_in_blocks(
    pairs: mmdata.Pairs, train: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmdata.export.web_settings._LARGE", 10 * HEIGHT * WIDTH * 3)
    shuffles = [
        exported(train, tmp_path / encoding, encoding=encoding).settings["order"]["shuffle"]
        for encoding in ("png", "npy")
    ]
    assert shuffles == ["blocks", True]
    validation = built(pairs, split=("validation",))
    assert exported(validation, tmp_path / "evaluation").settings["order"]["shuffle"] is False


def test_a_cache_gives_the_same_bytes(pairs: mmdata.Pairs, tmp_path: pathlib.Path) -> None:
    for name, cache in (("with", tmp_path / "cache"), ("without", None)):
        mmdata.export_web(built(pairs, cache=cache), tmp_path / name)
    assert bytes_of(tmp_path / "with") == bytes_of(tmp_path / "without")


def test_pairs_and_paths_are_built_for_all_their_splits(
    pairs: mmdata.Pairs, tmp_path: pathlib.Path
) -> None:
    options = {**COMMON, "on_problem": "drop"}
    mmdata.export_web(built(pairs), tmp_path / "datasets")
    mmdata.export_web(pairs, tmp_path / "pairs", **options)
    table = pathlib.Path(pairs.root, "captions.jsonl")
    mmdata.export_web(pairs.root, tmp_path / "paths", captions=table, **options)
    assert bytes_of(tmp_path / "pairs") == bytes_of(tmp_path / "datasets")
    assert bytes_of(tmp_path / "paths") == bytes_of(tmp_path / "datasets")
    export = exported(pairs.drop("split"), tmp_path / "80-10-10", **options)
    assert set(export.settings["splits"]) <= {"train", "validation", "test"}
    assert export.manifest.rows == len(pairs)
    only = exported(pairs, tmp_path / "only", split="validation", **options)
    assert list(only.settings["splits"]) == ["validation"]


def test_nothing_names_files_folders_or_people(
    pairs: mmdata.Pairs, train: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER", WHO)
    mmdata.export_web(train, tmp_path / "site")
    words = (SECRET, WHO, str(tmp_path), pairs.root, "captions.jsonl")
    for name, content in bytes_of(tmp_path / "site").items():
        inflated = idat(content) if name.endswith(".png") else b""
        for word in words:
            assert word.encode() not in content + inflated + name.encode(), (word, name)
    mmdata.export_web(train, tmp_path / "named", file_names=True)
    assert any(SECRET.encode() in content for content in bytes_of(tmp_path / "named").values())


def test_a_sprite_has_one_filter_and_no_metadata(train: Any, tmp_path: pathlib.Path) -> None:
    export = exported(train, tmp_path / "site")
    (shard,) = export.shards("train")
    rows, columns = shard.files["image"].grid
    lines = np.frombuffer(idat(export.content(shard.files["image"])), np.uint8)
    lines = lines.reshape(rows * HEIGHT, 1 + columns * WIDTH * 3)
    assert set(lines[:, 0].tolist()) == {2}
    assert abs(rows * HEIGHT - columns * WIDTH) <= 2 * max(HEIGHT, WIDTH)


def test_an_export_replaces_an_earlier_one_and_nothing_else(
    pairs: mmdata.Pairs, tmp_path: pathlib.Path
) -> None:
    site = tmp_path / "site"
    (train, validation), others = built(pairs), {"index.html": b"mine", "00000.image.png": b"mine"}
    site.mkdir()
    for name, content in others.items():
        (site / name).write_bytes(content)
    (site / "00007.image.0123abcd.png").write_bytes(b"left by a killed export")
    mmdata.export_web((train, validation), site, encoding="npy")
    mmdata.export_web(train, site)
    mmdata.export_web(train, tmp_path / "alone")
    assert bytes_of(site) == bytes_of(tmp_path / "alone") | others
    folders = {path.name for path in site.iterdir() if path.is_dir()}
    assert folders == {"loader", "pictures", "text"}  # nothing temporary is left


@pytest.mark.usefixtures("tiny_shards")
def test_a_failed_export_leaves_the_earlier_one(
    train: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, new = tmp_path / "site", tmp_path / "new"
    mmdata.export_web(train, site)
    before = bytes_of(site)
    numbers = itertools.count()

    def fail(images: Any, _: Any) -> bytes:
        if next(numbers) == 2:
            raise OSError(28, "No space left on device")
        return bytes(np.asarray(images).tobytes())

    monkeypatch.setattr(web_shards, "sprite", fail)
    for folder in (site, new / "deeper"):
        numbers = itertools.count()
        with pytest.raises(OSError, match="No space left"):
            mmdata.export_web(train, folder)
    assert bytes_of(site) == before
    assert os.listdir(tmp_path) == ["site"]


def test_another_manifest_and_the_images_are_not_replaced(
    pairs: mmdata.Pairs, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "manifest.json").write_text('{"name": "my app"}')
    with pytest.raises(FileExistsError, match=r"manifest\.json: is not from an earlier export"):
        mmdata.export_web(pairs, tmp_path)
    with pytest.raises(ValueError, match="is the folder of the images"):
        mmdata.export_web(pairs, pairs.root, **COMMON, on_problem="drop")
    assert os.listdir(tmp_path) == ["manifest.json"]
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("my page")
    with pytest.raises(FileExistsError, match=r"index\.html: is not from an earlier export"):
        mmdata.export_web(pairs, site, demo=True)


REFUSED: dict[str, dict[str, Any]] = {
    "augment=(Flip(": {"augment": (mmdata.Flip(),)},
    "augment=(RandomCrop(": {"augment": (mmdata.RandomCrop(),)},
    "the task References": {"task": "references"},
    "Pixels(buckets=((8, 8)": {"pixels": mmdata.Pixels(buckets=((8, 8), (8, 16)))},
    "Text(buckets=(9,))": {
        "text": mmdata.Text(tokenizer="byte", length=24, buckets=(9,)),
        "sequence_length": None,
    },
    "dropout=0.5": {"task": mmdata.Captioning(dropout=0.5)},
    "shuffle_tags=True": {"task": mmdata.Captioning(shuffle_tags=True)},
    "shard=(1, 2)": {"shard": (1, 2), "batch_size": mmdata.Batching(size=2, remainder="drop")},
    "image_size=(1, 16385)": {"pixels": mmdata.Pixels(size=(1, 16385))},
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_javascript_does_not_do_is_refused(
    pairs: mmdata.Pairs, tmp_path: pathlib.Path, what: str
) -> None:
    with pytest.raises(ValueError, match="Build without that for the export") as caught:
        mmdata.export_web(built(pairs, split=("train",), **REFUSED[what]), tmp_path / "site")
    assert f"got {what}" in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_few_images_are_one_split(tmp_path: pathlib.Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(encoded(number, "PNG"))
        (tmp_path / f"{number}.txt").write_text(f"picture {number}")
    mmdata.export_web(tmp_path, tmp_path / "site", image_size=8, text="byte")
    splits = read_web_manifest(tmp_path / "site").settings["splits"]
    assert {name: each["rows"] for name, each in splits.items()} == {"train": 3}


def test_splits_must_be_alike(pairs: mmdata.Pairs, train: Any, tmp_path: pathlib.Path) -> None:
    (other,) = built(pairs, split=("validation",), sequence_length=16)
    with pytest.raises(ValueError, match=r"splits with the same text; .*'validation'"):
        mmdata.export_web((train, other), tmp_path / "site")
    with pytest.raises(ValueError, match=r"one dataset for each split; .*'train', 'train'"):
        mmdata.export_web((train, train), tmp_path / "site")
    with pytest.raises(TypeError, match=r"got \['Dataset'\] with \['image_size'\]"):
        mmdata.export_web(train, tmp_path / "site", image_size=8)


def test_a_corrupt_image_is_an_error_unless_it_is_dropped(
    pairs: mmdata.Pairs, train: Any, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(mmdata.PairingError, match=f"1 .*{SECRET}-18"):
        mmdata.export_web(pairs, tmp_path / "site", **COMMON)
    assert os.listdir(tmp_path) == []
    (found,) = mmdata.export_web(train, tmp_path / "site")
    assert (found.kind, found.path) == ("corrupt", f"{SECRET}-18.jpg")
    assert found.detail
    (tmp_path / "site").rename(tmp_path / "dropped")
    images = tmp_path / "images"
    images.mkdir()
    for number in range(3):
        (images / f"{number}.jpg").write_bytes(encoded(number, "JPEG"))
        (images / f"{number}.txt").write_text("a picture")
    ds = mmdata.build(images, **COMMON)
    (images / "1.jpg").write_bytes(encoded(1, "JPEG")[:400])
    with pytest.raises(mmdata.PairingError, match=r"1\.jpg"):
        mmdata.export_web(ds, tmp_path / "site")
    assert sorted(os.listdir(tmp_path)) == ["dropped", "images"]


class Lazy:
    """A pool that works only when it is asked for a result, so that the most tasks wait."""

    def __init__(self, _: int) -> None:
        pass

    def __enter__(self) -> "Lazy":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, call: Callable[..., Any], *arguments: Any) -> "Lazy":
        self._waiting = [call, *arguments]
        other = Lazy(0)
        other._waiting = self._waiting
        return other

    def result(self) -> Any:
        call, *arguments = self._waiting
        self._waiting.clear()
        return call(*arguments)


def test_few_shards_are_in_memory(
    train: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_shards, "_SHARD", HEIGHT * WIDTH * 3)  # one image a shard
    monkeypatch.setattr(web_shards, "_OPEN", 2)
    monkeypatch.setattr(web_shards, "ThreadPoolExecutor", Lazy)
    waiting, most = 0, 0
    filled, written = web_shards.Shards._filled, web_shards.Shards._write

    def count_filled(self: Any, split: Any) -> Any:
        nonlocal waiting, most
        for each in filled(self, split):
            waiting += 1
            most = max(most, waiting)
            yield each

    def count_written(self: Any, *arguments: Any) -> Any:
        nonlocal waiting
        waiting -= 1
        return written(self, *arguments)

    monkeypatch.setattr(web_shards.Shards, "_filled", count_filled)
    monkeypatch.setattr(web_shards.Shards, "_write", count_written)
    export = exported(train, tmp_path / "site")
    assert len(export.manifest.shards) == len(train.pairs)
    assert most == 3


def test_a_damaged_manifest_is_not_read(train: Any, tmp_path: pathlib.Path) -> None:
    content = exported(train, tmp_path / "site").manifest.to_json()
    other = tmp_path / "site" / "manifest.json"
    for damaged, why in (
        (content.replace(b'"rows": 19', b'"rows": 20'), "its own fingerprint"),
        (content.replace(b'"version": 1', b'"version": 2', 1), "has version 2; only version 1"),
        (content.replace(b"mmdata web", b"mmdata rows"), "is not a manifest of web"),
        (content[:-9], "is not a manifest of web"),
        (content.replace(b'"file": "00000.image', b'"file": "../../image'), "matching regex"),
    ):
        assert damaged != content
        other.write_bytes(damaged)
        with pytest.raises(ValueError, match=why):
            read_web_manifest(other.parent)


def test_modules_come_along(train: Any, tmp_path: pathlib.Path) -> None:
    web = pathlib.Path(mmdata.__file__).parent / "web"
    (tmp_path / "package.json").write_text('{"name": "mine"}')
    mmdata.export_web(train, tmp_path)
    modules = {
        name: content
        for name, content in bytes_of(web).items()
        if not name.startswith(("demo/", "package.json"))
    }
    assert {"mmdata.js", "mmdata.d.ts", "loader/reader.js"} <= modules.keys()
    assert modules.items() <= bytes_of(tmp_path).items()
    assert not (tmp_path / "demo").exists()
    assert (tmp_path / "package.json").read_text() == '{"name": "mine"}'
    with pytest.raises(ValueError, match=r"tfjs=... is for the page that demo=... writes"):
        mmdata.export_web(train, tmp_path, tfjs=web / "mmdata.js")
    with pytest.raises(FileNotFoundError, match=r"must be the file tf\.min\.js"):
        mmdata.export_web(train, tmp_path, demo=True, tfjs=tmp_path / "nothing.js")


def test_the_page_comes_along_if_it_is_wanted(train: Any, tmp_path: pathlib.Path) -> None:
    demo, library = pathlib.Path(mmdata.__file__).parent / "web" / "demo", tmp_path / "any.js"
    library.write_bytes(b"// TensorFlow.js")
    for site in (tmp_path / "site",) * 2:  # the second one replaces the first one
        mmdata.export_web(train, site, demo=True, tfjs=library)
    expected = {f"demo/{name}": content for name, content in bytes_of(demo).items()}
    expected["index.html"] = expected.pop("demo/index.html")
    expected["tf.min.js"] = b"// TensorFlow.js"
    assert expected.items() <= bytes_of(site).items()


def test_the_wheel_has_all_modules() -> None:
    package = pathlib.Path(mmdata.__file__).parent
    settings = (package.parent / "pyproject.toml").read_text()
    patterns = json.loads(re.findall(r"(?m)^mmdata = (\[.*\])$", settings)[0])
    packed = {path for pattern in patterns for path in package.glob(pattern)}
    assert {path for path in (package / "web").rglob("*") if path.is_file()} <= packed


SCRIPT = """
import sys, mmdata
pairs, site = sys.argv[1:]
mmdata.export_web(pairs, site, captions=pairs + "/captions.jsonl", image_size=16, on_problem="drop")
"""


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(pairs: mmdata.Pairs, tmp_path: pathlib.Path) -> None:
    for seed in ("1", "2"):
        home = str(tmp_path / f"home {seed}")  # each learns its vocabulary
        env = os.environ | {"PYTHONHASHSEED": seed, "MMDATA_HOME": home, "TZ": f"UTC+{seed}"}
        command = [sys.executable, "-c", SCRIPT, pairs.root, str(tmp_path / seed)]
        subprocess.run(command, env=env, check=True, capture_output=True)
    assert bytes_of(tmp_path / "1") == bytes_of(tmp_path / "2")
    shutil.rmtree(tmp_path / "1")


def test_real_photos(coco: pathlib.Path, tmp_path: pathlib.Path) -> None:
    captions = coco / "annotations" / "captions_val2017.json"
    pairs = mmdata.read(coco / "val2017", captions, on_problem="drop").sample(24)
    ds = mmdata.build(pairs, **COMMON | {"sequence_length": 400})
    export = exported(ds, tmp_path / "site", encoding="npy")
    np.testing.assert_array_equal(export.images("train"), images_of(ds.pairs))
