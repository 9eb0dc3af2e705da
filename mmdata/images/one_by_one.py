"""What happens to one image at a time: a batch is taken apart, and put together again."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from mmdata.example import Stage, chain
from mmdata.images.corrupt import Missed
from mmdata.sampling.lookup import Lookup
from mmdata.stages.fill_up import CutBack, FillUp


def one_by_one(
    steps: Any,
    find: Sequence[Stage | None],
    decode: Callable[[Any], Any],
    augment: Sequence[Stage],
    *,
    size: int,
    may_be_short: bool,
    strict: Lookup | None,
) -> Any:
    """Finds, decodes and augments the examples of each step.

    Args:
      steps: A dataset of steps, int64 [].
      find: Stages from a step to a batch of rows with their captions.
      decode: From a dataset of such batches to one of single examples with their images.
      augment: Stages on single examples.
      size: Examples of a batch.
      may_be_short: Whether batches inside an epoch may be short, as those of buckets.
      strict: Finds the names of images that fail, where one of them stops all; None where corrupt
        images keep their place. If given, a batch has one example more, see `Missed`.

    Returns:
      A dataset of batches.
    """
    fill = [
        FillUp(size=size) if may_be_short else None,  # those behind short ones must not move up
        FillUp() if strict else None,  # cannot fail, and shows whether all before it are there
    ]
    ds = steps.map(chain([*find, *fill]), num_parallel_calls=tf.data.AUTOTUNE)
    ds = decode(ds)
    if strict:
        ds = ds.ignore_errors()  # `Missed` finds them, and knows their names
    if augment:  # behind resizing, where pixels are few
        ds = ds.map(chain(augment), num_parallel_calls=tf.data.AUTOTUNE)
    ds = ds.batch(size + bool(strict))
    if strict:
        ds = ds.scan(tf.constant(False), Missed(strict))
        ds = ds.take_while(lambda _, missed: ~missed)
        ds = ds.map(lambda example, _: example)
    return ds.map(CutBack()) if may_be_short else ds
