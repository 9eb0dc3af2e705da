"""Peers that clean captions and split them into ids, in batches, on one core.

Each function here imports and prepares one peer, and returns a function that goes through the
captions once per call. Each peer is used as in its own documentation, and may leave out everything
but ids: special tokens, masks, offsets.
"""

import dataclasses
import pathlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.measuring import Epoch

BATCH = 256

_Encode = Callable[[list[str]], Sequence[Sequence[int]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """The input of each peer of a group.

    Attributes:
      captions: File of captions, one per line.
      vocabulary: File of tokens: BERT's `vocab.txt`, or a JSON object of their ids.
      merges: CLIP's merges, one per line; "" if there are none. Beside it is a gzipped copy, named
        with ".gz" added.
    """

    captions: str
    vocabulary: str
    merges: str = ""

    def texts(self) -> list[str]:
        """The captions."""
        return pathlib.Path(self.captions).read_bytes().decode().split("\n")


@dataclasses.dataclass(frozen=True)
class _Rows:
    """A ragged tensor as a batch of lists, which are made on demand."""

    ids: Any

    def __len__(self) -> int:
        return int(self.ids.nrows())

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.ids.to_list())


def checksums(epoch: Epoch) -> NDArray[np.uint32]:
    """A checksum of the ids of each caption."""
    batches: Any = epoch()
    rows = (np.asarray(ids, np.int32) for batch in batches for ids in batch)
    return np.fromiter((zlib.crc32(row.tobytes()) for row in rows), np.uint32)


def mmdata_wordpiece(work: Work) -> Epoch:
    """`Clean` and `WordPiece` in `Dataset.map`."""
    from mmdata.tokenizers import WordPiece

    return _mmdata(work, WordPiece.load(work.vocabulary))


def mmdata_clip(work: Work) -> Epoch:
    """`Clean` and `ClipBpe` in `Dataset.map`."""
    from mmdata.tokenizers import ClipBpe

    return _mmdata(work, ClipBpe.load(work.merges))


def _mmdata(work: Work, tokenizer: Any) -> Epoch:
    from mmdata.stages.clean import Clean
    from mmdata.stages.pack import Tokenize

    clean, tokenize = Clean.preset(tokenizer.cleaning), Tokenize(tokenizer=tokenizer)
    return _tf_data(work, lambda texts: tokenize(clean({"caption": texts}))["token_ids"])


def keras_hub_wordpiece(work: Work) -> Epoch:
    """KerasHub's `BertTokenizer` in `Dataset.map`."""
    import keras_hub

    return _tf_data(work, keras_hub.models.BertTokenizer(work.vocabulary, lowercase=True))


def keras_hub_clip(work: Work) -> Epoch:
    """KerasHub's `CLIPTokenizer` in `Dataset.map`, with its preprocessor's lower case."""
    import keras_hub
    import tensorflow as tf

    tokenizer = keras_hub.models.CLIPTokenizer(work.vocabulary, work.merges)
    return _tf_data(work, lambda texts: tokenizer(tf.strings.lower(texts)))


def _tf_data(work: Work, encode: Callable[[Any], Any]) -> Epoch:
    """Slices batches from a tensor, as others slice them from a list."""
    import tensorflow as tf

    texts = tf.constant(work.texts())
    starts = tf.data.Dataset.range(0, len(texts), BATCH)
    ds = starts.map(lambda start: encode(texts[start : start + BATCH]))
    return lambda: map(_Rows, ds)


def tokenizers_wordpiece(work: Work) -> Epoch:
    """The Rust library, as in its README."""
    from tokenizers import BertWordPieceTokenizer

    tokenizer = BertWordPieceTokenizer(work.vocabulary, lowercase=True)
    return _lists(work, lambda texts: _ids(tokenizer.encode_batch(texts, add_special_tokens=False)))


def tokenizers_wordpiece_fast(work: Work) -> Epoch:
    """The Rust library, without the offsets of tokens in the text."""
    from tokenizers import BertWordPieceTokenizer, Tokenizer

    bert = BertWordPieceTokenizer(work.vocabulary, lowercase=True)
    return _without_offsets(work, Tokenizer.from_str(bert.to_str()))


def tokenizers_clip_fast(work: Work) -> Epoch:
    """The Rust library, without offsets; like `CLIPTokenizerFast` without its second split."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    vocabulary, merges = models.BPE.read_file(work.vocabulary, work.merges)
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, end_of_word_suffix="</w>", unk_token="<|endoftext|>")
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words, behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return _without_offsets(work, tokenizer)


def _without_offsets(work: Work, tokenizer: Any) -> Epoch:
    return _lists(
        work, lambda texts: _ids(tokenizer.encode_batch_fast(texts, add_special_tokens=False))
    )


def _ids(encodings: Any) -> list[list[int]]:
    return [encoding.ids for encoding in encodings]


def transformers_wordpiece(work: Work) -> Epoch:
    """Hugging Face's `BertTokenizerFast`."""
    from transformers import BertTokenizerFast

    return _transformers(work, BertTokenizerFast(work.vocabulary))


def transformers_clip(work: Work) -> Epoch:
    """Hugging Face's `CLIPTokenizerFast`."""
    from transformers import CLIPTokenizerFast

    return _transformers(work, CLIPTokenizerFast(work.vocabulary, work.merges))


def _transformers(work: Work, tokenizer: Any) -> Epoch:
    def encode(texts: list[str]) -> list[list[int]]:
        encoded = tokenizer(
            texts,
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    return _lists(work, encode)


def open_clip(work: Work) -> Epoch:
    """OpenCLIP's `SimpleTokenizer`, which is OpenAI's, with ftfy."""
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer(f"{work.merges}.gz")
    return _lists(work, lambda texts: list(map(tokenizer.encode, texts)))


def _lists(work: Work, encode: _Encode) -> Epoch:
    texts = work.texts()
    return lambda: (encode(texts[row : row + BATCH]) for row in range(0, len(texts), BATCH))
