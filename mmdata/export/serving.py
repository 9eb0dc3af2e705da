"""The preprocessing of training, for serving: as Keras layers, and as one SavedModel."""

import dataclasses
import os
import pathlib
import warnings
from typing import Any

import keras
import tensorflow as tf

from mmdata.config import pixels_of
from mmdata.example import Example
from mmdata.files.headers import Format
from mmdata.images.decode_in_graph import Decode
from mmdata.options import Pixels, Text
from mmdata.sampling.size_buckets import ENOUGH
from mmdata.stages.captions import Template
from mmdata.stages.normalize import Normalize
from mmdata.stages.pack import Tokenize
from mmdata.stages.read_header import ReadHeader
from mmdata.stages.resize import CenterCrop
from mmdata.storage.atomic import replacing, sweep
from mmdata.tokenizers import Tokenizer

_LONGEST_PATH = 4096  # bytes
_SHOWN = 5
"""The largest number of images that an error names."""


class _Converter(keras.layers.Layer):
    """A layer that converts strings to tensors; TensorFlow only."""

    def __init__(self, who: str, **kwargs: Any) -> None:
        if keras.backend.backend() != "tensorflow":
            raise RuntimeError(
                f"{who} needs Keras' backend 'tensorflow', since no other has strings; got "
                f"{keras.backend.backend()!r}. Export it with export_preprocessing, and load the "
                "SavedModel beside your model."
            )
        super().__init__(trainable=False, **kwargs)
        self._convert_input_args = False  # Keras would turn strings into floats
        self._allow_non_tensor_positional_args = True
        self.supports_jit = False
        self.built = True


