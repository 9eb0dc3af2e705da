"""The reference models: inputs, captions, losses, and saved files."""

from __future__ import annotations

import functools
import itertools
import math
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image

import mmdata
from mmdata import models
from mmdata.models import Captioner, DualEncoder, recall_at_k
from mmdata.models.image_encoder import NORMALIZATIONS
from mmdata.stages import normalize

PAD, UNKNOWN, START, END = range(4)
IDS = {"start_id": START, "end_id": END, "pad_id": PAD}
SIZE = (32, 40)
LENGTH = 7
DECODERS = ("transformer", "gru")
SMALL = {"image_size": SIZE, "sequence_length": LENGTH, "width": 16, "heads": 2}
Floats = npt.NDArray[np.float32]


def small_captioner(decoder: Any = "transformer", **knobs: Any) -> Any:
    """A captioner with weights large enough that everything it reads shows in its logits."""
    keras.utils.set_random_seed(3)
    model = Captioner(decoder=decoder, **{"vocabulary_size": 12, **IDS, **SMALL, **knobs})
    model.embedding.embeddings.assign(model.embedding.embeddings * 2.0)
    model.encoder.positions.assign(model.encoder.positions * 20.0)
    for weight in model.decoder.weights:
        if weight.name == "positions":
            weight.assign(weight * 20.0)
        elif len(weight.shape) == 2:  # Else the newest token decides alone, whatever went before.
            weight.assign(weight * 2.0)
    return model


@functools.cache
def shared_captioner(decoder: str, *, end_bias: float = 0.0) -> Any:
    """A `small_captioner` made once, for tests that leave its weights as they are."""
    model = small_captioner(decoder)
    model.bias.assign(np.eye(12, dtype=np.float32)[END] * end_bias)
    return model


def small_dual_encoder(**knobs: Any) -> Any:
    keras.utils.set_random_seed(4)
    return DualEncoder(vocabulary_size=12, **{**SMALL, **knobs})


@functools.cache
def shared_dual_encoder(*, log_scale: float = 0.0) -> Any:
    """A `small_dual_encoder` made once, for tests that leave its weights as they are."""
    model = small_dual_encoder()
    model.compile(run_eagerly=True)
    model.log_scale.assign(log_scale)
    return model


def named(value: Any) -> str:
    """The name of a test: the same in every process, which that of a function is not by `str`."""
    return str(getattr(value, "__name__", value))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> mmdata.Pairs:
    """Eight images with a bright patch of one colour in one half, and a caption of each."""
    folder, rows = tmp_path_factory.mktemp("scenes"), []
    paints = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "gold": (255, 255, 0)}
    for number, (colour, right) in enumerate(itertools.product(paints, range(2))):
        image = np.full([*SIZE, 3], 51, np.uint8)
        image[8:24, 22 * right + 2 : 22 * right + 16] = paints[colour]
        Image.fromarray(image).save(folder / f"{number}.png")
        where = "far far right" if right else "near left"
        rows.append((f"{number}.png", f"{colour} {where}", number))
    return mmdata.read(folder, pd.DataFrame(rows, columns=["file_name", "caption", "label"]))


def build(pairs: mmdata.Pairs, **options: Any) -> Any:
    text = mmdata.Text(tokenizer="word", length=LENGTH)
    return mmdata.build(pairs, **{"text": text, "image_size": SIZE, "batch_size": 8, **options})


@pytest.fixture(scope="module")
def captioning(pairs: mmdata.Pairs) -> Any:
    return build(pairs)


@pytest.fixture(scope="module")
def retrieval(pairs: mmdata.Pairs) -> Any:
    return build(pairs, task="retrieval")


def batch(rows: int = 3, length: int = LENGTH, seed: int = 0, vocabulary_size: int = 12) -> Any:
    random = np.random.default_rng(seed)
    return {
        "images": random.random([rows, *SIZE, 3], np.float32),
        "token_ids": random.integers(4, vocabulary_size, [rows, length], np.int32),
        "padding_mask": np.ones([rows, length], np.int32),
        "image_id": np.arange(rows, dtype=np.int32),
    }


def run(model: Any, inputs: Any) -> Any:
    return keras.tree.map_structure(keras.ops.convert_to_numpy, model(inputs))


