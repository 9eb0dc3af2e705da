"""BERT's vocabularies in `WordPiece`, against Hugging Face's tokenizers."""

import json
import random
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tokenizers import BertWordPieceTokenizer

from mmdata.stages.clean import Clean
from mmdata.tokenizers import WordPiece

BERT = ("[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# Characters of Unicode 3.2 that Hugging Face's tables put into another category; and the capital
# sigma, whose lower case in `Clean` depends on its position in the word.
OTHERWISE = "\u166d\u1734\u1885\u1886\u03a3"
PARTS: tuple[str, ...] = (
    *("don't", "it’s", "rock-n-roll", "Café", "naïve", "İstanbul", "STRASSE ß", "ﬁne", "한국어"),  # noqa: RUF001
    *(
        "👩‍🚀",
        "👍🏽",
        "❤️",
        "🇩🇪",
        "日本語",
        "漢字テスト",
        "हिन्दी",
        "عربى",
        "12.5",
        "1/2",
        "&amp;",
        "[unused0]",
    ),
    *"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~“”„…–—«»¿¡§·、。「」！？",  # noqa: RUF001
    *(letter * length for letter in "aéй" for length in (50, 51, 99, 100, 101, 400)),
    *(
        "ab" * 50 + "'" + "b" * 99,
        "漢" * 101,
        "a" * 60 + "漢" + "a" * 60,
        "a" * 80 + "、" + "b" * 80,
    ),
)
SPACES = ("", " ", " ", " ", "  ", "\t", "\u3000", "\xa0", "\u200b", "\n")


def old_characters() -> list[str]:
    """The characters that Unicode 3.2 had, but for surrogates and private ones."""
    found = unicodedata.ucd_3_2_0.category
    old = (chr(code) for code in range(0x30000) if found(chr(code)) not in ("Cn", "Co", "Cs"))
    return [character for character in old if character not in OTHERWISE]


def kinds_of(text: str) -> str:
    """The first letter of each character's category, "-" for tabs and line feeds."""
    return "".join("-" if c in "\t\n" else unicodedata.category(c)[0] for c in text)


def generated(count: int) -> list[str]:
    rng = random.Random(0)
    kinds: dict[str, list[str]] = {}
    for character in old_characters():
        kinds.setdefault(unicodedata.category(character), []).append(character)
    lists = sorted(kinds.values())

    def part() -> str:
        if rng.random() < 0.3:
            return rng.choice(PARTS)
        if rng.random() < 0.5:
            return rng.choice(["A", "dog", "Dogs", "sitting", "umbrella", "the"])
        return "".join(rng.choice(rng.choice(lists)) for _ in range(rng.randint(1, 4)))

    return [
        "".join(part() + rng.choice(SPACES) for _ in range(rng.randint(0, 10)))
        for _ in range(count)
    ]


def cleaned(texts: list[str], name: str) -> Any:
    return Clean.preset(name)({"caption": tf.constant(texts)})["caption"]


def ids_of_hugging_face(
    vocabulary: tuple[str, ...], texts: list[str], lower: bool = True
) -> list[list[int]]:
    places = {token: place for place, token in enumerate(vocabulary)}
    peer = BertWordPieceTokenizer(places, lowercase=lower)
    return [found.ids for found in peer.encode_batch(texts, add_special_tokens=False)]


def differences(tokenizer: WordPiece, texts: list[str], *, lower: bool = True) -> list[str]:
    """The texts whose ids differ from Hugging Face's."""
    ours = tokenizer.tokenize(cleaned(texts, "bert" if lower else "light")).to_list()
    theirs = ids_of_hugging_face(tokenizer.vocabulary, texts, lower)
    rows = zip(texts, ours, theirs, strict=True)
    return [text for text, some, others in rows if some != others]


def trained(texts: list[str], *, lower: bool = True) -> WordPiece:
    peer = BertWordPieceTokenizer(lowercase=lower)
    short = [text for text in texts if max(map(len, text.encode().split()), default=0) < 100]
    peer.train_from_iterator(
        short,
        vocab_size=5000,
        limit_alphabet=1500,
        special_tokens=list(BERT),
        show_progress=False,
    )
    vocabulary = peer.get_vocab()
    return WordPiece(tuple(sorted(vocabulary, key=lambda token: vocabulary[token])))


@pytest.fixture(scope="module")
def strings() -> list[str]:
    return generated(20_000)


@pytest.fixture(scope="module")
def bert(strings: list[str]) -> WordPiece:
    return trained(strings[:4000])


@pytest.fixture(scope="module")
def coco_captions() -> list[str]:
    name = Path("shared", "data", "coco_captions_val2017.json")
    path = Path(__file__).parents[3] / name
    if not path.is_file():
        pytest.skip(f"needs COCO's captions in {path}")
    notes = json.loads(path.read_text("utf-8"))["annotations"]
    return [note["caption"] for note in notes]


# --- ids ------------------------------------------------------------------------------------------


def test_coco_captions_equal_hugging_face(coco_captions: list[str]) -> None:
    assert len(coco_captions) == 25_014
    assert differences(trained(coco_captions[:5000]), coco_captions) == []


def test_learned_vocabularies_equal_hugging_face(coco_captions: list[str]) -> None:
    clean = [text.decode() for text in cleaned(coco_captions[:500], "bert").numpy()]
    learned = WordPiece.learn(clean, vocabulary_size=900)
    renamed = WordPiece(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *learned.vocabulary[4:]))
    assert differences(renamed, coco_captions[::5]) == []


