"""GPT-2's and RoBERTa's tokenizer, and its like learned from captions."""

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
from typing_extensions import Self

from mmdata.optional import require
from mmdata.storage.atomic import write
from mmdata.tokenizers.files import read
from mmdata.tokenizers.learning import NO_TEXT, watched
from mmdata.tokenizers.merges import ALPHABET, Merge, fault, read_merges, to_bytes, write_merges
from mmdata.tokenizers.merging import MARK, SPACE, WIDE, Merger, spell
from mmdata.tokenizers.tokenizer import Tokenizer

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
    """Byte-level byte pairs, as in GPT-2 and RoBERTa: a space belongs to the word behind it.

    Lossless: `detokenize` gives back each text, if it is valid UTF-8. No text becomes a special
    token.

    Letters and digits are those of the Unicode version of TensorFlow's RE2.

    Attributes:
      vocabulary: Each token once, at its id: 256 bytes, what the merges make of them, and special
        tokens in angle brackets, among them "<s>", "</s>" and "<pad>", or "<|endoftext|>".
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
        """None: words are made of bytes. A "<unk>" in the vocabulary is never met."""
        return None

    @functools.cached_property
    def _tokens(self) -> set[str]:
        return {*_LETTERS, *(left + right for left, right in self.merges)}

    @functools.cached_property
    def _merger(self) -> Merger:
        merges = [(spell(left), spell(right)) for left, right in self.merges]
        pieces = [spell(token) if token in self._tokens else None for token in self.vocabulary]
        return Merger(pieces, merges, _mark)

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
        # Of a run of spaces, only the last can begin a word.
        text = tf.strings.regex_replace(text, f" ([^{SPACE}])", MARK + rb" \1")
        return self._merger.encode(tf.strings.split(text, MARK))

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
          FileNotFoundError: One is not there.
          ValueError: They are not of this kind, or not of one tokenizer; the message says where.
        """
        vocabulary, merges = _files(path)
        tokens = _read_vocabulary(vocabulary)
        # One more than there is room for is enough to see that they do not belong to each other.
        pairs = read_merges(merges, _LETTERS, max(len(tokens) - len(_LETTERS), 0) + 1)
        if why := _mismatch(tokens, pairs):
            raise ValueError(f"{vocabulary}: {why}.")
        return cls(tokens, pairs)

    @classmethod
    def learn(cls, captions: Iterable[str], *, vocabulary_size: int = 8000) -> Self:
        """Learns merges from clean captions, with the library `tokenizers`.

        Args:
          captions: Clean text, from a stream of any length.
          vocabulary_size: Tokens at most, special ones and the 256 bytes included.

        Raises:
          ImportError: `tokenizers` is not installed.
          ValueError: The captions hold no text, or the size is too small.
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
        ids = json.loads(content, object_pairs_hook=_each_once)
    except json.JSONDecodeError as err:
        raise ValueError(f"{path}:{err.lineno}: not JSON: {err.msg}.") from err
    except UnicodeDecodeError as err:
        raise ValueError(f"{path}: not JSON: {err}.") from err
    except RecursionError as err:
        raise ValueError(f"{path}: must give each token an id; got lists within lists.") from err
    except ValueError as err:  # a token twice, or a number of thousands of digits
        raise ValueError(f"{path}: not a vocabulary: {err}.") from err
    if not (isinstance(ids, dict) and all(type(place) is int for place in ids.values())) or (
        sorted(ids.values()) != list(range(len(ids)))
    ):
        raise ValueError(f"{path}: must give each token an id, from 0 on without gaps.")
    return tuple(sorted(ids, key=ids.__getitem__))


def _each_once(entries: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON as a dict, unless a name is there twice."""
    found = dict(entries)
    if len(found) < len(entries):
        counts = Counter(name for name, _ in entries)
        twice = sorted(name for name, count in counts.items() if count > 1)
        raise ValueError(f"it must hold each token once; got more of {twice[:5]}")
    return found


def _mismatch(vocabulary: tuple[str, ...], merges: tuple[Merge, ...]) -> str | None:
    """Why the vocabulary does not belong to the merges; None where it does."""
    tokens = {*_LETTERS, *(left + right for left, right in merges)}
    given = set(vocabulary)
    if len(given) < len(vocabulary):
        return "must hold each token once"
    if missing := sorted(tokens - given):
        return f"must hold each byte and all that merges make; lacks {missing[:5]}"
    special = given - tokens
    if strange := sorted(token for token in special if not _SPECIAL.fullmatch(token)):
        return f"must hold no more than merges make, and special tokens; got {strange[:5]}"
    if not (set(SPECIAL_TOKENS) <= special or _GPT2 in special):
        return f"must hold {', '.join(SPECIAL_TOKENS)}, or {_GPT2}, which no merge makes"
    return None


def _learned(captions: Iterable[str], size: int) -> tuple[Merge, ...]:
    tokenizers = require("tokenizers", extra="text")
    learner = tokenizers.Tokenizer(tokenizers.models.BPE())
    learner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=list(_LETTERS), show_progress=False
    )
    texts = (caption for caption in watched(captions) if caption.strip())
    first = next(texts, None)
    if first is None:
        raise ValueError(NO_TEXT)
    learner.train_from_iterator(itertools.chain([first], texts), trainer)
    merges = json.loads(learner.to_str())["model"]["merges"]
    return tuple((left, right) for left, right in merges)


def _mark(chunks: Any) -> Any:
    """Puts `MARK` behind each word of chunks in which spaces stand only where they begin one.

    Of white space before a word all but the last is one word, and the last another.
    """
    words = tf.strings.regex_replace(
        chunks, f"([{WIDE}])([^{SPACE}])", MARK + rb"\1" + MARK + rb"\2"
    )
    return tf.strings.regex_replace(words, _WORD, rb"\0" + MARK)
