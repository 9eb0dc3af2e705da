"""Tests of all tokenizers; Word, WordPiece and Byte against slow versions in Python."""

import copy
import dataclasses
import itertools
import json
import os
import pickle
import random
import re
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmdata.stages.clean import Clean
from mmdata.stages.pack import Pack
from mmdata.tokenizers import Byte, BytePair, Tokenizer, Word, WordPiece, sentence_piece
from mmdata.tokenizers.character import Character
from mmdata.tokenizers.sentence_piece import SentencePiece
from mmdata.tokenizers.vocabulary_tokenizer import SPECIAL_TOKENS, VocabularyTokenizer

KINDS = ["word", "wordpiece", "byte", "character", "sentencepiece"]
Learned = type[Word | WordPiece | Character | SentencePiece]
LEARNED: list[Learned] = [Word, WordPiece, Character, SentencePiece]
FORGED = ["[PAD] a [START] boat [END]", "[UNK]", "[pad]", "[START][END]", "[PAD]"]


def cleaned(captions: list[str]) -> list[str]:
    texts = Clean()({"caption": tf.constant(captions)})["caption"].numpy()
    return [text.decode() for text in texts]


def texts_of(strings: Any) -> list[str]:
    return [text.decode() for text in np.asarray(strings, object).ravel()]


@pytest.fixture(scope="module")
def captions() -> list[str]:
    folder = Path(__file__).parents[2] / "sample_data" / "captions"
    paths = sorted(folder.rglob("*.txt"))[::4]
    return cleaned([line for path in paths for line in path.read_text("utf-8").splitlines()])


@pytest.fixture(scope="module")
def coco_captions(coco: Path) -> list[str]:
    file = coco / "annotations" / "captions_train2017.json"
    notes = json.loads(file.read_text("utf-8"))["annotations"]
    return cleaned([note["caption"] for note in notes])


@pytest.fixture(scope="module")
def tokenizers(captions: list[str]) -> dict[str, Tokenizer]:
    # A Word that forgot rare words, and a Character rare characters, so that some are unknown.
    return {
        "word": Word.learn(captions, vocabulary_size=100),
        "wordpiece": WordPiece.learn(captions, vocabulary_size=150),
        "byte": Byte(),
        "character": Character.learn(captions, vocabulary_size=25),
        "sentencepiece": SentencePiece.learn(captions, vocabulary_size=150),
    }


@pytest.fixture(params=KINDS)
def tokenizer(request: pytest.FixtureRequest, tokenizers: dict[str, Tokenizer]) -> Tokenizer:
    return tokenizers[request.param]


# --- what holds for all ---------------------------------------------------------------------------


def test_special_tokens(tokenizer: Tokenizer) -> None:
    is_listed = isinstance(tokenizer, VocabularyTokenizer)
    expected = SPECIAL_TOKENS if is_listed else ("<pad>", "<unk>", "<s>", "</s>")
    assert tokenizer.vocabulary[:4] == expected
    assert tokenizer.vocabulary_size == len(set(tokenizer.vocabulary))
    ids = (tokenizer.pad_id, tokenizer.unknown_id, tokenizer.start_id, tokenizer.end_id)
    assert ids == (0, 1, 2, 3)


SHAPES = [(), (6,), (2, 3), (3, 1, 2), (0,), (0, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_leading_shape(tokenizer: Tokenizer, shape: tuple[int, ...]) -> None:
    texts = ["three red boats", "", "a boat, at night", "the", "a umbrella zebra", "red"]
    texts = texts[: int(np.prod(shape))]
    alone = [tokenizer.tokenize(text).numpy().tolist() for text in texts]
    decoded_alone = [texts_of(tokenizer.detokenize(row))[0] for row in alone]
    given = tf.reshape(tf.constant(texts, tf.string), shape)
    ds = tf.data.Dataset.from_tensors(given).map(tokenizer.tokenize)
    for ids in (tokenizer.tokenize(given), next(iter(ds))):
        assert ids.dtype == tf.int32
        assert ids.shape.rank == len(shape) + 1
        assert ids.shape[1:-1] == shape[1:]
        flat = ids.merge_dims(0, -2) if len(shape) > 1 else ids
        assert (flat.to_list() if shape else [flat.numpy().tolist()]) == alone
        decoded = tokenizer.detokenize(ids)
        decoded = decoded.to_tensor() if isinstance(decoded, tf.RaggedTensor) else decoded
        assert decoded.shape[: len(shape)] == shape or not texts
        assert texts_of(decoded) == decoded_alone


def test_one_by_one_equals_batched(tokenizer: Tokenizer, captions: list[str]) -> None:
    some = captions[:40]
    fresh = copy.deepcopy(tokenizer)  # first used inside a graph
    ds = tf.data.Dataset.from_tensor_slices(some)
    batched = list(ds.batch(16).map(fresh.tokenize))
    alone = [ids.numpy().tolist() for ids in ds.map(fresh.tokenize)]
    assert tokenizer.tokenize(some).to_list() == alone
    assert [row for batch in batched for row in batch.to_list()] == alone


TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=15), max_size=8)


