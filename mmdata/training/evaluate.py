"""`mmdata.evaluate`: measures of captions and of retrieval, over all references of each image."""

import dataclasses
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmdata.dataset import Dataset
from mmdata.example import chain
from mmdata.models.declared import declared_outputs
from mmdata.models.recall import ranks
from mmdata.pipeline import build
from mmdata.progress import progress
from mmdata.stages.pack import Tokenize
from mmdata.tasks import References, Retrieval
from mmdata.training.caption_metrics import caption_scores
from mmdata.training.embedders import Embedders
from mmdata.training.generate import generate, has_generate

RANKS = (1, 5, 10)
"""The k of recall at k."""

_CAPTIONS_AT_ONCE = 256


def evaluate(model: Any, ds: Dataset) -> dict[str, float]:
    """Measures a model on all images of a dataset, each against all of its captions.

    Takes each image once, in order and not augmented, whatever the task and the order of `ds`;
    copies of a file are one image, with the captions of all copies. Leaves out corrupt images, if
    `on_problem` allows them. Does not move the position of `ds`. Long work shows a progress bar.

    A captioning model writes a caption for each image, see `mmdata.training.generate`. It gets
    `bleu_1` to `bleu_4`, `rouge_l` and `cider_d`, as coco-caption prints them: fractions, where
    `cider_d` may exceed 1.

    A retrieval model has two methods, `encode_images(images)` and `encode_text(token_ids,
    padding_mask)`; or it is a KerasHub CLIP or SigLIP backbone, or a functional model with the
    outputs `image_embedding` and `text_embedding`. It gets `image_to_text_recall_at_1`, `_5` and
    `_10`, the share of images that have one of their captions among the k nearest of all captions;
    and `text_to_image_recall_at_1`, `_5` and `_10`, the share of captions that have their image
    among the k nearest of all images. Equal scores count as misses. A model that does both is
    measured for the task of `ds`.

    Args:
      model: A Keras model, on any backend.
      ds: What `mmdata.build` returns, e.g. for the split "validation", with text.

    Returns:
      Name -> value.

    Raises:
      TypeError: `ds` is not a dataset of `mmdata.build`.
      ValueError: `ds` has no text, or the model is neither of these.

    Source: BLEU, ROUGE-L and CIDEr-D, see `caption_scores`; recall as in LAION's CLIP_benchmark,
      which reports that of open_clip's models.
    """
    if not isinstance(ds, Dataset):
        raise TypeError(
            f"evaluate(model, ds) takes a dataset from mmdata.build; got {type(ds).__name__}. Pass "
            "it without map(), take() and the like: it is read in order and not augmented."
        )
    if not hasattr(ds, "tokenizer"):
        raise ValueError(
            f"evaluate(model, ds) needs captions and their tokenizer; got task={ds.task}. Pass "
            "text=... and a task with captions to mmdata.build."
        )
    embedders = Embedders.of(model)
    if embedders is not None and (isinstance(ds.task, Retrieval) or not has_generate(model)):
        return _recalls(embedders, ds)
    _require_captioner(model)
    return caption_scores(*write_captions(model, ds))


def write_captions(model: Any, ds: Dataset) -> tuple[list[str], list[list[str]]]:
    """Writes a caption for each image of a dataset that can be decoded, with a progress bar.

    Returns:
      The caption of each image, and all captions of each image that people wrote.
    """
    captions: list[str] = []
    references: list[list[str]] = []
    for images, by_people in batches_of_images(ds, "writing captions"):
        references.extend(by_people)
        captions.extend(
            generate(
                model,
                images,
                tokenizer=ds.tokenizer,
                sequence_length=ds.text.sequence_length,
                prompt=ds.task.prompt,
            )
        )
    return captions, references


