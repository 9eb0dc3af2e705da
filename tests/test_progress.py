"""Progress bars appear in terminals and notebooks, after two seconds, and nowhere else."""

import io
import itertools
import subprocess
import sys
from collections.abc import Callable

import nbformat
import pytest
import tqdm.std
from nbclient import NotebookClient

from mmdata.progress import announced, progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def iterating() -> None:
    assert list(progress(iter("abc"), total=3, what="reading letters", unit="letter")) == [*"abc"]


def updating() -> None:
    with progress(total=3, what="reading letters", unit="letter") as bar:
        for _ in range(3):
            bar.update()


def announcing() -> None:
    with announced("reading letters"):
        pass


both = pytest.mark.parametrize("use", [iterating, updating])
each = pytest.mark.parametrize("use", [iterating, updating, announcing])


def write_to(
    stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch, *, seconds: float = 3
) -> None:
    """Makes the stream stderr, and `seconds` pass between two readings of the time.

    Not a fixture: pytest sets stderr again between fixtures and test.
    """
    now = itertools.count()
    monkeypatch.setattr(tqdm.std, "time", lambda: next(now) * seconds)
    monkeypatch.setattr(sys, "stderr", stream)


@both
def test_terminal(use: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    write_to(terminal, monkeypatch)
    use()
    shown = terminal.getvalue()
    assert "reading letters:  33%" in shown
    assert " 1/3 " in shown
    assert "s/letter]" in shown


@both
def test_it_disappears_when_done(use: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    write_to(terminal, monkeypatch)
    use()
    *_, last, rest = terminal.getvalue().split("\r")
    assert last.strip() == ""
    assert len(last) > 20
    assert rest == ""


@pytest.mark.parametrize(("seconds", "shows"), [(1.9, False), (2.1, True)])
def test_delay(seconds: float, shows: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    write_to(terminal, monkeypatch, seconds=seconds)
    bar = progress(total=2, what="reading letters", unit="letter")
    bar.update()
    assert ("reading letters" in terminal.getvalue()) == shows


def test_a_line_appears_at_once_and_disappears(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    write_to(terminal, monkeypatch, seconds=0)
    with announced("learning from 9 captions"):
        assert terminal.getvalue().strip() == "learning from 9 captions ..."
    assert terminal.getvalue().split("\r")[-2].strip() == ""


def test_total_is_the_length_of_the_iterable(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    write_to(terminal, monkeypatch)
    list(progress([1, 2, 3, 4], what="reading letters", unit="letter"))
    assert "1/4" in terminal.getvalue()


@each
def test_silent_in_a_log(use: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ipykernel.iostream")  # its import must not make a log look like a notebook
    log = io.StringIO()
    write_to(log, monkeypatch)
    use()
    assert log.getvalue() == ""


@each
def test_stderr_is_closed(use: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    write_to(None, monkeypatch)
    use()


def test_tqdm_obeys_the_environment() -> None:
    code = (
        "import io, sys\n"
        "sys.stderr = type('Terminal', (io.StringIO,), {'isatty': lambda self: True})()\n"
        "from mmdata import progress\n"
        "progress._DELAY = 0\n"
        "list(progress.progress('abc', what='reading letters', unit='letter'))\n"
        "print('reading letters' in sys.stderr.getvalue())\n"
    )
    for environment, shown in (({}, "True"), ({"TQDM_DISABLE": "1"}, "False")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PATH": "", **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == shown


@pytest.mark.slow
def test_jupyter() -> None:
    notebook = nbformat.v4.new_notebook()
    code = (
        "from mmdata import progress\n"
        "progress._DELAY = 0\n"
        "list(progress.progress('abc', what='reading letters', unit='letter'))"
    )
    notebook.cells = [nbformat.v4.new_code_cell(code)]
    NotebookClient(notebook, timeout=60).execute()
    texts = [output.get("text", "") for output in notebook.cells[0].outputs]
    assert "reading letters" in "".join(texts)
