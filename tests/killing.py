"""Kills training many times, and compares it with training that was never stopped.

python tests/killing.py --kills 10 --every 3
"""

import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import mmdata
from mmdata.training.resume import Resume

SAMPLES = pathlib.Path(__file__).parents[1] / "sample_data"
EPOCHS, STEPS, BATCH = 3, 5, 4
MOMENTS = ("before", "after", "saving after")


class Digest(keras.layers.Layer):
    """Stores a hash of the batch that it trains on."""

    def build(self, _: Any) -> None:
        self.digest = self.add_weight(shape=(), dtype="int64", trainable=False)

    def call(self, batch: Any, training: bool = False) -> Any:
        if training:
            parts = [tf.io.serialize_tensor(tensor) for tensor in batch]
            self.digest.assign(tf.strings.to_hash_bucket_fast(tf.strings.join(parts), 2**62))
        return batch


def compare(folder: pathlib.Path, *, kills: int, every: str, seed: int = 0) -> None:
    """Raises AssertionError if killed training differs from unbroken training."""
    copy_pictures(folder / "pictures", STEPS * BATCH - 1)
    unbroken = _start(folder, "unbroken", every)
    between = STEPS if every == "epoch" else int(every)
    saves = {*range(0, EPOCHS * STEPS, between), *range(0, EPOCHS * STEPS + 1, STEPS)}
    rng, begin, logs = random.Random(seed), 0, []
    for _ in range(kills):
        step = rng.randrange(begin, min(begin + STEPS + 2, EPOCHS * STEPS))
        moment = rng.choice(MOMENTS)
        code = _start(folder, "killed", every, f"{moment} {step}").wait()
        log = _log(folder, "killed")
        logs += log
        print(f"saved {begin}, killed {moment} {step}, trained {[n for n, _ in log]}", flush=True)
        assert code == -signal.SIGKILL, code
        next_save = min(save for save in saves if save > step)
        end = {"before": step, "after": step + 1, "saving after": next_save}[moment]
        assert [n for n, _ in log] == [*range(begin, end)]
        begin = max(save for save in saves if save <= step)
    assert _start(folder, "killed", every).wait() == 0
    logs += _log(folder, "killed")
    assert unbroken.wait() == 0
    whole = _log(folder, "unbroken")
    assert [n for n, _ in whole] == [*range(EPOCHS * STEPS)]
    assert len({digest for _, digest in whole}) == EPOCHS * STEPS
    assert set(logs) == set(whole)
    ends = [json.loads((folder / f"{name}.json").read_text()) for name in ("unbroken", "killed")]
    print(f"{len(logs)} steps for {len(whole)}, then {ends}", flush=True)
    assert ends[0] == ends[1], ends


def copy_pictures(folder: pathlib.Path, count: int) -> None:
    """Sample pictures with their captions beside them."""
    folder.mkdir()
    for image in sorted((SAMPLES / "images" / "night").iterdir())[:count]:
        shutil.copy(image, folder)
        shutil.copy((SAMPLES / "captions" / "night" / image.stem).with_suffix(".txt"), folder)


def _start(folder: pathlib.Path, name: str, every: str, kill: str = "") -> subprocess.Popen[bytes]:
    arguments = [sys.executable, __file__, "--train", str(folder), name, every, kill]
    return subprocess.Popen(arguments)


def _log(folder: pathlib.Path, name: str) -> list[tuple[int, str]]:
    """Position and digest of each batch that the last run trained on."""
    log = folder / f"{name}.log"
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [(int(position), digest) for position, digest in lines]


