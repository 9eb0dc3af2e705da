"""Opens with Pillow the image files that TensorFlow does not decode, or decodes wrongly.

Calls the classes of Pillow's plugins, not `Image.open`. That warns above 89 million pixels, which
are permitted here, and a warning cannot be caught in one thread only. It may also call Ghostscript.
Thread-safe.
"""

import contextlib
import io
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from mmdata.files.exif import orientation
from mmdata.optional import require


class _TiffImageFile(TiffImageFile):
    """TIFF; allocates the pixels itself, because Pillow warns when it allocates many."""

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


def size_of(file: BinaryIO) -> tuple[int, int]:
    """Reads the size, (height, width) upright, of an image file from its start; decodes nothing.

    Raises:
      ValueError: The format is not known, or the file is damaged; the message says why.
      ImportError: It is HEIF, and pillow-heif is not installed.
    """
    with opened(file) as image:
        width, height = image.size
        return (width, height) if turn_of(image) >= 5 else (height, width)


@contextlib.contextmanager
def opened(file: BinaryIO) -> Iterator[ImageFile]:
    """Opens an image file; decodes nothing yet.

    Raises:
      ValueError: The format is not known, or the file is damaged; the message says why.
      ImportError: It is HEIF, and pillow-heif is not installed.
    """
    plugin = _plugin_of(file)
    try:
        with plugin(file) as image:
            yield image
    except Exception as err:  # on damaged bytes, plugins raise many types of exceptions
        if isinstance(err, OSError) and err.errno is not None:  # of the disk, not the image
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
    """The brands of an ISO media file: the major brand and the compatible ones."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[place : place + 4] for place in (8, *range(16, end, 4))}


def _why(err: Exception, file: BinaryIO) -> str:
    text = str(err)
    if "truncated" in text.lower() or isinstance(err, struct.error):
        return f"premature end of data after {file.seek(0, io.SEEK_END):,} bytes"
    return text.partition("\n")[0] or type(err).__name__


def turn_of(image: Image.Image) -> int:
    """The orientation that is still to be applied; TIFF and HEIF are upright, without EXIF."""
    return orientation(image.info.get("exif") or b"")
