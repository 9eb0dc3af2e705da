"""A fingerprint of the installed decoders: a key for everything that depends on pixels."""

import functools
import hashlib
import io
import pathlib

import tensorflow as tf

from mmdata.files.headers import Format, read_header
from mmdata.images.decode_in_graph import decode_eagerly
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
        content = path.read_bytes()
        try:
            kind = read_header(io.BytesIO(content)).format
        except ImportError:
            continue
        digest.update(path.name.encode() + decode_eagerly(content, kind).tobytes())
    photo = tf.constant(decode_eagerly((_PROBES / "photo.jpg").read_bytes(), Format.JPEG))
    for interpolation in ("bilinear", "bicubic"):
        resize = Resize(size=_SIZE, interpolation=interpolation)
        digest.update(resize({"image": photo})["image"].numpy().tobytes())
    return digest.hexdigest()