# ------------------------------------------------------------------------------------- captioner


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("length", [1, 4, LENGTH])
def test_logits_have_one_row_a_token(decoder: str, length: int) -> None:
    logits = run(shared_captioner(decoder), batch(2, length))
    assert logits.shape == (2, length, 12)
    assert logits.dtype == np.float32


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_token_is_seen_by_itself_and_those_behind_it(decoder: str) -> None:
    model, inputs = shared_captioner(decoder), batch()
    before = run(model, inputs)
    for place in range(LENGTH):
        changed = inputs["token_ids"].copy()
        changed[:, place] = 4 + (changed[:, place] - 3) % 8
        after = run(model, {**inputs, "token_ids": changed})
        moved = np.abs(after - before).max(axis=(0, 2))
        assert (moved[:place] < 1e-5).all(), place
        assert (moved[place:] > 1e-4).all(), place


@pytest.mark.parametrize("decoder", DECODERS)
def test_every_image_is_seen_by_its_own_caption_only(decoder: str) -> None:
    model, inputs = shared_captioner(decoder), batch()
    changed = inputs["images"].copy()
    changed[1] = 1 - changed[1]
    moved = np.abs(run(model, {**inputs, "images": changed}) - run(model, inputs)).max(axis=2)
    assert (moved[[0, 2]] < 1e-5).all()
    assert (moved[1] > 1e-4).all()


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_grid_knows_where_things_are(decoder: str) -> None:
    """A blank image gives equal cells inside, so only positions can tell them apart."""
    model = shared_captioner(decoder)
    grid = run(model.encoder, np.full([1, *SIZE, 3], 0.5, np.float32))[0]
    assert grid.shape == (math.prod(model.encoder.grid_size), 16)
    assert len(np.unique(grid.round(4), axis=0)) == len(grid)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("padded", [slice(5, None), slice(2, 4), slice(0, 2)], ids=str)
def test_padded_tokens_do_not_matter(decoder: str, padded: slice) -> None:
    model, inputs = shared_captioner(decoder), batch()
    inputs["padding_mask"][:, padded] = 0
    real = inputs["padding_mask"][0] == 1
    before = run(model, inputs)
    changed = inputs["token_ids"].copy()
    changed[:, padded] = PAD
    after = run(model, {**inputs, "token_ids": changed})
    np.testing.assert_allclose(after[:, real], before[:, real], atol=1e-5)
    unmasked = run(model, {**inputs, "padding_mask": np.ones_like(inputs["padding_mask"])})
    behind = real & (np.arange(LENGTH) > padded.start)
    if behind.any():
        assert np.abs(unmasked - before)[:, behind].max() > 1e-4


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_caption_of_padding_alone_gives_numbers(decoder: str) -> None:
    inputs = batch()
    inputs["padding_mask"][1] = False
    assert np.isfinite(run(shared_captioner(decoder), inputs)).all()


def test_further_features_are_ignored() -> None:
    model, inputs = shared_captioner("transformer"), batch()
    caption_only = {name: inputs[name] for name in ("images", "token_ids", "padding_mask")}
    np.testing.assert_array_equal(run(model, inputs), run(model, caption_only))


def test_training_jitters_images_and_inference_does_not() -> None:
    model, inputs = small_captioner(dropout=0.0, jitter=0.1), batch()
    encode = model.encoder
    np.testing.assert_array_equal(run(encode, inputs["images"]), run(encode, inputs["images"]))
    still = small_captioner(dropout=0.0, jitter=0.0).encoder
    kept = keras.ops.convert_to_numpy(still(inputs["images"], training=True))
    np.testing.assert_array_equal(
        kept, keras.ops.convert_to_numpy(still(inputs["images"], training=True))
    )
    moved = keras.ops.convert_to_numpy(encode(inputs["images"], training=True))
    again = keras.ops.convert_to_numpy(encode(inputs["images"], training=True))
    assert np.abs(moved - again).max() > 1e-3


# -------------------------------------------------------------------------------- captions written


@functools.cache
def logits_of(model: Any) -> Any:
    """The model as one graph for captions of any number and length."""
    inputs = {
        "images": tf.TensorSpec([None, *SIZE, 3], tf.float32),
        "token_ids": tf.TensorSpec([None, None], tf.int32),
        "padding_mask": tf.TensorSpec([None, None], tf.int32),
    }
    return tf.function(lambda batch: model(batch), input_signature=[inputs])


def log_probabilities(model: Any, images: Floats, written: Sequence[Sequence[int]]) -> Any:
    """The model's own words for the next token, asked the slow way: from the start every time."""
    token_ids = np.asarray([[START, *tokens] for tokens in written], np.int32)
    mask = np.ones(token_ids.shape, np.int32)
    inputs = {"images": images, "token_ids": token_ids, "padding_mask": mask}
    logits = logits_of(model)(inputs)[:, -1].numpy().astype(np.float64)
    return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


