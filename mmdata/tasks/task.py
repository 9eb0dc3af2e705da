"""The interface of a task: everything that differs between tasks."""

from typing import Any, Literal, Protocol, runtime_checkable

from typing_extensions import Self

from mmdata.example import Example, Stage
from mmdata.pairs.pairs import Pairs
from mmdata.settings import as_dict

CaptionChoice = Literal["none", "all", "random", "cycle", "first", "longest", "join", "list"]
"""Which captions of an image an epoch uses.

"none": captions are not read, and an epoch uses each image once. "list": each image once, with all
its captions. The others: see `Captioned`.
"""


def refuse_augment(task: "Task", augment: tuple[Stage, ...]) -> None:
    """Raises a ValueError if images would be augmented, for a task that only evaluates."""
    if augment:
        raise ValueError(
            f"augment=... must be empty with task={type(task).__name__}(...); got {augment!r}."
        )


@runtime_checkable
class Task(Protocol):
    """What a batch holds, and which captions it needs.

    To add a task, write a frozen dataclass that inherits from `Task`, or from `Captioned` if an
    example has one caption. Only `__call__` must be defined; the rest has defaults.

    `__call__` takes a batch and returns what `fit` takes. The batch is a dict with `image` [b, H,
    W, 3], `valid` bool [b] (False if the image is corrupt), `image_id` int32 [b], `weight` float32
    [b] if rows have weights, `column:name` [b] for each of `columns`, and, unless `captions` is
    "none", `caption` string [b], cleaned, and, unless `text` is None, `token_ids`, `padding_mask`
    and `response_mask` int32 [b, t]. With "list", these have an axis n, ragged, after b, and
    `references` string [b, n] has the captions as they were read.

    Attributes:
      captions: Which captions of an image an epoch uses.
      columns: Numeric columns to add to the batch under their names, each [b].
      inputs: The features of x that batches keep; () keeps all.
      lookahead: Number of tokens beyond the requested sequence length: 1 for teacher forcing.
      prompt: Text before each caption; not cleaned, never cut.
    """

    captions: CaptionChoice = "none"
    columns: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    lookahead: int = 0
    prompt: str = ""

    def __call__(self, example: Example) -> Any:
        """Returns the batch in the form that `fit` takes."""

    def to_dict(self) -> dict[str, Any]:
        """The task as plain data."""
        return as_dict(self)

    @property
    def has_text(self) -> bool:
        """Whether captions are read."""
        return self.captions != "none"

    @property
    def once_per_file(self) -> bool:
        """Whether copies of a file are one image, with the captions of all copies."""
        return False

    @property
    def in_order(self) -> bool:
        """Whether each split is read as "validation" is: in order, whole, and not augmented.

        A folder is then read without looking for captions.
        """
        return False

    @property
    def reads_all_splits(self) -> bool:
        """Whether splits that `build(split=)` does not name are read too; see `with_pairs`."""
        return False

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes in the order of their labels; empty if the task has no classes."""
        return ()

    @property
    def rewording(self) -> tuple[Stage, ...]:
        """Stages before cleaning that change words, so that a vocabulary has the final words."""
        return ()

    @property
    def on_examples(self) -> tuple[Stage, ...]:
        """Stages on the caption of each example, after augmentation; they get `seed` int32 [2]."""
        return ()

    def check(
        self, *, normalize: str, text_buckets: tuple[int, ...], augment: tuple[Stage, ...]
    ) -> None:
        """Raises a ValueError if the task excludes other arguments of `build`."""
        return None

    def for_evaluation(self) -> Self:
        """The task without randomness, for the splits "validation" and "test"."""
        return self

    def with_pairs(self, pairs: Pairs) -> Self:
        """The task with what it needs from all pairs, e.g. classes.

        Raises:
          ValueError: The pairs lack what the task needs.
        """
        return self

    def values(self, pairs: Pairs) -> dict[str, Any]:
        """Features of each row for this task only, each [rows]."""
        return {}
