"""Measures the time to resume in an epoch, and the memory that more images need.

    python -m tests.benchmarks.position IMAGES [--rows 1000 10000 100000] [--order 10000000]

Generates large datasets from links to the JPEG files of a folder, with a table of captions. Runs
each measurement in its own process, and prints:

  at       milliseconds from `at(step)` to its first batch, at step 0 and at 90 % of an epoch, for
           the last number of `--rows`: medians, and the median of the ratios
  order    the same for only the indices of a batch of 256, with `--order` rows; and the memory that
           these need in addition to ten rows
  memory   megabytes of a process after 200 batches, and the peak, for each number of `--rows`; and
           the megabytes of paths and captions
"""

import argparse
import csv
import itertools
import os
import pathlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.benchmarks.inputs import SENTENCE
from tests.benchmarks.measuring import isolated, memory, ratio

BATCH = 32
BATCHES = 200
ROUNDS = 9
LATE = 0.9


def generate(root: pathlib.Path, photos: list[str], rows: int) -> None:
    """Writes a folder of the photos in turn, and a table with a caption for each.

    They are hard links to copies, as symbolic links out of the folder are refused.
    """
    (root / "images").mkdir(parents=True)
    copies = [shutil.copy(photo, root) for photo in photos]
    with open(root / "captions.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("image", "caption"))
        for number in range(rows):
            name = f"image-{number:07}.jpg"
            os.link(copies[number % len(copies)], root / "images" / name)
            table.writerow((name, SENTENCE.format(number)))


def held() -> tuple[float, ...]:
    """Current and peak memory of the process, in megabytes."""
    return tuple(size / 1e6 for size in memory())


def first_batch(begin: Callable[[int], Iterable[Any]], step: int) -> float:
    """Milliseconds to the first batch from a step on."""
    asked = time.perf_counter()
    batches = iter(begin(step))
    next(batches)
    return 1e3 * (time.perf_counter() - asked)  # before the iterator is deleted, which takes time


def beginnings(
    begin: Callable[[int], Iterable[Any]], steps: int, rounds: int = ROUNDS
) -> tuple[float, float, float | None]:
    """Medians at step 0 and at 90 % of an epoch, and of the ratios; the first round warms up."""
    pairs = [
        (first_batch(begin, 0), first_batch(begin, int(LATE * steps))) for _ in range(rounds + 1)
    ][1:]
    early, late = zip(*pairs, strict=True)
    return statistics.median(early), statistics.median(late), ratio(late, early)


def built(root: str) -> Any:
    """The dataset; learning a vocabulary is not measured."""
    import mmdata

    images, captions = (os.path.join(root, name) for name in ("images", "captions.csv"))
    return mmdata.build(images, captions, text="byte", sequence_length=80)


def at(root: str) -> tuple[float, float, float | None]:
    """Starts a dataset at two steps."""
    ds = built(root)
    return beginnings(ds.at, len(ds))


def order(rows: int) -> tuple[tuple[float, float, float | None], tuple[float, ...]]:
    """Takes the indices of two steps, and measures the memory of the process."""
    from mmdata.sampling.order import Order

    order = Order(count=rows, batch_size=256)

    def begin(step: int) -> Iterator[Any]:
        return map(order.indices, [step])

    return beginnings(begin, order.steps_per_epoch, rounds=1000), held()


def training(root: str) -> tuple[float, ...]:
    """Memory after some batches, peak memory, and size of the text, all in megabytes."""
    ds = built(root)
    epochs = itertools.chain.from_iterable(itertools.repeat(ds))
    for _ in itertools.islice(epochs, BATCHES):
        pass
    text = len(ds.pairs.images.data) + len(ds.pairs.captions.data)
    return *held(), text / 1e6


def main() -> None:
    """Generates the data, runs the measurements and prints them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("images", type=pathlib.Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--order", type=int, default=10_000_000)
    args = parser.parse_args()
    photos = sorted(str(path.resolve()) for path in args.images.glob("*.jpg"))
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MMDATA_HOME"] = os.path.join(folder, "home")
        roots = {rows: os.path.join(folder, str(rows)) for rows in args.rows}
        for rows, root in roots.items():
            generate(pathlib.Path(root), photos, rows)
        print_beginnings(f"at, {args.rows[-1]:,} rows", *isolated(at, roots[args.rows[-1]]))
        (_, few), (times, many) = isolated(order, 10), isolated(order, args.order)
        print_beginnings(f"order, {args.order:,} rows", *times)
        added = (ours - theirs for ours, theirs in zip(many, few, strict=True))
        print("order: adds {:.1f} MB, peak {:.1f}".format(*added))
        for rows, root in roots.items():
            print("memory, {:,} rows: {:.0f} MB, peak {:.0f}; paths and captions {:.2f}".format(
                rows, *isolated(training, root)
            ), flush=True)  # fmt: skip


def print_beginnings(what: str, early: float, late: float, share: float) -> None:
    """Prints a line of `beginnings`."""
    print(f"{what}: step 0 {early:.2f} ms, at 90 % {late:.2f} ms, ratio {share:.2f}", flush=True)


if __name__ == "__main__":
    main()
