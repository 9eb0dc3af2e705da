"""`mmdata.evaluate` of KerasHub's retrieval backbones: the recalls of their own logits."""

import pathlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mmdata

models = pytest.importorskip("keras_hub").models
pytestmark = pytest.mark.border

COUNT, LENGTH = 12, 8


def clip(tokens: int) -> Any:
    vision = models.CLIPVisionEncoder(16, 16, 2, 2, 32, image_shape=(32, 32, 3))
    text = models.CLIPTextEncoder(tokens, 16, 16, 2, 2, 32, max_sequence_length=LENGTH)
    return models.CLIPBackbone(vision, text, 16)


def siglip(tokens: int) -> Any:
    vision = models.SigLIPVisionEncoder(16, 16, 2, 2, 32, image_shape=(32, 32, 3))
    text = models.SigLIPTextEncoder(tokens, 16, 16, 2, 2, 32, max_sequence_length=LENGTH)
    return models.SigLIPBackbone(vision, text)


@pytest.mark.parametrize("make", [clip, siglip])
def test_recalls_are_those_of_the_logits(make: Any, tmp_path: pathlib.Path) -> None:
    random = np.random.default_rng(0)
    for number in range(COUNT):
        pixels = random.integers(0, 256, [32, 32, 3], np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number:02}.png")
        words = " ".join(f"w{word}" for word in random.integers(0, 20, 4))
        (tmp_path / f"{number:02}.txt").write_text(words)
    text = mmdata.Text(tokenizer="word", length=LENGTH)
    ds: Any = mmdata.build(
        tmp_path, task="retrieval", image_size=(32, 32), text=text, batch_size=COUNT
    )
    model = make(ds.tokenizer.vocabulary_size)
    batch = ds.for_model(model).peek()
    outputs = model(batch[0] if isinstance(batch, tuple) else batch)
    logits = np.asarray(outputs["vision_logits"])  # [images, captions] of one batch, in its order
    recalls = mmdata.evaluate(model, ds)
    for name, table in (("image_to_text", logits), ("text_to_image", logits.T)):
        ranks = (table > np.diag(table)[:, None]).sum(axis=1)
        for k in (1, 5, 10):
            assert recalls[f"{name}_recall_at_{k}"] == (ranks < k).mean()
