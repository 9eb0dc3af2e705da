"""`mmdata.build`: makes a dataset from its arguments."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from mmdata.batches import Plan
from mmdata.captions.preparation import CaptionPlan, PreparedCaptions, prepare_captions
from mmdata.config import Config
from mmdata.dataset import Dataset
from mmdata.example import Stage
from mmdata.files.scan import Scan
from mmdata.images.cache import fill
from mmdata.images.corrupt import Corrupt
from mmdata.images.decoding import Decoding
from mmdata.inputs import Inputs, open_inputs
from mmdata.options import Batching, Blocks, Pixels, PixelsName, Text, TextName
from mmdata.pairing.problems import OnProblem
from mmdata.pairs.pairs import Pairs
from mmdata.sampling.epoch import EpochIndex
from mmdata.sampling.lookup import Lookup
from mmdata.sampling.order import Order
from mmdata.sampling.size_buckets import Groups, decode_ratios, nearest_sizes, upright_sizes
from mmdata.stages.select import Select
from mmdata.tasks import Task, TaskName
from mmdata.tasks.columns import row_values
from mmdata.tokenizers import Tokenizer

if TYPE_CHECKING:
    from _typeshed import StrPath

Ints = NDArray[np.int64]


@overload
def build(
    images: Any,
    captions: Any = ...,
    *,
    task: TaskName | Task = ...,
    split: str | None = ...,
    pixels: PixelsName | Pixels = ...,
    image_size: int | Sequence[int] | None = ...,
    text: TextName | Tokenizer | Text | None = ...,
    sequence_length: int | None = ...,
    augment: Sequence[Stage] = ...,
    batch_size: int | Batching = ...,
    shuffle: bool | Literal["blocks"] | Blocks = ...,
    seed: int = ...,
    shard: Sequence[int] = ...,
    cache: "StrPath | bool | None" = ...,
    on_problem: OnProblem = ...,
) -> Dataset: ...


@overload
def build(
    images: Any,
    captions: Any = ...,
    *,
    task: TaskName | Task = ...,
    split: tuple[str, ...],
    pixels: PixelsName | Pixels = ...,
    image_size: int | Sequence[int] | None = ...,
    text: TextName | Tokenizer | Text | None = ...,
    sequence_length: int | None = ...,
    augment: Sequence[Stage] = ...,
    batch_size: int | Batching = ...,
    shuffle: bool | Literal["blocks"] | Blocks = ...,
    seed: int = ...,
    shard: Sequence[int] = ...,
    cache: "StrPath | bool | None" = ...,
    on_problem: OnProblem = ...,
) -> tuple[Dataset, ...]: ...


def build(
    images: Any,
    captions: Any = None,
    *,
    task: TaskName | Task = "captioning",
    split: str | tuple[str, ...] | None = None,
    pixels: PixelsName | Pixels = "unit",
    image_size: int | Sequence[int] | None = None,
    text: TextName | Tokenizer | Text | None = "wordpiece",
    sequence_length: int | None = None,
    augment: Sequence[Stage] = (),
    batch_size: int | Batching = 32,
    shuffle: bool | Literal["blocks"] | Blocks = True,
    seed: int = 0,
    shard: Sequence[int] = (0, 1),
    cache: "StrPath | bool | None" = None,
    on_problem: OnProblem = "error",
) -> Dataset | tuple[Dataset, ...]:
    """Turns images and captions on disk into a `tf.data.Dataset` that `keras.Model.fit` takes.

    Args:
      images: A folder of images, tar shards or a DataFrame, see `mmdata.read`; or the `Pairs` that
        `mmdata.read` returns: call it yourself to set how files are read; or a source for each
        split, e.g. `{"train": (images, captions), "validation": (images2, captions2)}`, where a
        source may also be a folder with captions, or `Pairs`.
      captions: See `mmdata.read`; None if `images` is `Pairs` or a dict.
      task: What a batch holds: "captioning", "retrieval", "references", "text_to_image" or
        "prediction", which is images alone; or a `Captioning`, `Prefix`, `Retrieval`, `References`,
        `TextToImage`, `Classification` or `Prediction`, which also set which captions of an image
        are used.
      split: None takes everything, with a warning if the source has splits; a name, e.g. "train",
        takes that split; a tuple of names gives a tuple of datasets. If the source has no splits,
        images are split 80/10/10: "train", "validation" and "test", see `Pairs.split`.
      pixels: The preprocessing of a pretrained model: "clip", "siglip", "paligemma", "imagenet"
        (torchvision), "inception_v3", "resnet50", "vgg16", "efficientnet", "mobilenet_v3"; or a
        range of values for stretched images: "unit" (0..1), "signed" (-1..1), "caffe", "raw"
        (0..255), "uint8"; or a `Pixels`.
      image_size: (height, width) in pixels, or one int for both; None means that of `pixels`,
        mostly (224, 224).
      text: "wordpiece", "word", "character", "sentencepiece" or "bytepair", which learn a
        vocabulary; "byte"; "clip"; a `Tokenizer`; a tokenizer of KerasHub or an adapted
        `TextVectorization`; or a `Text`. A vocabulary is learned only from the split "train", if
        there are splits, and is saved for the next call. None gives raw text: a batch is a dict
        with the cleaned captions as `captions` instead of ids.
      sequence_length: Tokens of a sequence, start and end included; longer captions are cut, with a
        warning if they are more than 1 %. None means that of the tokenizer's model (CLIP: 77), else
        32.
      augment: Stages that run on each example after resizing, in order: `RandomCrop`, `Flip`,
        `Color`, `Grayscale`, or your own. An example holds `image` (uint8 [H, W, 3]), `caption`
        (string []) and `seed` (int32 [2]). The seed is for `tf.random.stateless_*`; it differs for
        each example and epoch. The splits "validation" and "test" are never augmented.
      batch_size: Examples per batch, over all shards; the last batch of an epoch may be shorter. Or
        a `Batching`, which sets what happens to this last batch.
      shuffle: Whether each epoch has another order; "validation" and "test" are never shuffled.
        "blocks" or a `Blocks` shuffles in blocks, for tar shards and remote files.
      seed: The same seed gives the same batches.
      shard: (k, w): worker k of w takes its slice of every batch.
      cache: A folder for decoded and resized images, or True for one in the user's cache folder.
        `build` fills it, with a progress bar, and does not decode again what it already holds.
        Batches are bit-identical with and without a cache. If a file changes, only that image is
        decoded again; if the settings of the pixels change, all images are. `mmdata cache` lists
        and clears caches.
      on_problem: "error" raises if something does not pair or cannot be decoded. "drop" continues,
        and lists the problems in `.report`. A `Problems` sets this for each kind of problem. A
        corrupt image keeps its place in the order, black and with weight 0, so later batches do not
        shift.

    Returns:
      A `Dataset`; for a tuple of splits, a tuple of them.

    Raises:
      PairingError: Something does not pair or is not an image, and `on_problem` is "error".
      FileNotFoundError, NotADirectoryError: A path does not exist, or is not a folder.
      OSError: The disk has no room for the cache.
      ValueError: An argument is out of range; the message names it and what it accepts.
    """
    config = Config.of(
        task=task,
        pixels=pixels,
        image_size=image_size,
        text=text,
        sequence_length=sequence_length,
        augment=augment,
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        shard=shard,
        cache=cache,
        on_problem=on_problem,
    )
    inputs = open_inputs(images, captions, split, config)  # files -> pairs of each split, checked
    prepared = prepare_captions(inputs)  # one pass: vocabulary, token counts, empty captions
    datasets = []
    for part in range(len(inputs.parts)):
        datasets.append(_dataset(inputs, prepared, part))
    if config.cache is not None:  # all images are decoded by now
        inputs.check_decoded([found for ds in datasets for found in ds.pairs.corrupt])
    return tuple(datasets) if isinstance(split, tuple) else datasets[0]


def _dataset(inputs: Inputs, prepared: PreparedCaptions | None, part: int) -> Dataset:
    config = inputs.configs[part]
    scan, pairs = inputs.parts[part].scanned()  # the headers of all images
    epoch_index = EpochIndex.of(config.task, pairs, scan.keys)  # pairs or images of an epoch
    caption_plan = None
    if prepared is not None:
        caption_plan = CaptionPlan.of(prepared, part, pairs, epoch_index, config)
        config = config.with_tokenizer(prepared.tokenizer, fix_text=pairs.fix_text)
    length_buckets = caption_plan.length_buckets if caption_plan else None
    size_buckets = nearest_sizes(scan, config.pixels.buckets) if config.pixels.buckets else None
    by_row = _row_features(pairs, scan, config, size_buckets)
    groups = _groups(pairs, epoch_index, size_buckets, length_buckets, config)
    order = _order(epoch_index, groups, config)  # step -> indices; shuffling happens here
    look_up = Lookup(
        pairs,
        scan,
        epoch_index,
        order,
        config.task,
        by_row=by_row,
        by_index={} if length_buckets is None else {"length": length_buckets},
        by_group=groups.indices if groups else None,
        same_captions=config.evaluation,
        with_seeds=bool(config.augment or config.task.on_examples),
    )
    allowed = inputs.corrupt_allowed
    # A strict decoder raises at the first corrupt image; with buckets, the gap that it leaves would
    # mix images of two sizes in one batch.
    strict = allowed == 0 and not order.buckets
    decoding = Decoding.of(pairs, scan, config, fast="ratio" in by_row, strict=strict)
    cached = None
    if config.cache is not None:
        cached = fill(config.cache, pairs, scan, look_up, decoding, by_row.get("size"))
        scan, pairs = cached.report_missing(pairs, scan)
    plan = Plan(
        config=config,
        order=order,
        look_up=look_up,
        decoding=decoding,
        cached=cached,
        corrupt=Corrupt(pairs, scan, allowed),
        caption_stages=caption_plan.stages if caption_plan else (),
    )
    return Dataset(  # its graph is in batches.py
        plan,
        pairs=pairs,
        tokenizer=prepared.tokenizer if prepared else None,
        length_report=caption_plan.report if caption_plan else None,
        image_sizes=_image_sizes(config.pixels, size_buckets),
        select=Select(keys=config.task.inputs) if config.task.inputs else None,
    )


def _image_sizes(pixels: Pixels, size_buckets: Ints | None) -> tuple[tuple[int, int], ...]:
    if size_buckets is None:
        return (pixels.size,)
    return tuple(pixels.buckets[number] for number in np.unique(size_buckets))


def _row_features(
    pairs: Pairs, scan: Scan, config: Config, size_buckets: Ints | None
) -> dict[str, NDArray[Any]]:
    """The features that each row adds to its examples, [rows, ...]."""
    pixels = config.pixels
    features = row_values(config.task, pairs, weighted=config.problems.corrupt == "drop")
    sizes = np.array([pixels.load_size or pixels.size])
    if size_buckets is not None:
        features["size"] = sizes = np.array(pixels.buckets, np.int32)[size_buckets]
    if pixels.quality == "fast" and (ratios := decode_ratios(scan, sizes)).max() > 1:
        features |= {"ratio": ratios, "upright": upright_sizes(scan)}
    return features


def _groups(
    pairs: Pairs,
    epoch_index: EpochIndex,
    size_buckets: Ints | None,
    length_buckets: Ints | None,
    config: Config,
) -> Groups | None:
    """Groups indices by bucket, which no batch mixes, or by block, whose files are close on disk.

    `size_buckets`, int64 [rows], is the size bucket of each row; `length_buckets`, int64 [indices],
    is the length bucket of each index.
    """
    if size_buckets is not None or length_buckets is not None:
        shapes = np.zeros(epoch_index.count, np.int64)
        if size_buckets is not None:
            shapes = size_buckets[epoch_index.rows(pairs)]
        if length_buckets is not None:
            shapes = shapes * (length_buckets.max() + 1) + length_buckets
        return Groups.of(shapes)
    if not isinstance(config.shuffle, Blocks):
        return None
    rows = epoch_index.rows(pairs)
    blocks = rows // config.shuffle.rows if pairs.blobs is None else pairs.blobs.shard[rows]
    return Groups.of(blocks.astype(np.int64))


def _order(epoch_index: EpochIndex, groups: Groups | None, config: Config) -> Order:
    shuffle = config.shuffle
    grouping: dict[str, Any] = {}
    if groups and isinstance(shuffle, Blocks):
        grouping = {"blocks": groups.counts, "window": shuffle.window}
    elif groups:
        grouping = {"buckets": groups.counts}
    return Order(
        count=epoch_index.count,
        batch_size=config.batching.size,
        remainder=config.batching.remainder,
        shuffle=bool(shuffle),
        seed=config.seed,
        shard=config.shard,
        **grouping,
    )
