"""Features: the output of a frozen encoder for each image, computed once and saved on disk."""

import dataclasses
import hashlib
import json
import pathlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from mmdata.config import cache_of
from mmdata.dataset import Dataset
from mmdata.images.cache import Cached, fill_rows, pixels_key
from mmdata.images.checksums import Checksums
from mmdata.storage.row_store import Store

if TYPE_CHECKING:
    from _typeshed import StrPath

Ints = NDArray[np.int64]

_NUMBERED = re.compile(r'_\d+(?=")')


def precompute_features(ds: Dataset, encoder: Any, path: "StrPath | bool" = True) -> Dataset:
    """Replaces each image by its output of a frozen encoder, computed once and saved on disk.

    Every image is encoded once, with a progress bar; saved features are used again. An image is
    encoded again if the image, the settings of the pixels, or the configuration or weights of the
    encoder change. The code of the encoder is not compared: if you change the code of your own
    layer, pass another path. The batches are those of `ds`, in the same order and at the same
    positions.

    Args:
      ds: The dataset from `mmdata.build`, without `augment` and `Pixels(buckets=)`.
      encoder: A Keras model or layer, from the "images" of `ds`, [b, H, W, 3], to one tensor,
        [b, ...]. Called with `training=False`.
      path: The folder for the features; True means the one of `build(cache=True)`.

    Returns:
      A `Dataset` whose "images" are the features, float32 or float16 [b, ...]; 0 where the image
      is corrupt.

    Raises:
      PairingError: An image cannot be decoded, and `ds` was built with `on_problem="error"`.
      TypeError: `ds` is not a `Dataset`, or `encoder` is not a Keras model or layer.
      ValueError: `ds` augments images, has several image sizes, or has features already; or the
        encoder does not return one tensor [b, ...].
      OSError: The disk is full, or the folder cannot be written to.
    """
    folder = cache_of(path)
    if folder is None:
        raise ValueError(f"precompute_features(path=...) must be a path or True; got {path!r}.")
    if not isinstance(ds, Dataset) or not isinstance(encoder, keras.layers.Layer):
        raise TypeError(
            "precompute_features(ds, encoder) takes what mmdata.build returns and a Keras model or "
            f"layer; got a {type(ds).__name__} and a {type(encoder).__name__}."
        )
    config = ds.config
    if config.augment or config.pixels.buckets or config.encoder:
        raise ValueError(
            "precompute_features(ds=...) saves one output per image, so build ds without "
            f"augment=..., Pixels(buckets=...) and features; got augment={config.augment!r}, "
            f"buckets={config.pixels.buckets!r}, encoder={config.encoder!r}."
        )
    return _encoded(ds, encoder, folder)


def _encoded(ds: Dataset, encoder: Any, folder: pathlib.Path) -> Dataset:
    plan, rows = ds.plan, np.arange(len(ds.pairs))
    scan, pairs = ds.pairs.scanned()
    _, images = plan.images(rows).element_spec
    blank = np.zeros((1, *images.shape[1:]), images.dtype.as_numpy_dtype)
    output = _call(encoder, blank)  # builds the encoder if needed, so that it has weights
    fingerprint = _fingerprint(encoder)
    pixels = {"normalize": ds.pixels.normalize, **pixels_key(plan.decoding)}
    store = Store(
        folder,
        settings={"encoder": fingerprint, "keras": keras.__version__, **pixels},
        shape=output.shape[1:],
        dtype=output.dtype,
    )

    def compute(places: Ints) -> Iterator[tuple[Ints, NDArray[Any]]]:
        for done, images in plan.images(places).as_numpy_iterator():
            yield places[done], _call(encoder, images)

    checksums = Checksums(pairs, scan)
    slot_of = fill_rows(store, rows, compute, checksums, what="encoding images")
    checksums.remember()
    if plan.cached is None:  # then `ds` reads the files as they are now
        slot_of[~checksums.unchanged(rows)] = -1
    cached = Cached(
        stores=(store,),
        store_of=np.zeros(len(pairs), np.int16),
        slot_of=slot_of,
        checksums=checksums.known,
    )
    scan, pairs = cached.report_missing(pairs, scan)
    ds.config.problems.check(pairs.corrupt, rows=len(pairs), where=repr(pairs.root))
    config = dataclasses.replace(ds.config, encoder=fingerprint)
    corrupt = plan.corrupt.of(pairs, scan)
    plan = dataclasses.replace(plan, config=config, cached=cached, corrupt=corrupt)
    return ds.replace(plan=plan, pairs=pairs)


def _call(encoder: Any, images: NDArray[Any]) -> NDArray[Any]:
    output = encoder(images, training=False)
    if not keras.ops.is_tensor(output) or output.shape[:1] != (len(images),):
        raise ValueError(
            "precompute_features(encoder=...) must give one tensor [b, ...] for images "
            f"{list(images.shape)}; got {output!r:.200}."
        )
    if keras.backend.standardize_dtype(output.dtype) not in ("float16", "float32"):
        output = keras.ops.cast(output, "float32")
    return np.asarray(keras.ops.convert_to_numpy(output))


def _fingerprint(encoder: Any) -> str:
    """The class of an encoder, and 32 hex digits of its configuration and weights.

    Ignores the numbers that Keras appends to names in the order of creation, and the random states
    of dropout, which are not weights.
    """
    try:
        config = json.dumps(keras.saving.serialize_keras_object(encoder), sort_keys=True)
    except (NotImplementedError, TypeError):  # a user's model that cannot be serialized
        config = type(encoder).__module__
    digest = hashlib.blake2b(_NUMBERED.sub("", config).encode(), digest_size=16)
    for variable in encoder.weights:
        value = np.asarray(keras.ops.convert_to_numpy(variable))
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return f"{type(encoder).__qualname__} {digest.hexdigest()}"
