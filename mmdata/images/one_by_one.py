"""Stages that need single images: unbatches, decodes, augments, and batches again."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from mmdata.example import Stage, chain
from mmdata.images.corrupt import Missed
from mmdata.sampling.lookup import Lookup
from mmdata.stages.fill_up import CutBack, FillUp
from mmdata.stages.stage_check import require_stages


def one_by_one(
    steps: Any,
    look_up: Lookup,
    decode: Callable[[Any], Any],
    augment: Sequence[Stage],
    *,
    size: int,
    may_be_short: bool,
    strict: bool,
) -> Any:
    """Finds, decodes and augments the examples of each step.

    Args:
      steps: A dataset of steps, int64 [].
      look_up: Step -> batch of rows with their captions.
      decode: A dataset of such batches -> a dataset of single examples with their images.
      augment: Stages on single examples.
      size: Examples per batch.
      may_be_short: Whether batches inside an epoch may be short, as with buckets.
      strict: Whether one image that fails stops the run; if not, corrupt images keep their place.
        If so, a batch has one more example, see `Missed`.

    Returns:
      A dataset of batches.

    Raises:
      ValueError: A stage does not return what it must, see `require_stages`.
    """
    fill = [
        FillUp(size=size) if may_be_short else None,  # later examples must not fill the gap
        FillUp() if strict else None,  # this example cannot fail, so any gap is before it
    ]
    ds = steps.map(chain([look_up, *fill]), num_parallel_calls=tf.data.AUTOTUNE)
    ds = decode(ds)
    if strict:
        ds = ds.ignore_errors()  # `Missed` finds the images that failed, and names them
    if augment:  # after resizing, when pixels are few
        require_stages(augment, ds.element_spec)
        ds = ds.map(chain(augment), num_parallel_calls=tf.data.AUTOTUNE)
    ds = ds.batch(size + strict)
    if strict:
        ds = ds.scan(tf.constant(False), Missed(look_up))
        ds = ds.take_while(lambda _, missed: ~missed)
        ds = ds.map(lambda example, _: example)
    return ds.map(CutBack()) if may_be_short else ds
