"""SentencePiece, against the library sentencepiece."""

import io
import json
import math
import random
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import damaged_models  # type: ignore[import-not-found]
import pytest
import sentencepiece
import tensorflow as tf

from mmdata.tokenizers import model_proto
from mmdata.tokenizers.sentence_piece import SentencePiece

KINDS: dict[str, dict[str, Any]] = {
    "unigram": {},
    "bpe": {"model_type": "bpe"},
    "unigram with bytes": {"vocab_size": 700, "byte_fallback": True},
    "t5": {
        "pad_id": 0,
        "eos_id": 1,
        "unk_id": 2,
        "bos_id": -1,
        "user_defined_symbols": ["<extra_id_0>"],
    },
    "siglip": {"pad_id": -1, "eos_id": 1, "unk_id": 2, "bos_id": -1, "unk_surface": "?"},
    "gemma": {
        "pad_id": 0,
        "eos_id": 1,
        "bos_id": 2,
        "unk_id": 3,
        "model_type": "bpe",
        "vocab_size": 900,
        "byte_fallback": True,
        "split_digits": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "add_dummy_prefix": False,
        "user_defined_symbols": ["  ", "<image>", "\n"],
        "control_symbols": ["<start_of_turn>"],
    },
    "llama": {
        "pad_id": -1,
        "unk_id": 0,
        "bos_id": 1,
        "eos_id": 2,
        "model_type": "bpe",
        "vocab_size": 900,
        "byte_fallback": True,
        "split_digits": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "control_symbols": ["[INST]"],
    },
}
LOSSLESS = ["gemma", "llama"]
SPECIAL_IDS = {  # pad, unknown, start, end
    **dict.fromkeys(["unigram", "bpe", "unigram with bytes"], (0, 1, 2, 3)),
    "t5": (0, 2, None, 1),
    "siglip": (1, 2, None, 1),
    "gemma": (0, 3, 2, 1),
    "llama": (2, 0, 1, 2),
}
ODD = (
    *("<s>", "</s>", "<unk>", "<pad>", "<0x41>", "<extra_id_0>", "<image>", "[INST]"),
    *("\u2581", "👩‍🚀", "👍🏽", "❤️", "漢字", "日本語", "Café", "e\u0301", "ﬁ", "①", "½", "İ", "ß"),
    *("  ", "    ", "\t", "\n", "\u3000", "\xa0", "\u200b", "\0", "...", "…", "don't", "12.5"),
)


def captions_of(count: int) -> list[str]:
    """Captions with a few hundred different words."""
    rng = random.Random(0)
    syllables = [first + second for first in "bdfgklmnprst" for second in "aeiou"]
    words = ["".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(400)]

    def caption() -> str:
        chosen = rng.choices(words, [1 / place for place in range(1, 401)], k=rng.randint(3, 12))
        end = rng.choice([".", "!", f", {rng.randint(0, 999)}", ""])
        return " ".join(chosen).capitalize() + end

    return [caption() for _ in range(count)]


CAPTIONS = captions_of(2000)


def strings_of(count: int) -> list[str]:
    rng = random.Random(1)
    codes = [code for code in range(0x30000) if not 0xD800 <= code < 0xE000]

    def part() -> str:
        kind = rng.random()
        if kind < 0.4:
            return rng.choice(CAPTIONS)[: rng.randint(1, 20)]
        return rng.choice(ODD) if kind < 0.8 else chr(rng.choice(codes))

    return [
        " " * rng.choice([0, 0, 1, 3])
        + "".join(part() + rng.choice(["", " ", "  "]) for _ in range(rng.randint(0, 10)))
        for _ in range(count)
    ]


def model_of(**arguments: Any) -> bytes:
    model = io.BytesIO()
    common = {"vocab_size": 500, "pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CAPTIONS),
        model_writer=model,
        num_threads=1,
        minloglevel=2,
        **{**common, **arguments},
    )
    return model.getvalue()


@pytest.fixture(scope="module")
def models() -> dict[str, bytes]:
    return {name: model_of(**arguments) for name, arguments in KINDS.items()}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def peer(kind: str, models: dict[str, bytes]) -> Any:
    return sentencepiece.SentencePieceProcessor(model_proto=models[kind])


