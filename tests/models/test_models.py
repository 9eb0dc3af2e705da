"""The reference models: what they see, what they write, what they lose, what they remember."""

from __future__ import annotations

import functools
import itertools
import math
import pathlib
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from mmdata import models  # noqa: E402
from mmdata.models import captioner, dual_encoder, recall_at_k  # noqa: E402

PAD, UNKNOWN, START, END = range(4)
SIZE = (32, 40)
LENGTH = 7
DECODERS = ("transformer", "gru")
Floats = npt.NDArray[np.float32]


def words(vocabulary_size: int = 12, **ids: Any) -> Any:
    return SimpleNamespace(
        **{
            "vocabulary_size": vocabulary_size,
            "start_id": START,
            "end_id": END,
            "pad_id": PAD,
            **ids,
        }
    )


def small_captioner(decoder: Any = "transformer", **knobs: Any) -> Any:
    """A captioner with weights large enough that everything it reads shows in its logits."""
    keras.utils.set_random_seed(3)
    knobs = {"image_size": SIZE, "sequence_length": LENGTH, "width": 16, "heads": 2, **knobs}
    model = captioner(words(knobs.pop("vocabulary_size", 12)), decoder=decoder, **knobs)
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
    knobs = {"image_size": SIZE, "sequence_length": LENGTH, "width": 16, "heads": 2, **knobs}
    return dual_encoder(words(), **knobs)


@functools.cache
def shared_dual_encoder(*, log_scale: float = 0.0) -> Any:
    """A `small_dual_encoder` made once, for tests that leave its weights as they are."""
    model = small_dual_encoder()
    model.log_scale.assign(log_scale)
    return model


def named(value: Any) -> str:
    """The name of a test: the same in every process, which that of a function is not by `str`."""
    return str(getattr(value, "__name__", value))


