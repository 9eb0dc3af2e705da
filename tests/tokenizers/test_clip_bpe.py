"""ClipBpe, against open_clip's own tokenizer."""

import copy
import gzip
import importlib.util
import json
import pickle
import random
import re
import sys
import types
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ftfy
import numpy as np
import pytest
import regex
import tensorflow as tf
import tokenizers
from strings import decomposed, generated  # type: ignore[import-not-found]
from tokenizers import normalizers, pre_tokenizers

from mmdata.stages.clean import Clean
from mmdata.stages.pack import Pack
from mmdata.tokenizers.clip_bpe import ClipBpe, find_merges

START, END = 49406, 49407
SPECIAL = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
NAME = "bpe_simple_vocab_16e6.txt.gz"


@pytest.fixture(scope="module")
def module(open_clip: Path) -> Iterator[Any]:
    """open_clip's tokenizer module, without torch: only its types are named there."""
    spec = importlib.util.spec_from_file_location("open_clip_tokenizer", open_clip / "tokenizer.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOKENIZERS_PARALLELISM", "false")  # the module sets it
        patch.setitem(sys.modules, "torch", types.SimpleNamespace(Tensor=None, LongTensor=None))
        spec.loader.exec_module(module)
        yield module


@pytest.fixture(scope="module")
def reference(module: Any) -> Any:
    """open_clip's tokenizer, with special tokens spelled as OpenAI spells them."""
    tokenizer = module.SimpleTokenizer()
    pattern = tokenizer.pat.pattern
    for name, spelling in SPECIAL.items():
        assert name in pattern
        pattern = pattern.replace(name, regex.escape(spelling))
        tokenizer.encoder[spelling] = tokenizer.encoder.pop(name)
    tokenizer.pat = regex.compile(pattern, regex.IGNORECASE)
    tokenizer.cache = {spelling: spelling for spelling in SPECIAL.values()}
    tokenizer.decoder = {place: token for token, place in tokenizer.encoder.items()}
    return tokenizer


@pytest.fixture(scope="module")
def tokenizer(open_clip: Path) -> ClipBpe:
    return ClipBpe.load(open_clip / NAME)


@pytest.fixture(scope="module")
def captions() -> list[str]:
    folder = Path(__file__).parents[2] / "sample_data" / "captions"
    paths = sorted(folder.rglob("*.txt"))
    return [line for path in paths for line in path.read_text("utf-8").splitlines()]


def cleaned(captions: list[str]) -> Any:
    return Clean.preset("clip")({"caption": tf.constant(captions)})["caption"]


def texts_of(strings: Any) -> list[str]:
    return [text.decode() for text in np.asarray(strings, object).ravel()]


def differing(texts: list[str], ids: Any, expected: list[list[int]]) -> list[Any]:
    rows = zip(texts, ids.to_list(), expected, strict=True)
    return [(text, row, other) for text, row, other in rows if row != other]


# --- the same tokens ------------------------------------------------------------------------------


def test_vocabulary_is_the_references(tokenizer: ClipBpe, reference: Any) -> None:
    assert dict(enumerate(tokenizer.vocabulary)) == reference.decoder


def test_coco_captions(tokenizer: ClipBpe, reference: Any, coco: Path) -> None:
    file = coco.parent / "coco_captions_val2017.json"
    if not file.is_file():
        pytest.skip(f"needs COCO's captions in {file}")
    notes = json.loads(file.read_text("utf-8"))["annotations"]
    captions = [note["caption"] for note in notes]
    assert len(captions) == 25_014
    expected = [reference.encode(caption) for caption in captions]
    assert differing(captions, tokenizer.tokenize(cleaned(captions)), expected) == []


def test_sample_captions(tokenizer: ClipBpe, reference: Any, captions: list[str]) -> None:
    assert len(captions) > 500
    expected = [reference.encode(caption) for caption in captions]
    assert differing(captions, tokenizer.tokenize(cleaned(captions)), expected) == []


