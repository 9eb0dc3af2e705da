"""The command `mmdata bench epochs`: that what it measures is so, and what is said of pixels."""

import dataclasses
import functools
import importlib.util
import json
import math
import multiprocessing
import os
import pathlib
import tarfile
import time
import types
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image

from mmdata.benchmarks import captions, contending, epoch_peers, epochs, photos, plot
from mmdata.benchmarks.contending import Contender, Epoch, Peer, Sample
from mmdata.benchmarks.epochs import PEERS, Comparison, Entry, summarize
from mmdata.benchmarks.image_peers import BATCH
from mmdata.benchmarks.measuring import Result as Measured
from mmdata.benchmarks.measuring import measure
from mmdata.cli import main
from mmdata.files.scan import scan

PHOTOS = 7
SIZE = (60, 80)
BLUE, ORANGE = (0x1B, 0x6C, 0xA8), (0xD9, 0x8C, 0x3F)


def photo(number: int) -> Image.Image:
    """Fine stripes, which alias, in a grey of its own."""
    y, x = np.mgrid[:240, :320]
    stripes = np.where((x + 2 * y) % 5 < 2, 50, 0)[..., np.newaxis]
    return Image.fromarray((25 * number + stripes + [0, 10, 20]).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    root = tmp_path_factory.mktemp("photos")
    for number in range(PHOTOS):
        photo(number).save(root / f"{number}.jpg", quality=92)
    return root


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    file = tmp_path_factory.mktemp("captions") / "captions.txt"
    file.write_text("a red dog\ntwo cats on the left\nthree birds\n", "utf-8")
    return file


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["bench", "epochs", *map(str, words)])


# What is measured, of contenders that are there for this


def spin(seconds: float) -> None:
    """Takes so much CPU time, and so at least as much by the clock."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def _batches(work: epoch_peers.Work, start: int = 0) -> Iterator[Sequence[str]]:
    for first in range(start * BATCH, len(work.files), BATCH):
        yield work.files[first : first + BATCH]


def quick(work: epoch_peers.Work) -> Epoch:
    """Has its first batch at once, and takes its time for the rest."""

    def epoch() -> Iterator[Sequence[str]]:
        yield from _batches(work)
        spin(0.1)

    return epoch


def late(work: epoch_peers.Work, start: int = 0) -> Epoch:
    """Takes its time for the first batch: more the first time, most to begin late."""
    ready = False

    def epoch() -> Iterator[Sequence[str]]:
        nonlocal ready
        spin(0.2 * start if start else 0.05 if ready else 0.3)
        ready = True
        yield from _batches(work, start)

    return epoch


def heavy(work: epoch_peers.Work, start: int = 0) -> Epoch:
    """Needs 300 MB to begin late, which are none of an epoch's."""
    if start:
        np.ones(300_000_000, np.uint8)
    return lambda: _batches(work, start)


def failing_late(work: epoch_peers.Work, start: int = 0) -> Epoch:
    if start:
        raise ValueError(f"cannot begin with {start}")
    return lambda: _batches(work)


def missing(_: epoch_peers.Work) -> Epoch:
    raise ModuleNotFoundError("No module named 'no_such_library'", name="no_such_library")


