"""Tokenizers of KerasHub in `Text`: the same ids as their own, in `build` and in `fit`."""

import io
import json
import pathlib
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import sentencepiece
import tensorflow as tf
import tokenizers as rust

import mmdata
from mmdata.options import Text
from mmdata.tokenizers import KerasTokenizer

keras_hub = pytest.importorskip("keras_hub")

pytestmark = pytest.mark.border

CAPTIONS = [
    "A man riding a wave on top of a surfboard.",
    "Two dogs and a cat, left of the café",
    "a red boat at sea",
    "",
]
SPECIAL = ["<|startoftext|>", "<|endoftext|>"]


def byte_pairs(**changes: Any) -> dict[str, Any]:
    learner = rust.Tokenizer(rust.models.BPE(**changes))
    learner.pre_tokenizer = rust.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = rust.pre_tokenizers.ByteLevel.alphabet()
    suffix = changes.get("end_of_word_suffix", "")
    trainer = rust.trainers.BpeTrainer(
        vocab_size=600,
        initial_alphabet=sorted(alphabet),
        end_of_word_suffix=suffix,
        show_progress=False,
    )
    learner.train_from_iterator(CAPTIONS * 2, trainer)
    model = json.loads(learner.to_str())["model"]
    tokens = [*sorted(alphabet), *(letter + suffix for letter in sorted(alphabet))]
    tokens += [left + right for left, right in model["merges"]]
    vocabulary = {token: place for place, token in enumerate(dict.fromkeys([*tokens, *SPECIAL]))}
    return {"vocabulary": vocabulary, "merges": [" ".join(pair) for pair in model["merges"]]}


def sentence_pieces() -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CAPTIONS * 5),
        model_writer=model,
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=2,
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
    )
    return model.getvalue()


SIZE = len(byte_pairs()["vocabulary"])
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "boat", "##s", "man", "."]
HUB = keras_hub.tokenizers
MADE: dict[str, tuple[Callable[[], Any], dict[str, Any], tuple[Any, ...]]] = {
    # a tokenizer, arguments of Text, and start, end, pad and unknown ids
    "word pieces": (
        lambda: HUB.WordPieceTokenizer(WORDS, lowercase=True),
        {"start_id": 2, "end_id": 3, "pad_id": 0},
        (2, 3, 0, 1),
    ),
    "bert": (lambda: HUB.BertTokenizer(WORDS, lowercase=True), {}, (2, 3, 0, 1)),
    "byte pairs": (
        lambda: HUB.BytePairTokenizer(**byte_pairs()),
        {"start_id": SIZE - 2, "end_id": SIZE - 1, "pad_id": SIZE - 1},
        (-2, -1, -1, None),
    ),
    "clip": (
        lambda: HUB.CLIPTokenizer(**byte_pairs(end_of_word_suffix="</w>")),
        {},
        (-2, -1, 0, None),
    ),
    "sentence pieces": (
        lambda: HUB.SentencePieceTokenizer(proto=sentence_pieces()),
        {"start_id": 2, "end_id": 3, "pad_id": 0},
        (2, 3, 0, 1),
    ),
    "bytes": (lambda: HUB.ByteTokenizer(lowercase=False), {"pad_id": 0}, (None, None, 0, None)),
}


@pytest.fixture(scope="module", params=MADE)
def case(request: pytest.FixtureRequest) -> tuple[Any, KerasTokenizer, tuple[Any, ...]]:
    make, ids, expected = MADE[request.param]
    layer = make()
    tokenizer: Any = Text(tokenizer=layer, **ids).tokenizer
    return layer, tokenizer, expected


def cleaned(tokenizer: KerasTokenizer, texts: list[str]) -> list[str]:
    cleaner: Any = Text(tokenizer=tokenizer).cleaner
    return [text.decode() for text in cleaner({"caption": tf.constant(texts)})["caption"].numpy()]


def own_ragged(ids: list[list[int]]) -> Any:
    return tf.ragged.constant(ids, tf.int32, ragged_rank=1)


def ids_of(layer: Any, texts: list[str]) -> list[list[int]]:
    """The ids that it gives outside of a graph."""
    return [list(map(int, layer.tokenize([text])[0])) if text else [] for text in texts]


