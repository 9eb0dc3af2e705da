"""`mmdata.Dataset`: a `tf.data.Dataset` that knows what it was made from."""

import dataclasses
import html
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from mmdata.arguments import Pixels, Text
from mmdata.corrupt import Corrupt
from mmdata.fit_report import FitReport
from mmdata.pairing.findings import Report
from mmdata.pairing.pairs import Pairs
from mmdata.tasks import Classification, Task
from mmdata.tokenizers import Tokenizer

Stream = Callable[[Any], Any]
"""From a dataset of steps, int64 [], to the dataset of their batches."""


class Dataset(tf.data.Dataset):
    """Batches of images and captions: a `tf.data.Dataset` like any other, and what made it.

    Each iteration is the next epoch, in an order of its own. `take(1)` counts as an iteration.

    Attributes:
      pairs: The images and captions behind the batches.
      task: What a batch holds.
      pixels: How images become numbers.
      text: How captions become ids.
      image_sizes: (height, width) of the images: of a batch, one of these.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        pairs: Pairs,
        tokenizer: Tokenizer | None,
        task: Task,
        pixels: Pixels,
        text: Text,
        fit_report: FitReport | None,
        corrupt: Corrupt,
        steps_per_epoch: int,
        image_sizes: tuple[tuple[int, int], ...],
        position: int = 0,
    ) -> None:
        self.pairs = pairs
        self.image_sizes = image_sizes
        self._tokenizer = tokenizer
        self.task = task
        self.pixels = pixels
        self.text = text
        self._fit_report = fit_report
        self._stream = stream
        self._corrupt = corrupt
        self._steps_per_epoch = steps_per_epoch
        with tf.device("CPU:0"):
            self._position = tf.Variable(position, dtype=tf.int64, trainable=False, name="position")
        self._batches = stream(_epochs(self._position, steps_per_epoch))
        super().__init__(self._batches._variant_tensor)

    def _inputs(self) -> list[Any]:
        return [self._batches]

    @property
    def element_spec(self) -> Any:
        """Shapes and dtypes of a batch; the batch axis is None, since the last may be shorter."""
        return self._batches.element_spec

    def cardinality(self) -> Any:
        """Number of batches of the next iteration, int64 []."""
        return self._steps_per_epoch - self._position % self._steps_per_epoch

    @property
    def tokenizer(self) -> Tokenizer:
        """What turned captions into ids, and turns them back: `tokenizer.detokenize(ids)`.

        Raises:
          AttributeError: The task has no text.
        """
        if self._tokenizer is None:
            raise AttributeError(f"a Dataset of {self.task} has no text, and no tokenizer.")
        return self._tokenizer

    @property
    def fit_report(self) -> FitReport:
        """How well the sequence length fits the captions.

        Raises:
          AttributeError: The task has no text.
        """
        if self._fit_report is None:
            raise AttributeError(f"a Dataset of {self.task} has no text, and no lengths.")
        return self._fit_report

    @property
    def class_names(self) -> list[str]:
        """The classes in the order of their labels; empty unless they were texts."""
        return list(self.task.classes or ()) if isinstance(self.task, Classification) else []

    @property
    def report(self) -> Report:
        """What paired, what did not, and the corrupt images met so far."""
        report = self.pairs.report
        return dataclasses.replace(report, findings=(*report.findings, *self._corrupt.findings()))

    def at(self, step: int) -> "Dataset":
        """The same batches from a global step on; does not touch this dataset's position.

        The first iteration is the rest of the epoch that the step falls into; then full epochs.

        Args:
          step: Batches to pass over, >= 0; epoch e begins at step e * `len(ds)`.
        """
        if step < 0:
            raise ValueError(f"at(step) takes a step of at least 0; got {step!r}.")
        return Dataset(
            self._stream,
            pairs=self.pairs,
            tokenizer=self._tokenizer,
            task=self.task,
            pixels=self.pixels,
            text=self.text,
            fit_report=self._fit_report,
            corrupt=self._corrupt,
            steps_per_epoch=self._steps_per_epoch,
            image_sizes=self.image_sizes,
            position=step,
        )

    def __str__(self) -> str:
        what = self.task if self._tokenizer is None else self._tokenizer
        return (
            f"<mmdata.Dataset: {self.pairs.pair_count:,} captions of {len(self.pairs):,} images, "
            f"{self._steps_per_epoch:,} batches an epoch, {what}>"
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        figures = html.escape(f"{self}\n{self.report}")
        return f"{self.pairs.gallery()}<pre>{figures}</pre>"


def _epochs(position: Any, steps_per_epoch: int) -> Any:
    """The steps from `position` to the end of its epoch; each iteration moves it there."""

    def rest_of_epoch(_: Any) -> Any:
        start = position.read_value()
        stop = (start // steps_per_epoch + 1) * steps_per_epoch
        position.assign(stop)
        return tf.data.Dataset.range(start, stop)

    return tf.data.Dataset.from_tensors(0).flat_map(rest_of_epoch)
