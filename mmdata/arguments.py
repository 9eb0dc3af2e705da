"""The arguments of `build` that are values of their own, and what a name stands for."""

import dataclasses

from mmdata.stages.images import Resize
from mmdata.stages.pixels import NORMALIZATIONS, Normalize
from mmdata.stages.text import Clean
from mmdata.tasks import TASKS, Task
from mmdata.tokenizers import LEARNED, Tokenizer
from mmdata.tokenizers.learning import require_size

_TOKENIZERS = (*LEARNED, "byte")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pixels:
    """How images become numbers.

    Attributes:
      size: (height, width) in pixels.
      normalize: What pixels are scaled to; see `Normalize`.

    Raises:
      ValueError: `size` is not two positive ints, or `normalize` is unknown.
    """

    size: tuple[int, int] = (224, 224)
    normalize: str = "unit"

    def __post_init__(self) -> None:
        Resize(size=self.size)
        Normalize(to=self.normalize)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Text:
    """How captions become ids.

    Attributes:
      clean: What runs before the tokenizer; None leaves captions as they are.
      tokenizer: "word" or "wordpiece", learned from the training captions; "byte"; a `Tokenizer`.
      vocabulary_size: Tokens at most, special ones included; for a tokenizer that is learned.
      length: Tokens of a sequence, start and end included; longer captions are cut.

    Raises:
      ValueError: `tokenizer` is unknown, or `length` or `vocabulary_size` too small.
    """

    clean: Clean | None = Clean()
    tokenizer: str | Tokenizer = "wordpiece"
    vocabulary_size: int = 8000
    length: int = 32

    def __post_init__(self) -> None:
        if not isinstance(self.tokenizer, Tokenizer) and self.tokenizer not in _TOKENIZERS:
            raise ValueError(
                f"text=... must be one of {list(_TOKENIZERS)}, a Tokenizer or a Text; got "
                f"{self.tokenizer!r}."
            )
        if not (self.clean is None or isinstance(self.clean, Clean)):
            raise ValueError(f"Text(clean=...) must be a Clean or None; got {self.clean!r}.")
        if not (isinstance(self.length, int) and self.length >= 3):
            raise ValueError(
                "sequence_length=... must be an int of at least 3, for start, a token and end; got "
                f"{self.length!r}."
            )
        require_size(self.vocabulary_size)


def pixels_of(pixels: str | Pixels, image_size: tuple[int, int] | None) -> Pixels:
    """What `build(pixels=, image_size=)` means."""
    if isinstance(pixels, Pixels):
        _refuse_both("image_size", image_size, "pixels=Pixels(size=...)")
        return pixels
    if pixels not in NORMALIZATIONS:
        raise ValueError(
            f"pixels=... must be one of {list(NORMALIZATIONS)} or a Pixels; got {pixels!r}."
        )
    return Pixels(normalize=pixels, size=(224, 224) if image_size is None else image_size)


def text_of(text: str | Tokenizer | Text, sequence_length: int | None) -> Text:
    """What `build(text=, sequence_length=)` means."""
    if isinstance(text, Text):
        _refuse_both("sequence_length", sequence_length, "text=Text(length=...)")
        return text
    return Text(tokenizer=text, length=32 if sequence_length is None else sequence_length)


def task_of(task: str | Task) -> Task:
    """What `build(task=)` means."""
    if isinstance(task, Task):
        return task
    if task not in tuple(TASKS):
        raise ValueError(
            f"task=... must be one of {list(TASKS)}, or a Captioning, Retrieval or Classification; "
            f"got {task!r}."
        )
    return TASKS[task]


def _refuse_both(name: str, value: object, other: str) -> None:
    if value is not None:
        raise ValueError(f"{name}={value!r} and {other} set the same; pass one of them.")
