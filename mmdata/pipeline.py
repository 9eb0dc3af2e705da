"""`mmdata.build`: the one place where the order of everything can be read."""

import dataclasses
import functools
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mmdata.arguments import Pixels, Text, pixels_of, task_of, text_of
from mmdata.corrupt import Corrupt, Missed
from mmdata.dataset import Dataset
from mmdata.emptied import without_emptied
from mmdata.example import Example, Stage
from mmdata.fit_report import FitReport
from mmdata.headers import Format
from mmdata.labels import values_of, with_classes
from mmdata.lengths import Lengths
from mmdata.lookup import GATHERED, Lookup
from mmdata.order import Order
from mmdata.pairing.findings import Finding, PairingError, raise_for
from mmdata.pairing.listing import IfAny
from mmdata.pairing.pairs import Pairs
from mmdata.pairing.problems import OnProblem, Problems, problems_of
from mmdata.pairing.read import read
from mmdata.shapes import Buckets, decode_ratios, nearest_sizes, upright_sizes
from mmdata.stages.augment import Flip, RandomCrop, Seed
from mmdata.stages.batches import CutBack, FillUp
from mmdata.stages.captions import DropCaption, Gathered, ShuffleTags, Template
from mmdata.stages.images import Decode
from mmdata.stages.loading import Load
from mmdata.stages.pixels import Normalize
from mmdata.stages.resize import CenterCrop
from mmdata.stages.tokens import Pack, Tokenize
from mmdata.tasks import Captioned, Classification, References, Retrieval, Task, TextToImage
from mmdata.tokenizers import LEARNED, Tokenizer
from mmdata.visits import Visits
from mmdata.vocabulary import tokenizer_for

