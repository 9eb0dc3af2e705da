"""Attention and the transformer block, for whole sequences and one token at a time."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from mmdata.models.dropout import seeded_dropout
from mmdata.models.image_encoder import Tensor


@keras.saving.register_keras_serializable(package="mmdata")
class Attention(layers.Layer):
    """Attends to a memory from every query, with several heads.

    x: float [b, t, width], memory: float [b, s, width]  ->  float [b, t, width]

    Keys and values can be computed once (`project`) and used many times (`attend`), to write a
    caption token by token. Does not normalize, and adds no residual.

    Attributes:
      width: features of queries, memory and result; a multiple of `heads`.
      heads: number of heads, >= 1.

    Source: Vaswani et al. 2017 (arXiv:1706.03762), section 3.2.
    """

    def __init__(self, *, width: int, heads: int, **kwargs: Any) -> None:
        """Creates the four projections; `build` creates their weights."""
        super().__init__(**kwargs)
        self.width = width
        self.heads = heads
        self.query = layers.Dense(width, name="query")
        self.key = layers.Dense(width, name="key")
        self.value = layers.Dense(width, name="value")
        self.output_ = layers.Dense(width, name="output")

    def build(self, input_shape: Any = None) -> None:
        """Creates every weight."""
        for dense in (self.query, self.key, self.value, self.output_):
            dense.build((None, None, self.width))
        self.built = True

    def project(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Returns keys and values, each [b, s, heads, width / heads]."""
        return self._split(self.key(memory)), self._split(self.value(memory))

    def attend(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Returns the result for each row of `x`; `mask` [b or 1, 1, t, s], True = attends."""
        mixed = ops.dot_product_attention(self._split(self.query(x)), keys, values, mask=mask)
        return self.output_(ops.reshape(mixed, (-1, ops.shape(mixed)[1], self.width)))

    def call(self, x: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """Returns `attend` over the projected `memory`."""
        return self.attend(x, *self.project(memory), mask)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor, as plain values."""
        return {**super().get_config(), "width": self.width, "heads": self.heads}

    def _split(self, x: Tensor) -> Tensor:
        return ops.reshape(x, (-1, ops.shape(x)[1], self.heads, self.width // self.heads))


@keras.saving.register_keras_serializable(package="mmdata")
class Block(layers.Layer):
    """Runs self-attention, attention to a memory if there is one, and a two-layer perceptron.

    x: float [b, t, width]  ->  float [b, t, width]

    Normalizes before each part, so training needs no warm-up. Does not normalize its result, and
    adds no mask.

    Attributes:
      width: features, a multiple of `heads`.
      heads: heads of each attention, >= 1.
      dropout: share of features dropped in training, 0 <= dropout < 1.
      crossed: whether it attends to a memory.

    Source: Vaswani et al. 2017 (arXiv:1706.03762), section 3.1; normalization first, Xiong et al.
      2020 (arXiv:2002.04745).
    """

    def __init__(
        self, *, width: int, heads: int, dropout: float = 0.0, crossed: bool = False, **kwargs: Any
    ) -> None:
        """Creates the layers; `build` creates their weights."""
        super().__init__(**kwargs)
        self.width = width
        self.heads = heads
        self.dropout = dropout
        self.crossed = crossed
        self.self_norm = layers.LayerNormalization(epsilon=1e-5, name="self_norm")
        self.self_attention = Attention(width=width, heads=heads, name="self_attention")
        if crossed:
            self.cross_norm = layers.LayerNormalization(epsilon=1e-5, name="cross_norm")
            self.cross_attention = Attention(width=width, heads=heads, name="cross_attention")
        self.wide_norm = layers.LayerNormalization(epsilon=1e-5, name="wide_norm")
        self.widen = layers.Dense(4 * width, activation="gelu", name="widen")
        self.narrow = layers.Dense(width, name="narrow")
        self.drop = seeded_dropout(dropout)

    def build(self, input_shape: Any = None) -> None:
        """Creates every weight."""
        shape = (None, None, self.width)
        parts = [self.self_norm, self.self_attention, self.wide_norm, self.widen]
        if self.crossed:
            parts += [self.cross_norm, self.cross_attention]
        for part in parts:
            part.build(shape)
        self.narrow.build((None, None, 4 * self.width))
        self.built = True

    def call(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        memory: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        """Returns `x` after the block; `mask` [b or 1, 1, t, t], True = attends."""
        h = self.self_norm(x)
        x = x + self.drop(self.self_attention(h, h, mask), training=training)
        if self.crossed:
            h = self.cross_attention(self.cross_norm(x), memory)
            x = x + self.drop(h, training=training)
        return x + self.drop(self._widened(x), training=training)

    def step(
        self, x: Tensor, position: Tensor, past: Tensor, crossed: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Runs the block on one more token of each beam.

        Args:
          x: float [b, k, width], the newest token of k beams.
          position: int32 [], its position.
          past: float [b, k, 2, T, width], keys and values so far.
          crossed: keys and values of the memory, see `Attention.project`; the beams of an image
            share them.

        Returns:
          The result [b, k, width], and `past` with this token in it.
        """
        beams, length = past.shape[1], past.shape[3]
        h = self.self_norm(x)
        attention = self.self_attention
        newest = ops.expand_dims(ops.stack([attention.key(h), attention.value(h)], axis=2), 3)
        steps = ops.arange(length, dtype="int32")
        here = ops.reshape(steps == position, (1, 1, 1, length, 1))
        past = ops.where(here, newest, past)
        rows = ops.reshape(past, (-1, 2, length, self.heads, self.width // self.heads))
        h = attention.attend(
            ops.reshape(h, (-1, 1, self.width)),
            rows[:, 0],
            rows[:, 1],
            ops.reshape(steps <= position, (1, 1, 1, length)),
        )
        x = x + ops.reshape(h, (-1, beams, self.width))
        x = x + self.cross_attention.attend(self.cross_norm(x), *crossed)
        return x + self._widened(x), past

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor, as plain values."""
        return {
            **super().get_config(),
            "width": self.width,
            "heads": self.heads,
            "dropout": self.dropout,
            "crossed": self.crossed,
        }

    def _widened(self, x: Tensor) -> Tensor:
        return self.narrow(self.widen(self.wide_norm(x)))
