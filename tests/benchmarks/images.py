"""Times only decoding and resizing: from JPEG files to batches of images of one size.

    python -m tests.benchmarks.images IMAGES [--images 512] [--rounds 5]

IMAGES is a folder of JPEG files, which are copied and read. `pip install "mmdata[bench]"` installs
two of the peers; the table names peers that are not installed.
"""

import argparse
import contextlib
import functools
import math
import os
import pathlib
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from tests.benchmarks import epoch_peers, image_peers, inputs, measuring
from tests.benchmarks.image_peers import BATCH, Work
from tests.benchmarks.measuring import Peer, Result, Sample, ratio, spread, three_digits

ANTIALIASED = "antialiased"
ALIASED = "ALIASED"
BENCH = '"mmdata[bench]"'
OURS = (("mmdata", "tensorflow"), "mmdata")
TENSORFLOW = (("tensorflow",), "tensorflow")

FLOOR = Peer(
    "floor: decoding alone",
    image_peers.decode_only,
    ("simplejpeg",),
    BENCH,
    "not resized, one by one",
)
"""CPU times are relative to it."""

BYTES, FLOATS = (f"{ANTIALIASED}, {dtype}, shuffled" for dtype in ("uint8", "float32"))
BYTES_IN_ORDER, ALIASED_IN_ORDER = (
    f"{ANTIALIASED}, uint8, in order",
    f"{ALIASED}, float32, in order",
)


def ours(name: str, note: str, **how: Any) -> Peer:
    """Returns a peer that uses `mmdata.build`."""
    return Peer(name, functools.partial(epoch_peers.ours, **how), *OURS, note, resumes=True)


TUTORIAL = Peer(
    "tf.data as in tutorials", image_peers.tf_tutorial, *TENSORFLOW, ALIASED_IN_ORDER, resumes=True
)
"""Speeds are relative to it."""

KERAS = Peer(
    "Keras from a folder",
    image_peers.keras_folder,
    ("keras", "tensorflow"),
    "keras",
    f"{ALIASED}, float32, shuffled",
    resumes=True,
)
TORCH = Peer(
    "torch DataLoader",
    image_peers.torch_workers,
    ("torch", "PIL"),
    "torch",
    BYTES_IN_ORDER,
    resumes=True,
)
DALI = Peer(
    "DALI on the CPU",
    image_peers.dali,
    ("nvidia.dali",),
    "nvidia-dali-cuda120",
    BYTES_IN_ORDER,
    resumes=True,
)
PEERS = (
    FLOOR,
    ours("mmdata, exact", BYTES, normalize="uint8"),
    ours("mmdata, fast", "approximate, uint8, shuffled", normalize="uint8", quality="fast"),
    Peer("tf.data, our two passes", image_peers.tf_two_passes, *TENSORFLOW, BYTES_IN_ORDER),
    Peer("tf.data, antialias=True", image_peers.tf_antialiased, *TENSORFLOW, BYTES_IN_ORDER),
    TUTORIAL,
    KERAS,
    Peer("Pillow in threads", image_peers.pillow, ("PIL",), "pillow", BYTES_IN_ORDER),
    Peer("OpenCV in threads", image_peers.opencv, ("cv2",), BENCH, "area filter, uint8, in order"),
    TORCH,
    DALI,
)
"""A note gives the filter, the dtype of pixels, and the order of images."""

LEGEND = """\
images/s: in wall time; median of the rounds, and their range. x faster, x less CPU: relative to the
tutorials' tf.data in the same round. CPU ms: per image, of all threads and processes. x floor: CPU
time relative to the decoder alone, libjpeg-turbo with exact DCT and chroma. first ms: from the
start of an epoch to its first batch; cold ms: the same for the first epoch of all. resume s: time
of a new loader to the batch at 90 % of an epoch. mmdata uses at(step); tf.data uses skip(n), which
computes the skipped batches; others leave out the earlier files; "-": not possible. MB: peak memory
of the largest process, with the mapped part of our caches. ALIASED: resizes without a filter, which
costs less and gives other pixels than the rest. "crop and flip" is random: mmdata crops images that
were resized to 8/7 of the size, others crop the photo. Caches are full before the first epoch;
"filling a cache" is all of mmdata.build. torch starts its workers again in each epoch."""


