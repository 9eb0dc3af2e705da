"""`mmdata.verify`: decodes every image once, to find corrupt images before training."""

import os

import tensorflow as tf

from mmdata.example import Example
from mmdata.files.headers import Format
from mmdata.images.corrupt import report_corrupt
from mmdata.images.decode_in_graph import Decode
from mmdata.images.load import Load
from mmdata.pairs.pairs import Pairs
from mmdata.progress import progress
from mmdata.stages.resize import Resize

_BATCH = 64


def verify(pairs: Pairs) -> Pairs:
    """Decodes every image, in parallel, with a progress bar after two seconds.

    The reasons are saved with the scan, so `build` knows them as long as the file does not change.

    Returns:
      The same rows. The report has a finding with the reason for each corrupt image, e.g. premature
      end of data, not an image, too many pixels, zero bytes; `frame` has the reason in the column
      "problem".
    """
    if not isinstance(pairs, Pairs):
        raise TypeError(
            f"verify(...) takes Pairs, which mmdata.read returns; got a {type(pairs).__name__}."
        )
    scan, pairs = pairs.scanned()
    decode = Decode(plain=scan.plain)

    def is_valid(example: Example) -> tf.Tensor:
        return decode(example)["valid"]

    examples: Example = {
        "row": tf.range(len(pairs), dtype=tf.int64),
        "path": tf.constant([os.fsencode(path) for path in pairs.paths], tf.string),
        "format": tf.constant(scan.formats),
        "orientation": tf.constant(scan.orientations),
    }
    ds = tf.data.Dataset.from_tensor_slices(examples)
    if pairs.blobs is not None or Format.PILLOW in scan.formats:
        load = Load(resize=Resize(size=(1, 1)), blobs=pairs.blobs)
        ds = ds.batch(_BATCH).map(load, num_parallel_calls=os.cpu_count()).unbatch()
    ds = ds.map(is_valid, num_parallel_calls=os.cpu_count())
    bar = progress(ds.as_numpy_iterator(), total=len(pairs), what="decoding images", unit="image")
    failed = [row for row, valid in enumerate(bar) if not valid and row not in scan.problems]
    return report_corrupt(pairs, scan, failed)
