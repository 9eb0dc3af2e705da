"""`mmdata.Dataset`: a `tf.data.Dataset` with its pairs, tokenizer, report and position."""

import dataclasses
import html
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from mmdata.batches import Plan, batches
from mmdata.captions.length_report import LengthReport
from mmdata.config import Config
from mmdata.images.decoder_fingerprint import decoders_fingerprint
from mmdata.model_inputs import select_for
from mmdata.options import Pixels, Text
from mmdata.pairs.findings import PairingReport
from mmdata.pairs.pairs import Pairs
from mmdata.preprocessing import Preprocessing
from mmdata.sampling.position import Position
from mmdata.sampling.static_length import of_length
from mmdata.stages.resize import Size
from mmdata.stages.select import Select, features_of
from mmdata.tasks import Task
from mmdata.tasks.columns import require_names
from mmdata.tokenizers import Tokenizer


class Dataset(tf.data.Dataset):
    """Batches of images and captions: an ordinary `tf.data.Dataset` that keeps what it is made of.

    Each iteration is the next epoch, in its own order. `take(1)` counts as an iteration.

    Attributes:
      plan: Everything that makes the batches.
      pairs: The images and captions of the batches.
      image_sizes: The (height, width) that images have; each batch has one of them.
      position: Where the next iteration begins.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        pairs: Pairs,
        tokenizer: Tokenizer | None,
        length_report: LengthReport | None,
        image_sizes: tuple[Size, ...],
        select: Select | None = None,
        position: int = 0,
    ) -> None:
        self.plan = plan
        self.pairs = pairs
        self.image_sizes = image_sizes
        self._tokenizer = tokenizer
        self._length_report = length_report
        self.position = Position(position, plan.order.steps_per_epoch)
        self._select = select
        self._all_features = batches(self.position.epochs(), plan)
        selected = self._all_features
        if select is not None:
            _require_keys(select.keys, selected.element_spec)
            selected = selected.map(select)
        self._batches = of_length(selected, plan.order.steps_per_epoch)
        self._process = os.getpid()
        super().__init__(self._batches._variant_tensor)

    def __iter__(self) -> Any:
        """Begins the next epoch.

        Raises:
          RuntimeError: This is a forked process, in which TensorFlow would wait forever.
        """
        if os.getpid() != self._process:
            raise RuntimeError(
                "a Dataset works only in the process that built it; this process was forked from "
                "it. Start processes by 'spawn', and call mmdata.build in each of them."
            )
        return super().__iter__()

    def __reduce__(self) -> Any:
        """Refuses to be pickled."""
        raise TypeError(
            "a Dataset cannot be pickled, since its graph belongs to one process. Pickle ds.pairs, "
            "and call mmdata.build(pairs, ...) in the other process."
        )

    @property
    def config(self) -> Config:
        """The arguments of `build`, resolved."""
        return self.plan.config

    @property
    def task(self) -> Task:
        """The task, which sets what a batch holds."""
        return self.config.task

    @property
    def pixels(self) -> Pixels:
        """How images become numbers."""
        return self.config.pixels

    @property
    def text(self) -> Text:
        """How captions become ids."""
        return self.config.text

    @property
    def preprocessing(self) -> Preprocessing:
        """How new images and captions become inputs, as those of the split "validation" do.

        Raises:
          AttributeError: Features replace the images.
        """
        config, task = self.config, self.task
        if config.encoder:
            raise AttributeError(
                "a Dataset of features has no preprocessing of images: its encoder is not part of "
                "it. Take that of the dataset that precompute_features was given."
            )
        pixels, text = config.pixels_as_given or config.pixels, None
        if pixels.buckets and len(self.image_sizes) == 1:
            most = pixels.resize.max_crop if pixels.fit == "crop" else None
            (size,) = self.image_sizes
            pixels = dataclasses.replace(pixels, size=size, buckets=(), max_crop=most)
        if self._tokenizer is not None:
            text = dataclasses.replace(self.text, length=self.text.sequence_length, buckets=())
        return Preprocessing(
            task=type(task).__name__,
            pixels=pixels,
            text=text,
            template=getattr(task, "template", "{caption}"),
            prompt=task.prompt,
        )

    def _inputs(self) -> list[Any]:
        return [self._batches]

    @property
    def element_spec(self) -> Any:
        """Shapes and dtypes of a batch; the batch axis is None if a batch may be shorter."""
        return self._batches.element_spec

    def cardinality(self) -> Any:
        """Number of batches of the next iteration, int64 []."""
        _thread_state.last_counted = weakref.ref(self)
        self.position.release()  # `fit` calls this first, so only a failed `fit` can still hold it
        return self.position.remaining_in_epoch()

    @property
    def tokenizer(self) -> Tokenizer:
        """Turns captions into ids, and ids into captions with `tokenizer.detokenize(ids)`.

        Raises:
          AttributeError: The task has no text, or `text` is None.
        """
        if self._tokenizer is None:
            raise AttributeError(f"{self._without_tokens()}, so it has no tokenizer.")
        return self._tokenizer

    @property
    def length_report(self) -> LengthReport:
        """How well the sequence length fits the captions.

        Raises:
          AttributeError: The task has no text, or `text` is None.
        """
        if self._length_report is None:
            raise AttributeError(f"{self._without_tokens()}, so it has no lengths.")
        return self._length_report

    @property
    def has_tokens(self) -> bool:
        """Whether captions become ids: not if the task has no text, or if `text` is None."""
        return self._tokenizer is not None

    def _without_tokens(self) -> str:
        has = "raw text (text=None)" if self.task.has_text else "no text"
        return f"a Dataset of {self.task} has {has}"

    @property
    def class_names(self) -> list[str]:
        """The classes in the order of their labels; empty unless the labels are texts."""
        return list(self.task.class_names)

    @property
    def paths(self) -> list[str]:
        """The image file of each example of an epoch, in the order of the batches.

        Inside a tar shard, the path only names the image.

        Raises:
          AttributeError: The order differs from epoch to epoch.
        """
        if self.plan.order.shuffle:
            raise AttributeError(
                "a shuffled Dataset has another order of paths each epoch. Pass shuffle=False or "
                'task="prediction" to mmdata.build.'
            )
        steps = tf.data.Dataset.range(self.position.steps_per_epoch)
        rows = steps.map(lambda step: self.plan.look_up(step)["row"]).as_numpy_iterator()
        return [self.pairs.path(row) for batch in rows for row in batch.tolist()]

    @property
    def report(self) -> PairingReport:
        """What paired, what did not, and which images were found corrupt so far."""
        report = self.pairs.report
        return dataclasses.replace(
            report, findings=(*report.findings, *self.plan.corrupt.findings())
        )

    def at(self, step: int) -> "Dataset":
        """The same batches, starting at a global step; does not change this dataset's position.

        The first iteration is the rest of the epoch that contains the step; full epochs follow.
        Keras reads the number of batches only once: `fit(ds.at(step), epochs=2)` would end the
        second epoch as early as the first. So fit only one epoch of it, or use `mmdata.Resume`.

        Args:
          step: Number of batches to skip, >= 0; epoch e begins at step e * `len(ds)`.
        """
        if isinstance(step, bool) or not hasattr(step, "__index__") or not 0 <= int(step) < 2**63:
            raise ValueError(f"at(step) takes an int of at least 0; got {step!r}.")
        return self.replace(position=step)

    def peek(self) -> Any:
        """The first batch of the next iteration; the next iteration still begins with it."""
        return next(iter(self.at(self.position.step)))

    def select(self, *keys: str) -> "Dataset":
        """The same batches, whose x is a dict with only some features.

        Args:
          *keys: The features to keep, e.g. "images", "token_ids".

        Raises:
          ValueError: Batches do not have such a feature.
        """
        return self.replace(select=Select(keys=require_names("select(*keys)", keys)))

    def for_model(self, model: Any) -> "Dataset":
        """The same batches, with the inputs that a Keras model declares, and nothing else.

        Keras gives the values of a dict with more keys than the model declares to the wrong inputs,
        without an error. So use `fit(ds.for_model(model))` for functional and sequential models,
        and for KerasHub's backbones. Casts to declared dtypes where no value changes. If the
        task is `Retrieval` and all outputs of the model are [b, b] logits, as those of CLIP, y has
        the labels 0 to b - 1 for each output: compile the model with
        `keras.losses.SparseCategoricalCrossentropy(from_logits=True)`. A model with a
        `compute_loss` of its own gets no labels.

        Args:
          model: A Keras model. A subclassed one declares nothing: then this dataset is returned.

        Raises:
          TypeError: This is not a Keras model.
          ValueError: An input or output of the model does not fit the batches. The message says
            which argument of `build` changes that.
        """
        tokens = None if self._tokenizer is None else self._tokenizer.vocabulary_size
        select = select_for(model, self._all_features.element_spec, self.config, tokens)
        return self if select is None else self.replace(select=select)

    def replace(self, **changes: Any) -> "Dataset":
        """A copy at position 0, with some arguments of `__init__` changed."""
        arguments: dict[str, Any] = {
            "plan": self.plan,
            "pairs": self.pairs,
            "tokenizer": self._tokenizer,
            "length_report": self._length_report,
            "image_sizes": self.image_sizes,
            "select": self._select,
        }
        return Dataset(**(arguments | changes))

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that batches depend on, as plain data: equal settings, equal batches.

        The number of shards is not included: all shards together have the same batches.
        """
        return {
            "pairs": self.pairs.fingerprint,
            **self.config.to_dict(),
            "tokenizer": None if self._tokenizer is None else self._tokenizer.to_dict(),
            "decoders": decoders_fingerprint(),
            "inputs": None if self._select is None else self._select.to_dict(),
        }

    def __str__(self) -> str:
        detail = self.task if self._tokenizer is None else self._tokenizer
        return (
            f"<mmdata.Dataset: {self.pairs.pair_count:,} captions of {len(self.pairs):,} images, "
            f"{self.position.steps_per_epoch:,} batches an epoch, {detail}>"
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        shapes = "\n".join(_shapes("batch", self.element_spec))
        figures = html.escape(f"{self}\n{shapes}\n{self.report}")
        return f"{self.pairs.gallery()}<pre>{figures}</pre>"


def _require_keys(keys: Sequence[str], spec: Any) -> None:
    features = features_of(spec)
    if missing := [key for key in keys if key not in features]:
        raise ValueError(
            f"the inputs of a batch must be some of {list(features)}; got {missing}, from "
            "select(...) or from the task's inputs=(...)."
        )


def _shapes(name: str, spec: Any) -> Iterator[str]:
    """A line for each tensor of a batch: its key, dtype and shape."""
    if isinstance(spec, (dict, tuple)):
        for key, inner in spec.items() if isinstance(spec, dict) else enumerate(spec):
            yield from _shapes(f"{name}[{key!r}]", inner)
    else:
        yield f"  {name:<24} {spec.dtype.name} {list(spec.shape)}"


_thread_state = threading.local()


def last_counted() -> Dataset | None:
    """The dataset whose `cardinality` this thread called last: `fit` does before callbacks run."""
    reference = getattr(_thread_state, "last_counted", None)
    return reference() if reference else None