def batches_of_images(ds: Dataset, what: str) -> Iterator[tuple[NDArray[Any], list[list[str]]]]:
    """Reads each image of a dataset that can be decoded once, in order.

    Args:
      ds: The dataset.
      what: The name of the progress bar.

    Yields:
      Images [b, H, W, 3], as the model gets them; and all captions of each, reworded as in
      training, e.g. by a template.
    """
    reword, count = chain(ds.task.rewording), 0
    with progress(total=len(ds.pairs), what=what, unit="image") as bar:
        for batch in _references(ds):
            references = batch["references"]
            words = reword({"caption": references.values})["caption"]
            texts = references.with_values(words).to_list()
            masks = batch["padding_mask"].to_list()  # all 0 if the image is corrupt
            decoded = [row for row, mask in enumerate(masks) if any(map(any, mask))]
            count += len(decoded)
            by_people = [[text.decode() for text in texts[row]] for row in decoded]
            yield batch["images"].numpy()[decoded], by_people
            bar.update(len(texts))
    if not count:
        raise ValueError("evaluate(model, ds) needs images; none of ds can be decoded.")


def _references(ds: Dataset) -> Dataset:
    """The same images in order, each once with all captions, as the splits for evaluation are."""
    config = ds.config
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the lengths of captions, as `build` has warned
        references: Dataset = build(
            ds.pairs,
            task=References(),
            pixels=config.pixels_as_given or config.pixels,
            text=dataclasses.replace(config.text, padding="length", buckets=()),
            batch_size=config.batching.size,
            shuffle=False,
            cache=None if config.crops_at_random or config.encoder else config.cache,
            on_problem=config.problems,
        )
    if not config.encoder:
        return references
    features = dataclasses.replace(references.config, encoder=config.encoder)
    plan = dataclasses.replace(references.plan, config=features, cached=ds.plan.cached)
    return references.replace(plan=plan)


def _recalls(embedders: Embedders, ds: Dataset) -> dict[str, float]:
    images, captions, counts = list[NDArray[np.float32]](), list[str](), list[int]()
    for batch, by_people in batches_of_images(ds, "embedding images"):
        images.append(embedders.images(batch))
        captions.extend(text for texts in by_people for text in texts)
        counts.extend(map(len, by_people))
    gallery, texts = np.concatenate(images), _embedded_text(embedders, ds, captions)
    image_ids = np.arange(len(gallery))
    text_ids = np.repeat(image_ids, counts)
    found = {
        "image_to_text": ranks(gallery, texts, image_ids, text_ids),
        "text_to_image": ranks(texts, gallery, text_ids, image_ids),
    }
    return {
        f"{name}_recall_at_{k}": float(np.mean(before < k))
        for name, before in found.items()
        for k in RANKS
    }


def _embedded_text(embedders: Embedders, ds: Dataset, captions: list[str]) -> NDArray[np.float32]:
    """The embeddings of captions that are reworded already."""
    pack = dataclasses.replace(ds.text, padding="length", buckets=()).pack(ds.tokenizer)
    tokenize = chain([ds.text.cleaner, Tokenize(tokenizer=ds.tokenizer), pack])
    rows = []
    with progress(total=len(captions), what="embedding captions", unit="caption") as bar:
        for start in range(0, len(captions), _CAPTIONS_AT_ONCE):
            tokens = tokenize({"caption": captions[start : start + _CAPTIONS_AT_ONCE]})
            rows.append(embedders.text(tokens["token_ids"].numpy(), tokens["padding_mask"].numpy()))
            bar.update(len(rows[-1]))
    return np.concatenate(rows)


def _require_captioner(model: Any) -> None:
    """Raises a ValueError if a model says that it predicts no tokens; a subclassed one does not."""
    outputs = declared_outputs(model)
    if has_generate(model) or outputs is None:
        return
    if len(getattr(outputs, "shape", ())) != 3:
        got = sorted(outputs) if isinstance(outputs, dict) else getattr(outputs, "shape", outputs)
        raise ValueError(
            "evaluate(model, ds) takes a captioning model, with an output [b, t, v] or a method "
            "generate(images), or a retrieval model, with outputs image_embedding and "
            f"text_embedding or methods encode_images and encode_text; got the output {got}."
        )
