"""Peers that make batches of images of one size from JPEG files.

Each function here imports and prepares one peer, and returns a function that goes through the files
once per call. Each peer is used as in its own documentation. If one takes `start`, its epochs begin
with that batch, by the peer's own method.
"""

import dataclasses
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.measuring import Epoch

BATCH = 32

_Image = NDArray[np.uint8]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """The input of each peer, and the required output.

    Attributes:
      files: Paths of JPEG files, a multiple of `BATCH`.
      folder: The folder that contains only these files.
      captions: One caption per file.
      shards: Paths of tar files that hold the same files, in the same order.
      scratch: A folder for caches.
      size: (height, width) to resize to, in pixels.
      threads: Number of threads or processes to use.
    """

    files: tuple[str, ...]
    folder: str
    captions: tuple[str, ...]
    shards: tuple[str, ...]
    scratch: str
    size: tuple[int, int]
    threads: int


def decode_only(work: Work) -> Epoch:
    """Only libjpeg-turbo, exact: accurate DCT and smooth chroma, as all peers decode.

    Each thread reuses its buffer, since new memory for each image would cost time, too.
    """
    import simplejpeg

    own = threading.local()

    def load(path: str) -> _Image:
        with open(path, "rb") as file:
            content = file.read()
        height, width, *_ = simplejpeg.decode_jpeg_header(content)
        if len(getattr(own, "buffer", b"")) < height * width * 3:
            own.buffer = bytearray(height * width * 3)
        image: _Image = simplejpeg.decode_jpeg(
            content, colorspace="RGB", fastdct=False, fastupsample=False, buffer=own.buffer
        )
        return image

    pool = ThreadPoolExecutor(work.threads)
    return lambda: ((image,) for image in pool.map(load, work.files))


def tf_two_passes(work: Work) -> Epoch:
    """Only the method of `mmdata.stages.resize`."""
    import tensorflow as tf

    height, width = work.size

    def shrink_rows(image: Any, to: int) -> Any:
        rows, columns = tf.shape(image)[0], tf.shape(image)[1]
        resized = tf.raw_ops.ScaleAndTranslate(
            images=tf.reshape(image, [1, rows, 1, columns * 3]),
            size=[to, 1],
            scale=[tf.cast(to / rows, tf.float32), 1.0],
            translation=[0.0, 0.0],
            kernel_type="triangle",
            antialias=True,
        )
        return tf.transpose(tf.reshape(resized, [to, columns, 3]), [1, 0, 2])

    def load(path: Any) -> Any:
        resized = shrink_rows(shrink_rows(_decode(path), height), width)
        return tf.cast(tf.round(resized), tf.uint8)

    return tf_batches(tf_images(work, load))


def tf_antialiased(work: Work) -> Epoch:
    """Hand-written code with antialiasing."""
    import tensorflow as tf

    def load(path: Any) -> Any:
        resized = tf.image.resize(_decode(path), work.size, antialias=True)
        return tf.cast(tf.round(resized), tf.uint8)

    return tf_batches(tf_images(work, load))


def tf_tutorial(work: Work, start: int = 0) -> Epoch:
    """Code of tutorials."""
    return tf_batches(tf_tutorial_images(work), start)


def tf_tutorial_images(work: Work) -> Any:
    """The images of tutorials, float32 [H, W, 3] each.

    Source: tensorflow.org/tutorials/load_data/images, "Using tf.data for finer control".
    """
    import tensorflow as tf

    def load(path: Any) -> Any:
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return tf.image.resize(image, work.size)

    return tf_images(work, load)


def _decode(path: Any) -> Any:
    import tensorflow as tf

    content = tf.io.read_file(path)
    return tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")


def tf_images(work: Work, load: Callable[[Any], Any]) -> Any:
    """A `tf.data.Dataset` that loads each file."""
    import tensorflow as tf

    ds = tf.data.Dataset.from_tensor_slices(list(work.files))
    return ds.map(load, num_parallel_calls=work.threads)


def tf_batches(images: Any, start: int = 0) -> Epoch:
    """Batches of a `tf.data.Dataset`."""
    import tensorflow as tf

    ds = images.batch(BATCH).prefetch(tf.data.AUTOTUNE)
    return lambda: ds.skip(start) if start else ds


