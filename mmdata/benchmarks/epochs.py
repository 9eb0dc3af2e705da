"""`mmdata bench epochs`: from JPEG files with captions to the batches of an epoch."""

import dataclasses
import functools
import itertools
import math
import os
import pathlib
import statistics
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from mmdata.benchmarks import captions, epoch_peers, image_peers, machine, photos, table
from mmdata.benchmarks.contending import Contender, Epoch, Peer, Sample
from mmdata.benchmarks.figures import Figures, figures, rate, ratio
from mmdata.benchmarks.image_peers import BATCH
from mmdata.benchmarks.images import ALIASED, ANTIALIASED
from mmdata.benchmarks.measuring import Result, measure

_SHARDS_A_WORKER = 4
_RESUMED_AT = 0.9

_NUMPY = (("numpy",), "numpy")
_SIMPLEJPEG = (("simplejpeg",), '"mmdata[bench]"')
_OURS = (("mmdata", "tensorflow"), "mmdata")
_TENSORFLOW = (("tensorflow",), "tensorflow")
_KERAS = (("keras", "tensorflow"), "keras")
_TORCH = (("torch", "PIL"), "torch")
_TORCHVISION = (("torchvision", "torch", "PIL"), "torchvision")
_HUGGING_FACE = (("datasets", "torch", "PIL"), "datasets torch")
_WEB_DATASET = (("webdataset", "torch", "PIL"), "webdataset torch")
_GRAIN = (("grain", "PIL"), "grain")
_DALI = (("nvidia.dali",), "nvidia-dali-cuda120")

_BYTES = f"{ANTIALIASED}, uint8, in order"
_BYTES_SHUFFLED = f"{ANTIALIASED}, uint8, shuffled"
_BYTES_BY_SHARD = f"{ANTIALIASED}, uint8, shards in turn"
_FLOATS_SHUFFLED = f"{ANTIALIASED}, float32, shuffled"


def _ours(name: str, note: str, **how: Any) -> Peer:
    return Peer(name, functools.partial(epoch_peers.ours, **how), *_OURS, note, resumes=True)


def _copying(dtype: str) -> Peer:
    prepare = functools.partial(epoch_peers.copy_batches, dtype=dtype)
    return Peer(f"floor: copying {dtype} batches", prepare, *_NUMPY, "one batch, prepared")


def _resumable(
    name: str,
    prepare: Callable[..., Epoch],
    library: tuple[tuple[str, ...], str],
    note: str,
) -> Peer:
    return Peer(name, prepare, *library, note, resumes=True)


