"""Encodes images as a small grid of features: a convolutional network with positions."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops

from mmdata.models.dropout import seeded_dropout

Tensor = Any  # A tensor of any Keras backend; Keras has no type for it.

_GRID_SIDE = 7  # Target number of cells along the shorter side, for any image size.
_STEM_FILTERS = 32

_SCALES = {
    "unit": (2.0, -1.0),
    "signed": (1.0, 0.0),
    "raw": (2 / 255, -1.0),
    "uint8": (2 / 255, -1.0),
    "caffe": (2 / 255, 0.0),
    "imagenet": (0.5, 0.0),
    "clip": (0.5, 0.0),
}
"""Factor and offset that bring pixels near -1 to 1, by how they were scaled."""

NORMALIZATIONS = tuple(_SCALES)
"""How pixels may be scaled: the names of `mmdata.Pixels(normalize=...)`."""


@keras.saving.register_keras_serializable(package="mmdata")
class ImageEncoder(layers.Layer):
    """Encodes `images` as a grid of features with positions.

    images: float32 or uint8 [b, H, W, 3], scaled as `normalize` says
      ->  float [b, h * w, width], row by row

    Every block halves the grid, until about seven cells are left along the shorter side (96x96
    gives 6x6, 224x224 gives 7x7), and doubles the filters up to `width`. A learned position is
    added to each cell. Does not pool the grid, and does not check the range of the pixels.

    Attributes:
      image_size: (height, width) in pixels, both >= 32.
      width: features of a cell, >= 1.
      normalize: how pixels are scaled, one of `NORMALIZATIONS`.
      jitter: how far images are shifted and zoomed in training, as a share of the image,
        0 <= jitter < 0.5; 0 is off. Never flips, since captions say left and right.
      dropout: share of features dropped in training, 0 <= dropout < 1.

    Source: residual blocks, He et al. 2016 (arXiv:1512.03385), section 3.2; batch normalization,
      Ioffe and Szegedy 2015 (arXiv:1502.03167).
    """

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        width: int,
        normalize: str = "unit",
        jitter: float = 0.0,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        """Creates the layers; `build` creates their weights."""
        super().__init__(**kwargs)
        self.image_size = (int(image_size[0]), int(image_size[1]))
        self.width = width
        self.normalize = normalize
        self.jitter = jitter
        self.dropout = dropout
        halvings = max(2, round(math.log2(min(self.image_size) / _GRID_SIDE)))
        self.grid_size = tuple(-(-side // 2**halvings) for side in self.image_size)

        self.rescale = layers.Rescaling(*_SCALES[normalize], name="rescale")
        # Captions name colours, so only position and size change, never the hue.
        self.jitters = (
            [layers.RandomTranslation(jitter, jitter), layers.RandomZoom(jitter)] if jitter else []
        )
        filters = [min(_STEM_FILTERS * 2**i, width) for i in range(halvings)]
        self.halvings = [_conv_block(n, stride=2, name=f"halve_{i}") for i, n in enumerate(filters)]
        # The first stage is the largest; a second convolution there costs more than it gains.
        self.residuals = [
            _conv_block(n, stride=1, name=f"residual_{i}") for i, n in enumerate(filters[1:], 1)
        ]
        self.project = layers.Dense(width, name="project")
        self.drop = seeded_dropout(dropout)

    def build(self, input_shape: Any = None) -> None:
        """Creates every weight; their shapes follow from the arguments alone."""
        shape = (None, *self.image_size, 3)
        for i, halve in enumerate(self.halvings):
            halve.build(shape)
            shape = halve.compute_output_shape(shape)
            if i:
                self.residuals[i - 1].build(shape)
        self.project.build(shape)
        self.positions = self.add_weight(
            shape=(math.prod(self.grid_size), self.width),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="positions",
        )
        self.built = True

    def call(self, images: Tensor, training: bool | None = None) -> Tensor:
        """Returns the grid of every image, [b, h * w, width]."""
        x = self.rescale(images)
        if training:
            for layer in self.jitters:
                x = layer(x, training=True)
        for i, halve in enumerate(self.halvings):
            x = halve(x, training=training)
            if i:
                x = x + self.residuals[i - 1](x, training=training)
        x = self.project(x)
        x = ops.reshape(x, (-1, math.prod(self.grid_size), self.width))
        return self.drop(x + self.positions, training=training)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """Returns (b, h * w, width)."""
        return (input_shape[0], math.prod(self.grid_size), self.width)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor, as plain values."""
        return {
            **super().get_config(),
            "image_size": list(self.image_size),
            "width": self.width,
            "normalize": self.normalize,
            "jitter": self.jitter,
            "dropout": self.dropout,
        }


def _conv_block(filters: int, *, stride: int, name: str) -> Any:
    """Returns convolution, batch normalization and ReLU as one layer."""
    return keras.Sequential(
        [
            layers.Conv2D(
                filters,
                3,
                strides=stride,
                padding="same",
                use_bias=False,
                data_format="channels_last",
                kernel_initializer="he_normal",
            ),
            # Short training has few batches; 0.99 would keep too much of the first ones.
            layers.BatchNormalization(axis=-1, momentum=0.9),
            layers.ReLU(),
        ],
        name=name,
    )
