"""Opens what TensorFlow does not decode, or decodes wrongly, by Pillow. Safe in threads.

Calls the classes of Pillow's plugins and not `Image.open`: that warns of more than 89 million
pixels, which we permit, and a warning cannot be caught in one thread alone; and it might call
Ghostscript.
"""

import contextlib
import io
import re
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from mmdata.exif import orientation
from mmdata.limits import MAX_PIXELS
from mmdata.optional import require


class _TiffImageFile(TiffImageFile):
    """TIFF; Pillow warns of many pixels where it makes room for them, unless that is done."""

    def load_prepare(self) -> None:
        if self._im is None:
            self.im = Image.new(self.mode, self._tile_size).im
        super().load_prepare()


_HEAD = 512
_PLUGINS: tuple[tuple[type[ImageFile], bytes], ...] = (
    (BmpImageFile, rb"BM"),
    (GifImageFile, rb"GIF8[79]a"),
    (Jpeg2KImageFile, rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n"),
    (PngImageFile, rb"\x89PNG\r\n\x1a\n"),
    (PpmImageFile, rb"P[1-6]\s"),
    (_TiffImageFile, rb"II[*+]\0|MM\0[*+]"),
    (WebPImageFile, rb"RIFF.{4}WEBP"),
)
_AVIF = frozenset({b"avif", b"avis"})
_HEIF = frozenset({b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"})
_GREY = frozenset({"1", "L", "LA", "La"})
_STEPS = {"1": 255, "L;2": 85, "L;4": 17}
_KEPT = frozenset({"CMYK", "LAB"})
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def size_of(file: BinaryIO) -> tuple[int, int]:
    """Reads the size, (height, width) upright, of an image file from its start; decodes nothing.

    Raises:
      ValueError: The content is that of no known format, or damaged; the message says why.
      ImportError: It is HEIF, and pillow-heif is not installed.
    """
    with _opened(file) as image:
        width, height = image.size
        return (width, height) if _turn_of(image) >= 5 else (height, width)


def decode(
    content: bytes | BinaryIO, background: tuple[int, int, int] = (255, 255, 255)
) -> NDArray[np.uint8]:
    """Decodes the first frame of an image file: uint8 [h, w, 3], sRGB, upright.

    Applies the colour profile and the EXIF orientation. Grey of 16 bits is scaled to 8, not
    clipped. Does not read a JPEG or JPEG XL.

    Args:
      content: The file, or its bytes.
      background: RGB, 0-255; shows through transparent pixels.

    Raises:
      ValueError: The content cannot be decoded; the message says why.
    """
    file = io.BytesIO(content if isinstance(content, bytes) else content.read())
    try:
        with _opened(file) as image:
            return np.asarray(_decode(image, background))
    except ImportError as err:
        raise ValueError(str(err)) from err


@contextlib.contextmanager
def _opened(file: BinaryIO) -> Iterator[ImageFile]:
    plugin = _plugin_of(file)
    try:
        with plugin(file) as image:
            yield image
    except Exception as err:  # damaged bytes make plugins fail in more ways than a list would hold
        if isinstance(err, OSError) and err.errno is not None:  # of the disk, not of the image
            raise
        raise ValueError(f"not a readable {plugin.format} image ({_why(err, file)})") from err


def _plugin_of(file: BinaryIO) -> type[ImageFile]:
    file.seek(0)
    head = file.read(_HEAD)
    file.seek(0)
    for plugin, start in _PLUGINS:
        if re.match(start, head, re.DOTALL):
            return plugin
    brands = _brands(head)
    if brands & _AVIF:
        return AvifImageFile
    if brands & _HEIF:
        heif: type[ImageFile] = require("pillow_heif", extra="heic").HeifImageFile
        return heif
    raise ValueError(f"not an image of a known format (starts with {head[:12]!r})")


def _brands(head: bytes) -> set[bytes]:
    """The brands of an ISO media file: the major one, then those that it is compatible with."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[place : place + 4] for place in (8, *range(16, end, 4))}


def _why(err: Exception, file: BinaryIO) -> str:
    text = str(err)
    if "truncated" in text.lower() or isinstance(err, struct.error):
        return f"premature end of data after {file.seek(0, io.SEEK_END):,} bytes"
    return text.partition("\n")[0] or type(err).__name__


def _turn_of(image: ImageFile) -> int:
    """The orientation that is left to be undone: TIFF and HEIF come upright, without EXIF."""
    return orientation(image.info.get("exif") or b"")


def _decode(image: ImageFile, background: tuple[int, int, int]) -> Image.Image:
    width, height = size = image.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"{height} x {width} pixels, more than {MAX_PIXELS:,} in all")
    turn, key = _turn_of(image), _key(image)  # a PNG may bring other EXIF behind its pixels
    profile = image.info.get("icc_profile")
    image.load()
    if image.size != size:  # as damaged HEIF may have it
        raise ValueError(f"{image.height} x {image.width} pixels, and its header says another size")
    colour, alpha = _split(image, key)
    picture = _to_srgb(colour, profile)
    if alpha is not None:
        canvas = Image.new("RGB", picture.size, background)
        canvas.paste(picture, mask=alpha)
        picture = canvas
    return picture.transpose(_TURNS[turn]) if turn in _TURNS else picture


def _key(image: ImageFile) -> Any:
    """The transparent colour as pixels have it; Pillow leaves some as they are stored in a PNG."""
    key = image.info.get("transparency")
    if key is None or not isinstance(image, PngImageFile):
        return key
    stored = image.tile[0][3]
    if stored in _STEPS:
        return min(key * _STEPS[stored], 255)
    return tuple(value >> 8 for value in key) if stored == "RGB;16B" else key


def _split(image: ImageFile, key: Any) -> tuple[Image.Image, Image.Image | None]:
    """Colour, of mode L, RGB, CMYK or LAB, and alpha, if there is any."""
    if image.mode.startswith("I;16") or (image.mode == "I" and isinstance(image, PpmImageFile)):
        values = np.asarray(image).astype(np.uint32)
        alpha = None if key is None else np.where(values == key, 0, 255).astype(np.uint8)
        grey = Image.fromarray(((values + 128) // 257).astype(np.uint8))
        return grey, None if alpha is None else Image.fromarray(alpha)
    if image.mode in ("I", "F"):
        raise ValueError("pixels of 32 bits have no range")
    if key is not None:
        image.info["transparency"] = key
    base = "L" if image.mode in _GREY else "RGB"
    if image.has_transparency_data:
        whole = image.convert(base + "A")
        return whole.convert(base), whole.getchannel("A")
    return (image if image.mode in _KEPT else image.convert(base)), None


def _to_srgb(colour: Image.Image, profile: bytes | None) -> Image.Image:
    if profile:
        # What is damaged, or made for other channels, is no profile of this image.
        with contextlib.suppress(ImageCms.PyCMSError, OSError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            return ImageCms.buildTransform(source, srgb, colour.mode, "RGB").apply(colour)
    return colour.convert("RGB")
