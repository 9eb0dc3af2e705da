"""Cleaning and tokenizers in JavaScript, which are those of Python."""

# ruff: noqa: RUF001

import dataclasses
import functools
import json
import pathlib
import random
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

import hostile  # type: ignore[import-not-found]
import pytest
import tensorflow as tf
from strings import decomposed, generated  # type: ignore[import-not-found]
from test_sentence_piece import KINDS, model_of  # type: ignore[import-not-found]

from mmdata.export.web_text import cleaning_json, tokenizer_json
from mmdata.stages.captions import Template
from mmdata.stages.clean import PRESETS, Clean
from mmdata.stages.pack import Pack
from mmdata.tokenizers import (
    Byte,
    BytePair,
    Character,
    ClipBpe,
    SentencePiece,
    Tokenizer,
    Word,
    WordPiece,
    model_proto,
)

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]

CODES = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
CLEANINGS = {
    **PRESETS,
    "NFKC": Clean(normalize="NFKC"),
    "all": Clean(
        unescape=True,
        markup="remove",
        links="remove",
        normalize="NFKC_CF",
        accents="strip",
        punctuation="remove",
        controls="remove",
    ),
    "none": None,
}
LONG = 10_000
FIXED = (
    *hostile.CAPTIONS,
    *("", " ", "\0a\0\0 b\0", "[UNK] [PAD] [START] a[END] <s> <|endoftext|>", "▁▁ ▁a ▁"),
    *("👩\u200d🚀 👍🏽 ❤️ 🇯🇵", "مرحبا بالعالم", "हिन्दी में", "한국어 각", "日本語のテスト"),
    *(
        "e\u0301 a\u0323\u0302",
        "ΟΔΟΣ ΟΔΟΣ'Α Σ",
        "İstanbul STRASSE ẞ",
        "\ufeff \ufffd \u2066x\u2069",
    ),
    "&amp;amp; &lt;b&gt; &#x41;&#0;&#xD800;&#99999999; &notit; <b>x</b> <!-- y --> z",
    *("see http://a.b/c, HTTPſ://d or www.x.y!", "ﬁ ② ½ Ⅷ ٣ १२"),
    *("a" * LONG, "é" * LONG, "ab " * LONG, " " * LONG, "!" * LONG, "👩\u200d🚀" * LONG),
    *("x" * 100, "x" * 101, "é" * 101, "ab-c" * 26 + " d"),
)

pytestmark = pytest.mark.slow

