"""CLIP's tokenizer."""

import dataclasses
import functools
import importlib.util
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import tensorflow as tf
import tensorflow_text as tf_text
from typing_extensions import Self

from mmdata.tokenizers.bpe_encoder import MARK, BpeEncoder, spell
from mmdata.tokenizers.bpe_merges import ALPHABET, Merge, fault, read_merges, to_bytes, write_merges
from mmdata.tokenizers.tokenizer import Tokenizer
from mmdata.tokenizers.vocabulary_files import write
from mmdata.tokenizers.white_space import SPACE

_END_OF_WORD = "</w>"
_LETTERS = (*ALPHABET.values(), *(letter + _END_OF_WORD for letter in ALPHABET.values()))
_SPECIAL_TOKENS = ("<|startoftext|>", "<|endoftext|>")
_MERGES = 49_408 - len(_LETTERS) - len(_SPECIAL_TOKENS)
_WORD = (
    r"(?i)<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d"
    rf"|\p{{L}}+|\p{{N}}|[^{SPACE}\p{{L}}\p{{N}}]+"
)
_FILE = "bpe_simple_vocab_16e6.txt.gz"
_PACKAGES = ("open_clip", "clip")
_FINGERPRINT = "e34faf56ce3504f44205384e13c6779c"
"""The fingerprint of CLIP's own merges: other models have equally many."""