def batch(rows: int = 3, length: int = LENGTH, seed: int = 0, vocabulary_size: int = 12) -> Any:
    random = np.random.default_rng(seed)
    return {
        "images": random.random([rows, *SIZE, 3], np.float32),
        "token_ids": random.integers(4, vocabulary_size, [rows, length], np.int32),
        "padding_mask": np.ones([rows, length], bool),
        "image_id": np.arange(rows, dtype=np.int64) + 2**60,
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
    inputs["padding_mask"][:, padded] = False
    real = inputs["padding_mask"][0]
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


def log_probabilities(model: Any, images: Floats, written: Sequence[Sequence[int]]) -> Any:
    """The model's own words for the next token, asked the slow way: from the start every time."""
    token_ids = np.asarray([[START, *tokens] for tokens in written], np.int32)
    mask = np.ones(token_ids.shape, bool)
    inputs = {"images": images, "token_ids": token_ids, "padding_mask": mask}
    logits = run(model, inputs)[:, -1].astype(np.float64)
    return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


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
    written = model.generate(images, beam_size=1, max_length=length)
    assert written.dtype == np.int32
    np.testing.assert_array_equal(written, naive_greedy(model, images, length))


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("beams", [2, 3, 5])
def test_beam_search_equals_a_naive_one(decoder: str, beams: int) -> None:
    model, images = shared_captioner(decoder, end_bias=1.5), batch(5, seed=beams)["images"]
    ended = [naive_beam(model, image, 5, beams) for image in images]
    for penalty in (0.0, 0.6, 5.0):
        knobs = {"beam_size": beams, "max_length": 5, "length_penalty": penalty}
        # One by one, lest an image whose search has not ended carry the others on.
        for image, captions in zip(images, ended, strict=True):
            (written,) = model.generate(image[None], **knobs)
            assert written.tolist() == best(captions, 5, penalty), penalty


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_wide_beam_finds_the_best_caption_of_all(decoder: str) -> None:
    model = small_captioner(decoder, vocabulary_size=6)
    images = batch(3)["images"]
    expected = [best(every_caption(model, image, 4, 6), 4, 0.6) for image in images]
    written = model.generate(images, beam_size=40, max_length=4)
    np.testing.assert_array_equal(written, expected)


def test_a_wider_beam_is_not_the_same_as_greedy() -> None:
    """Else the tests above would compare greedy with greedy."""
    model, images = shared_captioner("transformer", end_bias=1.5), batch(8)["images"]
    wide, narrow = (model.generate(images, beam_size=k) for k in (5, 1))
    assert (wide != narrow).any()


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_length_penalty_decides_between_captions(decoder: str) -> None:
    """Else the tests above would pass without one."""
    model, images = shared_captioner(decoder), batch(8)["images"]
    lengths = [
        (model.generate(images, beam_size=5, length_penalty=penalty) != PAD).sum()
        for penalty in (0.0, 2.0)
    ]
    assert lengths[0] < lengths[1]


@pytest.mark.parametrize("ids", [{"start_id": END}, {"pad_id": END}], ids=str)
def test_one_id_may_have_two_offices(ids: dict[str, int]) -> None:
    """GPT-2 starts captions with its end token, and some CLIP tokenizers pad with it."""
    keras.utils.set_random_seed(5)
    model = captioner(words(**ids), image_size=(32, 32), sequence_length=5, width=16)
    model.bias.assign(np.eye(12, dtype=np.float32)[END] * 9)
    written = model.generate(np.zeros([1, 32, 32, 3], np.float32))
    assert written[0, 0] == END


@pytest.mark.parametrize("rows", [1, 3, 65, 70])
def test_each_image_gets_its_own_caption_in_any_number_of_rows(rows: int) -> None:
    model = shared_captioner("transformer")
    images = np.repeat(batch(7)["images"], 10, axis=0)[:rows]
    one_by_one = {i: model.generate(images[i : i + 1])[0] for i in range(0, rows, 10)}
    written = model.generate(images)
    assert written.shape == (rows, LENGTH)
    for i, caption in one_by_one.items():
        np.testing.assert_array_equal(written[i : i + 10], np.tile(caption, [10, 1])[: rows - i])


def test_no_images_give_no_captions() -> None:
    model = shared_captioner("transformer")
    written = model.generate(np.zeros([0, *SIZE, 3], np.float32), max_length=4)
    assert written.shape == (0, 4)
    assert written.dtype == np.int32


def test_captions_follow_the_weights() -> None:
    """What was compiled must not remember weights from before."""
    model, images = small_captioner(), batch(2)["images"]
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
        ({"images": np.zeros([1, 32, 40, 3], np.uint8)}, "got dtype uint8. Divide"),
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


def test_captions_of_other_lengths_embed_alike() -> None:
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
        ([2**60 + i for i in (0, 1, 0, 2, 3)], [True] * 5),
        ([-(2**62) + i for i in (0, 1, 1, 2, 3)], [True] * 5),
    ],
    ids=str,
)
def test_loss_and_recall_equal_the_definition(ids: list[int], valid: list[bool]) -> None:
    model, inputs = shared_dual_encoder(log_scale=1.5), batch(5)
    inputs["image_id"] = np.asarray(ids, np.int64)
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
    alike = np.eye(model.width, dtype=np.float32)[[0, 0]]
    model.recall.reset_state()
    model.compute_metrics(inputs, None, {"image_embedding": alike, "text_embedding": alike})
    assert float(model.recall.result()) == 0.0


