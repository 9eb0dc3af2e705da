"""`fit` on two devices: our models and a functional one, interrupted and resumed."""

import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).with_name("distribute.py")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["captioner", "dual encoder", "functional"])
def test_two_devices(name: str) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, name], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    steps, after = map(int, done.stdout.split())
    assert after == 3 * steps - (steps + 2)
