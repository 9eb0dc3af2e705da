"""`Preprocessing`: how images and captions become the inputs of a model, as a value and as JSON."""

import base64
import contextlib
import dataclasses
import inspect
import json
import pathlib
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, cast

import tensorflow as tf
from numpy.typing import NDArray

from mmdata import tokenizers
from mmdata.example import chain
from mmdata.optional import require
from mmdata.options import Pixels, Text
from mmdata.stages.captions import Template
from mmdata.stages.clean import Clean
from mmdata.stages.pack import Tokenize
from mmdata.tokenizers import Tokenizer
from mmdata.versions import PIXELS_VERSION, TEXT_VERSION

_FORMAT = "mmdata preprocessing"
_VERSION = 1
"""Goes up when older versions of mmdata must not read the JSON."""

_FILE = "file"
"""Holds a tokenizer that is not a dataclass."""

_OUTPUTS = {"pixels": PIXELS_VERSION, "text": TEXT_VERSION}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How images and captions become the inputs of a model, for new images and captions.

    Attributes:
      task: The class of the task that the model was trained on, e.g. "Captioning".
      pixels: How images become numbers; without random crops.
      text: How captions become ids; its tokenizer is a `Tokenizer`. None if the task has no text.
      template: A text around each caption, see `Captioning`.
      prompt: A text before each caption, see `Prefix`.
    """

    task: str
    pixels: Pixels
    text: Text | None = None
    template: str = "{caption}"
    prompt: str = ""

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the captions.

        Raises:
          AttributeError: The task has no text.
        """
        return cast(Tokenizer, self._required_text.tokenizer)

    @property
    def sequence_length(self) -> int:
        """Tokens of a sequence, start and end included.

        Raises:
          AttributeError: The task has no text.
        """
        return self._required_text.sequence_length

    def tokenize(self, captions: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Captions -> token_ids and padding_mask, each int32 [b, t], as in training.

        Raises:
          AttributeError: The task has no text.
          ImportError: ftfy repaired the captions of training, and is not installed.
        """
        text, tokenizer = self._required_text, self.tokenizer
        if text.fix_text:
            captions = [*map(require("ftfy", extra="text").fix_text, captions)]
        stages = (
            Template(text=self.template),
            text.cleaner,
            Tokenize(tokenizer=tokenizer),
            text.pack(tokenizer, prompt=self.prompt),
        )
        example = chain(stages)({"caption": tf.constant(captions, tf.string)})
        return {name: example[name].numpy() for name in ("token_ids", "padding_mask")}

    @property
    def _required_text(self) -> Text:
        if self.text is None:
            raise AttributeError(f"the preprocessing of task {self.task} has no text.")
        return self.text

    def to_json(self) -> bytes:
        """Everything as JSON, with the whole tokenizer, unless it is of a class of your own."""
        data = {
            "format": _FORMAT,
            "version": _VERSION,
            "outputs": _OUTPUTS,
            **_fields(self),
            "pixels": _fields(self.pixels),
            "text": None if self.text is None else _text_fields(self.text),
        }
        return json.dumps(data).encode()

    @classmethod
    def from_json(cls, content: bytes, where: str) -> "Preprocessing":
        """Reads what `to_json` returns; warns if this version makes other pixels or ids of it.

        Args:
          content: The JSON.
          where: The file that it is from, for messages.

        Raises:
          ValueError: It is damaged, of a later version, or its tokenizer is not in it.
        """
        try:
            data = json.loads(content)
            version, outputs = data.pop("version"), data.pop("outputs")
            if data.pop("format") != _FORMAT:
                raise ValueError(f"not the format {_FORMAT!r}")
        except (ValueError, KeyError, AttributeError, TypeError) as err:
            raise ValueError(f"{where}: its preprocessing is damaged ({err}).") from err
        if version != _VERSION:
            raise ValueError(
                f"{where}: its preprocessing has version {version!r}; this mmdata reads version "
                f"{_VERSION}. Install the mmdata that wrote it, or a later one."
            )
        if outputs != _OUTPUTS:
            warnings.warn(
                f"{where}: was trained with versions {outputs} of pixels and text, and this mmdata "
                f"makes {_OUTPUTS}: inputs may differ slightly from those of training.",
                stacklevel=3,
            )
        try:
            pixels, text = Pixels(**_tuples(data.pop("pixels"))), _text(data.pop("text"))
            return cls(pixels=pixels, text=text, **data)
        except (TypeError, KeyError, ValueError) as err:
            raise ValueError(f"{where}: its preprocessing cannot be read: {err}") from err


def _fields(value: Any) -> dict[str, Any]:
    """The arguments that make a dataclass."""
    return {
        field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init
    }


def _tuples(value: Any) -> Any:
    """JSON with tuples instead of lists, and bytes instead of their base64."""
    if isinstance(value, list):
        return tuple(map(_tuples, value))
    if isinstance(value, dict):
        if value.keys() == {"base64"}:
            return base64.b64decode(value["base64"])
        return {name: _tuples(inner) for name, inner in value.items()}
    return value


def _text_fields(text: Text) -> dict[str, Any]:
    clean = None if text.cleaner is None else _fields(text.cleaner)
    return _fields(text) | {"clean": clean, "tokenizer": _tokenizer_fields(text.tokenizer)}


def _text(data: Any) -> Text | None:
    if data is None:
        return None
    text = _tuples(data)
    clean = None if text["clean"] is None else Clean(**text["clean"])
    return Text(**text | {"clean": clean, "tokenizer": _tokenizer(**text["tokenizer"])})


def _tokenizer_fields(tokenizer: Any) -> dict[str, Any]:
    """A tokenizer as its fields, or as the file that it saves if it is not a dataclass."""
    kind = type(tokenizer)
    if kind is not _CLASSES.get(kind.__name__):
        return {"type": f"{kind.__module__}.{kind.__qualname__}"}
    if dataclasses.is_dataclass(tokenizer):
        fields = _fields(tokenizer)
    else:
        with _temporary_file() as path:
            tokenizer.save(path)
            fields = {_FILE: path.read_bytes()}
    encoded = {
        name: {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
        for name, value in fields.items()
    }
    return {"type": kind.__name__, **encoded}


def _tokenizer(*, type: str, **fields: Any) -> Tokenizer:  # noqa: A002 - as the JSON calls it
    if type not in _CLASSES:
        raise ValueError(
            f"its tokenizer {type} is not one of {sorted(_CLASSES)}, so the file does not hold it. "
            "Load the model with keras.models.load_model, and pass dataset=... to mmdata.caption."
        )
    if _FILE not in fields:
        return cast(Tokenizer, _CLASSES[type](**fields))
    with _temporary_file() as path:
        path.write_bytes(fields[_FILE])
        return cast(Tokenizer, _CLASSES[type].load(path))


@contextlib.contextmanager
def _temporary_file() -> Iterator[pathlib.Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield pathlib.Path(folder, "tokenizer")


_CLASSES: dict[str, Any] = {
    name: kind
    for name, kind in vars(tokenizers).items()
    if isinstance(kind, type) and issubclass(kind, Tokenizer) and not inspect.isabstract(kind)
}
"""The tokenizers of mmdata, by the names of their classes."""
