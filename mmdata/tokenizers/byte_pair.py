"""The tokenizer of GPT-2 and RoBERTa: loaded, or learned from captions."""

import dataclasses
import functools
import itertools
import json
import os
import pathlib
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, ClassVar

import tensorflow as tf
import tensorflow_text as tf_text
from tokenizers.pre_tokenizers import ByteLevel
from typing_extensions import Self

from mmdata.storage.atomic import write
from mmdata.tokenizers.bpe_encoder import MARK, BpeEncoder, spell
from mmdata.tokenizers.bpe_merges import ALPHABET, Merge, fault, read_merges, to_bytes, write_merges
from mmdata.tokenizers.merge_learning import learn_merges
from mmdata.tokenizers.tokenizer import Tokenizer
from mmdata.tokenizers.vocabulary_files import read
from mmdata.tokenizers.vocabulary_learning import NO_TEXT, with_progress
from mmdata.tokenizers.white_space import OTHER_SPACE, SPACE

SPECIAL_TOKENS = ("<pad>", "<s>", "</s>")
"""The first three tokens of each learned vocabulary."""

_GPT2 = "<|endoftext|>"
_LETTERS = tuple(ALPHABET.values())
_SPECIAL = re.compile(r"<[^<>\s\0\ud800-\udfff]+>|madeupword\d{4}")
_WORD = (
    r"'s|'t|'re|'ve|'m|'ll|'d"
    rf"| ?\p{{L}}+| ?\p{{N}}+| ?[^{SPACE}\p{{L}}\p{{N}}]+|[{SPACE}]+"
)


@dataclasses.dataclass(frozen=True, repr=False)
class BytePair(Tokenizer):
    """Byte-level byte pairs, as in GPT-2 and RoBERTa: a space belongs to the word after it.

    Lossless: `detokenize(tokenize(text))` is `text`, if that is valid UTF-8. No text becomes a
    special token. Letters and digits are those of the Unicode version of TensorFlow's RE2.

    Attributes:
      vocabulary: Each token once; its index is its id. The 256 bytes, the results of the merges,
        and special tokens in angle brackets: "<s>", "</s>" and "<pad>", or "<|endoftext|>", and
        any others.
      merges: Pairs, by rank.

    Raises:
      ValueError: Vocabulary and merges are not as described.

    Source: https://github.com/openai/gpt-2, `encoder.py`.
    """

    cleaning: ClassVar[str] = "light"

    vocabulary: tuple[str, ...]
    merges: tuple[Merge, ...]

    def __post_init__(self) -> None:
        if found := fault(self.merges, _LETTERS):
            raise ValueError(f"BytePair(merges=...): {found[1]}. See merges[{found[0]}].")
        if why := _mismatch(self.vocabulary, self.merges):
            raise ValueError(f"BytePair(vocabulary=...) {why}.")

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[str, ...], tuple[Merge, ...]]]:
        return type(self), (self.vocabulary, self.merges)

    @functools.cached_property
    def _special_ids(self) -> tuple[int, int, int]:
        names = SPECIAL_TOKENS if set(SPECIAL_TOKENS) <= set(self.vocabulary) else [_GPT2] * 3
        pad, start, end = map(self.vocabulary.index, names)
        return pad, start, end

    @property
    def pad_id(self) -> int:
        """The id of "<pad>", else of "<|endoftext|>"."""
        return self._special_ids[0]

    @property
    def start_id(self) -> int:
        """The id of "<s>", else of "<|endoftext|>"."""
        return self._special_ids[1]

    @property
    def end_id(self) -> int:
        """The id of "</s>", else of "<|endoftext|>"."""
        return self._special_ids[2]

    @property
    def unknown_id(self) -> None:
        """None: every text consists of known bytes. No text becomes a "<unk>" of the vocabulary."""
        return None

    @functools.cached_property
    def _tokens(self) -> set[str]:
        return {*_LETTERS, *(left + right for left, right in self.merges)}

    @functools.cached_property
    def _encoder(self) -> BpeEncoder:
        merges = [(spell(left), spell(right)) for left, right in self.merges]
        pieces = [spell(token) if token in self._tokens else None for token in self.vocabulary]
        return BpeEncoder(pieces, merges, _mark)

    @functools.cached_property
    def _texts(self) -> Any:
        texts = [
            to_bytes(token) if token in self._tokens else token.encode()
            for token in self.vocabulary
        ]
        with tf.init_scope(), tf.device("CPU:0"):
            return tf.constant(texts)

    def _parts(self) -> Iterable[bytes]:
        yield from (token.encode() for token in self.vocabulary)
        yield from (f"{left} {right}".encode() for left, right in self.merges)

    def _tokenize(self, text: Any) -> Any:
        text = tf_text.coerce_to_structurally_valid_utf8(text)
        # In a run of spaces, only the last one can begin a word.
        text = tf.strings.regex_replace(text, f" ([^{SPACE}])", MARK + rb" \1")
        return self._encoder.encode(tf.strings.split(text, MARK))

    def _join(self, ids: Any) -> Any:
        text = tf.strings.reduce_join(tf.gather(self._texts, ids), axis=-1)
        return tf_text.coerce_to_structurally_valid_utf8(text)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes `vocab.json` and `merges.txt` into a folder; neither is ever half-written."""
        vocabulary, merges = _files(path)
        ids = {token: place for place, token in enumerate(self.vocabulary)}
        write(vocabulary, json.dumps(ids, ensure_ascii=False).encode())
        write(merges, write_merges(merges, self.merges))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads `vocab.json` and `merges.txt` in a folder.

        Raises:
          FileNotFoundError: A file is missing.
          ValueError: A file is invalid, or the two do not match; the message says where.
        """
        vocabulary, merges = _files(path)
        tokens = _read_vocabulary(vocabulary)
        # One merge more than the vocabulary has room for is enough to see that they do not match.
        pairs = read_merges(merges, _LETTERS, max(len(tokens) - len(_LETTERS), 0) + 1)
        if why := _mismatch(tokens, pairs):
            raise ValueError(f"{vocabulary}: {why}.")
        return cls(tokens, pairs)

    @classmethod
    def learn(cls, captions: Iterable[str], *, vocabulary_size: int = 8000) -> Self:
        """Learns merges from clean captions; the same captions in any order give the same merges.

        Args:
          captions: Clean text; may be a stream of any length.
          vocabulary_size: Maximum number of tokens, with the special ones and the 256 bytes.

        Raises:
          ValueError: The captions have no text, or the size is too small.
        """
        least = len(SPECIAL_TOKENS) + len(_LETTERS)
        if not (isinstance(vocabulary_size, int) and vocabulary_size >= least):
            raise ValueError(
                f"vocabulary_size=... must be an int of at least {least}, the number of bytes and "
                f"special tokens; got {vocabulary_size!r}."
            )
        merges = _learned(captions, vocabulary_size - len(SPECIAL_TOKENS))
        made = (left + right for left, right in merges)
        return cls((*SPECIAL_TOKENS, *_LETTERS, *made), merges)


