"""`mmdata.Resume`: a callback by which a training that was killed goes on with its next batch."""

import dataclasses
import itertools
import json
import pathlib
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmdata.dataset import Dataset, asked_last
from mmdata.printable import printable
from mmdata.storage.atomic import replacing, require_writable

if TYPE_CHECKING:
    from _typeshed import StrPath

_SHOWN = 5
_NUMBERED = re.compile(r"_\d+(?=[_/]|$)")
_EPOCH_IS_OVER = "the epoch is over"


class Resume(keras.callbacks.ProgbarLogger):  # so that Keras adds no bar, which cannot be short
    """Saves a training, and lets the same script go on with it, to the bit, where it was killed.

        model.fit(ds, epochs=20, callbacks=[mmdata.Resume("runs/a", every=500)])

    Keeps one file, replaced in one step: the position in `ds`, which is one integer, and every
    variable of model, optimizer and metrics, random states of dropout included. The next batch,
    the logs of its epoch and the final weights are those of a training that was never broken, as
    far as operations are deterministic, see `tf.config.experimental.enable_op_determinism`. `ds`
    and model must be those of before; the number of epochs may be another.

    Begun again after its end, a training does nothing more: the model has its final weights, and
    `fit` returns. So does one that was stopped at the end of an epoch, e.g. by `EarlyStopping`,
    unless `epochs` differs. More epochs go on from there; another training wants another directory.

    Put it last among callbacks: what they do at the end of an epoch is saved with it. Does not
    save what they count, nor the global random state of Python, NumPy and Keras. The learning rate
    is the one that was saved. Code is not compared: a changed layer, or stage of `augment`, is not
    noticed. Says on stderr where it goes on. Replaces the progress bar of `fit`; that of a resumed
    epoch counts what is left of it. A saved position comes before `initial_epoch`.
    `steps_per_epoch` is no use here, as epochs are those of `ds`.

    Args:
      directory: A folder for the file; made where it is missing. With several workers, each wants
        a folder of its own.
      every: "epoch" saves at the end of each epoch; a number of batches, >= 1, then and after each
        so many. Counted since the beginning; `steps_per_execution` delays it to the end of one.
      dataset: What `build` returned; needed where `fit` gets something made from it, such as
        `ds.map(...)`, which must have as many batches.

    Raises:
      ValueError: An argument is out of range, or, in `fit`: another dataset or model than before,
        a damaged file, steps that are not those of the dataset. The message says which.
      NotADirectoryError: `directory` is a file.
      OSError: It cannot be written.
    """

    def __init__(
        self,
        directory: "StrPath",
        *,
        every: int | Literal["epoch"] = "epoch",
        dataset: Dataset | None = None,
    ) -> None:
        super().__init__()
        if every != "epoch" and (type(every) is not int or every < 1):
            raise ValueError(
                'Resume(every=...) must be "epoch" or a number of batches, at least 1; got '
                f"{every!r}."
            )
        if not isinstance(dataset, Dataset | None):
            raise ValueError(
                "Resume(dataset=...) must be what mmdata.build returned, from which fit's data are "
                f"made; got {dataset!r}."
            )
        self._path = pathlib.Path(directory) / "resume.npz"
        self._every = every
        self._given = dataset

    def set_params(self, params: dict[str, Any]) -> None:
        """Takes what `fit` was told; a progress bar would not keep it."""
        super().set_params(params)
        self.params = params

    def on_train_begin(self, logs: Any = None) -> None:
        """Restores what was saved."""
        super().on_train_begin(logs)
        self._ds = self._dataset()
        self._steps = self._ds.position.steps_per_epoch
        self._require_steps()
        self._require_directory()
        self._done = 0  # batches since the beginning of training
        self._resumed = self._trained = False
        self._stopped: int | None = None
        self._metrics: list[NDArray[Any]] = []
        if self._path.exists():
            self._restore(_State.read(self._path))

    def _dataset(self) -> Dataset:
        ds = asked_last() if self._given is None else self._given
        if ds is None:
            raise ValueError(_unseen("it found no mmdata.Dataset"))
        return ds

    def _require_steps(self) -> None:
        asked = self.params["steps"]
        if asked not in (None, self._steps):
            raise ValueError(
                f"Resume takes epochs as long as those of the dataset, {self._steps:,} batches; "
                f"got fit with {asked:,}. Leave out steps_per_epoch and ds.at(...); if fit gets "
                "what is made from another dataset, pass that one: Resume(..., dataset=ds)."
            )

    def _require_directory(self) -> None:
        directory = self._path.parent
        if directory.exists() and not directory.is_dir():
            raise NotADirectoryError(
                f"Resume(directory) must be a folder; got the file {str(directory)!r}."
            )
        require_writable(directory)  # what cannot be written fails now, not after hours

    @property
    def _settings(self) -> dict[str, Any]:
        return {**self._ds.settings, "replicas": str(self._replica_count)}

    def _restore(self, state: "_State") -> None:
        state.require_settings(self._settings, self._path)
        if len(self._variables()) < len(state.variables):
            self._make_variables()
        variables = self._variables()
        state.require_variables([_described(v) for v in variables], self._path)
        self._assign(variables, state.arrays)
        self._resumed, self._done, self._stopped = True, state.position, state.stopped
        if self._done % self._steps:
            self._metrics = state.arrays[len(variables) - len(self.model.metrics_variables) :]
        ended = self._stopped == self.params["epochs"]
        # What keras.callbacks.BackupAndRestore sets; `fit` reads it right behind this call.
        self.model._initial_epoch = self._stopped if ended else self._done // self._steps
        over = ended or self._done >= self.params["epochs"] * self._steps
        told = "training is complete" if over else "training goes on"
        path = printable(str(self._path))
        print(f"mmdata: {path}: {told}, after {self._done:,} batches", file=sys.stderr)

    def _variables(self) -> list[Any]:
        optimizer = self.model.optimizer
        return [
            *self.model.variables,
            *(optimizer.variables if optimizer is not None else ()),
            *self.model.metrics_variables,
        ]

    def _make_variables(self) -> None:
        """Makes, by tracing a step, the variables that Keras would make in the first one."""
        try:
            tf.function(self.model.train_step).get_concrete_function(self._ds.element_spec)
        except Exception as err:  # whatever a model's own code may raise
            raise ValueError(
                f"{self._path}: the model has no variables yet to restore. Build it before fit, "
                "e.g. by model.evaluate on one batch."
            ) from err

    def _replicas(self, variable: Any) -> Sequence[Any]:
        """A variable as each replica has it: they differ in metrics and moving averages."""
        if not hasattr(self.model, "distribute_strategy"):
            return (variable,)
        local: Sequence[Any] = self.model.distribute_strategy.experimental_local_results(
            variable.value
        )
        return local

    @property
    def _replica_count(self) -> int:
        return len(self._replicas(self._variables()[0]))

    def _assign(self, variables: Sequence[Any], arrays: Sequence[NDArray[Any]]) -> None:
        for variable, array in zip(variables, arrays, strict=True):
            for replica, value in zip(self._replicas(variable), itertools.cycle(array)):
                replica.assign(value)

    def _array(self, variable: Any) -> NDArray[Any]:
        """What the replicas hold, [r, ...]; r = 1 where all hold the same."""
        first, *others = (np.asarray(replica) for replica in self._replicas(variable))
        same = all(other.tobytes() == first.tobytes() for other in others)
        return np.stack([first] if same else [first, *others])

    def _save(self) -> None:
        variables = self._variables()
        state = _State(
            position=self._done,
            stopped=self._stopped,
            settings=self._settings,
            variables=[_described(variable) for variable in variables],
            arrays=[self._array(variable) for variable in variables],
        )
        with replacing(self._path) as path, path.open("wb") as file:
            state.write(file)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Holds the dataset where this epoch begins."""
        self.model._initial_epoch = None  # else the next `fit` would begin there too
        if not self._resumed:
            self._done = epoch * self._steps
        if self._done // self._steps != epoch:
            raise ValueError(
                f"{self._path} is of epoch {self._done // self._steps}, from where fit goes on; "
                f"got initial_epoch={epoch}. Leave it out."
            )
        self._begin, self._end = self._done, (epoch + 1) * self._steps
        self._ds.position.hold(self._begin)
        metrics, self._metrics = self._metrics, []
        if metrics:  # of the broken epoch; Keras has reset them just before
            self._assign(self.model.metrics_variables, metrics)
        self.target = self._end - self._begin
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Saves when it is time."""
        super().on_train_batch_end(batch, logs)
        before, self._done = self._done, min(self._begin + batch + 1, self._end)
        if before == self._begin and self._ds.position.begun != self._begin:
            raise ValueError(_unseen(f"fit did not read {self._ds}"))
        if self._done == self._end:
            self._require_one_iteration()
        if self._done < self._end:
            if self._every != "epoch" and self._done // self._every > before // self._every:
                self._save()
        elif self._end - self._begin != self.params["steps"] and not self.model.stop_training:
            # Else Keras, which counts on another number, would begin a step without data: it warns
            # of that, and the optimizer's count and random states would have moved on.
            self.model.stop_training = _EPOCH_IS_OVER

    def _require_one_iteration(self) -> None:
        """What is read ahead of its epoch, by `repeat`, would be of the wrong one."""
        iterations = self._ds.position.iterations
        if iterations > 1 and self.params["steps"] and self._replica_count == 1:
            raise ValueError(
                f"Resume takes one iteration of the dataset an epoch; got {iterations}. "
                "Leave out steps_per_epoch and ds.repeat(); callbacks may iterate over ds.at(0)."
            )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Saves."""
        super().on_epoch_end(epoch, logs)
        if self.model.stop_training == _EPOCH_IS_OVER:
            self.model.stop_training = False
        if self._done == self._end:
            self._trained = True
            self._stopped = self.params["epochs"] if self.model.stop_training else None
            self._save()
        elif not self.model.stop_training:
            raise ValueError(
                f"Resume takes epochs as long as those of the dataset, {self._steps:,} batches; "
                f"fit's data ended after {self._done % self._steps:,}."
            )

    def on_train_end(self, logs: Any = None) -> None:
        """Saves the final weights, as other callbacks leave them; lets go of the dataset."""
        super().on_train_end(logs)
        self.model._initial_epoch = None
        if self._trained and self._done % self._steps == 0:
            self._save()
        self._ds.position.move(-(-self._done // self._steps) * self._steps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _State:
    """What is saved.

    Attributes:
      position: Batches since the beginning of training.
      stopped: `epochs` of the `fit` that was stopped at the end of an epoch, if one was.
      settings: Of the dataset, by name.
      variables: Path, dtype and shape of each, in the order of the model.
      arrays: Its values, [r, *shape]: of each replica, or once for all.
    """

    position: int
    stopped: int | None
    settings: dict[str, Any]
    variables: list[str]
    arrays: list[NDArray[Any]]

    def write(self, file: Any) -> None:
        about = {
            "position": self.position,
            "stopped": self.stopped,
            "settings": self.settings,
            "variables": self.variables,
            "arrays": [(array.dtype.name, array.shape) for array in self.arrays],
        }
        # As bytes: numpy has no name for bfloat16 and its like, and would forget them.
        flat = {str(i): array.ravel().view(np.uint8) for i, array in enumerate(self.arrays)}
        np.savez(file, about=np.array(json.dumps(about)), **dict[str, Any](flat))

    @classmethod
    def read(cls, path: pathlib.Path) -> "_State":
        try:
            with np.load(path, allow_pickle=False) as file:
                about = json.loads(str(file["about"]))
                arrays = [
                    file[str(i)].view(np.dtype(dtype)).reshape(shape)
                    for i, (dtype, shape) in enumerate(about["arrays"])
                ]
            return cls(**(about | {"arrays": arrays}))
        except Exception as err:  # a damaged archive fails in more ways than a list would hold
            raise ValueError(
                f"{path}: cannot be read, so training cannot go on from there ({err}). Put back a "
                "copy of it, or delete it to begin anew."
            ) from err

    def require_settings(self, settings: dict[str, Any], path: pathlib.Path) -> None:
        if changes := _changes(self.settings, settings):
            raise ValueError(
                f"{path}: training goes on only with the batches it began with, and these have "
                f"changed. {' '.join(changes)} Set that back, or begin anew in another directory."
            )

    def require_variables(self, variables: list[str], path: pathlib.Path) -> None:
        pairs = itertools.zip_longest(self.variables, variables, fillvalue="nothing")
        differ = [f"{was} is now {now}" for was, now in pairs if was != now]
        if differ:
            more = f" and {len(differ) - _SHOWN:,} more" if len(differ) > _SHOWN else ""
            raise ValueError(
                f"{path}: is of another model. Of {len(self.variables):,} variables: "
                f"{'; '.join(differ[:_SHOWN])}{more}. Make the model of before, or begin anew in "
                "another directory."
            )


def _unseen(seen: str) -> str:
    return (
        f"Resume must know the dataset that fit reads; {seen}. Pass what mmdata.build returned: "
        "Resume(..., dataset=ds)."
    )


def _described(variable: Any) -> str:
    # Keras numbers names in the order in which a process makes them: a second model has others.
    path = _NUMBERED.sub("", variable.path)
    return f"{path} {variable.dtype} {tuple(variable.shape)}"


def _changes(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """A sentence for each setting that differs."""
    names = sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))
    return [
        "pairs: images, captions or their contents changed."
        if name == "pairs"
        else f"{name}: was {{}}, is now {{}}.".format(
            *_around_difference(*(json.dumps(settings.get(name)) for settings in (was, now)))
        )
        for name in names
    ]


def _around_difference(*texts: str) -> list[str]:
    """Texts as they are if short, else the 80 characters where they begin to differ."""
    if max(map(len, texts)) <= 100:
        return list(texts)
    alike = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False))
    start = max(len(list(alike)) - 20, 0)
    return [
        ("..." if start else "") + text[start : start + 80] + "..." * (len(text) > start + 80)
        for text in texts
    ]
