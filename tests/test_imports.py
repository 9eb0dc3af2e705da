"""What is slow to import waits until it is needed."""

import json
import pathlib
import subprocess
import sys

import pytest

STEPS = {
    "import mmdata, mmdata.cli": {"tensorflow", "keras", "pandas", "numpy", "PIL", "matplotlib"},
    "mmdata.cli.main(['cache', 'show', '.'], standalone_mode=False)": {"tensorflow", "pandas"},
    "import mmdata.storage.row_store": {"tensorflow", "pandas"},
    "import mmdata.captions.length_report": {"tensorflow", "matplotlib"},
    "import mmdata.explore, mmdata.explore.sheet": {"tensorflow", "keras", "matplotlib"},
}
"""What one process does, in order, and what it has not imported after that."""

CODE = """
import contextlib, json, os, sys
loaded = {}
with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
    for step in json.loads(sys.argv[1]):
        exec(step)
        loaded[step] = sorted(sys.modules)
print(json.dumps(loaded))
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The modules that are imported after each step."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(list(STEPS))],
        cwd=tmp_path_factory.mktemp("empty"),
        env={"PYTHONPATH": str(pathlib.Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    modules: dict[str, list[str]] = json.loads(done.stdout)
    return modules


@pytest.mark.parametrize("step", STEPS)
def test_nothing_heavy_is_imported(step: str, loaded: dict[str, list[str]]) -> None:
    assert "mmdata" in loaded[step]
    assert STEPS[step].isdisjoint(loaded[step])