def searched(model: Any, images: Floats, beams: int, *, length: int, penalty: float = 0.6) -> Any:
    """What `generate` does, without compiling it first."""
    return keras.ops.convert_to_numpy(model.search(images, beams, length, penalty))


def may_write(vocabulary_size: int, written: Sequence[int], length: int) -> list[int]:
    if len(written) == length - 1:
        return [END]
    return [token for token in range(vocabulary_size) if token not in (PAD, START)]


def score(total: float, tokens: int, penalty: float) -> float:
    return float(total / ((5 + tokens) / 6) ** penalty)


def filled(written: Sequence[int], length: int) -> list[int]:
    return [*written, *[PAD] * (length - len(written))]


def naive_greedy(model: Any, images: Floats, length: int) -> list[list[int]]:
    captions: list[list[int]] = [[] for _ in images]
    for _ in range(length):
        for written, chances in zip(
            captions, log_probabilities(model, images, captions), strict=True
        ):
            allowed = [PAD] if END in written else may_write(len(chances), written, length)
            written.append(max(allowed, key=chances.__getitem__))
    return captions


def naive_beam(model: Any, image: Floats, length: int, beams: int) -> list[tuple[float, list[int]]]:
    """Every caption that ends within the beam, and its log probability."""
    live: list[tuple[float, list[int]]] = [(0.0, [])]
    ended: list[tuple[float, list[int]]] = []
    while live:
        images = np.repeat(image[None], len(live), axis=0)
        longer = []
        for (total, written), chances in zip(
            live, log_probabilities(model, images, [w for _, w in live]), strict=True
        ):
            for token in may_write(len(chances), written, length):
                longer.append((total + chances[token], [*written, token]))
        longer = sorted(longer, reverse=True)[:beams]
        ended += [(s, w) for s, w in longer if w[-1] == END]
        live = [(s, w) for s, w in longer if w[-1] != END]
    return ended


def best(captions: Any, length: int, penalty: float) -> list[int]:
    """Of captions and their log probabilities the one with the best score."""
    _, written = max((score(total, len(w), penalty), w) for total, w in captions)
    return filled(written, length)


def every_caption(
    model: Any, image: Floats, length: int, size: int
) -> list[tuple[float, list[int]]]:
    """Every caption there is, and its log probability."""
    inner = [token for token in range(size) if token not in (PAD, START, END)]
    chances: dict[tuple[int, ...], Any] = {}
    for inside in range(length):
        begun = list(itertools.product(inner, repeat=inside))
        images = np.repeat(image[None], len(begun), axis=0)
        chances |= zip(begun, log_probabilities(model, images, begun), strict=True)
    return [
        (sum(chances[written[:i]][token] for i, token in enumerate(written)), list(written))
        for written in ((*begun, END) for begun in chances)
    ]


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("length", [1, 3, LENGTH])
def test_a_beam_of_one_is_greedy(decoder: str, length: int) -> None:
    # With the bias some captions end by themselves.
    model, images = shared_captioner(decoder, end_bias=1.5), batch(5)["images"]
    written = searched(model, images, 1, length=length)
    np.testing.assert_array_equal(written, naive_greedy(model, images, length))


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("beams", [2, 3, 5])
def test_beam_search_equals_a_naive_one(decoder: str, beams: int) -> None:
    model, images = shared_captioner(decoder, end_bias=1.5), batch(5, seed=beams)["images"]
    search = tf.function(lambda image, penalty: model.search(image, beams, 5, penalty))
    ended = [naive_beam(model, image, 5, beams) for image in images]
    for penalty in (0.0, 0.6, 5.0):
        # One by one, lest an image whose search has not ended carry the others on.
        for image, captions in zip(images, ended, strict=True):
            (written,) = search(tf.constant(image[None]), tf.constant(penalty)).numpy()
            assert written.tolist() == best(captions, 5, penalty), penalty


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_wide_beam_finds_the_best_caption_of_all(decoder: str) -> None:
    model = small_captioner(decoder, vocabulary_size=6)
    images = batch(3)["images"]
    expected = [best(every_caption(model, image, 4, 6), 4, 0.6) for image in images]
    written = searched(model, images, 40, length=4)
    np.testing.assert_array_equal(written, expected)


def test_a_wider_beam_is_not_the_same_as_greedy() -> None:
    """Else the tests above would compare greedy with greedy."""
    model, images = shared_captioner("transformer", end_bias=1.5), batch(8)["images"]
    wide, narrow = (searched(model, images, k, length=LENGTH) for k in (5, 1))
    assert (wide != narrow).any()


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_length_penalty_decides_between_captions(decoder: str) -> None:
    """Else the tests above would pass without one."""
    model, images = shared_captioner(decoder), batch(8)["images"]
    lengths = [
        (searched(model, images, 5, length=LENGTH, penalty=penalty) != PAD).sum()
        for penalty in (0.0, 2.0)
    ]
    assert lengths[0] < lengths[1]


