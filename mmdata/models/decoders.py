"""Decoders: from the tokens so far and the grid of an image to features of the next token."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from mmdata.models.dropout import seeded_dropout
from mmdata.models.image_encoder import Tensor
from mmdata.models.transformer import Attention, Block

# Both decoders have the same three calls, so that beam search works with either:
#   decoder(x, memory, padding_mask)            whole captions at once, for training
#   decoder.begin(memory, beams, length)        -> (crossed, past), before the first token
#   decoder.step(x, position, past, crossed)    -> (features, past), one more token of each beam
# `crossed` is constant for an image; `past` is one tensor [b, k, ...], the state of each beam.


@keras.saving.register_keras_serializable(package="mmdata")
class TransformerDecoder(layers.Layer):
    """Decodes with causal self-attention and attention to the grid.

    x: float [b, t, width], memory: float [b, s, width], padding_mask: bool [b, t]
      ->  float [b, t, width]

    Positions are learned, so no caption can be longer than `length`.

    Attributes:
      width: features, a multiple of `heads`.
      layers: number of blocks, >= 1.
      heads: heads of each attention, >= 1.
      length: longest caption in tokens, >= 1.
      dropout: share of features dropped in training, 0 <= dropout < 1.

    Source: Vaswani et al. 2017 (arXiv:1706.03762), section 3.1.
    """

    def __init__(
        self, *, width: int, layers: int, heads: int, length: int, dropout: float, **kwargs: Any
    ) -> None:
        """Creates the blocks; `build` creates their weights."""
        super().__init__(**kwargs)
        self.arguments = {
            "width": width,
            "layers": layers,
            "heads": heads,
            "length": length,
            "dropout": dropout,
        }
        self.width = width
        self.length = length
        self.blocks = [
            Block(width=width, heads=heads, dropout=dropout, crossed=True, name=f"block_{i}")
            for i in range(layers)
        ]
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, name="norm")
        self.drop = seeded_dropout(dropout)

    def build(self, input_shape: Any = None) -> None:
        """Creates every weight."""
        self.positions = self.add_weight(
            shape=(self.length, self.width),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="positions",
        )
        for part in (*self.blocks, self.norm):
            part.build((None, None, self.width))
        self.built = True

    def call(
        self, x: Tensor, memory: Tensor, padding_mask: Tensor, training: bool | None = None
    ) -> Tensor:
        """Returns the features of each next token."""
        steps = ops.arange(ops.shape(x)[1], dtype="int32")
        x = self.drop(x + ops.take(self.positions, steps, axis=0), training=training)
        causal = ops.expand_dims(steps, 1) >= steps
        itself = ops.expand_dims(steps, 1) == steps
        # A padded token sees only itself: softmax over nothing is NaN on some backends.
        mask = ops.logical_or(ops.logical_and(causal, padding_mask[:, None, None, :]), itself)
        for block in self.blocks:
            x = block(x, mask, memory, training=training)
        return self.norm(x)

    def begin(self, memory: Tensor, beams: int, length: int) -> tuple[Any, Tensor]:
        """Returns keys and values of the grid for each block, and an empty past."""
        crossed = tuple(block.cross_attention.project(memory) for block in self.blocks)
        shape = (ops.shape(memory)[0], beams, len(self.blocks), 2, length, self.width)
        return crossed, ops.zeros(shape, dtype=memory.dtype)

    def step(self, x: Tensor, position: Tensor, past: Tensor, crossed: Any) -> tuple[Tensor, Any]:
        """Returns the features of each beam's next token [b, k, width], and the updated past."""
        x = x + ops.take(self.positions, position, axis=0)
        pasts = []
        for i, block in enumerate(self.blocks):
            x, newer = block.step(x, position, past[:, :, i], crossed[i])
            pasts.append(newer)
        return self.norm(x), ops.stack(pasts, axis=2)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor, as plain values."""
        return {**super().get_config(), **self.arguments}


@keras.saving.register_keras_serializable(package="mmdata")
class GruDecoder(layers.Layer):
    """Decodes with a GRU, and then attends to the grid from every state.

    x: float [b, t, width], memory: float [b, s, width], padding_mask: bool [b, t]
      ->  float [b, t, width]

    The mean of the grid sets the first state. The result of the attention does not go back into
    the GRU, so a whole caption needs one call of attention, not one per token. Reads captions of
    any length.

    Attributes:
      width: features, a multiple of `heads`.
      heads: heads of the attention, >= 1.
      dropout: share of features dropped in training, 0 <= dropout < 1.

    Source: GRU, Cho et al. 2014 (arXiv:1406.1078), section 2.3; attention after the recurrence,
      Luong et al. 2015 (arXiv:1508.04025), section 3.1.
    """

    def __init__(self, *, width: int, heads: int, dropout: float, **kwargs: Any) -> None:
        """Creates the layers; `build` creates their weights."""
        super().__init__(**kwargs)
        self.arguments = {"width": width, "heads": heads, "dropout": dropout}
        self.width = width
        self.first = layers.Dense(width, activation="tanh", name="first")
        self.gru = layers.GRU(width, return_sequences=True, name="gru")
        self.attention = Attention(width=width, heads=heads, name="attention")
        self.merge = layers.Dense(width, activation="gelu", name="merge")
        self.norm = layers.LayerNormalization(epsilon=1e-5, name="norm")
        self.drop = seeded_dropout(dropout)

    def build(self, input_shape: Any = None) -> None:
        """Creates every weight."""
        shape = (None, None, self.width)
        for part in (self.first, self.gru, self.attention, self.norm):
            part.build(shape)
        self.merge.build((None, None, 2 * self.width))
        self.built = True

    def call(
        self, x: Tensor, memory: Tensor, padding_mask: Tensor, training: bool | None = None
    ) -> Tensor:
        """Returns the features of each next token."""
        x = self.drop(x, training=training)
        first = self.first(ops.mean(memory, axis=1))
        # A padded token does not change the state, so padding has no effect on either side.
        h = self.gru(x, initial_state=first, mask=padding_mask, training=training)
        return self._merged(h, self.attention.attend(h, *self.attention.project(memory)), training)

    def begin(self, memory: Tensor, beams: int, length: int) -> tuple[Any, Tensor]:
        """Returns keys and values of the grid, and the first state of each beam."""
        del length  # The size of a state does not depend on the length.
        first = ops.expand_dims(self.first(ops.mean(memory, axis=1)), 1)
        return self.attention.project(memory), ops.repeat(first, beams, axis=1)

    def step(self, x: Tensor, position: Tensor, past: Tensor, crossed: Any) -> tuple[Tensor, Any]:
        """Returns the features of each beam's next token [b, k, width], and the new states."""
        del position  # The state holds it.
        flat = (-1, self.width)
        h, _ = self.gru.cell(ops.reshape(x, flat), [ops.reshape(past, flat)], training=False)
        h = ops.reshape(h, (-1, past.shape[1], self.width))
        return self._merged(h, self.attention.attend(h, *crossed), False), h

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor, as plain values."""
        return {**super().get_config(), **self.arguments}

    def _merged(self, h: Tensor, seen: Tensor, training: bool | None) -> Tensor:
        both = self.drop(ops.concatenate([h, seen], axis=-1), training=training)
        return self.norm(h + self.merge(both))