@settings(max_examples=40)
@given(texts=TEXTS)
@example(texts=FORGED)
def test_no_text_makes_special_ids(tokenizers: dict[str, Tokenizer], texts: list[str]) -> None:
    for tokenizer in tokenizers.values():
        ids = tokenizer.tokenize(tf.constant(texts, tf.string)).flat_values.numpy()
        assert not set(ids.tolist()) & {0, 2, 3}
        assert all(0 < i < tokenizer.vocabulary_size for i in ids)


RESERVED = ("[IMG]", "<box>")


@pytest.mark.parametrize("kind", LEARNED)
def test_special_tokens_in_captions_are_learned_as_text(kind: Learned) -> None:
    forged = [*FORGED, "<pad> <unk> <s> </s>", "[IMG] <box>"]
    tokenizer = kind.learn(forged, vocabulary_size=1000, reserved_tokens=RESERVED)
    ids = tokenizer.tokenize(forged)
    assert not set(ids.flat_values.numpy().tolist()) & {0, 2, 3, 4, 5}
    if kind is SentencePiece:  # learns nothing from what looks like its own special tokens
        ids, forged = ids[: len(FORGED)], FORGED
    decoded = [text.replace(" ", "") for text in texts_of(tokenizer.detokenize(ids))]
    assert decoded == [text.replace(" ", "") for text in forged]


@pytest.mark.parametrize("kind", LEARNED)
def test_reserved_tokens(kind: Learned, captions: list[str], tmp_path: Path) -> None:
    plain = kind.learn(captions, vocabulary_size=60)
    tokenizer = kind.learn(captions, vocabulary_size=62, reserved_tokens=RESERVED)
    assert tokenizer.vocabulary[4:6] == RESERVED
    assert tokenizer.vocabulary_size == plain.vocabulary_size + 2 <= 62
    if kind is not SentencePiece:  # which scores its pieces again
        assert tokenizer.vocabulary == (*plain.vocabulary[:4], *RESERVED, *plain.vocabulary[4:])
    tokenizer.save(tmp_path / "some")
    again = kind.load(tmp_path / "some")
    assert again == tokenizer
    assert not {4, 5} & set(again.tokenize("[IMG]<box> IMG box [ IMG ]").numpy().tolist())


@pytest.mark.parametrize("kind", LEARNED)
@pytest.mark.parametrize(
    ("reserved", "message"),
    [
        (("IMG",), r"must be in brackets .*; got \['IMG'\]"),
        (
            ("##a", "[]", "[a b]", "<a", "a>"),
            r"must be in brackets .*; got \['##a', '<a', '\[\]', '\[a b\]', 'a>'\]",
        ),
        (("[A]\n",), "must be in brackets"),
        (("[A]", "[A]"), r"must differ .*; got duplicates of \['\[A\]'\]"),
        ("[A]", r"must be a tuple of strings; got '\[A\]'"),
    ],
)
def test_reserved_tokens_that_are_refused(kind: Learned, reserved: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"reserved_tokens=\.\.\. {message}"):
        kind.learn(["a boat"], reserved_tokens=reserved)


@pytest.mark.parametrize("kind", LEARNED)
def test_special_tokens_cannot_be_reserved(kind: Learned) -> None:
    special = sentence_piece.SPECIAL_TOKENS if kind is SentencePiece else SPECIAL_TOKENS
    for token in special:
        with pytest.raises(ValueError, match=r"must differ .* and from .*; got duplicates of"):
            kind.learn(["a boat"], reserved_tokens=(token,))


@pytest.mark.parametrize("kind", LEARNED)
def test_reserved_tokens_count(kind: Learned) -> None:
    with pytest.raises(ValueError, match="an int above 6, the number of special and reserved"):
        kind.learn(["a boat"], vocabulary_size=6, reserved_tokens=RESERVED)


