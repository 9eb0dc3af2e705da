"""Images and captions -> other images of which the captions hold, at random but repeatable."""

import dataclasses
import math
from typing import Any

import tensorflow as tf

from mmdata.example import Example
from mmdata.seeding import random_keys
from mmdata.settings import as_dict
from mmdata.stages.english import (
    ENGLISH_COLORS,
    ENGLISH_SIDE_PHRASES,
    ENGLISH_SIDES,
    ENGLISH_WRITING,
    Patterns,
    Swaps,
    mentions,
    mirror,
    require_pairs,
    require_patterns,
)
from mmdata.stages.resampling import INTERPOLATIONS, Interpolation, resample
from mmdata.stages.resize import require_size

_STEPS = ((-1640531527, 1779033703), (1779033703, -1640531527))
"""Added to a key give two others. Fractional parts of the golden ratio and of the root of 2."""

_GREY = (19595 / 65536, 38470 / 65536, 7471 / 65536)
"""Pillow's weights of RGB in "L": multiples of 2^-16, so float32 sums of uint8 pixels are exact."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seed:
    """Gives each example a key of its own for `tf.random.stateless_*`.

    index: int64 [b], epoch: int64 [b], all alike; or [] both  ->  seed: int32 [b, 2], or [2]

    Attributes:
      seed: Another seed, other keys.
    """

    seed: int

    to_dict = as_dict

    def __call__(self, example: Example) -> Example:
        epoch = tf.reshape(example["epoch"], [-1])[0]
        return {**example, "seed": random_keys(example["index"], self.seed, epoch)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomCrop:
    """Cuts a box of random area, shape and place out of `image`, and resizes it, antialiased.

    image: uint8 [h, w, 3]; seed: int32 [2]  ->  image: uint8 [H, W, 3]; seed: int32 [2], another

    Does not look at the caption: what it names may lie outside of the box. In `build` the image is
    already `Pixels.load_size`, and cropped if `fit` is "crop": small boxes are enlarged.

    Attributes:
      size: (H, W) in pixels, both >= 1; None is the size that `mmdata.build` is asked for.
      scale: The least and the greatest share of the image's area, uniform between; 0 < a <= b <= 1.
      ratio: The least and the greatest width / height, uniform in the logarithm; 0 < a <= b.
      interpolation: "bilinear" or "bicubic".

    Raises:
      ValueError: A field is out of range; or the stage is called while `size` is None.

    Source: Szegedy et al. 2015, arXiv:1409.4842, section 6; torchvision `RandomResizedCrop`, which
    draws up to ten boxes until one fits, and then takes the middle: here the first is made narrower
    or lower until it fits. Resizes as Pillow `Image.resize`, within 1 grey level,
    tests/stages/test_augment.py.
    """

    size: tuple[int, int] | None = None
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    interpolation: Interpolation = "bilinear"

    to_dict = as_dict

    def __post_init__(self) -> None:
        if self.size is not None:
            require_size("RandomCrop(size=...)", "size", self.size)
        if not (_are_ascending(self.scale) and self.scale[1] <= 1):
            raise ValueError(
                "RandomCrop(scale=...) must be two shares of the area, 0 < least <= greatest <= 1; "
                f"got {self.scale!r}."
            )
        if not _are_ascending(self.ratio):
            raise ValueError(
                "RandomCrop(ratio=...) must be two ratios width / height, 0 < least <= greatest; "
                f"got {self.ratio!r}."
            )
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"RandomCrop(interpolation=...) must be one of {list(INTERPOLATIONS)}; got "
                f"{self.interpolation!r}."
            )

    def __call__(self, example: Example) -> Example:
        if self.size is None:
            raise ValueError(
                "RandomCrop(size=...) must be two positive ints (height, width) where the stage is "
                "called by itself; got None, which only mmdata.build fills in."
            )
        key, rest = _split(example["seed"])
        image = example["image"]
        shape = tf.cast(tf.shape(image)[:2], tf.float32)
        begin, sides = self._box(shape, tf.random.stateless_uniform([4], key))
        box = tf.slice(image, tf.pad(begin, [[0, 1]]), tf.pad(sides, [[0, 1]], constant_values=3))
        scale = tf.constant(self.size, tf.float32) / tf.cast(sides, tf.float32)
        resized = resample(box, self.size, scale, tf.zeros([2]), self.interpolation)
        return {**example, "seed": rest, "image": tf.ensure_shape(resized, [*self.size, 3])}

    def _box(self, shape: Any, draws: Any) -> tuple[Any, Any]:
        """From four numbers in [0, 1) to (top, left) and (height, width): int32 [2] both."""
        area = tf.reduce_prod(shape) * _between(self.scale, draws[0])
        low, high = map(math.log, self.ratio)
        half = _between((low, high), draws[1]) / 2  # of the logarithm: exp gives a square root
        sides = tf.round(tf.sqrt(area) * tf.exp(tf.stack([-half, half])))
        sides = tf.clip_by_value(sides, 1.0, shape)
        begin = tf.floor(draws[2:] * (shape - sides + 1.0))
        return tf.cast(begin, tf.int32), tf.cast(sides, tf.int32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flip:
    """Mirrors `image`, left to right, at random, and swaps the words for sides in `caption`.

    image: uint8 [H, W, 3]; caption: string [], if any; seed: int32 [2]
      ->  image: uint8 [H, W, 3]; caption: string []; seed: int32 [2], another

    Leaves an image as it is whose caption would not be true of the mirrored one: if it speaks of
    writing, or uses a word for a side in another sense.

    Attributes:
      p: How likely an image is mirrored, 0 to 1, among those that may be.
      captions_aware: Whether to look at captions; else they stay as they are.
      swap: Swaps of words, in lower case, that trade places; found in lower case, Capitalised and
        in UPPER CASE.
      within: Regular expressions (RE2, any case) of the phrases in which these words are sides; ()
        is everywhere. None is `ENGLISH_SIDE_PHRASES` for `ENGLISH_SIDES`, else ().
      skip: Regular expressions (RE2, any case, anywhere) of captions whose image stays as it is.

    Raises:
      ValueError: `p` is out of range, `swap` does not pair words, or a pattern is none.
    """

    p: float = 0.5
    captions_aware: bool = True
    swap: Swaps = ENGLISH_SIDES
    within: Patterns | None = None
    skip: Patterns = ENGLISH_WRITING

    to_dict = as_dict

    def __post_init__(self) -> None:
        _require_number("Flip(p=...)", self.p, 0, 1)
        require_pairs("Flip(swap=...)", self.swap)
        if self.within is not None:
            require_patterns("Flip(within=...)", self.within)
        require_patterns("Flip(skip=...)", self.skip)

    def __call__(self, example: Example) -> Example:
        key, rest = _split(example["seed"])
        image = example["image"]
        flips = tf.random.stateless_uniform([], key) < self.p
        changed = {"seed": rest}
        if self.captions_aware and "caption" in example:
            caption = example["caption"]
            mirrored, is_true = mirror(caption, self.swap, self._phrases())
            flips &= is_true & ~mentions(caption, self.skip)
            changed["caption"] = tf.where(flips, mirrored, caption)
        changed["image"] = _where(flips, lambda: tf.reverse(image, [1]), image)
        return {**example, **changed}

    def _phrases(self) -> Patterns:
        if self.within is None:
            return ENGLISH_SIDE_PHRASES if self.swap == ENGLISH_SIDES else ()
        return self.within


@dataclasses.dataclass(frozen=True, kw_only=True)
class Color:
    """Changes brightness, contrast, saturation and hue of `image`, in this order, at random.

    image: uint8 [H, W, 3], RGB, 0-255; caption: string [], if any; seed: int32 [2]
      ->  image: uint8 [H, W, 3], RGB, 0-255; seed: int32 [2], another

    Leaves an image as it is whose caption names a colour. Clips to 0-255 after each change, and
    rounds once, at the end.

    Attributes:
      brightness, contrast, saturation: Greatest change x >= 0; the factor is uniform in
        [max(0, 1 - x), 1 + x], 0 does no work.
      hue: Greatest turn, as a share of the circle, 0 to 0.5; 0 does no work. By far the dearest.
      captions_aware: Whether to look at captions.
      skip: Regular expressions (RE2, any case, anywhere) of captions whose image stays as it is.

    Raises:
      ValueError: A number is out of range, or a pattern is none.

    Source: Pillow `ImageEnhance`, whose factors these are, within 1 grey level each; torchvision
    `ColorJitter`, which shuffles the order. tests/stages/test_augment.py.
    """

    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.0
    captions_aware: bool = True
    skip: Patterns = ENGLISH_COLORS

    to_dict = as_dict

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            _require_number(f"Color({name}=...)", getattr(self, name), 0, math.inf)
        _require_number("Color(hue=...)", self.hue, 0, 0.5)
        require_patterns("Color(skip=...)", self.skip)

    def __call__(self, example: Example) -> Example:
        key, rest = _split(example["seed"])
        image = example["image"]
        draws = 2.0 * tf.random.stateless_uniform([4], key) - 1.0
        changes = ~_is_named(example, self.captions_aware, self.skip)
        jittered = _where(changes, lambda: self._jittered(image, draws), image)
        return {**example, "seed": rest, "image": jittered}

    def _jittered(self, image: Any, draws: Any) -> Any:
        """Changes an image by as many shares of each range, in [-1, 1), as `draws` says."""
        pixels = tf.cast(image, tf.float32)
        if self.brightness:
            pixels = _brightened(pixels, _factor(self.brightness, draws[0]))
        if self.contrast:
            pixels = _contrasted(pixels, _factor(self.contrast, draws[1]))
        if self.saturation:
            pixels = _saturated(pixels, _factor(self.saturation, draws[2]))
        if self.hue:
            pixels = tf.raw_ops.AdjustHue(images=pixels, delta=self.hue * draws[3])
        return tf.cast(pixels + 0.5, tf.uint8)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grayscale:
    """Takes the colour out of `image`, at random: three channels, alike.

    image: uint8 [H, W, 3], RGB, 0-255; caption: string [], if any; seed: int32 [2]
      ->  image: uint8 [H, W, 3], 0-255; seed: int32 [2], another

    Leaves an image as it is whose caption names a colour.

    Attributes:
      p: How likely an image turns grey, 0 to 1, among those that may.
      captions_aware: Whether to look at captions.
      skip: Regular expressions (RE2, any case, anywhere) of captions whose image stays as it is.

    Raises:
      ValueError: `p` is out of range, or a pattern is none.

    Source: Rec. ITU-R BT.601, rounded as Pillow's `convert("L")`, bit for bit,
    tests/stages/test_augment.py.
    """

    p: float = 0.1
    captions_aware: bool = True
    skip: Patterns = ENGLISH_COLORS

    to_dict = as_dict

    def __post_init__(self) -> None:
        _require_number("Grayscale(p=...)", self.p, 0, 1)
        require_patterns("Grayscale(skip=...)", self.skip)

    def __call__(self, example: Example) -> Example:
        key, rest = _split(example["seed"])
        image = example["image"]
        changes = tf.random.stateless_uniform([], key) < self.p
        changes &= ~_is_named(example, self.captions_aware, self.skip)
        return {**example, "seed": rest, "image": _where(changes, lambda: _greyed(image), image)}


def _split(seed: Any) -> tuple[Any, Any]:
    """A key for one stage, and another for those behind it: int32 [2] both."""
    key, rest = tf.unstack(seed + _STEPS)  # sums differ, and that is enough: what draws hashes them
    return key, rest


def _where(changes: Any, change: Any, image: Any) -> Any:
    """`change()` or the image as it is, of the same static shape."""
    return tf.ensure_shape(tf.cond(changes, change, lambda: image), image.shape)


def _is_named(example: Example, captions_aware: bool, patterns: Patterns) -> Any:
    """Whether there is a caption to look at, and a pattern matches it: bool []."""
    if captions_aware and "caption" in example:
        return mentions(example["caption"], patterns)
    return tf.constant(False)


def _between(limits: tuple[float, float], share: Any) -> Any:
    return limits[0] + (limits[1] - limits[0]) * share


def _factor(greatest: float, draw: Any) -> Any:
    """From a number in [-1, 1) to one between max(0, 1 - greatest) and 1 + greatest."""
    low, high = max(0.0, 1 - greatest), 1 + greatest
    return _between((low, high), (draw + 1) / 2)


# Channels lie innermost, and broadcasting along them is slow: so rows of w * 3 numbers where all
# channels are treated alike, and a 3 x 3 matrix where they are mixed.


def _brightened(pixels: Any, factor: Any) -> Any:
    return tf.minimum(pixels * factor, 255.0)


def _contrasted(pixels: Any, factor: Any) -> Any:
    """Moves pixels, float32 [h, w, 3], towards their mean grey, or away from it."""
    shape = tf.shape(pixels)
    columns = tf.reduce_mean(tf.reshape(pixels, [shape[0], shape[1] * 3]), axis=0)
    mean = tf.reduce_sum(tf.reduce_mean(tf.reshape(columns, [shape[1], 3]), axis=0) * _GREY)
    return tf.clip_by_value(pixels * factor + mean * (1 - factor), 0.0, 255.0)


def _saturated(pixels: Any, factor: Any) -> Any:
    """Moves pixels, float32 [h, w, 3], towards their own grey, or away from it."""
    matrix = factor * tf.eye(3) + (1 - factor) * _to_grey()
    return tf.clip_by_value(_mixed(pixels, matrix), 0.0, 255.0)


def _greyed(image: Any) -> Any:
    return tf.cast(_mixed(tf.cast(image, tf.float32), _to_grey()) + 0.5, tf.uint8)


def _to_grey() -> Any:
    return tf.constant([[weight] * 3 for weight in _GREY])


def _mixed(pixels: Any, matrix: Any) -> Any:
    """Multiplies each pixel of [h, w, 3] by a matrix [3, 3]."""
    return tf.reshape(tf.matmul(tf.reshape(pixels, [-1, 3]), matrix), tf.shape(pixels))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _are_ascending(limits: object) -> bool:
    """Whether these are two finite numbers, 0 < a <= b."""
    if not isinstance(limits, tuple) or len(limits) != 2 or not all(map(_is_number, limits)):
        return False
    return bool(0 < limits[0] <= limits[1] < math.inf)


def _require_number(what: str, value: object, low: float, high: float) -> None:
    """Raises a ValueError, about the argument `what`, unless a finite number is in [low, high]."""
    if not (_is_number(value) and low <= value <= high and value < math.inf):  # type: ignore[operator]
        upper = f"from {low} to {high}" if high < math.inf else f"of at least {low}"
        raise ValueError(f"{what} must be a finite number {upper}; got {value!r}.")
