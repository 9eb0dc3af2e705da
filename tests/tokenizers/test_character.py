"""Character, against Python's code points."""

from collections import Counter
from pathlib import Path

import pytest
import tensorflow as tf
from hypothesis import example, given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

from mmdata.tokenizers.character import Character
from mmdata.tokenizers.vocabulary_tokenizer import SPECIAL_TOKENS

ANY = st.characters(exclude_categories=["Cs"], exclude_characters="\n")
TEXTS = st.lists(st.text(ANY | st.sampled_from("ab é"), max_size=12), min_size=1, max_size=12)


@settings_of(max_examples=40)
@given(texts=TEXTS)
@example(texts=["é e\u0301", "👩‍🚀👍🏽", "\0a\0", " a  b ", "\r\t\u2028\ufeff", "\U0010ffff"])
def test_is_lossless_where_all_characters_are_known(texts: list[str]) -> None:
    texts = [*texts, "x"]
    tokenizer = Character.learn(texts)
    place = {character: place for place, character in enumerate(tokenizer.vocabulary)}
    ids = tokenizer.tokenize(texts)
    assert ids.to_list() == [[place[character] for character in text] for text in texts]
    assert [text.decode() for text in tokenizer.detokenize(ids).numpy()] == texts


@settings_of(max_examples=40)
@given(texts=TEXTS, most=st.integers(1, 6))
def test_the_rarest_characters_are_unknown(texts: list[str], most: int) -> None:
    counts = Counter("".join([*texts, "x"]))
    ranked = sorted(counts, key=lambda character: (-counts[character], ord(character)))
    tokenizer = Character.learn([*texts, "x"], vocabulary_size=4 + most)
    assert tokenizer.vocabulary == (*SPECIAL_TOKENS, *ranked[:most])
    place = {character: place for place, character in enumerate(ranked[:most], 4)}
    expected = [[place.get(character, 1) for character in text] for text in texts]
    assert tokenizer.tokenize(tf.constant(texts)).to_list() == expected


def test_ties_go_by_code_point() -> None:
    captions = ["\U0001f600\uff01zba", "ba"]
    assert Character.learn(captions, vocabulary_size=8).vocabulary[4:] == ("a", "b", "z", "\uff01")


def test_line_feeds_are_unknown() -> None:
    tokenizer = Character.learn(["a\nb\n\n\n"])
    assert tokenizer.vocabulary[4:] == ("a", "b")
    assert tokenizer.tokenize("b\na").numpy().tolist() == [5, 1, 4]
    assert tokenizer.detokenize([5, 1, 4]).numpy() == b"b[UNK]a"


@pytest.mark.parametrize("captions", [[" \t"], ["\n"], ["\u3000", ""]], ids=ascii)
def test_spaces_alone_are_no_text(captions: list[str]) -> None:
    with pytest.raises(ValueError, match="at least one caption with text; got none"):
        Character.learn(captions)


def test_a_file_of_words_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("\n".join((*SPECIAL_TOKENS, "[IMG]", "<box>", "a", "boat", "##a")), "utf-8")
    message = (
        r"words\.txt: not a vocabulary of Character: Character\(vocabulary=\.\.\.\) must hold "
        r"single characters .*; got \['##a', 'boat'\]"
    )
    with pytest.raises(ValueError, match=message):
        Character.load(path)
