"""FillUp and CutBack: a short batch that is split and batched again."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mmdata.files.headers import Format
from mmdata.stages.fill_up import CutBack, FillUp

SIZE = 5


def batch(count: int) -> dict[str, Any]:
    return {
        "format": tf.zeros([count], tf.int8),
        "path": tf.constant([f"{row}.jpg" for row in range(count)]),
        "size": tf.tile([[3, 4]], [count, 1]),
    }


@pytest.mark.parametrize("count", [1, 2, SIZE])
def test_filled_up_with_examples_that_cannot_be_decoded(count: int) -> None:
    full = FillUp(size=SIZE)(batch(count))
    assert full["real"].numpy().tolist() == [row < count for row in range(SIZE)]
    expected = [0] * count + [Format.UNKNOWN] * (SIZE - count)
    assert full["format"].numpy().tolist() == expected
    assert full["format"].dtype == tf.int8
    assert full["size"].shape == (SIZE, 2)
    np.testing.assert_array_equal(full["path"][:count], batch(count)["path"])


@pytest.mark.parametrize("count", [1, 2, SIZE])
def test_cut_back_gives_the_batch_again(count: int) -> None:
    ds = tf.data.Dataset.from_tensors(batch(count)).map(FillUp(size=SIZE))
    (again,) = ds.unbatch().batch(SIZE).map(CutBack())
    assert again.keys() == batch(count).keys()
    for name, column in batch(count).items():
        np.testing.assert_array_equal(again[name], column)


def test_one_more() -> None:
    full = FillUp()(batch(3))
    assert full["real"].numpy().tolist() == [True, True, True, False]
    assert full["place"].numpy().tolist() == [0, 1, 2, 3]
    assert full["format"].numpy().tolist() == [0, 0, 0, Format.UNKNOWN]