def test_the_temperature_is_learned_and_bounded() -> None:
    model, inputs = small_dual_encoder(learning_rate=0.05), batch(8)
    first = float(model.log_scale)
    assert math.exp(-first) == pytest.approx(0.07)
    model.run_eagerly = True  # One step is done before it would be compiled.
    model.fit(inputs, verbose=0)
    assert float(model.log_scale) != first
    model.log_scale.assign(50.0)
    logits = keras.ops.convert_to_numpy(model.similarities(model(inputs)))
    assert 1.0 < np.abs(logits).max() <= 100.01


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"token_ids": np.zeros([3, LENGTH])}, "token_ids=...) must be ints of shape [b, t]; got"),
        ({"padding_mask": np.ones([3, LENGTH])}, "padding_mask=...) must be bool of the shape"),
        ({"padding_mask": np.ones([3, 2], bool)}, "got bool of shape [3, 2]"),
        (
            {"token_ids": np.zeros([1, 9], int), "padding_mask": np.ones([1, 9], bool)},
            "at most sequence_length=7 tokens a caption; got 9",
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
            for make in (captioner, dual_encoder)
            for knobs, message in (
                ({"image_size": (0, 224)}, "must be two ints >= 32 (height, width); got (0, 224)"),
                ({"image_size": 224}, "got 224"),
                ({"image_size": (64.0, 64.0)}, "got (64.0, 64.0)"),
                ({"sequence_length": 0}, "sequence_length=0"),
                ({"width": 0}, "width=0"),
                ({"heads": 3}, "heads=...) must divide width=128; got heads=3"),
                ({"depth": 0}, "depth=0"),
                ({"dropout": 1.0}, "dropout=...) must be a number, 0 <= dropout < 1; got"),
                ({"jitter": -0.1}, "jitter=...) must be a number, 0 <= jitter < 0.5; got"),
                ({"learning_rate": 0.0}, "learning_rate=0.0"),
                ({"weight_decay": -1}, "weight_decay=-1"),
                ({"tokenizer": words(start_id=12)}, ".start_id must be an id of the vocabulary"),
            )
        ),
        (captioner, {"decoder": "lstm"}, "must be 'transformer' or 'gru'; got decoder='lstm'"),
        (captioner, {"sequence_length": 1}, "must be an int >= 2; got sequence_length=1"),
    ],
    ids=named,
)
def test_factories_refuse(make: Any, knobs: dict[str, Any], message: str) -> None:
    knobs = dict(knobs)
    tokenizer = knobs.pop("tokenizer", words())
    with pytest.raises(ValueError, match=rf"^{make.__name__}\(") as caught:
        make(tokenizer, **{"image_size": (32, 32), **knobs})
    assert message in str(caught.value)


@pytest.mark.parametrize("make", [captioner, dual_encoder])
@pytest.mark.parametrize(
    ("tokenizer", "message"),
    [
        (
            SimpleNamespace(vocabulary_size=9, start_id=1),
            "'SimpleNamespace' without end_id, pad_id",
        ),
        (words(end_id="3"), ".end_id must be an int; got '3'"),
    ],
    ids=["missing", "string"],
)
def test_factories_refuse_what_is_no_tokenizer(make: Any, tokenizer: Any, message: str) -> None:
    with pytest.raises(TypeError, match=rf"^{make.__name__}\(tokenizer=\.\.\.\)") as caught:
        make(tokenizer, image_size=(32, 32))
    assert message in str(caught.value)


@pytest.mark.parametrize("make", [small_captioner, small_dual_encoder])
def test_models_refuse_inputs_by_name(make: Any) -> None:
    model, inputs = make(), batch()
    with pytest.raises(ValueError, match="takes a dict with images, token_ids, padding_mask"):
        model({name: inputs[name] for name in ("images", "token_ids")})
    with pytest.raises(ValueError, match="at most sequence_length=7 tokens a caption; got 8"):
        model(batch(length=8))


