"""What a Keras model declares -> the features of a batch that it gets, or what does not fit."""

import sys
from collections.abc import Mapping
from typing import Any

import keras

from mmdata.config import Config
from mmdata.models.declared import declared_inputs, declared_outputs, named_inputs
from mmdata.stages.select import Select, features_of
from mmdata.tasks import Retrieval, Task


def select_for(model: Any, spec: Any, config: Config, tokens: int | None) -> Select | None:
    """Chooses the features that a model declares.

    Args:
      model: A Keras model. A functional or sequential one declares its inputs; a subclassed one
        does not.
      spec: The `element_spec` of the batches, with all features.
      config: The settings of the dataset.
      tokens: Number of tokens in the vocabulary; None without text.

    Returns:
      What selects its inputs; None if the model declares nothing.

    Raises:
      TypeError: This is not a Keras model.
      ValueError: An input or output of the model does not fit. The message says which argument of
        `build` changes that, if there is one.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"for_model(model) must be a Keras model; got {_kind(model)}. Pass an object, not its "
            "class."
        )
    structure, features = declared_inputs(model), features_of(spec)
    if structure is None:
        return None
    is_one = hasattr(structure, "shape")
    declared = _by_feature(structure, features, is_one=is_one)
    for key, tensor in declared.items():
        _require_feature(key, features, type(config.task).__name__)
        _require_shape(key, tensor, features[key], config)
        _require_dtype(key, tensor, features[key])
    _require_outputs(model, spec, tokens)
    return Select(
        keys=tuple(declared),
        dtypes=tuple(str(tensor.dtype) for tensor in declared.values()),
        is_dict=not is_one,
        labels=_labels(model) if _is_one_to_one(config.task) else (),
    )


def _kind(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"


def _by_feature(structure: Any, features: Mapping[str, Any], *, is_one: bool) -> dict[str, Any]:
    """The declared tensor of each feature, in the order of the model."""
    if is_one:
        return {structure.name if structure.name in features else "images": structure}
    named = named_inputs(structure)
    if not all(hasattr(tensor, "shape") for tensor in named.values()):
        raise ValueError(
            "for_model(model) needs a model whose inputs are one tensor, a list or a flat dict; "
            f"got a nested structure with the keys {list(named)}."
        )
    return named


def _require_feature(key: str, features: Mapping[str, Any], task: str) -> None:
    if key not in features:
        hint = {
            "response_mask": " mmdata.Prefix has it.",
            "image_id": ' task="retrieval" has it.',
            "captions": " text=None has it.",
        }.get(key, " Name the inputs of the model like features, or use ds.map(...).")
        raise ValueError(
            f"for_model(model): the model has an input {key!r}, which batches of {task} do not "
            f"have; they have {list(features)}.{hint}"
        )


def _require_shape(key: str, tensor: Any, feature: Any, config: Config) -> None:
    declared, got = tensor.shape[1:], tuple(feature.shape[1:])
    fits = len(declared) == len(got) and all(
        None in pair or pair[0] == pair[1] for pair in zip(declared, got, strict=True)
    )
    if fits:
        return
    raise ValueError(
        f"for_model(model): the input {key!r} of the model has the shape "
        f"{_shape(declared)}; batches have {_shape(got)}.{_resized(key, declared, got, config)}"
    )


def _shape(sides: tuple[int | None, ...]) -> str:
    return f"[{', '.join(['b', *('None' if side is None else str(side) for side in sides)])}]"


def _resized(key: str, declared: Any, got: Any, config: Config) -> str:
    """The argument of `build` that gives the declared shape; "" if none does."""
    if key == "images" and len(declared) == len(got) == 3 and declared[-1] in (3, None):
        return f" Pass image_size=({declared[0]}, {declared[1]}) to mmdata.build."
    if key in ("token_ids", "padding_mask", "response_mask") and len(declared) == len(got) == 1:
        if config.text.padding != "length" or config.text.buckets:
            return ' Pass Text(length=..., padding="length") without buckets to mmdata.build.'
        return f" Pass sequence_length={declared[0]} to mmdata.build."
    return ""


def _require_dtype(key: str, tensor: Any, feature: Any) -> None:
    declared, got = str(tensor.dtype), feature.dtype.name
    is_float = declared.startswith(("float", "bfloat"))
    fits = (
        declared == got
        or (is_float and got != "string")
        or (declared.startswith("int") and got in ("int32", "int64", "bool"))
        or (declared == "bool" and key.endswith("mask"))
    )
    if fits:
        return
    hint = ""
    if key == "images":
        hint = f' Pass pixels="uint8" to mmdata.build, or declare {got}.'
    raise ValueError(
        f"for_model(model): the input {key!r} of the model is {declared}; batches have {got}, "
        f"which would lose values.{hint}"
    )


def _require_outputs(model: Any, spec: Any, tokens: int | None) -> None:
    """Raises a ValueError if logits of the next token do not fit the tokens to predict."""
    shape: tuple[int | None, ...] = getattr(declared_outputs(model), "shape", ())
    if tokens is None or not isinstance(spec, tuple) or len(shape) != 3:
        return
    _, length, classes = shape
    wanted = spec[1].shape[1]
    if length is not None and wanted is not None and length != wanted:
        raise ValueError(
            f"for_model(model): the output of the model has {length} places; batches have {wanted} "
            "tokens to predict, one for each of token_ids."
        )
    if classes is not None and classes < tokens and not _is_backbone(model):
        raise ValueError(
            f"for_model(model): the output of the model has {classes:,} classes; the tokenizer has "
            f"{tokens:,} tokens. Make the last layer as large as ds.tokenizer.vocabulary_size."
        )


def _is_backbone(model: Any) -> bool:
    """Whether it is one of KerasHub's backbones, whose outputs are features and not logits."""
    hub = sys.modules.get("keras_hub")  # without its import, there is no such model
    return hub is not None and isinstance(model, hub.models.Backbone)


def _is_one_to_one(task: Task) -> bool:
    """Whether each image of a batch belongs to one of its captions, and each caption to one."""
    return isinstance(task, Retrieval) and task.captions != "all"


def _labels(model: Any) -> tuple[str, ...]:
    """The outputs that compare all images with all captions of a batch; see `Select.labels`."""
    own_loss = type(model).compute_loss is not keras.Model.compute_loss  # as SigLIPBackbone has
    if own_loss:
        return ()
    output = declared_outputs(model)
    outputs = output if isinstance(output, dict) else {"": output}
    if any(getattr(tensor, "shape", ()) != (None, None) for tensor in outputs.values()):
        return ()
    return tuple(outputs)
