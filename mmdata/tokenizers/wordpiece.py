"""Words, and pieces of rare words."""

import dataclasses
import functools
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import tensorflow as tf
import tensorflow_text as tf_text
from tensorflow_text.tools.wordpiece_vocab import wordpiece_tokenizer_learner_lib as learner

from mmdata.tokenizers.vocabulary_learning import LearnedVocabulary, count_tokens
from mmdata.tokenizers.vocabulary_tokenizer import RESERVED_TOKEN, SPECIAL_TOKENS
from mmdata.tokenizers.word_splitting import join_words, separate_symbols, split_parts

BERT_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
"""The special tokens of BERT's vocabularies, in the same order."""

_LONGEST_WORD = 100  # characters
_LONGEST_TOKEN = 256  # bytes


@dataclasses.dataclass(frozen=True, repr=False)
class WordPiece(LearnedVocabulary):
    """BERT's tokenizer: the longest pieces of a word that the vocabulary holds, from the left.

    A word of more than 100 characters is unknown. Also reads BERT's vocabularies: their special
    tokens are "[PAD]", "[UNK]", "[CLS]" and "[SEP]", in any place.

    `learn` reaches `vocabulary_size` if the captions have that many different pieces: it searches
    for the minimum count of a piece, and cuts off the rarest ones. Single characters come before
    all other pieces, whatever their count.

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
        return _pieces(counts, _threshold(counts, size))[:size]

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


def _threshold(counts: Counter[str], size: int) -> int:
    """The largest count that at least `size` pieces have; 1 if there is none."""
    low, high = 1, max(counts.values())
    while low < high:
        middle = (low + high + 1) // 2
        if len(_pieces(counts, middle)) >= size:
            low = middle
        else:
            high = middle - 1
    return low


def _pieces(counts: Counter[str], threshold: int) -> list[str]:
    """Single characters, then pieces with at least that count, each the most common first."""
    pieces: list[str] = learner.learn(
        sorted(counts.items()),
        vocab_size=1,
        reserved_tokens=[],
        lower_thresh=threshold,
        upper_thresh=threshold,
    )
    return sorted(pieces, key=lambda piece: len(piece.removeprefix("##")) > 1)
