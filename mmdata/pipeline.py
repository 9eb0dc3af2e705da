"""`mmdata.build`: the one place where the order of everything can be read."""

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mmdata.arguments import Pixels, Text, pixels_of, task_of, text_of
from mmdata.corrupt import Corrupt, Missed
from mmdata.dataset import Dataset
from mmdata.example import Example, Stage
from mmdata.headers import Format
from mmdata.labels import values_of, with_classes
from mmdata.lookup import Lookup
from mmdata.order import Order
from mmdata.pairing.findings import Finding, PairingError
from mmdata.pairing.listing import IfAny
from mmdata.pairing.pairs import Pairs
from mmdata.pairing.problems import OnProblem, problems_of
from mmdata.pairing.read import read
from mmdata.recipe import Recipe
from mmdata.shapes import Buckets, decode_ratios, nearest_sizes, upright_sizes
from mmdata.spoken import Spoken, without_speechless
from mmdata.stages.augment import Seed
from mmdata.stages.batches import CutBack, FillUp
from mmdata.stages.captions import DropCaption, ShuffleTags, Template
from mmdata.stages.images import Decode
from mmdata.stages.loading import Load
from mmdata.stages.pixels import Normalize
from mmdata.stages.resize import CenterCrop
from mmdata.tasks import Captioned, Classification, Task
from mmdata.tokenizers import LEARNED, Tokenizer
from mmdata.visits import Visits
from mmdata.vocabulary import tokenizer_for

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
    batch_size: int = 32,
    shuffle: bool = True,
    seed: int = 0,
    shard: tuple[int, int] = (0, 1),
    cache: None = None,
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
      batch_size: Examples a batch, over all shards; the last batch of an epoch may be shorter.
      shuffle: Whether each epoch has an order of its own.
      seed: Same seed, same batches.
      shard: (k, w): worker k of w takes its slice of every batch.
      cache: None; keeping pixels is not available yet.
      on_problem: "error" raises where something does not pair or cannot be decoded; "drop" goes on,
        and keeps the list in `.report`; a `Problems` says so kind by kind. A corrupt image keeps
        its place in the order, blank and with weight 0, so that it does not move later batches.

    Returns:
      A `Dataset`; for a tuple of splits, a tuple of them.

    Raises:
      PairingError: Something does not pair or is no image, and `on_problem` is "error".
      FileNotFoundError, NotADirectoryError: A path is not there, or not a folder.
      ValueError: An argument is out of range; the message says which, and what it takes.
    """
    problems = problems_of(on_problem)
    if cache is not None:
        raise ValueError(f"cache=... must be None, pixels cannot be kept yet; got {cache!r}.")
    recipe = Recipe(
        task=task_of(task),
        pixels=pixels_of(pixels, image_size),
        text=text_of(text, sequence_length),
        augment=_stages(augment),
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        shard=shard,
        problems=problems,
    )
    splits = (split,) if isinstance(split, str) else split
    pairs, findings = _paired(images, captions, splits, recipe)
    if splits is not None:
        pairs = pairs.split()
    recipe = dataclasses.replace(recipe, task=with_classes(recipe.task, pairs))
    parts = [pairs] if splits is None else [pairs.subset(name) for name in splits]
    for part in parts:
        _require_captions(part, recipe.task)
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
    return datasets if isinstance(split, tuple) else datasets[0]


def _paired(
    images: Any, captions: Any, splits: tuple[str, ...] | None, recipe: Recipe
) -> tuple[Pairs, list[Finding]]:
    """Reads and scans; one error names what does not pair together with what is no image.

    What does not pair was accepted by whoever made `Pairs`; what is no image was not.

    Returns:
      The pairs, and the findings of which `recipe.problems` judges.
    """
    problems = recipe.problems
    if isinstance(images, Pairs):
        if captions is not None:
            raise ValueError(f"captions=... must be None beside Pairs; got {captions!r}.")
        pairs = _without_bombs(images, problems.max_pixels)
        findings = [found for found in pairs.report.findings if found.kind == "corrupt"]
    else:
        pairs = read(
            images,
            captions,
            split=_needed(splits, recipe),
            caption_column="auto" if recipe.task.has_text else None,
            on_problem=problems.without_errors(),
        )
        pairs = _without_bombs(pairs, problems.max_pixels)
        findings = list(pairs.report.findings)
    try:
        problems.check(findings, rows=len(pairs), where=repr(pairs.root))
    except PairingError as err:
        if splits is None or "train" in splits or "train" not in pairs.split_names:
            raise
        raise PairingError(
            f"{err}\nThe split 'train' was read too, for its vocabulary: text=... a Tokenizer, "
            '"clip" or "byte" needs none.',
            err.findings,
        ) from err
    return pairs, findings


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


def _without_bombs(pairs: Pairs, max_pixels: int) -> Pairs:
    """The pairs, scanned, whose larger images must not be decoded."""
    scan, pairs = pairs.scanned()
    sides = scan.heights.astype(np.int64), scan.widths.astype(np.int64)
    large = np.flatnonzero((sides[0] * sides[1] > max_pixels) & (scan.formats != Format.UNKNOWN))
    if not large.size:
        return pairs
    problems = {
        row: f"{sides[0][row]} x {sides[1][row]} pixels, more than {max_pixels:,} in all"
        for row in large.tolist()
    }
    return pairs.with_scan(scan.refuse(problems))


def _needed(splits: tuple[str, ...] | None, recipe: Recipe) -> IfAny | None:
    """The splits to read: also "train" where a vocabulary is to be learned from its captions.

    And all (None) where classes are to be found, so that each split has the same.
    """
    if isinstance(recipe.task, Classification):
        return None if recipe.task.classes is None or splits is None else IfAny(splits)
    if splits is None:
        return None
    learned = recipe.text.tokenizer in tuple(LEARNED)
    return IfAny((*splits, "train")) if learned else IfAny(splits)


def _dataset(
    pairs: Pairs, tokenizer: Tokenizer | None, allowed: int | None, recipe: Recipe
) -> Dataset:
    scan, pairs = pairs.scanned()
    recipe = recipe.with_load_size()
    task, pixels = recipe.task, recipe.pixels
    visits = Visits.of(task, pairs, scan.keys)
    spoken, text = None, recipe.text
    if tokenizer is not None and not isinstance(task, Classification):
        spoken = Spoken.of(pairs, visits, task, tokenizer, recipe)
        text = dataclasses.replace(text, clean=text.cleaner, tokenizer=tokenizer)
    by_row = values_of(task, pairs, weighted=recipe.problems.corrupt == "drop")
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
    buckets = Buckets.of(shapes) if pixels.buckets or by_index else None
    if pixels.quality == "fast" and (ratios := decode_ratios(scan, sizes)).max() > 1:
        by_row["ratio"] = ratios
        by_row["upright"] = upright_sizes(scan)
    order = Order(
        count=visits.count,
        batch_size=recipe.batch_size,
        shuffle=recipe.shuffle,
        seed=recipe.seed,
        shard=recipe.shard,
        buckets=buckets.counts if buckets else (),
    )
    corrupt = Corrupt(pairs, scan, allowed)
    by_bucket = buckets.indices if buckets else None
    look_up = Lookup(pairs, scan, visits, order, task, by_row, by_index, by_bucket)
    load = None
    if pairs.members is not None or Format.PILLOW in scan.formats:
        load = Load(resize=pixels.resize, members=pairs.members)
    decode = Decode(
        background=pixels.background,
        fast="ratio" in by_row,
        plain=scan.plain,
        strict=allowed == 0 and not buckets,  # a gap would draw other shapes nearer
    )
    on_captions = [] if spoken is None else spoken.stages

    def stream(steps: Any) -> Any:
        return _batches(steps, order, look_up, load, decode, corrupt, on_captions, recipe)

    return Dataset(
        stream,
        pairs=pairs,
        tokenizer=tokenizer,
        task=task,
        pixels=pixels,
        text=text,
        fit_report=None if spoken is None else spoken.fit,
        corrupt=corrupt,
        steps_per_epoch=order.steps_per_epoch,
        image_sizes=tuple(pixels.buckets[i] for i in np.unique(nearest))
        if pixels.buckets
        else (pixels.size,),
    )


def _require_captions(pairs: Pairs, task: Task) -> None:
    without = np.flatnonzero(np.diff(pairs.offsets) == 0)
    if task.has_text and len(without):
        raise ValueError(
            f"task={task!r} needs a caption for each image; got {len(without):,} image(s) without, "
            f"e.g. {pairs.images[int(without[0])]!r}. Pairs.filter() takes rows away."
        )


def _batches(
    steps: Any,
    order: Order,
    look_up: Lookup,
    load: Load | None,
    decode: Decode,
    corrupt: Corrupt,
    on_captions: Sequence[Stage],
    recipe: Recipe,
) -> Any:
    """From the numbers of steps to their batches: all that happens to an example, in order."""
    task, pixels = recipe.task, recipe.pixels
    batch_size = order.batch_size // order.shard[1]
    on_batches: list[Callable[[Example], Any] | None] = [
        CutBack() if order.buckets else None,
        corrupt,  # a batch at a time, since each note is a write to a variable
        CutBack() if decode.strict else None,
    ]
    on_batches += [
        *on_captions,  # text runs on batches: ten times as fast as one by one
        Normalize(to=pixels.normalize),  # last: all before it moves bytes, not floats
        task,
    ]
    ds = steps.map(look_up)  # a block of integers a step: no buffer to fill
    if load is not None:  # one call a batch into Python, for what no op can read
        ds = ds.map(load, num_parallel_calls=tf.data.AUTOTUNE)
    if order.buckets:  # each ends with a short batch, and those behind it must not move up
        ds = ds.map(FillUp(size=batch_size))
    if decode.strict:  # one more, which cannot fail, and shows whether all before it are there
        ds = ds.map(FillUp())
    ds = ds.unbatch()  # images are of many sizes until resized, so they go one by one
    on_files: list[Stage] = [decode, pixels.resize]
    if pixels.load_size and not recipe.crops_at_random:
        on_files.append(CenterCrop(size=pixels.size))
    ds = ds.map(_chain(on_files), num_parallel_calls=os.cpu_count())  # all cores, from the start
    if decode.strict:
        ds = ds.ignore_errors()  # `Missed` finds them, and knows their names
    if on_examples := _on_examples(recipe):  # behind resizing, where pixels are few
        ds = ds.map(_chain(on_examples), num_parallel_calls=tf.data.AUTOTUNE)
    ds = ds.batch(batch_size + decode.strict)
    if decode.strict:
        ds = ds.scan(tf.constant(False), Missed(look_up))
        ds = ds.take_while(lambda _, missed: ~missed)
        ds = ds.map(lambda example, _: example)
    ds = ds.map(_chain(on_batches), num_parallel_calls=tf.data.AUTOTUNE)
    return ds.prefetch(tf.data.AUTOTUNE).with_options(_options())


def _on_examples(recipe: Recipe) -> list[Stage]:
    """What happens to each example by itself: augmentation, then the words around its caption."""
    stages, task = list(recipe.augment), recipe.task
    if not isinstance(task, Captioned):
        return [Seed(seed=recipe.seed), *stages] if stages else []
    if task.shuffle_tags:
        stages.append(ShuffleTags(keep=task.keep_tags))
    if task.template != "{caption}":
        stages.append(Template(text=task.template))
    if task.dropout:
        stages.append(DropCaption(rate=task.dropout))
    return [Seed(seed=recipe.seed), *stages] if stages else []


def _chain(stages: Sequence[Callable[[Example], Any] | None]) -> Callable[[Example], Any]:
    def run(example: Example) -> Any:
        return functools.reduce(lambda e, stage: stage(e), filter(None, stages), example)

    return run


def _options() -> Any:
    options = tf.data.Options()
    options.deterministic = True
    # Shards are slices of each batch, cut by `Order`; TensorFlow must not cut again.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return options
