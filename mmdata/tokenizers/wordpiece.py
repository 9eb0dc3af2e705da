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
from typing_extensions import Self

from mmdata.tokenizers.learning import count, first_tokens
from mmdata.tokenizers.listed import RESERVED_TOKEN, SPECIAL_TOKENS, Listed
from mmdata.tokenizers.words import join_words, split_parts, stand_alone

BERT_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
"""What BERT's vocabularies call the special tokens."""

_LONGEST_WORD = 100  # characters
_LONGEST_TOKEN = 256  # bytes


@dataclasses.dataclass(frozen=True, repr=False)
class WordPiece(Listed):
    """BERT's tokenizer: the longest pieces of a word that the vocabulary holds, from the left.

    A word of more than 100 characters is unknown. Reads BERT's vocabularies as well: their special
    tokens are "[PAD]", "[UNK]", "[CLS]" and "[SEP]", at any place.

    On text from `Clean.preset("bert")`, its ids are those that Hugging Face's
    `BertWordPieceTokenizer` gives for the raw text, but for two things. No text becomes a special
    token. And 953 of the 1,112,064 characters come out otherwise: 256 Han characters, U+2B820 to
    U+2B91F, stand alone here as in BERT; 691 marks, capitals and punctuation marks are newer than
    Unicode 8, after which Hugging Face's tables end; 6 have changed their category since.

    Attributes:
      vocabulary: Each token once; a token's place is its id. Holds the four `SPECIAL_TOKENS` or
        `BERT_TOKENS`. No token is empty, of more than 256 bytes, or holds a line feed or U+0000.

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
                "WordPiece(vocabulary=...) must hold no U+0000, at which tensorflow-text cuts; got "
                f"{cut[:5]}."
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
                f"{who} must hold {', '.join(SPECIAL_TOKENS)}, or as BERT's "
                f"{', '.join(BERT_TOKENS)}, and other tokens; got {len(self.vocabulary):,} "
                f"token(s), the first being {list(self.vocabulary[:4])}."
            )

    @classmethod
    def learn(
        cls,
        captions: Iterable[str],
        *,
        vocabulary_size: int = 8000,
        reserved_tokens: tuple[str, ...] = (),
    ) -> Self:
        """Learns pieces from clean captions.

        Reaches `vocabulary_size` wherever the captions hold that many different pieces: it searches
        the count above which a piece is kept, and cuts the rarest ones. Single characters come
        before all other pieces, whatever their count.

        Args:
          captions: Clean text, from a stream of any length.
          vocabulary_size: Tokens at most, special and reserved ones included, >= 5.
          reserved_tokens: Tokens in brackets, as "[NAME]" or "<name>", for a model's own use. Their
            ids begin at 4. No text becomes them.

        Raises:
          ValueError: The captions hold no word, the size is too small, or a reserved token is not
            as described, there twice, or special.
        """
        first = first_tokens(vocabulary_size, reserved_tokens)
        counts = count(captions, split_parts)
        counts.pop("\0", None)
        size = vocabulary_size - len(first)
        return cls((*first, *_pieces(counts, _threshold(counts, size))[:size]))

    @property
    def cleaning(self) -> str:  # type: ignore[override]
        """Is "lower" for learned vocabularies; for BERT's "bert", for its cased ones "light"."""
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

    BERT's limit is 100 characters, tensorflow-text's is in bytes: a word of 100 has 400 at most.
    Few texts are long enough for such a word, so this costs the others nothing.
    """
    long = tf.where(tf.strings.length(text) > _LONGEST_WORD)
    words = stand_alone(tf.gather_nd(text, long))
    longer = tf.strings.regex_replace(words, rf"[^ ]{{{_LONGEST_WORD + 1},}}", r"\0\0\0\0")
    return tf.tensor_scatter_nd_update(text, long, longer)


def _threshold(counts: Counter[str], size: int) -> int:
    """The largest count for which at least `size` pieces occur as often, 1 where there is none."""
    low, high = 1, max(counts.values())
    while low < high:
        middle = (low + high + 1) // 2
        if len(_pieces(counts, middle)) >= size:
            low = middle
        else:
            high = middle - 1
    return low


def _pieces(counts: Counter[str], threshold: int) -> list[str]:
    """Single characters, and pieces of at least that count, commonest first."""
    pieces: list[str] = learner.learn(
        sorted(counts.items()),
        vocab_size=1,
        reserved_tokens=[],
        lower_thresh=threshold,
        upper_thresh=threshold,
    )
    return sorted(pieces, key=lambda piece: len(piece.removeprefix("##")) > 1)