def test_generated_texts_as_they_are(
    tokenizer: ClipBpe, reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "clean_fn", str)  # upper case and all white space stay
    texts = generated(20_000)
    expected = [reference.encode(text) for text in texts]
    assert {START, END} < {i for row in expected for i in row}
    assert differing(texts, tokenizer.tokenize(texts), expected) == []


def test_generated_texts_cleaned(tokenizer: ClipBpe, reference: Any) -> None:
    # The reference repairs texts with ftfy, and Clean does not: both are given repaired texts.
    texts = [ftfy.fix_text(text) for text in generated(20_000)]
    expected = [reference.encode(text) for text in texts]
    assert differing(texts, tokenizer.tokenize(cleaned(texts)), expected) == []


def test_decomposed_texts(tokenizer: ClipBpe, reference: Any) -> None:
    texts = decomposed(20_000)
    for text in texts:  # so that of all that ftfy does, the reference does NFC alone
        assert ftfy.fix_text(text) == unicodedata.normalize("NFC", text)
    assert sum(not unicodedata.is_normalized("NFC", text) for text in texts) > 15_000
    expected = [reference.encode(text) for text in texts]
    assert differing(texts, tokenizer.tokenize(cleaned(texts)), expected) == []


def test_decomposed_texts_equal_hugging_face(tokenizer: ClipBpe) -> None:
    peer = hugging_face(tokenizer)
    texts = [text.replace("\u0130", "") for text in decomposed(20_000)]
    expected = [found.ids for found in peer.encode_batch(texts)]
    assert differing(texts, tokenizer.tokenize(cleaned(texts)), expected) == []


def hugging_face(tokenizer: ClipBpe) -> Any:
    """The tokenizer that `transformers` makes of CLIP's files. Source: `CLIPConverter` in its
    `convert_slow_tokenizer.py`."""
    ids = {token: place for place, token in enumerate(tokenizer.vocabulary)}
    peer = tokenizers.Tokenizer(
        tokenizers.models.BPE(ids, list(tokenizer.merges), end_of_word_suffix="</w>")
    )
    peer.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Replace(tokenizers.Regex(r"\s+"), " "),
            normalizers.Lowercase(),
        ]
    )
    words = tokenizers.Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    peer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words, behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    return peer


def test_every_token_as_a_text(
    tokenizer: ClipBpe, reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "clean_fn", str)
    texts = texts_of(tokenizer.detokenize(tf.range(0, START, 3)[:, tf.newaxis]))
    expected = [reference.encode(text) for text in texts]
    assert sum(len(row) == 1 for row in expected) > 12_000
    assert differing(texts, tokenizer.tokenize(texts), expected) == []


# --- detokenize -----------------------------------------------------------------------------------


def test_text_of_ids_is_the_references(tokenizer: ClipBpe, reference: Any) -> None:
    chance = random.Random(0)
    rows = [[chance.randrange(START) for _ in range(chance.randrange(1, 9))] for _ in range(3000)]
    rows += [[chance.randrange(512) for _ in range(chance.randrange(1, 9))] for _ in range(3000)]
    expected = [reference.decode(row).removesuffix(" ") for row in rows]
    assert texts_of(tokenizer.detokenize(tf.ragged.constant(rows))) == expected


def test_text_is_between_start_and_end(tokenizer: ClipBpe) -> None:
    ids = tokenizer.tokenize("a dog!").numpy().tolist()
    rows = {
        "a dog !": [
            [*ids],
            [START, *ids, END],
            [START, *ids, END, 0, 0],
            [START, *ids, END, START, 320, END],
            [0, 320, START, *ids, END],
            [END, 0, START, *ids, END, 0],
            [*ids, END, 320],
            [START, *ids],
            [START, START, *ids, START, END],
        ],
        "": [[], [START], [END], [START, END], [END, 320], [END, START, END, 320]],
    }
    expected = [text for text, some in rows.items() for _ in some]
    ids_of_all = [row for some in rows.values() for row in some]
    for dtype, splits in [(tf.int32, tf.int32), (tf.int64, tf.int64), (tf.int32, tf.int64)]:
        ragged = tf.ragged.constant(ids_of_all, dtype, row_splits_dtype=splits)
        assert texts_of(tokenizer.detokenize(ragged)) == expected
    assert texts_of(tf.function(tokenizer.detokenize)(ragged)) == expected
    assert [texts_of(tokenizer.detokenize(row)) for row in ragged] == [[text] for text in expected]


