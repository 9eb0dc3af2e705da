"""Captions of images by any Keras model that predicts the next token."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from mmdata.models.declared import declared_inputs, named_inputs
from mmdata.tokenizers import Tokenizer

_NEEDED = ("images", "token_ids")
_KNOWN = (*_NEEDED, "padding_mask", "response_mask")


def generate(
    model: Any, images: Any, *, tokenizer: Tokenizer, sequence_length: int, prompt: str = ""
) -> list[str]:
    """Writes a caption for each image of a batch, with any Keras captioning model.

    A model with a method `generate(images)`, such as `mmdata.Captioner`, uses it; it must return
    token ids int [b, t]. Any other model is decoded greedily: the start token and the prompt, then
    the most likely next token, until the end token or the full length. It must map the `x` of a
    captioning batch to logits or probabilities [b, t, v]. A functional model gets the inputs that
    it declares, a subclassed one gets `images`, `token_ids` and `padding_mask` (and
    `response_mask`, if there is a prompt). Each token takes a call of the whole model.

    Args:
      model: A Keras model, on any backend.
      images: [b, H, W, 3], as the model was trained on.
      tokenizer: The tokenizer of the training captions.
      sequence_length: Tokens of `token_ids`, as `mmdata.build` takes it; a caption has at most as
        many, with its end token. A length that the model declares has precedence.
      prompt: Text before each caption, as in `mmdata.Prefix(prompt=...)`; not part of the result.

    Returns:
      A caption per image, without special tokens.

    Raises:
      ValueError: The model has other inputs or another output than described, the tokenizer has no
        start token, or the prompt leaves no room for a caption.
    """
    images = np.asarray(images)
    if not len(images):
        return []
    if has_generate(model):
        ids = keras.ops.convert_to_numpy(model.generate(images))
    else:
        begin = _begin(tokenizer, prompt)
        ids = _greedy(model, images, begin, tokenizer, sequence_length)
    if tokenizer.end_id is not None:
        ended = np.cumsum(ids == tokenizer.end_id, axis=1) > 0
        ids = np.where(ended, tokenizer.pad_id, ids)
    texts = tokenizer.detokenize(ids).numpy()
    return [text.decode(errors="replace") for text in texts]


def has_generate(model: Any) -> bool:
    """Whether a model has a method `generate`."""
    return callable(getattr(model, "generate", None))


def _begin(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """The tokens before a caption."""
    start = [] if tokenizer.start_id is None else [tokenizer.start_id]
    begin = [*start, *(tokenizer.tokenize(prompt).numpy().tolist() if prompt else ())]
    if not begin:
        raise ValueError(
            f"A caption must begin with a start token or a prompt; got {tokenizer}, which has no "
            "start token. Give the model a method generate(images) that returns token ids."
        )
    return begin


def _greedy(
    model: Any, images: NDArray[Any], begin: list[int], tokenizer: Tokenizer, sequence_length: int
) -> NDArray[np.int32]:
    """The most likely next tokens, int32 [b, t], after those that each caption begins with."""
    declared = declared_inputs(model)
    length = _declared_length(declared) or sequence_length
    if len(begin) > length:
        raise ValueError(
            f"The prompt must leave room for a caption in sequence_length={length}; got "
            f"{len(begin)} tokens before it."
        )
    token_ids = np.full([len(images), length + 1], tokenizer.pad_id, np.int32)
    token_ids[:, : len(begin)] = begin
    places = np.broadcast_to(np.arange(length), [len(images), length])
    ended = np.zeros(len(images), bool)
    for position in range(len(begin) - 1, length):
        features = {
            "images": images,
            "token_ids": token_ids[:, :-1],
            "padding_mask": (places <= position).astype(np.int32),
        }
        if len(begin) > 1 or _declares(declared, "response_mask"):
            response = (places >= len(begin)) & (places <= position)
            features["response_mask"] = response.astype(np.int32)
        scores = model.predict_on_batch(_arranged(declared, features))
        newest = _most_likely(scores, position, length, tokenizer)
        token_ids[:, position + 1] = np.where(ended, tokenizer.pad_id, newest)
        ended |= newest == tokenizer.end_id
        if ended.all():
            break
    return token_ids[:, len(begin) :]


def _declares(declared: Any, name: str) -> bool:
    return declared is not None and name in named_inputs(declared)


def _declared_length(declared: Any) -> int | None:
    """The length of `token_ids` that a model declares; None if it takes any."""
    if declared is None:
        return None
    named = named_inputs(declared)
    if set(_NEEDED) - set(named) or set(named) - set(_KNOWN):
        raise ValueError(
            f"A captioning model must take {list(_NEEDED)} and may take {list(_KNOWN[2:])}; got "
            f"the inputs {sorted(named)}. Give its keras.Input these names, or give the model a "
            "method generate(images) that returns token ids."
        )
    length: int | None = named["token_ids"].shape[1]
    return length


def _arranged(declared: Any, features: dict[str, Any]) -> Any:
    """The features that a model declares, in its structure; all of them if it declares nothing."""
    if declared is None:
        return features
    if isinstance(declared, dict):
        return {name: features[name] for name in declared}
    return keras.tree.map_structure(lambda tensor: features[tensor.name], declared)


def _most_likely(scores: Any, position: int, length: int, tokenizer: Tokenizer) -> NDArray[Any]:
    """The most likely token at a position, int [b]."""
    shape = getattr(scores, "shape", None)
    size = tokenizer.vocabulary_size
    if shape is None or len(shape) != 3 or shape[1] != length or shape[2] < size:
        got = type(scores).__name__ if shape is None else f"shape {list(shape)}"
        raise ValueError(
            f"A captioning model must return logits or probabilities [b, {length}, {size}], of "
            f"each token of the vocabulary after each of the tokens; got {got}."
        )
    newest: NDArray[Any] = np.argmax(scores[:, position, :size], axis=-1)
    return newest