def test_any_text_equals_hugging_face(bert: WordPiece, strings: list[str]) -> None:
    assert differences(bert, strings) == []
    ids = bert.tokenize(strings[:1000]).flat_values.numpy()
    assert 0.01 < (ids == bert.unknown_id).mean() < 0.5


def test_cased_text_equals_hugging_face(strings: list[str]) -> None:
    composed = [unicodedata.normalize("NFC", text) for text in strings[:6000]]
    # "light" takes controls for spaces, and leaves invisible characters; BERT takes out both.
    seen = [text for text in composed if not re.search("C", kinds_of(text))]
    cased = trained(seen[:2000], lower=False)
    assert len(seen) > 2000
    assert any("A" in token for token in cased.vocabulary[6:])
    assert differences(cased, seen, lower=False) == []


def test_old_characters_equal_hugging_face() -> None:
    some = old_characters()
    characters = [c for c in some if c < "\u3400" or ord(c) % 16 == 0]  # few of Han and Hangul
    assert len(characters) > 14_000
    texts = [f"a{character}a" for character in characters]
    seen = dict.fromkeys([*BERT, "a", "##a"])
    for text in cleaned(texts, "bert").numpy().tolist():
        for character in text.decode()[1:-1].strip():
            seen.update({character: None, f"##{character}": None})
    assert differences(WordPiece(tuple(seen)), texts) == []


@pytest.mark.parametrize("letter", ["a", "é", "й", "😀"])
def test_words_of_a_hundred_characters_are_the_longest(letter: str) -> None:
    tokenizer = WordPiece((*BERT, letter, f"##{letter}", ".", "'"))
    words = [letter * 100, letter * 101, f"{letter}.{letter * 101}'{letter}", letter * 500]
    assert tokenizer.tokenize(words).to_list() == [[6] + [7] * 99, [2], [6, 8, 2, 9, 6], [2]]
    assert tokenizer.tokenize(f"{letter * 100}.{letter * 100}").shape == [201]
    assert tokenizer.tokenize(f"{letter * 100} {letter * 101}")[-2:].numpy().tolist() == [7, 2]


# --- vocabularies ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokens", "ids", "cleaning"),
    [
        (("[PAD]", "[UNK]", "[START]", "[END]", "a"), (0, 1, 2, 3), "lower"),
        (("[END]", "A", "[START]", "[UNK]", "[PAD]"), (4, 3, 2, 0), "lower"),
        (("[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"), (0, 2, 3, 4), "bert"),
        (("a", "[SEP]", "##é", "[CLS]", "[UNK]", "[PAD]"), (5, 4, 3, 1), "bert"),
        (("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "##B"), (0, 1, 2, 3), "light"),
        (("[PAD]", "[UNK]", "[CLS]", "[SEP]", "É"), (0, 1, 2, 3), "light"),
        (("[PAD]", "[UNK]", "[START]", "[END]", "[CLS]", "[SEP]", "a"), (0, 1, 2, 3), "lower"),
    ],
)
def test_special_tokens_are_found_by_name(
    tokens: tuple[str, ...], ids: tuple[int, ...], cleaning: str, tmp_path: Path
) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(tokens), "utf-8")  # no last line feed
    tokenizer = WordPiece.load(tmp_path / "vocab.txt")
    assert tokenizer.vocabulary == tokens
    found = (tokenizer.pad_id, tokenizer.unknown_id, tokenizer.start_id, tokenizer.end_id)
    assert found == ids
    assert tokenizer.cleaning == cleaning


def test_detokenize_leaves_out_special_tokens(bert: WordPiece) -> None:
    word = bert.tokenize("dog").numpy().tolist()
    row = [bert.start_id, *word, bert.unknown_id, bert.pad_id, bert.end_id]
    assert bert.detokenize(row).numpy() == b"dog [UNK]"
    forged = bert.tokenize("[CLS] [PAD] [SEP] [MASK] [unused0] ##dog").numpy().tolist()
    assert not {0, 1, 3, 4, 5} & set(forged)


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        ((), r"must hold .* got 0 token"),
        (("[PAD]", "[UNK]", "[CLS]", "[SEP]"), r"and other tokens; got 4 token"),
        (
            ("[PAD]", "[UNK]", "[CLS]", "a", "b"),
            r"must hold \[PAD\], \[UNK\], \[START\], \[END\], ",
        ),
        (("[PAD]", "[UNK]", "[START]", "[SEP]", "a"), r"or BERT's \[PAD\], \[UNK\], \[CLS\]"),
        (("[pad]", "[UNK]", "[CLS]", "[SEP]", "a"), "must hold"),
        ((*BERT, "a", "[CLS]"), r"each token once; got duplicates of \['\[CLS\]'\]"),
        ((*BERT, "a", "a\0b"), r"no U\+0000, .*; got \['a\\x00b'\]"),
        ((*BERT, "a.b"), r"a token that text can become; tensorflow-text says: No valid"),
        ((*BERT, "##" + "é" * 129), r"tokens of at most 256 bytes; got \['##éé"),
    ],
)
def test_vocabularies_that_are_refused(vocabulary: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=rf"WordPiece\(vocabulary=\.\.\.\) .*{message}"):
        WordPiece(vocabulary)


def test_the_longest_tokens() -> None:
    tokenizer = WordPiece((*BERT, "é" * 100, "##" + "a" * 256))
    assert tokenizer.tokenize("é" * 100).numpy().tolist() == [6]
