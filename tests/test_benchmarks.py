"""The command `mmdata bench`: that it is honest, not that it is fast."""

import dataclasses
import functools
import io
import itertools
import json
import multiprocessing
import os
import pathlib
import select
import signal
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from mmdata.benchmarks import image_peers, measuring
from mmdata.benchmarks.contending import Contender, Epoch, Sample
from mmdata.benchmarks.figures import figures
from mmdata.benchmarks.images import ALIASED, ANTIALIASED, PEERS, Comparison
from mmdata.benchmarks.photos import Photos, choose
from mmdata.cli import main

SIZE = (60, 80)
ALWAYS_THERE = {"mmdata", "tensorflow", "keras", "PIL"}


def photo(height: int = 240, width: int = 320, seed: int = 0) -> Image.Image:
    """Gradients, soft shapes, fine stripes and grain."""
    y, x = np.mgrid[:height, :width].astype(float)
    red = 255 * x / width
    green = 127 + 100 * np.sin(y / 9 + seed) * np.cos(x / 31)
    blue = np.where((x + 2 * y) % 5 < 2, 220, 40)
    grain = np.random.default_rng(seed).normal(0, 10, (height, width, 3))
    return Image.fromarray((np.stack([red, green, blue], -1) + grain).clip(0, 255).astype(np.uint8))


