"""The position in the data: an integer, kept in a variable of the graph."""

from typing import Any

import tensorflow as tf


class Position:
    """Where the next iteration of a dataset begins: batches since the start of training.

    An iteration moves the position to the end of its epoch when it begins. While the position is
    held, each iteration begins at the same step, so one that Keras begins and abandons is harmless.

    Attributes:
      steps_per_epoch: Batches of a full epoch.
    """

    def __init__(self, step: int, steps_per_epoch: int) -> None:
        self.steps_per_epoch = steps_per_epoch
        with tf.device("CPU:0"):
            self._step = tf.Variable(step, dtype=tf.int64, trainable=False, name="position")
            self._held = tf.Variable(False, trainable=False, name="held")
            self._begun = tf.Variable(-1, dtype=tf.int64, trainable=False, name="begun")
            self._iterations = tf.Variable(0, trainable=False, name="iterations")

    def epochs(self) -> Any:
        """A dataset of steps, int64 []: those from the position to the end of its epoch."""
        return tf.data.Dataset.from_tensors(0).flat_map(self._rest_of_epoch)

    def _rest_of_epoch(self, _: Any) -> Any:
        step = self._step.read_value()
        stop = self._end_of_epoch(step)
        self._step.assign(tf.where(self._held, step, stop))
        self._begun.assign(step)
        self._iterations.assign_add(1)
        return tf.data.Dataset.range(step, stop)

    def _end_of_epoch(self, step: Any) -> Any:
        return (step // self.steps_per_epoch + 1) * self.steps_per_epoch

    def remaining_in_epoch(self) -> Any:
        """Number of batches of the next iteration, int64 []."""
        return self._end_of_epoch(self._step) - self._step

    @property
    def step(self) -> int:
        """The step where the next iteration begins."""
        return int(self._step)

    def hold(self, step: int) -> None:
        """Makes each iteration begin at `step`, until `release`."""
        self._held.assign(True)
        self._begun.assign(-1)
        self._iterations.assign(0)
        self._step.assign(step)

    def release(self) -> None:
        """Ends a hold, if there is one, and moves to the end of the epoch that was held."""
        self.move(tf.where(self._held, self._end_of_epoch(self._step), self._step))

    def move(self, step: Any) -> None:
        """Makes the next iteration begin at `step`, and ends a hold."""
        self._step.assign(step)
        self._held.assign(False)

    @property
    def begun(self) -> int:
        """The step where the last iteration began; -1 if none began since `hold`."""
        return int(self._begun)

    @property
    def iterations(self) -> int:
        """How many iterations began since `hold`."""
        return int(self._iterations)
