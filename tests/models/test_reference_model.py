"""A dataset that does not fit a model is one sentence before the first step."""

import pathlib
from typing import Any

import keras
import pytest

import mmdata
from mmdata.models import Captioner, DualEncoder

SAMPLES = pathlib.Path(__file__).parents[2] / "sample_data"
MODEL: dict[str, Any] = {
    "vocabulary_size": 260,
    "image_size": (32, 32),
    "sequence_length": 12,
    "width": 8,
}
IDS: dict[str, Any] = {"start_id": 1, "end_id": 2, "pad_id": 0}
FITS: dict[str, Any] = {
    "image_size": (32, 32),
    "sequence_length": 12,
    "batch_size": 4,
    "text": "byte",
}


@pytest.fixture(scope="module")
def pairs() -> Any:
    pairs = mmdata.read(SAMPLES / "images", SAMPLES / "captions").sample(6)
    with pytest.warns(UserWarning, match="cuts"):  # 12 bytes of a caption
        mmdata.build(pairs, **FITS)
    return pairs


@pytest.fixture(scope="module")
def captioner() -> Any:
    return compiled(Captioner(**MODEL, **IDS, heads=2), "sparse_categorical_crossentropy")


@pytest.fixture(scope="module")
def dual_encoder() -> Any:
    return compiled(DualEncoder(**MODEL, heads=2))


def compiled(model: Any, loss: Any = None) -> Any:
    model.compile("sgd", loss=loss)
    return model


def build(pairs: mmdata.Pairs, **changes: Any) -> mmdata.Dataset:
    ds: mmdata.Dataset = mmdata.build(pairs, **{**FITS, **changes})
    return ds


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "size": (
        {"image_size": (40, 32)},
        r"needs images \[b, 32, 32, 3\]; got \[None, 40, 32, 3\]. Pass image_size=\(32, 32\) to",
    ),
    "dtype": ({"pixels": "uint8"}, r'needs images of float32; got uint8. Pass pixels="unit" to'),
    "range": ({"pixels": "signed"}, r"needs pixels scaled as 'unit'; got 'signed'. Pass pixels="),
    "length": ({"sequence_length": 13}, r"takes at most 12 tokens per caption; got token_ids \[b"),
}


@pytest.mark.filterwarnings("ignore:sequence_length=")
@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_captioner(captioner: Any, pairs: mmdata.Pairs, name: str, method: str) -> None:
    changes, message = WRONG[name]
    with pytest.raises(ValueError, match=rf"Captioner\.{method}\(ds\) {message}") as caught:
        getattr(captioner, method)(build(pairs, **changes), verbose=0)
    assert len(str(caught.value)) < 250


@pytest.mark.filterwarnings("ignore:sequence_length=")
@pytest.mark.parametrize("name", ["size", "range", "length"])
def test_dual_encoder(dual_encoder: Any, pairs: mmdata.Pairs, name: str) -> None:
    changes, message = WRONG[name]
    with pytest.raises(ValueError, match=rf"DualEncoder\.fit\(ds\) {message}"):
        dual_encoder.fit(build(pairs, task="retrieval", **changes), verbose=0)


@pytest.mark.filterwarnings("ignore:sequence_length=")
def test_other_tasks(captioner: Any, dual_encoder: Any, pairs: mmdata.Pairs) -> None:
    retrieval, captioning = build(pairs, task="retrieval"), build(pairs)
    with pytest.raises(ValueError, match=r'got x with image_id, .*task="captioning" to mmdata'):
        captioner.fit(retrieval)
    with pytest.raises(ValueError, match=r'got \(x, y\) with images, .*task="retrieval" to mmda'):
        dual_encoder.fit(captioning)
    with pytest.raises(ValueError, match=r"of task=.*|needs batches .*padding_mask"):
        captioner.fit(captioning.select("images", "token_ids"))
    with pytest.raises(ValueError, match=r"needs token_ids int32 \[b, t\]; got int32 \[None, None"):
        dual_encoder.fit(build(pairs, task="references"))


@pytest.mark.filterwarnings("ignore:sequence_length=")
def test_validation_data(captioner: Any, pairs: mmdata.Pairs) -> None:
    with pytest.raises(ValueError, match=r"Captioner\.fit\(ds\) needs images of float32"):
        captioner.fit(build(pairs), validation_data=build(pairs, pixels="uint8"))


@pytest.mark.filterwarnings("ignore:sequence_length=")
def test_another_vocabulary(pairs: mmdata.Pairs) -> None:
    small = Captioner(**{**MODEL, "vocabulary_size": 200}, **IDS, heads=2)
    with pytest.raises(ValueError, match=r"knows 200 tokens; the tokenizer of ds has 260. Pass te"):
        compiled(small, "sparse_categorical_crossentropy").fit(build(pairs))


@pytest.mark.filterwarnings("ignore:sequence_length=")
def test_what_fits(captioner: Any, dual_encoder: Any, pairs: mmdata.Pairs) -> None:
    ds = build(pairs)
    mapped = ds.map(lambda x, y, weight: (x, y, weight))
    for data in (ds, mapped, build(pairs, sequence_length=9)):
        assert captioner.fit(data, verbose=0).history["loss"][0] > 0
    assert dual_encoder.fit(build(pairs, task="retrieval"), verbose=0).history["loss"][0] > 0


def test_xla_is_chosen_by_the_backend_that_loads(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Captioner(**MODEL, **IDS, heads=2, jitter=0.0)
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    model.save(tmp_path / "model.keras")
    monkeypatch.setattr("mmdata.models.compiled.JIT", True)  # as on JAX, where it is "auto"
    assert keras.models.load_model(tmp_path / "model.keras").jit_compile is True
