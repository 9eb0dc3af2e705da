"""Every notebook runs from its first cell to its last, and shows pictures."""

import pathlib
import re
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.slow

NOTEBOOKS = sorted((pathlib.Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def shortened(notebook: Any) -> Any:
    """The notebook, trained for one epoch: how good it gets is not what is tested."""
    for cell in notebook.cells:
        cell.source = re.sub(r"^EPOCHS = \d+$", "EPOCHS = 1", cell.source, flags=re.MULTILINE)
    return notebook


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: pathlib.Path) -> None:
    notebook = shortened(nbformat.read(str(path), as_version=4))
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    kinds = {
        kind
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        for kind in output.get("data", {})
    }
    assert kinds & {"image/png", "image/jpeg"}