def test_detokenize_leaves_out_special_tokens_but_the_unknown(tokenizer: Tokenizer) -> None:
    words = tokenizer.tokenize("the red boat").numpy().tolist()
    mixed = [2, 0, *words, 3, 0, 0, 2, *words, 3]
    expected = texts_of(tokenizer.detokenize(words + words))
    assert texts_of(tokenizer.detokenize(mixed)) == expected
    assert texts_of(tokenizer.detokenize([[0, 2, 3], [3, 3, 3]])) == ["", ""]
    unknown = " \u2047 " if isinstance(tokenizer, SentencePiece) else "[UNK]"
    assert texts_of(tokenizer.detokenize([1])) == [unknown]


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
def test_detokenize_dense_equals_ragged(
    tokenizer: Tokenizer, captions: list[str], dtype: Any
) -> None:
    ids = tf.cast(tokenizer.tokenize(captions[:20]), dtype)
    ragged = texts_of(tokenizer.detokenize(ids))
    assert texts_of(tokenizer.detokenize(ids.to_tensor(0))) == ragged
    assert texts_of(tf.function(tokenizer.detokenize)(ids)) == ragged


def test_detokenize_after_packing(tokenizer: Tokenizer, captions: list[str]) -> None:
    ids = tokenizer.tokenize(captions[:20])
    packed = Pack(length=12, start_id=2, end_id=3)({"token_ids": ids})["token_ids"]
    assert texts_of(tokenizer.detokenize(packed)) == texts_of(tokenizer.detokenize(ids[:, :10]))


@pytest.mark.parametrize("bad", [-1, "size", 2**31 - 1, 2**32 + 5], ids=str)
@pytest.mark.parametrize("ragged", [False, True], ids=["dense", "ragged"])
def test_ids_out_of_range(tokenizer: Tokenizer, bad: int | str, ragged: bool) -> None:
    bad = tokenizer.vocabulary_size if isinstance(bad, str) else bad
    ids = tf.constant([[4, 5], [4, bad]], tf.int64)
    ids = tf.RaggedTensor.from_tensor(ids) if ragged else ids
    with pytest.raises(tf.errors.InvalidArgumentError):
        tokenizer.detokenize(ids)


def test_ids_out_of_range_in_graph(tokenizer: Tokenizer) -> None:
    ds = tf.data.Dataset.from_tensors([4, tokenizer.vocabulary_size]).map(tokenizer.detokenize)
    with pytest.raises(tf.errors.InvalidArgumentError, match="takes ids below vocabulary_size="):
        next(iter(ds))


# --- values and files -----------------------------------------------------------------------------


def test_is_a_value(tokenizer: Tokenizer) -> None:
    tokenizer.tokenize("a boat")  # whatever that keeps is no part of the value
    same = [
        dataclasses.replace(tokenizer),  # type: ignore[type-var]
        copy.deepcopy(tokenizer),
        pickle.loads(pickle.dumps(tokenizer)),
    ]
    for other in same:
        assert other == tokenizer
        assert hash(other) == hash(tokenizer)
        assert other.fingerprint == tokenizer.fingerprint
        assert other.tokenize("a boat").numpy().tolist() == (
            tokenizer.tokenize("a boat").numpy().tolist()
        )
    name = type(tokenizer).__name__
    assert repr(tokenizer) == f"<{name} tokenizer, {tokenizer.vocabulary_size:,} tokens>"


def test_differ_by_class_and_vocabulary() -> None:
    some = [
        Byte(),
        Character((*SPECIAL_TOKENS, "a", "b")),
        Word((*SPECIAL_TOKENS, "a", "b")),
        WordPiece((*SPECIAL_TOKENS, "a", "b")),
        Word((*SPECIAL_TOKENS, "b", "a")),
        Word((*SPECIAL_TOKENS, "ab")),
        Word((*SPECIAL_TOKENS, "a b")),
    ]
    assert all(a != b for i, a in enumerate(some) for b in some[:i])
    fingerprints = {tokenizer.fingerprint for tokenizer in some}
    assert len(fingerprints) == len(some)
    assert all(re.fullmatch("[0-9a-f]{32}", fingerprint) for fingerprint in fingerprints)


