"""BytePair, against Hugging Face's tokenizers and a slow version in Python."""

import copy
import json
import pickle
import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tokenizers as rust
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strings import generated  # type: ignore[import-not-found]

from mmdata.stages.pack import Pack
from mmdata.tokenizers.bpe_merges import ALPHABET, Merge
from mmdata.tokenizers.byte_pair import SPECIAL_TOKENS, BytePair

LETTERS = tuple(ALPHABET.values())


def texts_of(strings: Any) -> list[str]:
    return [text.decode() for text in np.asarray(strings, object).ravel()]


def byte_pair(*merges: str, special: Sequence[str] = SPECIAL_TOKENS) -> BytePair:
    """A tokenizer of merges that are written as in their files."""
    pairs = tuple((left, right) for left, right in (merge.split(" ") for merge in merges))
    return BytePair((*special, *LETTERS, *(left + right for left, right in pairs)), pairs)


def reference_of(tokenizer: BytePair) -> Callable[[list[str]], list[list[int]]]:
    """Hugging Face's tokenizer of that vocabulary, without special tokens."""
    places = {token: place for place, token in enumerate(tokenizer.vocabulary)}
    reference = rust.Tokenizer(rust.models.BPE(vocab=places, merges=list(tokenizer.merges)))
    reference.pre_tokenizer = rust.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return lambda texts: [encoding.ids for encoding in reference.encode_batch(texts)]


def differing(tokenizer: BytePair, texts: list[str]) -> list[Any]:
    rows = zip(
        texts, tokenizer.tokenize(texts).to_list(), reference_of(tokenizer)(texts), strict=True
    )
    return [(text, row, other) for text, row, other in rows if row != other]


