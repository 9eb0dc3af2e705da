"""Learns a tokenizer from captions once, and keeps it on disk by fingerprint."""

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


def tokenizer_for(text: Text, pairs: Pairs, cleaner: Cleaner) -> Tokenizer:
    """The tokenizer that `text` asks for; a learned one knows the training captions and no others.

    A vocabulary learned before from the same captions with the same settings is loaded, and learned
    again where its file is damaged.

    Args:
      text: Which tokenizer.
      pairs: All pairs.
      cleaner: What cleans captions.

    Raises:
      ValueError: A vocabulary is to be learned from pairs that are split, with no split "train".
    """
    if isinstance(text.tokenizer, Tokenizer):
        return text.tokenizer
    if text.tokenizer == "byte":
        return Byte()
    if text.tokenizer == "clip":
        return ClipBpe.load(find_merges())
    if pairs.split_names and "train" not in pairs.split_names:
        raise ValueError(
            f"text={text.tokenizer!r} learns its vocabulary from the split 'train'; got the splits "
            f"{list(pairs.split_names)}. Name one of them 'train', or pass a Tokenizer."
        )
    captions = (pairs.subset("train") if pairs.split_names else pairs).captions
    kind = LEARNED[text.tokenizer]
    size = text.vocabulary_size
    settings = {**cleaner.to_dict(), "vocabulary_size": size, "version": TEXT_VERSION}
    name = fingerprint(settings, captions.offsets.tobytes(), captions.data)
    path = user_cache() / "vocabularies" / f"{text.tokenizer}-{name}"
    if path.exists():
        with contextlib.suppress(OSError, ValueError):
            return kind.load(path)
    tokenizer = kind.learn(_texts(cleaner.reworded(captions)), vocabulary_size=size)
    _keep(tokenizer, path)
    return tokenizer


def _texts(captions: Strings) -> Iterator[str]:
    ends = captions.offsets.tolist()
    for begin, end in itertools.pairwise(ends):
        yield captions.data[begin:end].decode("utf-8", "replace")


def _keep(tokenizer: Tokenizer, path: pathlib.Path) -> None:
    """Saves it in one step, be it one file or several."""
    try:
        with replacing(path, replace_folder=True) as target:  # damaged, or another was as fast
            tokenizer.save(target)
    except OSError as err:
        message = f"{path}: the vocabulary was learned but cannot be kept ({err})."
        warnings.warn(printable(message), stacklevel=3)