@pytest.mark.parametrize("kind", [Word, Character])
@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        ((), r"must begin with \[PAD\], \[UNK\], \[START\], \[END\]"),
        (SPECIAL_TOKENS, "followed by other tokens; got 4 token"),
        (("a", *SPECIAL_TOKENS), "must begin with"),
        (("[UNK]", "[PAD]", "[START]", "[END]", "a"), "must begin with"),
        ((*SPECIAL_TOKENS, "a", "b", "a"), r"each token once; got duplicates of \['a'\]"),
        ((*SPECIAL_TOKENS, "a", "[PAD]"), r"each token once; got duplicates of \['\[PAD\]'\]"),
        ((*SPECIAL_TOKENS, "a", "b\nc"), r"line feed, .*; got 'b\\nc'.*vocabulary\[5\]"),
        ((*SPECIAL_TOKENS, "", "b"), r"no empty token, .*; got ''.*vocabulary\[4\]"),
        ((*SPECIAL_TOKENS, "\ud800"), r"half of a surrogate pair, .*; got '\\ud800'"),
    ],
    ids=[
        *("empty", "no tokens", "not first", "order", "twice", "special twice", "line feed"),
        *("empty token", "surrogate"),
    ],
)
def test_vocabularies_that_are_refused(
    kind: type[Word | Character], vocabulary: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=rf"{kind.__name__}\(vocabulary=\.\.\.\) .*{message}"):
        kind(vocabulary)


def test_byte_takes_no_other_vocabulary() -> None:
    with pytest.raises(ValueError, match=r"must be the special tokens and <0x00> to <0xFF>"):
        Byte((*SPECIAL_TOKENS, "a"))


def test_save_and_load(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "new" / "vocabulary.txt"
    tokenizer.save(path)
    assert type(tokenizer).load(path) == tokenizer
    assert type(tokenizer).load(str(path)) == tokenizer
    assert os.listdir(path.parent) == ["vocabulary.txt"]
    if isinstance(tokenizer, VocabularyTokenizer):
        assert path.read_bytes().decode().split("\n") == [*tokenizer.vocabulary, ""]


ODD = ("\u2028", "\x85", "\r", "a\r", "\v", "\f", "\x1c", "\0", " ", "é", "e\u0301", "\ufeff")


@pytest.mark.parametrize("last", ODD, ids=ascii)
def test_unusual_tokens_survive_a_file(last: str, tmp_path: Path) -> None:
    tokenizer = Word((*SPECIAL_TOKENS, *(token for token in ODD if token != last), last))
    tokenizer.save(tmp_path / "odd.txt")
    assert Word.load(tmp_path / "odd.txt") == tokenizer


def test_a_failed_save_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    path = tmp_path / "vocabulary.txt"
    old = Word((*SPECIAL_TOKENS, "old"))
    old.save(path)
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        Word((*SPECIAL_TOKENS, "new")).save(path)
    assert os.listdir(tmp_path) == ["vocabulary.txt"]
    assert Word.load(path) == old


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must (begin with|hold)"),
        (b"a\nb\n", "must (begin with|hold)"),
        (b"[PAD]\r\n[UNK]\r\n[START]\r\n[END]\na\n", "must (begin with|hold)"),
        (b"[PAD]\n[UNK]\n[START]\n[END]\n\xff\xfe\n", "can't decode byte 0xff"),
        (b"[PAD]\n[UNK]\n[START]\n[END]\na\nb\na\n", "each token once"),
        (b"[PAD]\n[UNK]\n[START]\n[END]\na\n\n\n", "each token once"),
    ],
    ids=["empty", "no special tokens", "some CR LF", "not UTF-8", "twice", "blank lines"],
)
@pytest.mark.parametrize("kind", [Word, WordPiece, Character])
def test_files_that_are_refused(
    kind: type[Word | WordPiece | Character], content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "some.txt"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=rf"some\.txt: not a vocabulary of {kind.__name__}: .*{message}"
    ):
        kind.load(path)