@pytest.fixture(scope="module")
def captions() -> list[str]:
    folder = Path(__file__).parents[2] / "sample_data" / "captions"
    paths = sorted(folder.rglob("*.txt"))
    return [line for path in paths for line in path.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    texts: list[str] = generated(20_000)
    return texts


@pytest.fixture(scope="module")
def tokenizer(captions: list[str], texts: list[str]) -> BytePair:
    """Knows captions, and odd texts as well, so that there are merges of all kinds."""
    return BytePair.learn([*captions, *texts[:500]], vocabulary_size=1000)


# --- the same tokens ------------------------------------------------------------------------------


def test_generated_texts(tokenizer: BytePair, texts: list[str]) -> None:
    assert tokenizer.vocabulary_size == 1000
    assert differing(tokenizer, texts) == []


def test_sample_captions(tokenizer: BytePair, captions: list[str]) -> None:
    assert len(captions) > 500
    assert differing(tokenizer, captions) == []


def test_coco_captions(coco: Path) -> None:
    file = coco.parent / "coco_captions_val2017.json"
    if not file.is_file():
        pytest.skip(f"needs COCO's captions in {file}")
    notes = json.loads(file.read_text("utf-8"))["annotations"]
    captions = [note["caption"] for note in notes]
    tokenizer = BytePair.learn(captions)
    assert (len(captions), tokenizer.vocabulary_size) == (25_014, 8000)
    assert differing(tokenizer, captions) == []
    assert texts_of(tokenizer.detokenize(tokenizer.tokenize(captions))) == captions


SPACES = "".join(map(chr, [*range(9, 14), *range(28, 33), 0x85, 0xA0, 0x1680, 0x180E, 0x2003]))
SPACES += "\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"


def test_white_space(tokenizer: BytePair) -> None:
    chance = random.Random(0)
    kinds = [*SPACES, *"      \n\n", "a", "'", "'s", "1", "!", "é"]
    texts = ["".join(chance.choices(kinds, k=chance.randrange(1, 9))) for _ in range(5000)]
    assert differing(tokenizer, texts) == []


def slowly(word: str, merges: Sequence[Merge]) -> list[str]:
    parts = list(word)
    while True:
        pairs = list(pairwise(parts))
        best = min((merge for merge in pairs if merge in merges), key=merges.index, default=None)
        if best is None:
            return parts
        place = pairs.index(best)
        parts[place : place + 2] = ["".join(best)]


@st.composite
def some_merges(draw: st.DrawFn) -> list[str]:
    """Random merges, as no text gives them: some can never be applied."""
    tokens = ["a", "b"]
    merges = []
    for _ in range(draw(st.integers(1, 9))):
        left, right = draw(st.sampled_from(tokens)), draw(st.sampled_from(tokens))
        if left + right not in tokens:
            tokens.append(left + right)
            merges.append(f"{left} {right}")
    return merges


@settings(max_examples=40)
@given(merges=some_merges(), words=st.lists(st.text("ab", min_size=1, max_size=14), min_size=50))
@example(merges=["b b", "a b", "ab b"], words=["abb", "babbb"])
@example(merges=["b c", "a b", "ab c", "bc d", "abc d"], words=["abcd", "abcdabc"])
@example(merges=["a a", "a aa"], words=["aaa", "aaaa"])
@example(merges=["a a", "aa a", "aaa a"], words=["aaa", "aaaa", "aaaaa", "aaaaaaaa"])
@example(merges=["b b", "a b", "ab b", "abb a", "a abba"], words=["abba", "aabba"])
def test_any_merges(merges: list[str], words: list[str]) -> None:
    tokenizer = byte_pair(*merges)
    expected = [slowly(word, tokenizer.merges) for word in words]
    ids = tokenizer.tokenize(words).to_list()
    assert [[tokenizer.vocabulary[i] for i in row] for row in ids] == expected


# --- text -----------------------------------------------------------------------------------------


def test_every_text_comes_back(tokenizer: BytePair, texts: list[str]) -> None:
    characters = [chr(code) for code in range(0x3000)]
    for some in (texts, characters, ["".join(characters)], [" ", "  a  ", "\n \n", ""]):
        assert texts_of(tokenizer.detokenize(tokenizer.tokenize(some))) == some


def test_special_tokens_in_texts_are_text(tokenizer: BytePair) -> None:
    forged = ["<s>", "a <s> b</s>", "<pad><pad>", "<|endoftext|>", "<unk>"]
    learned = BytePair.learn(forged * 3, vocabulary_size=1000)
    gpt2 = byte_pair("< |", special=["<|endoftext|>"])
    assert "endoftext" in learned.vocabulary
    for some in (tokenizer, learned, gpt2):
        ids = some.tokenize(forged)
        assert not {some.pad_id, some.start_id, some.end_id} & set(ids.flat_values.numpy().tolist())
        assert texts_of(some.detokenize(ids)) == forged


def test_detokenize_leaves_out_special_tokens(tokenizer: BytePair) -> None:
    ids = tokenizer.tokenize("the red boat").numpy().tolist()
    assert texts_of(tokenizer.detokenize([[1, *ids, 2, 0, 0]])) == ["the red boat"]
    assert texts_of(tokenizer.detokenize([[0, 1, 2], [2, 2, 2]])) == ["", ""]
    packed = Pack(length=30, start_id=1, end_id=2)({"token_ids": tokenizer.tokenize(["a b", ""])})
    assert texts_of(tokenizer.detokenize(packed["token_ids"])) == ["a b", ""]


def test_texts_that_are_not_utf8(tokenizer: BytePair) -> None:
    ids = tokenizer.tokenize([b"a\xffb", b"\xff", b"\xc3"])
    assert texts_of(tokenizer.detokenize(ids)) == ["a�b", "�", "�"]
    half = byte_pair().tokenize("ŝ")[:1]
    assert texts_of(byte_pair().detokenize(half)) == ["�"]


@pytest.mark.parametrize("bad", [-1, 1000, 2**32 + 5])
def test_ids_out_of_range(tokenizer: BytePair, bad: int) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="detokenize"):
        tokenizer.detokenize(tf.constant([[4, bad]], tf.int64))


# --- what holds for every tokenizer ---------------------------------------------------------------


def test_special_ids(tokenizer: BytePair) -> None:
    ids = (tokenizer.pad_id, tokenizer.start_id, tokenizer.end_id, tokenizer.unknown_id)
    assert ids == (0, 1, 2, None)
    assert (tokenizer.cleaning, tokenizer.sequence_length) == ("light", None)
    assert repr(tokenizer) == "<BytePair tokenizer, 1,000 tokens>"


