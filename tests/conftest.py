"""Fixtures for every test."""

import pathlib
from collections.abc import Callable, Iterator, Mapping

import pytest
from hypothesis import settings

settings.register_profile("mmdata", deadline=None)  # a busy machine is no failure
settings.load_profile("mmdata")

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """A folder of its own for what mmdata learns: no test reads or fills the user's cache."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMDATA_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def coco() -> pathlib.Path:
    """The folder of real photos and captions."""
    folder = pathlib.Path(__file__).parents[2] / "shared" / "data" / "coco-mini"
    if not folder.is_dir():
        pytest.skip(f"needs real photos and captions in {folder}")
    return folder


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
