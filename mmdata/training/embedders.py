"""The two halves of a retrieval model: images -> embeddings, and captions -> embeddings."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from mmdata.models.declared import declared_inputs, declared_outputs, named_inputs

_OUTPUTS = ("image_embedding", "text_embedding")


@dataclasses.dataclass(frozen=True)
class Embedders:
    """Embeds images and captions with norm 1, so that dot products are cosines.

    Attributes:
      images: images [b, H, W, 3]  ->  float32 [b, d].
      text: token_ids, padding_mask int32 [b, t]  ->  float32 [b, d].
    """

    images: Callable[..., NDArray[np.float32]]
    text: Callable[..., NDArray[np.float32]]

    @classmethod
    def of(cls, model: Any) -> "Embedders | None":
        """Finds the two halves of a model; None if it is not a retrieval model.

        They are methods `encode_images(images)` and `encode_text(token_ids, padding_mask)`, as of
        `mmdata.DualEncoder`; or those of KerasHub's CLIP and SigLIP; or a functional model has the
        outputs `image_embedding` and `text_embedding`, as keys of a dict.

        Raises:
          ValueError: One output of such a functional model needs both images and captions.
        """
        if _has(model, "encode_images", "encode_text"):
            return cls(_unit(model.encode_images), _unit(model.encode_text))
        if _has(model, "get_vision_embeddings", "get_text_embeddings"):
            return cls(
                _unit(model.get_vision_embeddings),
                _unit(lambda token_ids, _: model.get_text_embeddings(token_ids)),
            )
        outputs = declared_outputs(model)
        if isinstance(outputs, dict) and set(_OUTPUTS) <= set(outputs):
            return cls(*_halves(named_inputs(declared_inputs(model)), outputs))
        return None


def _has(model: Any, *methods: str) -> bool:
    return all(callable(getattr(model, name, None)) for name in methods)


def _unit(function: Callable[..., Any]) -> Callable[..., NDArray[np.float32]]:
    """The same function, with embeddings of norm 1 as numpy."""

    def embed(*arguments: Any) -> NDArray[np.float32]:
        rows = np.asarray(keras.ops.convert_to_numpy(function(*arguments)), np.float32)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        unit: NDArray[np.float32] = rows / np.maximum(norms, np.float32(1e-12))
        return unit

    return embed


def _halves(inputs: dict[str, Any], outputs: dict[str, Any]) -> Any:
    image, text = (outputs[name] for name in _OUTPUTS)
    words = [name for name in ("token_ids", "padding_mask") if name in inputs]
    try:
        of_images = keras.Model(inputs["images"], image)
        of_text = keras.Model([inputs[name] for name in words], text)
    except (KeyError, ValueError) as err:
        raise ValueError(
            "A retrieval model must make image_embedding from its input images alone, and "
            "text_embedding from token_ids and padding_mask alone; got a model with the inputs "
            f"{sorted(inputs)} where one of them needs others."
        ) from err

    def embed_text(token_ids: Any, padding_mask: Any) -> Any:
        given = {"token_ids": token_ids, "padding_mask": padding_mask}
        return of_text.predict_on_batch([given[name] for name in words])

    return _unit(of_images.predict_on_batch), _unit(embed_text)