class ImageDecoder(_Converter):
    """Encoded images -> pixels, bit-identical to those of `mmdata.build` with the same `Pixels`.

    string [b], b >= 1, the bytes of JPEG, PNG or WebP files
      ->  [b, H, W, 3], float32 or uint8, as `pixels` sets it

    Reads format and EXIF orientation from the bytes. Does not decode other formats, animated WebP,
    and PNG with a transparent colour: convert them first. Works in a graph, in `tf.data` and
    eagerly.

    Args:
      pixels: The `Pixels` of training, e.g. `ds.pixels`; without `buckets`.
      **kwargs: Arguments of `keras.layers.Layer`.

    Raises:
      RuntimeError: Keras' backend is not TensorFlow.
      ValueError: `pixels` has buckets, so it has several sizes.
      tf.errors.InvalidArgumentError: An image cannot be decoded; the message gives its index in the
        batch, and why.
    """

    def __init__(self, pixels: str | Pixels, **kwargs: Any) -> None:
        super().__init__("ImageDecoder", **kwargs)
        pixels = pixels_of(pixels, None)
        if pixels.buckets:
            raise ValueError(
                "ImageDecoder(pixels=...) must have one size, since a batch has one; got "
                f"buckets={pixels.buckets!r}. Pass Pixels(size=...) with one of them."
            )
        self.pixels = pixels
        self._decode = Decode(background=pixels.background, fast=pixels.quality == "fast")
        self._normalize = Normalize(to=pixels.normalize)
        # Without this, an eager call would trace the dataset each time.
        self._run = tf.function(
            self._converted, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False
        )

    def call(self, images: Any) -> Any:
        """Converts a batch of files."""
        images = tf.convert_to_tensor(images, tf.string)
        if images.shape.rank != 1:
            raise ValueError(
                "ImageDecoder takes the bytes of several files, string [b]; got shape "
                f"{list(images.shape)}."
            )
        if tf.executing_eagerly():
            _require_contents(images.numpy())
        return self._run(images)

    def _converted(self, images: Any) -> Any:
        # In `tf.data` and not with `tf.map_fn`: `tf.data` runs the graph unchanged, as in training.
        # Elsewhere, TensorFlow replaces a division by 255 by a multiplication by 1 / 255, which
        # differs in the last bit.
        ds = tf.data.Dataset.from_tensor_slices({"content": images})
        ds = ds.map(self._of_file, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        ds = ds.batch(tf.size(images, tf.int64)).map(self._normalize)
        batch = ds.get_single_element()
        problems = _listed(batch["problem"])
        with tf.control_dependencies([tf.debugging.Assert(problems == "", [problems])]):
            return tf.ensure_shape(batch["image"], [None, *self.pixels.size, 3])

    def _of_file(self, example: Example) -> Example:
        pixels = self.pixels
        example = ReadHeader()(example)
        if pixels.quality == "fast":
            example["ratio"] = _decode_ratio(example, pixels.load_size or pixels.size)
        else:
            del example["upright"]
        example = pixels.resize(self._decode(example))
        if pixels.load_size:
            example = CenterCrop(size=pixels.size)(example)
        failed = (example["problem"] == "") & ~example["valid"]
        problem = tf.where(failed, "damaged or truncated, cannot be decoded", example["problem"])
        return {"image": example["image"], "problem": problem}


def _require_contents(images: Any) -> None:
    paths = [image for image in images if len(image) < _LONGEST_PATH and os.path.isfile(image)]
    if paths:
        raise ValueError(
            f"ImageDecoder takes the bytes of image files; got the path {os.fsdecode(paths[0])!r}. "
            "Pass tf.io.read_file(path) or open(path, 'rb').read()."
        )


class TextEncoder(_Converter):
    """Captions -> ids, equal to those of `mmdata.build` with the same `Text`.

    string [b]  ->  token_ids, padding_mask: int32 [b, t], 1 at real tokens, 0 at padding

    Works in a graph, in `tf.data` and eagerly.

    Args:
      text: The `Text` of training, e.g. `ds.text`.
      template: A text around each caption; pass that of the task for captions as in training.
      prompt: A text before each caption; pass that of the task for captions as in training.
      **kwargs: Arguments of `keras.layers.Layer`.

    Raises:
      RuntimeError: Keras' backend is not TensorFlow.
      ValueError: The tokenizer of `text` is only a name.
    """

    def __init__(
        self, text: Text, *, template: str = "{caption}", prompt: str = "", **kwargs: Any
    ) -> None:
        super().__init__("TextEncoder", **kwargs)
        tokenizer = text.tokenizer
        if not isinstance(tokenizer, Tokenizer):
            raise ValueError(
                "TextEncoder(text=...) must hold a Tokenizer, as ds.text does; got "
                f"tokenizer={tokenizer!r}."
            )
        self.text = text
        self._template = Template(text=template)
        self._clean = text.cleaner
        self._tokenize = Tokenize(tokenizer=tokenizer)
        self._pack = dataclasses.replace(text, buckets=()).pack(tokenizer, prompt=prompt)
        tokenizer.tokenize([""])  # creates the lookup tables of the tokenizer
        self._resources = [
            value
            for value in vars(tokenizer).values()
            if isinstance(value, tf.__internal__.tracking.Trackable)
        ]

    def call(self, captions: Any) -> Any:
        """Converts a batch of captions."""
        example = self._template({"caption": tf.convert_to_tensor(captions, tf.string)})
        if self._clean is not None:
            example = self._clean(example)
        example = self._pack(self._tokenize(example))
        return {name: example[name] for name in ("token_ids", "padding_mask")}


def export_preprocessing(
    path: str | os.PathLike[str],
    *,
    images: ImageDecoder,
    captions: TextEncoder | None = None,
    overwrite: bool = False,
) -> None:
    """Writes the preprocessing of training as one SavedModel, atomically.

    Its signatures take keyword arguments and return a dict:

      "serving_default": images, captions: string [b]  ->  images, token_ids, padding_mask
      "images": images: string [b]  ->  images
      "captions": captions: string [b]  ->  token_ids, padding_mask

    Without `captions`, there is no signature "captions", and "serving_default" is "images". Loading
    needs only `tensorflow` and `tensorflow_text`:

        preprocessing = tf.saved_model.load(path).signatures["serving_default"]
        batch = preprocessing(images=tf.constant([jpeg]), captions=tf.constant(["A boat."]))

    Warns if ftfy repaired the captions of training: the SavedModel does not repair captions.

    Args:
      path: The folder to write.
      images: Converts images.
      captions: Converts captions; None if the task has no text.
      overwrite: Whether to replace an existing SavedModel.

    Raises:
      FileExistsError: `path` exists, and `overwrite` is not set or it is not a SavedModel.
    """
    target = pathlib.Path(os.path.realpath(path))
    sweep(target.parent)
    _require_free(target, overwrite)
    if captions is not None and captions.text.fix_text:
        warnings.warn(
            "export_preprocessing(captions=...) does not repair text with ftfy, as "
            "mmdata.read(fix_text=True) did for training. Call ftfy.fix_text on each caption "
            "before you send it.",
            stacklevel=2,
        )
    module = _Preprocessing(images, captions)
    with replacing(target, replace_folder=overwrite) as written:
        tf.saved_model.save(module, str(written), signatures=module.signatures())
        _require_free(target, overwrite)


class _Preprocessing(tf.Module):
    def __init__(self, images: ImageDecoder, captions: TextEncoder | None) -> None:
        super().__init__()
        self._images = images
        self._captions = captions

    def signatures(self) -> dict[str, Any]:
        image, caption = (tf.TensorSpec([None], tf.string, name) for name in ("images", "captions"))
        by_image = tf.function(self._of_images).get_concrete_function(image)
        if self._captions is None:
            return {"serving_default": by_image, "images": by_image}
        return {
            "serving_default": tf.function(self._of_both).get_concrete_function(image, caption),
            "images": by_image,
            "captions": tf.function(self._of_captions).get_concrete_function(caption),
        }

    def _of_images(self, images: Any) -> Example:
        return {"images": self._images(images)}

    def _of_captions(self, captions: Any) -> Example:
        return self._captions(captions)  # type: ignore[misc, no-any-return]

    def _of_both(self, images: Any, captions: Any) -> Example:
        return self._of_images(images) | self._of_captions(captions)


def _require_free(target: pathlib.Path, overwrite: bool) -> None:
    if not (target.exists() or target.is_symlink()):
        return
    if not overwrite:
        raise FileExistsError(f"{target}: exists already; overwrite=True replaces a SavedModel.")
    if not (target / "saved_model.pb").exists():
        raise FileExistsError(
            f"{target}: is not a SavedModel, so it is not replaced; remove it first."
        )


def _decode_ratio(example: Example, size: tuple[int, int]) -> Any:
    """The same as `size_buckets.decode_ratios`, in the graph and for one image: int8 []."""
    upright = tf.cast(example["upright"], tf.float64)
    ratio = tf.constant(1, tf.int8)
    for larger in (2, 4, 8):
        least = tf.constant([ENOUGH * larger * side for side in size], tf.float64)
        fits = tf.reduce_all(upright >= least) & (example["format"] == int(Format.JPEG))
        ratio = tf.where(fits, tf.constant(larger, tf.int8), ratio)
    return ratio


def _listed(problems: Any) -> Any:
    """Joins the problems of a batch into one text, string [b] -> string []; "" without problems."""
    places = tf.where(problems != "")[:, 0]
    lines = tf.strings.join(
        ["images[", tf.strings.as_string(places), "]: ", tf.gather(problems, places)]
    )
    more = tf.where(tf.size(lines) > _SHOWN, " ...", "")
    return tf.strings.reduce_join(lines[:_SHOWN], separator="; ") + more