def _files(folder: str | os.PathLike[str]) -> tuple[pathlib.Path, pathlib.Path]:
    return pathlib.Path(folder, "vocab.json"), pathlib.Path(folder, "merges.txt")


def _read_vocabulary(path: pathlib.Path) -> tuple[str, ...]:
    content = read(path)
    try:
        ids = json.loads(content, object_pairs_hook=_without_duplicates)
    except json.JSONDecodeError as err:
        raise ValueError(f"{path}:{err.lineno}: not JSON: {err.msg}.") from err
    except UnicodeDecodeError as err:
        raise ValueError(f"{path}: not JSON: {err}.") from err
    except RecursionError as err:
        raise ValueError(
            f"{path}: must be a JSON object of tokens and ids; it is nested too deeply."
        ) from err
    except ValueError as err:  # a duplicate token, or a number with thousands of digits
        raise ValueError(f"{path}: not a vocabulary: {err}.") from err
    if not (isinstance(ids, dict) and all(type(place) is int for place in ids.values())) or (
        sorted(ids.values()) != list(range(len(ids)))
    ):
        raise ValueError(f"{path}: must give each token an id, from 0 without gaps.")
    return tuple(sorted(ids, key=ids.__getitem__))


def _without_duplicates(entries: list[tuple[str, Any]]) -> dict[str, Any]:
    """Makes a dict of a JSON object; raises a ValueError if a key occurs twice."""
    found = dict(entries)
    if len(found) < len(entries):
        counts = Counter(name for name, _ in entries)
        duplicates = sorted(name for name, count in counts.items() if count > 1)
        raise ValueError(f"it must hold each token once; got duplicates of {duplicates[:5]}")
    return found


def _mismatch(vocabulary: tuple[str, ...], merges: tuple[Merge, ...]) -> str | None:
    """Why the vocabulary does not match the merges; None if it does."""
    tokens = {*_LETTERS, *(left + right for left, right in merges)}
    given = set(vocabulary)
    if len(given) < len(vocabulary):
        return "must hold each token once"
    if missing := sorted(tokens - given):
        return f"must hold each byte and each result of a merge; {missing[:5]} are missing"
    special = given - tokens
    if invalid := sorted(token for token in special if not _SPECIAL.fullmatch(token)):
        return f"must hold only bytes, results of merges, and special tokens; got {invalid[:5]}"
    if not (set(SPECIAL_TOKENS) <= special or _GPT2 in special):
        return f"must hold {', '.join(SPECIAL_TOKENS)}, or {_GPT2}, and no merge may result in them"
    return None


def _learned(captions: Iterable[str], size: int) -> tuple[Merge, ...]:
    texts = (caption for caption in with_progress(captions) if caption.strip())
    first = next(texts, None)
    if first is None:
        raise ValueError(NO_TEXT)
    split = ByteLevel(add_prefix_space=False)
    return learn_merges(itertools.chain([first], texts), _LETTERS, size, split=split)


def _mark(chunks: Any) -> Any:
    """Puts `MARK` after each word. In the chunks, a space occurs only where it begins a word.

    White space before a word becomes two words: all but its last character, and that character.
    """
    words = tf.strings.regex_replace(
        chunks, f"([{OTHER_SPACE}])([^{SPACE}])", MARK + rb"\1" + MARK + rb"\2"
    )
    return tf.strings.regex_replace(words, _WORD, rb"\0" + MARK)
