"""The settings of an export: what `mmdata.js` must know of the datasets, as plain data."""

from collections.abc import Mapping
from typing import Any

from mmdata.config import Config
from mmdata.dataset import Dataset
from mmdata.export.sprites import MAX_SIDE
from mmdata.export.web_columns import SplitRows, pack_of
from mmdata.export.web_text import cleaning_json
from mmdata.options import Blocks
from mmdata.settings import plain
from mmdata.tasks import (
    Captioning,
    Classification,
    Prediction,
    Prefix,
    Retrieval,
    Task,
    TextToImage,
)
from mmdata.versions import ORDER_VERSION, PIXELS_VERSION, TEXT_VERSION

_TASKS: dict[type[Task], str] = {
    Captioning: "captioning",
    Prefix: "prefix",
    Retrieval: "retrieval",
    TextToImage: "text_to_image",
    Classification: "classification",
    Prediction: "prediction",
}
_LARGE = 2**28
"""Decoded bytes above which a page cannot decode all sprites for each batch."""


def require_exportable(ds: Dataset) -> None:
    """Raises a ValueError if a dataset has what `mmdata.js` does not do."""
    config, task = ds.config, ds.task
    cases = {
        f"the task {type(task).__name__}": type(task) not in _TASKS,
        f"augment={config.augment!r}": bool(config.augment),
        f"Pixels(buckets={config.pixels.buckets!r})": bool(config.pixels.buckets),
        f"Text(buckets={config.text.buckets!r})": bool(config.text.buckets),
        "shuffle_tags=True": getattr(task, "shuffle_tags", False),
        f"dropout={getattr(task, 'dropout', 0)!r}": getattr(task, "dropout", 0) > 0,
        f"shard={config.shard!r}": config.shard[1] > 1,
        "features of precompute_features": bool(config.encoder),
        f"image_size={config.pixels.size!r}": max(config.pixels.size) > MAX_SIDE,
    }
    found = [what for what, is_used in cases.items() if is_used]
    if found:
        raise ValueError(
            "export_web(...) takes images of one size up to 16,384 pixels, unchanged captions, and "
            f"the tasks {sorted(_TASKS.values())}; got {', '.join(found)}. Build without "
            "that for the export: mmdata.js does not do it."
        )


def settings_of(splits: list[SplitRows], *, by_blocks: bool) -> dict[str, Any]:
    """The settings, without the tokenizer's file and the sizes of the splits.

    Raises:
      ValueError: The datasets of two splits have different settings.
    """
    common = [_of_dataset(split.ds) for split in splits]
    for split, each in zip(splits, common, strict=True):
        for name, value in each.items():
            if value != common[0][name]:
                raise ValueError(
                    f"export_web(...) takes splits with the same {name}; got {value!r} for "
                    f"{split.name!r} and {common[0][name]!r} for {splits[0].name!r}. Build them "
                    "in one call, with a tuple of splits."
                )
    versions = {"pixels": PIXELS_VERSION, "text": TEXT_VERSION, "order": ORDER_VERSION}
    common[0].pop("vocabulary")
    return {"versions": versions, **common[0], "order": _order(splits, by_blocks)}


def _of_dataset(ds: Dataset) -> dict[str, Any]:
    return {
        "pixels": _pixels(ds.config),
        "task": _task(ds.task),
        "text": _text(ds) if ds.task.has_text else None,
        "vocabulary": ds.tokenizer.fingerprint if ds.has_tokens else None,
    }


def _pixels(config: Config) -> dict[str, Any]:
    pixels = config.pixels
    names = ("size", "fit", "interpolation", "background", "load_size", "normalize")
    known = {name: plain(getattr(pixels, name)) for name in names}
    return {**known, "channels": 3, "max_crop": float(pixels.resize.max_crop)}


def _task(task: Task) -> dict[str, Any]:
    return {
        "name": _TASKS[type(task)],
        "captions": task.captions,
        "lookahead": task.lookahead,
        "columns": list(task.columns),
        "class_names": list(task.class_names),
    }


def _text(ds: Dataset) -> dict[str, Any]:
    known = {
        "template": getattr(ds.task, "template", "{caption}"),
        "clean": cleaning_json(ds.text.cleaner),
        "tokenizer": None,
    }
    if not ds.has_tokens:
        return known
    pack = pack_of(ds)
    names = ("length", "start_id", "end_id", "pad_id", "prompt", "padding", "padding_side")
    return {**{name: plain(getattr(pack, name)) for name in names}, **known}


def _order(splits: list[SplitRows], by_blocks: bool) -> dict[str, Any]:
    """The order of the first split that is for training."""
    configs = [split.ds.config for split in splits]
    config = next((each for each in configs if not each.evaluation), configs[0])
    blocks = config.shuffle if isinstance(config.shuffle, Blocks) else None
    shuffle: bool | str = bool(config.shuffle)
    if blocks or (config.shuffle and by_blocks):
        shuffle = "blocks"
    return {
        "seed": str(config.seed),
        "shuffle": shuffle,
        "batch_size": config.batching.size,
        "remainder": config.batching.remainder,
        "window": (blocks or Blocks()).window,
    }


def too_large_to_shuffle(splits: list[SplitRows]) -> bool:
    """Whether a split is so large that sprites must be read in blocks."""
    height, width = splits[0].ds.pixels.size
    return any(len(s) * height * width * 3 > _LARGE for s in splits if not s.ds.config.evaluation)


def with_counts(
    settings: Mapping[str, Any], splits: list[SplitRows], shard_rows: int, captions: list[int]
) -> dict[str, Any]:
    """The settings with the sizes of each split."""
    sizes = {
        split.name: {
            "rows": len(split),
            "captions": count,
            "shards": -(-len(split) // shard_rows),
            "shard_rows": shard_rows,
            "evaluation": split.ds.config.evaluation,
        }
        for split, count in zip(splits, captions, strict=True)
    }
    return {**settings, "splits": sizes}
