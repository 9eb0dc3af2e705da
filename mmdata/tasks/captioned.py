"""Which captions a task takes, and in what words."""

import dataclasses
from typing import ClassVar, Literal, get_args

from mmdata.tasks.columns import require_free

Captions = Literal["all", "random", "cycle", "first", "longest", "join"]
"""Which captions of an image an epoch takes; see `Captioned`."""

_CHOICES = get_args(Captions)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Captioned:
    """What tasks with one caption an example have in common.

    Attributes:
      captions: Which captions of an image an epoch takes. "all": each of them, so the image as
        often. Or the image once, with one of them: "random", a function of (seed, epoch, image);
        "cycle", the next one each epoch; "first"; "longest", in bytes; "join", all as one text,
        with spaces between. "random" and "cycle" take the same ones each epoch in "validation" and
        "test".
      template: What a caption is put into, e.g. "a photo of {caption}".
      dropout: Share of examples whose caption, template and all, becomes empty, 0 to below 1:
        another share each epoch, as classifier-free guidance wants. Never in "validation" and
        "test".
      shuffle_tags: Whether captions are tags between commas, which each epoch orders anew. Never in
        "validation" and "test".
      keep_tags: How many tags keep their place at the front, >= 0.
      columns: Columns of numbers that come along under their names, each [b].

    Raises:
      ValueError: A field is out of range.
    """

    captions: Captions = "all"
    template: str = "{caption}"
    dropout: float = 0.0
    shuffle_tags: bool = False
    keep_tags: int = 0
    columns: tuple[str, ...] = ()

    has_text: ClassVar[bool] = True
    lookahead: ClassVar[int] = 0
    prompt: ClassVar[str] = ""
    once_a_file: ClassVar[bool] = False

    def __post_init__(self) -> None:
        who = type(self).__name__
        require_free(self)
        if self.captions not in _CHOICES:
            raise ValueError(
                f"{who}(captions=...) must be one of {list(_CHOICES)}; got {self.captions!r}."
            )
        if not isinstance(self.template, str) or self.template.count("{caption}") != 1:
            raise ValueError(
                f'{who}(template=...) must be a text with "{{caption}}" in it, once; got '
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
