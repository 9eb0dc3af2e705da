"""Tokenizers that run in the graph: text -> ragged int32 ids and back."""

from mmdata.tokenizers.byte import Byte
from mmdata.tokenizers.byte_pair import BytePair
from mmdata.tokenizers.character import Character
from mmdata.tokenizers.clip_bpe import ClipBpe, find_merges
from mmdata.tokenizers.keras_tokenizer import KerasTokenizer
from mmdata.tokenizers.sentence_piece import SentencePiece
from mmdata.tokenizers.tokenizer import Tokenizer
from mmdata.tokenizers.word import Word
from mmdata.tokenizers.wordpiece import WordPiece

Learned = type[Word] | type[WordPiece] | type[Character] | type[SentencePiece] | type[BytePair]

LEARNED: dict[str, Learned] = {
    "word": Word,
    "wordpiece": WordPiece,
    "character": Character,
    "sentencepiece": SentencePiece,
    "bytepair": BytePair,
}
"""The tokenizers that can be learned from captions, with their names in `build(text=...)`."""

__all__ = [
    "LEARNED",
    "Byte",
    "BytePair",
    "Character",
    "ClipBpe",
    "KerasTokenizer",
    "SentencePiece",
    "Tokenizer",
    "Word",
    "WordPiece",
    "find_merges",
]
