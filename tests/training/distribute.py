"""Trains a model on two devices with `tf.distribute`, as a user does.

python tests/training/distribute.py captioner

Prints the batches of an epoch, and how many were trained after an interruption.
"""

import pathlib
import sys
import tempfile
from typing import Any

import keras
import tensorflow as tf

import mmdata

SAMPLES = pathlib.Path(__file__).parents[2] / "sample_data"
SIDE, LENGTH = 32, 24


def functional(ds: mmdata.Dataset) -> Any:
    """A captioner as Keras' pages have it."""
    images = keras.Input((SIDE, SIDE, 3), name="images")
    token_ids = keras.Input((LENGTH,), dtype="int32", name="token_ids")
    seen = keras.layers.Dense(8)(keras.layers.GlobalAveragePooling2D()(images))
    hidden = keras.layers.Embedding(ds.tokenizer.vocabulary_size, 8, mask_zero=True)(token_ids)
    hidden = keras.layers.GRU(8, return_sequences=True)(hidden, initial_state=seen)
    logits = keras.layers.Dense(ds.tokenizer.vocabulary_size)(hidden)
    model = keras.Model({"images": images, "token_ids": token_ids}, logits)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def small(model: Any) -> Any:
    return lambda ds: model.from_dataset(ds, width=16, heads=2)


MODELS: dict[str, tuple[Any, Any]] = {
    "captioner": ("captioning", small(mmdata.Captioner)),
    "dual encoder": ("retrieval", small(mmdata.DualEncoder)),
    "functional": ("captioning", functional),
}


class Interrupt(keras.callbacks.Callback):
    """Stops `fit` inside its second epoch."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps + 2

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if not self.left:
            raise InterruptedError


class Count(keras.callbacks.Callback):
    """Counts batches."""

    batches = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.batches += 1


def main(name: str, folder: pathlib.Path) -> None:
    task, make = MODELS[name]
    pairs = mmdata.read(SAMPLES / "images", SAMPLES / "captions").sample(16)
    # A last batch of one example would leave a device without any.
    batching = mmdata.Batching(size=4, remainder="drop")
    ds = mmdata.build(
        pairs, task=task, image_size=SIDE, sequence_length=LENGTH, text="word", batch_size=batching
    )
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = make(ds)
    ds = ds.for_model(model)
    options = {"epochs": 3, "verbose": 0, "shuffle": False}
    try:
        model.fit(ds, callbacks=[mmdata.Resume(folder, every=1), Interrupt(len(ds))], **options)
    except InterruptedError:
        count = Count()
        history = model.fit(ds, callbacks=[mmdata.Resume(folder, every=1), count], **options)
        assert len(history.history["loss"]) == 2, history.history
        print(len(ds), count.batches)


if __name__ == "__main__":
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    with tempfile.TemporaryDirectory() as folder:
        main(sys.argv[1], pathlib.Path(folder))
