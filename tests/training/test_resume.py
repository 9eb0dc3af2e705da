"""Resume: a training run that was interrupted gives the same results as an uninterrupted one."""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keras
import killing  # type: ignore[import-not-found]
import kills  # type: ignore[import-not-found]
import numpy as np
import pytest
import tensorflow as tf

import mmdata
from mmdata.dataset import Dataset
from mmdata.example import Example
from mmdata.tasks import Captioned
from mmdata.training.resume import Resume

EPOCHS, STEPS = 3, 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sums(Captioned):
    """Six numbers of each picture, and their sum: quick to train on."""

    captions: Any = "first"

    def __call__(self, example: Example) -> Any:
        x = tf.reshape(example["image"][:, 0, :2], [-1, 6])
        return x, tf.reduce_sum(x, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Four steps an epoch, the last of them shorter."""
    folder = tmp_path_factory.mktemp("resume")
    killing.copy_pictures(folder / "pictures", 3 * STEPS - 1)
    ds: Dataset = mmdata.build(
        folder / "pictures",
        task=Sums(),
        text="word",
        image_size=(8, 8),
        sequence_length=24,
        batch_size=3,
        cache=folder / "cache",
    )
    return ds


@pytest.fixture
def ds(built: Dataset) -> Dataset:
    """At its beginning."""
    return built.at(0)


class BrokenOffError(Exception):
    """What ends a training, instead of a signal."""


class Log(keras.callbacks.Callback):
    """Records what each step trained on; raises before step `break_at`."""

    def __init__(self, break_at: int | None = None, stop_at: int | None = None) -> None:
        super().__init__()
        self.break_at, self.stop_at = break_at, stop_at
        self.seen: list[tuple[int, int]] = []

    @property
    def position(self) -> int:
        return int(self.model.optimizer.iterations)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.position == self.break_at:
            raise BrokenOffError

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append((self.position - 1, int(self.model.get_layer("digest").digest)))
        if self.position == self.stop_at:
            self.model.stop_training = True


def model_of(width: int = 4, dtype: str = "float32", **options: Any) -> Any:
    """A small model with moving averages, dropout and random weights."""
    given = keras.Input((6,))
    (x,) = killing.Digest(name="digest")([given])
    x = keras.layers.Dense(width, dtype=dtype)(x)
    x = keras.layers.Dropout(0.5, dtype=dtype)(keras.layers.BatchNormalization(dtype=dtype)(x))
    model = keras.Model(given, keras.layers.Dense(1, dtype="float32")(x))
    options = {"optimizer": keras.optimizers.Adam(0.01), "metrics": ["mae"]} | options
    model.compile(loss="mse", **options)
    return model


class Trainer:
    """A model that is traced once, and forgets all it learned before each training."""

    def __init__(self, model: Any) -> None:
        self.model = model
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        self._first = [np.asarray(variable) for variable in self.state]

    @property
    def state(self) -> list[Any]:
        return [*self.model.variables, *self.model.optimizer.variables]

    def fit(self, ds: Any, *callbacks: Any, epochs: int = EPOCHS, **options: Any) -> Any:
        for variable, value in zip(self.state, self._first, strict=True):
            variable.assign(value)
        options = {"verbose": 0, "shuffle": False} | options
        history = self.model.fit(ds, epochs=epochs, callbacks=list(callbacks), **options).history
        return {name: [float(v).hex() for v in values] for name, values in history.items()}

    def learned(self) -> list[bytes]:
        return [np.asarray(variable).tobytes() for variable in self.state]


@dataclasses.dataclass(frozen=True)
class Unbroken:
    """A whole training: what each step saw, the last epoch's logs, the final state."""

    seen: dict[int, int]
    logs: dict[str, str]
    learned: list[bytes]


def unbroken_of(trainer: Trainer, ds: Dataset, **options: Any) -> Unbroken:
    log = Log()
    history = trainer.fit(ds.at(0), log, **options)
    seen = dict(log.seen)
    return Unbroken(seen, {name: v[-1] for name, v in history.items()}, trainer.learned())


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    keras.utils.set_random_seed(1)
    return Trainer(model_of())


@pytest.fixture(scope="module")
def unbroken(trainer: Trainer, built: Dataset) -> Unbroken:
    return unbroken_of(trainer, built)


def break_off(
    trainer: Trainer, ds: Any, folder: pathlib.Path, at: int, every: Any = 1, **options: Any
) -> list[tuple[int, int]]:
    """Trains until it breaks off; returns what was seen."""
    log = Log(at)
    with pytest.raises(BrokenOffError):
        trainer.fit(ds, log, Resume(folder, every=every), **options)
    return log.seen


def position_of(folder: pathlib.Path) -> int:
    with np.load(folder / "resume.npz") as file:
        position: int = json.loads(str(file["about"]))["position"]
    return position


@pytest.mark.slow
class TestKilled:
    def test_same_as_uninterrupted(self, tmp_path: pathlib.Path) -> None:
        killing.compare(tmp_path, kills=2, every="2")

    def test_under_a_distribution_strategy(self, tmp_path: pathlib.Path) -> None:
        code = "import killing, pathlib, sys; killing.distribute(pathlib.Path(sys.argv[1]))"
        folder = pathlib.Path(killing.__file__).parent
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=folder, check=True)


