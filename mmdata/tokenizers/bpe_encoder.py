"""`BpeEncoder`: byte-pair encoding in the graph."""

import struct
from collections.abc import Callable, Collection, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_text as tf_text

from mmdata.tokenizers import model_proto
from mmdata.tokenizers.bpe_merges import Merge, to_bytes

MARK = b"\xff"
"""Follows each word. Valid UTF-8 never holds this byte."""

_NEVER = "\u0100"  # No byte is spelled like this: no text becomes a piece with this character.

# SentencePiece logs a line if there is no table of replacements. This one is empty: the size of its
# trie in bytes, the smallest valid trie, and no replacements.
_NO_CHANGES = struct.pack("<I1024x1x", 1024)


def spell(token: str) -> str:
    """Spells a token's bytes as characters U+0000 to U+00FE; 0xFF is only `MARK`."""
    return to_bytes(token).decode("latin-1").replace(MARK.decode("latin-1"), _NEVER)


def _unspell(piece: str) -> bytes:
    return piece.encode("latin-1").removesuffix(MARK)


class BpeEncoder(tf.Module):
    """Merges the bytes of words, lowest rank first, with a SentencePiece model.

    Most words are one token: a table has these.

    SentencePiece ranks pieces, not pairs. The two are equivalent if each piece results when its own
    bytes are the whole word: the two neighbours that then join are the pair of its merge, since
    nothing outside of them has changed them. A piece that does not result even then never results;
    such pieces are left out.

    Args:
      pieces: Each id's spelling, with `MARK` spelled too; None for ids that no text becomes.
      merges: Merges in that spelling, by rank.
      mark: Puts `MARK` after each word of a chunk of text: string [n] -> string [n].
      fixed: Pieces that exist before any merge, and are never merged.

    Source: Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units".
    """

    def __init__(
        self,
        pieces: Sequence[str | None],
        merges: Sequence[Merge],
        mark: Callable[[Any], Any],
        fixed: Collection[str] = (),
    ) -> None:
        super().__init__()  # a module, so that a SavedModel saves its table
        ranks = {left + right: rank for rank, (left, right) in enumerate(merges)}
        unreachable = _unreachable(merges)
        model = model_proto.Model()
        for place, piece in enumerate(pieces):
            if piece is None or piece in unreachable:
                model.pieces.add(piece=f"\u2581{place}", type=model_proto.CONTROL)
            elif piece in fixed:
                model.pieces.add(piece=piece, type=model_proto.USER_DEFINED)
            else:
                model.pieces.add(piece=piece, score=-ranks.get(piece, 0))
        model.pieces.add(piece="\u2581", type=model_proto.UNKNOWN)
        model.trainer_spec.model_type = model_proto.BPE
        model.normalizer_spec.precompiled_charsmap = _NO_CHANGES
        model.normalizer_spec.add_dummy_prefix = False
        model.normalizer_spec.remove_extra_whitespaces = False
        model.normalizer_spec.escape_whitespaces = False
        self._unknown = len(pieces)
        self._mark = mark
        with tf.init_scope(), tf.device("CPU:0"):
            self._encoder = tf_text.SentencepieceTokenizer(model.SerializeToString())
            words = {_unspell(piece) for piece in pieces if piece and _NEVER not in piece}
            self._tokens = self._table(tf.constant(sorted(words)))

    def _table(self, words: Any) -> Any:
        """Makes a table of the ids of words that are one token; -1 for all others."""
        ids = self._merge(words)
        is_token = ids.row_lengths() == 1
        entries = tf.lookup.KeyValueTensorInitializer(
            words[is_token], tf.ragged.boolean_mask(ids, is_token).flat_values
        )
        return tf.lookup.StaticHashTable(entries, -1)

    def encode(self, chunks: Any) -> Any:
        """Turns chunks of words into ids: string [n, None] -> int32 [n, None], both ragged."""
        distinct, places = tf.unique(chunks.flat_values)  # most words of a batch occur many times
        tokens = self._tokens.lookup(distinct)
        is_rare = tokens < 0
        merged = self._merge(tf.boolean_mask(distinct, is_rare))
        ids = tf.concat([tf.RaggedTensor.from_tensor(tokens[:, tf.newaxis]), merged], axis=0)
        number = tf.size(distinct)
        rare_places = number + tf.cumsum(tf.cast(is_rare, tf.int32), exclusive=True)
        places = tf.gather(tf.where(is_rare, rare_places, tf.range(number)), places)
        return chunks.with_values(tf.gather(ids, places)).merge_dims(1, 2)

    def _merge(self, chunks: Any) -> Any:
        """String [n] -> int32 [n, None], ragged."""
        spelled = tf.strings.unicode_transcode(self._mark(chunks), "ISO-8859-1", "UTF-8")
        ids = self._encoder.tokenize(spelled)
        return tf.ragged.boolean_mask(ids, ids != self._unknown)


def _unreachable(merges: Sequence[Merge]) -> set[str]:
    """The results of merges that no text gives, even when they are the whole word.

    Either a part of it is unreachable, or its two parts never meet: a merge of lower rank joins
    the last part of its left side to the first part of its right side while both exist. A part
    exists until it is merged into the next larger one.
    """
    ranks = {merge: rank for rank, merge in enumerate(merges)}
    lasts: dict[str, list[tuple[str, int]]] = {}
    firsts: dict[str, list[tuple[str, int]]] = {}
    unreachable: set[str] = set()
    for rank, (left, right) in enumerate(merges):
        lasts[left + right] = [(right, rank), *lasts.get(right, ())]
        firsts[left + right] = [(left, rank), *firsts.get(left, ())]
        if {left, right} & unreachable or any(
            # The leftmost of equal pairs is merged first, hence < on the left and <= on the right.
            ranks[pair] < last_until and ranks[pair] <= first_until
            for last, last_until in [(left, rank), *lasts.get(left, ())]
            for first, first_until in [(right, rank), *firsts.get(right, ())]
            if (pair := (last, first)) in ranks
        ):
            unreachable.add(left + right)
    return unreachable