@pytest.mark.parametrize(
    "make",
    [small_captioner, functools.partial(small_captioner, "gru"), small_dual_encoder],
    ids=["transformer", "gru", "dual_encoder"],
)
def test_a_saved_model_comes_back_the_same(make: Any, tmp_path: pathlib.Path) -> None:
    knobs = {"width": 8, "depth": 1, "dropout": 0.2, "jitter": 0.15}  # None of them the default.
    model, inputs = make(**knobs), batch(4)
    assert model.get_config().items() >= knobs.items()
    targets = inputs["token_ids"] if isinstance(model, models.Captioner) else None
    model.run_eagerly = True  # One step is done before it would be compiled.
    model.fit(inputs, targets, verbose=0)  # So that moving means and the optimizer have a say.
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    assert type(loaded) is type(model)
    assert loaded.get_config() == model.get_config()
    for after, before in zip(
        keras.tree.flatten(run(loaded, inputs)), keras.tree.flatten(run(model, inputs)), strict=True
    ):
        np.testing.assert_array_equal(after, before)
    assert int(loaded.optimizer.iterations) == 1
    loaded.fit(inputs, targets, verbose=0)
    if isinstance(model, models.Captioner):
        model.generate(inputs["images"])  # What is compiled must not hinder a second save.
        model.save(path)
        np.testing.assert_array_equal(
            keras.saving.load_model(path).generate(inputs["images"]),
            model.generate(inputs["images"]),
        )


def scenes() -> tuple[Any, Any]:
    """Eight images, a bright patch of one colour in one half each, and what there is to say."""
    images = np.full([8, *SIZE, 3], 0.2, np.float32)
    captions = np.full([8, LENGTH + 1], PAD, np.int32)
    for row, (colour, right) in enumerate(itertools.product(range(4), range(2))):
        paint = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]][colour]
        images[row, 8:24, 22 * right + 2 : 22 * right + 16] = paint
        text = [START, 4 + colour, *([8] * right), 9 + right, END]
        captions[row, : len(text)] = text
    return images, captions


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_captioner_learns_a_handful_of_scenes(decoder: Any) -> None:
    images, captions = scenes()
    keras.utils.set_random_seed(1)
    model = captioner(
        words(),
        image_size=SIZE,
        sequence_length=LENGTH,
        decoder=decoder,
        width=32,
        depth=1,
        dropout=0.0,
        learning_rate=4e-3,
    )
    x, y = captions[:, :-1], captions[:, 1:]
    inputs = {"images": images, "token_ids": x, "padding_mask": x != PAD}
    weights = (y != PAD).astype(np.float32)
    ds = tf.data.Dataset.from_tensors((inputs, y, weights))
    before = model.evaluate(ds, verbose=0, return_dict=True)
    model.fit(ds.repeat(80), verbose=0)
    after = model.evaluate(ds, verbose=0, return_dict=True)
    assert after["loss"] < 0.1 * before["loss"]
    assert after["accuracy"] == pytest.approx(1.0)
    np.testing.assert_array_equal(model.generate(images), y)


def test_weights_of_zero_leave_the_loss_alone() -> None:
    model, inputs = small_captioner(), batch(2)
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


def test_a_dual_encoder_learns_a_handful_of_scenes() -> None:
    images, captions = scenes()
    keras.utils.set_random_seed(1)
    model = dual_encoder(
        words(), image_size=SIZE, sequence_length=LENGTH + 1, width=32, depth=1, learning_rate=4e-3
    )
    inputs = {
        "images": images,
        "token_ids": captions,
        "padding_mask": captions != PAD,
        "image_id": np.arange(8, dtype=np.int64) + 2**60,
    }
    ds = tf.data.Dataset.from_tensors(inputs)
    model.fit(ds.repeat(60), verbose=0)
    measured = model.evaluate(ds, verbose=0, return_dict=True)
    assert set(measured) == {"loss", "recall_at_1"}
    assert measured["recall_at_1"] == pytest.approx(1.0)
    found = model.encode_images(images)
    asked = model.encode_text(captions, captions != PAD)
    assert recall_at_k(asked, found, range(8), range(8), 1) == 1.0


def test_nothing_here_needs_tensorflow_by_name() -> None:
    folder = pathlib.Path(models.__file__).parent
    sources = sorted(folder.glob("*.py"))
    assert len(sources) > 3
    for path in sources:
        assert "import tensorflow" not in path.read_text(encoding="utf-8"), path.name


# -------------------------------------------------------------------------------------- recall@k


