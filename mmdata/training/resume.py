"""`mmdata.Resume`: a callback that resumes a killed training run at the next batch."""

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

from mmdata.dataset import Dataset, last_counted
from mmdata.printable import printable
from mmdata.storage.atomic import replacing, require_writable

if TYPE_CHECKING:
    from _typeshed import StrPath

_SHOWN = 5
_NUMBERED = re.compile(r"_\d+(?=[_/]|$)")
_EPOCH_IS_OVER = "the epoch is over"


class Resume(keras.callbacks.ProgbarLogger):  # replaces Keras' bar, which cannot be short
    """Saves a training run, so that the same script resumes it at the next batch, bit-exact.

        model.fit(ds, epochs=20, callbacks=[mmdata.Resume("runs/a", every=500)])

    Writes one file and replaces it atomically. It holds the position in `ds`, which is one integer,
    and every variable of model, optimizer and metrics, random states of dropout included. After a
    kill, the next batch, the logs of its epoch and the final weights are those of an uninterrupted
    run, if operations are deterministic, see `tf.config.experimental.enable_op_determinism`. `ds`
    and the model must be the same as before; the number of epochs may differ.

    If a finished run is started again, the model gets its final weights, and `fit` returns without
    training. The same holds for a run that was stopped at the end of an epoch, e.g. by
    `EarlyStopping`, unless `epochs` differs. More epochs continue from there. Use another directory
    for another run.

    Put it last in the list of callbacks: it saves what the others do at the end of an epoch. Does
    not save the counters of other callbacks, nor the global random state of Python, NumPy and
    Keras. The learning rate is restored. Code is not compared: a changed layer or stage of
    `augment` is not detected. Prints to stderr where the run resumes. Replaces the progress bar of
    `fit`; in a resumed epoch, the bar counts the remaining batches. A saved position takes
    precedence over `initial_epoch`. Leave out `steps_per_epoch`: an epoch is one epoch of `ds`.

    Args:
      directory: A folder for the file; created if missing. With several workers, each needs its own
        folder.
      every: "epoch" saves at the end of each epoch. A number n of batches, >= 1, saves after every
        n batches, too, counted from the start of training; with `steps_per_execution`, at the end
        of an execution.
      dataset: What `build` returned. Needed if `fit` gets a dataset that is made from it, e.g.
        `ds.map(...)`, which must have the same number of batches.

    Raises:
      ValueError: An argument is out of range; or, in `fit`: the dataset or the model differs from
        before, the file is damaged, the steps are not those of the dataset, or Keras runs on
        PyTorch and a Dropout has no seed. The message says which.
      NotADirectoryError: `directory` is a file.
      OSError: The file cannot be written.
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
                "Resume(dataset=...) must be what mmdata.build returned, from which the data of "
                f"fit are made; got {dataset!r}."
            )
        self._path = pathlib.Path(directory) / "resume.npz"
        self._every = every
        self._given = dataset

    def set_params(self, params: dict[str, Any]) -> None:
        """Stores the arguments of `fit`, which the base class does not keep."""
        super().set_params(params)
        self.params = params

    def on_train_begin(self, logs: Any = None) -> None:
        """Restores what was saved."""
        super().on_train_begin(logs)
        self._ds = self._dataset()
        self._steps = self._ds.position.steps_per_epoch
        self._require_steps()
        self._require_replicas()
        self._require_directory()
        self._require_seeds()
        self._done = 0  # batches since the start of training
        self._resumed = self._trained = False
        self._stopped: int | None = None
        self._metrics: list[NDArray[Any]] = []
        if self._path.exists():
            self._restore(_State.read(self._path))

    def _dataset(self) -> Dataset:
        ds = last_counted() if self._given is None else self._given
        if ds is None:
            raise ValueError(_unknown_dataset("it found no mmdata.Dataset"))
        return ds

    def _require_steps(self) -> None:
        steps = self.params["steps"]
        if steps not in (None, self._steps):
            raise ValueError(
                f"Resume needs epochs as long as those of the dataset, {self._steps:,} batches; "
                f"got fit with {steps:,}. Leave out steps_per_epoch and ds.at(...). If the data of "
                "fit are made from another dataset, pass that one: Resume(..., dataset=ds)."
            )

    def _require_replicas(self) -> None:
        if hasattr(self.model, "distribute_strategy"):
            strategy = self.model.distribute_strategy
            self._ds.plan.order.require_replicas(strategy.num_replicas_in_sync)

    def _require_directory(self) -> None:
        directory = self._path.parent
        if directory.exists() and not directory.is_dir():
            raise NotADirectoryError(
                f"Resume(directory) must be a folder; got the file {str(directory)!r}."
            )
        require_writable(directory)  # fails now, not after hours, if the file cannot be written

    def _require_seeds(self) -> None:
        """Refuses what draws from PyTorch's own random state, which is not saved."""
        if keras.backend.backend() != "torch":
            return
        for layer in self.model._flatten_layers():
            if isinstance(layer, keras.layers.Dropout) and layer.rate and layer.seed is None:
                raise ValueError(
                    "Resume on PyTorch needs Dropout(seed=...), since without a seed Keras draws "
                    f"from a random state that is not saved; the layer {layer.name!r} has no seed. "
                    "Pass seeds, or dropout=0 to a model of mmdata, or use "
                    "keras.callbacks.BackupAndRestore instead of Resume."
                )

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
        # keras.callbacks.BackupAndRestore sets this, too; `fit` reads it right after this call.
        self.model._initial_epoch = self._stopped if ended else self._done // self._steps
        over = ended or self._done >= self.params["epochs"] * self._steps
        status = "training is complete" if over else "training resumes"
        path = printable(str(self._path))
        print(f"mmdata: {path}: {status} after {self._done:,} batches", file=sys.stderr)

    def _variables(self) -> list[Any]:
        optimizer = self.model.optimizer
        return [
            *self.model.variables,
            *(optimizer.variables if optimizer is not None else ()),
            *self.model.metrics_variables,
        ]

    def _make_variables(self) -> None:
        """Traces a training step, so that Keras creates all variables now."""
        try:
            tf.function(self.model.train_step).get_concrete_function(self._ds.element_spec)
        except Exception as err:  # the code of a model may raise anything
            raise ValueError(
                f"{self._path}: the model has no variables yet to restore. Build it before fit, "
                "e.g. by model.evaluate on one batch."
            ) from err

    def _replicas(self, variable: Any) -> Sequence[Any]:
        """A variable of each replica: metrics and moving averages differ between replicas."""
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
        """The values of the replicas, [r, ...]; r = 1 if all replicas have the same value."""
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
        """Holds the position of the dataset at the start of this epoch."""
        self.model._initial_epoch = None  # else the next `fit` would begin there too
        if not self._resumed:
            self._done = epoch * self._steps
        if self._done // self._steps != epoch:
            raise ValueError(
                f"{self._path} was saved in epoch {self._done // self._steps}, where fit must "
                f"resume; got initial_epoch={epoch}. Leave it out."
            )
        self._begin, self._end = self._done, (epoch + 1) * self._steps
        self._ds.position.hold(self._begin)
        metrics, self._metrics = self._metrics, []
        if metrics:  # of the interrupted epoch; Keras has just reset them
            self._assign(self.model.metrics_variables, metrics)
        self.target = self._end - self._begin
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Saves, if `every` batches are done."""
        super().on_train_batch_end(batch, logs)
        before, self._done = self._done, min(self._begin + batch + 1, self._end)
        if before == self._begin and self._ds.position.begun != self._begin:
            raise ValueError(_unknown_dataset(f"fit did not read {self._ds}"))
        if self._done == self._end:
            self._require_one_iteration()
        if self._done < self._end:
            if self._every != "epoch" and self._done // self._every > before // self._every:
                self._save()
        elif self._end - self._begin != self.params["steps"] and not self.model.stop_training:
            # Otherwise Keras, which expects more batches, would begin a step without data: it would
            # warn, and advance the optimizer's count and random states.
            self.model.stop_training = _EPOCH_IS_OVER

    def _require_one_iteration(self) -> None:
        """Refuses `repeat`, which reads ahead of an epoch and so gets the wrong batches."""
        iterations = self._ds.position.iterations
        if iterations > 1 and self.params["steps"] and self._replica_count == 1:
            raise ValueError(
                f"Resume needs one iteration of the dataset per epoch; got {iterations}. "
                "Leave out steps_per_epoch and ds.repeat(); callbacks may iterate over ds.at(0)."
            )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Saves, unless the epoch was interrupted."""
        super().on_epoch_end(epoch, logs)
        if self.model.stop_training == _EPOCH_IS_OVER:
            self.model.stop_training = False
        if self._done == self._end:
            self._trained = True
            self._stopped = self.params["epochs"] if self.model.stop_training else None
            self._save()
        elif not self.model.stop_training:
            raise ValueError(
                f"Resume needs epochs as long as those of the dataset, {self._steps:,} batches; "
                f"fit's data ended after {self._done % self._steps:,}."
            )

    def on_train_end(self, logs: Any = None) -> None:
        """Saves the final weights, after other callbacks; releases the dataset."""
        super().on_train_end(logs)
        self.model._initial_epoch = None
        if self._trained and self._done % self._steps == 0:
            self._save()
        self._ds.position.move(-(-self._done // self._steps) * self._steps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _State:
    """The content of the file.

    Attributes:
      position: Batches since the start of training.
      stopped: `epochs` of the `fit` call, if it was stopped early at the end of an epoch.
      settings: `Dataset.settings` and the number of replicas.
      variables: Path, dtype and shape of each variable, in the order of the model.
      arrays: Values of each variable, [r, *shape]: one per replica, or one for all.
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
        # As bytes: numpy has no name for types such as bfloat16, and would lose them.
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
        except Exception as err:  # a damaged archive may raise anything
            raise ValueError(
                f"{path}: cannot be read, so training cannot resume from it ({err}). Restore a "
                "copy of the file, or delete it to start over."
            ) from err

    def require_settings(self, settings: dict[str, Any], path: pathlib.Path) -> None:
        if changes := _changes(self.settings, settings):
            raise ValueError(
                f"{path}: training resumes only with the batches it began with, and these have "
                f"changed. {' '.join(changes)} Undo the change, or start in another directory."
            )

    def require_variables(self, variables: list[str], path: pathlib.Path) -> None:
        pairs = itertools.zip_longest(self.variables, variables, fillvalue="nothing")
        differ = [f"{was} is now {now}" for was, now in pairs if was != now]
        if differ:
            more = f" and {len(differ) - _SHOWN:,} more" if len(differ) > _SHOWN else ""
            raise ValueError(
                f"{path}: was saved with another model. Of {len(self.variables):,} variables: "
                f"{'; '.join(differ[:_SHOWN])}{more}. Use the same model as before, or start in "
                "another directory."
            )


def _unknown_dataset(reason: str) -> str:
    return (
        f"Resume must know the dataset that fit reads; {reason}. Pass what mmdata.build returned: "
        "Resume(..., dataset=ds)."
    )


def _described(variable: Any) -> str:
    # Keras numbers names in the order of creation, so a second model has other numbers.
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
    """Short texts unchanged; of long ones, the 80 characters around the first difference."""
    if max(map(len, texts)) <= 100:
        return list(texts)
    alike = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False))
    start = max(len(list(alike)) - 20, 0)
    return [
        ("..." if start else "") + text[start : start + 80] + "..." * (len(text) > start + 80)
        for text in texts
    ]