@pytest.fixture
def tokenizer(kind: str, models: dict[str, bytes]) -> SentencePiece:
    return SentencePiece(models[kind])


def detokenized(tokenizer: SentencePiece, rows: list[list[int]]) -> list[str]:
    flat = tf.constant([place for row in rows for place in row], tf.int32)
    ids = tf.RaggedTensor.from_row_lengths(flat, [len(row) for row in rows])
    return [text.decode() for text in tokenizer.detokenize(ids).numpy()]


# --- loaded models --------------------------------------------------------------------------------


def test_equals_sentencepiece(tokenizer: SentencePiece, peer: Any, kind: str) -> None:
    texts = CAPTIONS + strings_of(3000)
    ids = tokenizer.tokenize(texts)
    rows = peer.encode(texts)
    assert ids.dtype == tf.int32
    assert ids.to_list() == rows
    assert detokenized(tokenizer, rows) == peer.decode(rows)
    has_unknown = tokenizer.unknown_id in ids.flat_values.numpy()
    assert has_unknown == (not KINDS[kind].get("byte_fallback"))


def test_any_ids_detokenize_as_in_sentencepiece(tokenizer: SentencePiece, peer: Any) -> None:
    rng = random.Random(2)
    places = range(tokenizer.vocabulary_size)
    controls = [place for place in places if peer.is_control(place)]
    special = [*controls, peer.unk_id(), peer.piece_to_id("\u2581"), *places[3:8]]
    rows = [
        [rng.choice(special if rng.random() < 0.5 else places) for _ in range(rng.randint(0, 7))]
        for _ in range(3000)
    ]
    assert detokenized(tokenizer, rows) == peer.decode(rows)


def test_the_vocabulary_and_special_ids(tokenizer: SentencePiece, peer: Any, kind: str) -> None:
    assert tokenizer.vocabulary == tuple(peer.id_to_piece(list(range(peer.vocab_size()))))
    found = (tokenizer.pad_id, tokenizer.unknown_id, tokenizer.start_id, tokenizer.end_id)
    assert found == SPECIAL_IDS[kind]
    named = (peer.unk_id(), peer.bos_id(), peer.eos_id())
    assert tuple(-1 if place is None else place for place in found[1:]) == named


@pytest.mark.parametrize("kind", LOSSLESS)
def test_is_lossless_with_bytes_and_without_normalizer(tokenizer: SentencePiece) -> None:
    texts = [text for text in strings_of(3000) if "\u2581" not in text and "\0" not in text]
    assert len(texts) > 1000
    assert detokenized(tokenizer, tokenizer.tokenize(texts).to_list()) == texts


def test_one_by_one_equals_batched_in_a_graph(models: dict[str, bytes]) -> None:
    texts = strings_of(60)
    fresh = SentencePiece(models["llama"])  # first used inside a graph
    ds = tf.data.Dataset.from_tensor_slices(texts)
    alone = list(ds.map(fresh.tokenize))
    batched = next(iter(ds.batch(60).map(fresh.tokenize)))
    again = next(iter(tf.data.Dataset.from_tensors(batched).map(fresh.detokenize)))
    assert batched.to_list() == [ids.numpy().tolist() for ids in alone]
    assert batched.to_list() == fresh.tokenize(texts).to_list()
    assert [fresh.detokenize(ids).numpy() for ids in alone] == again.numpy().tolist()


def test_special_ids_of_other_pieces_are_none(models: dict[str, bytes]) -> None:
    model = model_proto.Model.FromString(models["t5"])
    model.trainer_spec.eos_id = 500
    model.trainer_spec.bos_id = 2  # unknown, and so not control
    model.trainer_spec.pad_id = -1
    tokenizer = SentencePiece(model.SerializeToString())
    assert (tokenizer.end_id, tokenizer.start_id, tokenizer.pad_id) == (None, None, 2)


# --- files ----------------------------------------------------------------------------------------