_MEASURING = ("validation", "test")
_CALLER = 5  # whoever called `build`, seen from where it warns
_FIXED = ("all", "first", "longest", "join")


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
    recipe = _Recipe(
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
    _require_that_fit(recipe)
    splits = (split,) if isinstance(split, str) else split
    pairs, findings = _paired(images, captions, splits, recipe)
    if splits is not None:
        pairs = pairs.split()
    recipe = dataclasses.replace(recipe, task=with_classes(recipe.task, pairs))
    parts = [pairs] if splits is None else [pairs.subset(name) for name in splits]
    for part in parts:
        _require_captions(part, recipe.task)
    tokenizer = tokenizer_for(recipe.text, pairs) if recipe.task.has_text else None
    rows = len(pairs)
    if tokenizer is not None:
        parts, findings, gone = _without_emptied(parts, tokenizer, findings, recipe)
        rows -= gone
        problems.check(findings, rows=rows, where=f"{pairs.root!r}, cleaned")
    allowed = problems.corrupt_allowed(findings, rows=rows)
    recipes = [recipe] * len(parts)
    if splits is not None:
        recipes = [_measuring(recipe) if name in _MEASURING else recipe for name in splits]
    datasets = tuple(
        _dataset(part, tokenizer, allowed, of_part)
        for part, of_part in zip(parts, recipes, strict=True)
    )
    return datasets if isinstance(split, tuple) else datasets[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Recipe:
    """The arguments of `build` that hold for each of its datasets, with names resolved."""

    task: Task
    pixels: Pixels
    text: Text
    augment: tuple[Stage, ...]
    batch_size: int
    shuffle: bool
    seed: int
    shard: tuple[int, int]
    problems: Problems


def _paired(
    images: Any, captions: Any, splits: tuple[str, ...] | None, recipe: _Recipe
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


def _without_emptied(
    parts: list[Pairs], tokenizer: Tokenizer, findings: list[Finding], recipe: _Recipe
) -> tuple[list[Pairs], list[Finding], int]:
    """The parts without captions of which no token is left, all findings, and the rows that went.

    Raises:
      PairingError: There are such captions, and they are errors, or all; it names those of all
        parts.
    """
    left, emptied = [], []
    for part in parts:
        empty = Lengths.of(part.captions, recipe.text, tokenizer).empty
        part, found = without_emptied(part, empty, recipe.problems)
        left.append(part)
        emptied += found
    where = f"{parts[0].root!r}, cleaned"
    if not all(map(len, left)):
        raise_for(emptied, where=where, nothing_left=True)
    gone = sum(map(len, parts)) - sum(map(len, left))
    return left, [*findings, *emptied], gone


def _measuring(recipe: _Recipe) -> _Recipe:
    """The recipe of a split that is measured: its examples are what they are."""
    task = recipe.task
    if isinstance(task, Captioned):
        task = dataclasses.replace(task, dropout=0.0, shuffle_tags=False, keep_tags=0)
    return dataclasses.replace(recipe, augment=(), task=task)


def _require_that_fit(recipe: _Recipe) -> None:
    """Raises a ValueError where two arguments exclude each other."""
    task, text, normalize = recipe.task, recipe.text, recipe.pixels.normalize
    if isinstance(task, TextToImage) and normalize != "signed":
        raise ValueError(
            'task=TextToImage(...) takes pixels from -1 to 1, pixels="signed"; got '
            f"pixels={normalize!r}."
        )
    if isinstance(task, References) and recipe.augment:
        raise ValueError(
            f"augment=... must be empty with task=References(...); got {recipe.augment!r}."
        )
    if text.buckets and isinstance(task, (Captioned, References)):
        flips = [stage for stage in recipe.augment if isinstance(stage, Flip)]
        if task.captions not in _FIXED or task.shuffle_tags or any(f.captions_aware for f in flips):
            raise ValueError(
                "Text(buckets=...) needs captions that stay the same from epoch to epoch: "
                f"captions=... one of {list(_FIXED)}, no shuffle_tags and no "
                f"Flip(captions_aware=True); got {task!r}, augment={recipe.augment!r}."
            )


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


def _needed(splits: tuple[str, ...] | None, recipe: _Recipe) -> IfAny | None:
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
    pairs: Pairs, tokenizer: Tokenizer | None, allowed: int | None, recipe: _Recipe
) -> Dataset:
    scan, pairs = pairs.scanned()
    recipe = _with_load_size(recipe)
    task, pixels = recipe.task, recipe.pixels
    visits = Visits.of(task, pairs, scan.keys)
    pack = _pack(tokenizer, recipe)
    fit = _fit(pairs, visits, tokenizer, pack, recipe)
    by_row = values_of(task, pairs, weighted=recipe.problems.corrupt == "drop")
    by_index: dict[str, Any] = {}
    shapes = np.zeros(visits.count, np.int64)
    sizes = np.array([pixels.load_size or pixels.size])
    if pixels.buckets:
        nearest = nearest_sizes(scan, pixels.buckets)
        by_row["size"] = sizes = np.array(pixels.buckets, np.int32)[nearest]
        shapes = nearest[visits.rows(pairs)]
    if fit is not None and pack is not None and pack.buckets:
        which = np.searchsorted(fit.buckets, np.minimum(fit.token_counts, fit.buckets[-1]))
        by_index["length"] = np.array(pack.buckets)[which]
        shapes = shapes * len(fit.buckets) + which
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
    if isinstance(task, Retrieval) and task.once_a_file and recipe.batch_size > visits.count:
        raise ValueError(
            f"batch_size=... must be at most the number of images, {visits.count:,}, so that no "
            f"batch holds an image twice; got {recipe.batch_size!r}."
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

    on_captions = _on_captions(tokenizer, pack, recipe)

    def stream(steps: Any) -> Any:
        return _batches(steps, order, look_up, load, decode, corrupt, on_captions, recipe)

    return Dataset(
        stream,
        pairs=pairs,
        tokenizer=tokenizer,
        task=task,
        pixels=pixels,
        text=recipe.text,
        fit_report=fit,
        corrupt=corrupt,
        steps_per_epoch=order.steps_per_epoch,
        image_sizes=tuple(pixels.buckets[i] for i in np.unique(nearest))
        if pixels.buckets
        else (pixels.size,),
    )


def _pack(tokenizer: Tokenizer | None, recipe: _Recipe) -> Pack | None:
    task = recipe.task
    if tokenizer is None or isinstance(task, Classification):
        return None
    return recipe.text.pack(tokenizer, lookahead=task.lookahead, prompt=task.prompt)


def _fit(
    pairs: Pairs,
    visits: Visits,
    tokenizer: Tokenizer | None,
    pack: Pack | None,
    recipe: _Recipe,
) -> FitReport | None:
    """How the captions fit their length; warns where many are cut."""
    task, text = recipe.task, recipe.text
    if tokenizer is None or pack is None or isinstance(task, Classification):
        return None
    lengths = Lengths.of(visits.said(task, pairs), text, tokenizer, task.template)
    special = pack.special_tokens - task.lookahead
    fit = FitReport(
        token_counts=lengths.tokens + np.int32(special),
        unknown_counts=lengths.unknown,
        special_tokens=special,
        sequence_length=text.sequence_length,
        buckets=(*text.buckets, text.sequence_length) if text.buckets else (),
    )
    if (warning := fit.warning(tokenizer.sequence_length)) is not None:
        warnings.warn(warning, stacklevel=_CALLER)
    if unknown := sum(token == tokenizer.unknown_id for token in pack.prompt):
        warnings.warn(
            f"Prefix(prompt={task.prompt!r}) has {unknown} token(s) that {tokenizer!r} does not "
            "know.",
            stacklevel=_CALLER,
        )
    return fit


def _with_load_size(recipe: _Recipe) -> _Recipe:
    """The recipe whose `RandomCrop`, if it has one, knows what to cut out of what."""
    pixels = recipe.pixels
    crops = [stage for stage in recipe.augment if isinstance(stage, RandomCrop)]
    if not crops:
        return recipe
    if pixels.buckets:
        raise ValueError(
            "augment=... must not hold RandomCrop, which makes one size, with "
            f"Pixels(buckets=...); got {pixels.buckets!r}."
        )
    if crops[0].size not in (None, pixels.size) or len(crops) > 1:
        raise ValueError(
            "augment=... takes one RandomCrop, whose size is None or that of the pixels, "
            f"{pixels.size!r}; got {crops!r}."
        )
    augment = tuple(
        dataclasses.replace(stage, size=pixels.size) if stage is crops[0] else stage
        for stage in recipe.augment
    )
    height, width = (-(-side * 8 // 7) for side in pixels.size)
    pixels = dataclasses.replace(pixels, load_size=pixels.load_size or (height, width))
    return dataclasses.replace(recipe, pixels=pixels, augment=augment)


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
    recipe: _Recipe,
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
    if pixels.load_size and not any(isinstance(stage, RandomCrop) for stage in recipe.augment):
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


def _on_examples(recipe: _Recipe) -> list[Stage]:
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


def _on_captions(tokenizer: Tokenizer | None, pack: Pack | None, recipe: _Recipe) -> list[Stage]:
    """What makes ids of the captions of a batch."""
    if tokenizer is None or pack is None:
        return []
    gathered = [Gathered(separator=GATHERED)] if isinstance(recipe.task, References) else []
    clean = [recipe.text.cleaner] if recipe.text.cleaner is not None else []
    return [*gathered, *clean, Tokenize(tokenizer=tokenizer), pack]


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
