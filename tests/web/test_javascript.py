"""`mmdata.js`: types, format, size, and its tests in Node's own runner."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import mmdata

pytestmark = pytest.mark.slow

HERE = pathlib.Path(__file__).parent
WEB = pathlib.Path(mmdata.__file__).parent / "web"
LARGEST = 40_000
"""Bytes of `mmdata.js` with all that it imports when it loads."""


def run(*command: str | pathlib.Path, **environment: str) -> None:
    """Runs a command in the folder of the tests; its output is the message of a failure."""
    done = subprocess.run(
        command,
        cwd=HERE,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def imported(module: pathlib.Path, found: set[pathlib.Path]) -> set[pathlib.Path]:
    """A module and what it imports when it loads."""
    found.add(module)
    code = module.read_text()
    for name in re.findall(r'^(?:import|export)[^;]*?from "(\.[^"]+)";', code, re.MULTILINE):
        path = (module.parent / name).resolve()
        if path not in found:
            imported(path, found)
    return found


def test_types(node: str, node_modules: pathlib.Path) -> None:
    run(node, node_modules / "typescript/bin/tsc", "-p", ".")


def test_format(node: str, node_modules: pathlib.Path) -> None:
    prettier = node_modules / "prettier/bin/prettier.cjs"
    files = [*WEB.rglob("*.js"), *WEB.glob("*.ts"), *HERE.glob("*.js")]
    run(node, prettier, "--config", HERE / ".prettierrc", "--check", *files)


@pytest.mark.usefixtures("node_modules")
def test_in_node(node: str) -> None:
    run(node, "--test", *sorted(HERE.glob("*.test.js")), PYTHON=sys.executable)


def test_is_small() -> None:
    modules = imported(WEB / "mmdata.js", set())
    names = {module.name for module in modules}
    assert {"mmdata.js", "files.js", "tensors.js"} <= names
    assert sum(module.stat().st_size for module in modules) <= LARGEST, names


def test_needs_nothing(node: str, tmp_path: pathlib.Path) -> None:
    """The modules run where nothing else is: no package, no Python."""
    shutil.copytree(WEB, tmp_path / "web")
    script = "const m = await import('./web/mmdata.js'); console.log(Object.keys(m).join());"
    done = subprocess.run(
        [node, "--input-type=module", "--eval", script],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout == "imageBatches,open,tfDataset,weightedAccuracy,weightedLoss\n"
