"""The error of a strict pipeline names the image that failed, at any place in the order."""

import io
import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import mmdata

COUNT = 7
SIDES = [(20, 30), (30, 20)]


def jpeg(number: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (*SIDES[number % 2], 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def folder_of(root: pathlib.Path, cut: Iterable[int]) -> pathlib.Path:
    """Images 0.jpg to 6.jpg, some of which end early: a scan does not see it."""
    for number in range(COUNT):
        content = jpeg(number)
        (root / f"{number}.jpg").write_bytes(content[:-50] if number in cut else content)
        (root / f"{number}.txt").write_text(f"number {number}")
    return root


def build(root: pathlib.Path, **options: Any) -> Any:
    pixels = options.pop("pixels", mmdata.Pixels(size=(8, 8)))
    return mmdata.build(root, pixels=pixels, text="byte", sequence_length=12, **options)


def run(ds: Any) -> tuple[int, str]:
    """How many images came before the error, and what it says; "" where there is none."""
    seen = 0
    try:
        for batch in ds:
            x = batch if isinstance(batch, dict) else batch[0]
            seen += len(x["images"])
    except tf.errors.InvalidArgumentError as err:
        return seen, str(err)
    return seen, ""


@pytest.mark.parametrize(
    ("cut", "batch_size"),
    [
        ([], 3),
        ([0], 1),
        ([0], 3),
        ([1], 10),
        ([2], 3),
        ([5], 2),
        ([6], 3),
        ([6], 7),
        ([2, 3], 3),
        ([5, 6], 3),
        (range(COUNT), 2),
        (range(COUNT), 10),
    ],
    ids=str,
)
def test_the_error_names_the_first_bad_image(
    cut: list[int], batch_size: int, tmp_path: pathlib.Path
) -> None:
    ds = build(folder_of(tmp_path, cut), batch_size=batch_size, shuffle=False)
    seen, message = run(ds)
    if not cut:
        assert (seen, message) == (COUNT, "")
        return
    assert f"{cut[0]}.jpg" in message
    assert "cannot be decoded; 0 may be" in message
    assert seen == cut[0] // batch_size * batch_size
    found = {f.path: f.detail for f in ds.report.findings if f.kind == "corrupt"}
    assert found.keys() == {f"{cut[0]}.jpg"}
    assert "premature end" in found[f"{cut[0]}.jpg"]


@pytest.mark.parametrize("cut", [0, 6])
@pytest.mark.parametrize("task", ["captioning", "retrieval"])
def test_also_shuffled_in_shards_and_later_epochs(
    cut: int, task: str, tmp_path: pathlib.Path
) -> None:
    root = folder_of(tmp_path, [cut])
    common: dict[str, Any] = {"batch_size": 4, "task": task}
    for ds in (
        build(root, **common),
        build(root, **common).at(3),
        build(root, pixels=mmdata.Pixels(buckets=((8, 12), (12, 8))), **common),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"{cut}.jpg"):
            list(ds.repeat(2))
    failed = 0
    for worker in range(2):
        _, message = run(build(root, shard=(worker, 2), **common))
        failed += f"{cut}.jpg" in message
        assert not message or f"{cut}.jpg" in message
    assert failed == 1


def test_nothing_is_added_or_lost_where_all_is_well(tmp_path: pathlib.Path) -> None:
    root = folder_of(tmp_path, [])
    strict = list(build(root, batch_size=3, seed=5))
    ready = list(build(root, batch_size=3, seed=5, on_problem="drop"))
    assert [len(y) for _, y, _ in strict] == [3, 3, 1]
    for one, other in zip(strict, ready, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


def test_a_file_that_goes_while_training_is_named(tmp_path: pathlib.Path) -> None:
    ds = build(folder_of(tmp_path, []), batch_size=2, shuffle=False)
    assert run(ds) == (COUNT, "")
    (tmp_path / "3.jpg").unlink()
    seen, message = run(ds)
    assert seen == 2
    assert "3.jpg" in message


def test_a_stage_that_fails_is_not_taken_for_a_bad_image(tmp_path: pathlib.Path) -> None:
    def fail(example: dict[str, Any]) -> dict[str, Any]:
        with tf.control_dependencies([tf.debugging.Assert(tf.constant(False), ["my own fault"])]):
            return {**example, "image": tf.identity(example["image"])}

    ds = build(folder_of(tmp_path, []), augment=[fail])
    assert "my own fault" in run(ds)[1]