class TestGoesOn:
    """In one process, by exceptions instead of signals."""

    @pytest.mark.parametrize("every", [1, 2, 3, 4, 5, 7, 13, "epoch"])
    def test_every(
        self, trainer: Trainer, built: Dataset, unbroken: Unbroken, tmp_path: Any, every: Any
    ) -> None:
        saves = {n for n in range(12) if n % STEPS == 0 or (every != "epoch" and n % every == 0)}
        begin = 0
        for at in (2, 6, 7, 9, 11):
            seen = break_off(trainer, built.at(0), tmp_path, at, every)
            assert seen == [(n, unbroken.seen[n]) for n in range(begin, at)]
            begin = max(n for n in saves if n <= at)
        log = Log()
        history = trainer.fit(built.at(0), log, Resume(tmp_path, every=every))
        assert log.seen == [(n, unbroken.seen[n]) for n in range(begin, 12)]
        assert trainer.learned() == unbroken.learned
        assert {name: values[-1] for name, values in history.items()} == unbroken.logs
        assert {len(values) for values in history.values()} == {EPOCHS - begin // STEPS}

    def test_the_same_dataset_goes_on_after_an_error(
        self, trainer: Trainer, ds: Dataset, unbroken: Unbroken, tmp_path: pathlib.Path
    ) -> None:
        for at in (6, 7):  # twice in the same epoch, which the second run begins in its middle
            break_off(trainer, ds, tmp_path, at)
        trainer.fit(ds, Resume(tmp_path))
        assert trainer.learned() == unbroken.learned

    def test_a_new_model_has_its_variables_made(
        self, built: Dataset, tmp_path: pathlib.Path
    ) -> None:
        class Unbuilt(keras.Model):
            def __init__(self) -> None:
                super().__init__()
                self.dense = keras.layers.Dense(1)
                self.dropout = keras.layers.Dropout(0.5, seed=3)

            def call(self, x: Any, training: bool = False) -> Any:
                return self.dense(self.dropout(x, training=training))

        def fit(folder: str, break_at: int | None = None) -> tuple[Any, Any]:
            keras.utils.set_random_seed(1)
            model = Unbuilt()
            model.compile("adam", "mse", metrics=["mae"])
            callback = keras.callbacks.LambdaCallback(
                on_train_batch_begin=lambda *_, **__: stop(
                    int(model.optimizer.iterations) == break_at
                )
            )
            history = model.fit(
                built.at(0),
                epochs=2,
                verbose=0,
                shuffle=False,
                callbacks=[callback, Resume(tmp_path / folder, every=1)],
            )
            return history.history, [np.asarray(v).tobytes() for v in model.variables]

        def stop(now: Any) -> None:
            if now:
                raise BrokenOffError

        history, weights = fit("unbroken")
        with pytest.raises(BrokenOffError):
            fit("broken", 6)
        again, same = fit("broken")
        assert same == weights
        assert {name: values[-1:] for name, values in history.items()} == again

    def test_steps_per_execution(self, built: Dataset, tmp_path: pathlib.Path) -> None:
        trainer = Trainer(model_of(steps_per_execution=3))
        whole = unbroken_of(trainer, built)
        assert [*whole.seen] == [2, 3, 6, 7, 10, 11]
        break_off(trainer, built.at(0), tmp_path, 7, every=1)
        assert position_of(tmp_path) == 7
        log = Log()
        history = trainer.fit(built.at(0), log, Resume(tmp_path, every=1))
        assert log.seen == [(n, whole.seen[n]) for n in (7, 10, 11)]
        assert trainer.learned() == whole.learned
        assert {name: values[-1] for name, values in history.items()} == whole.logs

    def test_few_bits(self, built: Dataset, tmp_path: pathlib.Path) -> None:
        optimizer = keras.optimizers.LossScaleOptimizer(
            keras.optimizers.Adam(0.01), initial_scale=2.0**60, dynamic_growth_steps=3
        )
        trainer = Trainer(model_of(dtype="bfloat16", optimizer=optimizer))
        assert {v.dtype for v in trainer.model.trainable_variables} == {"bfloat16", "float32"}
        whole = unbroken_of(trainer, built)
        for at in (3, 6):
            break_off(trainer, built.at(0), tmp_path, at)
        trainer.fit(built.at(0), Resume(tmp_path))
        assert trainer.learned() == whole.learned
        assert float(optimizer.dynamic_scale) != 2.0**60

    def test_validation_is_left_alone(
        self, trainer: Trainer, built: Dataset, unbroken: Unbroken, tmp_path: pathlib.Path
    ) -> None:
        held_out = built.at(0)
        options = {"validation_data": held_out}
        break_off(trainer, built.at(0), tmp_path, 6, **options)
        assert held_out.position.begun == 0
        trainer.fit(built.at(0), Resume(tmp_path), **options)
        assert held_out.position.begun == 2 * STEPS
        assert len(held_out) == STEPS
        assert trainer.learned() == unbroken.learned

    def test_an_epoch_is_saved_with_its_validation(
        self, trainer: Trainer, built: Dataset, unbroken: Unbroken, tmp_path: pathlib.Path
    ) -> None:
        class Break(keras.callbacks.Callback):
            def on_test_begin(self, logs: Any = None) -> None:
                raise BrokenOffError

        options = {"validation_data": built.at(0)}
        with pytest.raises(BrokenOffError):
            trainer.fit(built.at(0), Break(), Resume(tmp_path, every=1), **options)
        assert position_of(tmp_path) == STEPS - 1
        history = trainer.fit(built.at(0), Resume(tmp_path), **options)
        assert len(history["val_loss"]) == EPOCHS
        assert trainer.learned() == unbroken.learned

    def test_made_from_the_dataset(
        self, trainer: Trainer, built: Dataset, unbroken: Unbroken, tmp_path: pathlib.Path
    ) -> None:
        for at in (6, None):
            ds = built.at(0)
            made = ds.map(lambda *batch: batch).prefetch(2)
            log = Log(at)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                with pytest.raises(BrokenOffError) if at else contextlib.nullcontext():
                    trainer.fit(made, log, Resume(tmp_path, every=5, dataset=ds))
        assert log.seen == [(n, unbroken.seen[n]) for n in range(5, 12)]
        assert trainer.learned() == unbroken.learned


class TestEnds:
    def test_nothing_more_to_do_then_more_epochs(
        self, trainer: Trainer, built: Dataset, unbroken: Unbroken, tmp_path: pathlib.Path
    ) -> None:
        trainer.fit(built.at(0), Resume(tmp_path), epochs=2)
        learned = trainer.learned()
        ds = built.at(0)
        assert trainer.fit(ds, Resume(tmp_path), epochs=2) == {}
        assert trainer.learned() == learned
        assert ds.position.begun == -1
        log = Log()
        trainer.fit(ds, log, Resume(tmp_path), epochs=3)
        assert log.seen == [(n, unbroken.seen[n]) for n in range(8, 12)]
        assert trainer.learned() == unbroken.learned

    def test_stopped_early(
        self, trainer: Trainer, built: Dataset, unbroken: Unbroken, tmp_path: pathlib.Path
    ) -> None:
        def early() -> Any:
            return keras.callbacks.EarlyStopping("loss", min_delta=1e9, restore_best_weights=True)

        break_off(trainer, built.at(0), tmp_path, 2)
        history = trainer.fit(built.at(0), early(), Resume(tmp_path))
        assert len(history["loss"]) == 2
        learned = trainer.learned()  # of the first epoch again
        assert trainer.fit(built.at(0), early(), Resume(tmp_path)) == {}
        assert trainer.learned() == learned
        assert len(trainer.fit(built.at(0), Resume(tmp_path), epochs=4)["loss"]) == 2

    def test_stopped_in_the_resumed_epoch(
        self, trainer: Trainer, built: Dataset, tmp_path: pathlib.Path
    ) -> None:
        for stop_at, seen in ((2, [0, 1]), (3, [2]), (4, [3]), (5, [])):
            log = Log(stop_at=stop_at)
            trainer.fit(built.at(0), log, Resume(tmp_path, every=1))
            assert [n for n, _ in log.seen] == seen
        assert position_of(tmp_path) == 4

    def test_plain_iterations_go_on_where_training_ended(
        self, trainer: Trainer, ds: Dataset, unbroken: Unbroken, tmp_path: pathlib.Path
    ) -> None:
        trainer.fit(ds, Resume(tmp_path), epochs=2)
        log = Log()
        trainer.fit(ds, log, epochs=1)
        assert [digest for _, digest in log.seen] == [unbroken.seen[n] for n in range(8, 12)]
        assert len(ds) == STEPS

    def test_an_error_lets_go_of_the_dataset(
        self, trainer: Trainer, ds: Dataset, unbroken: Unbroken, tmp_path: pathlib.Path
    ) -> None:
        for at in (6, 7):  # the second run begins in epoch 1, which the next `fit` must not
            break_off(trainer, ds, tmp_path, at)
        log = Log()
        trainer.fit(ds, log, epochs=1)
        assert [digest for _, digest in log.seen] == [unbroken.seen[n] for n in range(8, 12)]


class TestSeen:
    """What a user sees of a resumed epoch."""

    def test_no_warning_and_a_short_bar(
        self, trainer: Trainer, built: Dataset, tmp_path: pathlib.Path, capsys: Any
    ) -> None:
        break_off(trainer, built.at(0), tmp_path, 6)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            trainer.fit(built.at(0), Resume(tmp_path), verbose=2)
        lines = capsys.readouterr().out.splitlines()
        assert [line.split(" - ")[0] for line in lines] == ["Epoch 2/3", "2/2", "Epoch 3/3", "4/4"]

    def test_one_bar(self, trainer: Trainer, ds: Dataset, tmp_path: Any, capsys: Any) -> None:
        trainer.fit(ds, Resume(tmp_path), epochs=1, verbose=2)
        assert capsys.readouterr().out.count("4/4") == 1

    def test_silent(self, trainer: Trainer, ds: Dataset, tmp_path: Any, capsys: Any) -> None:
        trainer.fit(ds, Resume(tmp_path), epochs=1)
        assert capsys.readouterr().out == ""


@pytest.fixture(scope="module")
def saved(
    trainer: Trainer, built: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> pathlib.Path:
    """The folder of a training that broke off at step 6."""
    folder = tmp_path_factory.mktemp("saved")
    break_off(trainer, built.at(0), folder, 6)
    return folder


@pytest.fixture
def copied(saved: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(saved, tmp_path / "copied"))


Refused = Callable[..., str]


@pytest.fixture
def refused(trainer: Trainer, copied: pathlib.Path) -> Iterator[Refused]:
    """The message by which `fit` refuses; what is saved must stay as it is."""
    content = (copied / "resume.npz").read_bytes()

    def message(ds: Any, model: Any = trainer.model, error: Any = ValueError, **fit: Any) -> str:
        options = {"callbacks": [Resume(copied)], "epochs": 3, "verbose": 0, "shuffle": False}
        with pytest.raises(error) as info:
            model.fit(ds, **(options | fit))
        return str(info.value)

    yield message
    assert (copied / "resume.npz").read_bytes() == content


class TestRefuses:
    def test_other_settings(
        self, refused: Refused, ds: Dataset, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = ds.settings
        assert {"pairs", "seed", "batching", "tokenizer", "versions", "decoders"} <= {*settings}
        for name in settings:
            was, now = json.dumps(settings[name]), json.dumps(f"another {name}")
            changed = settings | {name: f"another {name}"}
            monkeypatch.setattr(Dataset, "settings", changed)
            message = refused(ds)
            text = "pairs: images, captions or their contents changed." if name == "pairs" else name
            assert f"these have changed. {text}" in message
            if name != "pairs":
                assert f"{name}: was {was[:60]}" in message
                assert f", is now {now}" in message
            assert message.count(", is now ") == (name != "pairs")
            assert len(message) < 600

    def test_a_setting_more_and_one_less(
        self, refused: Refused, ds: Dataset, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = {name: text for name, text in ds.settings.items() if name != "seed"}
        monkeypatch.setattr(Dataset, "settings", settings | {"z": 1})
        assert "seed: was 0, is now null. z: was null, is now 1." in refused(ds)

    def test_another_model(self, refused: Refused, ds: Dataset) -> None:
        message = refused(ds, model_of(width=5))
        assert "resume.npz: was saved with another model. Of " in message
        assert "dense/kernel float32 (6, 4) is now dense/kernel float32 (6, 5)" in message
        assert " more. Use the same model as before" in message

    def test_another_optimizer(self, refused: Refused, ds: Dataset) -> None:
        message = refused(ds, model_of(optimizer="sgd"))
        assert "adam/iteration int64 () is now sgd/iteration int64 ()" in message

    def test_the_same_model_under_new_names(
        self, ds: Dataset, copied: pathlib.Path, trainer: Trainer
    ) -> None:
        model = model_of()
        names = [v.path for v in model.variables]
        assert names != [v.path for v in trainer.model.variables]
        model.fit(ds, epochs=2, verbose=0, shuffle=False, callbacks=[Resume(copied)])

    def test_damaged(self, ds: Dataset, trainer: Trainer, copied: pathlib.Path) -> None:
        path = copied / "resume.npz"
        content = path.read_bytes()
        middle = len(content) // 2
        flipped = bytes([content[middle] ^ 1])
        damaged = [
            b"",
            b"no archive",
            *(content[: len(content) * n // 7] for n in range(1, 7)),
            content[:middle] + flipped + content[middle + 1 :],
        ]
        for wrong in damaged:
            path.write_bytes(wrong)
            with pytest.raises(ValueError, match=r"resume\.npz: cannot be read, .* to start over"):
                trainer.fit(ds, Resume(copied))
            assert path.read_bytes() == wrong

    def test_steps_of_another_number(
        self, refused: Refused, ds: Dataset, copied: pathlib.Path
    ) -> None:
        for data, steps in ((ds.repeat(), 3), (ds.at(1), None)):
            callbacks = [Resume(copied, dataset=ds)]
            message = refused(data, steps_per_epoch=steps, callbacks=callbacks)
            assert "of the dataset, 4 batches; got fit with 3. Leave out steps_per_epoch" in message

    def test_data_that_end_before_the_epoch(
        self, trainer: Trainer, ds: Dataset, tmp_path: pathlib.Path
    ) -> None:
        made = ds.take(3).map(lambda *batch: batch).filter(lambda *_: True)
        ended = pytest.raises(ValueError, match=r"4 batches; fit's data ended after 3\.")
        with ended, pytest.warns(UserWarning, match="ran out of data"):
            trainer.fit(made, Resume(tmp_path, dataset=ds))

    def test_initial_epoch(
        self, refused: Refused, trainer: Trainer, ds: Dataset, tmp_path: pathlib.Path
    ) -> None:
        break_off(trainer, ds, tmp_path, 2)
        callback = Resume(tmp_path)
        message = refused(ds, initial_epoch=2, callbacks=[callback])
        assert (
            "was saved in epoch 0, where fit must resume; got initial_epoch=2. Leave it" in message
        )

    def test_a_dataset_it_cannot_see(
        self,
        refused: Refused,
        built: Dataset,
        tmp_path: pathlib.Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        ds, other = built.at(0), built.at(0)
        assert len(other) == STEPS
        made = ds.map(lambda *batch: batch)
        message = refused(made, callbacks=[Resume(tmp_path)])
        assert "must know the dataset that fit reads; fit did not read <mmdata.Data" in message
        assert "Pass what mmdata.build returned: Resume(..., dataset=ds)" in message
        assert not (tmp_path / "resume.npz").exists()
        monkeypatch.setattr("mmdata.dataset._thread_state", threading.local())
        message = refused(made, callbacks=[Resume(tmp_path)])
        assert "it found no mmdata.Dataset" in message

    def test_data_read_ahead_of_the_epoch(
        self, trainer: Trainer, ds: Dataset, tmp_path: pathlib.Path
    ) -> None:
        made = ds.repeat().prefetch(9)
        with pytest.raises(ValueError, match=r"Leave out steps_per_epoch and ds\.repeat\(\)"):
            trainer.fit(made, Resume(tmp_path, dataset=ds), steps_per_epoch=4)
        assert not (tmp_path / "resume.npz").exists()

    def test_directory_is_a_file(
        self, refused: Refused, ds: Dataset, tmp_path: pathlib.Path
    ) -> None:
        file = tmp_path / "file"
        file.touch()
        message = refused(ds, error=NotADirectoryError, callbacks=[Resume(file)])
        assert f"must be a folder; got the file {str(file)!r}" in message
        refused(ds, error=OSError, callbacks=[Resume(file / "below")])

    @pytest.mark.parametrize("every", [0, -1, True, 1.0, "batch", None])
    def test_every(self, every: Any) -> None:
        with pytest.raises(ValueError, match=r'must be "epoch" or a number of batches, at least 1'):
            Resume("runs", every=every)

    def test_a_dataset_of_another_kind(self, ds: Dataset) -> None:
        with pytest.raises(ValueError, match=r"must be what mmdata\.build returned"):
            Resume("runs", dataset=ds.take(1))


class TestSaves:
    def test_all_or_nothing(
        self,
        trainer: Trainer,
        built: Dataset,
        copied: pathlib.Path,
        unbroken: Unbroken,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        content = (copied / "resume.npz").read_bytes()

        def half_written(file: int) -> None:
            os.ftruncate(file, os.fstat(file).st_size // 2)
            raise BrokenOffError

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", half_written)
            with pytest.raises(BrokenOffError):
                trainer.fit(built.at(0), Resume(copied, every=1))
        assert (copied / "resume.npz").read_bytes() == content
        assert os.listdir(copied) == ["resume.npz"]
        trainer.fit(built.at(0), Resume(copied))
        assert trainer.learned() == unbroken.learned
        assert os.listdir(copied) == ["resume.npz"]

    @pytest.mark.slow
    def test_killed_saves_leave_nothing(self, trainer: Trainer, ds: Dataset, tmp_path: Any) -> None:
        script = [sys.executable, kills.__file__, str(tmp_path), "resume"]
        out = subprocess.run(script, capture_output=True, text=True, check=True).stdout
        assert out == "resume: killed 10 times, 10 left something, 0 after they were run again\n"
        assert len(os.listdir(tmp_path)) == 1
        trainer.fit(ds, Resume(tmp_path))
        assert os.listdir(tmp_path) == ["resume.npz"]

    def test_reaches_the_disk_before_it_counts(
        self, trainer: Trainer, ds: Dataset, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[str] = []

        def noted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any) -> Any:
                calls.append(name)
                return real(*arguments)

            return call

        for name in ("fsync", "replace"):
            monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
        trainer.fit(ds, Resume(tmp_path), epochs=1)
        assert calls == ["fsync", "replace"] * 2


class TestPosition:
    def test_held(self, ds: Dataset) -> None:
        ds.position.hold(6)
        assert ds.position.begun == -1
        assert [len(list(ds.as_numpy_iterator())) for _ in range(2)] == [2, 2]
        assert ds.position.begun == 6
        ds.position.release()
        assert [len(list(ds.as_numpy_iterator())) for _ in range(2)] == [4, 4]
        assert ds.position.begun == 12

    def test_asking_for_its_length_lets_go(self, ds: Dataset) -> None:
        ds.position.hold(6)
        assert len(ds) == STEPS
        assert len(list(ds)) == STEPS
        assert ds.position.begun == 8

    def test_length_of_the_rest(self, built: Dataset) -> None:
        for step, length in ((0, 4), (3, 1), (4, 4), (9, 3)):
            ds = built.at(step)
            assert len(ds) == length
            assert [len(list(ds)), len(ds), len(list(ds))] == [length, STEPS, STEPS]

    def test_length_in_a_graph(self, ds: Dataset) -> None:
        assert int(tf.function(ds.cardinality)()) == STEPS
