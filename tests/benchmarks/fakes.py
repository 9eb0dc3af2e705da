"""Peers that fail, or have a known cost."""

import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
from typing import Any

import numpy as np

from tests.benchmarks.measuring import Epoch


def steady(_: object) -> Epoch:
    return lambda: [range(5), range(3)]


def missing(_: object) -> Epoch:
    raise ModuleNotFoundError("No module named 'no_such_library.part'", name="no_such_library.part")


def broken(_: object) -> Epoch:
    raise ImportError("libcudnn.so.9: cannot open shared object file")


def failing(_: object) -> Epoch:
    """Fails in the second measured round."""
    rounds = itertools.count()

    def epoch() -> Any:
        yield range(8)
        if next(rounds) == 2:
            raise ValueError("first line\n  last line")

    return epoch


def incomplete(_: object) -> Epoch:
    return lambda: [range(7)]


def dying(_: object) -> Epoch:
    def epoch() -> Any:
        yield range(4)
        os.kill(os.getpid(), signal.SIGKILL)

    return epoch


def start_method(_: object) -> Epoch:
    raise ValueError(multiprocessing.get_start_method())


def busy(_: object) -> Epoch:
    """Works in a child process, which holds 200 MB."""

    def epoch() -> Any:
        command = "import time\nheld = b'1' * 200_000_000\nwhile time.process_time() < 0.3: pass"
        subprocess.run([sys.executable, "-c", command], check=True)
        yield range(8)

    return epoch


def heavy(_: object, start: int = 0) -> Epoch:
    """Needs 300 MB to resume, which must not count for the epochs."""
    if start:
        np.ones(300_000_000, np.uint8)
    return lambda: [range(8)]


def failing_late(_: object, start: int = 0) -> Epoch:
    if start:
        raise ValueError(f"cannot start at batch {start}")
    return lambda: [range(8)]