def test_save_writes_the_same_bytes(
    tokenizer: SentencePiece, models: dict[str, bytes], kind: str, tmp_path: Path
) -> None:
    tokenizer.save(tmp_path / "new" / "some.model")
    assert (tmp_path / "new" / "some.model").read_bytes() == models[kind]
    assert SentencePiece.load(tmp_path / "new" / "some.model") == tokenizer
    assert tokenizer.cleaning == "light"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got no bytes"),
        (b"[PAD]\n[UNK]\n[START]\n[END]\na\n", "got 28 bytes, truncated or in another"),
        (b'{"version": "1.0"}', "got 18 bytes, truncated or in another format"),
        (b"\0" * 64, "got 64 bytes, truncated or in another format"),
    ],
    ids=["empty", "vocabulary", "json", "zeros"],
)
def test_files_that_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "some.model"
    path.write_bytes(content)
    with pytest.raises(
        ValueError,
        match=rf"some\.model: not a model of SentencePiece: .* a \.model file; {message}",
    ):
        SentencePiece.load(path)


def test_a_truncated_model_is_refused(models: dict[str, bytes], tmp_path: Path) -> None:
    model = models["unigram"]
    part = model_proto.Model.FromString(model)
    part.ClearField("normalizer_spec")
    trainer_ends = len(part.SerializeToString())
    part.ClearField("trainer_spec")
    ends = len(part.SerializeToString())  # where the last piece ends
    messages = set()
    for length in [
        *range(1, 400),
        ends,
        trainer_ends,
        *range(ends, len(model), 97),
        len(model) - 1,
    ]:
        with pytest.raises(ValueError, match=r"truncated|end before its normalizer") as caught:
            SentencePiece(model[:length])
        messages.add("end before" in str(caught.value))
    assert messages == {True, False}
    with pytest.raises(ValueError, match="truncated"):
        SentencePiece.load(_written(tmp_path / "cut.model", model[:-1]))


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_model_without_an_unknown_piece_is_refused(models: dict[str, bytes]) -> None:
    model = model_proto.Model.FromString(models["unigram"])
    model.pieces[1].type = model_proto.NORMAL
    with pytest.raises(ValueError, match="there must be one unknown piece; got 0"):
        SentencePiece(model.SerializeToString())


PIECES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "empty": (lambda m: put(m, piece=""), "piece 300 must have 1 to 7,999 bytes; got 0"),
    "long": (lambda m: put(m, piece="a" * 8000), "piece 300 must have 1 to 7,999 .* got 8,000"),
    "NUL": (lambda m: put(m, piece="a\0"), r"piece 300 must hold no NUL; got 'a\\x00'"),
    "twice": (lambda m: put(m, piece=m.pieces[301].piece), "each piece must occur once; got"),
    "no type": (lambda m: put(m, type=0), "piece 300 must have a type from 1 to 6; got 0"),
    "NaN": (lambda m: put(m, score=math.nan), "piece 300 must have a finite score; got nan"),
    "infinite": (lambda m: put(m, score=-math.inf), "must have a finite score; got -inf"),
    "two unknown": (lambda m: put(m, type=2), "there must be one unknown piece; got 2"),
    "none": (lambda m: m.ClearField("pieces"), "there must be one unknown piece; got 0"),
    "a byte": (lambda m: put(m, type=6), "SentencePiece says: .*byte piece .* is"),
    "kind": (lambda m: put(m.trainer_spec, model_type=5), "model_type must be from 1 to 4; got 5"),
    "bytes": (
        lambda m: put(m.trainer_spec, byte_fallback=not m.trainer_spec.byte_fallback),
        "SentencePiece says: .*byte",
    ),
    "nested": (
        lambda m: [m.pieces.add(piece="x" * n, type=4) for n in range(2, 67)],
        "at most 64 user-defined pieces may be nested prefixes; got 65",
    ),
}


def put(message: Any, **values: Any) -> None:
    """Sets fields of a part of a model; of the model itself, of its piece 300."""
    for name, value in values.items():
        setattr(message.pieces[300] if hasattr(message, "pieces") else message, name, value)