def test_detokenize_after_packing(tokenizer: ClipBpe) -> None:
    ids = tokenizer.tokenize(["wow !", "", "a b c d e f g h"])
    pack = Pack(length=6, start_id=START, end_id=END, pad_id=tokenizer.pad_id)
    packed = pack({"token_ids": ids})["token_ids"]
    assert packed.numpy()[0].tolist() == [START, 2781, 256, END, 0, 0]
    assert texts_of(tokenizer.detokenize(packed)) == ["wow !", "", "a b c d"]


@pytest.mark.parametrize("bad", [-1, 49408, 2**32 + 5])
def test_ids_out_of_range(tokenizer: ClipBpe, bad: int) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="detokenize"):
        tokenizer.detokenize(tf.constant([[320, bad]], tf.int64))


# --- what holds for every tokenizer ---------------------------------------------------------------


def test_ids(tokenizer: ClipBpe) -> None:
    assert tokenizer.vocabulary_size == 49408
    ids = (tokenizer.start_id, tokenizer.end_id, tokenizer.pad_id, tokenizer.unknown_id)
    assert ids == (START, END, 0, None)
    assert (tokenizer.cleaning, tokenizer.sequence_length) == ("clip", 77)
    assert repr(tokenizer) == "<ClipBpe tokenizer, 49,408 tokens>"


SHAPES = [(), (3, 1, 2), (0,), (0, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_leading_shape(tokenizer: ClipBpe, shape: tuple[int, ...]) -> None:
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
        assert texts_of(decoded) == [texts_of(tokenizer.detokenize(row))[0] for row in alone]


def test_one_by_one_equals_batched(tokenizer: ClipBpe) -> None:
    some = generated(100)
    fresh = copy.deepcopy(tokenizer)  # first used inside a graph
    ds = tf.data.Dataset.from_tensor_slices(some)
    batched = [row for batch in ds.batch(16).map(fresh.tokenize) for row in batch.to_list()]
    assert batched == tokenizer.tokenize(some).to_list()
    assert [ids.numpy().tolist() for ids in ds.map(fresh.tokenize)] == batched


def test_is_a_value(tokenizer: ClipBpe) -> None:
    ids = tokenizer.tokenize("a boat").numpy().tolist()
    pickled = pickle.loads(pickle.dumps(tokenizer))
    for other in (pickled, ClipBpe(tokenizer.merges), copy.deepcopy(tokenizer)):
        assert other == tokenizer
        assert hash(other) == hash(tokenizer)
        assert other.fingerprint == tokenizer.fingerprint
    assert pickled.tokenize("a boat").numpy().tolist() == ids
    left, right = tokenizer.merges[-2:]
    swapped = ClipBpe((*tokenizer.merges[:-2], right, left))
    assert swapped != tokenizer
    assert swapped.fingerprint != tokenizer.fingerprint


def test_text_that_is_not_utf8_becomes_ids_of_the_vocabulary(tokenizer: ClipBpe) -> None:
    ids = tokenizer.tokenize([b"a\xffb", b"\xff\xff", b"\xc3", b"\xed\xa0\x80"])
    assert texts_of(tokenizer.detokenize(ids)) == ["a � b", "��", "�", "���"]
    assert np.max(ids.flat_values) < START


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["new/merges.txt", NAME])
def test_files_come_back(tokenizer: ClipBpe, module: Any, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    tokenizer.save(path)
    assert ClipBpe.load(path) == tokenizer
    content = path.read_bytes()
    tokenizer.save(path)
    assert path.read_bytes() == content
    if name == NAME:
        assert content[4:8] == bytes(4)  # no time of writing
        other = module.SimpleTokenizer(str(path))
        assert list(other.encoder)[:-2] == list(tokenizer.vocabulary[:-2])
    else:
        assert content.startswith(b"#version: 0.2\ni n\nt h\n")
        assert content.count(b"\n") == 48_895


def test_plain_and_without_version(open_clip: Path, tokenizer: ClipBpe, tmp_path: Path) -> None:
    plain = tmp_path / "bpe_simple_vocab_16e6.txt"
    content = gzip.decompress((open_clip / NAME).read_bytes())
    plain.write_bytes(content)
    assert ClipBpe.load(plain) == tokenizer
    plain.write_bytes(content.partition(b"\n")[2])
    assert ClipBpe.load(plain) == tokenizer


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r":1: a merge must be two tokens and a space; got ''"),
        (b"#version: 0.2\n", r": must hold 48,894 merges; got 0"),
        (b"#version: 0.2\ni n\nt h", r": must hold 48,894 merges; got 2"),
        (b"i n\nt h e\n", r":2: a merge must be two tokens and a space; got 't h e'"),
        (b"#version: 0.2\ni n\n\nt h\n", r":3: a merge must be two tokens and a space; got ''"),
        (b"#version: 0.2\ni n\nth e</w>\n", r":3: .*needs 'th', which no earlier merge makes"),
        (b"i n\nin g\ni ng\n", r":3: .*needs 'ng'"),
        (b"i n\nn g\nin g\ni ng\n", r":4: .*makes 'ing', which exists already"),
        (b"i n\ni \xff\n", r":2: not a merges file: .*utf-8"),
        (b"\x1f\x8b\x08cut", r": not a merges file"),
    ],
)
def test_files_that_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "merges.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"merges\.txt{message}"):
        ClipBpe.load(path)