def recall_loop(queries: Any, gallery: Any, query_ids: Any, gallery_ids: Any, k: int) -> float:
    hits = 0
    for query, query_id in zip(queries, query_ids, strict=True):
        rows = []
        for row, row_id in zip(gallery, gallery_ids, strict=True):
            rows.append((-float(query @ row), row_id == query_id))  # Its own rows last in a tie.
        hits += any(own for _, own in sorted(rows)[:k])
    return hits / len(queries)


@pytest.mark.parametrize("k", [1, 2, 5, 40])
@pytest.mark.parametrize("seed", range(4))
def test_recall_equals_a_loop(k: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    queries = random.integers(-2, 3, [30, 3]).astype(np.float32)  # Small integers tie often.
    gallery = random.integers(-2, 3, [20, 3]).astype(np.float32)
    query_ids, gallery_ids = random.integers(0, 12, 30), random.integers(0, 12, 20)
    expected = recall_loop(queries, gallery, query_ids, gallery_ids, k)
    assert recall_at_k(queries, gallery, query_ids, gallery_ids, k) == pytest.approx(expected)


def test_recall_of_a_collapsed_model_is_zero() -> None:
    """Equal embeddings find each other by the order of rows, or by rounding, unless ties lose."""
    rows = np.tile(np.random.default_rng(0).normal(size=[1, 128]).astype(np.float32), [50, 1])
    assert recall_at_k(rows, rows, range(50), range(50), 1) == 0.0
    assert recall_at_k(rows, rows, range(50), range(50), 49) == 0.0
    assert recall_at_k(rows, rows, range(50), range(50), 50) == 1.0


@pytest.mark.parametrize("own", [0, 1])
def test_recall_does_not_let_rounding_break_a_tie(own: int) -> None:
    gallery = [[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]]
    sums = [(row[0] + row[1]) + row[2] for row in gallery]
    assert sums[0] != sums[1]  # 0.6 both, but for the order of adding.
    assert recall_at_k([[1.0, 1.0, 1.0]], gallery, [own], [0, 1], 1) == 0.0


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([0.5, np.nan], 0.0), ([np.nan, 0.5], 0.0), ([np.nan, np.nan], 0.0), ([0.6, 0.5], 1.0)],
)
def test_recall_of_nan_is_a_miss(scores: list[float], expected: float) -> None:
    assert recall_at_k([[1.0]], [[score] for score in scores], [7], [7, 8], 1) == expected


def test_recall_counts_a_query_without_a_match_as_a_miss() -> None:
    assert recall_at_k([[1.0], [1.0]], [[1.0]], [5, 6], [5], 9) == 0.5


def test_recall_keeps_every_bit_of_an_id() -> None:
    ids = np.asarray([2**60, 2**60 + 1])
    assert recall_at_k([[1.0]], [[0.0], [1.0]], ids[:1], ids, 1) == 0.0


def test_recall_takes_many_queries() -> None:
    random = np.random.default_rng(1)
    rows = random.normal(size=[2500, 16])
    ids = np.arange(2500)
    assert recall_at_k(rows / np.linalg.norm(rows, axis=1, keepdims=True), rows, ids, ids, 1) < 1
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert recall_at_k(unit, unit, ids, ids, 1) == 1.0
    assert recall_at_k(unit, unit, ids, ids[::-1].copy(), 1) == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0]], [[1.0]], [1], [1], 0), "k=...) must be an int >= 1; got k=0"),
        (([[1.0]], [[1.0, 2.0]], [1], [1], 1), "got [1, 1] and [1, 2]"),
        (([[1.0]], [[1.0]], [1, 2], [1], 1), "query_ids=...) must be one int a row, 1"),
        (([[1.0]], [[1.0]], [1], [1.0], 1), "gallery_ids=...) must be one int a row, 1"),
        ((np.zeros([0, 2]), [[1.0, 2.0]], np.zeros(0, int), [1], 1), "0 and at least 1"),
    ],
)
def test_recall_refuses(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"^recall_at_k") as caught:
        recall_at_k(*arguments)
    assert message in str(caught.value)