@pytest.mark.parametrize("kind", ["unigram", "llama"])
@pytest.mark.parametrize("name", PIECES)
def test_models_that_are_refused(name: str, kind: str, models: dict[str, bytes]) -> None:
    change, message = PIECES[name]
    model = model_proto.Model.FromString(models[kind])
    change(model)
    with pytest.raises(ValueError, match=rf"^SentencePiece\(model=\.\.\.\) .*{message}"):
        SentencePiece(model.SerializeToString())


def test_a_piece_that_is_not_utf8(models: dict[str, bytes]) -> None:
    piece = model_proto.Model.FromString(models["unigram"]).pieces[300].piece.encode()
    broken = models["unigram"].replace(piece, b"\xff" * len(piece), 1)
    with pytest.raises(ValueError, match=r"piece \d+ must be UTF-8; got b'"):
        SentencePiece(broken)


@pytest.mark.parametrize("kind", ["llama", "gemma", "bpe", "unigram with bytes"])
def test_pieces_that_no_text_becomes(kind: str, models: dict[str, bytes]) -> None:
    """U+0000, as in InternLM2's model, and single characters that are special or unused."""
    model = model_proto.Model.FromString(models[kind])
    places = {piece.piece: place for place, piece in enumerate(model.pieces)}
    model.pieces[places["a"]].type = model_proto.CONTROL
    model.pieces[places["e"]].type = model_proto.UNUSED
    if model.trainer_spec.byte_fallback:
        model.pieces[400].piece = "\0"
    model = model.SerializeToString()
    tokenizer, peer = SentencePiece(model), sentencepiece.SentencePieceProcessor(model_proto=model)
    texts = [*CAPTIONS[:100], *strings_of(300), "a\0b\0", "\0", "ae eb"]
    rows = peer.encode(texts)
    assert tokenizer.tokenize(texts).to_list() == rows
    rows += [[400, place, 400] for place in range(4, 450)]
    assert detokenized(tokenizer, rows) == peer.decode(rows)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["unigram", "llama"])
def test_damaged_models_are_refused_or_equal_sentencepiece(
    kind: str, models: dict[str, bytes], tmp_path: Path
) -> None:
    path = _written(tmp_path / "some.model", models[kind])
    command = [sys.executable, damaged_models.__file__, str(path), "0", "500"]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"ended at: {lines[-1:]}\n{done.stderr[-2000:]}"
    assert [line for line in lines if "WRONG" in line] == []
    outcomes = json.loads(lines[-1])
    assert sum(outcomes.values()) == 500
    assert outcomes["alike"] > 80
    assert outcomes["refused by both"] > 200


def with_charsmap(model: bytes, charsmap: bytes, spec: str = "normalizer_spec") -> bytes:
    changed = model_proto.Model.FromString(model)
    getattr(changed, spec).precompiled_charsmap = charsmap
    return bytes(changed.SerializeToString())


def trie_with(unit: int) -> bytes:
    """A charsmap with one unit that is not 0, and the text "aé"."""
    return struct.pack("<257I", 1024, *[0] * 255, unit) + "aé\0".encode()


def trie_of(rules: int) -> bytes:
    """A charsmap that replaces "a", "aa", "aaa", ... by nothing.

    Each "a" leads to its unit in the next block of 256, in which the first unit is for the text.
    """
    letter, block = ord("a"), 256
    units = [0] * block * (rules + 2)
    units[0] = block << 10
    for place in range(block, block * (rules + 1), block):
        units[place + letter] = (place + letter) ^ (place + block)  # to the next block
        units[place + letter] = units[place + letter] << 10 | 1 << 8 | letter
        units[place + block] = 1 << 31
    return struct.pack(f"<{len(units) + 1}I", 4 * len(units), *units) + b"\0"


