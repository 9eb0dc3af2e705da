"""The arguments of `build`, as values that fit together."""

import dataclasses
import importlib.metadata
import pathlib
from typing import Any

from mmdata.example import Stage
from mmdata.options import Batching, Blocks, Pixels, Text
from mmdata.pairing.problems import Problems
from mmdata.stages.augment import Flip, RandomCrop
from mmdata.stages.captions import Template, TidyTags
from mmdata.tasks import Captioned, References, Task, TextToImage

_FIXED = ("all", "first", "longest", "join")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What holds for each dataset that `build` makes, with names resolved.

    Attributes:
      measured: Whether this is of a split that is measured; see `measuring`.
      encoder: The fingerprint of what images are encoded by; "" where they stay pixels.

    Raises:
      ValueError: Two of the arguments exclude each other.
    """

    task: Task
    pixels: Pixels
    text: Text
    augment: tuple[Stage, ...]
    batching: Batching
    shuffle: bool | Blocks
    seed: int
    shard: tuple[int, int]
    cache: pathlib.Path | None
    problems: Problems
    measured: bool = False
    encoder: str = ""

    def __post_init__(self) -> None:
        task, normalize = self.task, self.pixels.normalize
        if isinstance(task, TextToImage) and normalize != "signed":
            raise ValueError(
                'task=TextToImage(...) takes pixels from -1 to 1, pixels="signed"; got '
                f"pixels={normalize!r}."
            )
        if isinstance(task, References) and self.augment:
            raise ValueError(
                f"augment=... must be empty with task=References(...); got {self.augment!r}."
            )
        if self.text.buckets and isinstance(task, References):
            raise ValueError(
                f"Text(buckets=...) must be empty with task=References(...); got {self.text!r}."
            )
        if self.text.buckets and isinstance(task, Captioned):
            self._require_same_captions(task)
        self._require_one_crop()
        if isinstance(self.shuffle, Blocks) and (self.pixels.buckets or self.text.buckets):
            raise ValueError(
                'shuffle="blocks" excludes Pixels(buckets=...) and Text(buckets=...), whose '
                f"batches come from everywhere; got {self.shuffle!r}."
            )

    def _require_same_captions(self, task: Captioned) -> None:
        flips = [stage for stage in self.augment if isinstance(stage, Flip)]
        if task.captions not in _FIXED or task.shuffle_tags or any(f.captions_aware for f in flips):
            raise ValueError(
                "Text(buckets=...) needs captions that stay the same from epoch to epoch: "
                f"captions=... one of {list(_FIXED)}, no shuffle_tags and no "
                f"Flip(captions_aware=True); got {task!r}, augment={self.augment!r}."
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
                "augment=... takes one RandomCrop, whose size is None or that of the pixels, "
                f"{self.pixels.size!r}; got {crops!r}."
            )

    def for_evaluation(self) -> "Config":
        """The config of a split that is measured: all of it, as it is, the same each epoch."""
        task = self.task
        if isinstance(task, Captioned):
            task = dataclasses.replace(task, dropout=0.0, shuffle_tags=False, keep_tags=0)
        batching = dataclasses.replace(self.batching, remainder="keep")
        changes: dict[str, Any] = {"augment": (), "shuffle": False, "measured": True}
        return dataclasses.replace(self, task=task, batching=batching, **changes)

    @property
    def settings(self) -> dict[str, str]:
        """By name, what decides over batches: not where pixels are kept, nor who takes which."""
        decisive = ("task", "pixels", "text", "augment", "batching", "shuffle", "seed", "encoder")
        said = {name: repr(getattr(self, name)) for name in decisive}
        said["augment"] = repr([_named(stage) for stage in self.augment])
        for name in ("mmdata", "tensorflow", "tensorflow-text"):
            said[name] = importlib.metadata.version(name)
        return said

    @property
    def before_cleaning(self) -> tuple[Stage, ...]:
        """What puts captions into other words that are the same in each epoch."""
        task = self.task
        if not isinstance(task, Captioned):
            return ()
        tidy = (TidyTags(),) if task.shuffle_tags else ()
        template = (Template(text=task.template),) if task.template != "{caption}" else ()
        return (*tidy, *template)

    @property
    def crops_at_random(self) -> bool:
        """Whether `RandomCrop` cuts the image to its size."""
        return any(isinstance(stage, RandomCrop) for stage in self.augment)

    def with_load_size(self) -> "Config":
        """The config whose `RandomCrop`, if it has one, knows what to cut out of what."""
        if not self.crops_at_random:
            return self
        pixels = self.pixels
        augment = tuple(
            dataclasses.replace(stage, size=pixels.size) if isinstance(stage, RandomCrop) else stage
            for stage in self.augment
        )
        height, width = (-(-side * 8 // 7) for side in pixels.size)
        pixels = dataclasses.replace(pixels, load_size=pixels.load_size or (height, width))
        return dataclasses.replace(self, pixels=pixels, augment=augment)


def _named(stage: Stage) -> str:
    """A stage as it is called in every process: of a function, not where it lies in memory."""
    if dataclasses.is_dataclass(stage):
        return repr(stage)
    return f"{stage.__module__}.{getattr(stage, '__qualname__', type(stage).__qualname__)}"
