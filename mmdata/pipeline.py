"""`mmdata.build`: the one place where the order of everything can be read."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmdata.arguments import (
    Batches,
    Blocks,
    Pixels,
    Text,
    batches_of,
    cache_of,
    pixels_of,
    shuffling_of,
    task_of,
    text_of,
)
from mmdata.cache import Cached, fill
from mmdata.corrupt import Corrupt, Missed
from mmdata.dataset import Dataset
from mmdata.decoding import Decoding
from mmdata.example import Example, Stage, chain
from mmdata.labels import values_of, with_classes
from mmdata.lookup import Lookup
from mmdata.order import Order
from mmdata.paired import paired, require_captions
from mmdata.pairing.pairs import Pairs
from mmdata.pairing.problems import OnProblem, problems_of
from mmdata.recipe import Recipe
from mmdata.shapes import Groups, decode_ratios, nearest_sizes, upright_sizes
from mmdata.spoken import Spoken, without_speechless
from mmdata.stages.augment import Seed
from mmdata.stages.batches import CutBack, FillUp, Full
from mmdata.stages.captions import DropCaption, ShuffleTags, Template
from mmdata.stages.pixels import Normalize
from mmdata.tasks import Captioned, Classification, Task
from mmdata.tokenizers import Tokenizer
from mmdata.visits import Visits
from mmdata.vocabulary import tokenizer_for

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
    batch_size: int | Batches = 32,
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
        `Batches`, which says what becomes of that one.
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
    recipe = Recipe(
        task=task_of(task),
        pixels=pixels_of(pixels, image_size),
        text=text_of(text, sequence_length),
        augment=_stages(augment),
        batches=batches_of(batch_size),
        shuffle=shuffling_of(shuffle),
        seed=seed,
        shard=shard,
        cache=cache_of(cache),
        problems=problems,
    )
    splits = (split,) if isinstance(split, str) else split
    pairs, findings = paired(images, captions, splits, recipe)
    if splits is not None:
        pairs = pairs.split()
    recipe = dataclasses.replace(recipe, task=with_classes(recipe.task, pairs))
    parts = [pairs] if splits is None else [pairs.subset(name) for name in splits]
    for part in parts:
        require_captions(part, recipe.task)
    tokenizer = None
    if recipe.task.has_text:
        tokenizer = tokenizer_for(recipe.text, pairs, recipe.before_cleaning)
    rows = len(pairs) - sum(map(len, parts))
    if tokenizer is not None:
        parts, emptied = without_speechless(parts, tokenizer, recipe)
        findings += emptied
    rows += sum(map(len, parts))
    problems.check(findings, rows=rows, where=f"{pairs.root!r}, cleaned")
    allowed = problems.corrupt_allowed(findings, rows=rows)
    recipes = [recipe] * len(parts)
    if splits is not None:
        recipes = [recipe.measuring() if name in _MEASURING else recipe for name in splits]
    datasets = tuple(
        _dataset(part, tokenizer, allowed, of_part)
        for part, of_part in zip(parts, recipes, strict=True)
    )
    if recipe.cache is not None:  # which has decoded them all
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
    pairs: Pairs, tokenizer: Tokenizer | None, allowed: int | None, recipe: Recipe
) -> Dataset:
    scan, pairs = pairs.scanned()
    recipe = recipe.with_load_size()
    task, pixels = recipe.task, recipe.pixels
    visits = Visits.of(task, pairs, scan.keys)
    spoken = None
    if tokenizer is not None and not isinstance(task, Classification):
        spoken = Spoken.of(pairs, visits, task, tokenizer, recipe)
        text = dataclasses.replace(
            recipe.text,
            clean=recipe.text.cleaner,
            tokenizer=tokenizer,
            fix_text=pairs.fix_text,
        )
        recipe = dataclasses.replace(recipe, text=text)
    by_row: dict[str, Any] = {}
    by_row |= values_of(task, pairs, weighted=recipe.problems.corrupt == "drop")
    by_index: dict[str, Any] = {}
    shapes = np.zeros(visits.count, np.int64)
    sizes = np.array([pixels.load_size or pixels.size])
    if pixels.buckets:
        nearest = nearest_sizes(scan, pixels.buckets)
        by_row["size"] = sizes = np.array(pixels.buckets, np.int32)[nearest]
        shapes = nearest[visits.rows(pairs)]
    if spoken is not None and spoken.lengths is not None:
        by_index["length"] = spoken.lengths
        shapes = shapes * (spoken.lengths.max() + 1) + spoken.lengths
    if pixels.quality == "fast" and (ratios := decode_ratios(scan, sizes)).max() > 1:
        by_row["ratio"] = ratios
        by_row["upright"] = upright_sizes(scan)
    bucketed = bool(pixels.buckets or by_index)
    order, by_group = _order(pairs, visits, shapes if bucketed else None, recipe)
    same = recipe.measured
    look_up = Lookup(pairs, scan, visits, order, task, by_row, by_index, by_group, same=same)
    strict = allowed == 0 and not order.buckets  # a gap would draw other shapes nearer
    decoding = Decoding.of(pairs, scan, recipe, fast="ratio" in by_row, strict=strict)
    cached = None
    if recipe.cache is not None:
        cached = fill(recipe.cache, pairs, scan, look_up, decoding, by_row.get("size"))
        scan, pairs = cached.judged(pairs, scan)
    plan = Plan(
        recipe=recipe,
        order=order,
        look_up=look_up,
        decoding=decoding,
        cached=cached,
        corrupt=Corrupt(pairs, scan, allowed),
        on_captions=() if spoken is None else tuple(spoken.stages),
    )
    return Dataset(
        plan,
        recipe=recipe,
        pairs=pairs,
        tokenizer=tokenizer,
        fit_report=None if spoken is None else spoken.fit,
        corrupt=plan.corrupt,
        steps_per_epoch=order.steps_per_epoch,
        image_sizes=tuple(pixels.buckets[i] for i in np.unique(nearest))
        if pixels.buckets
        else (pixels.size,),
    )


def _order(
    pairs: Pairs, visits: Visits, shapes: NDArray[np.int64] | None, recipe: Recipe
) -> tuple[Order, NDArray[np.int64] | None]:
    """The order of an epoch, and all indices as it counts them; None where it counts from 0 on.

    `shapes`, int64 [indices], tells apart what no batch may mix.
    """
    shuffle, groups = recipe.shuffle, None
    grouping: dict[str, Any] = {}
    if shapes is not None:
        groups = Groups.of(shapes)
        grouping = {"buckets": groups.counts}
    elif isinstance(shuffle, Blocks):
        rows = visits.rows(pairs)
        near = rows // shuffle.rows if pairs.members is None else pairs.members.shard[rows]
        groups = Groups.of(near.astype(np.int64))
        grouping = {"blocks": groups.counts, "window": shuffle.window}
    order = Order(
        count=visits.count,
        batch_size=recipe.batches.size,
        remainder=recipe.batches.remainder,
        shuffle=bool(shuffle),
        seed=recipe.seed,
        shard=recipe.shard,
        **grouping,
    )
    return order, groups.indices if groups else None


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """What the batches of a dataset are made of; called with steps, int64 [], it makes them."""

    recipe: Recipe
    order: Order
    look_up: Lookup
    decoding: Decoding
    cached: Cached | None
    corrupt: Corrupt
    on_captions: tuple[Stage, ...]

    @property
    def normalize(self) -> Normalize | None:
        """The stage that scales pixels; None where something else stands in the place of them."""
        return None if self.recipe.encoder else Normalize(to=self.recipe.pixels.normalize)

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
        on_examples = _on_examples(self.recipe)
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
            Seed(seed=self.recipe.seed) if on_examples else None,
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
            self.recipe.task,
            Full(size=size) if self.order.full else None,
        ]


def _on_examples(recipe: Recipe) -> list[Stage]:
    """What happens to each example by itself: augmentation, then the words around its caption."""
    stages, task = list(recipe.augment), recipe.task
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
