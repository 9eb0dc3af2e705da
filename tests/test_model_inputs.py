"""Ordinary Keras models get the inputs that they declare, or one sentence that says what to do."""

import pathlib
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import mmdata

SAMPLES = pathlib.Path(__file__).parents[1] / "sample_data"
LENGTH, SIZE = 20, (32, 32)
pytestmark = pytest.mark.filterwarnings("ignore:sequence_length=")


@pytest.fixture(scope="module")
def pairs() -> mmdata.Pairs:
    return mmdata.read(SAMPLES / "images", SAMPLES / "captions").sample(7)


def build(pairs: mmdata.Pairs, **options: Any) -> mmdata.Dataset:
    settings = {"image_size": SIZE, "sequence_length": LENGTH, "batch_size": 3, "text": "byte"}
    ds: mmdata.Dataset = mmdata.build(pairs, **{**settings, "shuffle": False, **options})
    return ds


@pytest.fixture(scope="module")
def captioning(pairs: mmdata.Pairs) -> mmdata.Dataset:
    return build(pairs)


@pytest.fixture(scope="module")
def retrieval(pairs: mmdata.Pairs) -> mmdata.Dataset:
    return build(pairs, task="retrieval")


def inputs(**changes: Any) -> dict[str, Any]:
    declared = {"images": ((*SIZE, 3), "float32"), "token_ids": ((LENGTH,), "int32"), **changes}
    return {
        name: keras.Input(shape, name=name, dtype=dtype)
        for name, (shape, dtype) in declared.items()
    }


def seen_by(structure: Any, named: dict[str, Any]) -> Any:
    """A model that returns the mean of each of its inputs, by name."""
    means = {
        name: keras.ops.mean(
            keras.ops.reshape(keras.ops.cast(tensor, "float32"), [-1, np.prod(tensor.shape[1:])]), 1
        )
        for name, tensor in named.items()
    }
    return keras.Model(structure, means)


def means_of(features: dict[str, Any]) -> dict[str, Any]:
    return {
        name: tf.reduce_mean(tf.reshape(tf.cast(value, tf.float32), [len(value), -1]), axis=1)
        for name, value in features.items()
    }


@pytest.mark.parametrize("form", ["dict", "list"])
def test_values_arrive_at_their_inputs(captioning: mmdata.Dataset, form: str) -> None:
    named = inputs()
    model = seen_by(named if form == "dict" else list(named.values()), named)
    x, y, weight = captioning.for_model(model).peek()
    features, all_y, all_weight = captioning.peek()
    assert list(x) == ["images", "token_ids"]
    np.testing.assert_array_equal(y, all_y)
    np.testing.assert_array_equal(weight, all_weight)
    wanted = means_of({name: features[name] for name in x})
    for name, mean in model(x).items():
        np.testing.assert_allclose(mean, wanted[name], rtol=1e-5)
    predicted = model.predict(captioning.for_model(model), verbose=0)
    np.testing.assert_allclose(predicted["token_ids"][:3], wanted["token_ids"], rtol=1e-5)


def test_keys_and_not_names_of_layers_count(captioning: mmdata.Dataset) -> None:
    named = {**inputs(), "token_ids": keras.Input((LENGTH,), name="other", dtype="int32")}
    with pytest.warns(UserWarning, match="all keys in the dict must match the names"):
        model = seen_by(named, named)
    assert list(captioning.for_model(model).peek()[0]) == ["images", "token_ids"]


@pytest.mark.parametrize(
    "name", ["images", "token_ids"], ids=["images, by default", "by the name of the input"]
)
def test_one_input(captioning: mmdata.Dataset, name: str) -> None:
    tensor = keras.Input((*SIZE, 3)) if name == "images" else inputs()[name]
    model = keras.Model(tensor, keras.layers.Flatten()(tensor))
    x, *_ = captioning.for_model(model).peek()
    np.testing.assert_array_equal(x, captioning.peek()[0][name])