@contextlib.contextmanager
def work_of(
    images: pathlib.Path,
    captions: pathlib.Path | None,
    count: int,
    size: tuple[int, int] = (224, 224),
) -> Iterator[Work]:
    """Copies photos, with captions of a file or generated ones; prints a description of them."""
    photos = inputs.choose_photos(images, count)
    count = math.ceil(count / BATCH) * BATCH
    print(inputs.describe(photos))
    print(f"{count:,} copies, in batches of {BATCH} images of {size[0]} x {size[1]}")
    print(measuring.machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="mmdata-bench-") as name:
        root, threads = pathlib.Path(name), measuring.cores()
        (root / "scratch").mkdir()
        os.environ |= {
            "CUDA_VISIBLE_DEVICES": "",
            "HF_HOME": str(root / "home"),
            "MMDATA_HOME": str(root / "home"),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        files = inputs.copy_photos(photos, root / "images", count)
        yield Work(
            files=files,
            folder=str(root / "images"),
            captions=tuple(
                inputs.choose_captions(captions, count)
                if captions
                else map(inputs.SENTENCE.format, range(count))
            ),
            shards=inputs.write_shards(root / "shards", files, 4 * threads),
            scratch=str(root / "scratch"),
            size=size,
            threads=threads,
        )


def rows(results: Sequence[Result]) -> list[dict[str, str]]:
    """The rows of the table; of a peer that failed, name and reason."""
    by_name = {result.peer.name: result.samples for result in results}
    floor, tutorial = by_name[FLOOR.name], by_name[TUTORIAL.name]
    return [_row(result, floor, tutorial) for result in results]


def _row(result: Result, floor: list[Sample], tutorial: list[Sample]) -> dict[str, str]:
    samples, warm_up = result.samples, result.warm_up
    if result.failure or warm_up is None:
        return {"peer": result.peer.name, "pixels": result.failure}
    rates = [sample.rate for sample in samples]
    cpu = [sample.cpu_ms for sample in samples]
    return {
        "peer": result.peer.name,
        "images/s": three_digits(statistics.median(rates)),
        "min..max": spread(rates),
        "x faster": three_digits(ratio(rates, [sample.rate for sample in tutorial])),
        "CPU ms": three_digits(statistics.median(cpu)),
        "CPU min..max": spread(cpu),
        "x less CPU": three_digits(
            ratio([1 / ms for ms in cpu], [1 / one.cpu_ms for one in tutorial])
        ),
        "x floor": three_digits(ratio(cpu, [sample.cpu_ms for sample in floor])),
        "first ms": three_digits(1e3 * statistics.median(sample.first for sample in samples)),
        "cold ms": three_digits(1e3 * warm_up.first),
        "resume s": three_digits(statistics.median(result.resumed) if result.resumed else None),
        "MB": three_digits(max(sample.peak for sample in samples) / 1e6),
        "pixels": result.peer.note,
        "versions": result.versions,
    }


def compare(peers: Sequence[Peer], work: Work, rounds: int) -> list[Result]:
    """Runs the peers on the files, and prints the table."""
    count = len(work.files)
    start = int(0.9 * (count // BATCH))
    results = measuring.measure(peers, work, count=count, rounds=rounds, start=start)
    print(f"{rounds} round(s), in turn\n\n{measuring.table(rows(results))}\n\n{LEGEND}")
    return results


def main() -> None:
    """Reads the options, and runs the peers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("images", type=pathlib.Path)
    parser.add_argument("--images", dest="count", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with work_of(args.images, None, args.count) as work:
        compare(PEERS, work, args.rounds)


if __name__ == "__main__":
    main()