def train(folder: pathlib.Path, name: str, every: str, kill: str) -> None:
    """Runs training, from the beginning or from where the last run was killed."""

    class Log(keras.callbacks.Callback):
        """Writes position and hash to a file; kills the process at the chosen moment."""

        def __init__(self) -> None:
            super().__init__()
            self.file = (folder / f"{name}.log").open("w")
            self.moment, _, step = kill.rpartition(" ")
            self.step = int(step or -1)

        @property
        def position(self) -> int:
            return int(self.model.optimizer.iterations)

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if self.moment == "before" and self.position == self.step:
                die()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.file.write(f"{self.position - 1} {int(digest.digest)}\n")
            self.file.flush()
            if self.position - 1 == self.step:
                if self.moment == "after":
                    die()
                setattr(os, "fsync", half_written)  # noqa: B010

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def half_written(file: Any) -> None:
        os.ftruncate(file, os.fstat(file).st_size // 2)
        die()

    ds = _dataset(folder / "pictures")
    model = _model(ds)
    digest = model.get_layer("digest")
    resume = Resume(folder / name, every="epoch" if every == "epoch" else int(every))
    options = {"epochs": EPOCHS, "verbose": 0, "shuffle": False}
    history = model.fit(ds, callbacks=[Log(), resume], **options).history
    weights = hashlib.blake2b(digest_size=8)
    for variable in [*model.variables, *model.optimizer.variables]:
        weights.update(np.asarray(variable).tobytes())
    last = {key: float(values[-1]).hex() for key, values in history.items()}
    end = {"weights": weights.hexdigest(), "last epoch": last}
    (folder / f"{name}.json").write_text(json.dumps(end))


def _dataset(pictures: pathlib.Path) -> mmdata.Dataset:
    ds: mmdata.Dataset = mmdata.build(
        pictures,
        task=mmdata.Captioning(captions="random"),
        image_size=(32, 32),
        sequence_length=20,
        text="word",
        pixels="uint8",
        seed=3,
        batch_size=BATCH,
        augment=[mmdata.RandomCrop(), mmdata.Flip()],
    )
    return ds


def _model(ds: mmdata.Dataset) -> Any:
    """A small model with random states and moving averages."""
    keras.utils.set_random_seed(7)
    tf.config.experimental.enable_op_determinism()
    images = keras.Input((32, 32, 3), dtype="uint8", name="images")
    token_ids = keras.Input((20,), dtype="int32", name="token_ids")
    mask = keras.Input((20,), dtype="int32", name="padding_mask")
    x, ids, known = Digest(name="digest")([images, token_ids, mask])
    x = keras.layers.Rescaling(1 / 255)(x)
    x = keras.layers.Conv2D(8, 3, strides=4)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Dropout(0.3)(keras.layers.GlobalAveragePooling2D()(x))
    words = keras.layers.Embedding(ds.tokenizer.vocabulary_size, 8)(ids)
    x = words + x[:, None] + keras.ops.cast(known, "float32")[..., None]
    y = keras.layers.Dense(ds.tokenizer.vocabulary_size)(keras.layers.Dropout(0.2)(x))
    model = keras.Model({"images": images, "token_ids": token_ids, "padding_mask": mask}, y)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.01, 40)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=["accuracy"],
    )
    return model


def distribute(folder: pathlib.Path) -> None:
    """Raises AssertionError if resumed training on two devices differs from unbroken training."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    copy_pictures(folder / "pictures", STEPS * BATCH - 1)
    ds = _dataset(folder / "pictures")
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = _model(ds)
        model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables]
    replicas = [r for v in variables for r in strategy.experimental_local_results(v.value)]
    assert len(replicas) == 2 * len(variables)
    first = [replica.numpy() for replica in replicas]
    digest = model.get_layer("digest")

    def fit(break_at: int | None, *callbacks: Any) -> tuple[Any, ...]:
        def note(*_: Any, **__: Any) -> None:
            seen[int(np.asarray(model.optimizer.iterations)) - 1] = int(np.asarray(digest.digest))

        def stop(*_: Any, **__: Any) -> None:
            if int(np.asarray(model.optimizer.iterations)) == break_at:
                raise InterruptedError

        for replica, value in zip(replicas, first, strict=True):
            replica.assign(value)
        seen: dict[int, int] = {}
        log = keras.callbacks.LambdaCallback(on_train_batch_begin=stop, on_train_batch_end=note)
        history: dict[str, list[float]] = {}
        with contextlib.suppress(InterruptedError):
            history = model.fit(
                ds.at(0), epochs=EPOCHS, verbose=0, shuffle=False, callbacks=[log, *callbacks]
            ).history
        last = {name: values[-1] for name, values in history.items()}
        return seen, last, [replica.numpy().tobytes() for replica in replicas]

    # With `Resume` too: without it, the batch that Keras looks at beforehand takes an epoch.
    whole = fit(None, Resume(folder / "unbroken"))
    assert [*whole[0]] == [*range(EPOCHS * STEPS)]
    begin = 0
    for break_at in (7, 13, None):
        seen, *end = fit(break_at, Resume(folder / "saved", every=2))
        assert seen == {n: whole[0][n] for n in range(begin, break_at or EPOCHS * STEPS)}
        begin = 2 * ((break_at or 0) // 2)
    assert end == list(whole[1:])


def main() -> None:
    """Runs the comparison with the given number of kills."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--every", default="1", help='a number of batches, or "epoch"')
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(pathlib.Path(folder), kills=options.kills, every=options.every, seed=options.seed)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        train(pathlib.Path(sys.argv[2]), *sys.argv[3:])
    else:
        main()
