"""Epochs of mmdata, and of peers with caches or augmentation; see `image_peers`."""

import functools
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np

from tests.benchmarks import image_peers
from tests.benchmarks.image_peers import BATCH, PillowLoader, Work
from tests.benchmarks.measuring import Epoch


def copy_batches(work: Work, *, dtype: str) -> Epoch:
    """Copies one batch into another, repeatedly."""
    batch = np.ones((BATCH, *work.size, 3), dtype)
    copy = np.empty_like(batch)

    def epoch() -> Iterator[Any]:
        for _ in range(len(work.files) // BATCH):
            np.copyto(copy, batch)
            yield copy

    return epoch


def ours(
    work: Work,
    start: int = 0,
    *,
    task: Any = None,
    normalize: str = "unit",
    quality: Literal["exact", "fast"] = "exact",
    augmented: bool = False,
    cached: bool = False,
) -> Epoch:
    """`mmdata.build`, shuffled.

    Args:
      work: The files.
      start: The first batch of an epoch.
      task: Name of a task with text; None is images only.
      normalize: How pixels are scaled.
      quality: How photos are resized.
      augmented: Whether images are randomly cropped and mirrored.
      cached: Whether images come from a cache, which is filled here if needed.
    """
    ds = _build(
        work,
        work.scratch if cached else None,
        task=task,
        normalize=normalize,
        quality=quality,
        augmented=augmented,
    )
    return lambda: map(_images, ds.at(start) if start else ds)


def ours_filling(work: Work) -> Epoch:
    """`mmdata.build` with an empty cache, to time the filling."""
    folder = pathlib.Path(work.scratch, "filling")

    def epoch() -> list[range]:
        shutil.rmtree(folder, ignore_errors=True)
        _build(work, folder, normalize="uint8")
        return [range(len(work.files))]

    return epoch


def _build(
    work: Work,
    cache: str | pathlib.Path | None,
    *,
    task: Any = None,
    normalize: str,
    quality: Literal["exact", "fast"] = "exact",
    augmented: bool = False,
) -> Any:
    import pandas as pd

    import mmdata

    frame = pd.DataFrame({"image": work.files, "caption": work.captions, "label": 0})
    return mmdata.build(
        frame,
        task=task or mmdata.Classification(column="label"),
        pixels=mmdata.Pixels(size=work.size, normalize=normalize, quality=quality),
        augment=[mmdata.RandomCrop(), mmdata.Flip()] if augmented else [],
        batch_size=BATCH,
        cache=cache,
    )


def _images(batch: Any) -> Any:
    features = batch[0] if isinstance(batch, tuple) else batch
    return features["images"] if isinstance(features, dict) else features


def tf_augmented(work: Work, start: int = 0, *, antialias: bool = False) -> Epoch:
    """Crops a random box while decoding, resizes it, mirrors it randomly.

    Source: the training of ResNet in github.com/tensorflow/tpu, resnet_preprocessing.py.
    """
    import tensorflow as tf

    def load(path: Any) -> Any:
        content = tf.io.read_file(path)
        begin, size, _ = tf.image.sample_distorted_bounding_box(
            tf.io.extract_jpeg_shape(content),
            bounding_boxes=tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
            min_object_covered=0.1,
            aspect_ratio_range=(3 / 4, 4 / 3),
            area_range=(0.08, 1.0),
            max_attempts=10,
            use_image_if_no_bounding_boxes=True,
        )
        window = tf.concat([begin[:2], size[:2]], axis=0)
        image = tf.image.decode_and_crop_jpeg(content, window, channels=3)
        image = tf.image.resize(image, work.size, antialias=antialias)
        return tf.image.random_flip_left_right(image)

    return image_peers.tf_batches(image_peers.tf_images(work, load), start)


def tf_cached_bytes(work: Work, start: int = 0) -> Epoch:
    """`cache(file)` of images that were cast to uint8: a quarter of the size in tutorials."""
    import tensorflow as tf

    images = image_peers.tf_tutorial_images(work).map(lambda image: tf.cast(image, tf.uint8))
    return image_peers.tf_batches(_tf_cached(images, work, "uint8"), start)


def tf_cached_floats(work: Work, start: int = 0) -> Epoch:
    """`cache(file)` as in tutorials, which shuffle after it.

    Source: tensorflow.org/tutorials/load_data/images, "Configure dataset for performance".
    """
    images = _tf_cached(image_peers.tf_tutorial_images(work), work, "float32")
    return image_peers.tf_batches(images.shuffle(1000), start)


def _tf_cached(images: Any, work: Work, name: str) -> Any:
    """The images from a cache; fills it first if needed."""
    file = os.path.join(work.scratch, f"tf-data-{name}")
    cached = images.cache(file)
    if not os.path.exists(f"{file}.index"):
        for _ in cached:
            pass
    return cached


def torch_augmented(work: Work, start: int = 0) -> Epoch:
    """PyTorch's DataLoader with torchvision's transforms, in worker processes."""
    import torch
    from torchvision.transforms import v2

    transform = v2.Compose(
        [
            v2.PILToTensor(),
            v2.RandomResizedCrop(work.size, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )

    return image_peers.torch_batches(work, functools.partial(_transformed, transform), start)


def _transformed(transform: Callable[[Any], Any], path: str) -> Any:
    from PIL import Image

    with Image.open(path) as image:
        return transform(image.convert("RGB"))


def hugging_face(work: Work, start: int = 0) -> Epoch:
    """A Dataset of files, read by PyTorch's DataLoader in worker processes."""
    import datasets
    from torch.utils.data import DataLoader

    transform = functools.partial(_resized, PillowLoader(work.size))
    ds = datasets.Dataset.from_dict({"image": list(work.files)})
    ds = ds.cast_column("image", datasets.Image()).with_transform(transform)

    def epoch() -> Iterator[Any]:
        rest: Any = ds.skip(start * BATCH) if start else ds
        loader: Any = DataLoader(rest, batch_size=BATCH, num_workers=work.threads)
        return (batch["image"] for batch in loader)

    return epoch


def _resized(loader: PillowLoader, rows: dict[str, Any]) -> dict[str, Any]:
    return {"image": list(map(loader.resize, rows["image"]))}


def web_dataset(work: Work) -> Epoch:
    """WebDataset, from tar files, in worker processes."""
    import webdataset

    ds = webdataset.WebDataset(list(work.shards), shardshuffle=False).decode("pil")
    ds = ds.to_tuple("jpg").map_tuple(PillowLoader(work.size).resize).batched(BATCH)
    loader = webdataset.WebLoader(ds, batch_size=None, num_workers=work.threads)
    return lambda: (images for (images,) in loader)


def grain(work: Work, start: int = 0) -> Epoch:
    """Grain with Pillow, in its own threads."""
    from grain import MapDataset, ReadOptions

    images = MapDataset.source(work.files).shuffle(seed=0).map(PillowLoader(work.size))

    def epoch() -> Iterator[Any]:
        rest = images[start * BATCH :] if start else images
        return iter(rest.to_iter_dataset(ReadOptions(num_threads=work.threads)).batch(BATCH))

    return epoch