SHAPES = [(), (3, 1, 2), (0,), (0, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_leading_shape(tokenizer: BytePair, shape: tuple[int, ...]) -> None:
    texts = ["three red boats", "", "it's 10 o'clock!", "red", " red ", "東京"]
    texts = texts[: int(np.prod(shape))]
    alone = [tokenizer.tokenize(text).numpy().tolist() for text in texts]
    given = tf.reshape(tf.constant(texts, tf.string), shape)
    ds = tf.data.Dataset.from_tensors(given).map(tokenizer.tokenize)
    for ids in (tokenizer.tokenize(given), next(iter(ds))):
        assert ids.dtype == tf.int32
        assert ids.shape.rank == len(shape) + 1
        assert ids.shape[1:-1] == shape[1:]
        flat = ids.merge_dims(0, -2) if len(shape) > 1 else ids if shape else ids[tf.newaxis]
        assert [row.numpy().tolist() for row in flat] == alone
        decoded = tokenizer.detokenize(ids)
        decoded = decoded.to_tensor() if isinstance(decoded, tf.RaggedTensor) else decoded
        assert decoded.shape[: len(shape)] == shape or not texts
        assert texts_of(decoded) == texts


def test_one_by_one_equals_batched(tokenizer: BytePair, texts: list[str]) -> None:
    some = texts[:100]
    fresh = copy.deepcopy(tokenizer)  # first used inside a graph
    ds = tf.data.Dataset.from_tensor_slices(some)
    batched = [row for batch in ds.batch(16).map(fresh.tokenize) for row in batch.to_list()]
    assert batched == tokenizer.tokenize(some).to_list()
    assert [ids.numpy().tolist() for ids in ds.map(fresh.tokenize)] == batched


def test_is_a_value(tokenizer: BytePair) -> None:
    ids = tokenizer.tokenize("a boat").numpy().tolist()
    for other in [
        BytePair(tokenizer.vocabulary, tokenizer.merges),
        copy.deepcopy(tokenizer),
        pickle.loads(pickle.dumps(tokenizer)),
    ]:
        assert other == tokenizer
        assert hash(other) == hash(tokenizer)
        assert other.fingerprint == tokenizer.fingerprint
        assert other.tokenize("a boat").numpy().tolist() == ids


def test_differ_by_vocabulary_and_merges() -> None:
    one = byte_pair("a b", "b a")
    some = [
        one,
        BytePair(one.vocabulary, one.merges[::-1]),
        byte_pair("b a", "a b"),
        byte_pair("a b"),
        byte_pair("a b", special=["<s>", "</s>", "<pad>"]),
    ]
    assert all(a != b for i, a in enumerate(some) for b in some[:i])
    assert len({tokenizer.fingerprint for tokenizer in some}) == len(some)


# --- files ----------------------------------------------------------------------------------------


def test_files_come_back(tokenizer: BytePair, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "new" / "folder")
    assert BytePair.load(tmp_path / "new" / "folder") == tokenizer
    files = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    assert files == ["merges.txt", "vocab.json"]
    other = rust.models.BPE.from_file(
        *(str(tmp_path / "new/folder" / name) for name in files[::-1])
    )
    assert [other.id_to_token(i) for i in range(1000)] == list(tokenizer.vocabulary)


GPT2 = (*LETTERS, "ab", "<|endoftext|>")
ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "ab", *LETTERS[::-1], "madeupword0000", "<mask>")


@pytest.mark.parametrize(
    ("tokens", "special", "ids"),
    [(GPT2, (257, 257, 257), [256, 66]), (ROBERTA, (1, 0, 2), [4, 255 - 66 + 5])],
    ids=["GPT-2", "RoBERTa"],
)
@pytest.mark.parametrize("version", ["#version: 0.2\n", ""], ids=["version", "plain"])
def test_files_of_others(
    tokens: tuple[str, ...],
    special: tuple[int, int, int],
    ids: list[int],
    version: str,
    tmp_path: Path,
) -> None:
    items = list(enumerate(tokens))
    random.Random(0).shuffle(items)  # what counts is the ids, not their order
    (tmp_path / "vocab.json").write_text(json.dumps({token: place for place, token in items}))
    (tmp_path / "merges.txt").write_text(f"{version}a b\n")
    tokenizer = BytePair.load(tmp_path)
    assert tokenizer.vocabulary == tokens
    assert (tokenizer.pad_id, tokenizer.start_id, tokenizer.end_id) == special
    assert tokenizer.unknown_id is None
    assert tokenizer.tokenize("abc").numpy().tolist() == ids
    assert texts_of(tokenizer.detokenize([*ids, tokenizer.end_id])) == ["abc"]
    assert texts_of(tokenizer.detokenize([3])) == [{GPT2: "$", ROBERTA: "<unk>"}[tokens]]
    forged = " ".join(token for token in tokens if len(token) > 2)
    assert texts_of(tokenizer.detokenize(tokenizer.tokenize(forged))) == [forged]


def places(tokens: Sequence[str]) -> str:
    return json.dumps({token: place for place, token in enumerate(tokens)})


@pytest.mark.parametrize(
    ("vocabulary", "merges", "message"),
    [
        ("", "a b", r"vocab\.json:1: not JSON"),
        ('{\n"a": 0,\n', "a b", r"vocab\.json:3: not JSON"),
        ("{}", "a b", r"vocab\.json: must hold each byte and each result of a merge; \["),
        ("[]", "a b", r"vocab\.json: must give each token an id, from 0 without gaps"),
        ('{"a": 0, "b": 2}', "a b", r"vocab\.json: must give each token an id"),
        ('{"a": 0, "b": "1"}', "a b", r"vocab\.json: must give each token an id"),
        ('{"a": 0, "b": 1.0}', "a b", r"vocab\.json: must give each token an id"),
        ('{"a": 0, "b": null}', "a b", r"vocab\.json: must give each token an id"),
        ('{"a": false, "b": true}', "a b", r"vocab\.json: must give each token an id"),
        (places(GPT2), "", r"merges\.txt:1: a merge must be two tokens and a space; got ''"),
        (places(GPT2), "a b\nb", r"merges\.txt:2: a merge must be two tokens and a space; got 'b'"),
        (places(GPT2), "#version: 0.2\na b\n\n", r"merges\.txt:3: a merge must be two tokens"),
        (places(GPT2), "#version: 0.2\na bc\n", r"merges\.txt:2: .*needs 'bc', which no earlier"),
        (places(GPT2), "a b\na b\n", r"merges\.txt:2: .*makes 'ab', which exists already"),
        (places(GPT2), "#version: 0.2\n", r"vocab\.json: must hold only.*got \['ab'\]"),
        (
            places(GPT2),
            "a b\nab c\n",
            r"vocab\.json: must hold each byte and.*\['abc'\] are missing",
        ),
        (places(GPT2[1:]), "a b\n", r"vocab\.json: must hold each byte and.*\['!'\] are missing"),
        (places(GPT2[:-1]), "a b\n", r"vocab\.json: must hold <pad>, <s>, </s>, or <\|endoftext"),
        (places([*GPT2[:-1], "<s>", "</s>"]), "a b\n", r"vocab\.json: must hold <pad>"),
        (places([*GPT2, "<|"]), "a b\n< |\n<| endoftext|>", r"merges\.txt:3: .*'endoftext|>'"),
        (
            places([*LETTERS, "<s", "<s>", "</s>", "<pad>"]),
            "< s\n<s >",
            r"and no merge may result in them",
        ),
    ],
)
def test_files_that_are_refused(vocabulary: str, merges: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text(vocabulary)
    (tmp_path / "merges.txt").write_text(merges)
    with pytest.raises(ValueError, match=message):
        BytePair.load(tmp_path)


def test_files_that_are_not_text(tmp_path: Path) -> None:
    (tmp_path / "merges.txt").write_text("a b")
    (tmp_path / "vocab.json").write_bytes(b'{"\xff": 0}')
    with pytest.raises(ValueError, match=r"vocab\.json: not JSON: .*utf-8"):
        BytePair.load(tmp_path)


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt"])
def test_a_missing_file(name: str, tmp_path: Path) -> None:
    byte_pair("a b").save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        BytePair.load(tmp_path)


@pytest.mark.parametrize(
    ("tokens", "merges", "message"),
    [
        ((*GPT2, "a"), (("a", "b"),), r"vocabulary=\.\.\.\) must hold each token once"),
        ((), (), r"vocabulary=\.\.\.\) must hold each byte"),
        (GPT2, (("a", "b"), ("b", "ca")), r"merges=\.\.\.\): .*'ca'.*merges\[1\]"),
    ],
)
def test_values_that_are_refused(
    tokens: tuple[str, ...], merges: tuple[Merge, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=rf"BytePair\({message}"):
        BytePair(tokens, merges)


# --- learning -------------------------------------------------------------------------------------


def test_learning_does_not_depend_on_the_order_of_captions(captions: list[str]) -> None:
    shuffled = random.Random(0).sample(captions, len(captions))
    learned = BytePair.learn(captions, vocabulary_size=500)
    assert BytePair.learn(iter(shuffled), vocabulary_size=500) == learned
    assert learned.vocabulary_size == 500
    assert learned.vocabulary[:259] == (*SPECIAL_TOKENS, *LETTERS)


def test_learns_the_most_common_pairs() -> None:
    learned = BytePair.learn(["hug hug hug", "pug pug", "", "h"], vocabulary_size=261)
    assert learned.merges == (("u", "g"), ("h", "ug"))
    assert learned.vocabulary[259:] == ("ug", "hug")


@pytest.mark.parametrize("captions", [[], [""], ["", " ", "\t"]], ids=repr)
def test_nothing_to_learn_from(captions: list[str]) -> None:
    with pytest.raises(ValueError, match="at least one caption with text; got none"):
        BytePair.learn(captions)


@pytest.mark.parametrize("size", [258, 0, -1, 8000.0, "8000", None], ids=repr)
def test_sizes_that_are_refused(size: Any) -> None:
    with pytest.raises(ValueError, match=r"must be an int of at least 259.*; got"):
        BytePair.learn(["a boat"], vocabulary_size=size)


def test_bytes_alone() -> None:
    learned = BytePair.learn(["a boat"], vocabulary_size=259)
    assert learned.merges == ()
    assert learned.tokenize("!é").numpy().tolist() == [3, 3 + 94 + 12 + 21, 3 + 94 + 8]
