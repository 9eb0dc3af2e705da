"""Fixtures for every test."""

import gc
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# No deadline: a busy machine is no failure.
settings.register_profile("check", deadline=None, max_examples=50)
settings.register_profile("run", deadline=None, max_examples=100)
settings.load_profile("run" if os.environ.get("CI") else "check")


def pytest_configure(config: pytest.Config) -> None:
    """For `-m "not slow"`, TensorFlow without its optimizers: most graphs of tests run once.

    Slow tests, and those that `.ci/run` repeats, have TensorFlow as users have it.
    """
    runs_tests = config.getoption("dist", "no") == "no"  # with xdist, true only in its workers
    if config.option.markexpr == "not slow" and runs_tests:
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # before the import
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def pytest_ignore_collect(collection_path: pathlib.Path, config: pytest.Config) -> bool | None:
    """Collects `borders/` only for `-m border` or without `-m`: it needs libraries of its own.

    With `-m border` and CI set, a missing library is an error.
    """
    if collection_path.name != "borders":
        return None
    if config.option.markexpr not in ("", "border"):
        return True
    wanted = ("jax", "keras_hub", "torch")
    missing = [name for name in wanted if importlib.util.find_spec(name) is None]
    if missing and "CI" in os.environ and config.option.markexpr == "border":
        raise pytest.UsageError(f"{collection_path} needs {', '.join(missing)}: see .ci/run.")
    return None


Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """A folder of its own for what mmdata learns: no test reads or fills the user's cache."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMDATA_HOME", str(folder))
        yield folder


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled as soon as they are written: no test waits for it."""
    monkeypatch.setattr("mmdata.files.status._SETTLED", 0)


@pytest.fixture(scope="session")
def rewrite() -> Callable[..., None]:
    """Writes into a file, or puts another in its place, and sets the time of modification back."""

    def rewrite_file(path: pathlib.Path, content: bytes, *, inode: bool = False) -> None:
        before = os.stat(path)
        while os.stat(path).st_ctime_ns == before.st_ctime_ns:  # some systems count in steps
            target = path.with_name(f"{path.name}.new") if inode else path
            target.write_bytes(content)
            os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
            os.replace(target, path)

    return rewrite_file


@pytest.fixture(scope="module", autouse=True)
def _frozen() -> Iterator[None]:
    """TensorFlow keeps its graphs: without this, each collection would look through all of them."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def coco() -> pathlib.Path:
    """The folder of real photos and captions."""
    folder = pathlib.Path(__file__).parents[2] / "shared" / "data" / "coco-mini"
    if not folder.is_dir():
        pytest.skip(f"needs real photos and captions in {folder}")
    return folder


@pytest.fixture(scope="session")
def open_clip(pytestconfig: pytest.Config) -> pathlib.Path:
    """The two files of open_clip that tests need: its wheel is fetched once, and not installed."""
    folder = pytestconfig.cache.mkdir("open_clip")
    wheel = folder / "open_clip_torch-3.3.0-py3-none-any.whl"
    if not wheel.exists():
        fetch = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder)]
        subprocess.run([*fetch, "open_clip_torch==3.3.0"], check=True)
    with zipfile.ZipFile(wheel) as file:
        for name in ("tokenizer.py", "bpe_simple_vocab_16e6.txt.gz"):
            file.extract(f"open_clip/{name}", folder)
    return folder / "open_clip"


@pytest.fixture(scope="session")
def write() -> Write:
    """Writes files, given as relative path -> content, under a folder that it makes."""

    def write_files(root: pathlib.Path, files: Mapping[str, str | bytes]) -> pathlib.Path:
        root.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    return write_files


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Chromium without a window."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None and "CI" not in os.environ:
        pytest.skip("needs Chromium, e.g. apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
