"""What a type checker finds out about `build`."""

import pathlib
import subprocess
import sys
from typing import get_args

from mmdata.options import PRESETS, PixelsName, TextName
from mmdata.tasks import TASKS, TaskName
from mmdata.tokenizers import LEARNED

CODE = """
import mmdata

reveal_type(mmdata.build("images"))
reveal_type(mmdata.build("images", "captions", split="train", task="retrieval"))
reveal_type(mmdata.build("images", split=("train", "validation")))
mmdata.build("images", task="captions")
"""


def test_reveals_what_comes_back(tmp_path: pathlib.Path) -> None:
    (tmp_path / "code.py").write_text(CODE)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", tmp_path / "code.py"],
        cwd=pathlib.Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line.split(": ", 2)[-1] for line in done.stdout.splitlines()]
    one, several = "mmdata.dataset.Dataset", "tuple[mmdata.dataset.Dataset, ...]"
    assert lines[:3] == [f'Revealed type is "{name}"' for name in (one, one, several)]
    assert "No overload variant" in done.stdout


def test_names_are_those_that_build_takes() -> None:
    assert set(get_args(TaskName)) == set(TASKS)
    assert set(get_args(PixelsName)) == set(PRESETS)
    assert set(get_args(TextName)) == {*LEARNED, "byte", "clip"}
