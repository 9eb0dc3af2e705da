"""The arguments of `build`, with names resolved and checked together, as plain data."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras

from mmdata.example import Stage
from mmdata.options import Batching, Blocks, Pixels, Text
from mmdata.pairing.problems import OnProblem, Problems, problems_of
from mmdata.settings import as_dict
from mmdata.stages.augment import RandomCrop
from mmdata.storage.user_cache import user_cache
from mmdata.tasks import TASKS, Task
from mmdata.tokenizers import Tokenizer
from mmdata.versions import ORDER_VERSION, PIXELS_VERSION, TEXT_VERSION

if TYPE_CHECKING:
    from _typeshed import StrPath

_EVALUATION = ("validation", "test")
_STAGE_OF_LAYER = {
    "RandomFlip": "Flip",
    "RandomCrop": "RandomCrop",
    "RandomZoom": "RandomCrop",
    "RandomTranslation": "RandomCrop",
    "RandomGrayscale": "Grayscale",
    **dict.fromkeys(
        ("RandomBrightness", "RandomContrast", "RandomColorJitter", "RandomHue"), "Color"
    ),
    "RandomSaturation": "Color",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of a dataset that `build` makes.

    Attributes:
      evaluation: Whether this is for evaluation: each epoch is the same; see `for_split`.
      encoder: The fingerprint of the encoder that makes features of images; "" for pixels.
      pixels_as_given: The pixels without what `RandomCrop` adds; None if it adds nothing.

    Raises:
      ValueError: Two arguments exclude each other.
    """

    task: Task
    pixels: Pixels
    text: Text
    augment: tuple[Stage, ...]
    batching: Batching
    shuffle: bool | Blocks
    seed: int
    encoder: str = ""
    evaluation: bool = False
    # Not in the `repr`, since they do not change batches: which slice, which folder, what raises.
    shard: tuple[int, int] = dataclasses.field(repr=False)
    cache: pathlib.Path | None = dataclasses.field(repr=False)
    problems: Problems = dataclasses.field(repr=False)
    pixels_as_given: Pixels | None = dataclasses.field(default=None, repr=False)

    @classmethod
    def of(
        cls,
        *,
        task: str | Task,
        pixels: str | Pixels,
        image_size: int | Sequence[int] | None,
        text: str | Tokenizer | Text | None,
        sequence_length: int | None,
        augment: Sequence[Stage],
        batch_size: int | Batching,
        shuffle: bool | str | Blocks,
        seed: int,
        shard: Sequence[int],
        cache: "StrPath | bool | None",
        on_problem: OnProblem,
    ) -> "Config":
        """Resolves the arguments of `build`."""
        return cls(
            task=task_of(task),
            pixels=pixels_of(pixels, image_size),
            text=text_of(text, sequence_length),
            augment=augment_of(augment),
            batching=batch_size if isinstance(batch_size, Batching) else Batching(size=batch_size),
            shuffle=shuffle_of(shuffle),
            seed=seed_of(seed),
            shard=shard_of(shard),
            cache=cache_of(cache),
            problems=problems_of(on_problem),
        )

    def __post_init__(self) -> None:
        buckets = self.text.buckets
        self.task.check(normalize=self.pixels.normalize, text_buckets=buckets, augment=self.augment)
        self._require_one_crop()
        if self.text.tokenizer is None and self.task.prompt:
            raise ValueError(
                "text=None gives raw text, without a prompt; got "
                f"task={type(self.task).__name__}(prompt={self.task.prompt!r}). Pass "
                "task=Captioning(), and the prompt to your own tokenizer."
            )
        if isinstance(self.shuffle, Blocks) and (self.pixels.buckets or buckets):
            raise ValueError(
                'shuffle="blocks" excludes Pixels(buckets=...) and Text(buckets=...), whose '
                f"batches mix all blocks; got {self.shuffle!r}."
            )

    def _require_one_crop(self) -> None:
        crops = [stage for stage in self.augment if isinstance(stage, RandomCrop)]
        if not crops:
            return
        if self.pixels.buckets:
            raise ValueError(
                "augment=... must not hold RandomCrop, which makes one size, with "
                f"Pixels(buckets=...); got {self.pixels.buckets!r}."
            )
        if crops[0].size not in (None, self.pixels.size) or len(crops) > 1:
            raise ValueError(
                "augment=... may hold one RandomCrop, with size=None or the size of the pixels, "
                f"{self.pixels.size!r}; got {crops!r}."
            )

    def to_dict(self) -> dict[str, Any]:
        """The settings that determine batches, as plain data."""
        versions = {"pixels": PIXELS_VERSION, "text": TEXT_VERSION, "order": ORDER_VERSION}
        return {**as_dict(self), "versions": versions}

    def for_split(self, name: str | None) -> "Config":
        """The config of a split; None means all pairs."""
        evaluates = name in _EVALUATION or self.task.in_order
        config = self.for_evaluation() if evaluates else self
        return config.with_load_size()

    def for_evaluation(self) -> "Config":
        """The config for evaluation: every example, not augmented, the same each epoch."""
        return dataclasses.replace(
            self,
            task=self.task.for_evaluation(),
            batching=dataclasses.replace(self.batching, remainder="keep"),
            augment=(),
            shuffle=False,
            evaluation=True,
        )

    def with_tokenizer(self, tokenizer: Tokenizer | None, *, fix_text: bool) -> "Config":
        """The config with the tokenizer and the cleaning stage instead of their names."""
        text = dataclasses.replace(
            self.text, clean=self.text.cleaner, tokenizer=tokenizer, fix_text=fix_text
        )
        return dataclasses.replace(self, text=text)

    @property
    def crops_at_random(self) -> bool:
        """Whether `RandomCrop` crops images to their size."""
        return any(isinstance(stage, RandomCrop) for stage in self.augment)

    def with_load_size(self) -> "Config":
        """The config with the sizes of `RandomCrop` filled in, if it has one."""
        if not self.crops_at_random:
            return self
        pixels = self.pixels
        augment = tuple(
            dataclasses.replace(stage, size=pixels.size) if isinstance(stage, RandomCrop) else stage
            for stage in self.augment
        )
        height, width = (-(-side * 8 // 7) for side in pixels.size)
        pixels = dataclasses.replace(pixels, load_size=pixels.load_size or (height, width))
        return dataclasses.replace(
            self, pixels=pixels, augment=augment, pixels_as_given=self.pixels
        )


def augment_of(augment: Sequence[Stage]) -> tuple[Stage, ...]:
    """Checks `build(augment=)`."""
    stages = tuple(augment) if isinstance(augment, Sequence) else (augment,)
    if not isinstance(augment, Sequence) or any(
        isinstance(stage, type) or not callable(stage) for stage in stages
    ):
        raise ValueError(
            "augment=... must be a sequence of stages that map an example to an example, e.g. "
            f"[RandomCrop(), Flip()]; got {augment!r}."
        )
    for stage in stages:
        _refuse_layer(stage)
    return stages


def _refuse_layer(stage: Any) -> None:
    """Raises a ValueError for a Keras layer, whose changes are not a function of the seed."""
    if not isinstance(stage, keras.layers.Layer):
        return
    name = type(stage).__name__
    instead = _STAGE_OF_LAYER.get(name)
    hint = f"Use mmdata.{instead}()" if instead else "Write a stage: see CONTRIBUTING.md"
    raise ValueError(
        f"augment=... takes stages, which map an example to an example and change the caption with "
        f"the image; got the Keras layer {name}. {hint}, or put the layer into the model."
    )


def shuffle_of(shuffle: bool | str | Blocks) -> bool | Blocks:
    """Resolves `build(shuffle=)`."""
    if isinstance(shuffle, (bool, Blocks)):
        return shuffle
    if shuffle != "blocks":
        raise ValueError(f'shuffle=... must be True, False, "blocks" or a Blocks; got {shuffle!r}.')
    return Blocks()


def cache_of(cache: "StrPath | bool | None") -> pathlib.Path | None:
    """Resolves `build(cache=)` to a folder; None means no cache."""
    if cache is None or cache is False:
        return None
    if cache is True:
        return user_cache() / "pixels"
    if not isinstance(cache, (str, os.PathLike)) or not str(cache):
        raise ValueError(f"cache=... must be a path, True or None; got {cache!r}.")
    folder = pathlib.Path(cache).expanduser()
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"cache=... must be a folder; got the file {str(folder)!r}.")
    return folder


def seed_of(seed: Any) -> int:
    """Resolves `build(seed=)`."""
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or not 0 <= int(seed) < 2**63:
        raise ValueError(
            f"seed=... must be an int from 0 to 2**63 - 1; got {seed!r}. The same seed gives the "
            "same batches."
        )
    return int(seed)


def shard_of(shard: Any) -> tuple[int, int]:
    """Resolves `build(shard=)`."""
    parts = tuple(shard) if isinstance(shard, (tuple, list)) else ()
    if len(parts) != 2 or any(isinstance(n, bool) or not hasattr(n, "__index__") for n in parts):
        raise ValueError(
            "shard=... must be (index, count), e.g. (0, 4) for the first of four workers; got "
            f"{shard!r}."
        )
    return int(parts[0]), int(parts[1])


def pixels_of(pixels: str | Pixels, image_size: int | Sequence[int] | None) -> Pixels:
    """Resolves `build(pixels=, image_size=)`."""
    if isinstance(pixels, Pixels):
        _refuse_both("image_size", image_size, "pixels=Pixels(size=...)")
        return pixels
    preset = Pixels.preset(pixels)
    return preset if image_size is None else preset.resized(image_size)


def text_of(text: str | Tokenizer | Text | None, sequence_length: int | None) -> Text:
    """Resolves `build(text=, sequence_length=)`."""
    if isinstance(text, Text):
        _refuse_both("sequence_length", sequence_length, "text=Text(length=...)")
        return text
    return Text(tokenizer=text, length=sequence_length)


def task_of(task: str | Task) -> Task:
    """Resolves `build(task=)`."""
    if isinstance(task, Task) and not isinstance(task, type):
        return task
    if task not in tuple(TASKS):
        raise ValueError(
            f"task=... must be one of {list(TASKS)}, or a Captioning, Prefix, Retrieval, "
            f"References, TextToImage, Classification or Prediction; got {task!r}."
        )
    return TASKS[task]


def _refuse_both(name: str, value: object, other: str) -> None:
    if value is not None:
        raise ValueError(f"{name}={value!r} and {other} set the same value; pass one of them.")
