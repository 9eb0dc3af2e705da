"""The same photos and captions in every layout: same rows, same orphans, same batches."""

import csv
import io
import json
import pathlib
from collections.abc import Callable

import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

import mmdata
from mmdata.pairing.pairs import Pairs
from mmdata.pairing.recognition import Layout

Source = tuple[pathlib.Path, pathlib.Path | pd.DataFrame | None]
Rows = dict[str, list[str]]


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


@pytest.mark.parametrize(("layout", "write"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_same_rows_and_orphans(
    original: Pairs,
    rows: Rows,
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
