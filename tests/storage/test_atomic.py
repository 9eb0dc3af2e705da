"""Files and folders are complete or missing; leftovers of killed processes are removed."""

import concurrent.futures
import errno
import fcntl
import os
import pathlib
import shutil
import signal
import subprocess
import sys
from typing import Any

import pytest

from mmdata.storage import atomic
from mmdata.storage.atomic import Staging, replacing, require_writable, sweep, write

KILLED = """
import os, pathlib, signal, sys
from mmdata.storage import atomic

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def write_folder(target, *, at):
    real = getattr(os, at, None)
    with atomic.replacing(target, replace_folder=True) as path:
        path.mkdir()
        (path / "a").write_text("new")
        if real is None:
            die()
        setattr(os, at, die)

write_folder(pathlib.Path(sys.argv[1]), at=sys.argv[2])
"""


def killed(target: pathlib.Path, at: str) -> None:
    """Runs a process that is killed while it writes a folder, before it calls `os.<at>`."""
    process = subprocess.run([sys.executable, "-c", KILLED, target, at], check=False)
    assert process.returncode == -signal.SIGKILL


def names(folder: pathlib.Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_a_file_takes_its_place_at_the_end(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "new" / "deeper" / "a.txt"
    for content in ("one", "two"):
        with replacing(target) as path:
            path.write_text(content)
            assert path.name == "a.txt"
            assert target.exists() == (content == "two")
        assert target.read_text() == content
    assert names(target.parent) == ["a.txt"]


def test_on_an_exception_nothing_is_left(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "new" / "deeper" / "a.txt"
    for error in (KeyboardInterrupt, ValueError, OSError):
        with pytest.raises(error):
            write_and_raise(target, error)
        assert names(tmp_path) == []
    write(target, b"one")
    with pytest.raises(SystemExit):
        write_and_raise(target, SystemExit)
    assert (names(target.parent), target.read_bytes()) == (["a.txt"], b"one")
    with pytest.raises(FileNotFoundError), replacing(target):
        pass
    assert (names(target.parent), target.read_bytes()) == (["a.txt"], b"one")


def write_and_raise(target: pathlib.Path, error: type[BaseException]) -> None:
    with replacing(target) as path:
        path.write_text("x")
        raise error


def test_folders_that_others_fill_in_between_stay(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "new" / "a.txt"):
        (tmp_path / "new" / "other.txt").write_text("x")
    assert names(tmp_path / "new") == ["other.txt"]


def test_only_what_may_be_replaced_is(tmp_path: pathlib.Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(OSError, match="full"), replacing(tmp_path / "full") as path:
        path.mkdir()
    with pytest.raises(IsADirectoryError):
        write(tmp_path / "full", b"x")
    assert names(tmp_path / "full") == ["mine"]
    for name in ("empty", "full"):
        with replacing(tmp_path / name, replace_folder=name == "full") as path:
            path.mkdir()
            (path / "new").touch()
        assert names(tmp_path / name) == ["new"]
    assert names(tmp_path) == ["empty", "full"]
    with replacing(tmp_path / "full", replace_folder=True) as path:
        path.write_text("now a file")
    with replacing(tmp_path / "full", replace_folder=True) as path:
        path.mkdir()
    assert (names(tmp_path), names(tmp_path / "full")) == (["empty", "full"], [])


def test_a_folder_goes_back_when_the_new_one_cannot_be_moved(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise PermissionError

    target = tmp_path / "a"
    write(target / "mine", b"x")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(PermissionError), replacing(target, replace_folder=True) as path:
        path.mkdir()
    assert (names(tmp_path), names(target)) == (["a"], ["mine"])


def test_links_stay(tmp_path: pathlib.Path) -> None:
    (tmp_path / "behind").mkdir()
    (tmp_path / "link.txt").symlink_to("behind/a.txt")
    write(tmp_path / "link.txt", b"x")
    assert (tmp_path / "link.txt").is_symlink()
    assert names(tmp_path / "behind") == ["a.txt"]


@pytest.mark.parametrize("at", ["nowhere", "rename", "replace"])
def test_the_next_write_removes_what_a_killed_process_left(tmp_path: pathlib.Path, at: str) -> None:
    write(tmp_path / "there" / "a", b"old")
    killed(tmp_path / "there", at)
    assert len([name for name in names(tmp_path) if name.startswith(".mmdata-")]) == 1
    write(tmp_path / "b", b"x")
    assert names(tmp_path) == ["b", "there"]
    assert (tmp_path / "there" / "a").read_text() == "old"


def test_of_a_killed_process_only_a_new_folder_stays(tmp_path: pathlib.Path) -> None:
    killed(tmp_path / "new" / "there", "replace")
    write(tmp_path / "new" / "there", b"x")
    assert (names(tmp_path), names(tmp_path / "new")) == (["new"], ["there"])


def test_what_is_being_written_is_not_removed(tmp_path: pathlib.Path) -> None:
    code = """
import sys
from mmdata.storage.atomic import replacing
with replacing(sys.argv[1]) as path:
    path.write_text("theirs")
    print("written", flush=True)
    sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "theirs")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        with replacing(tmp_path / "mine") as path:
            path.write_text("mine")
            sweep(tmp_path)
            assert len(names(tmp_path)) == 2
        process.communicate("go on\n")
    assert process.returncode == 0
    assert names(tmp_path) == ["mine", "theirs"]


def test_other_names_are_not_ours(tmp_path: pathlib.Path) -> None:
    others = [".mmdata-0123abc", ".mmdata-0123abcde", ".mmdata", "x.mmdata-0123abcd"]
    for name in others:
        (tmp_path / name).mkdir()
    (tmp_path / ".mmdata-0123abcd").write_text("a file")
    sweep(tmp_path)
    assert names(tmp_path) == sorted([*others, ".mmdata-0123abcd"])


def test_many_write_in_one_place(tmp_path: pathlib.Path) -> None:
    def work(number: int) -> None:
        for turn in range(40):
            write(tmp_path / str((number + turn) % 5), b"%d" % number * 1000)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert names(tmp_path) == [*"01234"]
    assert {len(set((tmp_path / name).read_bytes())) for name in "01234"} == {1}


def test_a_folder_that_is_removed_before_it_is_locked(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its lock is opened, or after."""
    real = atomic._open_lock
    removed: list[pathlib.Path] = []

    def open_lock(folder: pathlib.Path) -> int:
        lock = real(folder) if removed else None
        if len(removed) < 2:
            removed.append(folder)
            shutil.rmtree(folder)
        return real(folder) if lock is None else lock

    monkeypatch.setattr(atomic, "_open_lock", open_lock)
    write(tmp_path / "a", b"x")
    assert names(tmp_path) == ["a"]
    assert len(removed) == 2


def test_file_systems_without_locks(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", lock)
    with replacing(tmp_path / "a") as path:
        path.write_text("x")
        write(tmp_path / "b", b"x")
        assert path.exists()
    assert names(tmp_path) == ["a", "b"]


def test_no_lock_stays_open(tmp_path: pathlib.Path) -> None:
    listed = pathlib.Path("/proc/self/fd")
    if not listed.is_dir():
        pytest.skip("this system does not list a process' descriptors")
    (tmp_path / ".mmdata-0123abcd").mkdir()
    before = len(names(listed))
    write(tmp_path / "a", b"x")
    with replacing(tmp_path / "b") as path:
        path.write_text("x")
        sweep(tmp_path)
    require_writable(tmp_path / "new")
    with pytest.raises(OSError, match="exists"):
        require_writable(tmp_path / "a")
    assert len(names(listed)) == before
    assert (names(tmp_path), names(tmp_path / "new")) == (["a", "b", "new"], [])


# No room.


@pytest.fixture(params=["ENOSPC", "EDQUOT"])
def full(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A disk on which nothing more can be brought: the error's text."""
    number: int = getattr(errno, request.param)

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    return os.strerror(number)


def test_a_full_disk(tmp_path: pathlib.Path, full: str) -> None:
    target = tmp_path / "new" / "a"
    with pytest.raises(OSError, match="cannot be written") as caught:
        write(target, bytes(12_345))
    why = f"{target}: cannot be written ({full}); needs 12,345 bytes. "
    assert caught.value.strerror is not None
    assert caught.value.strerror.startswith(why)
    assert caught.value.strerror.endswith("or write to another folder.")
    with (
        pytest.raises(OSError, match=r"needs more than 1,000 bytes\."),
        replacing(target) as path,
    ):
        path.write_bytes(bytes(1000))
    staging = Staging(tmp_path)
    with pytest.raises(OSError, match=r"b: cannot be written \(.*\); needs 1,000 bytes\."):
        staging.write("b", bytes(1000))
    staging.close()
    assert names(tmp_path) == []


def test_a_file_that_must_not_grow(tmp_path: pathlib.Path) -> None:
    code = """
import resource, sys
from mmdata.storage.atomic import write
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write(sys.argv[1], bytes(5000))
except OSError as err:
    print(err.errno, err.strerror)
"""
    target = tmp_path / "a"
    out = subprocess.run(
        [sys.executable, "-c", code, target], capture_output=True, text=True, check=True
    ).stdout
    assert out.startswith(
        f"{errno.EFBIG} {target}: cannot be written (File too large); needs 5,000"
    )
    assert "ulimit -f" in out
    assert names(tmp_path) == []
