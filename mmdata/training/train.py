"""Trains a reference model on the split "train", and evaluates it on "validation"."""

import dataclasses
from typing import Any

import keras
import numpy as np

from mmdata.dataset import Dataset
from mmdata.explore.sheet import caption_sheet
from mmdata.models import Captioner, DualEncoder, recall_at_k
from mmdata.pairing.problems import OnProblem
from mmdata.pairs.pairs import Pairs
from mmdata.pipeline import build
from mmdata.printable import printable
from mmdata.tokenizers import Tokenizer
from mmdata.training.evaluate import Attributes, bleu, commonest

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
      scores: Name -> score of the model and score of the baseline.
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
    """Trains a `Captioner`, and measures its captions of validation images by BLEU.

    Args:
      pairs: The pairs to train on; split 80/10/10 unless they have splits already.
      settings: How to train.
      attributes: What the images show and captions should name; None measures only BLEU.
      verbose: As in `keras.Model.fit`: 0 silent, 1 a progress bar, 2 a line per epoch.
    """
    ds = _training_set(pairs, settings, "captioning")
    model = _fit(Captioner.from_dataset, ds, settings, verbose)
    held_out = _held_out(pairs, settings, ds.tokenizer, _DESCRIBED)
    images = held_out.arrays["images"]
    captions = _texts(ds.tokenizer, model.generate(images))
    same = [commonest(ds.pairs.captions)] * len(captions)
    ours, theirs = (bleu(texts, held_out.references) for texts in (captions, same))
    scores = {name: (ours[name], theirs[name]) for name in ours}
    if attributes is not None:
        scores["all attributes right, %"] = (
            100 * attributes.accuracy(held_out.paths, captions),
            100 * attributes.accuracy(held_out.paths, same),
        )
    return Outcome(
        model,
        ds.tokenizer,
        scores,
        f"always the commonest caption, {same[0]!r}",
        [
            _lines(
                path, ("model: ", caption), *(("person:", reference) for reference in references)
            )
            for path, caption, references in zip(
                held_out.paths, captions, held_out.references, strict=True
            )
        ],
        caption_sheet(
            images,
            captions,
            [references[0] for references in held_out.references],
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
    arrays, ids = held_out.arrays, held_out.arrays["image_id"]
    images = model.encode_images(arrays["images"])
    texts = model.encode_text(arrays["token_ids"], arrays["padding_mask"])
    scores = {}
    for k in (1, 5):
        for name, queries, gallery in (
            ("caption to image", texts, images),
            ("image to caption", images, texts),
        ):
            recall = recall_at_k(queries, gallery, ids, ids, k)
            scores[f"{name}, recall@{k}, %"] = (100 * recall, 100 * min(k / len(ids), 1.0))
    best = np.argmax(texts @ images.T, axis=1).tolist()
    captions = _texts(ds.tokenizer, arrays["token_ids"])
    paths = held_out.paths
    return Outcome(
        model,
        ds.tokenizer,
        scores,
        f"chance among {len(ids)} images",
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
    """Validation images that can be decoded, each once: arrays [b, ...], paths, all captions."""

    arrays: dict[str, Any]
    paths: list[str]
    references: list[list[str]]


def _held_out(pairs: Pairs, settings: Settings, tokenizer: Tokenizer, limit: int) -> _HeldOut:
    """At most `limit` validation images, spread evenly over the folders."""
    validation = pairs.split().subset("validation")
    rows = np.unique(np.linspace(0, len(validation) - 1, limit).round().astype(np.int64))
    chosen = validation.take(rows)
    size = min(settings.batch_size, len(chosen))
    ds = _built(chosen, settings, task="retrieval", text=tokenizer, shuffle=False, batch_size=size)
    batches = list(ds.as_numpy_iterator())
    arrays = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    valid = np.flatnonzero(arrays["padding_mask"].any(axis=1)).tolist()
    return _HeldOut(
        {name: array[valid] for name, array in arrays.items()},
        [chosen.images[row] for row in valid],
        [chosen.captions_of(row) for row in valid],
    )


def _lines(head: str, *named: tuple[str, str]) -> str:
    """A text, followed by named texts, each on its own line."""
    return "\n".join([printable(head), *(f"  {name} {printable(text)}" for name, text in named)])


def _texts(tokenizer: Tokenizer, ids: Any) -> list[str]:
    return [text.decode() for text in tokenizer.detokenize(ids).numpy()]
