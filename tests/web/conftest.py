"""What the tests of mmdata.js need: Node, and packages of npm."""

import os
import pathlib
import shutil
import subprocess

import filelock
import pytest

_HERE = pathlib.Path(__file__).parent


@pytest.fixture(scope="session")
def node() -> str:
    """The path of Node."""
    path = shutil.which("node")
    if path is None and "CI" not in os.environ:
        pytest.skip("needs Node 18 or later, e.g. apt install nodejs npm")
    assert path
    return path


@pytest.fixture(scope="session")
def node_modules(node: str) -> pathlib.Path:  # noqa: ARG001 - skips without Node
    """The packages of `package.json`; installs them if they are missing."""
    folder = _HERE / "node_modules"
    with filelock.FileLock(_HERE / ".npm.lock"):
        if not (folder / ".package-lock.json").exists():
            subprocess.run(
                ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=_HERE, check=True
            )
    return folder