@pytest.mark.parametrize("spec", ["normalizer_spec", "denormalizer_spec"])
@pytest.mark.parametrize(
    ("charsmap", "message"),
    [
        (b"\x10\0\0\0" + b"\xff" * 64, "a trie whose size is a multiple of 1,024 bytes; got 16"),
        (b"\0\x04\0\0" + b"\0" * 1023, "multiple of 1,024 bytes; got 1,024 bytes in 1,027"),
        (b"\0\x04\0\0" + b"\0" * 1024, "must end in a NUL"),
        (b"\0\x04\0\0" + b"\0" * 1024 + b"\xff\0", "must hold texts in UTF-8; got"),
        (b"\0\x04\0\0" + random.Random(0).randbytes(1024) + b"\0", "units point into it"),
        (trie_with(1 << 31 | 5), "units point into it and into its texts"),
        (trie_with(1 << 31 | 2), "units point to where a character begins"),
        (trie_with(1 << 8), "a trie with a text for each rule"),
        (trie_of(33), "at most 32 rules, each a prefix of the next"),
    ],
    ids=[
        "size",
        "short",
        "no texts",
        "UTF-8",
        "random",
        "far text",
        "half text",
        "no text",
        "nested",
    ],
)
def test_charsmaps_that_are_refused(
    charsmap: bytes, message: str, spec: str, models: dict[str, bytes]
) -> None:
    with pytest.raises(ValueError, match=rf"{spec}\.precompiled_charsmap .*{message}"):
        SentencePiece(with_charsmap(models["unigram"], charsmap, spec))


def test_a_charsmap_with_many_rules(models: dict[str, bytes]) -> None:
    model = with_charsmap(models["unigram"], trie_of(32))
    peer = sentencepiece.SentencePieceProcessor(model_proto=model)
    texts = ["a" * count + "b" for count in range(40)] + CAPTIONS[:20]
    assert SentencePiece(model).tokenize(texts).to_list() == peer.encode(texts)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.model"):
        SentencePiece.load(tmp_path / "none.model")


# --- learning -------------------------------------------------------------------------------------


def test_learning_is_quiet_and_reaches_the_asked_size(capfd: pytest.CaptureFixture[str]) -> None:
    learned = SentencePiece.learn(iter(CAPTIONS[:300]), vocabulary_size=300)
    assert learned.vocabulary_size == 300
    assert SentencePiece.learn(CAPTIONS[:300], vocabulary_size=300) == learned
    assert 300 < SentencePiece.learn(CAPTIONS[:300], vocabulary_size=10**6).vocabulary_size < 2000
    assert capfd.readouterr() == ("", "")
    found = (learned.pad_id, learned.unknown_id, learned.start_id, learned.end_id)
    assert found == (0, 1, 2, 3)


@pytest.mark.parametrize(
    "captions", [["a"], ["漢"], ["a b"] * 3, ["\u200ba"], CAPTIONS[:2]], ids=ascii
)
def test_a_few_captions_are_enough(captions: list[str]) -> None:
    learned = SentencePiece.learn(captions)
    ids = learned.tokenize(captions)
    assert learned.unknown_id not in ids.flat_values.numpy()
    assert detokenized(learned, ids.to_list()) == [text.replace("\u200b", "") for text in captions]


def test_each_character_and_each_caption_counts() -> None:
    rare = ["long " * 3000 + "\u0416", "\u5b57\U0001f600", "&"]
    learned = SentencePiece.learn([*CAPTIONS, *rare], vocabulary_size=300)
    assert {"\u0416", "\u5b57", "\U0001f600", "&"} <= set("".join(learned.vocabulary))


def test_reserved_tokens_are_control_pieces() -> None:
    learned = SentencePiece.learn(CAPTIONS[:300], vocabulary_size=200, reserved_tokens=("[IMG]",))
    words = learned.tokenize(CAPTIONS[0]).numpy().tolist()
    assert learned.detokenize([4, *words, 4]).numpy().decode() == CAPTIONS[0]


@pytest.mark.parametrize(("captions", "size"), [(CAPTIONS, 20), (["\u200b"], 100)])
def test_what_sentencepiece_cannot_learn(captions: list[str], size: int) -> None:
    message = rf"needs text, and room for each .*; got vocabulary_size={size}\. sentencepiece says"
    with pytest.raises(ValueError, match=message):
        SentencePiece.learn(captions, vocabulary_size=size)


def test_what_the_stream_raises_comes_through() -> None:
    def stream() -> Iterator[str]:
        yield "a boat"
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        SentencePiece.learn(stream())


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(ImportError, match=r'pip install "mmdata\[text\]"'):
        SentencePiece.learn(["a boat"])
