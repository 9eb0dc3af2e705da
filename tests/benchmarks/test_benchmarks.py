"""Benchmarks compare like with like; speed is not tested."""

import dataclasses
import functools
import importlib.util
import io
import json
import math
import multiprocessing
import os
import pathlib
import tarfile
import types
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mmdata.files.scan import scan
from tests.benchmarks import (
    epoch_peers,
    epochs,
    export_web,
    fakes,
    image_peers,
    images,
    inputs,
    measuring,
    text,
    text_peers,
)
from tests.benchmarks.fakes import steady
from tests.benchmarks.image_peers import BATCH
from tests.benchmarks.measuring import Epoch, Peer, Result, Sample

PHOTOS = 7
SIZE = (60, 80)
CAPTIONS = (
    "A dog runs on the beach.",
    "Two dogs are running, one of them barking!",
    "The man's café isn't open",
    "THE TRAIN ENGINE IS RED",
    "a surfer surfing a wave",
)


def photo(number: int) -> Image.Image:
    """Fine stripes, which alias, with a different grey for each number."""
    y, x = np.mgrid[:240, :320]
    stripes = np.where((x + 2 * y) % 5 < 2, 50, 0)[..., np.newaxis]
    return Image.fromarray((25 * number + stripes + [0, 10, 20]).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    root = tmp_path_factory.mktemp("photos")
    for number in range(PHOTOS):
        photo(number).save(root / f"{number}.jpg", quality=92)
    return root


# Inputs


def test_photos_are_found_by_content(tmp_path: pathlib.Path) -> None:
    jpeg, png = io.BytesIO(), io.BytesIO()
    photo(0).save(jpeg, "JPEG")
    photo(0).save(png, "PNG")
    (tmp_path / "below").mkdir()
    names = ("a.jpg", "b.JPEG", "below/c.jpg", "d.png", "e.jpg")
    for name in names:
        (tmp_path / name).write_bytes(jpeg.getvalue())
    for name in ("f.png", "g.jpg"):
        (tmp_path / name).write_bytes(png.getvalue())
    (tmp_path / "notes.txt").write_text("no photo")
    photos = inputs.choose_photos(tmp_path, 99)
    assert [photo.relative_to(tmp_path).as_posix() for photo in photos] == list(names)
    assert inputs.describe(photos).startswith("5 JPEG file(s), median 320 x 240 pixels and ")
    for most, chosen in ((1, "a"), (2, "ae"), (3, "ace")):
        assert "".join(path.stem for path in inputs.choose_photos(tmp_path, most)) == chosen


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "one dog\n\n  two\tdogs \r\nthree, dogs"),
        (
            "a.json",
            json.dumps({"annotations": [{"caption": c} for c in ("one dog", " ", "two  dogs\n")]
                        + [{"caption": "three, dogs"}]}),
        ),
    ],
)  # fmt: skip
def test_captions_are_evenly_spread_and_repeated(
    tmp_path: pathlib.Path, name: str, content: str
) -> None:
    file = tmp_path / name
    file.write_text(content, "utf-8")
    captions = ["one dog", "two dogs", "three, dogs"]
    assert inputs.choose_captions(file, 2) == captions[::2]
    assert inputs.choose_captions(file, 7) == [*captions, *captions, captions[0]]


