"""The command `mmdata cache`."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner, Result

from mmdata.cli import main
from mmdata.storage.manifest import VERSION
from mmdata.storage.row_store import Store, locked
from mmdata.storage.shards import contents
from mmdata.storage.user_cache import user_cache

SHAPE = (8, 8, 3)


def run(*words: object, answer: str = "") -> Result:
    return CliRunner().invoke(main, ["cache", *map(str, words)], input=answer)


def fill(root: pathlib.Path, stage: str, count: int) -> pathlib.Path:
    """Keeps some rows; returns their folder."""
    identities = np.stack([np.arange(count), np.arange(count)], 1)
    rows = np.zeros((count, *SHAPE), np.uint8)
    store = Store(root, settings={"stage": stage, "n": 5}, shape=SHAPE, dtype=np.dtype(np.uint8))
    store.fill(identities, lambda p: [(p, rows[p])], lambda p: p + 1, what="test")
    return store.folder


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    """Two stores, and what is not mmdata's."""
    root = tmp_path / "pixels"
    first, second = fill(root, "Resize(size=(8, 8))", 7), fill(root, "Crop", 12)
    os.utime(first / "manifest.json", (10**9, 10**9))
    os.utime(second / "manifest.json", (10**9 + 10**6, 10**9 + 10**6))
    (root / "notes.txt").write_text("mine")
    (root / "project").mkdir()
    known = json.loads((first / "manifest.json").read_text())
    (root / "project" / "manifest.json").write_text(json.dumps(known))
    (root / "project" / "00000.row.npy").write_text("mine")
    (second / "README").write_text("mine")
    return root


def left(root: pathlib.Path) -> list[str]:
    paths = (path for path in root.rglob("*") if path.is_file())
    return sorted(path.name for path in paths)


MINE = ["00000.row.npy", "README", "manifest.json", "notes.txt"]


def test_show(root: pathlib.Path) -> None:
    result = run("show", root)
    assert result.exit_code == 0
    lines = [line for line in result.output.splitlines() if "rows of" in line]
    assert lines == [
        "12 rows of uint8 [8, 8, 3], 0.00 GB, last used " + lines[0][-16:],
        "7 rows of uint8 [8, 8, 3], 0.00 GB, last used " + lines[1][-16:],
    ]
    assert "2001-09-" in lines[0]
    for words in ("stage: Resize(size=(8, 8))", "stage: Crop", "n: 5", f"in {root}"):
        assert words in result.output


def test_show_as_json(root: pathlib.Path) -> None:
    second, first = json.loads(run("show", root, "--json").output)
    assert (first["rows"], second["rows"]) == (7, 12)
    assert first["settings"] == {"stage": "Resize(size=(8, 8))", "n": 5}
    assert (first["shape"], first["dtype"], first["used"]) == ([8, 8, 3], "uint8", 10**9)
    names = {"settings", "shape", "dtype", "format", "folder", "rows", "size", "used"}
    assert set(first) == names
    sizes = (path.stat().st_size for path in pathlib.Path(first["folder"]).glob("*.npy"))
    assert first["size"] == sum(sizes) > 7 * 192


def test_filling_is_a_use(root: pathlib.Path) -> None:
    fill(root, "Resize(size=(8, 8))", 7)
    assert [kept.rows for kept in contents(root)] == [7, 12]


def test_verify(root: pathlib.Path) -> None:
    assert run("verify", root).exit_code == 0
    shard = min(root.glob("*/00000.identity.npy")).with_name("00000.row.npy")
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    status = shard.stat()
    shard.write_bytes(content)
    os.utime(shard, ns=(status.st_atime_ns, status.st_mtime_ns))
    result = run("verify", root)
    assert result.exit_code == 1
    assert f"{shard}: its rows are not what was written." in result.output
    assert "1 damaged files removed" in result.output
    assert not shard.exists()
    assert not shard.with_name("00000.identity.npy").exists()
    again = run("verify", root)
    assert (again.exit_code, "0 damaged files removed" in again.output) == (0, True)


