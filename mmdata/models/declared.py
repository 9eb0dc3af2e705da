"""What a Keras model declares: its inputs and outputs."""

from __future__ import annotations

from typing import Any

import keras


def declared_inputs(model: Any) -> Any:
    """The inputs that a model declares.

    A functional model gives a tensor, a list or a dict, as it was made; a sequential one that is
    built gives a tensor. Others, such as a subclassed model, declare nothing: None.
    """
    if getattr(model, "inputs", None) is None:
        return None
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def declared_outputs(model: Any) -> Any:
    """The outputs that a model declares, see `declared_inputs`; a list of one is a tensor."""
    if getattr(model, "outputs", None) is None:
        return None
    if isinstance(model, keras.Sequential):
        return model.outputs[0]
    outputs = model.output
    return outputs[0] if isinstance(outputs, list) and len(outputs) == 1 else outputs


def named_inputs(declared: Any) -> dict[str, Any]:
    """The declared inputs with the names that the features must have: keys, or names of tensors."""
    if isinstance(declared, dict):
        return declared
    return {tensor.name: tensor for tensor in keras.tree.flatten(declared)}
