"""A batch for `fit` -> the same batch with only the features that a model takes."""

import dataclasses
from typing import Any

import tensorflow as tf

from mmdata.example import Example
from mmdata.settings import as_dict


@dataclasses.dataclass(frozen=True, kw_only=True)
class Select:
    """Keeps some features of a batch for `fit`, in other dtypes if needed.

    x, (x, y) or (x, y, sample_weight)  ->  the same, where x is a dict of `keys` alone, or one
    tensor; y and sample_weight do not change, unless there are `labels`

    Attributes:
      keys: The features of x to keep.
      dtypes: The dtype of each key; () keeps all dtypes.
      is_dict: Whether x becomes a dict; if not, x is the only feature.
      labels: The outputs, each [b, b], of a model that compares all images with all captions of a
        batch; y gets for each the labels 0 to b - 1, int32 [b]: caption i belongs to image i. The
        sample weight is 1, or 0 if the image is corrupt. ("",) is a model with one output.
    """

    keys: tuple[str, ...]
    dtypes: tuple[str, ...] = ()
    is_dict: bool = True
    labels: tuple[str, ...] = ()

    to_dict = as_dict

    def __call__(self, *batch: Any) -> Any:
        features, *rest = batch
        if not isinstance(features, dict):
            features = {"images": features}
        chosen = {key: features[key] for key in self.keys}
        for key, dtype in zip(self.keys, self.dtypes, strict=False):
            chosen[key] = tf.cast(chosen[key], dtype)
        x = chosen if self.is_dict else chosen[self.keys[0]]
        if self.labels:
            return (x, *self._labelled(features))
        return (x, *rest) if rest else x

    def _labelled(self, features: Example) -> tuple[Any, Any]:
        mask = features["padding_mask"]
        label = tf.range(tf.shape(mask)[0])
        label.set_shape([mask.shape[0]])
        weight = tf.cast(tf.reduce_any(mask != 0, axis=1), tf.float32)
        if self.labels == ("",):
            return label, weight
        return dict.fromkeys(self.labels, label), dict.fromkeys(self.labels, weight)


def features_of(spec: Any) -> dict[str, Any]:
    """The specs of the features in x, from the `element_spec` of a dataset of batches for `fit`."""
    x = spec[0] if isinstance(spec, tuple) else spec
    return x if isinstance(x, dict) else {"images": x}
