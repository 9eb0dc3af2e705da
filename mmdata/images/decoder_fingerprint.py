"""A fingerprint of the installed decoders: a key for everything that depends on pixels."""

import functools
import hashlib
import io
import pathlib

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmdata.files.headers import Format, read_header
from mmdata.images.decode import decode
from mmdata.images.decode_in_graph import Decode
from mmdata.stages.resize import Resize

_PROBES = pathlib.Path(__file__).parent / "probes"
_SIZE = (17, 23)


@functools.cache
def decoders_fingerprint() -> str:
    """32 hex digits that differ if the installed libraries decode or resize to other pixels.

    Decodes one image of each format. Two versions of a library that decode it to the same pixels
    have the same fingerprint. Ignores a format whose library is not installed, e.g. HEIC.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(_PROBES.iterdir()):
        try:
            image = _decoded(path.read_bytes())
        except ImportError:
            continue
        digest.update(path.name.encode() + image.tobytes())
        for interpolation in ("bilinear", "bicubic"):
            resize = Resize(size=_SIZE, interpolation=interpolation)
            digest.update(resize({"image": tf.constant(image)})["image"].numpy().tobytes())
    return digest.hexdigest()


def _decoded(content: bytes) -> NDArray[np.uint8]:
    header = read_header(io.BytesIO(content))
    if header.format == Format.PILLOW:
        return decode(content)
    example = {
        "content": tf.constant(content),
        "format": tf.constant(header.format, tf.int8),
        "orientation": tf.constant(header.orientation, tf.int8),
    }
    image: NDArray[np.uint8] = Decode()(example)["image"].numpy()
    return image
