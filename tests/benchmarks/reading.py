"""Times an epoch of `mmdata.build` beside a bare `tf.data` map of the same files.

    python tests/benchmarks/reading.py IMAGES [CAPTIONS] [--rounds 7]

Both read, decode with libjpeg's accurate transform, resize in two passes, scale to 0..1 and batch;
`build` also orders, looks up, guards, cleans, tokenizes and packs. Prints milliseconds an image and
the median of the ratios, round by round, of CPU time and of wall time.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterable

import tensorflow as tf

import mmdata
from mmdata.stages.resize import Resize

SIZE = (224, 224)
BATCH = 32


def bare(files: list[str]) -> tf.data.Dataset:
    """What a careful person writes by hand, for JPEG files that need no guarding."""
    resize = Resize(size=SIZE)

    def load(path: tf.Tensor) -> tf.Tensor:
        content = tf.io.read_file(path)
        image = tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")
        return resize({"image": image})["image"]

    ds = tf.data.Dataset.from_tensor_slices(files).map(load, num_parallel_calls=tf.data.AUTOTUNE)
    ds = ds.batch(BATCH).map(lambda images: tf.cast(images, tf.float32) / 255.0)
    return ds.prefetch(tf.data.AUTOTUNE)


def epoch(batches: Iterable[object]) -> tuple[float, float]:
    """Seconds of CPU and of wall time that one iteration takes."""
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in batches:
        pass
    return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    """Runs the rounds, in turn, and prints the table."""
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
    theirs = bare(files)
    runs: dict[str, Callable[[], tuple[float, float]]] = {
        "bare tf.data": lambda: epoch(theirs),
        "mmdata.build": lambda: epoch(ours),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for number in range(args.rounds + 1):
        for name, run in runs.items():
            measured = run()
            if number:  # the first round warms the file cache
                times[name].append(measured)

    for name, measured_rounds in times.items():
        cpu, wall = (statistics.median(column) for column in zip(*measured_rounds, strict=True))
        print(f"{name}: {1e3 * cpu / len(files):.2f} CPU ms, {1e3 * wall / len(files):.2f} wall ms")
    ratios = [
        [a / b for a, b in zip(us, them, strict=True)]
        for us, them in zip(times["mmdata.build"], times["bare tf.data"], strict=True)
    ]
    cpu, wall = (statistics.median(column) for column in zip(*ratios, strict=True))
    print(f"ratio: {cpu:.3f} CPU, {wall:.3f} wall")


if __name__ == "__main__":
    main()
