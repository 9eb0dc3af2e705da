"""Step -> batch: every stage that an example passes through, in order."""

import dataclasses
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from mmdata.config import Config
from mmdata.example import Stage, chain
from mmdata.images.cache import Cached
from mmdata.images.corrupt import Corrupt
from mmdata.images.decoding import Decoding
from mmdata.images.one_by_one import one_by_one
from mmdata.sampling.lookup import Lookup
from mmdata.sampling.order import Order
from mmdata.stages.fill_up import CutBack, Full
from mmdata.stages.normalize import Normalize


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """Everything that makes the batches of a dataset.

    Attributes:
      config: The arguments of `build`.
      order: Step -> indices of its examples; shuffling happens here.
      look_up: Step -> rows, paths and captions.
      decoding: Files -> images: decode, resize, crop.
      cached: Images that are decoded already; None without a cache.
      corrupt: Records images that cannot be decoded, or raises.
      caption_stages: Captions -> ids: clean, tokenize, pack.
    """

    config: Config
    order: Order
    look_up: Lookup
    decoding: Decoding
    cached: Cached | None
    corrupt: Corrupt
    caption_stages: tuple[Stage, ...]

    @property
    def normalize(self) -> Normalize | None:
        """uint8 pixels -> the range that the model expects; None if features replace images."""
        return None if self.config.encoder else Normalize(to=self.config.pixels.normalize)

    def decoded(self, rows: NDArray[Any]) -> Any:
        """A dataset of the images of rows, before they are normalized; see `Decoding.images`."""
        if self.cached is None:
            return self.decoding.images(rows, self.look_up)
        return self.cached.images(rows)

    def images(self, rows: NDArray[Any]) -> Any:
        """A dataset of the images of rows, as the model sees them; see `Decoding.images`."""
        normalize = chain([self.normalize])
        return self.decoded(rows).map(
            lambda place, image: (place, normalize({"image": image})["image"])
        )


def batches(steps: Any, plan: Plan) -> Any:
    """Makes a batch for each step.

    Args:
      steps: A dataset of steps, int64 [].
      plan: What makes the batches.

    Returns:
      A dataset of batches for `fit`.
    """
    config, order, cached = plan.config, plan.order, plan.cached
    size = order.batch_size // order.shard[1]
    augment = (*config.augment, *config.task.on_examples)
    strict = plan.decoding.decode.strict and cached is None
    finish = [
        None if cached is not None and cached.complete else plan.corrupt,
        CutBack() if strict else None,
        *plan.caption_stages,  # clean, tokenize, pack: on batches, ten times as fast as one by one
        plan.normalize,  # late, so that bytes are moved and not floats
        config.task,
        Full(size=size) if order.full else None,
    ]
    if cached is not None and not augment:  # nothing needs single examples: one call per batch
        ds = steps.map(chain([plan.look_up, cached, *finish]), num_parallel_calls=tf.data.AUTOTUNE)
    else:
        ds = one_by_one(
            steps,
            plan.look_up,
            plan.decoding if cached is None else cached.examples,  # decode, resize, crop
            augment,  # after resizing, when pixels are few
            size=size,
            may_be_short=bool(order.buckets),
            strict=strict,
        )
        ds = ds.map(chain(finish), num_parallel_calls=tf.data.AUTOTUNE)
    return ds.prefetch(tf.data.AUTOTUNE).with_options(_options())


def _options() -> Any:
    # TensorFlow chooses the numbers of parallel calls and of prefetched batches. Fixed numbers,
    # private thread pools, one thread per operation, no autotuning and no graph optimizations were
    # each measured against this, with a cache: no gain in images per second was larger than the
    # spread between two runs.
    options = tf.data.Options()
    options.deterministic = True
    # `Order` cuts each batch into shards; TensorFlow must not shard again.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return options
