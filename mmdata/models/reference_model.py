"""The base of both models: it checks a dataset before the first step."""

from __future__ import annotations

from typing import Any, ClassVar

from mmdata.models import compiled
from mmdata.models.saved import SavedWithPreprocessing

_MASKS = ("bool", "int32", "int64")


class ReferenceModel(SavedWithPreprocessing):
    """Checks in `fit`, `evaluate` and `predict` that the batches of a dataset fit this model.

    Checks whatever has an `element_spec`; from a dataset of `mmdata.build` it also checks the
    tokenizer and the range of pixels. Does not check arrays, which `call` checks.
    """

    task: ClassVar[str]
    features: ClassVar[tuple[str, ...]]
    has_targets: ClassVar[bool]

    image_size: tuple[int, int]
    normalize: str
    sequence_length: int
    vocabulary_size: int

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Trains as `keras.Model.fit` does.

        Raises:
          ValueError: The batches do not fit the model; the message says what to change.
        """
        for ds in (x, kwargs.get("validation_data")):
            self._require_fit("fit", ds)
        if hasattr(x, "element_spec") and not args:
            kwargs.setdefault("shuffle", False)  # Keras' default, True, is a warning for datasets
        return super().fit(x, *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluates as `keras.Model.evaluate` does; raises as `fit`."""
        self._require_fit("evaluate", x)
        return super().evaluate(x, *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Predicts as `keras.Model.predict` does; raises as `fit`."""
        self._require_fit("predict", x)
        return super().predict(x, *args, **kwargs)

    def compile_from_config(self, config: Any) -> None:
        """Compiles as saved, but for XLA: its default is that of the backend that loads.

        TensorFlow is faster without XLA; JAX without it would run single operations.
        """
        if config.get("jit_compile") is not True:
            config = {**config, "jit_compile": compiled.JIT}
        super().compile_from_config(config)

    def _require_fit(self, method: str, ds: Any) -> None:
        spec = getattr(ds, "element_spec", None)
        if spec is None:
            return
        who = f"{type(self).__name__}.{method}"
        features = self._features(who, spec, needs_targets=method != "predict")
        _require_images(who, features["images"], self.image_size, self.normalize)
        for name in ("token_ids", "padding_mask"):
            self._require_tokens(who, name, features[name])
        self._require_same_settings(who, ds)

    def _features(self, who: str, spec: Any, *, needs_targets: bool) -> dict[str, Any]:
        is_tuple = isinstance(spec, tuple)
        features = spec[0] if is_tuple else spec
        got = sorted(features) if isinstance(features, dict) else ["one tensor"]
        fits = set(self.features) <= set(got)
        if needs_targets and self.has_targets:
            fits = fits and is_tuple and len(spec) > 1
        if fits:
            return dict(features)
        wanted = f"a dict of {', '.join(self.features)}"
        if self.has_targets:
            wanted = f"(x, y, sample_weight), where x is {wanted}"
        form = "(x, y)" if is_tuple else "x"
        raise ValueError(
            f"{who}(ds) needs batches {wanted}; got {form} with {', '.join(got)}. Pass "
            f'task="{self.task}" to mmdata.build, without inputs=.'
        )

    def _require_tokens(self, who: str, name: str, spec: Any) -> None:
        length = spec.shape[1] if len(spec.shape) == 2 else 0
        if length == 0 or spec.dtype.name not in _MASKS:
            raise ValueError(
                f"{who}(ds) needs {name} int32 [b, t]; got {spec.dtype.name} {list(spec.shape)}. "
                f'Pass task="{self.task}" to mmdata.build.'
            )
        if length is not None and length > self.sequence_length:
            raise ValueError(
                f"{who}(ds) takes at most {self.sequence_length} tokens per caption; got {name} "
                f"[b, {length}]. Pass sequence_length={self.sequence_length} to mmdata.build, or "
                f"make the model with {type(self).__name__}.from_dataset(ds)."
            )

    def _require_same_settings(self, who: str, ds: Any) -> None:
        """Checks what the shapes of a batch do not show."""
        if hasattr(ds, "plan") and hasattr(self, "distribute_strategy"):
            ds.plan.order.require_replicas(self.distribute_strategy.num_replicas_in_sync)
        pixels = getattr(ds, "pixels", None)
        if pixels is not None and pixels.normalize != self.normalize:
            raise ValueError(
                f"{who}(ds) needs pixels scaled as {self.normalize!r}; got {pixels.normalize!r}. "
                f'Pass pixels="{self.normalize}" to mmdata.build.'
            )
        tokens = getattr(getattr(ds, "tokenizer", None), "vocabulary_size", 0)
        if tokens > self.vocabulary_size:
            raise ValueError(
                f"{who}(ds) knows {self.vocabulary_size:,} tokens; the tokenizer of ds has "
                f"{tokens:,}. Pass text=... with the tokenizer of the training to mmdata.build."
            )


def _require_images(who: str, spec: Any, image_size: tuple[int, int], normalize: str) -> None:
    height, width = image_size
    if not spec.shape[1:].is_compatible_with([height, width, 3]):
        raise ValueError(
            f"{who}(ds) needs images [b, {height}, {width}, 3]; got {list(spec.shape)}. Pass "
            f"image_size=({height}, {width}) to mmdata.build, or make the model with from_dataset."
        )
    wanted = "uint8" if normalize == "uint8" else "float32"
    if spec.dtype.name != wanted:
        raise ValueError(
            f"{who}(ds) needs images of {wanted}; got {spec.dtype.name}. Pass "
            f'pixels="{normalize}" to mmdata.build.'
        )
