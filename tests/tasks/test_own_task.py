"""A custom task is one class that `mmdata.build` takes."""

import dataclasses
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import mmdata
from mmdata.example import Example
from mmdata.tasks import Captioned, Task

SAMPLES = pathlib.Path(__file__).parents[2] / "sample_data"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contrast(Captioned):
    """Two captions an image would be too many: one, with the number of its tokens."""

    captions: Any = "first"

    def __call__(self, example: Example) -> Any:
        mask = example["padding_mask"]
        lengths = tf.reduce_sum(tf.cast(mask, tf.int32), axis=-1)
        return {"images": example["image"], "lengths": lengths}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pretraining(Task):
    """Images alone, each as its own target."""

    noise: float = 0.0

    def check(self, *, normalize: str, **_: Any) -> None:
        if normalize != "unit":
            raise ValueError(f"task=Pretraining(...) takes pixels from 0 to 1; got {normalize!r}.")

    def for_evaluation(self) -> "Pretraining":
        return dataclasses.replace(self, noise=0.0)

    def __call__(self, example: Example) -> Any:
        images = example["image"]
        return images + self.noise, images


def build(task: Any, captions: Any = SAMPLES / "captions", **options: Any) -> Any:
    defaults: dict[str, Any] = {"image_size": (8, 8), "batch_size": 4, "text": "byte"}
    return mmdata.build(SAMPLES / "images", captions, task=task, **(defaults | options))


def test_a_task_with_captions() -> None:
    ds = build(Contrast(template="a {caption}"), shuffle=False)
    batch = next(iter(ds))
    captions = [ds.pairs.captions_of(row)[0] for row in range(4)]
    clean = [len(f"a {caption}".lower().encode()) + 2 for caption in captions]
    assert batch["lengths"].numpy().tolist() == [min(length, 32) for length in clean]
    assert len(ds) == -(-len(ds.pairs) // 4)
    assert ds.settings["task"]["type"].endswith("Contrast")


def test_a_task_without_captions(tmp_path: pathlib.Path) -> None:
    folder = SAMPLES / "images"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
    table = tmp_path / "images.csv"
    table.write_text("\n".join(["image", *names, ""]))
    splits = ("train", "validation")
    train, validation = build(Pretraining(noise=1.0), captions=table, split=splits)
    x, y = next(iter(train))
    np.testing.assert_array_equal(x, y + 1.0)
    x, y = next(iter(validation))
    np.testing.assert_array_equal(x, y)
    with pytest.raises(AttributeError, match="has no text"):
        _ = train.tokenizer


def test_what_a_task_excludes() -> None:
    with pytest.raises(ValueError, match=r"Pretraining.* takes pixels from 0 to 1; got 'clip'"):
        build(Pretraining(), pixels="clip")


@pytest.mark.parametrize("task", [Pretraining, lambda example: example, "pretraining"])
def test_invalid_tasks_are_refused(task: Any) -> None:
    with pytest.raises(ValueError, match=r"task=\.\.\. must be one of"):
        build(task)