@pytest.mark.parametrize("ids", [{"start_id": END}, {"pad_id": END}], ids=str)
def test_one_id_may_have_two_roles(ids: dict[str, int]) -> None:
    """GPT-2 starts captions with its end token, and some CLIP tokenizers pad with it."""
    model = small_captioner("gru", **ids)
    model.bias.assign(np.eye(12, dtype=np.float32)[END] * 9)
    assert searched(model, batch(1)["images"], 3, length=4)[0, 0] == END


@pytest.mark.parametrize("rows", [1, 3, 65, 70])
def test_each_image_gets_its_own_caption_in_any_number_of_rows(rows: int) -> None:
    model = shared_captioner("gru")
    images = np.repeat(batch(7)["images"], 10, axis=0)[:rows]
    written = model.generate(images)
    assert written.shape == (rows, LENGTH)
    assert written.dtype == np.int32
    expected = searched(model, images[::10], 3, length=LENGTH)
    np.testing.assert_array_equal(written, np.repeat(expected, 10, axis=0)[:rows])
    assert len(np.unique(searched(model, batch(7)["images"], 3, length=LENGTH), axis=0)) > 1


def test_no_images_give_no_captions() -> None:
    model = shared_captioner("transformer")
    written = model.generate(np.zeros([0, *SIZE, 3], np.float32), max_length=4)
    assert written.shape == (0, 4)
    assert written.dtype == np.int32


def test_captions_follow_the_weights() -> None:
    """What was compiled must not remember weights from before."""
    model, images = small_captioner("gru"), batch(2)["images"]
    model.generate(images)
    model.bias.assign(np.eye(12, dtype=np.float32)[END] * 99)
    np.testing.assert_array_equal(model.generate(images)[:, 0], [END, END])


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"beam_size": 0}, "beam_size=...) must be an int >= 1; got beam_size=0"),
        ({"beam_size": True}, "beam_size=True"),
        ({"max_length": 8}, "max_length=...) must be an int from 1 to 7; got max_length=8"),
        ({"max_length": 0}, "max_length=0"),
        ({"length_penalty": -1.0}, "length_penalty=...) must be >= 0; got -1.0"),
        ({"images": np.zeros([2, 32, 32, 3])}, r"[b, 32, 40, 3]; got shape [2, 32, 32, 3]"),
        ({"images": np.zeros([32, 40, 3])}, "images[None]"),
        (
            {"images": np.zeros([1, 32, 40, 3], np.uint8)},
            "must be float32, pixels='unit' as in training; got dtype uint8",
        ),
    ],
    ids=str,
)
def test_generate_refuses(knobs: dict[str, Any], message: str) -> None:
    images = knobs.pop("images", batch()["images"])
    with pytest.raises(ValueError, match=r"^Captioner.generate") as caught:
        shared_captioner("transformer").generate(images, **knobs)
    assert message in str(caught.value)


# ---------------------------------------------------------------------------------- dual encoder


def test_embeddings_have_norm_one() -> None:
    outputs = run(shared_dual_encoder(), batch())
    for name in ("image_embedding", "text_embedding"):
        assert outputs[name].shape == (3, 16)
        np.testing.assert_allclose(np.linalg.norm(outputs[name], axis=1), 1, atol=1e-5)


def test_text_embeddings_see_every_real_token_and_no_padding() -> None:
    model, inputs = shared_dual_encoder(), batch()
    inputs["padding_mask"][:, 5:] = False
    before = model.encode_text(inputs["token_ids"], inputs["padding_mask"])
    for place in range(LENGTH):
        changed = inputs["token_ids"].copy()
        changed[:, place] = 4 + (changed[:, place] - 3) % 8
        moved = np.abs(model.encode_text(changed, inputs["padding_mask"]) - before).max(axis=1)
        assert (moved > 1e-4).all() if place < 5 else (moved < 1e-6).all(), place


def test_captions_of_any_length_get_the_same_embeddings() -> None:
    """Buckets pad the same caption to several lengths."""
    model, inputs = shared_dual_encoder(), batch(length=4)
    short = model.encode_text(inputs["token_ids"], inputs["padding_mask"])
    padding = [(0, 0), (0, 3)]
    longer = model.encode_text(
        np.pad(inputs["token_ids"], padding), np.pad(inputs["padding_mask"], padding)
    )
    np.testing.assert_allclose(longer, short, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 5, 66])
