"""Augmentation: random but repeatable changes of images that keep their captions true."""

import dataclasses
import math
from typing import Any

import tensorflow as tf

from mmdata.example import Example
from mmdata.settings import as_dict
from mmdata.stages.checks import is_number, require_number, require_one_of
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
"""Added to a key, they give two new ones. Fractional parts of the golden ratio and of sqrt(2)."""

_GREY = (19595 / 65536, 38470 / 65536, 7471 / 65536)
"""Pillow's weights of RGB in "L": multiples of 2^-16, so float32 sums of uint8 pixels are exact."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomCrop:
    """Crops a box of random area, shape and position from `image`, and resizes it, antialiased.

    image: uint8 [h, w, 3]; seed: int32 [2]  ->  image: uint8 [H, W, 3]; seed: int32 [2], new

    Ignores the caption: what it names may be outside of the box. In `build` the image already has
    the size `Pixels.load_size`, and is cropped if `fit` is "crop": small boxes are enlarged.

    Attributes:
      size: (H, W) in pixels, both >= 1; None means the image size of `mmdata.build`.
      scale: Minimum and maximum share of the image's area, uniform; 0 < a <= b <= 1.
      ratio: Minimum and maximum width / height, uniform in the logarithm; 0 < a <= b.
      interpolation: "bilinear" or "bicubic".

    Raises:
      ValueError: A field is out of range, or the stage is called with `size` None.

    Source: Szegedy et al. 2015, arXiv:1409.4842, section 6; torchvision `RandomResizedCrop`, which
    draws up to ten boxes until one fits, else takes the centre: here the first box is made narrower
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
        require_one_of("RandomCrop(interpolation=...)", self.interpolation, INTERPOLATIONS)

    def __call__(self, example: Example) -> Example:
        if self.size is None:
            raise ValueError(
                "RandomCrop(size=...) must be two positive ints (height, width) if the stage is "
                "called directly; got None, which only mmdata.build replaces."
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
        """Four numbers in [0, 1) -> (top, left) and (height, width), both int32 [2]."""
        area = tf.reduce_prod(shape) * _between(self.scale, draws[0])
        low, high = map(math.log, self.ratio)
        half = (
            _between((low, high), draws[1]) / 2
        )  # half of the logarithm: exp gives the square root
        sides = tf.round(tf.sqrt(area) * tf.exp(tf.stack([-half, half])))
        sides = tf.clip_by_value(sides, 1.0, shape)
        begin = tf.floor(draws[2:] * (shape - sides + 1.0))
        return tf.cast(begin, tf.int32), tf.cast(sides, tf.int32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flip:
    """Mirrors `image` left to right, at random, and swaps the words for sides in `caption`.

    image: uint8 [H, W, 3]; caption: string [], if any; seed: int32 [2]
      ->  image: uint8 [H, W, 3]; caption: string []; seed: int32 [2], new

    Does not mirror an image whose caption would become false: it mentions writing, or uses a word
    for a side in another sense.

    Attributes:
      p: Probability, 0 to 1, that an image is mirrored if its caption allows it.
      captions_aware: Whether to read and change captions.
      swap: Pairs of words to swap, in lower case; also found Capitalised and in UPPER CASE.
      within: Regular expressions (RE2, any case) of the phrases in which these words are sides; ()
        means everywhere; None means `ENGLISH_SIDE_PHRASES` for `ENGLISH_SIDES`, else ().
      skip: Regular expressions (RE2, any case, anywhere) of captions whose image stays unchanged.

    Raises:
      ValueError: `p` is out of range, `swap` does not pair words, or a pattern is invalid.
    """

    p: float = 0.5
    captions_aware: bool = True
    swap: Swaps = ENGLISH_SIDES
    within: Patterns | None = None
    skip: Patterns = ENGLISH_WRITING

    to_dict = as_dict

    def __post_init__(self) -> None:
        require_number("Flip(p=...)", self.p, 0, 1)
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
      ->  image: uint8 [H, W, 3], RGB, 0-255; seed: int32 [2], new

    Does not change an image whose caption names a colour. Clips to 0-255 after each change; rounds
    once, at the end.

    Attributes:
      brightness, contrast, saturation: Maximum change x >= 0; the factor is uniform in
        [max(0, 1 - x), 1 + x]. 0 costs nothing.
      hue: Maximum rotation, as a share of the circle, 0 to 0.5. 0 costs nothing; others are by far
        the most expensive change.
      captions_aware: Whether to read captions.
      skip: Regular expressions (RE2, any case, anywhere) of captions whose image stays unchanged.

    Raises:
      ValueError: A number is out of range, or a pattern is invalid.

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
            require_number(f"Color({name}=...)", getattr(self, name), 0, math.inf)
        require_number("Color(hue=...)", self.hue, 0, 0.5)
        require_patterns("Color(skip=...)", self.skip)

    def __call__(self, example: Example) -> Example:
        key, rest = _split(example["seed"])
        image = example["image"]
        draws = 2.0 * tf.random.stateless_uniform([4], key) - 1.0
        changes = ~_is_skipped(example, self.captions_aware, self.skip)
        changed = _where(changes, lambda: self._with_changes(image, draws), image)
        return {**example, "seed": rest, "image": changed}

    def _with_changes(self, image: Any, draws: Any) -> Any:
        """Changes an image; `draws`, float32 [4] in [-1, 1), are positions in the four ranges."""
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
    """Removes the colour of `image`, at random: three equal channels.

    image: uint8 [H, W, 3], RGB, 0-255; caption: string [], if any; seed: int32 [2]
      ->  image: uint8 [H, W, 3], 0-255; seed: int32 [2], new

    Does not change an image whose caption names a colour.

    Attributes:
      p: Probability, 0 to 1, that an image becomes grey if its caption allows it.
      captions_aware: Whether to read captions.
      skip: Regular expressions (RE2, any case, anywhere) of captions whose image stays unchanged.

    Raises:
      ValueError: `p` is out of range, or a pattern is invalid.

    Source: Rec. ITU-R BT.601, rounded as Pillow's `convert("L")`, bit-exact,
    tests/stages/test_augment.py.
    """

    p: float = 0.1
    captions_aware: bool = True
    skip: Patterns = ENGLISH_COLORS

    to_dict = as_dict

    def __post_init__(self) -> None:
        require_number("Grayscale(p=...)", self.p, 0, 1)
        require_patterns("Grayscale(skip=...)", self.skip)

    def __call__(self, example: Example) -> Example:
        key, rest = _split(example["seed"])
        image = example["image"]
        changes = tf.random.stateless_uniform([], key) < self.p
        changes &= ~_is_skipped(example, self.captions_aware, self.skip)
        return {**example, "seed": rest, "image": _where(changes, lambda: _grey(image), image)}


def _split(seed: Any) -> tuple[Any, Any]:
    """A key for this stage, and one for the later stages, both int32 [2]."""
    key, rest = tf.unstack(seed + _STEPS)  # different is enough: `stateless_uniform` hashes its key
    return key, rest


def _where(changes: Any, change: Any, image: Any) -> Any:
    """`change()` or the unchanged image, with the same static shape."""
    return tf.ensure_shape(tf.cond(changes, change, lambda: image), image.shape)


def _is_skipped(example: Example, captions_aware: bool, patterns: Patterns) -> Any:
    """Whether a pattern matches the caption, if there is one to read: bool []."""
    if captions_aware and "caption" in example:
        return mentions(example["caption"], patterns)
    return tf.constant(False)


def _between(limits: tuple[float, float], share: Any) -> Any:
    return limits[0] + (limits[1] - limits[0]) * share


def _factor(greatest: float, draw: Any) -> Any:
    """A number in [-1, 1) -> one between max(0, 1 - greatest) and 1 + greatest."""
    low, high = max(0.0, 1 - greatest), 1 + greatest
    return _between((low, high), (draw + 1) / 2)


# Channels are the last axis, and broadcasting along it is slow: so rows of w * 3 numbers where all
# channels change equally, and a 3 x 3 matrix where they are mixed.


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


def _grey(image: Any) -> Any:
    return tf.cast(_mixed(tf.cast(image, tf.float32), _to_grey()) + 0.5, tf.uint8)


def _to_grey() -> Any:
    return tf.constant([[weight] * 3 for weight in _GREY])


def _mixed(pixels: Any, matrix: Any) -> Any:
    """Multiplies each pixel of [h, w, 3] by a matrix [3, 3]."""
    return tf.reshape(tf.matmul(tf.reshape(pixels, [-1, 3]), matrix), tf.shape(pixels))


def _are_ascending(limits: object) -> bool:
    """Whether `limits` is two finite numbers, 0 < a <= b."""
    if not isinstance(limits, tuple) or len(limits) != 2 or not all(map(is_number, limits)):
        return False
    return bool(0 < limits[0] <= limits[1] < math.inf)
