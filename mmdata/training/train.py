"""Trains a reference model on the split "train", and evaluates it on "validation"."""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from mmdata.dataset import Dataset
from mmdata.explore.sheet import caption_sheet
from mmdata.models import Captioner, DualEncoder
from mmdata.pairing.problems import OnProblem
from mmdata.pairs.pairs import Pairs
from mmdata.pipeline import build
from mmdata.printable import printable
from mmdata.tokenizers import Tokenizer
from mmdata.training.attributes import Attributes
from mmdata.training.caption_metrics import caption_scores
from mmdata.training.evaluate import RANKS, evaluate, write_captions

EPOCHS = {"captioning": 30, "retrieval": 40}
"""Task -> passes over the split "train" that suit some hundred images."""

_DESCRIBED = 256  # validation images that captions are generated for, at most
_GALLERY = 50  # validation images among which retrieval searches, at most


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How a reference model of any task is trained.

    Attributes:
      image_size: (height, width) in pixels.
      sequence_length: Tokens of a caption, start and end included.
      epochs: Passes over the split "train".
      batch_size: Examples per batch.
      learning_rate: The peak, after warm-up; then decays to 0 as a cosine.
      seed: The seed of the order, the weights and the dropout.
      on_problem: "error" or "drop", see `mmdata.build`.
    """

    image_size: tuple[int, int]
    sequence_length: int
    epochs: int
    batch_size: int
    learning_rate: float
    seed: int
    on_problem: OnProblem


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A trained model and its evaluation.

    Attributes:
      model: The Keras model.
      tokenizer: The tokenizer of its captions.
      scores: Name -> score of the model and score of the baseline, see `mmdata.evaluate`; and
        "attributes_right", the share of captions that name all attributes.
      baseline: What the baseline does, in words.
      examples: Results of the model for validation images, a few printable lines each.
      picture: A figure of validation images with the results of the model.
    """

    model: Any
    tokenizer: Tokenizer
    scores: dict[str, tuple[float, float]]
    baseline: str
    examples: list[str]
    picture: Any


def train_captioner(
    pairs: Pairs, settings: Settings, attributes: Attributes | None, verbose: int
) -> Outcome:
    """Trains a `Captioner`, and measures its captions of validation images.

    Args:
      pairs: The pairs to train on; split 80/10/10 unless they have splits already.
      settings: How to train.
      attributes: What the images show and captions should name; None measures only
        `caption_scores`.
      verbose: As in `keras.Model.fit`: 0 silent, 1 a progress bar, 2 a line per epoch.
    """
    ds = _training_set(pairs, settings, "captioning")
    model = _fit(Captioner.from_dataset, ds, settings, verbose)
    held_out = _held_out(pairs, settings, ds.tokenizer, _DESCRIBED)
    captions, references = write_captions(model, held_out.ds)
    same = [commonest(ds.pairs.captions)] * len(captions)
    ours, theirs = (caption_scores(texts, references) for texts in (captions, same))
    scores = {name: (ours[name], theirs[name]) for name in ours}
    if attributes is not None:
        scores["attributes_right"] = (
            attributes.accuracy(held_out.paths, captions),
            attributes.accuracy(held_out.paths, same),
        )
    return Outcome(
        model,
        ds.tokenizer,
        scores,
        f"always the commonest caption, {same[0]!r}",
        [
            _lines(path, ("model: ", caption), *(("person:", reference) for reference in by_people))
            for path, caption, by_people in zip(held_out.paths, captions, references, strict=True)
        ],
        caption_sheet(
            held_out.arrays["images"],
            captions,
            [by_people[0] for by_people in references],
            title="Validation images: generated caption above, a person's below",
        ),
    )