def test_helpers_give_what_the_model_gives(rows: int) -> None:
    model, inputs = shared_dual_encoder(), batch(rows)
    outputs = run(model, inputs)
    images = model.encode_images(inputs["images"])
    text = model.encode_text(inputs["token_ids"], inputs["padding_mask"])
    np.testing.assert_allclose(images, outputs["image_embedding"], atol=1e-5)
    np.testing.assert_allclose(text, outputs["text_embedding"], atol=1e-5)


def contrastive_oracle(
    images: Any, captions: Any, ids: list[int], valid: list[bool], scale: float
) -> tuple[float, float]:
    """The loss and recall@1 by the definition, one row and one rival at a time."""
    losses, hits = [], []
    for anchors, others in ((images, captions), (captions, images)):
        for i in range(len(ids)):
            if not valid[i]:
                continue
            own = scale * float(anchors[i] @ others[i])
            rivals = [
                scale * float(anchors[i] @ others[j])
                for j in range(len(ids))
                if valid[j] and ids[j] != ids[i]
            ]
            losses.append(math.log(sum(math.exp(s) for s in [own, *rivals])) - own)
            hits.append(all(own > s for s in rivals))
    return float(np.mean(losses or 0.0)), float(np.mean(hits or 0.0))


@pytest.mark.parametrize(
    ("ids", "valid"),
    [
        ([1, 2, 3, 4, 5], [True] * 5),
        ([1, 2, 1, 4, 2], [True] * 5),
        ([1, 2, 3, 4, 5], [True, False, True, True, False]),
        ([1, 2, 1, 4, 1], [True, True, False, True, True]),
        ([7, 7, 7, 7, 7], [True] * 5),
        ([1, 2, 3, 4, 5], [False] * 5),
        ([2**31 - 5 + i for i in (0, 1, 0, 2, 3)], [True] * 5),
    ],
    ids=str,
)
def test_loss_and_recall_equal_the_definition(ids: list[int], valid: list[bool]) -> None:
    model, inputs = shared_dual_encoder(log_scale=1.5), batch(5)
    inputs["image_id"] = np.asarray(ids, np.int32)
    inputs["padding_mask"] &= np.asarray(valid)[:, None]
    outputs = run(model, inputs)
    expected, recall = contrastive_oracle(
        outputs["image_embedding"].astype(np.float64),
        outputs["text_embedding"].astype(np.float64),
        ids,
        valid,
        math.exp(1.5),
    )
    loss = float(model.compute_loss(x=inputs, y_pred=model(inputs)))
    assert loss == pytest.approx(expected, abs=1e-5)
    measured = model.evaluate(inputs, batch_size=5, verbose=0, return_dict=True)
    assert measured["loss"] == pytest.approx(expected, abs=1e-4)
    assert measured["recall_at_1"] == pytest.approx(recall)


def test_recall_in_the_batch_does_not_count_ties() -> None:
    model, inputs = shared_dual_encoder(), batch(2)
    for same, expected in ((True, 0.0), (False, 1.0)):
        rows = np.eye(2, 16, dtype=np.float32)[[0, 0] if same else [0, 1]]
        embeddings = {"image_embedding": rows, "text_embedding": rows}
        model.recall.reset_state()
        measured = model.compute_metrics(inputs, None, embeddings)
        assert float(measured["recall_at_1"]) == expected


def test_the_temperature_is_learned_and_bounded(retrieval: Any) -> None:
    model = DualEncoder.from_dataset(retrieval, width=16, learning_rate=0.05)
    first = float(model.log_scale)
    assert math.exp(-first) == pytest.approx(0.07)
    model.run_eagerly = True  # One step is done before it would be compiled.
    model.fit(retrieval, verbose=0)
    assert float(model.log_scale) != first
    model.log_scale.assign(50.0)
    logits = keras.ops.convert_to_numpy(model.similarities(model(batch(8))))
    assert 1.0 < np.abs(logits).max() <= 100.01


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"token_ids": np.zeros([3, LENGTH])}, "token_ids=...) must be ints of shape [b, t]; got"),
        ({"padding_mask": np.ones([3, LENGTH])}, "must be bool or int, of the shape of token_ids"),
        ({"padding_mask": np.ones([3, 2], bool)}, "got bool of shape [3, 2]"),
        (
            {"token_ids": np.zeros([1, 9], int), "padding_mask": np.ones([1, 9], bool)},
            "at most sequence_length=7 tokens per caption; got 9",
        ),
    ],
    ids=str,
)
def test_encode_text_refuses(knobs: dict[str, Any], message: str) -> None:
    inputs = {**batch(), **knobs}
    with pytest.raises(ValueError, match=r"^DualEncoder.encode_text") as caught:
        shared_dual_encoder().encode_text(inputs["token_ids"], inputs["padding_mask"])
    assert message in str(caught.value)