def test_nothing_to_read(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.txt").write_text(" \n\n")
    with pytest.raises(ValueError, match="IMAGES must be a folder of JPEG files"):
        inputs.choose_photos(tmp_path, 1)
    with pytest.raises(ValueError, match="CAPTIONS must hold captions"):
        inputs.choose_captions(tmp_path / "a.txt", 1)


def test_copies_are_different_files_with_the_same_pixels(
    folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    photos = inputs.choose_photos(folder, 2)
    copies = inputs.copy_photos(photos, tmp_path / "copies", 5)
    assert sorted(map(str, (tmp_path / "copies").iterdir())) == list(copies)
    keys = scan(str(tmp_path / "copies"), [os.path.basename(copy) for copy in copies]).keys
    assert len(set(keys.tolist())) == 5
    for number, copy in enumerate(copies):
        with Image.open(copy) as ours, Image.open(photos[number % 2]) as theirs:
            np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


def test_shards_hold_all_files_in_order(tmp_path: pathlib.Path) -> None:
    files = [str(tmp_path / f"{number}.jpg") for number in range(7)]
    for file in files:
        pathlib.Path(file).touch()
    shards = inputs.write_shards(tmp_path / "shards", files, 3)
    assert sorted(map(str, (tmp_path / "shards").iterdir())) == list(shards)
    members = []
    for shard in shards:
        with tarfile.open(shard) as opened:
            members.append(opened.getnames())
    assert members == [["0.jpg", "1.jpg"], ["2.jpg", "3.jpg"], ["4.jpg", "5.jpg", "6.jpg"]]


# Measuring


def test_each_peer_has_its_own_process() -> None:
    expected = {
        steady: "",
        fakes.missing: "not installed: pip install a-package",
        fakes.broken: "failed: ImportError: libcudnn.so.9: cannot open shared object file",
        fakes.failing: "failed: last line",
        fakes.incomplete: "failed: ValueError: an epoch must have 8 items; got 7.",
        fakes.dying: "failed: its process ended with SIGKILL",
        # Workers start as they do for users.
        fakes.start_method: f"failed: ValueError: {multiprocessing.get_start_method()}",
        fakes.busy: "",
        fakes.heavy: "",
        fakes.failing_late: "failed: ValueError: cannot start at batch 1",
    }
    resumable = (fakes.heavy, fakes.failing_late)
    peers = [
        Peer(
            prepare.__name__,
            prepare,
            ("no_such_library",) if prepare is fakes.missing else ("numpy",),
            "a-package",
            resumes=prepare in resumable,
        )
        for prepare in expected
    ]
    held = np.ones(300_000_000, np.uint8)  # memory of the parent, not of a peer
    results = measuring.measure(peers, None, count=8, rounds=2, start=1)
    assert not multiprocessing.active_children()
    assert [result.failure for result in results] == list(expected.values())
    whole = {result.peer.name: result for result in results if not result.failure}
    assert list(whole) == ["steady", "busy", "heavy"]
    for result in whole.values():
        assert result.versions == f"numpy {np.__version__}"
        assert result.warm_up is not None
        assert [sample.items for sample in result.samples] == [8, 8]
    assert 1e6 < whole["steady"].samples[0].peak < held.nbytes
    assert whole["busy"].samples[0].cpu > 0.29
    assert 200e6 < whole["busy"].samples[0].peak < held.nbytes
    assert whole["heavy"].samples[-1].peak < 300e6
    assert [len(result.resumed) for result in whole.values()] == [0, 0, 2]


def test_timing_starts_when_a_batch_is_requested(monkeypatch: pytest.MonkeyPatch) -> None:
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

    def prepare() -> Epoch:
        wait(100)
        return epoch

    clock = types.SimpleNamespace(perf_counter=lambda: now, process_time=lambda: 10 * now)
    monkeypatch.setattr(measuring, "time", clock)
    sample = measuring.take(types.SimpleNamespace(epoch=epoch), 8)  # type: ignore[arg-type]
    assert (sample.items, sample.wall, sample.first) == (8, 14, 2)
    assert sample.cpu == pytest.approx(140)
    assert measuring.resume(None, prepare) == 2


def measured(
    name: str, samples: Sequence[tuple[float, float, float]], resumed: Sequence[float] = ()
) -> Result:
    """A result from (CPU seconds, wall seconds, seconds to the first batch) of 1,000 items."""
    return Result(
        peer=Peer(name, steady, (), "", "a note"),
        versions="lib 1.0",
        warm_up=Sample(1000, 1, 1, 1, 0.75),
        samples=[Sample(1000, cpu, wall, 5 * 10**7, first) for cpu, wall, first in samples],
        resumed=list(resumed),
    )


FLOOR = measured(images.FLOOR.name, [(1, 9, 0)] * 3)
TUTORIAL = measured(images.TUTORIAL.name, [(3, 4, 0), (2, 4, 0), (8, 4, 0)])
OURS = measured("ours", [(1, 2, 0.3), (4, 1, 0.1), (2, 4, 0.2)], [0.5, 0.125, 2])
ABSENT = Result(peer=Peer("absent", steady, (), ""), failure="not installed: ...")


def test_ratios_compare_values_of_one_round() -> None:
    row = images.rows([FLOOR, TUTORIAL, OURS, ABSENT])[2]
    assert row == {
        "peer": "ours",
        "images/s": "500",
        "min..max": "250..1,000",
        "x faster": "2.00",
        "CPU ms": "2.00",
        "CPU min..max": "1.00..4.00",
        "x less CPU": "3.00",
        "x floor": "2.00",
        "first ms": "200",
        "cold ms": "750",
        "resume s": "0.500",
        "MB": "50.0",
        "pixels": "a note",
        "versions": "lib 1.0",
    }


def test_a_peer_that_is_not_installed_is_named_and_has_no_ratio() -> None:
    floor, tutorial = (dataclasses.replace(ABSENT, peer=one.peer) for one in (FLOOR, TUTORIAL))
    rows = images.rows([floor, tutorial, OURS])
    assert rows[0] == {"peer": FLOOR.peer.name, "pixels": "not installed: ..."}
    assert {rows[2][name] for name in ("x faster", "x less CPU", "x floor")} == {"-"}
    lines = [line.split() for line in measuring.table(rows).splitlines()]
    assert lines[0] == " ".join(rows[2]).split()[1:]
    assert lines[1] == [*FLOOR.peer.name.split(), *"-----------", "not", "installed:", "...", "-"]
    assert lines[3][:2] == ["ours", "500"]


def test_the_bars_have_the_lengths_of_their_labels() -> None:
    results = [
        dataclasses.replace(result, peer=peer)
        for result, peer in zip(
            (FLOOR, OURS, ABSENT, TUTORIAL),
            (images.FLOOR, *epochs.MMDATA[:2], images.TUTORIAL),
            strict=True,
        )
    ]
    (axes,) = epochs.draw(results).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == [images.FLOOR.name, epochs.MMDATA[0].name, images.TUTORIAL.name]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([1000 / 9, 500, 250])
    assert [label.get_text().split()[0] for label in axes.texts] == ["111", "500", "250"]
    assert len({bar.get_facecolor() for bar in axes.patches}) == 3


# Image peers


@pytest.fixture(scope="module")
def work(
    folder: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[image_peers.Work]:
    """Two batches of the photos in turn; the second begins with another photo than the first."""
    file = tmp_path_factory.mktemp("captions") / "captions.txt"
    file.write_text("a red dog\ntwo cats on the left\nthree birds\n", "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images.os, "environ", dict(os.environ))  # type: ignore[attr-defined]
        with images.work_of(folder, file, 2 * BATCH, SIZE) as made:
            yield made


def images_of(epoch: Epoch) -> NDArray[Any]:
    """All images of an epoch."""
    return np.concatenate(
        [np.array(getattr(batch, "as_array", lambda b=batch: b)()) for batch in epoch()]
    )


IN_PROCESS = {"mmdata", "tensorflow", "keras", "PIL", "cv2"}  # torch must not meet TensorFlow
RANDOM = "crop and flip"
ALL = list(dict.fromkeys((*images.PEERS[1:], *epochs.MMDATA, *epochs.OTHERS)))
GIVING_PIXELS = [peer for peer in ALL if peer.prepare is not epoch_peers.ours_filling]
FAST = ("mmdata, uint8", "tf.data as in tutorials", "Pillow in threads", "OpenCV in threads")
"""One peer of each kind; tests of the others take half a minute."""


def slow_but(peers: Sequence[Peer], *fast: str) -> list[Any]:
    """Parameters for peers; all are marked slow except those named in `fast`."""
    marks = {peer: () if peer.name in fast else pytest.mark.slow for peer in peers}
    return [pytest.param(peer, id=peer.name, marks=marks[peer]) for peer in peers]


@functools.cache
def computed(peer: Peer, work: image_peers.Work, start: int | None = None) -> NDArray[Any]:
    """All images of a peer, channels last."""
    options = {} if start is None else {"start": start}
    prepare = functools.partial(peer.prepare, **options)
    for module in peer.modules:
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            pytest.skip(f"needs {peer.package}")
    if set(peer.modules) <= IN_PROCESS:
        found = images_of(prepare(work))
    else:
        one = peer._replace(prepare=prepare)
        count = len(work.files) - BATCH * (start or 0)
        (result,) = measuring.measure([one], work, count=count, rounds=1, examine=images_of)
        assert not result.failure, result.failure
        found = result.examined
    return found if found.shape[-1] == 3 else found.transpose(0, 2, 3, 1)


@functools.cache
def expected(work: image_peers.Work) -> NDArray[np.float64]:
    """The photos as resized by Pillow."""
    found = []
    for file in work.files:
        with Image.open(file) as opened:
            found.append(np.asarray(opened.resize(SIZE[::-1], Image.Resampling.BILINEAR), float))
    return np.stack(found)


def which(pixels: NDArray[Any], work: image_peers.Work) -> list[int]:
    """The nearest photo of each image."""
    means = expected(work)[:PHOTOS].mean(axis=(1, 2, 3))
    found = pixels.mean(axis=(1, 2, 3))
    return [int(row) for row in np.abs(found[:, np.newaxis] - means).argmin(axis=1)]


@pytest.mark.parametrize("peer", slow_but(GIVING_PIXELS, *FAST))
def test_pixels_match_the_notes_and_no_image_is_missing(peer: Peer, work: image_peers.Work) -> None:
    found = computed(peer, work)
    assert found.shape == (2 * BATCH, *SIZE, 3)
    resized, dtype, order = peer.note.split(", ", 2)
    assert found.dtype == dtype
    if RANDOM in peer.name:
        return
    pixels = found.astype(float) * (255 if found.max() <= 1 else 1)
    turns = [number % PHOTOS for number in range(2 * BATCH)]
    rows = which(pixels, work)
    assert sorted(rows) == sorted(turns)
    if order != "shards in turn":  # the order of the files only with one worker
        assert (rows == turns) == (order == "in order")
    distance = np.abs(pixels - expected(work)[rows]).mean(axis=(1, 2, 3))
    assert {
        "antialiased": distance.max() < 1,
        "ALIASED": distance.min() > 2,
        "approximate": distance.max() < 2,
        "area filter": distance.max() < 2,
    }[resized]


RESUMING = [
    peer
    for peer in dict.fromkeys((*epochs.OTHERS, *epochs.MMDATA))
    if peer.resumes
    and (
        peer in epochs.OTHERS or peer.name in ("mmdata, captioning", "mmdata cached, crop and flip")
    )
]


@pytest.mark.parametrize("peer", slow_but(RESUMING, "tf.data as in tutorials"))
def test_resuming_gives_the_rest_of_an_epoch(peer: Peer, work: image_peers.Work) -> None:
    rest = computed(peer, work, start=1)
    assert rest.shape == (BATCH, *SIZE, 3)
    is_ours = peer.modules[0] == "mmdata"
    if is_ours or (RANDOM not in peer.name and ("in order" in peer.note or peer.name == "Grain")):
        np.testing.assert_array_equal(rest, computed(peer, work)[BATCH:])


def test_the_floors_decode_exactly_and_copy_batches_of_the_same_size(
    work: image_peers.Work,
) -> None:
    decoded: Any = list(image_peers.decode_only(work)())
    assert len(decoded) == 2 * BATCH
    with Image.open(work.files[-1]) as opened:
        np.testing.assert_array_equal(decoded[-1][0], np.asarray(opened))
    for dtype in ("uint8", "float32"):
        batches: Any = list(epoch_peers.copy_batches(work, dtype=dtype)())
        assert [(batch.shape, batch.dtype, batch.min()) for batch in batches] == [
            ((BATCH, *SIZE, 3), dtype, 1)
        ] * 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prepare", "ending"),
    [
        (epoch_peers.ours, None),
        (functools.partial(epoch_peers.ours, cached=True), "*.row.npy"),
        (epoch_peers.tf_cached_bytes, "tf-data-uint8.index"),
        (epoch_peers.tf_cached_floats, "tf-data-float32.index"),
    ],
)
def test_caches_are_full_before_an_epoch(
    work: image_peers.Work, tmp_path: pathlib.Path, prepare: Any, ending: str | None
) -> None:
    prepare(dataclasses.replace(work, scratch=str(tmp_path)))
    if ending is None:
        assert not list(tmp_path.iterdir())
    else:
        written = sum(path.stat().st_size for path in tmp_path.rglob("*"))
        assert len(list(tmp_path.rglob(ending))) == 1
        assert written > 2 * BATCH * math.prod(SIZE) * 3


@pytest.mark.slow
def test_filling_starts_with_an_empty_cache_each_time(work: image_peers.Work) -> None:
    epoch = epoch_peers.ours_filling(work)
    folder = pathlib.Path(work.scratch, "filling")
    written = []
    for _ in range(2):
        assert sum(map(len, epoch())) == 2 * BATCH
        written.append({path: path.stat().st_mtime_ns for path in folder.rglob("*.row.npy")})
    assert written[0]
    assert not set(written[0].values()) & set(written[1].values())


# Text peers


def test_ids_of_every_caption_are_compared() -> None:
    ours = measured("mmdata", [(0.1, 9, 0), (0.2, 9, 0), (0.4, 9, 0)])
    theirs = measured("a peer", [(0.2, 9, 0), (1.0, 9, 0), (0.8, 9, 0)])
    ours.examined, theirs.examined = np.array([1, 2, 3]), np.array([1, 9, 9])
    assert text.row(ours, ours) == {
        "peer": "mmdata",
        "captions/CPU s": "5,000",
        "min..max": "2,500..10,000",
        "mmdata is x": "1.00",
        "captions/s": "111",
        "ids": "same",
        "versions": "lib 1.0",
    }
    row = text.row(theirs, ours)
    assert (row["captions/CPU s"], row["mmdata is x"], row["ids"]) == ("1,250", "2.00", "2 differ")
    row = text.row(theirs, ABSENT)
    assert (row["mmdata is x"], row["ids"]) == ("-", "-")
    assert text.row(ABSENT, ours) == {"peer": "absent", "ids": "not installed: ..."}


def test_checksums_of_different_ids_differ() -> None:
    rows = [[1, 2], [2, 1], [1, 2, 0], [], [0], [1, 2]]
    sums = text_peers.checksums(lambda: [rows[:2], rows[2:]])
    assert sums[0] == sums[5]
    assert len(set(sums.tolist())) == 5


@pytest.fixture(scope="module", params=text.GROUPS)
def group(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    open_clip: pathlib.Path,
) -> tuple[str, text_peers.Work]:
    """A group with its work: captions for two batches, of which the second is short."""
    folder = tmp_path_factory.mktemp(request.param)
    captions = folder / "captions.txt"
    captions.write_text("\n".join((CAPTIONS * 60)[:290]), "utf-8")
    write, _ = text.GROUPS[request.param]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(open_clip.parent)  # CLIP's merges, as if it were installed
        return request.param, write(folder, captions)


def test_peers_tokenize_all_captions_to_the_same_ids(
    group: tuple[str, text_peers.Work],
) -> None:
    name, work = group
    _, (ours, *others) = text.GROUPS[name]
    epoch = ours.prepare(work)
    batches: Any = list(epoch())
    assert list(map(len, batches)) == [256, 34]
    rows = [row for batch in batches for row in batch]
    assert rows[:34] == rows[30:64] == [rows[place % 5] for place in range(34)]
    assert len({tuple(row) for row in rows}) == 5
    sums = text_peers.checksums(epoch)
    np.testing.assert_array_equal(sums, text_peers.checksums(lambda: [rows]))
    rust = [peer for peer in others if peer.modules == ("tokenizers",)]
    assert rust
    for peer in rust:
        np.testing.assert_array_equal(text_peers.checksums(peer.prepare(work)), sums)
    if name == "WordPiece":
        tokens = pathlib.Path(work.vocabulary).read_text("utf-8").split("\n")
        assert tokens[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        assert "cafe" in tokens
        assert all(token.islower() for token in tokens[5:] if token.strip("#").isalpha())


# Exports


def test_an_export_is_compared_with_a_cache_of_the_same_round() -> None:
    seconds = {"cache": [(1.0, 2.0), (1.0, 4.0)], "export": [(3.0, 4.0), (3.0, 5.0)]}
    cache, export = export_web.rows(seconds, {"cache": 8000, "export": 2000}, 4)
    assert (cache["images/s"], cache["x cache"], cache["kB"]) == ("1.50", "1.00", "2.00")
    assert (export["images/s"], export["x cache"], export["kB"]) == ("0.900", "0.650", "0.500")
    assert export["CPU ms"] == "750"
