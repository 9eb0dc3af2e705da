"""The JavaScript of the README runs as it is printed."""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import mmdata
from mmdata.cli import main
from tests.test_readme import SAMPLES, code
from tests.web.server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

RECIPE, PICTURES = "The browser and Node", "Pictures of visitors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The working directory of a user who has run the command of the recipe."""
    folder = tmp_path_factory.mktemp("user")
    pairs = mmdata.read(SAMPLES / "images", SAMPLES / "captions").sample(60)
    for name in ("images", "captions"):
        (folder / name).mkdir()
    for row in range(len(pairs)):
        path = pathlib.Path(pairs.path(row))
        shutil.copy(path, folder / "images")
        text = "\n".join(pairs.captions_of(row))
        (folder / "captions" / f"{path.stem}.txt").write_text(text, "utf-8")
    command = shlex.split(code(RECIPE, "sh"))[1:]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    return folder


def test_recipe_in_node(folder: pathlib.Path, node: str, node_modules: pathlib.Path) -> None:
    os.symlink(node_modules, folder / "node_modules")
    (folder / "recipe.mjs").write_text(code(RECIPE, "js"), "utf-8")
    done = subprocess.run(
        [node, "recipe.mjs"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    steps = re.findall(r"^(\d+) \[ 16, 64, 64, 3 \] \w", done.stdout, re.MULTILINE)
    assert steps[:2] == ["1", "2"]
    assert "Int32Array" in done.stdout


def test_pictures_in_a_page(folder: pathlib.Path, browser: "Browser") -> None:
    (folder / "page.html").write_text("<input type=file multiple>", "utf-8")
    (folder / "recipe.js").write_text(code(PICTURES, "js"), "utf-8")
    broken = folder / "broken.jpg"
    broken.write_bytes(b"\xff\xd8 no picture")
    pictures = sorted((folder / "images").iterdir())[:3]
    with Server(folder) as server:
        page = browser.new_page()
        page.goto(f"{server.url}page.html")
        page.set_input_files("input", [*pictures, broken])
        lines: list[str] = []
        page.on("console", lambda message: lines.append(message.text))
        page.evaluate("import('/recipe.js')")
        page.close()
    assert lines[0].startswith("[4, 64, 64, 3]")
    assert "broken.jpg" in lines[0]
    assert lines[-1] == str(64 * 64 * 3)
