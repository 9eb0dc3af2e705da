"""Changes of captions: tags in random order, a template, dropout, several captions per image."""

import dataclasses
from typing import Any

import tensorflow as tf

from mmdata.example import Example
from mmdata.settings import as_dict
from mmdata.tokenizers.white_space import ASCII_SEPARATORS, SPACE

_SPACE = f"{SPACE}{ASCII_SEPARATORS}"  # as Python's str.strip


@dataclasses.dataclass(frozen=True, kw_only=True)
class TidyTags:
    """Separates the tags of `caption` with a comma and a space.

    caption: string [...]  ->  string [...]

    Removes spaces around tags, and empty tags. A caption without tags stays unchanged.
    """

    to_dict = as_dict

    def __call__(self, example: Example) -> Example:
        caption = example["caption"]
        tidy = tf.strings.regex_replace(caption, f"[{_SPACE}]*,[{_SPACE},]*", ", ")
        tidy = tf.strings.regex_replace(tidy, f"^[{_SPACE},]+|[{_SPACE},]+$", "")
        return {**example, "caption": tf.where(tidy == "", caption, tidy)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShuffleTags:
    """Puts the tags of `caption` into a random order.

    caption: string []; seed: int32 [2]  ->  caption: string []; seed: int32 [2], new

    Separates them as `TidyTags` does.

    Attributes:
      keep: Number of tags that keep their place at the front, >= 0.
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
      text: Contains "{caption}" once.
    """

    text: str

    to_dict = as_dict

    def __call__(self, example: Example) -> Example:
        before, after = self.text.split("{caption}")
        return {**example, "caption": tf.strings.join([before, example["caption"], after])}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DropCaption:
    """Makes `caption` empty at random.

    caption: string []; seed: int32 [2]  ->  caption: string []; seed: int32 [2], new

    Attributes:
      rate: Probability, 0 to 1.
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
    """Splits joined captions.

    caption: string [b]  ->  caption and references: string [b, n], ragged, equal

    Attributes:
      separator: What is between two captions, and in none of them.
    """

    separator: bytes

    to_dict = as_dict

    def __call__(self, example: Example) -> Example:
        captions = tf.strings.split(example["caption"], self.separator)
        return {**example, "caption": captions, "references": captions}