@pytest.mark.parametrize("begin", [b"", b"\xef\xbb\xbf"], ids=["", "byte order mark"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CR LF"])
def test_files_as_other_systems_write_them(begin: bytes, end: bytes, tmp_path: Path) -> None:
    tokens = (*SPECIAL_TOKENS, "a", "b")
    (tmp_path / "some.txt").write_bytes(begin + end.join(t.encode() for t in tokens) + end)
    assert WordPiece.load(tmp_path / "some.txt") == WordPiece(tokens)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.txt"):
        Word.load(tmp_path / "none.txt")


# --- learning -------------------------------------------------------------------------------------


def test_wordpiece_learns_no_nul() -> None:
    learned = WordPiece.learn(["a\0b", "\0", "ab ab"])
    assert learned.tokenize("a\0 b")[0] == learned.vocabulary.index("a")


@pytest.mark.parametrize("kind", LEARNED)
def test_learning_does_not_depend_on_the_order_of_captions(
    kind: Learned, captions: list[str]
) -> None:
    shuffled = random.Random(0).sample(captions, len(captions))
    size = 30 if kind is Character else 90
    learned = kind.learn(captions, vocabulary_size=size)
    assert kind.learn(iter(shuffled), vocabulary_size=size) == learned
    assert learned.vocabulary_size == size


@pytest.mark.parametrize("kind", LEARNED)
def test_learning_reaches_the_asked_size(kind: Learned, coco_captions: list[str]) -> None:
    assert len(coco_captions) == 400
    size = 30 if kind is Character else 300
    assert kind.learn(coco_captions, vocabulary_size=size).vocabulary_size == size
    everything = kind.learn(coco_captions, vocabulary_size=100_000)
    sizes = {Character: (35, 50), SentencePiece: (500, 1000), WordPiece: (1000, 2000)}
    least, most = sizes.get(kind, (800, 1000))
    assert least < everything.vocabulary_size < most
    assert 1 not in everything.tokenize(coco_captions).flat_values.numpy()


@pytest.mark.parametrize("size", [5, 6, 7, 8, 1000])
def test_word_learns_the_most_common_first_and_ties_by_alphabet(size: int) -> None:
    captions = ["b b b", "d a", "a d", "zoo c", ""]
    tokens = ("b", "a", "d", "c", "zoo")
    assert Word.learn(captions, vocabulary_size=size).vocabulary == (
        *SPECIAL_TOKENS,
        *tokens[: size - 4],
    )


def joined(captions: list[str], count: int) -> list[str]:
    """The first pieces that `WordPiece` joins, slowly; `captions` have only letters and spaces."""
    words = Counter(word for text in captions for word in text.split())
    letters = Counter(letter for text in captions for letter in text if letter != " ")
    ranked = sorted(letters, key=lambda letter: (-letters[letter], letter))
    pieces = [*ranked, *(f"##{letter}" for letter in ranked)]
    age = {piece: place for place, piece in enumerate(pieces)}
    spelled = {word: [word[0], *(f"##{letter}" for letter in word[1:])] for word in words}
    while len(pieces) < 2 * len(ranked) + count:
        pairs = Counter(
            pair
            for word, parts in spelled.items()
            for pair in itertools.pairwise(parts)
            for _ in range(words[word])
        )
        left, right = min(pairs, key=lambda pair: (-pairs[pair], age[pair[0]], age[pair[1]]))
        pieces.append(left + right.removeprefix("##"))
        age.setdefault(pieces[-1], len(age))
        for parts in spelled.values():
            for place in range(len(parts) - 1):
                if parts[place : place + 2] == [left, right]:
                    parts[place : place + 2] = [pieces[-1]]
    return pieces


def test_wordpiece_joins_the_most_common_pair_and_of_equal_ones_the_oldest() -> None:
    captions = ["the the the cat", "cat bad ace tad dad cad", "the banana band bandana"]
    expected = joined(captions, 12)
    assert expected[14:18] != sorted(expected[14:18])
    learned = WordPiece.learn(captions, vocabulary_size=4 + len(expected))
    assert learned.vocabulary == (*SPECIAL_TOKENS, *expected)


def test_wordpiece_has_no_inner_piece_of_what_is_always_alone() -> None:
    vocabulary = WordPiece.learn(["a 犬, 5€!"]).vocabulary
    assert {"a", "犬", ",", "5", "€", "!", "##a", "##5", "##€"} == set(vocabulary[4:])


def test_wordpiece_learns_pieces_of_words() -> None:
    captions = ["biking diking liking piking", "barked larked parked", "a a a a a"]
    learned = WordPiece.learn(captions, vocabulary_size=40)
    assert {"##iking", "##arked"} <= set(learned.vocabulary)
    assert texts_of(learned.detokenize(learned.tokenize("parking"))) == ["parking"]


def test_wordpiece_learns_no_longer_pieces_than_it_can_hold() -> None:
    words = ["😀" * 99, "ж" * 99, "ж" * 101, "a" * 101]
    learned = WordPiece.learn(words)
    assert 1 not in learned.tokenize(words[:2]).flat_values.numpy()
    assert max(len(token.encode()) for token in learned.vocabulary) <= 256
    assert "aa" not in learned.vocabulary


@pytest.mark.parametrize("kind", [WordPiece, BytePair])
def test_equally_common_pieces_are_always_learned_alike(kind: type[WordPiece | BytePair]) -> None:
    captions = [f"{a}{b}{c} {c}{a}" for a in "bcdfg" for b in "aeiou" for c in "lmnrst"]
    learned = set()
    for seed in range(8):
        random.Random(seed).shuffle(captions)
        learned.add(kind.learn(captions, vocabulary_size=330 if kind is BytePair else 90))
    assert len(learned) == 1


@pytest.mark.parametrize("kind", LEARNED)
def test_every_caption_of_a_long_stream_counts(kind: Learned) -> None:
    stream = (text for text in ["a"] * 5000 + ["b"] * 5001 + ["c"])
    learned = kind.learn(stream, vocabulary_size=20).vocabulary
    if kind is SentencePiece:
        learned = tuple(token.strip("\u2581") for token in learned)
    assert set(learned[4:]) >= {"a", "b", "c"}
    if kind is Word:
        assert learned[4:] == ("b", "a", "c")


@pytest.mark.parametrize("kind", LEARNED)
@pytest.mark.parametrize("captions", [[], [""], ["", " ", "\t"]], ids=repr)
def test_nothing_to_learn_from(kind: Learned, captions: list[str]) -> None:
    with pytest.raises(ValueError, match="at least one caption with text; got none"):
        kind.learn(captions)


@pytest.mark.parametrize("kind", LEARNED)
@pytest.mark.parametrize("size", [4, 0, -1, 8000.0, "8000", None], ids=repr)
def test_sizes_that_are_refused(kind: Learned, size: Any) -> None:
    with pytest.raises(ValueError, match=r"vocabulary_size=\.\.\. must be an int above 4.*; got"):
        kind.learn(["a boat"], vocabulary_size=size)


# --- Word -----------------------------------------------------------------------------------------


def words_of(text: str) -> list[str]:
    """The words of `Word`, by the categories of their characters."""

    def kind(character: str) -> str:
        if unicodedata.category(character)[0] in "LMN":
            return "w"
        return {"'": "j", "’": "j", "-": "j", " ": " "}.get(character, "o")  # noqa: RUF001

    kinds = "".join(map(kind, text))
    return [text[found.start() : found.end()] for found in re.finditer("w+(?:jw+)*|[jo]", kinds)]


# Characters that Unicode 3.2 had: RE2's and Python's versions of Unicode agree about them.
OLD = st.characters(max_codepoint=0x2FFFF, exclude_categories=["Cs"]).filter(
    lambda character: unicodedata.ucd_3_2_0.category(character) != "Cn"
)
CLOSE = st.text(OLD | st.sampled_from("ab12'’-.,!?() é\u0301"), max_size=20)  # noqa: RUF001


@given(texts=st.lists(CLOSE, min_size=1, max_size=8))
@example(texts=["don't rock-n-roll, it’s 12.5 -- 'so' a-'b' x'"])  # noqa: RUF001
def test_word_equals_oracle(texts: list[str]) -> None:
    texts = cleaned(texts)
    counts = Counter(word for text in texts for word in words_of(text))
    if not counts:
        return
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    tokenizer = Word.learn(texts, vocabulary_size=5 + len(ranked) // 2)
    assert tokenizer.vocabulary[4:] == tuple(ranked[: 1 + len(ranked) // 2])
    place = {word: place for place, word in enumerate(tokenizer.vocabulary)}
    expected = [[place.get(word, 1) for word in words_of(text)] for text in texts]
    assert tokenizer.tokenize(texts).to_list() == expected


@pytest.mark.parametrize("kind", LEARNED)
def test_captions_come_back(kind: Learned, captions: list[str], coco_captions: list[str]) -> None:
    # All but a space before a full stop, which nobody wants back.
    written = [re.sub(r" ([.,])", r"\1", text) for text in captions + coco_captions]
    tokenizer = kind.learn(written)
    assert texts_of(tokenizer.detokenize(tokenizer.tokenize(written))) == written


@pytest.mark.parametrize("kind", [Word, WordPiece])
@pytest.mark.parametrize(
    "text",
    [
        "a well-known dog's bone",
        "rock-n-roll, 5-o'clock a-b-c-d-e",
        "hello, world! (really?) yes; no: ok.",
        "[a] {b} 50%",
        "",
    ],
)
def test_punctuation_comes_back(kind: type[Word | WordPiece], text: str) -> None:
    tokenizer = kind.learn([text, "x"])
    again = tokenizer.detokenize(tokenizer.tokenize([text]))
    assert texts_of(again) == [text]


def test_unknown_words() -> None:
    tokenizer = Word((*SPECIAL_TOKENS, "a", "boat"))
    ids = tokenizer.tokenize("a purple boat")
    assert ids.numpy().tolist() == [4, 1, 5]
    assert texts_of(tokenizer.detokenize(ids)) == ["a [UNK] boat"]


# --- WordPiece ------------------------------------------------------------------------------------


def pieces_of(word: str, vocabulary: dict[str, int]) -> list[int]:
    """Longest match first, from the left; all or nothing."""
    ids: list[int] = []
    begin = 0
    while begin < len(word):
        prefix = "##" if begin else ""
        ends = range(len(word), begin, -1)
        end = next((end for end in ends if prefix + word[begin:end] in vocabulary), None)
        if end is None:
            return [1]
        ids.append(vocabulary[prefix + word[begin:end]])
        begin = end
    return ids


PIECE = st.text("abé", min_size=1, max_size=4)
PIECES = st.lists(PIECE | PIECE.map("##".__add__), min_size=1, max_size=12, unique=True)


@settings(max_examples=25)
@given(pieces=PIECES, texts=st.lists(st.text("abé .-'", max_size=12), min_size=1, max_size=6))
@example(pieces=["a", "ab", "##b", "##bab"], texts=["abab abb ba", "a-ab'a"])
def test_wordpiece_equals_longest_match_first(pieces: list[str], texts: list[str]) -> None:
    tokenizer = WordPiece((*SPECIAL_TOKENS, *pieces, "-"))
    places = {piece: place for place, piece in enumerate(tokenizer.vocabulary)}
    expected = [
        [i for word in re.findall("[abé]+|[.'-]", text) for i in pieces_of(word, places)]
        for text in texts
    ]
    assert tokenizer.tokenize(texts).to_list() == expected


def test_wordpiece_equals_longest_match_first_on_captions(
    tokenizers: dict[str, Tokenizer], coco_captions: list[str]
) -> None:
    tokenizer = tokenizers["wordpiece"]
    places = {piece: place for place, piece in enumerate(tokenizer.vocabulary)}
    expected = [
        [i for word in re.findall(r"[^\W_]+|[^\w\s]|_", text) for i in pieces_of(word, places)]
        for text in coco_captions
    ]
    ids = tokenizer.tokenize(coco_captions).to_list()
    assert ids == expected
    assert {1} < {i for row in ids for i in row}


def test_wordpiece_keeps_words_of_a_hundred_bytes() -> None:
    tokenizer = WordPiece((*SPECIAL_TOKENS, "a", "##a"))
    assert tokenizer.tokenize(["a" * 100]).to_list() == [[4] + [5] * 99]
    assert tokenizer.tokenize(["a" * 101 + " a"]).to_list() == [[1, 4]]


# --- Byte -----------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(texts=TEXTS.filter(bool))
@example(texts=["", "\0", "a\0\0", "é👩‍🚀", "[PAD]"])
def test_byte_is_lossless(texts: list[str]) -> None:
    tokenizer = Byte()
    ids = tokenizer.tokenize(texts)
    assert ids.to_list() == [[byte + 4 for byte in text.encode()] for text in texts]
    assert texts_of(tokenizer.detokenize(ids)) == texts
    padded = Pack(length=40, start_id=2, end_id=3)({"token_ids": ids})["token_ids"]
    whole = [text.encode()[:38].decode("utf-8", "replace") for text in texts]
    assert texts_of(tokenizer.detokenize(padded)) == whole


def test_byte_makes_utf8_of_any_ids() -> None:
    assert texts_of(Byte().detokenize([[0xFF + 4, 0x41 + 4], [0xC3 + 4, 3]])) == [
        "\ufffdA",
        "\ufffd",
    ]
    assert Byte().vocabulary_size == 260
