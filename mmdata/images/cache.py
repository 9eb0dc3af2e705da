"""The cache: decodes and resizes images once, saves them on disk, and reads them from there.

`pixels_key` holds what pixels depend on; `mmdata.storage.row_store` checks which rows are valid.
"""

import dataclasses
import pathlib
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mmdata.example import Example
from mmdata.files.headers import Format
from mmdata.files.scan import Scan
from mmdata.files.scan_cache import hashes
from mmdata.images.checksums import Checksums
from mmdata.images.corrupt import report_corrupt
from mmdata.images.decoder_fingerprint import decoders_fingerprint
from mmdata.images.decoding import Decoding
from mmdata.images.sources import Source
from mmdata.pairs.pairs import Pairs
from mmdata.sampling.lookup import Lookup
from mmdata.storage.row_store import Compute, Store
from mmdata.versions import PIXELS_VERSION

_BATCH = 64

Ints = NDArray[np.int64]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Cached(Source):
    """Reads the images of a batch from stores, in one call.

    row: int64 [b]  ->  image: [b, ...], all of one shape, 0 where not valid; valid: bool [b]

    Attributes:
      stores: One store per image shape.
      store_of: int16 [rows], the store of each row.
      slot_of: int64 [rows], the slot of each row in its store; -1 if it has no image.
      checksums: int64 [rows], checksums of the files that the images were made from; 0 if unknown.
    """

    stores: tuple[Store, ...]
    store_of: NDArray[np.int16]
    slot_of: Ints
    checksums: Ints

    @property
    def complete(self) -> bool:
        """Whether each row has an image."""
        return bool((self.slot_of >= 0).all())

    def __call__(self, example: Example) -> Example:
        row, dtype = example["row"], tf.as_dtype(self.stores[0].dtype)
        proxy = weakref.proxy(self)  # TensorFlow never frees what this function refers to
        image, valid = tf.numpy_function(
            lambda rows: proxy.read(rows), [row], [dtype, tf.bool], stateful=False
        )
        sides = zip(*(store.shape for store in self.stores), strict=True)
        shape = [side[0] if len(set(side)) == 1 else None for side in sides]
        image.set_shape([*row.shape, *shape])
        valid.set_shape(row.shape)
        return {**example, "image": image, "valid": valid}

    def examples(self, ds: Any) -> Any:
        """A dataset of batches of rows -> a dataset of single examples with their images."""
        return ds.map(self, num_parallel_calls=tf.data.AUTOTUNE).unbatch()

    def images(self, rows: Ints) -> Any:
        """A dataset of the images of rows, all from one store; see `Decoding.images`."""
        ds = tf.data.Dataset.from_tensor_slices(np.flatnonzero(self.slot_of[rows] >= 0))
        rows = tf.constant(rows)
        return ds.batch(_BATCH).map(
            lambda place: (place, self({"row": tf.gather(rows, place)})["image"])
        )

    def report_missing(self, pairs: Pairs, scan: Scan) -> tuple[Scan, Pairs]:
        """The scan with checksums, and the pairs with a report why images are missing here."""
        scan = dataclasses.replace(scan, checksums=self.checksums)
        pairs = dataclasses.replace(pairs, scan=scan)
        failed = np.flatnonzero((self.slot_of < 0) & (scan.formats != Format.UNKNOWN)).tolist()
        if failed:
            pairs = report_corrupt(pairs, scan, failed, "changed while it was read: build again")
        return pairs.scanned()

    def read(self, rows: Ints) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """See `Source.read`."""
        store, slots = self.stores[self.store_of[rows[0]]], self.slot_of[rows]
        valid = slots >= 0
        if valid.all():
            return store.take(slots), valid
        images = np.zeros((len(rows), *store.shape), store.dtype)
        images[valid] = store.take(slots[valid])
        return images, valid


def fill(
    folder: pathlib.Path,
    pairs: Pairs,
    scan: Scan,
    look_up: Lookup,
    decoding: Decoding,
    sizes: NDArray[np.int32] | None,
) -> Cached:
    """Decodes the images that are not in the cache yet, with a progress bar, and opens all.

    Args:
      folder: The folder of the cache.
      pairs: The images.
      scan: Their scan.
      look_up: Finds the inputs of `decoding` for a row.
      decoding: Files -> images.
      sizes: int32 [rows, 2], (height, width) of each row; None if `decoding` has one size for all.

    Returns:
      The images. An image that cannot be decoded, or whose file changed meanwhile, has slot -1.

    Raises:
      ValueError: The folder is the folder of the images.
      OSError: The disk is full, or the folder cannot be written to.
    """
    if folder.resolve() == pathlib.Path(pairs.root).resolve():
        raise ValueError(f"cache=... must not be the folder of the images; got {str(folder)!r}.")
    store_of, slot_of = np.zeros(len(pairs), np.int16), np.full(len(pairs), -1)
    shapes: list[Any] = [decoding.size]
    if sizes is not None:
        unique, number = np.unique(sizes, axis=0, return_inverse=True)
        shapes, store_of = unique.tolist(), number.reshape(-1).astype(np.int16)
    checksums = Checksums(pairs, scan)
    stores = []
    for place, (height, width) in enumerate(shapes):
        sized = decoding.to((height, width))
        rows = np.flatnonzero((store_of == place) & (scan.formats != Format.UNKNOWN))

        def compute(
            places: Ints, rows: Ints = rows, sized: Decoding = sized
        ) -> Iterator[tuple[Ints, NDArray[np.uint8]]]:
            images = sized.images(rows[places], look_up)
            for done, image in images.as_numpy_iterator():
                yield places[done], image

        store = Store(
            folder,
            settings=pixels_key(sized),
            shape=(height, width, 3),
            dtype=np.dtype(np.uint8),
        )
        slot_of[rows] = fill_rows(store, rows, compute, checksums, what="decoding images")
        stores.append(store)
    checksums.remember()
    return Cached(
        stores=tuple(stores), store_of=store_of, slot_of=slot_of, checksums=checksums.known
    )


def fill_rows(
    store: Store, rows: Ints, compute: Compute, checksums: Checksums, *, what: str
) -> Ints:
    """Fills a store with the results of `compute` for some rows, see `Store.fill`.

    The key of a row combines the name and the content key of its file in one number, since two
    files may begin and end with the same bytes.

    Returns:
      int64 [k], the slots of the rows; -1 for a row without a result.
    """
    pairs, scan = checksums.pairs, checksums.scan
    names = hashes(pairs.images[row] for row in rows.tolist()).view(np.int64)
    identities = np.stack([names ^ scan.keys[rows], scan.stamps[rows]], 1)
    slots = store.fill(identities, compute, lambda places: checksums(rows[places]), what=what)
    checksums.note(rows, store.checksums(slots))
    return slots


def pixels_key(decoding: Decoding) -> dict[str, Any]:
    """Everything besides the files that pixels depend on, as plain data."""
    return {
        **decoding.to_dict(),
        "version": PIXELS_VERSION,
        "decoders": decoders_fingerprint(),
    }
