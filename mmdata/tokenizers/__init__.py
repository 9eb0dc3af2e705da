"""Tokenizers that run inside the graph: text -> ragged int32 and back."""

from mmdata.tokenizers.byte import Byte
from mmdata.tokenizers.tokenizer import Tokenizer
from mmdata.tokenizers.word import Word
from mmdata.tokenizers.wordpiece import WordPiece

LEARNED: dict[str, type[Word] | type[WordPiece]] = {"word": Word, "wordpiece": WordPiece}
"""The tokenizers that are learned from captions, by name."""

__all__ = ["LEARNED", "Byte", "Tokenizer", "Word", "WordPiece"]