def train_dual_encoder(pairs: Pairs, settings: Settings, verbose: int) -> Outcome:
    """Trains a `DualEncoder`, and measures search from validation captions to images and back.

    Args:
      pairs: The pairs to train on; split 80/10/10 unless they have splits already.
      settings: How to train.
      verbose: As in `keras.Model.fit`: 0 silent, 1 a progress bar, 2 a line per epoch.
    """
    ds = _training_set(pairs, settings, "retrieval")
    model = _fit(DualEncoder.from_dataset, ds, settings, verbose)
    held_out = _held_out(pairs, settings, ds.tokenizer, _GALLERY)
    chance = chance_recalls(held_out.ds.pairs)
    scores = {name: (score, chance[name]) for name, score in evaluate(model, held_out.ds).items()}
    arrays, paths = held_out.arrays, held_out.paths
    images = model.encode_images(arrays["images"])
    texts = model.encode_text(arrays["token_ids"], arrays["padding_mask"])
    best = np.argmax(texts @ images.T, axis=1).tolist()
    captions = [text.decode() for text in ds.tokenizer.detokenize(arrays["token_ids"]).numpy()]
    return Outcome(
        model,
        ds.tokenizer,
        scores,
        f"chance among {len(paths)} images",
        [
            _lines(caption, ("found: ", paths[found]), ("right: ", paths[right]))
            for right, (caption, found) in enumerate(zip(captions, best, strict=True))
        ],
        caption_sheet(
            arrays["images"][best],
            captions,
            ["right" if found == right else "another image" for right, found in enumerate(best)],
            title="The image found for each validation caption",
        ),
    )


def _training_set(pairs: Pairs, settings: Settings, task: str) -> Dataset:
    size, split = settings.batch_size, "train"
    dataset: Dataset = _built(pairs, settings, task=task, split=split, batch_size=size)
    return dataset


def _built(pairs: Pairs, settings: Settings, **options: Any) -> Any:
    return build(
        pairs,
        image_size=settings.image_size,
        sequence_length=settings.sequence_length,
        seed=settings.seed,
        on_problem=settings.on_problem,
        **options,
    )


def _fit(make: Any, ds: Dataset, settings: Settings, verbose: int) -> Any:
    steps = settings.epochs * len(ds)
    keras.utils.set_random_seed(settings.seed)
    model = make(
        ds,
        learning_rate=keras.optimizers.schedules.CosineDecay(
            0.0, steps, warmup_target=settings.learning_rate, warmup_steps=steps // 10
        ),
    )
    model.fit(ds, epochs=settings.epochs, verbose=verbose, shuffle=False)
    return model


@dataclasses.dataclass(frozen=True)
class _HeldOut:
    """Validation images that can be decoded, each once with a caption: ds, arrays [b, ...], paths.

    The images of `ds` are the same, in the same order.
    """

    ds: Dataset
    arrays: dict[str, Any]
    paths: list[str]


def _held_out(pairs: Pairs, settings: Settings, tokenizer: Tokenizer, limit: int) -> _HeldOut:
    """At most `limit` validation images, spread evenly over the folders."""
    validation = pairs.split().subset("validation")
    rows = np.unique(np.linspace(0, len(validation) - 1, limit).round().astype(np.int64))
    chosen = validation.take(rows)
    size = min(settings.batch_size, len(chosen))
    ds = _built(chosen, settings, task="retrieval", text=tokenizer, shuffle=False, batch_size=size)
    batches = list(ds.as_numpy_iterator())
    arrays = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    valid = arrays["padding_mask"].any(axis=1)
    arrays = {name: array[valid] for name, array in arrays.items()}
    return _HeldOut(ds, arrays, [ds.pairs.images[row] for row in arrays["image_id"].tolist()])


def commonest(captions: Iterable[str]) -> str:
    """The most frequent caption; among equally frequent ones, the first in sorted order."""
    counts = Counter(captions)
    return min(counts, key=lambda caption: (-counts[caption], caption))


def chance_recalls(pairs: Pairs) -> dict[str, float]:
    """The recalls of random ranks."""
    images, captions = len(pairs), pairs.pair_count
    chance = {}
    for k in RANKS:
        missed = [
            math.comb(captions - count, k) / math.comb(captions, min(k, captions))
            for count in np.diff(pairs.offsets).tolist()
        ]
        chance[f"image_to_text_recall_at_{k}"] = 1 - float(np.mean(missed))
        chance[f"text_to_image_recall_at_{k}"] = min(k / images, 1.0)
    return chance


def _lines(head: str, *named: tuple[str, str]) -> str:
    """A text, followed by named texts, each on its own line."""
    return "\n".join([printable(head), *(f"  {name} {printable(text)}" for name, text in named)])
