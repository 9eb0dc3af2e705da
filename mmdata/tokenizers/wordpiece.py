"""Words, and pieces of rare words."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterable
from typing import Any, Self

import tensorflow as tf
import tensorflow_text as tf_text
from tensorflow_text.tools.wordpiece_vocab import wordpiece_tokenizer_learner_lib as learner

from mmdata.tokenizers.learning import count, require_vocabulary_size
from mmdata.tokenizers.listed import SPECIAL_TOKENS, Listed
from mmdata.tokenizers.words import join_words, split_parts


@dataclasses.dataclass(frozen=True, repr=False)
class WordPiece(Listed):
    """BERT's tokenizer: the longest pieces of a word that the vocabulary holds, from the left.

    Source: Wu et al. 2016, "Google's Neural Machine Translation System", section 4.1; linear-time
    matching: Song et al. 2021, "Fast WordPiece Tokenization".
    """

    @classmethod
    def learn(cls, captions: Iterable[str], *, vocabulary_size: int = 8000) -> Self:
        """Learns pieces from clean captions.

        Reaches `vocabulary_size` wherever the captions hold that many different pieces: it searches
        the count above which a piece is kept, and cuts the rarest ones. Single characters come
        before all other pieces, whatever their count.

        Args:
          captions: Clean text, from a stream of any length.
          vocabulary_size: Tokens at most, special ones included, >= 5.

        Raises:
          ValueError: The captions hold no word, or the size is too small.
        """
        require_vocabulary_size(vocabulary_size)
        counts = count(captions, split_parts)
        enough = _threshold(counts, vocabulary_size)
        return cls(tuple(_pieces(counts, enough)[:vocabulary_size]))

    @functools.cached_property
    def _fast(self) -> Any:
        with tf.init_scope(), tf.device("CPU:0"):
            return tf_text.FastBertTokenizer(
                vocab=list(self.vocabulary),
                token_out_type=tf.int32,
                unknown_token=self.vocabulary[self.unknown_id],
                lower_case_nfd_strip_accents=False,
            )

    def _tokenize(self, text: Any) -> Any:
        return self._fast.tokenize(text)

    def _join(self, ids: Any) -> Any:
        pieces = tf.gather(tf.constant(self.vocabulary), ids)
        words = tf.strings.reduce_join(pieces, axis=-1, separator=" ")
        return join_words(tf.strings.split(tf.strings.regex_replace(words, " ##", "")))


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
    """The special tokens, single characters, and pieces of at least that count, commonest first."""
    learned: list[str] = learner.learn(
        sorted(counts.items()),
        vocab_size=1,
        reserved_tokens=list(SPECIAL_TOKENS),
        lower_thresh=threshold,
        upper_thresh=threshold,
    )
    pieces = learned[len(SPECIAL_TOKENS) :]
    return [*SPECIAL_TOKENS, *sorted(pieces, key=lambda piece: len(piece.removeprefix("##")) > 1)]
