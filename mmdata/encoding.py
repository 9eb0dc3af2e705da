"""What a frozen encoder makes of each image, computed once and kept on disk."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from mmdata.arguments import cache_of
from mmdata.cache import Cached, identities, versions
from mmdata.dataset import Dataset
from mmdata.pipeline import Plan
from mmdata.store import Store

if TYPE_CHECKING:
    from _typeshed import StrPath

Ints = NDArray[np.int64]


def features(ds: Dataset, encoder: Any, path: "StrPath | bool" = True) -> Dataset:
    """Puts what a frozen encoder makes of each image into its place, computed once and kept.

    Every image is encoded once, with a progress bar, unless it was before; a changed image, other
    pixels or other weights are noticed. The batches are those of `ds`, in the same order, from the
    same positions.

    Args:
      ds: What `mmdata.build` returns; without `augment` and `Pixels(buckets=)`.
      encoder: A Keras model or layer, from "images" as `ds` has them, [b, H, W, 3], to one tensor,
        [b, ...]. Called with `training=False`.
      path: The folder where they are kept; True is the one of `build(cache=True)`.

    Returns:
      A `Dataset` whose "images" are float32 or float16 [b, ...], as the encoder gives them; 0 where
      the image is corrupt.

    Raises:
      ValueError: `ds` changes its images at random, or has several sizes; or the encoder gives
        anything else.
      OSError: The disk is full, or cannot be written to.
    """
    folder = cache_of(path)
    if folder is None:
        raise ValueError(f"features(path=...) must be a path or True; got {path!r}.")
    recipe, plan = ds.recipe, ds.plan
    if not isinstance(plan, Plan) or recipe.augment or recipe.pixels.buckets or recipe.encoder:
        raise ValueError(
            "features(ds=...) keeps one output an image, so build it without augment=..., "
            f"Pixels(buckets=...) and other features; got augment={recipe.augment!r}, "
            f"buckets={recipe.pixels.buckets!r}."
        )
    fingerprint = _fingerprint(encoder)
    cached = _encoded(ds, plan, encoder, fingerprint, folder)
    recipe = dataclasses.replace(recipe, encoder=fingerprint)
    plan = dataclasses.replace(plan, recipe=recipe, cached=cached)
    return ds.replace(plan=plan, recipe=recipe)


def _encoded(
    ds: Dataset, plan: Plan, encoder: Any, fingerprint: str, folder: pathlib.Path
) -> Cached:
    scan, pairs = ds.pairs.scanned()
    rows = np.arange(len(pairs))
    _, images = plan.images(rows).element_spec
    output = _call(encoder, np.zeros((1, *images.shape[1:]), images.dtype.as_numpy_dtype))
    pixels = {"normalize": ds.pixels.normalize, **plan.decoding.settings, **versions()}
    store = Store(
        folder,
        settings={"encoder": fingerprint, "keras": keras.__version__, **pixels},
        shape=output.shape[1:],
        dtype=output.dtype,
    )

    def compute(places: Ints) -> Iterator[tuple[Ints, NDArray[Any]]]:
        for done, images in plan.images(places).as_numpy_iterator():
            yield places[done], _call(encoder, images)

    slot = store.fill(identities(scan), compute, what="encoding images")
    return Cached(stores=(store,), store=np.zeros(len(pairs), np.int16), slot=slot)


def _call(encoder: Any, images: NDArray[Any]) -> NDArray[Any]:
    output = encoder(images, training=False)
    if not keras.ops.is_tensor(output) or output.shape[:1] != (len(images),):
        raise ValueError(
            "features(encoder=...) must give one tensor [b, ...] for images "
            f"{list(images.shape)}; got {output!r:.200}."
        )
    if keras.backend.standardize_dtype(output.dtype) not in ("float16", "float32"):
        output = keras.ops.cast(output, "float32")
    return np.asarray(keras.ops.convert_to_numpy(output))


def _fingerprint(encoder: Any) -> str:
    """32 hex digits of what an encoder is: its class, its configuration, its weights."""
    try:
        config = json.dumps(keras.saving.serialize_keras_object(encoder), sort_keys=True)
    except (NotImplementedError, TypeError):  # a model of one's own that cannot be saved
        config = f"{type(encoder).__module__}.{type(encoder).__qualname__}"
    digest = hashlib.blake2b(config.encode(), digest_size=16)
    for variable in encoder.variables:
        value = np.asarray(keras.ops.convert_to_numpy(variable))
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()
