"""Writes exports of any number of images, without a pipeline: for memory and speed."""

import json
import pathlib
import zlib
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mmdata.export.sprites import grid_for, sprite
from mmdata.storage.npy import npy

Images = NDArray[np.uint8]
Encoding = Literal["png", "npy"]


def smooth_images(count: int, size: int) -> Images:
    """Images that compress as photos do, all different: uint8 [count, size, size, 3]."""
    rng = np.random.default_rng(0)
    slopes = rng.normal(0, 2, (count, 2, 1, 1, 3))
    places = np.arange(size)[:, None, None], np.arange(size)[None, :, None]
    means = rng.uniform(64, 192, (count, 1, 1, 3))
    shades = means + slopes[:, 0] * places[0] + slopes[:, 1] * places[1]
    noise = rng.normal(0, 3, (count, size, size, 1))
    return np.clip(shades + noise, 0, 255).astype(np.uint8)


def write_shards(folder: pathlib.Path, shards: list[Images], encoding: Encoding) -> None:
    """Writes an export with the images of each shard, and nothing but images."""
    folder.mkdir(parents=True)
    shape = shards[0].shape[1:]
    columns: dict[str, Any] = {
        "image": {"kind": "sprite" if encoding == "png" else "fixed", "dtype": "|u1"},
        "image_id": {"kind": "fixed", "dtype": "<i4", "shape": []},
    }
    columns["image"]["shape"] = list(shape)
    if encoding == "npy":
        columns["image_crc32"] = {"kind": "fixed", "dtype": "<u4", "shape": []}
    entries = []
    first = 0
    for number, images in enumerate(shards):
        ids = np.arange(first, first + len(images), dtype=np.int32)
        files = {"image_id": _written(folder, f"{number:05}.image_id", "npy", npy(ids))}
        stem = f"{number:05}.image"
        if encoding == "png":
            grid = grid_for(len(images), *shape[:2])
            file = _written(folder, stem, "png", sprite(images, grid))
            files["image"] = {**file, "grid": list(grid)}
        else:
            files["image"] = _written(folder, stem, "npy", npy(images))
            checksums = np.array([zlib.crc32(image.data) for image in images], np.uint32)
            files["image_crc32"] = _written(folder, f"{stem}_crc32", "npy", npy(checksums))
        entries.append({"split": "train", "rows": len(images), "captions": 0, "files": files})
        first += len(images)
    manifest = {
        "format": "mmdata web",
        "version": 1,
        "fingerprint": "0",
        "settings": _settings(shape, first, len(shards), len(shards[0])),
        "columns": columns,
        "rows": first,
        "shards": entries,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _written(folder: pathlib.Path, stem: str, suffix: str, content: bytes) -> dict[str, Any]:
    crc32 = zlib.crc32(content)
    name = f"{stem}.{crc32:08x}.{suffix}"
    (folder / name).write_bytes(content)
    return {"file": name, "bytes": len(content), "crc32": crc32}


def _settings(shape: tuple[int, ...], rows: int, shards: int, shard_rows: int) -> dict[str, Any]:
    return {
        "versions": {"pixels": 1, "text": 2, "order": 2},
        "pixels": {"size": list(shape[:2]), "channels": 3, "normalize": "unit"},
        "task": {
            "name": "prediction",
            "captions": "none",
            "lookahead": 0,
            "columns": [],
            "class_names": [],
        },
        "text": None,
        "order": {
            "seed": "0",
            "shuffle": True,
            "batch_size": 32,
            "remainder": "keep",
            "window": 8,
        },
        "splits": {
            "train": {
                "rows": rows,
                "captions": 0,
                "shards": shards,
                "shard_rows": shard_rows,
                "evaluation": False,
            }
        },
    }
