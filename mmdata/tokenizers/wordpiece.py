"""Words, and pieces of rare words."""

import dataclasses
import functools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf
import tensorflow_text as tf_text

from mmdata.progress import progress
from mmdata.tokenizers.merge_learning import learn_merges
from mmdata.tokenizers.vocabulary_learning import LearnedVocabulary, count_tokens, most_common
from mmdata.tokenizers.vocabulary_tokenizer import RESERVED_TOKEN, SPECIAL_TOKENS
from mmdata.tokenizers.word_splitting import join_words, separate_symbols, split_parts

BERT_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
"""The special tokens of BERT's vocabularies, in the same order."""

_LONGEST_WORD = 100  # characters
_LONGEST_TOKEN = 256  # bytes
_LONGEST_LEARNED = _LONGEST_TOKEN // 4  # characters
_FIRST_SYMBOL = 0x10000  # the first code point above the surrogates' plane


@dataclasses.dataclass(frozen=True, repr=False)
class WordPiece(LearnedVocabulary):
    """BERT's tokenizer: the longest pieces of a word that the vocabulary holds, from the left.

    A word of more than 100 characters is unknown. Also reads BERT's vocabularies: their special
    tokens are "[PAD]", "[UNK]", "[CLS]" and "[SEP]", in any place.

    `learn` takes all single characters, the most common first, at the beginning of a word and, if
    they can be there, inside one. Then it joins the most common pair of neighbours, again and
    again, until `vocabulary_size` is reached or each word of the captions is a piece. The same
    captions in any order give the same vocabulary.

    On text from `Clean.preset("bert")`, its ids are those that Hugging Face's
    `BertWordPieceTokenizer` gives for the raw text, with two exceptions. No text becomes a special
    token. And 953 of the 1,112,064 characters differ: 256 Han characters, U+2B820 to U+2B91F, are
    separate words here, as in BERT; 691 marks, capitals and punctuation marks are newer than
    Unicode 8, where Hugging Face's tables end; 6 have changed their category since.

    Attributes:
      vocabulary: Each token once; its index is its id. Holds the four `SPECIAL_TOKENS` or
        `BERT_TOKENS`. No token is empty, has more than 256 bytes, or holds a line feed or U+0000.

    Raises:
      ValueError: The vocabulary is not as described.

    Source: Wu et al. 2016, "Google's Neural Machine Translation System", section 4.1; Devlin et al.
    2018, "BERT"; linear-time matching: Song et al. 2021, "Fast WordPiece Tokenization".
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        cut = [token for token in self.vocabulary if "\0" in token]
        if cut:
            raise ValueError(
                "WordPiece(vocabulary=...) must hold no U+0000, which ends a token in "
                f"tensorflow-text; got {cut[:5]}."
            )
        sizes = ((len(token.removeprefix("##").encode()), token) for token in self.vocabulary)
        longer = [token for size, token in sizes if size > _LONGEST_TOKEN]
        if longer:
            raise ValueError(
                f"WordPiece(vocabulary=...) must hold tokens of at most {_LONGEST_TOKEN} bytes; "
                f"got {sorted(longer)[:5]}."
            )
        try:
            _ = self._fast
        except RuntimeError as err:
            raise ValueError(
                "WordPiece(vocabulary=...) must hold a token that text can become; tensorflow-text "
                f"says: {err}"
            ) from err

    def _require_special_tokens(self, who: str) -> None:
        missing = set(self._special_tokens) - set(self.vocabulary)
        if missing or len(self.vocabulary) == len(SPECIAL_TOKENS):
            raise ValueError(
                f"{who} must hold {', '.join(SPECIAL_TOKENS)}, or BERT's "
                f"{', '.join(BERT_TOKENS)}, and other tokens; got {len(self.vocabulary):,} "
                f"token(s), beginning with {list(self.vocabulary[:4])}."
            )

    @classmethod
    def _learned(cls, captions: Iterable[str], size: int) -> list[str]:
        counts = count_tokens(captions, split_parts)
        counts.pop("\0", None)
        letters = _letters(counts)
        return [*letters, *_joined(counts, letters, size)][:size]

    @property
    def cleaning(self) -> str:  # type: ignore[override]
        """The preset: "lower" if learned, "bert" for BERT's, "light" for BERT's cased ones."""
        if self._special_tokens == SPECIAL_TOKENS:
            return "lower"
        return "light" if self._keeps_case else "bert"

    @functools.cached_property
    def _keeps_case(self) -> bool:
        words = (token for token in self.vocabulary if not re.fullmatch(RESERVED_TOKEN, token))
        return any(word != word.lower() for word in words)

    @functools.cached_property
    def _special_tokens(self) -> tuple[str, ...]:
        return BERT_TOKENS if "[START]" not in self.vocabulary else SPECIAL_TOKENS

    @functools.cached_property
    def _special_ids(self) -> tuple[int, ...]:
        return tuple(map(self.vocabulary.index, self._special_tokens))

    @property
    def pad_id(self) -> int:
        """The id of "[PAD]"."""
        return self._special_ids[0]

    @property
    def unknown_id(self) -> int:
        """The id of "[UNK]"."""
        return self._special_ids[1]

    @property
    def start_id(self) -> int:
        """The id of "[START]" or "[CLS]"."""
        return self._special_ids[2]

    @property
    def end_id(self) -> int:
        """The id of "[END]" or "[SEP]"."""
        return self._special_ids[3]

    @functools.cached_property
    def _fast(self) -> Any:
        with tf.init_scope(), tf.device("CPU:0"):
            return tf_text.FastBertTokenizer(
                vocab=list(self.vocabulary),
                token_out_type=tf.int32,
                unknown_token="[UNK]",
                max_bytes_per_word=4 * _LONGEST_WORD,
                lower_case_nfd_strip_accents=False,
            )

    def _tokenize(self, text: Any) -> Any:
        return self._fast.tokenize(_lengthen(text))

    def _join(self, ids: Any) -> Any:
        pieces = tf.gather(tf.constant(self.vocabulary), ids)
        words = tf.strings.reduce_join(pieces, axis=-1, separator=" ")
        return join_words(tf.strings.split(tf.strings.regex_replace(words, " ##", "")))


def _lengthen(text: Any) -> Any:
    """Makes words of over 100 characters longer than 400 bytes: string [n] -> string [n].

    BERT's limit is in characters, tensorflow-text's in bytes: 100 characters are at most 400 bytes.
    Only texts of more than 100 bytes cost time, and few are that long.
    """
    long = tf.where(tf.strings.length(text) > _LONGEST_WORD)
    words = separate_symbols(tf.gather_nd(text, long))
    longer = tf.strings.regex_replace(words, rf"[^ ]{{{_LONGEST_WORD + 1},}}", r"\0\0\0\0")
    return tf.tensor_scatter_nd_update(text, long, longer)


def _letters(counts: Counter[str]) -> list[str]:
    """All characters of the words, the most common first; then those inside words, with "##"."""
    found: Counter[str] = Counter()
    for word, number in counts.items():
        for character in word:
            found[character] += number
    characters = most_common(found, len(found))
    alone = (separate_symbols(tf.constant(characters)) != tf.constant(characters)).numpy()
    inside = (c for c, is_alone in zip(characters, alone, strict=True) if not is_alone)
    return [*characters, *(f"##{character}" for character in inside)]


def _joined(counts: Counter[str], letters: list[str], size: int) -> list[str]:
    """The pieces of several letters, in the order in which they are joined.

    A symbol replaces each letter, since the library joins single characters.
    """
    symbols = {letter: chr(_FIRST_SYMBOL + place) for place, letter in enumerate(letters)}
    characters = {symbol: letter for letter, symbol in symbols.items()}

    def piece(spelled: str) -> str:
        first, *others = (characters[symbol] for symbol in spelled)
        return first + "".join(other.removeprefix("##") for other in others)

    merges = learn_merges(
        _spelled(counts, symbols), list(characters), size, longest=_LONGEST_LEARNED
    )
    return [piece(left + right) for left, right in merges]


def _spelled(counts: Counter[str], symbols: dict[str, str]) -> Iterator[list[str]]:
    """Each word in symbols, as often as it occurs; without words that are always unknown."""
    with progress(total=counts.total(), what="learning a vocabulary", unit="word") as bar:
        for word, number in counts.items():
            if 1 < len(word) <= _LONGEST_WORD:
                inside = (symbols[f"##{character}"] for character in word[1:])
                yield [symbols[word[0]] + "".join(inside)] * number
            bar.update(number)
