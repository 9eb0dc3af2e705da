"""Examples of a dataset next to their files."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmdata.dataset import Dataset
from mmdata.explore.gallery import short
from mmdata.files.headers import Format
from mmdata.images.thumbnails import Thumbnail, exact, thumbnail
from mmdata.stages.normalize import Normalize

_SIDE = 320


@dataclasses.dataclass(frozen=True, kw_only=True)
class Token:
    """A token as a page shows it: kind is "special", "unknown" or ""."""

    text: str
    id: int
    kind: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class View:
    """An example next to its file.

    Attributes:
      name: The path of the file.
      original: The file; None if it cannot be decoded.
      seen: The image that the model gets; None if its array is not an image.
      array: Type, shape and range of that array, as text.
      caption: The caption in the file; "" without text.
      tokens: Its tokens, without padding.
      padding: Number of padding tokens.
    """

    name: str
    original: Thumbnail | None
    seen: Thumbnail | None
    array: str
    caption: str
    tokens: tuple[Token, ...]
    padding: int


def views(ds: Dataset, count: int) -> list[View]:
    """At most `count` examples of a dataset's first batch, each of a different image."""
    known = ds.plan.look_up(tf.constant(0, tf.int64))
    batch = next(iter(ds.at(0)))
    features: Any = batch[0] if isinstance(batch, tuple) else batch
    if not isinstance(features, dict):
        features = {"images": features}
    rows = known["row"].numpy().tolist()
    captions = known["caption"].numpy() if "caption" in known else [b""] * len(rows)
    return [
        _view(ds, rows[place], captions[place], {key: features[key][place] for key in features})
        for place in sorted(map(rows.index, set(rows)))[:count]
    ]


def displayed(images: Any, normalize: str) -> NDArray[np.uint8]:
    """The pixels that a model gets, as they were before they were normalized.

    Args:
      images: [..., H, W, 3].
      normalize: By which name; see `Normalize`.

    Returns:
      uint8 [..., H, W, 3], RGB, 0-255.
    """
    corners = 255 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.uint8)
    made = Normalize(to=normalize)({"image": corners[np.newaxis]})["image"]
    black, *colors = np.asarray(made, np.float64)[0]
    # Whatever it does is affine, so these four say all about it.
    shares = (np.asarray(images, np.float64) - black) @ np.linalg.inv(np.array(colors) - black)
    pixels: NDArray[np.uint8] = np.clip(255 * shares, 0, 255).round().astype(np.uint8)
    return pixels


def _view(ds: Dataset, row: int, caption: bytes, example: dict[str, Any]) -> View:
    pixels = example["images"].numpy()
    is_image = pixels.ndim == 3 and pixels.shape[-1] == 3
    array = f"{pixels.dtype} {list(pixels.shape)}, {pixels.min():.3g} to {pixels.max():.3g}"
    original = thumbnail(lambda: ds.pairs.open(row), _SIDE)
    if ds.pairs.scanned()[0].formats[row] == Format.UNKNOWN:
        array += "; cannot be decoded, so it is black"
    tokens, padding = _tokens(ds, example)
    return View(
        name=ds.pairs.images[row],
        original=original,
        seen=exact(displayed(pixels, ds.pixels.normalize)) if is_image else None,
        array=array,
        caption=short(caption.decode("utf-8", "replace")),
        tokens=tokens,
        padding=padding,
    )


def _tokens(ds: Dataset, example: dict[str, Any]) -> tuple[tuple[Token, ...], int]:
    if "token_ids" not in example:
        return (), 0
    ids, mask = (example[key].numpy() for key in ("token_ids", "padding_mask"))
    if ids.ndim > 1:  # all captions of an image: the first
        ids, mask = ids[0], mask[0]
    real: NDArray[np.int32] = ids[mask != 0]
    tokenizer = ds.tokenizer
    special = {tokenizer.start_id, tokenizer.end_id, tokenizer.pad_id}
    tokens = tuple(
        Token(
            text=tokenizer.vocabulary[token],
            id=token,
            kind="unknown"
            if token == tokenizer.unknown_id
            else "special"
            if token in special
            else "",
        )
        for token in real.tolist()
    )
    return tokens, len(ids) - len(real)