def test_encode_images_refuses_pixels_that_were_not_normalized() -> None:
    with pytest.raises(ValueError, match=r"encode_images.*must be float32.*got dtype uint8"):
        shared_dual_encoder().encode_images(np.zeros([1, *SIZE, 3], np.uint8))


# ------------------------------------------------------------------------------------ both models


@pytest.mark.parametrize(
    ("make", "knobs", "message"),
    [
        *(
            (make, knobs, message)
            for make in (small_captioner, small_dual_encoder)
            for knobs, message in (
                ({"image_size": (0, 224)}, "must be two ints >= 32 (height, width); got (0, 224)"),
                ({"image_size": 224}, "got 224"),
                ({"image_size": (64.0, 64.0)}, "got (64.0, 64.0)"),
                ({"sequence_length": 0}, "sequence_length=0"),
                ({"normalize": "0-1"}, "normalize=...) must be one of ['unit', 'signed',"),
                ({"width": 0}, "width=0"),
                ({"heads": 3}, "heads=...) must divide width=16; got heads=3"),
                ({"depth": 0}, "depth=0"),
                ({"dropout": 1.0}, "dropout=...) must be a number, 0 <= dropout < 1; got"),
                ({"jitter": -0.1}, "jitter=...) must be a number, 0 <= jitter < 0.5; got"),
            )
        ),
        (small_captioner, {"start_id": 12}, "start_id=...) must be an int from 0 to 11; got"),
        (small_captioner, {"end_id": None}, "end_id=None"),
        (small_captioner, {"pad_id": -1}, "pad_id=-1"),
        (small_captioner, {"decoder": "lstm"}, "must be one of ['gru', 'transformer']; got"),
        (small_captioner, {"sequence_length": 1}, "must be an int >= 2; got sequence_length=1"),
    ],
    ids=named,
)
def test_constructors_refuse(make: Any, knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"^(Captioner|DualEncoder)\(") as caught:
        make(**knobs)
    assert message in str(caught.value)


@pytest.mark.parametrize("make", [small_captioner, small_dual_encoder])
def test_models_refuse_inputs_by_name(make: Any) -> None:
    model, inputs = make(), batch()
    with pytest.raises(ValueError, match="takes a dict with images, token_ids, padding_mask"):
        model({name: inputs[name] for name in ("images", "token_ids")})
    with pytest.raises(ValueError, match="at most sequence_length=7 tokens per caption; got 8"):
        model(batch(length=8))


def test_masks_may_be_bool_or_int() -> None:
    model, inputs = shared_dual_encoder(), batch()
    inputs["padding_mask"][:, 5:] = 0
    bools = model.encode_text(inputs["token_ids"], inputs["padding_mask"].astype(bool))
    ints = model.encode_text(inputs["token_ids"], inputs["padding_mask"])
    np.testing.assert_array_equal(ints, bools)


@pytest.mark.parametrize("to", normalize.NORMALIZATIONS)
def test_images_of_any_scale_reach_the_encoder_near_one(to: str) -> None:
    black_to_white = np.linspace(0, 255, 1280).astype(np.uint8).reshape(1, *SIZE, 1).repeat(3, 3)
    images = normalize.Normalize(to=to)({"image": tf.constant(black_to_white)})["image"]
    encoder = small_captioner("gru", normalize=to).encoder
    x = keras.ops.convert_to_numpy(encoder.rescale(images))
    assert (x.dtype, x.shape) == (np.float32, images.shape)
    assert -1.3 < x.min() < -0.8
    assert 0.8 < x.max() < 1.4
    if to in ("unit", "signed", "raw", "uint8"):
        np.testing.assert_allclose(x, black_to_white / 127.5 - 1, atol=1e-6)
    assert to in NORMALIZATIONS


def test_uint8_images_are_taken_where_training_had_them() -> None:
    model = small_captioner("gru", normalize="uint8")
    images = np.random.default_rng(0).integers(0, 256, [2, *SIZE, 3], np.uint8)
    assert model.generate(images, max_length=2).shape == (2, 2)
    with pytest.raises(ValueError, match=r"must be uint8, pixels='uint8' as in training; got .*32"):
        model.generate(images / np.float32(255))


