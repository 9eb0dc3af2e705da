"""`mmdata bench images`: from JPEG files to batches of images of one size."""

import dataclasses
import math
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

from mmdata.benchmarks import image_peers as peers
from mmdata.benchmarks import machine, table
from mmdata.benchmarks.contending import Peer
from mmdata.benchmarks.figures import Figures, figures
from mmdata.benchmarks.measuring import Result, measure
from mmdata.benchmarks.photos import Photos, choose

_FEWEST = 256
"""Images of an epoch, at least: fewer would be lost in the noise."""

ANTIALIASED = "antialiased"
ALIASED = "ALIASED"

_BENCH = '"mmdata[bench]"'
_OURS = (("mmdata", "tensorflow"), "mmdata")
_TENSORFLOW = (("tensorflow",), "tensorflow")

PEERS = (
    Peer("floor: decoding alone", peers.decode_only, ("simplejpeg",), _BENCH, "not resized"),
    Peer("mmdata, exact", peers.mmdata_exact, *_OURS, ANTIALIASED),
    Peer("mmdata, fast", peers.mmdata_fast, *_OURS, "approximate"),
    Peer("tf.data, our two passes", peers.tf_two_passes, *_TENSORFLOW, ANTIALIASED),
    Peer("tf.data, antialias=True", peers.tf_antialiased, *_TENSORFLOW, ANTIALIASED),
    Peer("tf.data as in tutorials", peers.tf_tutorial, *_TENSORFLOW, ALIASED),
    Peer("Keras from a folder", peers.keras_folder, ("keras", "tensorflow"), "keras", ALIASED),
    Peer("Pillow in threads", peers.pillow, ("PIL",), "pillow", ANTIALIASED),
    Peer("OpenCV in threads", peers.opencv, ("cv2",), _BENCH, "area filter"),
    Peer("torch DataLoader", peers.torch_workers, ("torch", "PIL"), "torch", ANTIALIASED),
    Peer("DALI on the CPU", peers.dali, ("nvidia.dali",), "nvidia-dali-cuda120", ANTIALIASED),
)
"""The first is the floor that the others are compared to."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """What was compared, on what, and the outcome.

    Attributes:
      machine: Processor, cores, system and Python.
      photos: The files.
      size: (height, width) that they were resized to.
      rounds: Epochs that count.
      count: Images of an epoch; files repeat where there are fewer.
      results: A result a contender; the first is the floor.
    """

    machine: str
    photos: Photos
    size: tuple[int, int]
    rounds: int
    count: int
    results: Sequence[Result]

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON; a contender has `figures` or a `failure`."""
        photos = dataclasses.asdict(self.photos)
        return {
            "machine": self.machine,
            "photos": photos | {"paths": len(self.photos.paths)},
            "size": self.size,
            "rounds": self.rounds,
            "images_per_round": self.count,
            "contenders": [
                {
                    "name": result.contender.name,
                    "pixels": result.contender.note,
                    "versions": result.versions,
                    "figures": summary and dataclasses.asdict(summary),
                    "failure": result.failure or None,
                }
                for result, summary in self._summaries()
            ],
        }

    def __str__(self) -> str:
        """The table, with what one needs to read it."""
        height, width = self.size
        rows = [_row(result, summary) for result, summary in self._summaries()]
        return "\n".join(
            [
                f"{self.photos}",
                f"resized to {height} x {width} (height x width), in batches of {peers.BATCH}; "
                f"{self.rounds} round(s) of {self.count:,} images, each contender in turn",
                self.machine,
                "",
                *table.lines(_HEAD, rows, figures=5),
                "",
                _LEGEND,
            ]
        )

    def _summaries(self) -> list[tuple[Result, Figures | None]]:
        floor = self.results[0].samples
        return [
            (result, None if result.failure else figures(result.samples, floor))
            for result in self.results
        ]


_HEAD = ("contender", "CPU ms/image", "min..max", "x floor", "images/s", "MB", "pixels", "versions")
_LEGEND = """\
CPU ms/image: all threads and processes; median of the rounds, and their spread. x floor: CPU time
beside that of the floor in the same round; the floor only reads and decodes, with libjpeg-turbo's
exact DCT and chroma. MB: the most that the largest process held. ALIASED: resizes without a filter,
which costs less, and gives other pixels than the rest. torch starts its workers anew each round."""


def _row(result: Result, summary: Figures | None) -> tuple[str, ...]:
    name = result.contender.name
    if summary is None:
        return name, result.failure
    return (
        name,
        f"{summary.cpu_ms:.2f}",
        f"{summary.cpu_ms_min:.2f}..{summary.cpu_ms_max:.2f}",
        "-" if summary.ratio is None else f"{summary.ratio:.2f}",
        f"{summary.items_per_second:,.0f}",
        f"{summary.peak_mb:,.0f}",
        result.contender.note,
        result.versions,
    )


def compare(folder: pathlib.Path, *, size: tuple[int, int], rounds: int, most: int) -> Comparison:
    """Runs mmdata and its peers on the same JPEG files and the same cores.

    Args:
      folder: Where to look for JPEG files.
      size: (height, width) to resize to, in pixels.
      rounds: Epochs of each contender that count.
      most: Files of an epoch, at most.

    Raises:
      FileNotFoundError, NotADirectoryError: The folder is not there, or is none.
      ValueError: It holds no JPEG.
    """
    photos = choose(folder, most)
    count = math.ceil(max(_FEWEST, len(photos.paths)) / peers.BATCH) * peers.BATCH
    with tempfile.TemporaryDirectory(prefix="mmdata-bench-") as name:
        temporary = pathlib.Path(name)
        links = temporary / "images"
        work = peers.Work(
            files=photos.link(links, count),
            folder=str(links),
            size=size,
            threads=machine.cores(),
        )
        results = measure(
            [peer.contender(work, count) for peer in PEERS],
            rounds=rounds,
            folder=temporary,
            environment={"MMDATA_HOME": str(temporary / "home")},
        )
    return Comparison(
        machine=machine.describe(),
        photos=photos,
        size=size,
        rounds=rounds,
        count=count,
        results=results,
    )