def test_sequential_and_subclassed(captioning: mmdata.Dataset) -> None:
    layers = [keras.layers.Flatten(), keras.layers.Dense(2)]
    built = keras.Sequential([keras.Input((*SIZE, 3)), *layers])
    assert captioning.for_model(built).element_spec[0].shape[1:] == (*SIZE, 3)
    assert captioning.for_model(keras.Sequential(layers)) is captioning
    assert captioning.for_model(mmdata.Captioner.from_dataset(captioning, width=8)) is captioning


def test_declared_dtypes(captioning: mmdata.Dataset, pairs: mmdata.Pairs) -> None:
    named = inputs(padding_mask=((LENGTH,), "bool"), token_ids=((LENGTH,), "float32"))
    spec = captioning.for_model(seen_by(named, named)).element_spec[0]
    assert {name: tensor.dtype.name for name, tensor in spec.items()} == {
        "images": "float32",
        "token_ids": "float32",
        "padding_mask": "bool",
    }
    named = inputs()
    of_bytes = build(pairs, pixels="uint8").for_model(seen_by(named, named))
    assert of_bytes.element_spec[0]["images"].dtype == tf.float32
    assert float(tf.reduce_max(of_bytes.peek()[0]["images"])) > 1


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "size": (
        {"images": ((64, 48, 3), "float32")},
        r"the input 'images' of the model has the shape \[b, 64, 48, 3\]; batches have \[b, 32, 32,"
        r" 3\]. Pass image_size=\(64, 48\) to mmdata.build.",
    ),
    "length": (
        {"token_ids": ((48,), "int32")},
        r"'token_ids' of the model has the shape \[b, 48\]; .*Pass sequence_length=48 to mmdata.bu",
    ),
    "dtype": (
        {"images": ((*SIZE, 3), "uint8")},
        r"'images' of the model is uint8; batches have float32, which .*Pass pixels=\"uint8\" to",
    ),
    "missing": (
        {"pixel_values": ((*SIZE, 3), "float32")},
        r"an input 'pixel_values', which batches of Captioning do not have; they have \['images'",
    ),
    "of another task": (
        {"response_mask": ((LENGTH,), "int32")},
        "an input 'response_mask', .* mmdata.Prefix has it",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit(captioning: mmdata.Dataset, name: str) -> None:
    changes, message = WRONG[name]
    named = inputs(**changes)
    with pytest.raises(ValueError, match=message) as caught:
        captioning.for_model(seen_by(named, named))
    assert len(str(caught.value)) < 300


def test_logits_that_do_not_fit(captioning: mmdata.Dataset) -> None:
    named = inputs()
    embedded = keras.layers.Embedding(260, 4)(named["token_ids"])
    few = keras.Model(named, keras.layers.Dense(100)(embedded))
    with pytest.raises(ValueError, match=r"has 100 classes; the tokenizer has 260 tokens"):
        captioning.for_model(few)
    short = keras.Model(named, keras.layers.Dense(260)(embedded[:, 1:]))
    with pytest.raises(ValueError, match=r"has 19 places; batches have 20 tokens to predict"):
        captioning.for_model(short)


def test_what_is_no_model(captioning: mmdata.Dataset) -> None:
    with pytest.raises(TypeError, match=r"must be a Keras model; got the class Model"):
        captioning.for_model(keras.Model)
    named = inputs()
    nested = {"images": named["images"], "text": {"token_ids": named["token_ids"]}}
    with pytest.raises(ValueError, match="a list or a flat dict; got a nested structure"):
        captioning.for_model(seen_by(nested, named))


def logits_model(output: Any = None) -> Any:
    """Two towers and the logits of all pairs of a batch, as KerasHub's CLIP has them."""
    named = inputs()
    images = keras.layers.Dense(4)(keras.layers.Flatten()(named["images"]))
    texts = keras.layers.Dense(4)(
        keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(260, 4)(named["token_ids"]))
    )
    logits = keras.ops.matmul(images, keras.ops.transpose(texts))
    both = {"vision_logits": logits, "text_logits": keras.ops.transpose(logits)}
    return keras.Model(named, both if output is None else both[output])


