"""Times exports for `mmdata.js` beside filling a cache with the same images.

    python -m tests.benchmarks.export_web IMAGES [--images 1024] [--rounds 3] [--size 64]

IMAGES is a folder of JPEG files, which are copied and read. Each round decodes all copies three
times, in turn: into an empty cache, into sprites, and into `.npy` rows; each time is that of the
whole call, with one caption for each image. The first round warms up.
"""

import argparse
import functools
import os
import pathlib
import shutil
import statistics
import tempfile
from collections.abc import Callable
from typing import Any

from tests.benchmarks import inputs, measuring
from tests.benchmarks.measuring import ratio, spread, three_digits, timed


def calls(images: pathlib.Path, target: pathlib.Path, size: int) -> dict[str, Callable[[], object]]:
    """What is timed: each writes into the folder `target`."""
    import mmdata

    captions = images.parent / "captions.csv"
    names = sorted(path.name for path in images.iterdir())
    lines = (f"{name},{inputs.SENTENCE.format(row)}" for row, name in enumerate(names))
    captions.write_text("\n".join(["image,caption", *lines]))
    pairs = mmdata.read(images, captions).with_split("train")
    options: dict[str, Any] = {"image_size": size, "text": "byte", "sequence_length": 80}
    export = functools.partial(mmdata.export_web, pairs, target, **options)
    return {
        "filling a cache": functools.partial(
            mmdata.build, pairs, split=("train",), cache=target, **options
        ),
        "export_web, png": export,
        "export_web, npy": functools.partial(export, encoding="npy"),
    }


def measure(
    timings: dict[str, Callable[[], object]], target: pathlib.Path, rounds: int
) -> tuple[dict[str, list[tuple[float, float]]], dict[str, int]]:
    """Seconds of CPU and of wall time of each round, and bytes that are written."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in timings}
    sizes = {}
    for _ in range(rounds + 1):
        for name, run in timings.items():
            shutil.rmtree(target, ignore_errors=True)
            seconds[name].append(timed(run))
            files = (path for path in target.rglob("*") if path.is_file())
            sizes[name] = sum(path.stat().st_size for path in files)
    return {name: each[1:] for name, each in seconds.items()}, sizes


def rows(
    seconds: dict[str, list[tuple[float, float]]], sizes: dict[str, int], count: int
) -> list[dict[str, str]]:
    """The rows of the table."""
    first = [wall for _, wall in next(iter(seconds.values()))]
    found = []
    for name, each in seconds.items():
        rates = [count / wall for _, wall in each]
        found.append(
            {
                "": name,
                "images/s": three_digits(statistics.median(rates)),
                "min..max": spread(rates),
                "x cache": three_digits(ratio(first, [wall for _, wall in each])),
                "CPU ms": three_digits(statistics.median(1e3 * cpu / count for cpu, _ in each)),
                "kB": three_digits(sizes[name] / count / 1e3),
            }
        )
    return found


def main() -> None:
    """Reads the options, and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("images", type=pathlib.Path)
    parser.add_argument("--images", dest="count", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=64)
    args = parser.parse_args()
    photos = inputs.choose_photos(args.images, args.count)
    print(inputs.describe(photos))
    print(f"{args.count:,} copies, {args.size} x {args.size}\n{measuring.machine()}", flush=True)
    with tempfile.TemporaryDirectory(prefix="mmdata-bench-") as name:
        root = pathlib.Path(name)
        os.environ |= {"MMDATA_HOME": str(root / "home"), "TF_CPP_MIN_LOG_LEVEL": "3"}
        inputs.copy_photos(photos, root / "images", args.count)
        target = root / "target"
        seconds, sizes = measure(calls(root / "images", target, args.size), target, args.rounds)
    print(f"\n{measuring.table(rows(seconds, sizes, args.count))}\n")
    print("x cache: speed relative to filling a cache in the same round. kB: written per image.")


if __name__ == "__main__":
    main()
