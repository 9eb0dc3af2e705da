"""Trains, saves, loads, generates and resumes on the Keras backend that the environment names.

KERAS_BACKEND=jax python tests/borders/train_on_backend.py FOLDER

The first run, on TensorFlow, writes the models that all runs begin with. Prints JSON.
"""

import json
import pathlib
import sys
from typing import Any

import keras
import numpy as np

import mmdata

SAMPLES = pathlib.Path(__file__).parents[2] / "sample_data"
BACKEND = keras.backend.backend()
MODELS: dict[str, Any] = {"captioning": mmdata.Captioner, "retrieval": mmdata.DualEncoder}
# Keras reads a batch before training on JAX and PyTorch, so their epochs are one ahead: these
# epochs are all the same.
TASKS = {"captioning": mmdata.Captioning(), "retrieval": mmdata.Retrieval(captions="first")}


class Losses(keras.callbacks.Callback):
    """Keeps the loss of the first batch of an epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.first: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 0:
            self.first.append(float(logs["loss"]))


class Stop(keras.callbacks.Callback):
    """Interrupts `fit` before the end of its second epoch."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if int(self.model.optimizer.iterations) == self.params["steps"] + 2:
            raise InterruptedError


def build(pairs: mmdata.Pairs, **options: Any) -> mmdata.Dataset:
    batching = mmdata.Batching(size=8, remainder="drop")  # one size of batches: one compilation
    ds: mmdata.Dataset = mmdata.build(
        pairs, text="word", sequence_length=12, batch_size=batching, **options
    )
    return ds


def made(model: Any, batch: Any) -> Any:
    """Captions as ids, or embeddings of images."""
    images = np.asarray(batch["images"])
    if isinstance(model, mmdata.Captioner):
        return model.generate(images).tolist()
    return model.encode_images(images).round(4).tolist()


def run(task: str, pairs: mmdata.Pairs, folder: pathlib.Path) -> dict[str, Any]:
    ds = build(pairs, task=TASKS[task], image_size=32, shuffle=False)
    start, trained = folder / f"{task}.keras", folder / f"{task}-{BACKEND}.keras"
    if not start.exists():
        keras.utils.set_random_seed(2)
        MODELS[task].from_dataset(ds, width=16, heads=2, dropout=0.0, jitter=0.0).save(start)
    model = keras.models.load_model(start)
    batch = ds.peek()
    features = batch[0] if isinstance(batch, tuple) else batch
    before, losses = made(model, features), Losses()
    history = model.fit(ds, epochs=3, verbose=0, callbacks=[losses]).history
    model.save(trained)
    for saved, loaded in zip(
        model.get_weights(), keras.models.load_model(trained).get_weights(), strict=True
    ):
        np.testing.assert_array_equal(saved, loaded)
    return {"first": losses.first, "loss": history["loss"], "before": before}


def with_dropout(tokens: int, seed: int | None) -> Any:
    keras.utils.set_random_seed(1)
    images = keras.Input((8, 8, 3), name="images")
    ids = keras.Input((12,), dtype="int32", name="token_ids")
    hidden = keras.layers.Embedding(tokens, 4)(ids)
    hidden += keras.layers.Dense(4)(keras.layers.Flatten()(images))[:, None]
    hidden = keras.layers.Dropout(0.5, seed=seed)(hidden)
    model = keras.Model([images, ids], keras.layers.Dense(tokens)(hidden))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, weighted_metrics=["accuracy"])
    return model


def resumed(pairs: mmdata.Pairs, folder: pathlib.Path) -> dict[str, Any]:
    """The weights and last logs of an unbroken run, and of one that was interrupted."""
    ds = build(pairs, image_size=8)

    def fit(name: str, *callbacks: Any, seed: int | None = 1) -> Any:
        model = with_dropout(ds.tokenizer.vocabulary_size, seed)
        callbacks = (mmdata.Resume(folder / f"{BACKEND}-{name}", every=1), *callbacks)
        data = ds.for_model(model)
        history = model.fit(data, epochs=3, verbose=0, shuffle=False, callbacks=callbacks).history
        logs = {key: values[-2:] for key, values in history.items()}
        return [weights.tolist() for weights in model.get_weights()], logs

    try:
        fit("interrupted", Stop())
    except InterruptedError:
        runs = {"unbroken": fit("unbroken"), "resumed": fit("interrupted")}
        return {**runs, "without_seed": without_seed(fit)}
    raise RuntimeError("it was not interrupted")


def without_seed(fit: Any) -> str:
    try:
        fit("without_seed", seed=None)
    except ValueError as err:
        return str(err)
    return "trained"


def main(folder: pathlib.Path) -> None:
    chosen = mmdata.read(SAMPLES / "images", SAMPLES / "captions").sample(20)
    result: dict[str, Any] = {task: run(task, chosen, folder) for task in MODELS}
    if BACKEND != "tensorflow":
        result["resume"] = resumed(chosen, folder)
    print(json.dumps(result))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
