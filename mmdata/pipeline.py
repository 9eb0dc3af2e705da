"""`mmdata.build`: the one place where the order of everything can be read."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmdata.captions.preparation import CaptionPlan, drop_empty_captions
from mmdata.captions.vocabulary import tokenizer_for
from mmdata.config import Config
from mmdata.dataset import Dataset
from mmdata.example import Example, Stage, chain
from mmdata.images.cache import Cached, fill
from mmdata.images.corrupt import Corrupt, Missed
from mmdata.images.decoding import Decoding
from mmdata.inputs import paired, require_captions
from mmdata.options import (
    Batching,
    Blocks,
    Pixels,
    Text,
    batching_of,
    cache_of,
    pixels_of,
    shuffling_of,
    task_of,
    text_of,
)
from mmdata.pairing.problems import OnProblem, problems_of
from mmdata.pairs.pairs import Pairs
from mmdata.sampling.epoch import EpochIndex
from mmdata.sampling.lookup import Lookup
from mmdata.sampling.order import Order
from mmdata.sampling.size_buckets import Groups, decode_ratios, nearest_sizes, upright_sizes
from mmdata.stages.augment import Seed
from mmdata.stages.captions import DropCaption, ShuffleTags, Template
from mmdata.stages.fill_up import CutBack, FillUp, Full
from mmdata.stages.normalize import Normalize
from mmdata.tasks import Captioned, Classification, Task
from mmdata.tasks.labels import values_of, with_classes
from mmdata.tokenizers import Tokenizer

if TYPE_CHECKING:
    from _typeshed import StrPath

_MEASURING = ("validation", "test")


def build(
    images: Any,
    captions: Any = None,
    *,
    task: str | Task = "captioning",
    split: str | tuple[str, ...] | None = None,
    pixels: str | Pixels = "unit",
    image_size: tuple[int, int] | None = None,
    text: str | Tokenizer | Text = "wordpiece",
    sequence_length: int | None = None,
    augment: Sequence[Stage] = (),
    batch_size: int | Batching = 32,
    shuffle: bool | str | Blocks = True,
    seed: int = 0,
    shard: tuple[int, int] = (0, 1),
    cache: "StrPath | bool | None" = None,
    on_problem: OnProblem = "error",
) -> Any:
    """Turns images and captions on disk into a `tf.data.Dataset` that `keras.Model.fit` takes.

    Args:
      images: A folder of images, tar shards or a DataFrame, see `mmdata.read`; or the `Pairs` that
        it returns, which is how to say more about reading.
      captions: See `mmdata.read`; None beside `Pairs`.
      task: What a batch holds: "captioning", "retrieval", "references", "text_to_image"; or a
        `Captioning`, `Prefix`, `Retrieval`, `References`, `TextToImage` or `Classification`, which
        also say which captions of an image are taken.
      split: None takes everything; a name, e.g. "train", takes that split; a tuple of names gives
        a tuple of datasets. What its source does not split is split 80/10/10 into "train",
        "validation" and "test", see `Pairs.split`.
      pixels: What a model was trained on: "clip", "siglip", "paligemma", "imagenet" (torchvision),
        "inception_v3", "resnet50", "vgg16", "efficientnet", "mobilenet_v3"; or stretched to a
        range: "unit" (0..1), "signed" (-1..1), "caffe", "raw" (0..255), "uint8"; or a `Pixels`.
      image_size: (height, width) in pixels; None is that of `pixels`, mostly (224, 224).
      text: "wordpiece", "word", "character", "sentencepiece" or "bytepair", learned; "byte";
        "clip"; a `Tokenizer`, or a `Text`. A vocabulary is learned from the split "train" alone,
        where there are splits, and kept for the next time.
      sequence_length: Tokens of a sequence, start and end included; None is that of the tokenizer's
        model (CLIP: 77), else 32. Warns where more than 1 % of the captions are longer, and cut.
      augment: Stages that run on each example after resizing, in order: `RandomCrop`, `Flip`,
        `Color`, `Grayscale`, your own. An example holds `image` (uint8 [H, W, 3]), `caption`
        (string []) and `seed` (int32 [2]), a key of its own for `tf.random.stateless_*` that
        differs from epoch to epoch. The splits "validation" and "test" are never augmented.
      batch_size: Examples a batch, over all shards; the last batch of an epoch may be shorter. Or a
        `Batching`, which says what becomes of that one.
      shuffle: Whether each epoch has an order of its own; never in "validation" and "test".
        "blocks", or a `Blocks`, stays near, for tar shards and files far away.
      seed: Same seed, same batches.
      shard: (k, w): worker k of w takes its slice of every batch.
      cache: A folder where decoded and resized images are kept, or True for one in the user's cache
        folder; filled here, with a progress bar, unless it was before. Batches are the same without
        it, to the bit. A file that changes is decoded anew, and so is all where other pixels are
        asked for; `mmdata cache` shows and clears what is kept.
      on_problem: "error" raises where something does not pair or cannot be decoded; "drop" goes on,
        and keeps the list in `.report`; a `Problems` says so kind by kind. A corrupt image keeps
        its place in the order, blank and with weight 0, so that it does not move later batches.

    Returns:
      A `Dataset`; for a tuple of splits, a tuple of them.

    Raises:
      PairingError: Something does not pair or is no image, and `on_problem` is "error".
      FileNotFoundError, NotADirectoryError: A path is not there, or not a folder.
      OSError: The disk has no room for the cache.
      ValueError: An argument is out of range; the message says which, and what it takes.
    """
    problems = problems_of(on_problem)
    config = Config(
        task=task_of(task),
        pixels=pixels_of(pixels, image_size),
        text=text_of(text, sequence_length),
        augment=_stages(augment),
        batching=batching_of(batch_size),
        shuffle=shuffling_of(shuffle),
        seed=seed,
        shard=shard,
        cache=cache_of(cache),
        problems=problems,
    )
    splits = (split,) if isinstance(split, str) else split
    pairs, findings = paired(images, captions, splits, config)
    if splits is not None:
        pairs = pairs.split()
    config = dataclasses.replace(config, task=with_classes(config.task, pairs))
    parts = [pairs] if splits is None else [pairs.subset(name) for name in splits]
    for part in parts:
        require_captions(part, config.task)
    tokenizer = None
    if config.task.has_text:
        tokenizer = tokenizer_for(config.text, pairs, config.before_cleaning)
    rows = len(pairs) - sum(map(len, parts))
    if tokenizer is not None:
        parts, emptied = drop_empty_captions(parts, tokenizer, config)
        findings += emptied
    rows += sum(map(len, parts))
    problems.check(findings, rows=rows, where=f"{pairs.root!r}, cleaned")
    allowed = problems.corrupt_allowed(findings, rows=rows)
    configs = [config] * len(parts)
    if splits is not None:
        configs = [config.for_evaluation() if name in _MEASURING else config for name in splits]
    datasets = tuple(
        _dataset(part, tokenizer, allowed, of_part)
        for part, of_part in zip(parts, configs, strict=True)
    )
    if config.cache is not None:  # which has decoded them all
        others = [found for found in findings if found.kind != "corrupt"]
        corrupt = [found for ds in datasets for found in ds.pairs.corrupt]
        problems.check([*others, *corrupt], rows=rows, where=repr(pairs.root))
    return datasets if isinstance(split, tuple) else datasets[0]


def _stages(augment: Sequence[Stage]) -> tuple[Stage, ...]:
    stages = tuple(augment) if isinstance(augment, Sequence) else (augment,)
    if not isinstance(augment, Sequence) or any(
        isinstance(stage, type) or not callable(stage) for stage in stages
    ):
        raise ValueError(
            "augment=... must be a sequence of stages that map an example to an example, e.g. "
            f"[RandomCrop(), Flip()]; got {augment!r}."
        )
    return stages


def _dataset(
    pairs: Pairs, tokenizer: Tokenizer | None, allowed: int | None, config: Config
) -> Dataset:
    scan, pairs = pairs.scanned()
    config = config.with_load_size()
    task, pixels = config.task, config.pixels
    epoch_index = EpochIndex.of(task, pairs, scan.keys)
    caption_plan = None
    if tokenizer is not None and not isinstance(task, Classification):
        caption_plan = CaptionPlan.of(pairs, epoch_index, task, tokenizer, config)
        text = dataclasses.replace(
            config.text,
            clean=config.text.cleaner,
            tokenizer=tokenizer,
            fix_text=pairs.fix_text,
        )
        config = dataclasses.replace(config, text=text)
    by_row: dict[str, Any] = {}
    by_row |= values_of(task, pairs, weighted=config.problems.corrupt == "drop")
    by_index: dict[str, Any] = {}
    shapes = np.zeros(epoch_index.count, np.int64)
    sizes = np.array([pixels.load_size or pixels.size])
    if pixels.buckets:
        nearest = nearest_sizes(scan, pixels.buckets)
        by_row["size"] = sizes = np.array(pixels.buckets, np.int32)[nearest]
        shapes = nearest[epoch_index.rows(pairs)]
    if caption_plan is not None and caption_plan.lengths is not None:
        by_index["length"] = caption_plan.lengths
        shapes = shapes * (caption_plan.lengths.max() + 1) + caption_plan.lengths
    if pixels.quality == "fast" and (ratios := decode_ratios(scan, sizes)).max() > 1:
        by_row["ratio"] = ratios
        by_row["upright"] = upright_sizes(scan)
    bucketed = bool(pixels.buckets or by_index)
    order, by_group = _order(pairs, epoch_index, shapes if bucketed else None, config)
    same = config.measured
    look_up = Lookup(pairs, scan, epoch_index, order, task, by_row, by_index, by_group, same=same)
    strict = allowed == 0 and not order.buckets  # a gap would draw other shapes nearer
    decoding = Decoding.of(pairs, scan, config, fast="ratio" in by_row, strict=strict)
    cached = None
    if config.cache is not None:
        cached = fill(config.cache, pairs, scan, look_up, decoding, by_row.get("size"))
        scan, pairs = cached.judged(pairs, scan)
    plan = Plan(
        config=config,
        order=order,
        look_up=look_up,
        decoding=decoding,
        cached=cached,
        corrupt=Corrupt(pairs, scan, allowed),
        on_captions=() if caption_plan is None else tuple(caption_plan.stages),
    )
    return Dataset(
        plan,
        config=config,
        pairs=pairs,
        tokenizer=tokenizer,
        length_report=None if caption_plan is None else caption_plan.fit,
        corrupt=plan.corrupt,
        steps_per_epoch=order.steps_per_epoch,
        image_sizes=tuple(pixels.buckets[i] for i in np.unique(nearest))
        if pixels.buckets
        else (pixels.size,),
    )


def _order(
    pairs: Pairs, epoch_index: EpochIndex, shapes: NDArray[np.int64] | None, config: Config
) -> tuple[Order, NDArray[np.int64] | None]:
    """The order of an epoch, and all indices as it counts them; None where it counts from 0 on.

    `shapes`, int64 [indices], tells apart what no batch may mix.
    """
    shuffle, groups = config.shuffle, None
    grouping: dict[str, Any] = {}
    if shapes is not None:
        groups = Groups.of(shapes)
        grouping = {"buckets": groups.counts}
    elif isinstance(shuffle, Blocks):
        rows = epoch_index.rows(pairs)
        near = rows // shuffle.rows if pairs.blobs is None else pairs.blobs.shard[rows]
        groups = Groups.of(near.astype(np.int64))
        grouping = {"blocks": groups.counts, "window": shuffle.window}
    order = Order(
        count=epoch_index.count,
        batch_size=config.batching.size,
        remainder=config.batching.remainder,
        shuffle=bool(shuffle),
        seed=config.seed,
        shard=config.shard,
        **grouping,
    )
    return order, groups.indices if groups else None


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """What the batches of a dataset are made of; called with steps, int64 [], it makes them."""

    config: Config
    order: Order
    look_up: Lookup
    decoding: Decoding
    cached: Cached | None
    corrupt: Corrupt
    on_captions: tuple[Stage, ...]

    @property
    def normalize(self) -> Normalize | None:
        """The stage that scales pixels; None where something else stands in the place of them."""
        return None if self.config.encoder else Normalize(to=self.config.pixels.normalize)

    def images(self, rows: NDArray[np.int64]) -> Any:
        """A dataset of the images of rows, as a model gets them; see `Decoding.images`."""
        if self.cached is None:
            ds = self.decoding.images(rows, self.look_up)
        else:
            ds = self.cached.images(rows)
        normalize = chain([self.normalize])
        return ds.map(lambda place, image: (place, normalize({"image": image})["image"]))

    def __call__(self, steps: Any) -> Any:
        """All that happens to an example, in order."""
        on_examples = _on_examples(self.config)
        if self.cached is None or on_examples:
            ds = self._one_by_one(steps, on_examples)
        else:  # nothing takes a batch apart, so all is one call a batch
            stages = chain([self.look_up, self.cached, *self._on_batches()])
            ds = steps.map(stages, num_parallel_calls=tf.data.AUTOTUNE)
        return ds.prefetch(tf.data.AUTOTUNE).with_options(_options())

    def _one_by_one(self, steps: Any, on_examples: Sequence[Stage]) -> Any:
        strict = self.decoding.decode.strict and self.cached is None
        size = self.order.batch_size // self.order.shard[1]
        on_steps = [
            self.look_up,  # a block of integers a step: no buffer to fill
            Seed(seed=self.config.seed) if on_examples else None,
            # Buckets end with short batches, and those behind them must not move up.
            FillUp(size=size) if self.order.buckets else None,
            # One more, which cannot fail, and shows whether all before it are there.
            FillUp() if strict else None,
            self.cached,
        ]
        ds = steps.map(chain(on_steps), num_parallel_calls=tf.data.AUTOTUNE)
        ds = self.decoding(ds) if self.cached is None else ds.unbatch()
        if strict:
            ds = ds.ignore_errors()  # `Missed` finds them, and knows their names
        if on_examples:  # behind resizing, where pixels are few
            ds = ds.map(chain(on_examples), num_parallel_calls=tf.data.AUTOTUNE)
        ds = ds.batch(size + strict)
        if strict:
            ds = ds.scan(tf.constant(False), Missed(self.look_up))
            ds = ds.take_while(lambda _, missed: ~missed)
            ds = ds.map(lambda example, _: example)
        cut_back = CutBack() if self.order.buckets else None
        stages = chain([cut_back, *self._on_batches(strict)])
        return ds.map(stages, num_parallel_calls=tf.data.AUTOTUNE)

    def _on_batches(self, strict: bool = False) -> list[Callable[[Example], Any] | None]:
        size = self.order.batch_size // self.order.shard[1]
        whole = self.cached is not None and self.cached.complete
        return [
            None if whole else self.corrupt,  # on batches, as each note is a write to a variable
            CutBack() if strict else None,
            *self.on_captions,  # text runs on batches: ten times as fast as one by one
            self.normalize,  # last: before it, bytes move, not floats
            self.config.task,
            Full(size=size) if self.order.full else None,
        ]


def _on_examples(config: Config) -> list[Stage]:
    """What happens to each example by itself: augmentation, then the words around its caption."""
    stages, task = list(config.augment), config.task
    if not isinstance(task, Captioned):
        return stages
    if task.shuffle_tags:
        stages.append(ShuffleTags(keep=task.keep_tags))
    if task.template != "{caption}":
        stages.append(Template(text=task.template))
    if task.dropout:
        stages.append(DropCaption(rate=task.dropout))
    return stages


def _options() -> Any:
    # TensorFlow chooses how many batches are under way and wait. Fixed numbers of calls and of
    # batches, thread pools of one's own, one thread an operation, no automatic tuning and no graph
    # optimizations were each measured beside that, with a cache: none of them did more images a
    # second than the spread between two runs.
    options = tf.data.Options()
    options.deterministic = True
    # Shards are slices of each batch, cut by `Order`; TensorFlow must not cut again.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return options
