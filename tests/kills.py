"""Kills exports at many points, runs them again, and compares with a run without a kill.

python tests/kills.py FOLDER [resume]
"""

import contextlib
import functools
import hashlib
import importlib
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

import mmdata
from mmdata.export.serving import ImageDecoder, export_preprocessing
from mmdata.pairs.pairs import Pairs
from mmdata.storage.web_manifest import read_web_manifest
from mmdata.training.resume import Resume

EVENTS = ("os.mkdir", "os.rename", "os.remove", "os.rmdir")
"""What changes a folder, beside opening files; see Python's table of audit events."""

Call = Callable[[Pairs, pathlib.Path], None]


def to_saved_model(_: Pairs, folder: pathlib.Path) -> None:
    images = ImageDecoder(mmdata.Pixels(size=(8, 8)))
    export_preprocessing(folder / "model", images=images, overwrite=True)


def to_site(pairs: Pairs, folder: pathlib.Path) -> None:
    # What an earlier run has counted and saved would make fewer changes.
    os.environ["MMDATA_HOME"] = tempfile.mkdtemp(dir=folder.parent)
    mmdata.export_web(pairs.with_split("train"), folder / "site", image_size=8, text="byte")


CALLS: dict[str, Call] = {
    "csv": lambda pairs, folder: pairs.to_csv(folder / "new" / "deeper" / "a.csv"),
    "jsonl": lambda pairs, folder: pairs.to_jsonl(folder / "a.jsonl"),
    "parquet": lambda pairs, folder: pairs.to_parquet(folder / "a.parquet"),
    "sidecar": lambda pairs, folder: pairs.to_sidecar(folder / "texts"),
    "shards": lambda pairs, folder: pairs.to_webdataset(folder / "shards", images_per_shard=2),
    "croissant": lambda pairs, folder: pairs.to_croissant(folder / "a.json", name="a"),
    "card": lambda pairs, folder: pairs.to_card(folder / "README.md", name="a"),
    "model": to_saved_model,
    "web": to_site,
}
"""Exports. All but the card and the folders replace what an older one has written."""


def run(call: Callable[[], object], folder: pathlib.Path, kill_at: int = 0) -> int:
    """Runs a call in its own process.

    Args:
      call: What to run.
      folder: Where it writes.
      kill_at: Before which change of the folder it is killed, from 1; 0 for none.

    Returns:
      How many changes there were; 0 if it was killed.
    """
    receive, send = os.pipe()
    process = os.fork()
    if not process:
        with contextlib.suppress(BaseException):
            _run_and_count(call, folder, kill_at, send)
        os._exit(1)
    os.close(send)
    with open(receive) as answer:
        changes = int(answer.read() or 0)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert code == (-signal.SIGKILL if kill_at else 0), (folder, kill_at, code)
    return changes


def _run_and_count(
    call: Callable[[], object], folder: pathlib.Path, kill_at: int, send: int
) -> None:
    changes = 0

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal changes
        if event in EVENTS or (event == "open" and str(folder) in str(arguments[0])):
            changes += 1
            if changes == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    try:
        call()
    except FileExistsError as err:  # it was killed when all was there
        print(err, file=sys.stderr)
    os.write(send, str(changes).encode())
    os._exit(0)