PEERS: dict[str, tuple[Peer, ...]] = {
    "floor": (
        Peer(
            "floor: decoding alone",
            image_peers.decode_only,
            *_SIMPLEJPEG,
            "not resized, one by one",
        ),
        _copying("uint8"),
        _copying("float32"),
    ),
    "mmdata": (
        _ours("mmdata, uint8", _BYTES_SHUFFLED, normalize="uint8"),
        _ours("mmdata, captioning", _FLOATS_SHUFFLED, task="captioning"),
        _ours("mmdata, retrieval", _FLOATS_SHUFFLED, task="retrieval"),
        _ours("mmdata, crop and flip", _FLOATS_SHUFFLED, augmented=True),
        Peer("mmdata, filling a cache", epoch_peers.ours_filling, *_OURS, f"{ANTIALIASED}, uint8"),
        _ours("mmdata cached, uint8", _BYTES_SHUFFLED, normalize="uint8", cached=True),
        _ours("mmdata cached, float32", _FLOATS_SHUFFLED, cached=True),
        _ours("mmdata cached, captioning", _FLOATS_SHUFFLED, task="captioning", cached=True),
        _ours("mmdata cached, retrieval", _FLOATS_SHUFFLED, task="retrieval", cached=True),
        _ours("mmdata cached, crop and flip", _FLOATS_SHUFFLED, augmented=True, cached=True),
    ),
    "peer": (
        _resumable(
            "tf.data as in tutorials",
            image_peers.tf_tutorial,
            _TENSORFLOW,
            f"{ALIASED}, float32, in order",
        ),
        _resumable(
            "tf.data, crop and flip",
            epoch_peers.tf_augmented,
            _TENSORFLOW,
            f"{ALIASED}, float32, in order",
        ),
        _resumable(
            "tf.data, crop and flip, antialias=True",
            functools.partial(epoch_peers.tf_augmented, antialias=True),
            _TENSORFLOW,
            f"{ANTIALIASED}, float32, in order",
        ),
        _resumable(
            "tf.data, cache of uint8",
            epoch_peers.tf_cached_bytes,
            _TENSORFLOW,
            f"{ALIASED}, uint8, in order",
        ),
        _resumable(
            "tf.data, cache of float32",
            epoch_peers.tf_cached_floats,
            _TENSORFLOW,
            f"{ALIASED}, float32, shuffled by 1,000",
        ),
        _resumable(
            "Keras from a folder",
            image_peers.keras_folder,
            _KERAS,
            f"{ALIASED}, float32, shuffled",
        ),
        _resumable("torch DataLoader", image_peers.torch_workers, _TORCH, _BYTES),
        _resumable(
            "torch, crop and flip",
            epoch_peers.torch_augmented,
            _TORCHVISION,
            f"{ANTIALIASED}, float32, in order",
        ),
        _resumable("Hugging Face datasets", epoch_peers.hugging_face, _HUGGING_FACE, _BYTES),
        Peer("WebDataset", epoch_peers.web_dataset, *_WEB_DATASET, _BYTES_BY_SHARD),
        _resumable("Grain", epoch_peers.grain, _GRAIN, _BYTES_SHUFFLED),
        _resumable("DALI on the CPU", image_peers.dali, _DALI, _BYTES),
    ),
}
"""Who takes part, by kind. The others are compared to the first floor and to the first peer.

A note says how pixels are resized, of what type they are, and in which order images come.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EpochFigures(Figures):
    """Medians over the rounds; `ratio` is that to the decoder alone.

    Attributes:
      items_per_second_min, items_per_second_max: The same of the worst and the best round.
      faster: How many times as many items a second as the tutorial's `tf.data` in the same round;
        None where that has none.
      less_cpu: How many times as much CPU time the tutorial's takes in the same round; or None.
      first_batch_ms: Milliseconds from asking for an epoch to its first batch.
      cold_first_batch_ms: The same of the very first epoch.
      resume_s: Seconds until the batch at 90 % of an epoch, of one that was just made; or None.
    """

    items_per_second_min: float
    items_per_second_max: float
    faster: float | None
    less_cpu: float | None
    first_batch_ms: float
    cold_first_batch_ms: float
    resume_s: float | None


def summarize(result: Result, floor: Result, tutorial: Result) -> EpochFigures | None:
    """Sums up how a contender did, beside two others; None where it failed."""
    if result.failure or result.warm_up is None:
        return None
    rates = [rate(sample) for sample in result.samples]
    return EpochFigures(
        **dataclasses.asdict(figures(result.samples, floor.samples)),
        items_per_second_min=min(rates),
        items_per_second_max=max(rates),
        faster=ratio(result.samples, tutorial.samples, rate),
        less_cpu=ratio(result.samples, tutorial.samples, _items_per_cpu_second),
        first_batch_ms=1e3 * statistics.median(sample.first for sample in result.samples),
        cold_first_batch_ms=1e3 * result.warm_up.first,
        resume_s=statistics.median(result.resumed) if result.resumed else None,
    )


def _items_per_cpu_second(sample: Sample) -> float:
    return sample.items / sample.cpu


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A row of the table.

    Attributes:
      kind: One of `PEERS`.
      result: How it did.
      figures: What that comes to; None where it failed.
    """

    kind: str
    result: Result
    figures: EpochFigures | None

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON; it has `figures` or a `failure`."""
        return {
            "name": self.result.contender.name,
            "kind": self.kind,
            "pixels": self.result.contender.note,
            "versions": self.result.versions,
            "figures": self.figures and dataclasses.asdict(self.figures),
            "failure": self.result.failure or None,
        }

    def cells(self) -> tuple[str, ...]:
        """All of it, for people."""
        name, found = self.result.contender.name, self.figures
        if found is None:
            return name, self.result.failure
        return (
            name,
            f"{found.items_per_second:,.0f}",
            f"{found.items_per_second_min:,.0f}..{found.items_per_second_max:,.0f}",
            _three_digits(found.faster),
            _three_digits(found.cpu_ms),
            f"{_three_digits(found.cpu_ms_min)}..{_three_digits(found.cpu_ms_max)}",
            _three_digits(found.less_cpu),
            _three_digits(found.ratio),
            f"{found.first_batch_ms:,.0f}",
            f"{found.cold_first_batch_ms:,.0f}",
            _three_digits(found.resume_s),
            f"{found.peak_mb:,.0f}",
            self.result.contender.note,
        )


_HEAD = (
    "contender",
    *("images/s", "min..max", "x faster", "CPU ms/image", "min..max", "x less CPU", "x floor"),
    *("first ms", "cold ms", "resume s", "MB"),
    "pixels",
)
_LEGEND = """\
images/s: by the clock; median of the rounds, and their spread. x faster, x less CPU: beside the
tutorials' tf.data in the same round. CPU ms/image: all threads and processes. x floor: CPU time
beside that of the decoder alone, libjpeg-turbo with exact DCT and chroma. first ms: from asking for
an epoch to its first batch; cold ms: the same of the very first epoch. resume s: until the batch at
90 % of an epoch, of a loader that was just made: ours by at(step), tf.data's by skip(n) of batches,
which computes what it passes over, others by leaving out the files before; "-": has no way. MB: the
most that the largest process held, with the part of our caches that it has mapped. ALIASED: resizes
without a filter, which costs less, and gives other pixels than the rest. "crop and flip" is at
random: ours crops what was resized to 8/7 of the size, others the photo. Caches are full before
the first epoch; "filling a cache" is all of mmdata.build, beside which "mmdata, uint8" is an epoch
of the same pipeline without one. The workers of torch start anew each epoch."""


def _three_digits(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 99.95 else f"{value:#.3g}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """What was compared, on what, and the outcome.

    Attributes:
      machine: Processor, cores, system and Python.
      photos: The files, of which copies were read.
      captions: The captions that came with them, in turn.
      size: (height, width) that the images were resized to.
      rounds: Epochs that count.
      count: Images of an epoch, each a file of its own.
      entries: One a contender.
    """

    machine: str
    photos: photos.Photos
    captions: captions.Captions
    size: tuple[int, int]
    rounds: int
    count: int
    entries: Sequence[Entry]

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        files = dataclasses.asdict(self.photos)
        return {
            "machine": self.machine,
            "photos": files | {"paths": len(self.photos.paths)},
            "captions": {"source": self.captions.source, "count": len(self.captions.texts)},
            "size": self.size,
            "rounds": self.rounds,
            "images_per_round": self.count,
            "contenders": [entry.to_dict() for entry in self.entries],
        }

    def __str__(self) -> str:
        """The table, with what one needs to read it."""
        height, width = self.size
        versions = [entry.result.versions.split(", ") for entry in self.entries]
        return "\n".join(
            [
                f"{self.photos}",
                f"{self.captions}",
                f"{self.count:,} copies, each a file of its own, become batches of {BATCH} images "
                f"of {height} x {width} (height x width); {self.rounds} round(s), in turn",
                self.machine,
                ", ".join(filter(None, dict.fromkeys(itertools.chain(*versions)))),
                "",
                *table.lines(_HEAD, [entry.cells() for entry in self.entries], figures=11),
                "",
                _LEGEND,
            ]
        )


def compare(
    folder: pathlib.Path,
    texts: pathlib.Path,
    *,
    size: tuple[int, int],
    rounds: int,
    count: int,
) -> Comparison:
    """Runs mmdata and its peers on copies of the same JPEG files, on the same cores.

    Args:
      folder: Where to look for JPEG files.
      texts: Where the captions are; see `captions.choose`. Which image they belong to is not asked.
      size: (height, width) to resize to, in pixels.
      rounds: Epochs of each contender that count.
      count: Images of an epoch, >= 1; made a multiple of the batch.

    Raises:
      FileNotFoundError, NotADirectoryError: A path is not there, or no folder.
      ValueError: One holds no JPEG, or the other no captions.
    """
    chosen, said = photos.choose(folder, count), captions.choose(texts, count)
    count = math.ceil(count / BATCH) * BATCH
    with tempfile.TemporaryDirectory(prefix="mmdata-bench-") as name:
        temporary = pathlib.Path(name)
        results = measure(
            _contenders(prepare(temporary, chosen, said, size, count), count),
            rounds=rounds,
            folder=temporary,
            environment={
                "HF_HOME": str(temporary / "home"),
                "MMDATA_HOME": str(temporary / "home"),
            },
        )
    return Comparison(
        machine=machine.describe(),
        photos=chosen,
        captions=said,
        size=size,
        rounds=rounds,
        count=count,
        entries=_entries(results),
    )


def prepare(
    folder: pathlib.Path,
    chosen: photos.Photos,
    said: captions.Captions,
    size: tuple[int, int],
    count: int,
) -> epoch_peers.Work:
    """Writes what contenders read."""
    images, scratch, threads = folder / "images", folder / "scratch", machine.cores()
    scratch.mkdir()
    files = chosen.copy(images, count)
    return epoch_peers.Work(
        files=files,
        folder=str(images),
        size=size,
        threads=threads,
        captions=said.repeated(count),
        shards=write_shards(folder / "shards", files, _SHARDS_A_WORKER * threads),
        scratch=str(scratch),
    )


def write_shards(folder: pathlib.Path, files: Sequence[str], count: int) -> tuple[str, ...]:
    """Writes tar files of about equally many files, in order, into a new folder."""
    folder.mkdir()
    shards = []
    for number in range(count):
        first, end = (len(files) * place // count for place in (number, number + 1))
        shards.append(str(folder / f"{number:06}.tar"))
        with tarfile.open(shards[-1], "w") as shard:
            for file in files[first:end]:
                shard.add(file, arcname=os.path.basename(file))
    return tuple(shards)


def _contenders(work: epoch_peers.Work, count: int) -> list[Contender]:
    start = int(_RESUMED_AT * (count // BATCH))
    return [
        peer.contender(work, count, start=start)
        for peer in itertools.chain.from_iterable(PEERS.values())
    ]


def _entries(results: Sequence[Result]) -> list[Entry]:
    by_name = {result.contender.name: result for result in results}
    floor, tutorial = (by_name[PEERS[kind][0].name] for kind in ("floor", "peer"))
    kinds = [kind for kind, peers in PEERS.items() for _ in peers]
    return [
        Entry(kind=kind, result=result, figures=summarize(result, floor, tutorial))
        for kind, result in zip(kinds, results, strict=True)
    ]
