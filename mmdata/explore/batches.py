"""Plots a batch as the model gets it."""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmdata.dataset import Dataset
from mmdata.explore.sheet import (
    GREY,
    PLAIN,
    TINTED,
    VERMILION,
    Cell,
    draw_sheet,
    noted,
    require_count,
    rows_of,
    tokens,
    words,
)
from mmdata.explore.views import displayed
from mmdata.tokenizers import Tokenizer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.offsetbox import OffsetBox

_CAPTIONS = 3  # drawn captions of one image


def plot_batch(ds: Dataset, n: int = 16, *, step: int = 0, ax: "Axes | None" = None) -> "Axes":
    """Draws examples as a model gets them: pixels, caption, and each token in a box.

    Special tokens and a prompt are tinted, unknown tokens are vermilion; padding is counted.
    Captions are decoded from the tokens of the batch; without text, the class is drawn instead.
    Does not change the dataset's position.

    Args:
      ds: What `mmdata.build` returns.
      n: How many examples, >= 1, from several batches if needed. Fewer are drawn if the epoch
        ends.
      step: The first batch, see `Dataset.at`.
      ax: Where to draw; None makes a figure.

    Returns:
      The axes.

    Raises:
      ImportError: matplotlib is not installed.
      ValueError: An argument is out of range, or the images are features of an encoder.
    """
    require_count("plot_batch(n=...)", n)
    if not isinstance(ds, Dataset):
        raise TypeError(
            f"plot_batch(ds) must be a dataset from mmdata.build; got a {type(ds).__name__}."
        )
    if ds.plan.normalize is None:
        raise ValueError(
            "plot_batch(ds) must be a dataset of images; got features of an encoder, "
            f"{ds.config.encoder!r}. Plot the dataset that mmdata.precompute_features was given."
        )
    drawn = itertools.chain.from_iterable(_cells(ds, batch) for batch in ds.at(step))
    cells = list(itertools.islice(drawn, n))
    task = type(ds.task).__name__
    title = f"{task}, step {step:,}: {len(cells):,} example(s) as the model gets them"
    return draw_sheet(rows_of(cells), title=title, ax=ax)


def _cells(ds: Dataset, batch: Any) -> Iterator[Cell]:
    """The examples of a batch, one by one, so that only drawn examples are computed."""
    features, *rest = batch if isinstance(batch, tuple) else (batch,)
    if not isinstance(features, dict):
        features = {"images": features}
    if "captions" in features:
        below = _raw_texts(features["captions"])
    else:
        below = _texts(ds.tokenizer, features) if ds.task.has_text else _classes(ds, rest[0])
    note = "not valid" if ds.pairs.weights is None else "weight 0"
    weights = _weights(features, rest)
    for image, weight, blocks in zip(features["images"], weights, below, strict=True):
        pixels = displayed(image, ds.pixels.normalize)
        yield [*noted(pixels, "" if np.any(weight) else note), *blocks]


def _weights(features: dict[str, Any], rest: list[Any]) -> Any:
    """Weights or masks, [b, ...], all 0 for an example that does not count."""
    if len(rest) == 2:
        return rest[1]
    if "padding_mask" in features and "image_id" in features:  # retrieval has no weights
        return features["padding_mask"]
    return features.get("weight", np.ones(len(features["images"])))


def _classes(ds: Dataset, labels: Any) -> Iterator[list["OffsetBox"]]:
    names = ds.class_names
    for label in labels.numpy().tolist():
        yield [words(names[label] if names else str(label))]


def _raw_texts(captions: Any) -> Iterator[list["OffsetBox"]]:
    for texts in captions:
        shown = np.reshape(texts, -1)[:_CAPTIONS].tolist()
        yield [words(text.decode("utf-8", "replace")) for text in shown]


def _texts(tokenizer: Tokenizer, features: dict[str, Any]) -> Iterator[list["OffsetBox"]]:
    """The blocks below each image: its captions, and their tokens."""
    ids, mask = features["token_ids"], tf.cast(features["padding_mask"], tf.bool)
    response = tf.cast(features.get("response_mask", mask), tf.bool)
    texts = tokenizer.detokenize(ids)
    for captions, *sequences in zip(texts, ids, mask, response, strict=True):
        captions = np.reshape(captions, -1)
        rows = [np.reshape(part, [len(captions), -1]) for part in sequences]
        blocks: list[OffsetBox] = []
        for caption, *row in list(zip(captions, *rows, strict=True))[:_CAPTIONS]:
            blocks.append(words(caption.decode("utf-8", "replace")))
            blocks.append(_tokens(tokenizer, *row))
        if len(captions) > _CAPTIONS:
            blocks.append(words(f"+ {len(captions) - _CAPTIONS} more captions", color=GREY))
        yield blocks


def _tokens(
    tokenizer: Tokenizer,
    ids: NDArray[np.int32],
    mask: NDArray[np.bool_],
    response: NDArray[np.bool_],
) -> "OffsetBox":
    special = (tokenizer.start_id, tokenizer.end_id)
    fills = [
        VERMILION
        if token == tokenizer.unknown_id
        else TINTED
        if token in special or not is_response
        else PLAIN
        for token, is_response in zip(ids[mask].tolist(), response[mask].tolist(), strict=True)
    ]
    padding = int((~mask).sum())
    texts = [tokenizer.vocabulary[token] for token in ids[mask].tolist()]
    return tokens(texts, fills, f"+ {padding:,} padding" if padding else "")