NUMPY = (("numpy",), "numpy")
FAKES = {
    "floor": (Peer("quick", quick, *NUMPY),),
    "mmdata": (
        Peer("late", late, *NUMPY, "of a note", resumes=True),
        Peer("heavy", heavy, *NUMPY, resumes=True),
        Peer("missing", missing, ("no_such_library",), "a-package"),
    ),
    "peer": (
        Peer("tutorial", late, *NUMPY),
        Peer("failing late", failing_late, *NUMPY, resumes=True),
    ),
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("drawn") / "below" / "epochs.png"


@pytest.fixture(scope="module")
def told(folder: pathlib.Path, said: pathlib.Path, drawn: pathlib.Path) -> dict[str, Any]:
    """What the command tells, as JSON; it has drawn, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epochs, "PEERS", FAKES)
        result = run(
            *(folder, said, "--images", 35, "--rounds", 2, "--image-size", "32x48", "--json"),
            *("--plot", drawn),
        )
    assert result.exit_code == 0, result.output
    assert not multiprocessing.active_children()
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def figures_of(told: dict[str, Any], name: str) -> dict[str, float]:
    (found,) = (one["figures"] for one in told["contenders"] if one["name"] == name)
    figures: dict[str, float] = found
    return figures


def test_the_json_says_what_was_compared(told: dict[str, Any]) -> None:
    assert (told["size"], told["rounds"], told["images_per_round"]) == ([32, 48], 2, 64)
    assert told["captions"] == {"source": "captions.txt", "count": 3}
    assert (told["photos"]["paths"], told["photos"]["height"]) == (PHOTOS, 240)
    assert [(one["kind"], one["name"], one["failure"]) for one in told["contenders"]] == [
        ("floor", "quick", None),
        ("mmdata", "late", None),
        ("mmdata", "heavy", None),
        ("mmdata", "missing", "not installed: pip install a-package"),
        ("peer", "tutorial", None),
        ("peer", "failing late", "failed: ValueError: cannot begin with 1"),
    ]
    late = told["contenders"][1]
    assert (late["pixels"], late["versions"]) == ("of a note", f"numpy {np.__version__}")
    for one in told["contenders"]:
        assert (one["figures"] is None) == (one["failure"] is not None)


def test_first_batches_are_timed(told: dict[str, Any]) -> None:
    quick, late = figures_of(told, "quick"), figures_of(told, "late")
    assert 0 < quick["first_batch_ms"] <= 1e3 * 64 / quick["items_per_second_min"] - 100
    assert 50 <= late["first_batch_ms"] <= 1e3 * 64 / late["items_per_second_min"]
    assert late["cold_first_batch_ms"] >= 300
    assert late["resume_s"] >= 0.2
    assert figures_of(told, "quick")["resume_s"] is None


def test_ratios_are_those_of_a_round(told: dict[str, Any]) -> None:
    tutorial, late, quick = (figures_of(told, name) for name in ("tutorial", "late", "quick"))
    assert tutorial["faster"] == tutorial["less_cpu"] == quick["ratio"] == 1
    assert quick["cpu_ms"] > 1e3 * 0.1 / 64
    assert 0 < late["ratio"] < 1


def test_the_clock_begins_when_a_batch_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def wait(seconds: float) -> None:
        nonlocal now
        now += seconds

    def epoch() -> Iterator[range]:
        wait(2)
        yield range(5)
        wait(4)
        yield range(3)
        wait(8)

    def resume() -> Epoch:
        wait(100)
        return epoch

    clock = types.SimpleNamespace(perf_counter=lambda: now, process_time=lambda: 10 * now)
    monkeypatch.setattr(contending, "time", clock)
    sample = contending._measure(epoch, 8)
    assert (sample.items, sample.wall, sample.first) == (8, 14, 2)
    assert sample.cpu == pytest.approx(140)
    assert contending._resumed(resume).seconds == 2


def test_what_is_made_to_resume_is_not_in_the_memory_of_an_epoch(told: dict[str, Any]) -> None:
    assert 10 < figures_of(told, "heavy")["peak_mb"] < 300


@pytest.mark.usefixtures("told")
def test_the_picture_has_bars_of_each_kind(drawn: pathlib.Path) -> None:
    with Image.open(drawn) as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    for color in (BLUE, ORANGE):
        assert np.count_nonzero((pixels == color).all(axis=1)) > 500
    assert [path.name for path in drawn.parent.iterdir()] == ["epochs.png"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (lambda images, said: [images / "nowhere", said], 1, "nowhere"),
        (lambda images, said: [images, said.parent / "none.txt"], 1, "none.txt"),
        (lambda images, said: [images, said, "--images", 0], 2, "--images"),
        (lambda images, said: [images, said, "--plot", images], 2, "--plot"),
        (lambda images, said: [images, said, "--plot", said / "a.png"], 1, "captions.txt"),
        (lambda images, _: [images], 2, "CAPTIONS"),
    ],
)
def test_bad_arguments(
    folder: pathlib.Path, said: pathlib.Path, arguments: Any, status: int, words: str
) -> None:
    result = run(*arguments(folder, said))
    assert (result.exit_code, words in result.output) == (status, True)
    assert "Traceback" not in result.output


# The figures


def measured(
    name: str,
    samples: Sequence[tuple[float, float, float]] = (),
    *,
    resumed: Sequence[float] = (),
    failure: str = "",
) -> Measured:
    """Of (CPU seconds, wall seconds, seconds to the first batch) of 1,000 items."""
    made = [Sample(1000, cpu, wall, 5 * 10**7, first) for cpu, wall, first in samples]
    return Measured(
        contender=Contender(
            name=name, prepare=lambda: list, count=1000, modules=(), package="", note="a note"
        ),
        versions="" if failure else f"lib 1.0, {name}lib 2.0",
        samples=tuple(made),
        failure=failure,
        warm_up=None if failure else Sample(1000, 1, 1, 1, 0.75),
        resumed=tuple(resumed),
    )


OURS = measured("ours", [(1, 2, 0.3), (4, 1, 0.1), (2, 4, 0.2)], resumed=[0.5, 0.125, 2])
FLOOR = measured("floor", [(1, 9, 0), (1, 9, 0), (1, 9, 0)])
TUTORIAL = measured("tutorial", [(3, 4, 0), (2, 4, 0), (8, 4, 0)])
ABSENT = measured("absent", failure="not installed: ...")


def test_figures() -> None:
    figures = summarize(OURS, FLOOR, TUTORIAL)
    assert figures is not None
    assert dataclasses.asdict(figures) == pytest.approx(
        {
            "cpu_ms": 2,
            "cpu_ms_min": 1,
            "cpu_ms_max": 4,
            "ratio": 2,
            "items_per_second": 500,
            "items_per_second_min": 250,
            "items_per_second_max": 1000,
            "faster": 2,
            "less_cpu": 3,
            "first_batch_ms": 200,
            "cold_first_batch_ms": 750,
            "resume_s": 0.5,
            "peak_mb": 50,
        }
    )


def test_what_is_not_there_has_no_ratio() -> None:
    figures = summarize(FLOOR, ABSENT, ABSENT)
    assert figures is not None
    assert (figures.ratio, figures.faster, figures.less_cpu) == (None, None, None)
    assert figures.resume_s is None
    assert summarize(ABSENT, FLOOR, TUTORIAL) is None


def comparison() -> Comparison:
    kinds = ("floor", "mmdata", "mmdata", "peer")
    results = (FLOOR, OURS, ABSENT, TUTORIAL)
    return Comparison(
        machine="a machine",
        photos=photos.Photos(paths=("a", "b"), height=480, width=640, size=150_000, other=7),
        captions=captions.Captions(texts=("a dog", "a cat"), source="some.json"),
        size=(64, 32),
        rounds=3,
        count=1000,
        entries=[
            Entry(kind=kind, result=result, figures=summarize(result, FLOOR, TUTORIAL))
            for kind, result in zip(kinds, results, strict=True)
        ],
    )


def test_the_table() -> None:
    lines = [" ".join(line.split()) for line in str(comparison()).splitlines()]
    assert lines[:5] == [
        "2 JPEG file(s), median 640 x 480 pixels and 150 kB; 7 other file(s) left out",
        "2 caption(s) of some.json, median 2 words",
        "1,000 copies, each a file of its own, become batches of 32 images of 64 x 32 "
        "(height x width); 3 round(s), in turn",
        "a machine",
        "lib 1.0, floorlib 2.0, ourslib 2.0, tutoriallib 2.0",
    ]
    assert lines[7:11] == [
        "floor 111 111..111 0.444 1.00 1.00..1.00 3.00 1.00 0 750 - 50 a note",
        "ours 500 250..1,000 2.00 2.00 1.00..4.00 3.00 2.00 200 750 0.500 50 a note",
        "absent not installed: ...",
        "tutorial 250 250..250 1.00 3.00 2.00..8.00 1.00 3.00 0 750 - 50 a note",
    ]


def test_the_bars_are_as_long_as_they_say() -> None:
    (axes,) = plot.figure(comparison()).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["floor", "ours", "tutorial"]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([1000 / 9, 500, 250])
    assert [text.get_text().split()[0] for text in axes.texts] == ["111", "500", "250"]
    assert len({bar.get_facecolor() for bar in axes.patches}) == 3
    assert list(axes.get_yticks()) == pytest.approx([0, 1.6, 3.2])
    assert axes.get_xscale() == "log"


# What contenders read


def test_copies_are_files_of_their_own_with_the_same_pixels(
    folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    chosen = photos.choose(folder, 2)
    copies = chosen.copy(tmp_path / "copies", 5)
    assert sorted(map(str, (tmp_path / "copies").iterdir())) == list(copies)
    keys = scan(str(tmp_path / "copies"), [os.path.basename(copy) for copy in copies]).keys
    assert len(set(keys.tolist())) == 5
    for number, copy in enumerate(copies):
        with Image.open(copy) as ours, Image.open(chosen.paths[number % 2]) as theirs:
            np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
            assert ours.info["comment"] == b"%06d" % number


def test_shards_hold_all_files_in_order(tmp_path: pathlib.Path) -> None:
    files = []
    for number in range(7):
        (tmp_path / f"{number}.jpg").write_text(str(number))
        files.append(str(tmp_path / f"{number}.jpg"))
    shards = epochs.write_shards(tmp_path / "shards", files, 3)
    assert sorted(map(str, (tmp_path / "shards").iterdir())) == list(shards)
    members = []
    for shard in shards:
        with tarfile.open(shard) as opened:
            members.append(opened.getnames())
    assert members == [["0.jpg", "1.jpg"], ["2.jpg", "3.jpg"], ["4.jpg", "5.jpg", "6.jpg"]]


# What they compute


@pytest.fixture(scope="module")
def work(
    folder: pathlib.Path, said: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> epoch_peers.Work:
    """Two batches of the photos in turn; the second begins with another photo than the first."""
    return epochs.prepare(
        tmp_path_factory.mktemp("work"),
        photos.choose(folder, PHOTOS),
        captions.choose(said, 3),
        SIZE,
        2 * BATCH,
    )


def images_of(epoch: Epoch) -> NDArray[Any]:
    """All images of an epoch, channels last."""
    images = [np.array(getattr(batch, "as_array", lambda b=batch: b)()) for batch in epoch()]
    whole: NDArray[Any] = np.concatenate(images)
    return whole if whole.shape[-1] == 3 else whole.transpose(0, 2, 3, 1)


IN_PROCESS = {"mmdata", "tensorflow", "keras"}  # others must not meet TensorFlow, or are not there
RANDOM = "crop and flip"
OURS_RESUMING = ("mmdata, captioning", "mmdata cached, crop and flip")
ALL = [*PEERS["mmdata"], *PEERS["peer"]]
RESUMING = [
    peer for peer in ALL if peer.resumes and (peer in PEERS["peer"] or peer.name in OURS_RESUMING)
]


@functools.cache
def computed(peer: Peer, work: epoch_peers.Work, start: int | None = None) -> NDArray[Any]:
    how = {} if start is None else {"start": start}
    if set(peer.modules) <= IN_PROCESS:
        return images_of(peer.prepare(work, **how))
    for module in peer.modules:
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            pytest.skip(f"needs {peer.package}")
    contender = peer.contender(work, len(work.files), images_of)
    if start is not None:
        resumed = peer.contender(work, len(work.files) - start * BATCH, images_of, start)
        assert resumed.resume is not None
        contender = dataclasses.replace(resumed, prepare=resumed.resume, resume=None)
    (result,) = measure([contender], rounds=1, folder=pathlib.Path(work.scratch), environment={})
    assert not result.failure, result.failure
    images: NDArray[Any] = result.told
    return images


def expected(work: epoch_peers.Work) -> NDArray[np.float64]:
    images = []
    for file in work.files:
        with Image.open(file) as opened:
            images.append(np.asarray(opened.resize(SIZE[::-1], Image.Resampling.BILINEAR), float))
    return np.stack(images)


def which(images: NDArray[Any], work: epoch_peers.Work) -> list[int]:
    """The photo that each image is nearest to."""
    means = expected(work)[:PHOTOS].mean(axis=(1, 2, 3))
    scale = 255 if images.max() <= 1 else 1
    found = scale * images.astype(float).mean(axis=(1, 2, 3))
    return [int(row) for row in np.abs(found[:, np.newaxis] - means).argmin(axis=1)]


GIVING_PIXELS = [peer for peer in ALL if peer.prepare is not epoch_peers.ours_filling]


@pytest.mark.parametrize("peer", GIVING_PIXELS, ids=lambda peer: peer.name)
def test_what_is_said_of_the_pixels_is_so(peer: Peer, work: epoch_peers.Work) -> None:
    images = computed(peer, work)
    assert images.shape == (2 * BATCH, *SIZE, 3)
    resized, dtype, order = peer.note.split(", ", 2)
    assert images.dtype == dtype
    if RANDOM in peer.name:
        return
    turns = [number % PHOTOS for number in range(2 * BATCH)]
    found = which(images, work)
    assert sorted(found) == sorted(turns)
    if order != "shards in turn":  # which need not be so of one worker
        assert (found == turns) == (order == "in order")
    scale = 255 if images.max() <= 1 else 1
    distance = np.abs(scale * images.astype(float) - expected(work)[found]).mean(axis=(1, 2, 3))
    assert {"antialiased": distance.max() < 1, "ALIASED": distance.min() > 2}[resized]


@pytest.mark.parametrize("peer", RESUMING, ids=lambda peer: peer.name)
def test_resuming_gives_the_rest_of_an_epoch(peer: Peer, work: epoch_peers.Work) -> None:
    rest = computed(peer, work, start=1)
    assert rest.shape == (BATCH, *SIZE, 3)
    is_ours = peer.modules[0] == "mmdata"
    if is_ours or (RANDOM not in peer.name and ("in order" in peer.note or peer.name == "Grain")):
        np.testing.assert_array_equal(rest, computed(peer, work)[BATCH:])


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_copied_batches_are_of_the_size_of_others(work: epoch_peers.Work, dtype: str) -> None:
    batches: Any = list(epoch_peers.copy_batches(work, dtype=dtype)())
    assert [(batch.shape, batch.dtype, batch.min()) for batch in batches] == [
        ((BATCH, *SIZE, 3), dtype, 1)
    ] * 2


@pytest.mark.parametrize(
    ("prepare", "ending"),
    [
        (epoch_peers.ours, None),
        (functools.partial(epoch_peers.ours, cached=True), "*.npy"),
        (epoch_peers.tf_cached_bytes, "tf-data-uint8.index"),
        (epoch_peers.tf_cached_floats, "tf-data-float32.index"),
    ],
)
def test_caches_are_full_before_an_epoch(
    work: epoch_peers.Work, tmp_path: pathlib.Path, prepare: Any, ending: str | None
) -> None:
    prepare(dataclasses.replace(work, scratch=str(tmp_path)))
    if ending is None:
        assert not list(tmp_path.iterdir())
    else:
        written = sum(path.stat().st_size for path in tmp_path.rglob("*"))
        assert len(list(tmp_path.rglob(ending))) == 1
        assert written > 2 * BATCH * math.prod(SIZE) * 3


def test_filling_begins_with_nothing_each_time(work: epoch_peers.Work) -> None:
    epoch = epoch_peers.ours_filling(work)
    folder = pathlib.Path(work.scratch, "filling")
    written = []
    for _ in range(2):
        assert sum(map(len, epoch())) == 2 * BATCH
        written.append({path: path.stat().st_mtime_ns for path in folder.rglob("*.npy")})
    assert written[0]
    assert not set(written[0].values()) & set(written[1].values())