@dataclasses.dataclass(frozen=True, repr=False)
class ClipBpe(Tokenizer):
    """OpenAI CLIP's tokenizer: 49,408 byte-pair tokens, the last byte of each word marked.

    As in the original, "<|startoftext|>" and "<|endoftext|>" in a text become the special ids if
    white space, a letter or a digit is before them. `detokenize` returns what is between the first
    start and the next end, since `pad_id` is also the id of "!".

    Letters and digits are those of the Unicode version of TensorFlow's RE2.

    Attributes:
      merges: The 48,894 pairs, by rank; the last of a word ends in "</w>".

    Raises:
      ValueError: There are not 48,894, a part of a merge does not exist yet, or its result does.

    Source: https://github.com/openai/CLIP, `simple_tokenizer.py`.
    """

    cleaning: ClassVar[str] = "clip"
    sequence_length: ClassVar[int | None] = 77

    merges: tuple[Merge, ...]
    vocabulary: tuple[str, ...] = dataclasses.field(init=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.merges) != _MERGES:
            raise ValueError(
                f"ClipBpe(merges=...) must be {_MERGES:,} merges; got {len(self.merges):,}."
            )
        if found := fault(self.merges, _LETTERS):
            raise ValueError(f"ClipBpe(merges=...): {found[1]}. See merges[{found[0]}].")
        made = (left + right for left, right in self.merges)
        object.__setattr__(self, "vocabulary", (*_LETTERS, *made, *_SPECIAL_TOKENS))

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[Merge, ...]]]:
        return type(self), (self.merges,)

    @property
    def pad_id(self) -> int:
        """0, as in the original; also the id of "!"."""
        return 0

    @property
    def start_id(self) -> int:
        """The id of "<|startoftext|>"."""
        return self.vocabulary_size - 2

    @property
    def end_id(self) -> int:
        """The id of "<|endoftext|>"."""
        return self.vocabulary_size - 1

    @property
    def unknown_id(self) -> None:
        """None: every text consists of known bytes."""
        return None

    @functools.cached_property
    def _encoder(self) -> BpeEncoder:
        ends = [(spell(letter), _spell(letter + _END_OF_WORD)[-1]) for letter in ALPHABET.values()]
        merges = [(_spell(left), _spell(right)) for left, right in self.merges]
        fixed = [token + _spell(_END_OF_WORD) for token in _SPECIAL_TOKENS]
        pieces = [_spell(token) for token in self.vocabulary[: -len(fixed)]]
        return BpeEncoder([*pieces, *fixed], [*ends, *merges], _mark, fixed)

    @functools.cached_property
    def _texts(self) -> Any:
        tokens = self.vocabulary[: -len(_SPECIAL_TOKENS)]
        texts = [
            to_bytes(token.removesuffix(_END_OF_WORD)) + b" " * token.endswith(_END_OF_WORD)
            for token in tokens
        ]
        with tf.init_scope(), tf.device("CPU:0"):
            return tf.constant(texts)

    def _parts(self) -> Iterable[bytes]:
        return (f"{left} {right}".encode() for left, right in self.merges)

    def _tokenize(self, text: Any) -> Any:
        text = tf_text.coerce_to_structurally_valid_utf8(text)
        return self._encoder.encode(tf.strings.split(text))

    def _is_text(self, ids: Any) -> Any:
        rows = ids.to_tensor(self.end_id)
        is_start = rows == self.start_id
        begun = tf.cumsum(tf.cast(is_start, tf.int32), axis=1) > 0
        begun |= ~tf.reduce_any(is_start, axis=1, keepdims=True)
        ended = tf.cumsum(tf.cast(begun & (rows == self.end_id), tf.int32), axis=1) > 0
        return tf.RaggedTensor.from_tensor(
            begun & ~ended & ~is_start, ids.row_lengths(), row_splits_dtype=ids.row_splits.dtype
        )

    def _join(self, ids: Any) -> Any:
        text = tf.strings.reduce_join(tf.gather(self._texts, ids), axis=-1)
        text = tf_text.coerce_to_structurally_valid_utf8(text)
        return tf.strings.regex_replace(text, " $", "")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the merges in the original's format, gzipped if the name ends in ".gz"."""
        write(path, write_merges(path, self.merges))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads `bpe_simple_vocab_16e6.txt`, gzipped or not, or Hugging Face's `merges.txt`.

        Of a longer file, such as the original, it reads the first 48,894 merges.

        Raises:
          FileNotFoundError: There is no such file. `find_merges` looks for it.
          ValueError: The file is invalid; the message says where.
        """
        file = pathlib.Path(path)
        merges = read_merges(file, _LETTERS, _MERGES)
        if len(merges) != _MERGES:
            raise ValueError(f"{file}: must hold {_MERGES:,} merges; got {len(merges):,}.")
        return cls(merges)


def _spell(token: str) -> str:
    spelled = spell(token.removesuffix(_END_OF_WORD))
    return spelled + MARK.decode("latin-1") * token.endswith(_END_OF_WORD)


def _mark(chunks: Any) -> Any:
    """Puts `MARK` after each word, and removes the white space that is left in chunks."""
    words = tf.strings.regex_replace(chunks, f"[{SPACE}]", " ")
    words = tf.strings.regex_replace(words, _WORD, rb"\0" + MARK)
    return tf.strings.regex_replace(words, " ", "")


def find_merges() -> pathlib.Path:
    """Looks for CLIP's merges in installed packages and in Hugging Face's cache.

    Imports none of the packages.

    Raises:
      FileNotFoundError: There are none; the message says where it looked and how to get them.
    """
    cache = _cache()
    cached = sorted(cache.glob("models--*[cC][lL][iI][pP]*/snapshots/*/merges.txt"))
    found = next(filter(_has_clip_merges, (*_packaged(), *cached)), None)
    if found:
        return found
    raise FileNotFoundError(
        f"CLIP's merges must be on this machine; looked for {_FILE} in the packages "
        f"{' and '.join(_PACKAGES)}, and for merges.txt of CLIP under {cache}. Run one of\n"
        "  pip install --no-deps open_clip_torch\n"
        f"  curl -L -o {_FILE} https://github.com/openai/CLIP/raw/main/clip/{_FILE}\n"
        f"and after the latter pass mmdata.tokenizers.ClipBpe.load({_FILE!r})."
    )


def _packaged() -> Iterator[pathlib.Path]:
    for package in _PACKAGES:
        spec = importlib.util.find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            yield pathlib.Path(folder, _FILE)


def _cache() -> pathlib.Path:
    """The folder of Hugging Face's downloads."""
    caches = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("HF_HOME", os.path.join(caches, "huggingface"))
    return pathlib.Path(os.environ.get("HF_HUB_CACHE", os.path.join(home, "hub"))).expanduser()


def _has_clip_merges(path: pathlib.Path) -> bool:
    try:
        return ClipBpe.load(path).fingerprint == _FINGERPRINT
    except (OSError, ValueError):
        return False
