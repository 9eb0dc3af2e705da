"""A dataset is a `tf.data.Dataset` like any other: lengths, warnings, positions, processes."""

import multiprocessing
import os
import pathlib
import pickle
import warnings
from typing import Any

import keras
import pytest

import mmdata

SAMPLES = pathlib.Path(__file__).parents[1] / "sample_data"


@pytest.fixture(scope="module")
def pairs() -> mmdata.Pairs:
    return mmdata.read(SAMPLES / "images", SAMPLES / "captions").sample(12)


def build(pairs: mmdata.Pairs, **options: Any) -> mmdata.Dataset:
    pixels = mmdata.Pixels(size=(8, 8))
    settings = {"pixels": pixels, "sequence_length": 100, "text": "byte", "batch_size": 5}
    ds: mmdata.Dataset = mmdata.build(pairs, **{**settings, **options})
    return ds


@pytest.fixture
def ds(pairs: mmdata.Pairs) -> mmdata.Dataset:
    return build(pairs)


def ids_of(batch: Any) -> Any:
    return batch[0]["token_ids"].numpy().tolist()


def test_length_of_what_is_made_from_it(ds: mmdata.Dataset) -> None:
    steps = len(ds)
    assert steps == -(-ds.pairs.pair_count // 5) > 3
    assert len(ds.map(lambda *batch: batch[0])) == steps
    assert [len(ds.take(1)), len(ds.skip(2)), len(ds.prefetch(1))] == [1, steps - 2, steps]
    assert [len(ds.repeat(3)), len(ds.batch(2)), len(ds.enumerate())] == [
        3 * steps,
        -(-steps // 2),
        steps,
    ]
    assert int(ds.unbatch().cardinality()) == -2  # unknown, as with any batches
    assert len(list(ds.map(lambda *batch: batch[1]))) == steps


@pytest.mark.parametrize("task", ["retrieval", "references", "text_to_image"])
def test_length_of_every_task(pairs: mmdata.Pairs, task: str) -> None:
    pixels = "signed" if task == "text_to_image" else "unit"
    ds = build(pairs, task=task, pixels=mmdata.Pixels(size=(8, 8), normalize=pixels))
    assert len(ds.map(lambda batch: batch["images"])) == len(list(ds)) == len(ds)


def test_peek_does_not_advance(ds: mmdata.Dataset) -> None:
    first = ids_of(ds.peek())
    assert ids_of(ds.peek()) == first
    epoch = [ids_of(batch) for batch in ds]
    assert epoch[0] == first
    second = ids_of(ds.peek())
    assert second != first
    assert ids_of(next(iter(ds))) == second


def small_model() -> Any:
    images = keras.Input((8, 8, 3), name="images")
    ids = keras.Input((100,), name="token_ids", dtype="int32")
    hidden = keras.layers.Embedding(260, 2)(ids)
    hidden += keras.layers.Dense(2)(keras.layers.Flatten()(images))[:, None]
    model = keras.Model({"images": images, "token_ids": ids}, keras.layers.Dense(260)(hidden))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, weighted_metrics=[], jit_compile=False)
    return model


def test_fit_warns_of_nothing(pairs: mmdata.Pairs, tmp_path: pathlib.Path) -> None:
    ds = build(pairs)
    model = small_model()
    selected = ds.for_model(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(selected, epochs=3, verbose=0, shuffle=False)
        mapped = selected.map(lambda x, y, weight: (x, y, weight))
        model.fit(mapped, epochs=3, verbose=0, shuffle=False)
        resumed(model, selected, mapped, tmp_path)


def resumed(model: Any, ds: mmdata.Dataset, data: Any, folder: pathlib.Path) -> None:
    """Interrupts `fit` inside an epoch, and resumes it."""

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 2:
                raise InterruptedError

    options = {"epochs": 3, "verbose": 0, "shuffle": False}
    with pytest.raises(InterruptedError):
        model.fit(data, callbacks=[mmdata.Resume(folder, every=1, dataset=ds), Stop()], **options)
    seen: list[int] = []

    def note(batch: int, **_: Any) -> None:
        seen.append(batch)

    count = keras.callbacks.LambdaCallback(on_train_batch_end=note)
    history = model.fit(
        data, callbacks=[count, mmdata.Resume(folder, every=1, dataset=ds)], **options
    ).history
    assert len(history["loss"]) == 3
    assert len(seen) == 3 * len(ds) - 3


def test_class_weight(pairs: mmdata.Pairs) -> None:
    frame = pairs.to_pandas().drop_duplicates("image")
    frame["label"] = [number % 2 for number in range(len(frame))]
    labelled = mmdata.read(pairs.root, frame, on_problem="drop")
    ds = build(labelled, task=mmdata.Classification(column="label"))
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    weight = {0: 1.0, 1: 2.0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(ds, epochs=3, verbose=0, shuffle=False, class_weight=weight)


def test_a_dataset_stays_in_its_process(ds: mmdata.Dataset) -> None:
    with pytest.raises(TypeError, match=r"cannot be pickled, .* Pickle ds.pairs, and call mmdata"):
        pickle.dumps(ds)
    assert pickle.loads(pickle.dumps(ds.pairs)).fingerprint == ds.pairs.fingerprint


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_is_refused(ds: mmdata.Dataset) -> None:
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe()

    def read() -> None:
        try:
            next(iter(ds.as_numpy_iterator()))
        except RuntimeError as err:
            send.send(str(err))

    process = context.Process(target=read)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork with threads
        process.start()
    assert receive.poll(60), "it waits"
    assert "works only in the process that built it" in receive.recv()
    process.join()
