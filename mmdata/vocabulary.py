"""Learns a tokenizer from captions once, and keeps it by fingerprint."""

import pathlib
import tempfile
import warnings
from collections.abc import Iterator

import tensorflow as tf

from mmdata.arguments import Text
from mmdata.home import fingerprint, home
from mmdata.pairing.pairs import Pairs
from mmdata.pairing.strings import Strings
from mmdata.tokenizers import LEARNED, Byte, ClipBpe, Tokenizer, find_merges

_BATCH = 4096


def tokenizer_for(text: Text, pairs: Pairs) -> Tokenizer:
    """The tokenizer that `text` asks for; a learned one knows the training captions and no others.

    A vocabulary learned before from the same captions with the same settings is loaded.

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
    settings = (text.tokenizer, text.cleaner, text.vocabulary_size)
    name = fingerprint(settings, captions.offsets.tobytes(), captions.data)
    path = home() / "vocabularies" / f"{text.tokenizer}-{name}"
    if path.exists():
        return kind.load(path)
    tokenizer = kind.learn(_cleaned(text, captions), vocabulary_size=text.vocabulary_size)
    _keep(tokenizer, path)
    return tokenizer


def _keep(tokenizer: Tokenizer, path: pathlib.Path) -> None:
    """Saves it in one step, be it one file or several."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            written = pathlib.Path(folder, path.name)
            tokenizer.save(written)
            written.rename(path)
    except OSError as err:
        warnings.warn(
            f"{path}: the vocabulary was learned but cannot be kept ({err}).", stacklevel=3
        )


def _cleaned(text: Text, captions: Strings) -> Iterator[str]:
    for begin in range(0, len(captions), _BATCH):
        batch = tf.constant(captions[begin : begin + _BATCH])
        if text.cleaner is not None:
            batch = text.cleaner({"caption": batch})["caption"]
        yield from (caption.decode("utf-8", "replace") for caption in batch.numpy())
