"""A small retrieval model: images and captions in one embedding space."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from mmdata.models import checks, compiled
from mmdata.models.dropout import seeded_dropout
from mmdata.models.from_dataset import adamw, arguments_of
from mmdata.models.image_encoder import NORMALIZATIONS, ImageEncoder, Tensor
from mmdata.models.reference_model import ReferenceModel
from mmdata.models.transformer import Block

if TYPE_CHECKING:
    from mmdata.dataset import Dataset

_FIRST_TEMPERATURE = 0.07  # Radford et al. 2021, section 2.5.
_NEVER = -1e9  # Used as the logarithm of 0; a row of only this must not become NaN.


@keras.saving.register_keras_serializable(package="mmdata")
class DualEncoder(ReferenceModel):
    """Embeds images and captions so that those of one pair are close.

    images [b, H, W, 3], see `normalize`; token_ids and padding_mask int32 [b, t];
    image_id int32 [b]  ->  image_embedding and text_embedding, each float32 [b, width], norm 1

    The loss is contrastive and symmetric: each image should find its caption among those of the
    batch, and each caption its image. Rows with an equal `image_id` are not negatives of each
    other. A row with only 0 in `padding_mask` (a corrupt image that keeps its place) does not
    count. Fits on the dict alone, without targets.

    `from_dataset` returns a compiled model; the constructor does not compile it. Does not
    download weights: the model starts from scratch and suits small sets and CPUs. `.keras` files
    hold all arguments, and the preprocessing of the dataset: `mmdata.load` reads them.

    Args:
      vocabulary_size: tokens of the tokenizer, special ones included.
      image_size: (height, width) in pixels, both >= 32.
      sequence_length: longest caption in tokens, >= 1.
      normalize: how pixels are scaled, as in `mmdata.Pixels(normalize=...)`.
      width: features of a grid cell, a token and an embedding, a multiple of `heads`.
      depth: blocks of the text transformer, >= 1.
      heads: attention heads, >= 1.
      dropout: share of features dropped in training, 0 <= dropout < 1.
      jitter: how far images are shifted and zoomed in training, as a share of their side,
        0 <= jitter < 0.5.
      **kwargs: passed to `keras.Model`.

    Raises:
      ValueError: an argument is out of its range.

    Source: two towers, temperature and loss, Radford et al. 2021 (arXiv:2103.00020), section 2.3
      and figure 3; InfoNCE, van den Oord et al. 2018 (arXiv:1807.03748).
    """

    task = "retrieval"
    features = ("images", "token_ids", "padding_mask", "image_id")
    has_targets = False

    built: bool

    def __init__(
        self,
        *,
        vocabulary_size: int,
        image_size: tuple[int, int],
        sequence_length: int,
        normalize: str = "unit",
        width: int = 128,
        depth: int = 1,
        heads: int = 4,
        dropout: float = 0.1,
        jitter: float = 0.05,
        **kwargs: Any,
    ) -> None:
        """Checks the arguments and creates layers and weights."""
        super().__init__(**kwargs)
        who = "DualEncoder"
        self.vocabulary_size = checks.count(who, "vocabulary_size", vocabulary_size)
        self.image_size = checks.size(who, image_size)
        self.sequence_length = checks.count(who, "sequence_length", sequence_length)
        self.normalize = checks.choice(who, "normalize", normalize, NORMALIZATIONS)
        self.width = checks.count(who, "width", width)
        self.depth = checks.count(who, "depth", depth)
        self.heads = checks.heads(who, heads, self.width)
        self.dropout = checks.number(who, "dropout", dropout, below=1)
        self.jitter = checks.number(who, "jitter", jitter, below=0.5)

        self.encoder = ImageEncoder(
            image_size=self.image_size,
            width=self.width,
            normalize=self.normalize,
            jitter=self.jitter,
            dropout=self.dropout,
            name="encoder",
        )
        sizes: dict[str, Any] = {"width": self.width, "heads": self.heads, "dropout": self.dropout}
        # Mixes cells before they are averaged: no single cell knows how many things are where.
        self.image_block = Block(**sizes, name="image_block")
        self.image_norm = layers.LayerNormalization(epsilon=1e-5, name="image_norm")
        self.embedding = layers.Embedding(self.vocabulary_size, self.width, name="embedding")
        self.blocks = [Block(**sizes, name=f"block_{i}") for i in range(self.depth)]
        self.text_norm = layers.LayerNormalization(epsilon=1e-5, name="text_norm")
        self.image_project = layers.Dense(self.width, use_bias=False, name="image_project")
        self.text_project = layers.Dense(self.width, use_bias=False, name="text_project")
        self.drop = seeded_dropout(self.dropout)
        self.recall = keras.metrics.Mean(name="recall_at_1")
        self.build()

    @classmethod
    def from_dataset(
        cls,
        ds: Dataset,
        *,
        learning_rate: Any = 1e-3,
        weight_decay: float = 1e-2,
        **options: Any,
    ) -> DualEncoder:
        """Makes a retrieval model for the images and captions of a dataset, ready to fit.

        Takes tokenizer, sequence length, image size and normalization from `ds`. Compiled with
        AdamW; shows `loss` and `recall_at_1`, the share of the batch's images and captions
        that find each other first.

        Args:
          ds: what `mmdata.build(..., task="retrieval")` returns for the training split.
          learning_rate: a float > 0 or a `keras.optimizers.schedules.LearningRateSchedule`.
          weight_decay: AdamW's decay of all weights, 0 <= weight_decay < 1.
          **options: further arguments of `DualEncoder`: `width`, `depth`, `heads`, `dropout`,
            `jitter`.

        Returns:
          A compiled `DualEncoder`, its weights created.

        Raises:
          TypeError: `ds` is not a dataset of `mmdata.build`.
          ValueError: the model cannot be trained on `ds`, or an argument is out of its range.
        """
        who = "DualEncoder.from_dataset"
        optimizer = adamw(who, learning_rate, weight_decay)
        model = cls(**arguments_of(who, ds, "Retrieval"), **options)
        model.compile(optimizer=optimizer, jit_compile=compiled.JIT)
        model.preprocessing = ds.preprocessing
        model.optimizer.build(model.trainable_variables)  # else the first step is traced twice
        return model

    def build(self, input_shape: Any = None) -> None:
        """Creates every weight; their shapes follow from the arguments alone."""
        if self.built:
            return
        wide = (None, None, self.width)
        self.encoder.build()
        self.embedding.build((None, None))
        for part in (self.image_block, self.image_norm, *self.blocks, self.text_norm):
            part.build(wide)
        self.image_project.build((None, self.width))
        self.text_project.build((None, self.width))
        self.positions = self.add_weight(
            shape=(self.sequence_length, self.width),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="positions",
        )
        self.log_scale = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(math.log(1 / _FIRST_TEMPERATURE)),
            name="log_scale",
        )
        self.built = True

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> dict[str, Tensor]:
        """Returns image_embedding and text_embedding; further features are ignored."""
        checks.inputs("DualEncoder", inputs, self.features, self.sequence_length)
        return {
            "image_embedding": self.embed_images(inputs["images"], training=training),
            "text_embedding": self.embed_text(
                inputs["token_ids"], inputs["padding_mask"], training=training
            ),
        }

    def embed_images(self, images: Tensor, training: bool | None = None) -> Tensor:
        """Returns embeddings float32 [b, width] inside a graph; checks nothing."""
        x = self.image_block(self.encoder(images, training=training), training=training)
        return _unit(self.image_project(ops.mean(self.image_norm(x), axis=1)))

    def embed_text(
        self, token_ids: Tensor, padding_mask: Tensor, training: bool | None = None
    ) -> Tensor:
        """Returns embeddings float32 [b, width] inside a graph; checks nothing."""
        real = ops.cast(padding_mask, "bool")
        steps = ops.arange(ops.shape(token_ids)[1], dtype="int32")
        x = self.embedding(token_ids) + ops.take(self.positions, steps, axis=0)
        x = self.drop(x, training=training)
        # A padded token sees only itself: softmax over nothing is NaN on some backends.
        mask = ops.logical_or(real[:, None, None, :], ops.expand_dims(steps, 1) == steps)
        for block in self.blocks:
            x = block(x, mask, training=training)
        weights = ops.cast(ops.expand_dims(real, 2), x.dtype)
        total = ops.maximum(ops.sum(weights, axis=1), 1)
        return _unit(self.text_project(ops.sum(self.text_norm(x) * weights, axis=1) / total))

    def encode_images(self, images: Any) -> npt.NDArray[np.float32]:
        """Embeds images, in batches.

        Args:
          images: [b, H, W, 3], scaled as in training, numpy or any tensor.

        Returns:
          float32 [b, width], each row of norm 1; dot products are cosines.

        Raises:
          ValueError: `images` has another shape or type.
        """
        pixels = checks.images("DualEncoder.encode_images", images, self.image_size, self.normalize)
        return self._encoded("images", self.embed_images, pixels)

    def encode_text(self, token_ids: Any, padding_mask: Any) -> npt.NDArray[np.float32]:
        """Embeds captions, in batches.

        Args:
          token_ids: int32 [b, t], t <= sequence_length, numpy or any tensor.
          padding_mask: int or bool [b, t], 1 = real token.

        Returns:
          float32 [b, width], each row of norm 1; dot products are cosines.

        Raises:
          ValueError: the arguments have other shapes or types, or t > sequence_length.
        """
        ids, mask = checks.tokens(
            "DualEncoder.encode_text", token_ids, padding_mask, self.sequence_length
        )
        return self._encoded(f"text of {ids.shape[1]}", self.embed_text, ids, mask)

    def similarities(self, outputs: dict[str, Tensor]) -> Tensor:
        """Returns the scaled cosines [b images, b captions] of a batch's embeddings."""
        # CLIP limits the scale to 100, since training becomes unstable above (section 2.5).
        scale = ops.exp(ops.minimum(self.log_scale, math.log(100.0)))
        return _cosines(outputs) * ops.cast(scale, "float32")

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Returns the contrastive loss of a batch, a scalar; 0 if no row counts.

        The mean of two cross-entropies, image to caption and caption to image, each averaged over
        the rows that count. Does not use `y` and `sample_weight`.

        Source: Radford et al. 2021 (arXiv:2103.00020), figure 3.
        """
        negatives, valid = _negatives(x)
        itself = ops.eye(ops.shape(valid)[0], dtype="bool")
        logits = self.similarities(y_pred)
        loss = 0.0
        for scores in (logits, ops.transpose(logits)):
            scores = ops.where(ops.logical_or(negatives, itself), scores, _NEVER)
            loss = loss - ops.diagonal(ops.log_softmax(scores, axis=1)) / 2
        weights = ops.cast(valid, "float32")
        return ops.sum(loss * weights) / ops.maximum(ops.sum(weights), 1.0)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Updates `recall_at_1` and returns every metric by name; ties count as misses."""
        negatives, valid = _negatives(x)
        cosines = _cosines(y_pred)  # on JAX, metrics must not read weights such as the scale
        for scores in (cosines, ops.transpose(cosines)):
            best = ops.max(ops.where(negatives, scores, _NEVER), axis=1)
            found = ops.cast(ops.diagonal(scores) > best, "float32")
            self.recall.update_state(found, ops.cast(valid, "float32"))
        return self.get_metrics_result()

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor, as plain values."""
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "image_size": list(self.image_size),
            "sequence_length": self.sequence_length,
            "normalize": self.normalize,
            "width": self.width,
            "depth": self.depth,
            "heads": self.heads,
            "dropout": self.dropout,
            "jitter": self.jitter,
        }

    def _encoded(self, key: str, function: Any, *arrays: Any) -> npt.NDArray[np.float32]:
        if not len(arrays[0]):
            return np.zeros([0, self.width], np.float32)
        return np.asarray(compiled.run(self, key, function, *arrays), np.float32)


def _negatives(x: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Returns which rows are negatives of each other, bool [b, b], and which count, bool [b]."""
    valid = ops.any(ops.cast(x["padding_mask"], "bool"), axis=1)
    ids = x["image_id"]
    return ops.logical_and(ops.expand_dims(ids, 1) != ids, valid), valid


def _cosines(outputs: dict[str, Tensor]) -> Tensor:
    return ops.matmul(outputs["image_embedding"], ops.transpose(outputs["text_embedding"]))


def _unit(x: Tensor) -> Tensor:
    x = ops.cast(x, "float32")
    return x / ops.sqrt(ops.maximum(ops.sum(x * x, axis=-1, keepdims=True), 1e-12))
