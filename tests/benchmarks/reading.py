"""Times an epoch of `mmdata.build`, relative to a plain `tf.data` map of the same files.

    python -m tests.benchmarks.reading IMAGES [CAPTIONS] [--rounds 7]

Both read, decode with libjpeg's accurate transform, resize in two passes, scale to 0..1 and batch.
`build` also shuffles, checks images, and cleans, tokenizes and packs captions. Prints milliseconds
per image, and the median of the ratios of each round, for CPU time and wall time.
"""

import argparse
import statistics
from collections import deque
from collections.abc import Callable
from functools import partial

import tensorflow as tf

import mmdata
from mmdata.stages.resize import Resize
from tests.benchmarks.measuring import ratio, three_digits, timed

SIZE = (224, 224)
BATCH = 32


def bare(files: list[str]) -> tf.data.Dataset:
    """A hand-written pipeline, for JPEG files that need no checks."""
    resize = Resize(size=SIZE)

    def load(path: tf.Tensor) -> tf.Tensor:
        content = tf.io.read_file(path)
        image = tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")
        return resize({"image": image})["image"]

    ds = tf.data.Dataset.from_tensor_slices(files).map(load, num_parallel_calls=tf.data.AUTOTUNE)
    ds = ds.batch(BATCH).map(lambda images: tf.cast(images, tf.float32) / 255.0)
    return ds.prefetch(tf.data.AUTOTUNE)


def main() -> None:
    """Runs the rounds, and prints the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("images")
    parser.add_argument("captions", nargs="?")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()

    ours = mmdata.build(args.images, args.captions, batch_size=BATCH, on_problem="drop")
    pairs = ours.pairs
    files = [pairs.path(row) for row in range(len(pairs)) for _ in pairs.captions_of(row)]
    runs: list[Callable[[], object]] = [
        partial(deque, batches, maxlen=0) for batches in (bare(files), ours)
    ]
    rounds = [[timed(run) for run in runs] for _ in range(args.rounds + 1)][
        1:
    ]  # the first warms up
    theirs_by_kind, ours_by_kind = (zip(*times, strict=True) for times in zip(*rounds, strict=True))
    for kind, theirs, mine in zip(("CPU", "wall"), theirs_by_kind, ours_by_kind, strict=True):
        bare_ms, our_ms = (1e3 * statistics.median(times) / len(files) for times in (theirs, mine))
        print(
            f"{kind} ms per image: plain tf.data {bare_ms:.2f}, mmdata.build {our_ms:.2f}, "
            f"ratio {three_digits(ratio(mine, theirs))}"
        )


if __name__ == "__main__":
    main()