def contents(folder: pathlib.Path) -> dict[str, str | None]:
    """The content of a folder, by path; None for a subfolder."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else _digest(path)
        for path in folder.rglob("*")
    }


def _digest(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def prepare(folder: pathlib.Path, name: str) -> Pairs:
    """A folder with images, and in half of the cases an older export of other captions."""
    images = folder / "images"
    images.mkdir(parents=True)
    for number in range(5):
        Image.new("RGB", (4 + number, 3), (50 * number, 0, 0)).save(images / f"{number}.png")
        (images / f"{number}.txt").write_text(f"picture {number}\n")
    older = mmdata.read(images)
    for number in range(5):
        (images / f"{number}.txt").write_text(f"another picture {number}\n")
    if name in ("jsonl", "parquet", "croissant"):
        CALLS[name](older, folder)
    elif name == "model":
        (folder / "model").mkdir()
        (folder / "model" / "saved_model.pb").write_bytes(b"an older one")
    elif name == "web":  # not in this process, whose forks could not use TensorFlow any more
        run(functools.partial(CALLS[name], older, folder), folder)
    return mmdata.read(images)


def require_own_table(folder: pathlib.Path) -> None:
    """Checks that an existing Croissant file describes the existing table."""
    document = folder / "a.json"
    if document.exists():
        (table,) = (
            each for each in json.loads(document.read_text())["distribution"] if "sha256" in each
        )
        assert table["sha256"] == _digest(folder / table["contentUrl"])


def require_whole_site(folder: pathlib.Path) -> None:
    """Checks that all files that the manifest names are there and undamaged."""
    site = folder / "site"
    for file in read_web_manifest(site).files:
        content = (site / file.file).read_bytes()
        assert (len(content), zlib.crc32(content)) == (file.bytes, file.crc32)


def compare(root: pathlib.Path, name: str, kills: int, rng: random.Random) -> tuple[int, int]:
    """Raises AssertionError if a killed export leaves anything else when it is run again.

    Returns:
      How many kills there were, and how many left something that a run without a kill does not.
    """
    whole = root / name / "whole"
    pairs = prepare(whole, name)
    changes = run(functools.partial(CALLS[name], pairs, whole), whole)
    expected = contents(whole)
    if name == "model":  # a SavedModel has random names inside
        expected = {path: digest and "" for path, digest in expected.items()}
    chosen = range(1, changes + 1)
    points = [2, changes, *rng.sample(chosen, kills - 2)] if kills < changes else chosen
    left = 0
    for number, point in enumerate(points):
        folder = root / name / str(number)
        pairs = prepare(folder, name)
        before = contents(folder)
        call = functools.partial(CALLS[name], pairs, folder)
        run(call, folder, point)
        left += not contents(folder).keys() <= before.keys() | expected.keys()
        if name == "croissant":
            require_own_table(folder)
        if name == "web":
            require_whole_site(folder)
        run(call, folder)
        found = contents(folder)
        if name == "model":
            found = {path: digest and "" for path, digest in found.items()}
        assert found == expected, (name, point, sorted(found.items() ^ expected.items()))
        shutil.rmtree(folder)
    print(f"{name}: {changes} changes, killed {len(points)} times, {left} left something")
    return len(points), left


class Weights:
    """A variable of a model."""

    path, dtype, shape = "dense/kernel", "float32", (100, 100)


class Saves(Resume):
    """A training that can be saved without a model, in processes that are forked."""

    _settings: Any = {}  # noqa: RUF012 - in place of a property
    _done, _stopped = 3, None

    def _variables(self) -> list[Any]:
        return [Weights()] * 3

    def _array(self, variable: Any) -> Any:
        return np.zeros((1, *variable.shape), np.float32)


def kill_saves(folder: pathlib.Path, count: int) -> None:
    """Raises AssertionError if the next save does not remove what a killed one left."""
    resume, left = Saves(folder), 0
    changes = run(resume._save, folder)
    for point in np.linspace(2, changes, count, dtype=int).tolist():
        run(resume._save, folder, point)
        left += os.listdir(folder) != ["resume.npz"]
        run(resume._save, folder)
        assert os.listdir(folder) == ["resume.npz"], point
    print(f"resume: killed {count} times, {left} left something, 0 after they were run again")
    run(resume._save, folder, changes // 2)
    (folder / "resume.npz").unlink()


def main() -> None:
    """Compares all formats, or kills saves of training."""
    root, rng = pathlib.Path(sys.argv[1]), random.Random(0)
    if sys.argv[2:] == ["resume"]:
        kill_saves(root, 10)
        return
    for library in ("mlcroissant", "pyarrow.parquet"):  # once, not in each process
        importlib.import_module(library)
    kills_of = {"croissant": 12, "web": 3}
    found = [compare(root, name, kills_of.get(name, 4), rng) for name in CALLS]
    kills, left = map(sum, zip(*found, strict=True))
    print(f"killed {kills} times, {left} left something, 0 after they were run again")


if __name__ == "__main__":
    main()
