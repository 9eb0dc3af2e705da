"""Learns a tokenizer from captions once, and saves it on disk by fingerprint."""

import contextlib
import itertools
import pathlib
import warnings
from collections.abc import Iterator

from mmdata.captions.cleaned import Cleaner
from mmdata.options import Text
from mmdata.pairs.pairs import Pairs
from mmdata.pairs.strings import Strings
from mmdata.printable import printable
from mmdata.settings import fingerprint
from mmdata.storage.atomic import replacing
from mmdata.storage.user_cache import user_cache
from mmdata.tokenizers import LEARNED, Byte, ClipBpe, Tokenizer, find_merges
from mmdata.versions import TEXT_VERSION

_SIZE = 8000
"""The largest vocabulary, unless `Text` sets a size."""

_STACKLEVEL = 4  # so that warnings name the line that calls `build`


def tokenizer_for(text: Text, pairs: Pairs, cleaner: Cleaner) -> Tokenizer | None:
    """The tokenizer that `text` requests; None for raw text.

    A vocabulary is learned from training captions only.
    If the same vocabulary was learned before from the same captions with the same settings, it is
    loaded; if its file is damaged, it is learned again.

    Args:
      text: Names the tokenizer.
      pairs: All pairs.
      cleaner: Cleans captions.

    Raises:
      ValueError: A vocabulary must be learned, and the pairs have splits, but no split "train".
    """
    if text.tokenizer is None or isinstance(text.tokenizer, Tokenizer):
        return text.tokenizer
    if text.tokenizer == "byte":
        return Byte()
    if text.tokenizer == "clip":
        return ClipBpe.load(find_merges())
    names = pairs.splits_in_use
    if names and "train" not in names:
        raise ValueError(
            f"text={text.tokenizer!r} learns its vocabulary from the split 'train'; got the splits "
            f"{names}. Name one of them 'train', or pass a Tokenizer."
        )
    captions = (pairs.subset("train") if names else pairs).captions
    size = text.vocabulary_size or _SIZE
    tokenizer = _learned(text.tokenizer, size, captions, cleaner)
    if text.vocabulary_size is not None and tokenizer.vocabulary_size < size:
        warnings.warn(
            f"Text(vocabulary_size={size}) is more than {len(captions):,} captions give: the "
            f"vocabulary has {tokenizer.vocabulary_size:,} tokens, special ones included.",
            stacklevel=_STACKLEVEL,
        )
    return tokenizer


def _learned(name: str, size: int, captions: Strings, cleaner: Cleaner) -> Tokenizer:
    """The tokenizer of that name, learned from captions, or loaded if it was learned before."""
    kind = LEARNED[name]
    settings = {**cleaner.to_dict(), "vocabulary_size": size, "version": TEXT_VERSION}
    key = fingerprint(settings, captions.offsets.tobytes(), captions.data)
    path = user_cache() / "vocabularies" / f"{name}-{key}"
    if path.exists():
        with contextlib.suppress(OSError, ValueError):
            return kind.load(path)
    tokenizer = kind.learn(_texts(cleaner.reworded(captions)), vocabulary_size=size)
    _save(tokenizer, path)
    return tokenizer


def _texts(captions: Strings) -> Iterator[str]:
    ends = captions.offsets.tolist()
    for begin, end in itertools.pairwise(ends):
        yield captions.data[begin:end].decode("utf-8", "replace")


def _save(tokenizer: Tokenizer, path: pathlib.Path) -> None:
    """Saves a tokenizer, one file or a folder of files, in one atomic step."""
    try:
        with replacing(path, replace_folder=True) as target:  # if it is damaged
            tokenizer.save(target)
    except OSError as err:
        message = f"{path}: the vocabulary was learned but cannot be saved ({err})."
        warnings.warn(printable(message), stacklevel=_STACKLEVEL + 2)
