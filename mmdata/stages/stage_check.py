"""What a stage of `augment` returns, checked once, when the pipeline is built."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from mmdata.example import Example, Stage
from mmdata.stages.augment import RandomCrop

_SHOWN = 300  # characters of an error in the code of a stage


def require_stages(stages: Sequence[Stage], spec: Example) -> None:
    """Raises unless each stage returns the features that it gets, with their dtype and shape.

    Traces each stage alone, so an error names the stage and the feature. Stages of this package are
    not checked: their tests do.

    Args:
      stages: Stages that run on one example, in order.
      spec: The specs of the features that the first stage gets.

    Raises:
      ValueError: A stage fails, returns no dict, loses a feature, or changes its dtype or shape.
    """
    if all(_is_ours(stage) for stage in stages):
        return
    for stage in stages:
        returned = _traced(stage, spec)
        if not isinstance(stage, RandomCrop):
            _require_same(stage, spec, returned)
        spec = returned


def _is_ours(stage: Stage) -> bool:
    return type(stage).__module__.startswith("mmdata.")


def _traced(stage: Stage, spec: Example) -> Any:
    """The specs of what a stage returns."""
    try:
        traced = tf.function(lambda example: stage(example)).get_concrete_function(spec)
    except Exception as err:  # the code of a stage may raise anything
        lines = str(err).strip().splitlines() or [type(err).__name__]
        raise ValueError(
            f"{_name(stage)} failed when it got an example with {', '.join(sorted(spec))}: "
            f"{type(err).__name__}: {lines[-1].strip()[:_SHOWN]}"
        ) from err
    return tf.nest.map_structure(tf.TensorSpec.from_tensor, traced.structured_outputs)


def _require_same(stage: Stage, given: Example, returned: Any) -> None:
    if not isinstance(returned, dict):
        raise ValueError(
            f"{_name(stage)} must return a dict, the example with its changes: "
            f"{{**example, 'image': image}}; got a {type(returned).__name__}."
        )
    if lost := sorted(given.keys() - returned.keys()):
        raise ValueError(
            f"{_name(stage)} must return all features of the example; {lost[:5]} are missing. "
            "Return {**example, 'image': image}."
        )
    for key, spec in given.items():
        got = returned[key]
        if got.dtype == spec.dtype and got.shape.as_list() == spec.shape.as_list():
            continue
        hint = ""
        if None in got.shape.as_list():
            hint = f" Use tf.ensure_shape(x, {spec.shape.as_list()}) on what has an unknown shape."
        raise ValueError(
            f"{_name(stage)} must return {key!r} as {_form(spec)}"
            f"{', 0 to 255' if key == 'image' else ''}; got {_form(got)}.{hint}"
        )


def _name(stage: Stage) -> str:
    return f"augment=[...]: the stage {getattr(stage, '__name__', type(stage).__name__)}"


def _form(spec: Any) -> str:
    return f"{spec.dtype.name} {list(spec.shape)}"
