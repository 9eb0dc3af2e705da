"""Images in memory -> pixels, as the same images in files become."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from mmdata.example import chain
from mmdata.images import decode
from mmdata.options import Pixels
from mmdata.stages.normalize import Normalize
from mmdata.stages.resize import CenterCrop


def images_in_memory(images: Any) -> list[Any] | None:
    """The single images of arrays [b, h, w, 3] or [h, w, 3], of Pillow images, or of a list.

    Returns:
      Arrays and Pillow images, unchecked; None if `images` are files.
    """
    if isinstance(images, Image.Image):
        return [images]
    if isinstance(images, np.ndarray) or tf.is_tensor(images):
        return [images] if images.ndim == 3 else list(images)
    if isinstance(images, (list, tuple)) and images:
        return None if isinstance(images[0], (str, os.PathLike)) else list(images)
    return None


def pixels_of(images: Sequence[Any], pixels: Pixels, who: str) -> NDArray[Any]:
    """Resizes and normalizes images in memory.

    Args:
      images: Arrays uint8 [h, w, 3], RGB; or Pillow images of any mode, whose EXIF orientation is
        applied.
      pixels: How images become numbers; without `buckets`.
      who: The caller, for messages.

    Returns:
      [b, H, W, 3], bit-identical to what files with these pixels become.

    Raises:
      TypeError: An image is neither an array nor a Pillow image.
      ValueError: An array has another shape or dtype, or `pixels` has buckets.
    """
    if pixels.buckets:
        raise ValueError(
            f"{who}(images=...) must be files if pixels have several sizes; got images in memory, "
            f"and buckets={pixels.buckets!r}."
        )
    crop = CenterCrop(size=pixels.size) if pixels.load_size else None
    fit = chain([pixels.resize, crop])
    fitted = [fit({"image": tf.constant(_rgb(image, pixels, who))})["image"] for image in images]
    # Not in a graph: there, TensorFlow would replace divisions by multiplications.
    normalized: NDArray[Any] = Normalize(to=pixels.normalize)({"image": tf.stack(fitted)})["image"]
    return np.asarray(normalized)


def _rgb(image: Any, pixels: Pixels, who: str) -> NDArray[np.uint8]:
    if isinstance(image, Image.Image):
        return decode.of_picture(image, pixels.background)
    array = np.asarray(image)
    if array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3 and array.size:
        return array
    if array.dtype == object:
        raise TypeError(
            f"{who}(images=...) must be files, Pillow images, or arrays uint8 [h, w, 3]; got a "
            f"{type(image).__name__}."
        )
    raise ValueError(
        f"{who}(images=...) must be arrays uint8 [h, w, 3], RGB from 0 to 255; got {array.dtype} "
        f"{list(array.shape)}."
    )