def test_caches_of_another_version_are_shown_and_cleared(root: pathlib.Path) -> None:
    folder = root / ("0" * 32)
    fill(root, "Older", 3).rename(folder)
    known = json.loads((folder / "manifest.json").read_text())
    known |= {"fingerprint": folder.name, "version": VERSION + 1, "shards": "elsewhere"}
    known["columns"]["row"] |= {"kind": "cube", "dtype": "<bf2"}
    (folder / "manifest.json").write_text(json.dumps(known))
    shown = run("show", root).output
    assert "3 rows of <bf2 [8, 8, 3]" in shown
    assert shown.count("written by another version; this version does not read it") == 1
    checked = run("verify", root)
    assert (checked.exit_code, "19 rows are right" in checked.output) == (0, True)
    assert fill(root, "Older", 2) != folder
    assert run("clear", root, "--yes").exit_code == 0
    assert left(root) == MINE


def test_clear_asks(root: pathlib.Path) -> None:
    before = left(root)
    for answer in ("n\n", "\n", ""):
        result = run("clear", root, answer=answer)
        assert result.exit_code == 1
        assert "Remove 19 rows, 0.00 GB, from" in result.output
        assert left(root) == before
    result = run("clear", root, answer="y\n")
    assert result.exit_code == 0
    assert "removed 19 rows, 0.00 GB." in result.output
    assert left(root) == MINE


def test_clear_removes_what_is_half_written(root: pathlib.Path) -> None:
    folder = fill(root, "Other", 3)
    (folder / ".mmdata-0123abcd" / "new").mkdir(parents=True)
    (folder / ".mmdata-0123abcd" / "new" / "00001.row.npy").write_bytes(b"x")
    (folder / "00002.row.npy").write_bytes(b"x")
    assert run("clear", root, "--yes").exit_code == 0
    assert left(root) == MINE
    assert not folder.exists()
    assert run("clear", root).output == f"{root}: removed 0 rows, 0.00 GB.\n"


def test_a_renamed_folder_is_not_ours(root: pathlib.Path) -> None:
    fill(root, "Other", 3).rename(root / "kept")
    assert [kept.rows for kept in contents(root)] == [12, 7]
    run("clear", root, "--yes")
    assert (root / "kept" / "00000.row.npy").exists()


@pytest.mark.parametrize("command", ["clear", "verify"])
def test_waits_for_processes_that_fill(root: pathlib.Path, command: str) -> None:
    (folder,) = (kept.folder for kept in contents(root) if kept.rows == 7)
    words = [*([] if command == "verify" else ["--yes"]), str(root)]
    code = "import sys; from mmdata.cli import main; main(sys.argv[1:])"
    with locked(folder):
        process = subprocess.Popen(
            [sys.executable, "-c", code, "cache", command, *words],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        assert process.stderr.readline().startswith("mmdata: waiting for another process, in")
        assert (folder / "00000.row.npy").exists()
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    assert (folder / "00000.row.npy").exists() == (command == "verify")
    assert out.startswith(str(root))


def test_filling_waits_for_processes_that_clear(root: pathlib.Path) -> None:
    (folder,) = (kept.folder for kept in contents(root) if kept.rows == 7)
    code = """
import pathlib, sys
sys.path.insert(0, sys.argv[2])
from test_cache_command import fill
fill(pathlib.Path(sys.argv[1]), "Resize(size=(8, 8))", 9)
"""
    with locked(folder):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(root), str(pathlib.Path(__file__).parent)],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        assert process.stderr.readline().startswith("mmdata: waiting")
        for path in folder.iterdir():  # as `clear` does, with the lock last
            if path.name != "lock":
                path.unlink()
        (folder / "lock").unlink()
        folder.rmdir()
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "keeping 9 rows" in errors
    assert {kept.folder: kept.rows for kept in contents(root)}[folder] == 9


@pytest.mark.parametrize("command", ["show", "verify", "clear"])
def test_the_folder_that_is_meant_by_default(command: str) -> None:
    result = run(command)
    assert result.exit_code == 0
    assert str(user_cache() / "pixels") in result.output
    assert not (user_cache() / "pixels").exists()


@pytest.mark.parametrize("command", ["show", "verify", "clear"])
def test_a_folder_that_is_not_there(tmp_path: pathlib.Path, command: str) -> None:
    result = run(command, tmp_path / "nope")
    assert result.exit_code == 2
    assert "must be a folder; got nothing there" in result.output
    (tmp_path / "file").write_text("")
    assert "must be a folder; got a file" in run(command, tmp_path / "file").output
