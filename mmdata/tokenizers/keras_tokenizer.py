"""Tokenizers of Keras: those of KerasHub, and `keras.layers.TextVectorization`."""

import base64
import functools
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar

import tensorflow as tf
from typing_extensions import Self

from mmdata.storage.atomic import write
from mmdata.tokenizers.keras_layers import SavedLayer, restored, saved
from mmdata.tokenizers.tokenizer import Tokenizer
from mmdata.tokenizers.vocabulary_files import read

TokenId = int | Literal["auto"] | None
"""An id; "auto" takes the tokenizer's own, and None means that there is no such token."""

_NAMES = {
    "start_id": ("start_token_id", "cls_token_id"),
    "end_id": ("end_token_id", "sep_token_id"),
    "pad_id": ("pad_token_id",),
}
"""The attributes of KerasHub's tokenizers for each id."""

_Kind = TypeVar("_Kind", bound="KerasTokenizer")

_CLEANING = {"CLIPTokenizer": "clip", "SigLIPTokenizer": "siglip"}

_UNKNOWN = ("[UNK]", "<unk>", "<|unk|>")


class KerasTokenizer(Tokenizer):
    """A tokenizer of KerasHub, or an adapted `keras.layers.TextVectorization`, as a `Tokenizer`.

    `Text(tokenizer=layer)` makes one. It keeps a copy of the layer, so a later `adapt` changes
    nothing. A text may become a special token, if the layer allows it.

    Cleaning before it is "light" by default (NFC, single spaces), since most layers do the rest
    themselves, such as lower case. For KerasHub's `CLIPTokenizer` and `SigLIPTokenizer` it is
    "clip" and "siglip": outside of a graph the first one also makes text lower case, in a graph
    KerasHub leaves this to its preprocessors.

    Args:
      layer: The layer. It returns integers, does not cut or pad, and adds no start or end token:
        `sequence_length` or `output_sequence_length` is None, `add_bos` and `add_eos` are False.
      start_id, end_id, pad_id: Ids of special tokens, which the layer's vocabulary holds; "auto"
        takes those that the layer names, such as `start_token_id`, or `cls_token_id` of BERT's, and
        0 as the padding of `TextVectorization`. None means no such token; `pad_id` is required.

    Raises:
      ValueError: The layer has no vocabulary, does not run in a graph, returns something else, or
        cannot be restored from its configuration; or an id is missing or out of range.
      TypeError: It is no such layer.
    """

    def __init__(
        self,
        layer: Any,
        *,
        start_id: TokenId = "auto",
        end_id: TokenId = "auto",
        pad_id: TokenId = "auto",
    ) -> None:
        if not is_keras_tokenizer(layer):
            raise TypeError(
                "KerasTokenizer(layer) takes a tokenizer of KerasHub or a "
                f"keras.layers.TextVectorization; got {layer!r}."
            )
        who = f"Text(tokenizer={type(layer).__name__})"
        self.vocabulary = _vocabulary(layer, who)
        _require_plain_output(layer, who)
        self._saved = saved(layer, who)
        self._layer = restored(self._saved, who)
        given = {"start_id": start_id, "end_id": end_id, "pad_id": pad_id}
        self._ids = {name: self._id(name, value, who) for name, value in given.items()}
        if self._ids["pad_id"] is None:
            raise ValueError(
                f"{who} needs pad_id=..., the id for padding; the tokenizer names none."
            )
        self._require_ids_of_text(who)

    def _id(self, name: str, value: TokenId, who: str) -> int | None:
        if value == "auto":
            own = (getattr(self._layer, attribute, None) for attribute in _NAMES[name])
            value = next((place for place in own if place is not None), None)
            if value is None and name == "pad_id" and self._is_vectorization:
                value = 0
        if value is None:
            return None
        is_int = isinstance(value, int) and not isinstance(value, bool)
        if is_int and 0 <= int(value) < self.vocabulary_size:
            return int(value)
        raise ValueError(
            f"{who} takes {name}=..., an int from 0 to {self.vocabulary_size - 1}, None, or "
            f'"auto"; got {value!r}.'
        )

    def _require_ids_of_text(self, who: str) -> None:
        try:
            ids = self.tokenize(["a photo", ""])
        except (tf.errors.OpError, TypeError, ValueError, AttributeError) as err:
            raise ValueError(
                f"{who} must run in a graph of TensorFlow, on string [n]: {err}"
            ) from err
        if added := int(ids[1].shape[0]):
            raise ValueError(
                f"{who} must add no tokens of its own, since start and end are added later; it "
                f"makes {added} of an empty text. Pass add_bos=False and add_eos=False to it."
            )

    @property
    def cleaning(self) -> str:  # type: ignore[override]
        """The preset: that of the model for CLIP's and SigLIP's, else "light"."""
        kinds = (kind.__name__ for kind in type(self._layer).__mro__)
        return next((_CLEANING[name] for name in kinds if name in _CLEANING), "light")

    @property
    def _is_vectorization(self) -> bool:
        return not hasattr(self._layer, "detokenize")

    @property
    def pad_id(self) -> int:
        """The id for padding."""
        return self._ids["pad_id"]  # type: ignore[return-value]

    @property
    def start_id(self) -> int | None:
        """The id that begins a sequence, or None."""
        return self._ids["start_id"]

    @property
    def end_id(self) -> int | None:
        """The id that ends a sequence, or None."""
        return self._ids["end_id"]

    @functools.cached_property
    def unknown_id(self) -> int | None:
        """The id of text that is not in the vocabulary; None if the layer names none."""
        if self._is_vectorization:
            return 1
        names = (getattr(self._layer, "oov_token", None), *_UNKNOWN)
        return next((self.vocabulary.index(n) for n in names if n in self.vocabulary), None)

    def __repr__(self) -> str:
        return f"<{type(self._layer).__name__} tokenizer, {self.vocabulary_size:,} tokens>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KerasTokenizer) and other.fingerprint == self.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __reduce__(self) -> Any:
        return _made, (type(self), self._saved, self._ids)

    def _parts(self) -> Iterable[bytes]:
        config = self._saved["layer"]["config"] | {"name": None}  # it counts a process's layers
        files = {
            name: hashlib.blake2b(content, digest_size=16).hexdigest()
            for name, content in self._saved["files"].items()
        }
        parts = (type(self._layer).__name__, config, files, self._ids)
        return (json.dumps(part, sort_keys=True).encode() for part in parts)

    @functools.cached_property
    def _in_graph(self) -> Any:
        """The layer in a graph: outside of one, KerasHub's run in Python and return lists."""
        text = tf.TensorSpec([None], tf.string)

        @tf.function(input_signature=[text])  # type: ignore[untyped-decorator]
        def ids_of(text: Any) -> Any:
            # One text more, since some of KerasHub's fail if all texts are empty.
            ids = self._layer(tf.concat([text, ["a"]], axis=0))[:-1]
            if not isinstance(ids, tf.RaggedTensor):  # TextVectorization(ragged=False) pads with 0
                ids = tf.RaggedTensor.from_tensor(ids, padding=tf.cast(0, ids.dtype))
            return tf.cast(ids, tf.int32)

        return ids_of

    @functools.cached_property
    def _text_in_graph(self) -> Any:
        ids = tf.RaggedTensorSpec([None, None], tf.int32)

        @tf.function(input_signature=[ids])  # type: ignore[untyped-decorator]
        def text_of(ids: Any) -> Any:
            return self._layer.detokenize(ids)

        return text_of

    def _tokenize(self, text: Any) -> Any:
        return self._in_graph(text)

    def _join(self, ids: Any) -> Any:
        if self._is_vectorization:
            words = tf.gather(tf.constant(self.vocabulary), ids)
            return tf.strings.reduce_join(words, axis=-1, separator=" ")
        return self._text_in_graph(tf.cast(ids, tf.int32))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a JSON file of the layer's configuration and files; never half-written."""
        files = self._saved["files"].items()
        content = {
            "layer": self._saved["layer"],
            "files": {name: base64.b64encode(data).decode() for name, data in files},
            "ids": self._ids,
        }
        write(path, json.dumps(content).encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a file that `save` wrote.

        Raises:
          FileNotFoundError: There is no such file.
          ValueError: The file is not such a tokenizer, or KerasHub, which it needs, is missing.
        """
        try:
            content = json.loads(read(path))
            files = {name: base64.b64decode(data) for name, data in content["files"].items()}
            return _made(cls, {"layer": content["layer"], "files": files}, content["ids"])
        except (ImportError, ValueError, KeyError, TypeError, AttributeError) as err:
            raise ValueError(f"{os.fspath(path)}: not a tokenizer of Keras: {err}") from err


def is_keras_tokenizer(value: object) -> bool:
    """Whether it is a tokenizer of KerasHub or a `keras.layers.TextVectorization`."""
    import keras

    hub = sys.modules.get("keras_hub")  # without its import, there is no such tokenizer
    kinds = (keras.layers.TextVectorization, *((hub.tokenizers.Tokenizer,) if hub else ()))
    return isinstance(value, kinds)


def _vocabulary(layer: Any, who: str) -> tuple[str, ...]:
    """The tokens of a layer; an id without a token gets its number in angle brackets."""
    try:
        tokens = getattr(layer, "vocabulary", None) or layer.get_vocabulary()
    except (AttributeError, TypeError, ValueError) as err:
        raise ValueError(f"{who} has no vocabulary: pass one to it first.") from err
    if not isinstance(tokens, Mapping):
        found = dict(enumerate(tokens))
    elif all(isinstance(place, int) for place in tokens):
        found = dict(tokens)
    else:
        found = {place: token for token, place in tokens.items()}
    if not hasattr(layer, "detokenize") and len(found) <= 2:
        raise ValueError(f"{who} has no vocabulary: call its adapt(captions) first.")
    return tuple(str(found.get(place, f"<{place}>")) for place in range(max(found) + 1))


def _require_plain_output(layer: Any, who: str) -> None:
    """Raises a ValueError unless the layer returns all tokens of a text, as integers."""
    mode = getattr(layer, "output_mode", None) or getattr(layer, "_output_mode", "int")
    kind = str(mode) if mode != "int" else tf.as_dtype(layer.compute_dtype).name
    is_int = mode == "int" and (not hasattr(layer, "detokenize") or tf.as_dtype(kind).is_integer)
    if not is_int:
        raise ValueError(f"{who} must return integers, one for each token; it returns {kind!r}.")
    for name in ("sequence_length", "output_sequence_length", "_output_sequence_length"):
        if (length := getattr(layer, name, None)) is not None:
            name = name.removeprefix("_")
            raise ValueError(
                f"{who} must not cut or pad: pass {name}=None to it, and the length to "
                f"build(sequence_length=...); got {name}={length}."
            )


def _made(kind: type[_Kind], layer: SavedLayer, ids: dict[str, int | None]) -> _Kind:
    return kind(restored(layer, "A saved tokenizer"), **ids)