def encoded(picture: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, quality=92)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Five JPEG files, one of them by another name; a PNG file, one by a false name; a text."""
    root = tmp_path_factory.mktemp("photos")
    (root / "below").mkdir()
    for number, name in enumerate(("a.jpg", "b.JPEG", "below/c.jpg", "d.png", "e.jpg")):
        (root / name).write_bytes(encoded(photo(seed=number), "JPEG"))
    for name in ("f.png", "g.jpg"):
        (root / name).write_bytes(encoded(photo(), "PNG"))
    (root / "notes.txt").write_text("no photo")
    return root


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["bench", "images", *map(str, words)])


# The command


def test_every_contender_has_figures_or_a_reason(folder: pathlib.Path) -> None:
    result = run(folder, "--images", 4, "--rounds", 1, "--image-size", "32x48", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["size"], told["rounds"], told["images_per_round"]) == ([32, 48], 1, 256)
    assert (told["photos"]["paths"], told["photos"]["other"]) == (4, 3)
    assert [contender["name"] for contender in told["contenders"]] == [peer.name for peer in PEERS]
    for contender, peer in zip(told["contenders"], PEERS, strict=True):
        assert (contender["figures"] is None) == (contender["failure"] is not None)
        if set(peer.modules) <= ALWAYS_THERE:
            assert contender["failure"] is None, contender
            assert contender["figures"]["cpu_ms"] > 0
            assert contender["figures"]["peak_mb"] > 1
            assert peer.modules[0] in contender["versions"]
    assert not multiprocessing.active_children()


def _empty(root: pathlib.Path) -> list[object]:
    return [root]


def _only_png(root: pathlib.Path) -> list[object]:
    (root / "a.jpg").write_bytes(encoded(photo(), "PNG"))
    return [root]


def _file(root: pathlib.Path) -> list[object]:
    (root / "a.jpg").write_bytes(encoded(photo(), "JPEG"))
    return [root / "a.jpg"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (_empty, 1, "none of whose 0 image file(s) is a JPEG"),
        (_only_png, 1, "none of whose 1 image file(s) is a JPEG"),
        (_file, 1, "must be a folder"),
        (lambda root: [root / "nowhere"], 1, "nowhere"),
        (lambda root: [root, "--image-size", "0x224"], 2, "--image-size"),
        (lambda root: [root, "--image-size", "x224"], 2, "--image-size"),
        (lambda root: [root, "--rounds", 0], 2, "--rounds"),
        (lambda root: [root, "--images", 0], 2, "--images"),
        (lambda _: [], 2, "IMAGES"),
    ],
)
def test_bad_arguments(tmp_path: pathlib.Path, arguments: Any, status: int, words: str) -> None:
    result = run(*arguments(tmp_path))
    assert result.exit_code == status
    assert words in result.output
    assert "Traceback" not in result.output


# The files


def test_choose_goes_by_content_and_counts_the_rest(folder: pathlib.Path) -> None:
    photos = choose(folder, 99)
    assert [os.path.relpath(path, folder) for path in photos.paths] == [
        *("a.jpg", "b.JPEG", "below/c.jpg", "d.png", "e.jpg")
    ]
    assert (photos.height, photos.width, photos.other) == (240, 320, 3)
    assert str(photos).startswith("5 JPEG file(s), median 320 x 240 pixels and ")
    assert str(photos).endswith("; 3 other file(s) left out")


@pytest.mark.parametrize(("most", "names"), [(1, "a"), (2, "ae"), (3, "ace"), (5, "abcde")])
def test_choose_spreads(folder: pathlib.Path, most: int, names: str) -> None:
    assert [pathlib.Path(path).name[0] for path in choose(folder, most).paths] == list(names)


def test_links_repeat_the_files_in_turn(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    photos = choose(folder, 2)
    links = photos.link(tmp_path / "links", 5)
    assert sorted(map(str, (tmp_path / "links").iterdir())) == list(links)
    assert [os.path.realpath(link) for link in links] == [
        os.path.realpath(photos.paths[number % 2]) for number in range(5)
    ]


# The figures


def sample(cpu: float, wall: float, peak: int = 0) -> Sample:
    return Sample(items=1000, cpu=cpu, wall=wall, peak=peak)


@pytest.mark.parametrize(
    ("samples", "floor", "expected"),
    [
        (
            [sample(4, 2, 10**6), sample(2, 1, 3 * 10**6), sample(9, 4, 2 * 10**6)],
            [sample(2, 1), sample(2, 1), sample(3, 1)],
            (4, 2, 9, 2, 500, 3),
        ),
        ([sample(2, 1), sample(6, 2)], [sample(1, 1), sample(2, 1)], (4, 2, 6, 2.5, 750, 0)),
        ([sample(5, 2)], [], (5, 5, 5, None, 500, 0)),
    ],
)
def test_figures(
    samples: list[Sample], floor: list[Sample], expected: tuple[float | None, ...]
) -> None:
    assert dataclasses.astuple(figures(samples, floor)) == pytest.approx(expected)


def contender(prepare: Any, name: str, module: str = "numpy") -> Contender:
    return Contender(
        name=name, prepare=prepare, count=8, modules=(module,), package="a-package", note=ALIASED
    )


def test_the_table_names_whoever_has_no_figures() -> None:
    floor = measuring.Result(
        contender=contender(steady, "floor"), versions="", samples=(), failure="not installed: ..."
    )
    other = measuring.Result(
        contender=contender(steady, "other"),
        versions="lib 1.0",
        samples=(sample(4, 2, 5 * 10**7), sample(5, 2)),
        failure="",
    )
    photos = Photos(paths=("a", "b"), height=480, width=640, size=150_000, other=7)
    comparison = Comparison(
        machine="a machine", photos=photos, size=(64, 32), rounds=2, count=256,
        results=[floor, other],
    )  # fmt: skip
    lines = str(comparison).splitlines()
    assert "floor      not installed: ..." in lines
    row = next(line for line in lines if line.startswith("other"))
    assert row.split() == ["other", "4.50", "4.00..5.00", "-", "500", "50", ALIASED, "lib", "1.0"]
    assert "7 other file(s) left out" in lines[0]
    assert "a machine" in lines


# The processes


def steady() -> Epoch:
    return lambda: [range(5), range(3)]


def missing() -> Epoch:
    raise ModuleNotFoundError("No module named 'no_such_library.part'", name="no_such_library.part")


def broken() -> Epoch:
    raise ImportError("libcudnn.so.9: cannot open shared object file")


def failing() -> Epoch:
    """Fails in the second round that counts."""
    epochs = itertools.count()

    def epoch() -> Any:
        yield range(8)
        if next(epochs) == 2:
            raise ValueError("first line\n  last line")

    return epoch


def forgetful() -> Epoch:
    return lambda: [range(7)]


def dying() -> Epoch:
    def epoch() -> Any:
        yield range(4)
        os.kill(os.getpid(), signal.SIGKILL)

    return epoch


def crashing() -> Epoch:
    print("disk on fire", file=sys.stderr, flush=True)
    os._exit(3)


def test_whoever_fails_is_named_and_the_others_go_on(tmp_path: pathlib.Path) -> None:
    expected = {
        steady: "",
        missing: "not installed: pip install a-package",
        broken: "failed: ImportError: libcudnn.so.9: cannot open shared object file",
        failing: "failed: last line",
        forgetful: "failed: ValueError: an epoch must have 8 items; got 7.",
        dying: "failed: its process ended with SIGKILL",
        crashing: "failed: its process ended with exit status 3: disk on fire",
    }
    contenders = [
        contender(prepare, prepare.__name__, "no_such_library" if prepare is missing else "numpy")
        for prepare in expected
    ]
    results = measuring.measure(contenders, rounds=2, folder=tmp_path, environment={})
    assert [result.failure for result in results] == list(expected.values())
    assert [len(result.samples) for result in results] == [2, 0, 0, 0, 0, 0, 0]
    assert results[0].versions == f"numpy {np.__version__}"
    assert {one.items for one in results[0].samples} == {8}
    assert not multiprocessing.active_children()


def hanging() -> Epoch:
    threading.Event().wait()
    return steady()


def test_whoever_hangs_is_ended(tmp_path: pathlib.Path) -> None:
    hangs = contender(hanging, "hangs")
    (result,) = measuring.measure([hangs], rounds=1, folder=tmp_path, environment={}, patience=0.1)
    assert result.failure == "failed: no answer in 0.1 seconds"
    assert not multiprocessing.active_children()


def employing(pipe: str) -> Epoch:
    """Starts a process that holds the pipe open as long as it lives."""
    with open(pipe, "wb") as end:
        command = [sys.executable, "-c", "import threading; threading.Event().wait()"]
        subprocess.Popen(command, pass_fds=[end.fileno()])
        end.write(b"!")
    return steady()


def test_an_interrupt_leaves_no_process_behind(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: object) -> None:
        assert len(multiprocessing.active_children()) == 2
        raise KeyboardInterrupt

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    monkeypatch.setattr(tqdm, "update", interrupt)
    prepare = functools.partial(employing, str(pipe))
    contenders = [contender(prepare, "one"), contender(hanging, "other")]
    with pytest.raises(KeyboardInterrupt):
        measuring.measure(contenders, rounds=1, folder=tmp_path, environment={})
    assert not multiprocessing.active_children()
    assert os.read(end, 2) == b"!"
    assert select.select([end], [], [], 20)[0]
    assert os.read(end, 2) == b""
    os.close(end)


def busy() -> Epoch:
    """Has a process of its own do the work, which holds 200 MB."""

    def epoch() -> Any:
        command = "import time\nheld = b'1' * 200_000_000\nwhile time.process_time() < 0.3: pass"
        subprocess.run([sys.executable, "-c", command], check=True)
        yield range(8)

    return epoch


def test_the_time_and_memory_of_processes_that_it_starts_count(tmp_path: pathlib.Path) -> None:
    (result,) = measuring.measure(
        [contender(busy, "busy")], rounds=1, folder=tmp_path, environment={}
    )
    assert result.samples[0].cpu > 0.29
    assert 200e6 < result.samples[0].peak < 300e6


def test_the_memory_of_whoever_started_it_does_not_count(tmp_path: pathlib.Path) -> None:
    held = np.ones(300_000_000, np.uint8)
    (result,) = measuring.measure(
        [contender(steady, "steady")], rounds=1, folder=tmp_path, environment={}
    )
    assert 1e6 < result.samples[0].peak < held.nbytes


def telling() -> Epoch:
    raise ValueError(os.environ["OF_A_CONTENDER"], multiprocessing.get_start_method())


def test_contenders_find_the_environment_and_start_processes_as_users_do(
    tmp_path: pathlib.Path,
) -> None:
    (result,) = measuring.measure(
        [contender(telling, "telling")],
        rounds=1,
        folder=tmp_path,
        environment={"OF_A_CONTENDER": "seen"},
    )
    usual = multiprocessing.get_start_method()
    assert result.failure == f"failed: ValueError: ('seen', {usual!r})"
    assert "OF_A_CONTENDER" not in os.environ


# What they compute


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> image_peers.Work:
    """One photo, as often as a batch has images: some shuffle."""
    root = tmp_path_factory.mktemp("work")
    (root / "photo.jpg").write_bytes(encoded(photo(), "JPEG"))
    links = choose(root, 1).link(root / "links", image_peers.BATCH)
    return image_peers.Work(files=links, folder=str(root / "links"), size=SIZE, threads=2)


def difference(epoch: Epoch, work: image_peers.Work) -> float:
    """Mean distance from what Pillow computes, in grey levels."""
    (batch,) = epoch()
    images: NDArray[Any] = np.asarray(getattr(batch, "as_array", lambda: batch)(), np.float64)
    assert images.shape == (image_peers.BATCH, *SIZE, 3)
    with Image.open(work.files[0]) as opened:
        expected = np.asarray(opened.resize(SIZE[::-1], Image.Resampling.BILINEAR), np.float64)
    return float(np.abs(images - expected).mean(axis=(1, 2, 3)).max())


@pytest.mark.parametrize("peer", PEERS[1:], ids=lambda peer: peer.name)
def test_what_is_said_of_the_pixels_is_so(peer: Any, work: image_peers.Work) -> None:
    try:
        distance = difference(peer.prepare(work), work)
    except ImportError as err:
        pytest.skip(f"needs {peer.package}: {err}")
    if peer.note == ANTIALIASED:
        assert distance < 1
    elif peer.note == ALIASED:
        assert distance > 2
    else:
        assert distance < 2


def test_the_floor_decodes_exactly(work: image_peers.Work) -> None:
    pytest.importorskip("simplejpeg")
    with Image.open(work.files[0]) as opened:
        expected = np.asarray(opened)
    epoch: Any = image_peers.decode_only(work)
    for (image,) in epoch():
        np.testing.assert_array_equal(image, expected)
