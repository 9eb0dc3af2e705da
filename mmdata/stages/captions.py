"""Captions in other words: tags in another order, a template around them, or nothing."""

import dataclasses
from typing import Any

import tensorflow as tf

from mmdata.example import Example
from mmdata.settings import as_dict
from mmdata.tokenizers.words import SPACE

_SPACE = rf"{SPACE}\x1c-\x1f"  # as Python's str.strip


@dataclasses.dataclass(frozen=True, kw_only=True)
class TidyTags:
    """Parts the tags of `caption` by a comma and a space.

    caption: string [...]  ->  string [...]

    Spaces around tags and empty tags go. A caption without a tag stays as it is.
    """

    to_dict = as_dict

    def __call__(self, example: Example) -> Example:
        caption = example["caption"]
        tidy = tf.strings.regex_replace(caption, f"[{_SPACE}]*,[{_SPACE},]*", ", ")
        tidy = tf.strings.regex_replace(tidy, f"^[{_SPACE},]+|[{_SPACE},]+$", "")
        return {**example, "caption": tf.where(tidy == "", caption, tidy)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShuffleTags:
    """Puts the tags of `caption` into another order.

    caption: string []; seed: int32 [2]  ->  caption: string []; seed: int32 [2], another

    Tidies them as `TidyTags`.

    Attributes:
      keep: How many tags keep their place at the front, >= 0.
    """

    keep: int = 0

    to_dict = as_dict

    def __call__(self, example: Example) -> Example:
        key, rest = tf.unstack(tf.random.split(example["seed"], 2))
        tags = tf.strings.split(TidyTags()(example)["caption"], ", ")
        kept, others = tags[: self.keep], tags[self.keep :]
        order = tf.argsort(tf.random.stateless_uniform(tf.shape(others), key))
        shuffled = tf.concat([kept, tf.gather(others, order)], axis=0)
        return {
            **example,
            "seed": rest,
            "caption": tf.strings.reduce_join(shuffled, separator=", "),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Template:
    """Puts `caption` into a text.

    caption: string [...]  ->  string [...]

    Attributes:
      text: What holds "{caption}" once.
    """

    text: str

    to_dict = as_dict

    def __call__(self, example: Example) -> Example:
        before, after = self.text.split("{caption}")
        return {**example, "caption": tf.strings.join([before, example["caption"], after])}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DropCaption:
    """Makes `caption` empty at random.

    caption: string []; seed: int32 [2]  ->  caption: string []; seed: int32 [2], another

    Attributes:
      rate: How likely, 0 to 1.
    """

    rate: float

    to_dict = as_dict

    def __call__(self, example: Example) -> Example:
        key, rest = tf.unstack(tf.random.split(example["seed"], 2))
        dropped: Any = tf.random.stateless_uniform([], key) < self.rate
        caption = tf.where(dropped, "", example["caption"])
        return {**example, "seed": rest, "caption": caption}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitCaptions:
    """Splits captions that were joined.

    caption: string [b]  ->  caption, references: string [b, n], ragged, the same

    Attributes:
      separator: What is between two captions, and in none.
    """

    separator: bytes

    to_dict = as_dict

    def __call__(self, example: Example) -> Example:
        captions = tf.strings.split(example["caption"], self.separator)
        return {**example, "caption": captions, "references": captions}