# --------------------------------------------------------------------------------------- datasets


def test_a_model_takes_its_arguments_from_the_dataset(pairs: mmdata.Pairs) -> None:
    text = mmdata.Text(tokenizer="byte", length=30)
    common = {"pixels": "signed", "image_size": (48, 32), "text": text}
    for task, make in (("captioning", Captioner), ("retrieval", DualEncoder)):
        ds = build(pairs, task=task, **common)
        config = make.from_dataset(ds, width=8, dropout=0.2).get_config()
        assert config["image_size"] == [48, 32]
        assert config["sequence_length"] == 30
        assert config["normalize"] == "signed"
        assert config["vocabulary_size"] == ds.tokenizer.vocabulary_size
        assert (config["width"], config["dropout"]) == (8, 0.2)
        if make is Captioner:
            assert {name: config[name] for name in IDS} == {
                name: getattr(ds.tokenizer, name) for name in IDS
            }


def test_buckets_of_which_one_is_filled_are_one_size(pairs: mmdata.Pairs) -> None:
    ds = build(pairs, image_size=None, pixels=mmdata.Pixels(fit="crop", buckets=(SIZE, (80, 32))))
    assert Captioner.from_dataset(ds, width=8).image_size == SIZE


def bucketed(pairs: mmdata.Pairs, folder: pathlib.Path) -> Any:
    for row, image in enumerate(pairs.images):
        with Image.open(pathlib.Path(pairs.root, image)) as opened:
            opened.rotate(90 * (row % 2), expand=True).save(folder / image)
    frame = pd.DataFrame({"file_name": list(pairs.images), "caption": list(pairs.captions)})
    pixels = mmdata.Pixels(fit="crop", buckets=(SIZE, SIZE[::-1]))
    return build(mmdata.read(folder, frame), image_size=None, pixels=pixels)


def encoded(pairs: mmdata.Pairs, folder: pathlib.Path) -> Any:
    encoder = keras.Sequential([keras.layers.GlobalAveragePooling2D()])
    return mmdata.precompute_features(build(pairs), encoder, folder)


@pytest.mark.parametrize(
    ("make", "dataset", "message"),
    [
        (
            Captioner,
            lambda pairs, _: build(pairs).take(1),
            "takes a dataset from mmdata.build; got _Take",
        ),
        (
            Captioner,
            lambda pairs, _: (pairs, pairs),
            "got tuple. Pass one dataset, as mmdata.build returned it: without map(), take()",
        ),
        (
            DualEncoder,
            lambda pairs, _: build(pairs, task=mmdata.Classification(column="label")),
            "needs captions; got task=Classification(...), which has no text. Pass task=",
        ),
        (
            Captioner,
            lambda pairs, _: build(pairs, task=mmdata.Prefix(prompt="red")),
            'task=Captioning(...); got task=Prefix(...). Pass task="captioning" to mmdata.build.',
        ),
        (
            Captioner,
            lambda pairs, _: build(pairs, task="retrieval"),
            "needs batches of task=Captioning(...); got task=Retrieval(...)",
        ),
        (
            DualEncoder,
            lambda pairs, _: build(pairs),
            "needs batches of task=Retrieval(...); got task=Captioning(...)",
        ),
        (Captioner, bucketed, "needs images of one size; got 2 sizes, ((32, 40), (40, 32)). Pass"),
        (Captioner, encoded, "needs images [b, 32, 40, 3]; got features (None, 3). Pass"),
        (
            Captioner,
            lambda pairs, _: build(pairs, image_size=(8, 8)),
            "image_size=...) must be two ints >= 32 (height, width); got (8, 8)",
        ),
    ],
    ids=[
        *("part", "splits", "no text", "prefix", "retrieval", "captioning"),
        *("buckets", "features", "small"),
    ],
)
def test_from_dataset_refuses(
    make: Any, dataset: Any, message: str, pairs: mmdata.Pairs, tmp_path: pathlib.Path
) -> None:
    ds = dataset(pairs, tmp_path)
    with pytest.raises(
        (TypeError, ValueError), match=rf"^{make.__name__}(.from_dataset)?\("
    ) as caught:
        make.from_dataset(ds)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"learning_rate": 0.0}, "must be a number > 0 or a LearningRateSchedule; got"),
        ({"learning_rate": True}, "learning_rate=True"),
        ({"weight_decay": -1}, "weight_decay=-1"),
    ],
    ids=named,
)
def test_from_dataset_refuses_an_optimizer(
    knobs: dict[str, Any], message: str, captioning: Any, retrieval: Any
) -> None:
    for make, ds in ((Captioner, captioning), (DualEncoder, retrieval)):
        with pytest.raises(ValueError, match=rf"^{make.__name__}.from_dataset\(") as caught:
            make.from_dataset(ds, **knobs)
        assert message in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("decoder", DECODERS)
