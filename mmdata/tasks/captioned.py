"""The common part of tasks with captions: which captions are used, and how they change."""

import dataclasses
from typing import Literal, get_args

from typing_extensions import Self

from mmdata.example import Stage
from mmdata.stages.augment import Flip
from mmdata.stages.captions import DropCaption, ShuffleTags, Template, TidyTags
from mmdata.tasks.columns import require_free
from mmdata.tasks.task import Task

Captions = Literal["all", "random", "cycle", "first", "longest", "join"]
"""Which captions of an image an epoch takes; see `Captioned`."""

_CHOICES = get_args(Captions)
_FIXED = ("all", "first", "longest", "join")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Captioned(Task):
    """The common part of tasks that have one caption per example.

    Attributes:
      captions: Which captions of an image an epoch uses. "all": each caption, so the image appears
        once per caption. The others use the image once: "random", with a caption that is a function
        of (seed, epoch, image); "cycle", with the next caption each epoch; "first"; "longest", in
        bytes; "join", with all captions as one text, separated by spaces. In "validation" and
        "test", "random" and "cycle" use the same captions each epoch.
      template: A text around the caption, e.g. "a photo of {caption}".
      dropout: Share of examples whose caption, template included, becomes empty, 0 to below 1;
        other examples each epoch, for classifier-free guidance. Not in "validation" and "test".
      shuffle_tags: Whether captions are tags separated by commas, which each epoch shuffles. Not in
        "validation" and "test".
      keep_tags: How many tags stay at the front, >= 0.
      columns: Numeric columns to add to the batch under their names, each [b].
      inputs: The features of x that batches keep, those that a model declares; () keeps all.

    Raises:
      ValueError: A field is out of range.
    """

    captions: Captions = "all"
    template: str = "{caption}"
    dropout: float = 0.0
    shuffle_tags: bool = False
    keep_tags: int = 0
    columns: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        who = type(self).__name__
        require_free(self)
        if self.captions not in _CHOICES:
            raise ValueError(
                f"{who}(captions=...) must be one of {list(_CHOICES)}; got {self.captions!r}."
            )
        if not isinstance(self.template, str) or self.template.count("{caption}") != 1:
            raise ValueError(
                f'{who}(template=...) must be a text that holds "{{caption}}" once; got '
                f"{self.template!r}."
            )
        is_number = isinstance(self.dropout, (int, float)) and not isinstance(self.dropout, bool)
        if not (is_number and 0 <= self.dropout < 1):
            raise ValueError(
                f"{who}(dropout=...) must be a share from 0 to below 1; got {self.dropout!r}."
            )
        if not isinstance(self.shuffle_tags, bool):
            raise ValueError(
                f"{who}(shuffle_tags=...) must be True or False; got {self.shuffle_tags!r}."
            )
        is_int = isinstance(self.keep_tags, int) and not isinstance(self.keep_tags, bool)
        if not (is_int and self.keep_tags >= 0) or (self.keep_tags and not self.shuffle_tags):
            raise ValueError(
                f"{who}(keep_tags=...) must be an int of at least 0, and 0 without "
                f"shuffle_tags=True; got {self.keep_tags!r}."
            )

    @property
    def rewording(self) -> tuple[Stage, ...]:
        """Normalizes tags, and puts captions into the template."""
        tidy = (TidyTags(),) if self.shuffle_tags else ()
        return (*tidy, *self._template)

    @property
    def on_examples(self) -> tuple[Stage, ...]:
        """Shuffles tags, puts captions into the template, and drops some captions."""
        shuffle = (ShuffleTags(keep=self.keep_tags),) if self.shuffle_tags else ()
        drop = (DropCaption(rate=self.dropout),) if self.dropout else ()
        return (*shuffle, *self._template, *drop)

    @property
    def _template(self) -> tuple[Stage, ...]:
        return (Template(text=self.template),) if self.template != "{caption}" else ()

    def check(
        self, *, normalize: str, text_buckets: tuple[int, ...], augment: tuple[Stage, ...]
    ) -> None:
        """Raises a ValueError if length buckets are used with captions that change."""
        changes = any(isinstance(stage, Flip) and stage.captions_aware for stage in augment)
        if text_buckets and (self.captions not in _FIXED or self.shuffle_tags or changes):
            raise ValueError(
                "Text(buckets=...) needs captions that stay the same from epoch to epoch: "
                f"captions=... one of {list(_FIXED)}, no shuffle_tags and no "
                f"Flip(captions_aware=True); got {self!r}, augment={augment!r}."
            )

    def for_evaluation(self) -> Self:
        """The task without dropout, and with tags in their own order."""
        return dataclasses.replace(self, dropout=0.0, shuffle_tags=False, keep_tags=0)
