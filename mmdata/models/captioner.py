"""A small captioning model: a grid of image features, and a decoder that attends to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from mmdata.models import checks, compiled
from mmdata.models.beam_search import beam_search
from mmdata.models.decoders import GruDecoder, TransformerDecoder
from mmdata.models.from_dataset import adamw, arguments_of
from mmdata.models.image_encoder import NORMALIZATIONS, ImageEncoder, Tensor
from mmdata.models.reference_model import ReferenceModel

if TYPE_CHECKING:
    from mmdata.dataset import Dataset


@keras.saving.register_keras_serializable(package="mmdata")
class Captioner(ReferenceModel):
    """Predicts the next token of a caption from the image and the tokens before it.

    images [b, H, W, 3], see `normalize`; token_ids and padding_mask int32 [b, t]
      ->  logits float32 [b, t, vocabulary_size]

    `from_dataset` returns a compiled model; the constructor does not compile it. Does not
    download weights: the model starts from scratch and suits small sets and CPUs. `.keras` files
    hold all arguments, and the preprocessing of the dataset: `mmdata.load` reads them.

    Args:
      vocabulary_size: tokens of the tokenizer, special ones included.
      start_id: the token in front of every caption.
      end_id: the token behind every caption.
      pad_id: the token that fills up the rest.
      image_size: (height, width) in pixels, both >= 32.
      sequence_length: longest caption in tokens, start and end included, >= 2.
      normalize: how pixels are scaled, as in `mmdata.Pixels(normalize=...)`.
      decoder: "gru" or "transformer"; with a few hundred images, a GRU learns faster.
      width: features of a grid cell and of a token, a multiple of `heads`.
      depth: blocks of the transformer, >= 1; the GRU has one layer and ignores it.
      heads: attention heads, >= 1.
      dropout: share of features dropped in training, 0 <= dropout < 1.
      jitter: how far images are shifted and zoomed in training, as a share of their side,
        0 <= jitter < 0.5.
      **kwargs: passed to `keras.Model`.

    Raises:
      ValueError: an argument is out of its range.

    Example:
      >>> ids = {"start_id": 2, "end_id": 3, "pad_id": 0}
      >>> size = {"image_size": (32, 32), "sequence_length": 6, "width": 16}
      >>> model = Captioner(vocabulary_size=9, **ids, **size)
      >>> model.generate(np.zeros([1, 32, 32, 3], np.float32)).shape
      (1, 6)

    Source: attention over a grid of convolutional features, Xu et al. 2015 (arXiv:1502.03044);
      transformer decoder, Vaswani et al. 2017 (arXiv:1706.03762).
    """

    task = "captioning"
    features = ("images", "token_ids", "padding_mask")
    has_targets = True

    built: bool

    def __init__(
        self,
        *,
        vocabulary_size: int,
        start_id: int,
        end_id: int,
        pad_id: int,
        image_size: tuple[int, int],
        sequence_length: int,
        normalize: str = "unit",
        decoder: str = "gru",
        width: int = 128,
        depth: int = 2,
        heads: int = 4,
        dropout: float = 0.1,
        jitter: float = 0.05,
        **kwargs: Any,
    ) -> None:
        """Checks the arguments and creates layers and weights."""
        super().__init__(**kwargs)
        who = "Captioner"
        self.vocabulary_size = checks.count(who, "vocabulary_size", vocabulary_size)
        last = self.vocabulary_size - 1
        self.start_id = checks.count(who, "start_id", start_id, least=0, most=last)
        self.end_id = checks.count(who, "end_id", end_id, least=0, most=last)
        self.pad_id = checks.count(who, "pad_id", pad_id, least=0, most=last)
        self.image_size = checks.size(who, image_size)
        self.sequence_length = checks.count(who, "sequence_length", sequence_length, least=2)
        self.normalize = checks.choice(who, "normalize", normalize, NORMALIZATIONS)
        self.decoder_name = checks.choice(who, "decoder", decoder, ("gru", "transformer"))
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
        self.memory_norm = layers.LayerNormalization(epsilon=1e-5, name="memory_norm")
        self.embedding = layers.Embedding(
            self.vocabulary_size,
            self.width,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=self.width**-0.5),
            name="embedding",
        )
        sizes = {"width": self.width, "heads": self.heads, "dropout": self.dropout}
        self.decoder = _decoder(self.decoder_name, self.depth, self.sequence_length, sizes)
        self.build()

    @classmethod
    def from_dataset(
        cls,
        ds: Dataset,
        *,
        learning_rate: Any = 1e-3,
        weight_decay: float = 1e-2,
        **options: Any,
    ) -> Captioner:
        """Makes a captioner for the images and captions of a dataset, compiled and ready to fit.

        Takes tokenizer, sequence length, image size and normalization from `ds`. Compiled
        with AdamW, cross-entropy averaged over the tokens whose weight is not 0, and `accuracy`,
        the share of those tokens that are right; call `compile` again to change this.

        Args:
          ds: what `mmdata.build(..., task="captioning")` returns for the training split.
          learning_rate: a float > 0 or a `keras.optimizers.schedules.LearningRateSchedule`.
          weight_decay: AdamW's decay of all weights, 0 <= weight_decay < 1.
          **options: further arguments of `Captioner`: `decoder`, `width`, `depth`, `heads`,
            `dropout`, `jitter`.

        Returns:
          A compiled `Captioner`, its weights created.

        Raises:
          TypeError: `ds` is not a dataset of `mmdata.build`.
          ValueError: the model cannot be trained on `ds`, or an argument is out of its range.

        Source: AdamW, Loshchilov and Hutter 2019 (arXiv:1711.05101).
        """
        who = "Captioner.from_dataset"
        optimizer = adamw(who, learning_rate, weight_decay)
        model = cls(
            **arguments_of(who, ds, "Captioning"),
            **{name: getattr(ds.tokenizer, name) for name in ("start_id", "end_id", "pad_id")},
            **options,
        )
        model.compile(
            optimizer=optimizer,
            # The plain mean would count padding as tokens with a loss of 0.
            loss=keras.losses.SparseCategoricalCrossentropy(
                from_logits=True, reduction="mean_with_sample_weight"
            ),
            weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
            jit_compile=compiled.JIT,
        )
        model.preprocessing = ds.preprocessing
        model.optimizer.build(model.trainable_variables)  # else the first step is traced twice
        return model

    def build(self, input_shape: Any = None) -> None:
        """Creates every weight; their shapes follow from the arguments alone."""
        if self.built:
            return
        self.encoder.build()
        self.memory_norm.build((None, None, self.width))
        self.embedding.build((None, None))
        self.decoder.build()
        self.bias = self.add_weight(
            shape=(self.vocabulary_size,), initializer="zeros", name="output_bias"
        )
        self.built = True

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> Tensor:
        """Returns logits [b, t, vocabulary_size]; further features of `inputs` are ignored."""
        checks.inputs("Captioner", inputs, self.features, self.sequence_length)
        memory = self.memory_norm(self.encoder(inputs["images"], training=training))
        mask = ops.cast(inputs["padding_mask"], "bool")
        h = self.decoder(self._embedded(inputs["token_ids"]), memory, mask, training=training)
        return self._logits(h)

    def generate(
        self,
        images: Any,
        *,
        beam_size: int = 3,
        max_length: int | None = None,
        length_penalty: float = 0.6,
    ) -> npt.NDArray[np.int32]:
        """Writes a caption for each image, by beam search.

        The caption with the best score wins: its log probability divided by
        ((5 + n) / 6) ** length_penalty, where n counts its tokens with the end token. Never writes
        `pad_id` or `start_id` inside a caption. A caption ends at `max_length` at the latest. Does
        not sample: the same images give the same captions.

        Args:
          images: [b, H, W, 3], scaled as in training, numpy or any tensor.
          beam_size: captions kept at each step, >= 1; 1 takes the most likely token each time.
          max_length: tokens of a caption with its end token, 1 to `sequence_length`; None is
            `sequence_length`.
          length_penalty: >= 0; 0 compares plain log probabilities, which favours short captions.

        Returns:
          int32 [b, max_length]: the tokens after `start_id`, then `end_id`, then `pad_id`.

        Raises:
          ValueError: an argument is out of its range, or `images` has another shape or type.

        Source: Wu et al. 2016 (arXiv:1609.08144), equation 14 without its coverage term.
        """
        who = "Captioner.generate"
        beams = checks.count(who, "beam_size", beam_size)
        length = self.sequence_length
        if max_length is not None:
            length = checks.count(who, "max_length", max_length, most=length)
        if not 0 <= length_penalty < float("inf"):
            raise ValueError(f"{who}(length_penalty=...) must be >= 0; got {length_penalty!r}.")
        pixels = checks.images(who, images, self.image_size, self.normalize)
        if not len(pixels):
            return np.zeros([0, length], np.int32)

        def search(images: Tensor) -> Tensor:
            return self.search(images, beams, length, length_penalty)

        key = f"search {beams} {length} {length_penalty}"
        return np.asarray(compiled.run(self, key, search, pixels), np.int32)

    def search(self, images: Tensor, beams: int, length: int, length_penalty: float) -> Tensor:
        """Returns what `generate` does for one batch, as one graph; checks nothing."""
        memory = self.memory_norm(self.encoder(images, training=False))
        crossed, past = self.decoder.begin(memory, beams, length)

        def step(token_ids: Tensor, position: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
            h, past = self.decoder.step(self._embedded(token_ids), position, past, crossed)
            return self._logits(h), past

        return beam_search(
            step,
            past,
            beams=beams,
            length=length,
            start_id=self.start_id,
            end_id=self.end_id,
            pad_id=self.pad_id,
            length_penalty=length_penalty,
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor, as plain values."""
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "start_id": self.start_id,
            "end_id": self.end_id,
            "pad_id": self.pad_id,
            "image_size": list(self.image_size),
            "sequence_length": self.sequence_length,
            "normalize": self.normalize,
            "decoder": self.decoder_name,
            "width": self.width,
            "depth": self.depth,
            "heads": self.heads,
            "dropout": self.dropout,
            "jitter": self.jitter,
        }

    def _embedded(self, token_ids: Tensor) -> Tensor:
        # One matrix embeds and predicts tokens; the factor keeps both at unit scale
        # (Vaswani et al. 2017, section 3.4).
        return self.embedding(token_ids) * self.width**0.5

    def _logits(self, h: Tensor) -> Tensor:
        table = ops.cast(ops.transpose(self.embedding.embeddings), h.dtype)
        return ops.cast(ops.matmul(h, table), "float32") + self.bias


def _decoder(kind: str, depth: int, length: int, sizes: dict[str, Any]) -> Any:
    if kind == "gru":
        return GruDecoder(**sizes, name="decoder")
    return TransformerDecoder(**sizes, layers=depth, length=length, name="decoder")