@pytest.mark.parametrize("output", [None, "vision_logits"])
def test_labels_of_contrastive_models(retrieval: mmdata.Dataset, output: Any) -> None:
    model = logits_model(output)
    ds = retrieval.for_model(model)
    x, y, weight = ds.peek()
    assert list(x) == ["images", "token_ids"]
    names = [output] if output else ["vision_logits", "text_logits"]
    for labels in [y] if output else [y[name] for name in names]:
        assert labels.numpy().tolist() == [0, 1, 2]
    for weights in [weight] if output else [weight[name] for name in names]:
        assert weights.numpy().tolist() == [1, 1, 1]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    before = model.evaluate(ds, verbose=0, return_dict=True)["loss"]
    model.fit(ds, epochs=12, verbose=0, shuffle=False)
    assert model.evaluate(ds, verbose=0, return_dict=True)["loss"] < before


def test_labels_need_one_caption_an_image(pairs: mmdata.Pairs) -> None:
    several = build(pairs, task=mmdata.Retrieval(captions="all"))
    assert list(several.for_model(logits_model()).peek()) == ["images", "token_ids"]


def test_corrupt_images_have_weight_0(pairs: mmdata.Pairs, tmp_path: pathlib.Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text(f"picture {number}")
        content = (SAMPLES / "images" / pairs.images[number]).read_bytes()
        (tmp_path / f"{number}.jpg").write_bytes(content[:500] if number == 1 else content)
    ds = build(tmp_path, task="retrieval", on_problem="drop")  # type: ignore[arg-type]
    _, _, weight = ds.for_model(logits_model("vision_logits")).peek()
    assert weight.numpy().tolist() == [1, 0, 1]


TASKS: dict[str, Any] = {
    "captioning": mmdata.Captioning(inputs=("images", "token_ids")),
    "prefix": mmdata.Prefix(prompt="en ", inputs=("token_ids", "response_mask")),
    "retrieval": mmdata.Retrieval(inputs=("images", "token_ids")),
    "references": mmdata.References(inputs=("images", "references")),
    "text_to_image": mmdata.TextToImage(inputs=("token_ids",)),
}


@pytest.mark.parametrize("name", TASKS)
def test_inputs_of_a_task(pairs: mmdata.Pairs, name: str) -> None:
    task = TASKS[name]
    pixels = "signed" if name == "text_to_image" else "unit"
    ds = build(pairs, task=task, pixels=pixels)
    batch = ds.peek()
    assert tuple(batch[0] if isinstance(batch, tuple) else batch) == task.inputs
    assert tuple(dict(ds.settings["inputs"])["keys"]) == task.inputs


def test_wrong_inputs(pairs: mmdata.Pairs, captioning: mmdata.Dataset) -> None:
    with pytest.raises(ValueError, match=r"must be some of \['images', 'token_ids', 'padding_mas"):
        build(pairs, task=mmdata.Captioning(inputs=("images", "ids")))
    with pytest.raises(ValueError, match=r"got \['image_id'\], from select"):
        captioning.select("images", "image_id")
    for names in ((), ("images", "images"), ("images", 3)):
        with pytest.raises(ValueError, match=r"must be a tuple of names of features, each once"):
            captioning.select(*names)
    tasks: tuple[Any, ...] = (
        mmdata.Captioning,
        mmdata.Retrieval,
        mmdata.References,
        mmdata.TextToImage,
    )
    for task in tasks:
        with pytest.raises(ValueError, match=rf"{task.__name__}\(inputs=...\) must be a tuple of"):
            task(inputs="images")