def test_merges_that_are_refused(tokenizer: ClipBpe) -> None:
    with pytest.raises(ValueError, match=r"must be 48,894 merges; got 48,893"):
        ClipBpe(tokenizer.merges[1:])
    twice = (*tokenizer.merges[:-1], tokenizer.merges[0])
    with pytest.raises(ValueError, match=r"'in', which exists already.*merges\[48893\]"):
        ClipBpe(twice)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.txt"):
        ClipBpe.load(tmp_path / "none.txt")


# --- where the merges are -------------------------------------------------------------------------


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for packages and one for Hugging Face's cache, both empty."""
    for variable in ("HF_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "packages")])
    return tmp_path


@pytest.mark.parametrize("name", ["open_clip", "clip"])
def test_merges_of_a_package(nowhere: Path, open_clip: Path, name: str) -> None:
    folder = nowhere / "packages" / name
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('not to be imported')")
    with pytest.raises(FileNotFoundError):
        find_merges()
    (folder / NAME).write_bytes((open_clip / NAME).read_bytes())
    assert find_merges() == folder / NAME


@pytest.mark.parametrize("variable", ["HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"])
def test_merges_of_hugging_faces_cache(
    nowhere: Path, tokenizer: ClipBpe, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(nowhere / "else"))
    inside = {"HF_HUB_CACHE": "", "HF_HOME": "hub", "XDG_CACHE_HOME": "huggingface/hub"}
    hub = nowhere / "else" / inside[variable]
    swapped = (*tokenizer.merges[:-2], tokenizer.merges[-1], tokenizer.merges[-2])
    ClipBpe(swapped).save(hub / "models--a--clip-like" / "snapshots" / "0" / "merges.txt")
    broken = hub / "models--b--clip" / "snapshots" / "0" / "merges.txt"
    broken.parent.mkdir(parents=True)
    broken.write_text("i n")
    with pytest.raises(FileNotFoundError, match=re.escape(str(hub))):
        find_merges()
    right = hub / "models--openai--CLIP-vit" / "snapshots" / "0" / "merges.txt"
    tokenizer.save(right)
    assert find_merges() == right


def test_merges_that_are_not_there(nowhere: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        find_merges()
    for part in (
        "packages open_clip and clip",
        str(nowhere / "cache" / "huggingface" / "hub"),
        "pip install --no-deps open_clip_torch\n",
        f"curl -L -o {NAME} https://github.com/openai/CLIP/raw/main/clip/{NAME}\n",
        f"mmdata.tokenizers.ClipBpe.load('{NAME}')",
    ):
        assert part in str(caught.value)