def test_ids_and_texts_are_its_own(case: Any) -> None:
    layer, tokenizer, expected = case
    size = layer.vocabulary_size()
    found = (tokenizer.start_id, tokenizer.end_id, tokenizer.pad_id, tokenizer.unknown_id)
    assert found == tuple(size + i if i is not None and i < 0 else i for i in expected)
    assert tokenizer.vocabulary_size == size
    texts = cleaned(tokenizer, CAPTIONS)
    own = ids_of(layer, texts)
    assert sum(map(len, own)) > 20
    assert tokenizer.tokenize(texts).to_list() == own
    mapped = tf.data.Dataset.from_tensor_slices(texts).batch(3).map(tokenizer.tokenize)
    assert [row for batch in mapped for row in batch.to_list()] == own
    decoded = [text.decode() for text in tokenizer.detokenize(own_ragged(own)).numpy()]
    assert decoded == [str(layer.detokenize([row])[0]).strip() if row else "" for row in own]
    for place in (0, size // 2, size - 1):
        assert tokenizer.vocabulary[place] == str(layer.id_to_token(place))


def test_it_is_a_value(case: Any, tmp_path: pathlib.Path) -> None:
    _, tokenizer, _ = case
    tokenizer.save(tmp_path / "some.json")
    again = [pickle.loads(pickle.dumps(tokenizer)), KerasTokenizer.load(tmp_path / "some.json")]
    for other in again:
        assert other == tokenizer
        assert other.tokenize(CAPTIONS).to_list() == tokenizer.tokenize(CAPTIONS).to_list()


def test_another_process_loads_them(tmp_path: pathlib.Path) -> None:
    tokenizers: list[Any] = [
        Text(tokenizer=make(), **ids).tokenizer for make, ids, _ in MADE.values()
    ]
    for number, tokenizer in enumerate(tokenizers):
        tokenizer.save(tmp_path / f"{number}.json")
    code = (
        "import sys; from mmdata.tokenizers import KerasTokenizer\n"
        "for path in sys.argv[1:]: print(KerasTokenizer.load(path).fingerprint)"
    )
    paths = sorted(tmp_path.iterdir())
    command = [sys.executable, "-c", code, *map(str, paths)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert found.split() == [tokenizer.fingerprint for tokenizer in tokenizers]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("pairs")
    for number, caption in enumerate(CAPTIONS[:3] * 2):
        keras.utils.save_img(
            folder / f"{number}.png", np.full((32, 32, 3), 9 * number), scale=False
        )
        (folder / f"{number}.txt").write_text(caption)
    return folder


@pytest.mark.parametrize("name", MADE)
def test_build_and_fit(name: str, folder: pathlib.Path) -> None:
    make, ids, _ = MADE[name]
    layer = make()
    text = Text(tokenizer=layer, length=24, **ids)
    tokenizer: Any = text.tokenizer
    task = "retrieval" if tokenizer.start_id is None else "captioning"
    given: Any = {"task": task, "text": text, "image_size": (32, 32), "batch_size": 4}
    ds = mmdata.build(folder, folder, shuffle=False, **given)
    batch = next(iter(ds))
    rows = (batch if task == "retrieval" else batch[0])["token_ids"].numpy()
    for row, caption in zip(rows, (CAPTIONS[:3] * 2)[:4], strict=True):
        start = [] if tokenizer.start_id is None else [tokenizer.start_id]
        end = [] if tokenizer.end_id is None else [tokenizer.end_id]
        room = 24 + (task == "captioning") - len(start) - len(end)
        expected = [*start, *ids_of(layer, cleaned(tokenizer, [caption]))[0][:room], *end]
        expected += [tokenizer.pad_id] * (24 - len(expected))
        assert row.tolist() == expected[:24]
    if name == "bert":
        model = mmdata.Captioner.from_dataset(ds, width=8, depth=1)
        assert np.isfinite(model.fit(ds, verbose=0).history["loss"]).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HUB.WordPieceTokenizer(WORDS, dtype="string"), "must return integers.*'string'"),
        (
            lambda: HUB.WordPieceTokenizer(WORDS, sequence_length=5),
            r"must not cut or pad: pass sequence_length=None .*; got sequence_length=5",
        ),
        (HUB.WordPieceTokenizer, "has no vocabulary: pass one to it first"),
        (lambda: HUB.WordPieceTokenizer(WORDS), r"needs pad_id=\.\.\."),
        (HUB.UnicodeCodepointTokenizer, "has no vocabulary"),
    ],
    ids=["strings", "padded", "empty", "no pad", "no size"],
)
def test_tokenizers_that_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=rf"Text\(tokenizer=\w+\) {message}"):
        Text(tokenizer=make())


def test_tokens_that_it_adds_itself_are_refused() -> None:
    layer = HUB.SentencePieceTokenizer(proto=sentence_pieces(), add_bos=True, add_eos=True)
    with pytest.raises(
        ValueError, match=r"must add no tokens of its own.*; it makes 2 of an empty"
    ):
        Text(tokenizer=layer, pad_id=0)
