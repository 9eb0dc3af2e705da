"""The same photos and captions in every layout: same rows, same orphans, same batches."""

import csv
import io
import json
import os
import pathlib
import tarfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
import tensorflow as tf
from click.testing import CliRunner

import mmdata
from mmdata.cli import main
from mmdata.pairing.layouts import Layout
from mmdata.pairs.pairs import Pairs

Rows = dict[str, list[str]]

SMALL: dict[str, Any] = {"image_size": (16, 16), "text": "byte", "batch_size": 32}


@pytest.fixture(scope="module")
def original(coco: pathlib.Path) -> Pairs:
    captions = coco / "annotations" / "captions_val2017.json"
    return mmdata.read(coco / "val2017", captions, on_problem="drop")


@pytest.fixture(scope="module")
def rows(original: Pairs) -> Rows:
    return {image: original.captions_of(row) for row, image in enumerate(original.images)}


def coco_results(rows: Rows, folder: pathlib.Path) -> pathlib.Path:
    entries = [
        {"image_id": int(image[:-4]), "caption": text} for image in rows for text in rows[image]
    ]
    return written(folder / "results.json", json.dumps(entries))


def karpathy(rows: Rows, folder: pathlib.Path) -> pathlib.Path:
    images = [
        {
            "filepath": "val2017",
            "filename": image,
            "cocoid": int(image[:-4]),
            "split": "restval",
            "sentences": [{"raw": text, "tokens": text.lower().split()} for text in texts],
        }
        for image, texts in rows.items()
    ]
    return written(folder / "dataset_coco.json", json.dumps({"dataset": "coco", "images": images}))


def token(rows: Rows, folder: pathlib.Path) -> pathlib.Path:
    lines = [f"{name}#{n}\t{text}" for name in rows for n, text in enumerate(rows[name])]
    return written(folder / "Flickr8k.token.txt", "\n".join(lines))


def kaggle(rows: Rows, folder: pathlib.Path) -> pathlib.Path:
    lines = [f"{image},{text}" for image in rows for text in rows[image]]
    return written(folder / "captions.txt", "\n".join(["image,caption", *lines]))


def results(rows: Rows, folder: pathlib.Path) -> pathlib.Path:
    lines = [f"{name}| {n}| {text}" for name in rows for n, text in enumerate(rows[name])]
    header = "image_name| comment_number| comment"
    return written(folder / "results.csv", "\n".join([header, *lines]))


def table(rows: Rows, folder: pathlib.Path, delimiter: str, suffix: str) -> pathlib.Path:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["number", "image_path", "sentence"])
    writer.writerows([1, image, caption] for image in rows for caption in rows[image])
    return written(folder / f"table{suffix}", text.getvalue())


def list_cells(rows: Rows, folder: pathlib.Path) -> pathlib.Path:
    frame = pd.DataFrame({"filename": list(rows), "raw": [json.dumps(rows[name]) for name in rows]})
    frame.to_csv(folder / "flickr_annotations_30k.csv", index=False)
    return folder / "flickr_annotations_30k.csv"


def wide(rows: Rows, folder: pathlib.Path) -> pathlib.Path:
    frame = pd.DataFrame([{"file_name": name} | numbered(rows[name]) for name in rows])
    frame.to_csv(folder / "wide.csv", index=False)
    return folder / "wide.csv"


def numbered(captions: list[str]) -> dict[str, str]:
    return {f"caption_{n}": text for n, text in enumerate(captions)}


def jsonl(rows: Rows, folder: pathlib.Path) -> pathlib.Path:
    lines = [json.dumps({"file_name": name, "text": rows[name]}) for name in rows]
    return written(folder / "metadata.jsonl", "\n".join(lines))


def records(rows: Rows, folder: pathlib.Path) -> pathlib.Path:
    found = [{"image": name, "caption": text} for name in rows for text in rows[name]]
    return written(folder / "records.json", json.dumps(found))


def parquet(rows: Rows, folder: pathlib.Path) -> pathlib.Path:
    cells = pyarrow.table({"file_name": list(rows), "captions": list(rows.values())})
    pyarrow.parquet.write_table(cells, folder / "metadata.parquet")
    return folder / "metadata.parquet"


def sidecar(rows: Rows, folder: pathlib.Path) -> pathlib.Path:
    for image, texts in rows.items():
        written(folder / "texts" / f"{image[:-4]}.txt", "\r\n".join(texts))
    return folder / "texts"


def sidecar_numbered(rows: Rows, folder: pathlib.Path) -> pathlib.Path:
    for image, texts in rows.items():
        for number, text in enumerate(texts):
            written(folder / "texts" / f"{image[:-4]}.{number}.caption", text)
    return folder / "texts"


def written(path: pathlib.Path, text: str) -> pathlib.Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
    return path


