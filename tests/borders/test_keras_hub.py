"""KerasHub's models get the right inputs from `for_model`, and train on them."""

import pathlib
import re
from typing import Any

import keras
import numpy as np
import pytest

import mmdata

keras_hub = pytest.importorskip("keras_hub")
models: Any = keras_hub.models

SAMPLES = pathlib.Path(__file__).parents[2] / "sample_data"
LENGTH, SIDE = 24, 16
SMALL = {"hidden_dim": 16, "num_layers": 1, "num_heads": 2, "intermediate_dim": 16}
pytestmark = pytest.mark.border


@pytest.fixture(scope="module")
def pairs() -> mmdata.Pairs:
    return mmdata.read(SAMPLES / "images", SAMPLES / "captions").sample(16)


def build(pairs: mmdata.Pairs, **options: Any) -> mmdata.Dataset:
    settings = {"image_size": SIDE, "sequence_length": LENGTH, "text": "word", "batch_size": 8}
    ds: mmdata.Dataset = mmdata.build(pairs, **{**settings, **options})
    return ds


def clip(vocabulary_size: int) -> Any:
    text = {"embedding_dim": 16, "max_sequence_length": LENGTH}
    return models.CLIPBackbone(
        models.CLIPVisionEncoder(patch_size=8, image_shape=(SIDE, SIDE, 3), **SMALL),
        models.CLIPTextEncoder(vocabulary_size=vocabulary_size, **text, **SMALL),
        projection_dim=8,
    )


def siglip(vocabulary_size: int) -> Any:
    text = {"embedding_dim": 16, "max_sequence_length": LENGTH}
    return models.SigLIPBackbone(
        models.SigLIPVisionEncoder(patch_size=8, image_shape=(SIDE, SIDE, 3), **SMALL),
        models.SigLIPTextEncoder(vocabulary_size=vocabulary_size, **text, **SMALL),
    )


def paligemma(vocabulary_size: int) -> Any:
    return models.PaliGemmaBackbone(
        vocabulary_size=vocabulary_size,
        image_size=SIDE,
        num_layers=1,
        num_query_heads=2,
        num_key_value_heads=1,
        hidden_dim=16,
        intermediate_dim=16,
        head_dim=8,
        vit_patch_size=8,
        vit_num_heads=2,
        vit_hidden_dim=16,
        vit_num_layers=1,
        vit_intermediate_dim=16,
    )


@pytest.mark.parametrize("make", [clip, siglip], ids=["clip", "siglip"])
def test_dual_towers(pairs: mmdata.Pairs, make: Any) -> None:
    keras.utils.set_random_seed(1)  # two epochs of random weights would not always learn
    ds = build(pairs, task=mmdata.Retrieval(captions="first"), shuffle=False)
    backbone = make(ds.tokenizer.vocabulary_size)
    for_model = ds.for_model(backbone)
    if make is siglip:
        backbone.compile(jit_compile=False)  # it has a loss of its own
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        backbone.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
    history = backbone.fit(for_model, epochs=6, verbose=0, shuffle=False).history["loss"]
    assert history[-1] < history[0]

    wanted, got = ds.at(0).peek(), for_model.at(0).peek()
    features = got[0] if isinstance(got, tuple) else got
    assert list(features) == ["images", "token_ids"]
    for name in features:
        np.testing.assert_array_equal(features[name], wanted[name])
    predicted = backbone.predict(for_model.at(0), verbose=0)["vision_logits"]
    images = backbone.get_vision_embeddings(wanted["images"])
    texts = backbone.get_text_embeddings(wanted["token_ids"])
    head = backbone.clip_head if make is clip else backbone.siglip_head
    np.testing.assert_allclose(predicted[:8], head(images, texts)[0], atol=1e-4)


def test_paligemma(pairs: mmdata.Pairs) -> None:
    ds = build(pairs, task=mmdata.Prefix(prompt="a "), pixels="paligemma")
    backbone = paligemma(ds.tokenizer.vocabulary_size)
    x, y, weight = ds.for_model(backbone).peek()
    wanted, *_ = ds.peek()
    assert set(x) == {"images", "token_ids", "padding_mask", "response_mask"}
    for name in x:
        np.testing.assert_array_equal(x[name], wanted[name])
    assert backbone(x).shape[0] == len(y) == len(weight)


def test_raw_text_through_a_preprocessor(pairs: mmdata.Pairs) -> None:
    ds = build(pairs, text=None, sequence_length=None, shuffle=False)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "square", "on", "the"]
    preprocess = models.BertTextClassifierPreprocessor(
        models.BertTokenizer(words, lowercase=True), sequence_length=LENGTH
    )
    raw = ds.peek()
    inputs = next(iter(ds.map(lambda batch: preprocess(batch["captions"]))))
    rows = []
    for caption in raw["captions"].numpy():
        tokens = re.findall(r"\w+|[^\w\s]", caption.decode().lower())
        ids = [2, *(words.index(token) if token in words else 1 for token in tokens), 3]
        rows.append(ids + [0] * (LENGTH - len(ids)))
    np.testing.assert_array_equal(inputs["token_ids"], rows)
    assert {1, 5} < set(np.ravel(rows))
