"""Learns a tokenizer from captions once, and keeps it by fingerprint."""

import contextlib
import pathlib
import warnings
from collections.abc import Iterator, Sequence

import tensorflow as tf

from mmdata.example import Stage
from mmdata.options import Text
from mmdata.pairs.pairs import Pairs
from mmdata.pairs.strings import Strings
from mmdata.printable import printable
from mmdata.storage.atomic import replacing
from mmdata.storage.user_cache import fingerprint, user_cache
from mmdata.tokenizers import LEARNED, Byte, ClipBpe, Tokenizer, find_merges

_BATCH = 4096


def tokenizer_for(text: Text, pairs: Pairs, before: tuple[Stage, ...] = ()) -> Tokenizer:
    """The tokenizer that `text` asks for; a learned one knows the training captions and no others.

    A vocabulary learned before from the same captions with the same settings is loaded, and learned
    anew where its file is damaged.

    Args:
      text: Which, and how captions are cleaned.
      pairs: All pairs.
      before: Stages that run before captions are cleaned.

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
    settings = (text.tokenizer, text.cleaner, text.vocabulary_size, before)
    name = fingerprint(settings, captions.offsets.tobytes(), captions.data)
    path = user_cache() / "vocabularies" / f"{text.tokenizer}-{name}"
    if path.exists():
        with contextlib.suppress(OSError, ValueError):
            return kind.load(path)
    stages = [stage for stage in (*before, text.cleaner) if stage is not None]
    tokenizer = kind.learn(_said(captions, stages), vocabulary_size=text.vocabulary_size)
    _keep(tokenizer, path)
    return tokenizer


def _keep(tokenizer: Tokenizer, path: pathlib.Path) -> None:
    """Saves it in one step, be it one file or several."""
    try:
        with replacing(path, replace_folder=True) as target:  # damaged, or another was as fast
            tokenizer.save(target)
    except OSError as err:
        message = f"{path}: the vocabulary was learned but cannot be kept ({err})."
        warnings.warn(printable(message), stacklevel=3)


def _said(captions: Strings, stages: Sequence[Stage]) -> Iterator[str]:
    for begin in range(0, len(captions), _BATCH):
        example = {"caption": tf.constant(captions[begin : begin + _BATCH])}
        for stage in stages:
            example = stage(example)
        yield from (caption.decode("utf-8", "replace") for caption in example["caption"].numpy())