LAYOUTS: dict[str, tuple[Layout, Callable[[Rows, pathlib.Path], pathlib.Path | pd.DataFrame]]] = {
    "COCO results": ("coco", coco_results),
    "Karpathy": ("karpathy", karpathy),
    "Flickr8k tokens": ("flickr", token),
    "Kaggle captions.txt": ("flickr", kaggle),
    "Kaggle results.csv": ("flickr", results),
    "CSV": ("metadata", lambda rows, folder: table(rows, folder, ",", ".csv")),
    "TSV": ("metadata", lambda rows, folder: table(rows, folder, "\t", ".tsv")),
    "CSV with lists in cells": ("metadata", list_cells),
    "CSV with a column a caption": ("metadata", wide),
    "JSONL": ("metadata", jsonl),
    "JSON records": ("metadata", records),
    "Parquet": ("metadata", parquet),
    "sidecar": ("sidecar", sidecar),
    "sidecar, numbered": ("sidecar", sidecar_numbered),
    "DataFrame": (
        "frame",
        lambda rows, _: pd.DataFrame({"image": list(rows), "captions": list(rows.values())}),
    ),
}


@pytest.fixture(scope="module")
def batches(original: Pairs) -> list[Any]:
    return first_batches(mmdata.build(original, on_problem="drop", **SMALL))


def first_batches(ds: Any) -> list[Any]:
    """Two shuffled batches, as NumPy arrays."""
    return [array for x, y, w in ds.take(2) for array in (*tf.nest.flatten(x), y, w)]


@pytest.mark.parametrize(("layout", "write"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_same_rows_orphans_and_batches(
    original: Pairs,
    rows: Rows,
    batches: list[Any],
    tmp_path: pathlib.Path,
    layout: Layout,
    write: Callable[[Rows, pathlib.Path], pathlib.Path | pd.DataFrame],
) -> None:
    captions = write(rows, tmp_path)
    pairs = mmdata.read(original.root, captions, on_problem="drop")
    assert pairs.report.layout == layout
    assert (len(pairs), pairs.pair_count) == (79, 395)
    assert {image: pairs.captions_of(row) for row, image in enumerate(pairs.images)} == rows
    orphans = {finding.path for finding in original.report.problems}
    assert len(orphans) == 80
    assert {finding.path for finding in pairs.report.problems} == orphans
    assert pairs.report.counts["missing_caption"] == 80
    with pytest.raises(mmdata.PairingError, match=r"80 problem\(s\)"):
        mmdata.read(original.root, captions, layout=layout)
    ds = mmdata.build(original.root, captions, on_problem="drop", **SMALL)
    assert all(map(np.array_equal, first_batches(ds), batches))


def test_same_rows_orphans_and_batches_in_shards(
    original: Pairs, rows: Rows, batches: list[Any], tmp_path: pathlib.Path
) -> None:
    images = sorted(os.listdir(original.root))
    for shard, begin in enumerate(range(0, len(images), 60)):
        with tarfile.open(tmp_path / f"val-{shard:05}.tar", "w") as tar:
            for image in images[begin : begin + 60]:
                tar.add(pathlib.Path(original.root) / image, image)
                if image in rows:
                    text = written(tmp_path / "texts" / image, "\n".join(rows[image]))
                    tar.add(text, f"{image[:-4]}.txt")
    source = str(tmp_path / "val-{00000..00002}.tar")
    pairs = mmdata.read(source, on_problem="drop")
    found = {image.partition("/")[2]: pairs.captions_of(n) for n, image in enumerate(pairs.images)}
    assert found == rows
    orphans = {finding.path.partition("/")[2] for finding in pairs.report.problems}
    assert orphans == {finding.path for finding in original.report.problems}
    assert pairs.report.counts["missing_caption"] == 80
    ds = mmdata.build(source, on_problem="drop", **SMALL)
    assert all(map(np.array_equal, first_batches(ds), batches))


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "DataFrame"])
def test_command_finds_the_same(
    original: Pairs, rows: Rows, tmp_path: pathlib.Path, name: str
) -> None:
    layout, write = LAYOUTS[name]
    result = CliRunner().invoke(main, ["pair", original.root, str(write(rows, tmp_path))])
    assert result.exit_code == 1
    assert f"79 image(s) with 395 caption(s), layout {layout}." in result.output
    assert "80 image(s) without a caption (missing_caption)" in result.output


def test_a_tar_among_images_makes_no_shards(tmp_path: pathlib.Path) -> None:
    for name, text in {"a.jpg": "", "a.txt": "a cat", "backup.tar": ""}.items():
        written(tmp_path / name, text)
    pairs = mmdata.read(tmp_path)
    assert (pairs.report.layout, list(pairs.captions)) == ("sidecar", ["a cat"])
    assert pairs.report.counts == {"ignored": 1}


@pytest.mark.parametrize("images", [["a.jpg"], {"train": "a.jpg"}, 1])
def test_what_is_no_source(tmp_path: pathlib.Path, images: Any) -> None:
    with pytest.raises(TypeError, match=r"images=\.\.\. must be a path, a DataFrame or"):
        mmdata.read(images)
    with pytest.raises(TypeError, match=r"captions=\.\.\. must be a path, a DataFrame or"):
        mmdata.read(tmp_path, images)
