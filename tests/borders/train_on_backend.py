"""Trains, saves, loads and generates on the Keras backend that the environment names.

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


def made(model: Any, batch: Any) -> Any:
    """Captions as ids, or embeddings of images."""
    images = np.asarray(batch["images"])
    if isinstance(model, mmdata.Captioner):
        return model.generate(images).tolist()
    return model.encode_images(images).round(4).tolist()


def run(task: str, pairs: mmdata.Pairs, folder: pathlib.Path) -> dict[str, Any]:
    ds = mmdata.build(
        pairs,
        task=TASKS[task],
        image_size=32,
        sequence_length=12,
        text="word",
        batch_size=16,
        shuffle=False,
    )
    start, trained = folder / f"{task}.keras", folder / f"{task}-{keras.backend.backend()}.keras"
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


if __name__ == "__main__":
    chosen = mmdata.read(SAMPLES / "images", SAMPLES / "captions").sample(40)
    print(json.dumps({task: run(task, chosen, pathlib.Path(sys.argv[1])) for task in MODELS}))