Ask = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def ask(node: str) -> Ask:
    """Asks one process of Node."""

    def answers(*questions: dict[str, Any]) -> list[Any]:
        lines = "".join(json.dumps(question) + "\n" for question in questions)
        program = [node, str(HERE / "encode_texts.js")]
        run = subprocess.run(program, input=lines, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        return [json.loads(line) for line in run.stdout.removesuffix("\n").split("\n")]

    return answers


@pytest.fixture(scope="module")
def odd() -> list[str]:
    """Texts that attack a tokenizer."""
    chance = random.Random(0)

    def some(codes: Sequence[int], most: int) -> str:
        return "".join(map(chr, chance.choices(codes, k=chance.randint(1, most))))

    drawn = [
        *(some(CODES, 20) for _ in range(1000)),
        *(some(range(0x3000), 99) for _ in range(500)),
    ]
    word = "".join(chance.choices("abcdefgh", k=LONG))
    return [*FIXED, word, *generated(3000), *decomposed(500), *drawn]


@pytest.fixture(scope="module")
def samples() -> list[str]:
    paths = sorted((ROOT / "sample_data" / "captions").rglob("*.txt"))
    return [line for path in paths for line in path.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def real(coco: pathlib.Path) -> list[str]:
    """25,014 captions."""
    path = coco.parent / "coco_captions_val2017.json"
    return [note["caption"] for note in json.loads(path.read_text("utf-8"))["annotations"]]


def cleaned(clean: Clean | None, texts: list[str], template: str = "{caption}") -> Any:
    example = Template(text=template)({"caption": tf.constant(texts)})
    return example["caption"] if clean is None else clean(example)["caption"]


# --- cleaning -------------------------------------------------------------------------------------


EVERY_CHARACTER = ("all", "bert", "clip")
"""Cleanings that take each step; the others do fewer of the same ones, and take every 16th."""


@pytest.mark.parametrize("name", [name for name, clean in CLEANINGS.items() if clean])
def test_all_characters_are_cleaned_as_in_python(name: str, ask: Ask, odd: list[str]) -> None:
    clean = CLEANINGS[name]
    codes = CODES if name in EVERY_CHARACTER else CODES[::16]
    texts = [*map(chr, codes), *(f"aΣ{chr(code)}B \u0323{chr(code)}" for code in codes), *odd]
    (found,) = ask({"clean": cleaning_json(clean), "texts": texts})
    expected = [text.decode() for text in cleaned(clean, texts).numpy()]
    pairs = zip(texts, found, expected, strict=True)
    assert [(text, other, right) for text, other, right in pairs if other != right] == []


def test_half_of_a_surrogate_pair_is_replaced(ask: Ask) -> None:
    texts = ["a\ud800", "\udfffb \ud83d", "\ud83d\ude00"]  # JSON keeps them
    (found,) = ask({"clean": cleaning_json(Clean()), "texts": texts})
    assert found == ["a\ufffd", "\ufffdb \ufffd", "😀"]


# --- tokenizers -----------------------------------------------------------------------------------


def lower(texts: list[str]) -> list[str]:
    return [text.decode() for text in cleaned(Clean(), texts).numpy() if text]


def bert(texts: list[str]) -> WordPiece:
    names = {"[START]": "[CLS]", "[END]": "[SEP]"}
    learned = WordPiece.learn(lower(texts), vocabulary_size=900).vocabulary
    return WordPiece(("[unused0]", *(names.get(token, token) for token in reversed(learned))))


def gpt2(texts: list[str]) -> BytePair:
    learned = BytePair.learn(texts, vocabulary_size=1200)
    return BytePair((*learned.vocabulary[3:], "<|endoftext|>"), learned.merges)


def with_unused(**arguments: Any) -> SentencePiece:
    """Every third piece is only a step on the way to longer ones."""
    model = model_proto.Model.FromString(model_of(**arguments))
    for piece in model.pieces[60::3]:
        piece.type = model_proto.UNUSED
    return SentencePiece(model.SerializeToString())


def of_kind(name: str, _: list[str]) -> SentencePiece:
    return SentencePiece(model_of(**KINDS[name]))


def with_equal_pieces() -> SentencePiece:
    """Three pieces of text are spelled like special ones."""
    model = model_proto.Model.FromString(model_of(byte_fallback=True, vocab_size=700))
    for piece, text in zip(model.pieces[300:], ("<s>", "<unk>", "<0x41>"), strict=False):
        piece.piece = text
    return SentencePiece(model.SerializeToString())


USER_DEFINED = ["<x>", "ka", "ka la", "▁to"]
CASES: dict[str, tuple[Callable[[list[str]], Tokenizer], tuple[str, ...]]] = {
    "Word": (lambda texts: Word.learn(lower(texts), vocabulary_size=900), ("lower", "none")),
    "WordPiece": (
        lambda texts: WordPiece.learn(lower(texts), vocabulary_size=900),
        ("lower", "all", "none"),
    ),
    "BERT": (bert, ("bert",)),
    "Character": (lambda texts: Character.learn(lower(texts)), ("lower", "none")),
    "Byte": (lambda _: Byte(), ("lower", "NFKC", "none")),
    "BytePair": (lambda texts: BytePair.learn(texts, vocabulary_size=1200), ("light", "none")),
    "GPT-2": (gpt2, ("light",)),
    "SentencePiece": (
        lambda texts: SentencePiece.learn(texts, vocabulary_size=8000),
        ("light", "siglip", "none"),
    ),
    "equal pieces": (lambda _: with_equal_pieces(), ("light",)),
    "unused pieces": (lambda _: with_unused(), ("light",)),
    "unused pieces of BPE": (lambda _: with_unused(model_type="bpe"), ("light",)),
    "spaces behind words": (
        lambda _: SentencePiece(model_of(treat_whitespace_as_suffix=True)),
        ("light",),
    ),
    "folded case": (
        lambda _: SentencePiece(model_of(normalization_rule_name="nmt_nfkc_cf")),
        ("light",),
    ),
    "user-defined pieces": (
        lambda _: SentencePiece(model_of(user_defined_symbols=USER_DEFINED, byte_fallback=True)),
        ("light",),
    ),
    **{name: (functools.partial(of_kind, name), ("light",)) for name in KINDS},
}
"""Tokenizers, made of some texts, and the cleanings before them."""

REAL = ("Word", "WordPiece", "BERT", "Character", "Byte", "BytePair", "SentencePiece", "gemma")
"""One of each family, for many captions."""


def settings(pack: Pack, template: str) -> dict[str, Any]:
    """What the manifest says about text."""
    return {**dataclasses.asdict(pack), "template": template}


def detokenized(tokenizer: Tokenizer, rows: list[list[int]]) -> list[str]:
    """In small batches, since a row may have ten thousand ids."""
    batches = (tf.ragged.constant(batch, tf.int32, ragged_rank=1) for batch in batched(rows))
    return [text.decode() for ids in batches for text in tokenizer.detokenize(ids).numpy()]


def batched(rows: list[list[int]]) -> list[list[list[int]]]:
    return [rows[begin : begin + 500] for begin in range(0, len(rows), 500)]


def check(
    ask: Ask, tokenizer: Tokenizer, clean: Clean | None, texts: list[str], template: str, side: Any
) -> None:
    """Compares ids, packed ids, and texts of these and of random ids."""
    chance = random.Random(1)
    ids = tokenizer.tokenize(cleaned(clean, texts, template))
    special = [tokenizer.pad_id, tokenizer.start_id or 0, tokenizer.end_id or 0]
    size = tokenizer.vocabulary_size
    drawn = [
        [chance.choice([*special, *chance.choices(range(size), k=5)]) for _ in range(10)]
        for _ in range(1000)
    ]
    rows = [*ids.to_list(), *drawn]
    pack = Pack(
        length=12,
        start_id=tokenizer.start_id,
        end_id=tokenizer.end_id,
        pad_id=tokenizer.pad_id,
        prompt=(5,),
        padding_side=side,
    )
    known = {**(tokenizer_json(tokenizer) or {}), "cleaning": cleaning_json(clean)}
    question = {"json": known, "text": settings(pack, template)}
    (found,) = ask({**question, "texts": texts, "ids": rows})
    print(f"{type(tokenizer).__name__}: {found['perSecond']:,} captions/s, {ids.flat_values.shape}")
    pairs = zip(texts, found["ids"], ids.to_list(), strict=True)
    assert [(text, other, right) for text, other, right in pairs if other != right] == []
    again = zip(rows, found["texts"], detokenized(tokenizer, rows), strict=True)
    assert [(row, other, right) for row, other, right in again if other != right] == []
    packed = pack({"token_ids": ids[: len(found["packed"])]})
    names = ("token_ids", "padding_mask", "response_mask")
    assert found["packed"] == [
        list(row) for row in zip(*(packed[name].numpy().tolist() for name in names), strict=True)
    ]


@pytest.mark.parametrize("name", CASES)
def test_odd_texts(name: str, ask: Ask, odd: list[str], samples: list[str]) -> None:
    make, cleanings = CASES[name]
    tokenizer = make([*samples, *generated(300)])
    for cleaning in cleanings:
        check(ask, tokenizer, CLEANINGS[cleaning], odd, "{caption}", "right")
    check(ask, tokenizer, CLEANINGS[cleanings[0]], odd[:1000], "a {caption}!", "left")


@pytest.mark.parametrize("name", REAL)
def test_coco_captions(name: str, ask: Ask, real: list[str], samples: list[str]) -> None:
    assert len(real) == 25_014
    make, cleanings = CASES[name]
    tokenizer = make([*samples, *real[:1000]])
    check(ask, tokenizer, CLEANINGS[cleanings[0]], real, "{caption}", "right")


def test_clip(ask: Ask, odd: list[str], real: list[str], open_clip: pathlib.Path) -> None:
    tokenizer = ClipBpe.load(open_clip / "bpe_simple_vocab_16e6.txt.gz")
    for clean, texts in (("clip", real), ("clip", odd), ("none", odd)):
        check(ask, tokenizer, CLEANINGS[clean], texts, "{caption}", "right")