def keras_folder(work: Work, start: int = 0) -> Epoch:
    """Keras' function to read a folder, which shuffles by default."""
    import keras

    ds = keras.utils.image_dataset_from_directory(
        work.folder, labels=None, image_size=work.size, batch_size=BATCH, verbose=False
    )
    return lambda: ds.skip(start) if start else ds


def pillow(work: Work) -> Epoch:
    """Pillow in threads."""
    return _in_threads(work, PillowLoader(work.size))


class PillowLoader:
    """Reads, decodes and resizes with Pillow; can be pickled."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size[::-1]

    def __call__(self, path: str) -> _Image:
        """The image of a file."""
        from PIL import Image

        with Image.open(path) as image:
            return self.resize(image)

    def resize(self, image: Any) -> _Image:
        """Converts and resizes an image that Pillow has opened."""
        from PIL import Image

        return np.asarray(image.convert("RGB").resize(self._size, Image.Resampling.BILINEAR))


def opencv(work: Work) -> Epoch:
    """OpenCV in our threads, without its own."""
    import cv2

    cv2.setNumThreads(0)

    def load(path: str) -> _Image:
        whole: Any = cv2.imread(path)
        image: Any = cv2.resize(whole, work.size[::-1], interpolation=cv2.INTER_AREA)
        converted: Any = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        return np.asarray(converted)

    return _in_threads(work, load)


def _in_threads(work: Work, load: Callable[[str], _Image]) -> Epoch:
    pool = ThreadPoolExecutor(work.threads)

    def epoch() -> Iterator[_Image]:
        images = pool.map(load, work.files)
        while batch := list(itertools.islice(images, BATCH)):
            yield np.stack(batch)

    return epoch


def torch_workers(work: Work, start: int = 0) -> Epoch:
    """PyTorch's DataLoader with Pillow in worker processes, which end with each epoch."""
    return torch_batches(work, PillowLoader(work.size), start)


def torch_batches(work: Work, load: Callable[[str], Any], start: int = 0) -> Epoch:
    """Batches of PyTorch's DataLoader, which loads each file."""
    from torch.utils.data import DataLoader

    rows: Any = range(start * BATCH, len(work.files))
    loader: Any = DataLoader(
        _Files(work.files, load), batch_size=BATCH, sampler=rows, num_workers=work.threads
    )
    return lambda: loader


class _Files:
    """What torch calls a map-style dataset."""

    def __init__(self, files: Sequence[str], load: Callable[[str], Any]) -> None:
        self._files = files
        self._load = load

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, row: int) -> Any:
        return self._load(self._files[row])


def dali(work: Work, start: int = 0) -> Epoch:
    """DALI on the CPU; to resume, a new pipeline is made for the remaining files."""
    if start:
        return lambda: _Dali(work, start)()
    return _Dali(work)


class _Dali:
    """A pipeline that does not prefetch beyond the epoch."""

    _AHEAD = 2

    def __init__(self, work: Work, start: int = 0) -> None:
        from nvidia.dali import fn, pipeline_def, types

        def photos() -> Any:
            encoded, _ = fn.readers.file(files=list(work.files[start * BATCH :]))
            images = fn.decoders.image(encoded, device="cpu", output_type=types.RGB)
            return fn.resize(
                images, size=work.size, interp_type=types.INTERP_TRIANGULAR, antialias=True
            )

        self._pipeline = pipeline_def(photos)(
            batch_size=BATCH,
            num_threads=work.threads,
            device_id=None,
            prefetch_queue_depth=self._AHEAD,
        )
        self._pipeline.build()
        self._steps = len(work.files) // BATCH - start
        self._is_new = True

    def __call__(self) -> Iterator[Any]:
        started = 0
        for step in range(self._steps):
            while started < min(step + self._AHEAD, self._steps):
                self._pipeline.schedule_run()
                started += self._AHEAD if self._is_new else 1  # the first call fills the queue
                self._is_new = False
            yield self._pipeline.share_outputs()[0]
            self._pipeline.release_outputs()