def test_a_captioner_learns_a_handful_of_scenes(decoder: Any, captioning: Any) -> None:
    keras.utils.set_random_seed(1)
    model = Captioner.from_dataset(
        captioning, decoder=decoder, width=32, depth=1, dropout=0.0, learning_rate=4e-3
    )
    x, y, weights = next(iter(captioning.at(0)))
    before = float(model.compute_loss(x, y, model(x), weights))
    ds = tf.data.Dataset.from_tensors((x, y, weights))
    model.fit(ds.repeat(80), verbose=0)
    model.run_eagerly = True
    after = model.evaluate(ds, verbose=0, return_dict=True)
    assert after["loss"] < 0.1 * before
    assert after["accuracy"] == pytest.approx(1.0)
    np.testing.assert_array_equal(searched(model, x["images"], 3, length=LENGTH), y)


@pytest.mark.slow
def test_a_dual_encoder_learns_a_handful_of_scenes(retrieval: Any) -> None:
    keras.utils.set_random_seed(1)
    model = DualEncoder.from_dataset(retrieval, width=32, depth=1, learning_rate=4e-3)
    x = next(iter(retrieval.at(0)))
    history = model.fit(tf.data.Dataset.from_tensors(x).repeat(60), verbose=0).history
    assert history.keys() == {"loss", "recall_at_1"}
    outputs = run(model, x)
    found, asked = outputs["image_embedding"], outputs["text_embedding"]
    assert recall_at_k(asked, found, range(8), range(8), 1) == 1.0
    assert recall_at_k(found, asked, range(8), range(8), 1) == 1.0


@pytest.mark.parametrize(
    ("make", "knobs"),
    [
        (Captioner, {"decoder": "transformer"}),
        (Captioner, {"decoder": "gru"}),
        (DualEncoder, {}),
    ],
    ids=["transformer", "gru", "dual_encoder"],
)
def test_a_saved_model_comes_back_the_same(
    make: Any, knobs: Any, captioning: Any, retrieval: Any, tmp_path: pathlib.Path
) -> None:
    ds = captioning if make is Captioner else retrieval
    knobs |= {"width": 8, "depth": 1, "dropout": 0.2, "jitter": 0.15}  # None of them the default.
    model, inputs = make.from_dataset(ds, **knobs), batch(4)
    assert model.get_config().items() >= knobs.items()
    model.run_eagerly = True  # One step is done before it would be compiled.
    model.fit(ds, verbose=0)  # So that moving means and the optimizer have a say.
    if make is Captioner:
        written = model.generate(inputs["images"])  # What is compiled must not hinder saving.
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    assert type(loaded) is make
    assert loaded.get_config() == model.get_config()
    for after, before in zip(
        keras.tree.flatten(run(loaded, inputs)), keras.tree.flatten(run(model, inputs)), strict=True
    ):
        np.testing.assert_array_equal(after, before)
    if make is Captioner:
        again = searched(loaded, inputs["images"], 3, length=LENGTH)
        np.testing.assert_array_equal(again, written)
    assert int(loaded.optimizer.iterations) == 1
    loaded.run_eagerly = True
    loaded.fit(ds, verbose=0)
    assert int(loaded.optimizer.iterations) == 2


def test_weights_of_zero_leave_the_loss_alone(captioning: Any) -> None:
    model, inputs = Captioner.from_dataset(captioning, width=16), batch(2)
    model.run_eagerly = True
    targets = batch(2, seed=9)["token_ids"]
    weights = np.ones(targets.shape, np.float32)
    weights[:, 4:] = 0
    losses = [
        model.evaluate(inputs, y, sample_weight=weights, verbose=0, return_dict=True)["loss"]
        for y in (targets, np.where(weights > 0, targets, PAD))
    ]
    assert losses[0] == pytest.approx(losses[1])
    logits = run(model, inputs)[:, :4].astype(np.float64)
    chances = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    mean = -np.take_along_axis(chances, targets[:, :4, None], axis=-1).mean()
    assert losses[0] == pytest.approx(mean, rel=1e-4)


def test_nothing_here_needs_tensorflow_by_name() -> None:
    folder = pathlib.Path(models.__file__).parent
    sources = sorted(folder.glob("*.py"))
    assert len(sources) > 3
    for path in sources:
        assert "import tensorflow" not in path.read_text(encoding="utf-8"), path.name
