"""Measures contenders in turn, each in a process of its own."""

import contextlib
import dataclasses
import multiprocessing
import os
import pathlib
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmdata.benchmarks.contending import Contender, Epoch, Failure, Ready, Resumed, Sample, work
from mmdata.progress import progress

_FRESH = multiprocessing.get_context("spawn")  # nothing imported, no threads
_ENDING = 5.0
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """How a contender did.

    Attributes:
      contender: Who.
      versions: What it runs on; "" where it did not get ready.
      told: What its `examine` found out; None where there is none, or it did not get ready.
      samples: A sample a round; none where it failed.
      failure: Why there are no samples; else "".
      warm_up: The sample of the epoch before the rounds; None where it failed.
      resumed: Seconds to resume, a round; none where it failed, or is not asked to.
    """

    contender: Contender
    versions: str
    samples: tuple[Sample, ...]
    failure: str
    told: Any = None
    warm_up: Sample | None = None
    resumed: tuple[float, ...] = ()


def measure(
    contenders: Sequence[Contender],
    *,
    rounds: int,
    folder: pathlib.Path,
    environment: Mapping[str, str],
    patience: float = 600,
) -> list[Result]:
    """Runs an epoch of each contender, then the next of each; the first one warms up.

    One at a time, so that none disturbs another; in turn, so that what else the machine does hits
    them alike. Those that can be resumed are, after the rounds and as often: what they make anew
    must not be in the memory of an epoch. One that fails is left out from there on. No process is
    left behind.

    Args:
      contenders: Who takes part.
      rounds: Epochs of each that count.
      folder: Where what they print is kept.
      environment: Variables for each of them; none of them finds a GPU.
      patience: Seconds that one may take to get ready, and for an epoch.
    """
    variables = {**_QUIET, **environment}
    runs = [_Run(one, folder / f"{number}.log", variables) for number, one in enumerate(contenders)]
    resuming = [run for run in runs if run.contender.resume]
    total = len(runs) * (rounds + 2) + len(resuming) * rounds
    bar = progress(total=total, what="measuring", unit="epoch")
    with bar, contextlib.ExitStack() as stack:
        for run in runs:
            stack.callback(run.end)
            run.start()
        for run in runs:
            bar.set_description(f"starting {run.contender.name}")
            run.await_ready(patience)
            bar.update()
        for number in range(rounds + 1):
            for run in runs:
                bar.set_description(run.contender.name)
                run.epoch(patience, counts=number > 0)
                bar.update()
        for _ in range(rounds):
            for run in resuming:
                bar.set_description(f"resuming {run.contender.name}")
                run.resume(patience)
                bar.update()
    return [run.result() for run in runs]


class _Run:
    """A contender at work; a failure ends it, and is kept."""

    def __init__(
        self, contender: Contender, log: pathlib.Path, environment: Mapping[str, str]
    ) -> None:
        self.contender = contender
        self._log = log
        self._ready = Ready("", None)
        self._failure = ""
        self._warm_up: Sample | None = None
        self._samples: list[Sample] = []
        self._resumed: list[float] = []
        self._ours, self._theirs = _FRESH.Pipe()
        self._process = _FRESH.Process(
            target=work, args=(self._theirs, contender, str(log), environment)
        )

    def start(self) -> None:
        """Starts the process; does not wait for it."""
        self._process.start()
        self._theirs.close()  # so that its end is heard

    def await_ready(self, patience: float) -> None:
        """Waits until it can begin."""
        answer = self._answer(patience)
        if isinstance(answer, Ready):
            self._ready = answer

    def epoch(self, patience: float, *, counts: bool) -> None:
        """Runs an epoch, unless it has failed before."""
        answer = self._ask(None, patience)
        if isinstance(answer, Sample) and counts:
            self._samples.append(answer)
        elif isinstance(answer, Sample):
            self._warm_up = answer

    def resume(self, patience: float) -> None:
        """Makes one anew that begins late, unless it has failed before."""
        answer = self._ask(self.contender.resume, patience)
        if isinstance(answer, Resumed):
            self._resumed.append(answer.seconds)

    def result(self) -> Result:
        """How it did so far."""
        return Result(
            contender=self.contender,
            versions=self._ready.versions,
            samples=() if self._failure else tuple(self._samples),
            failure=self._failure,
            told=self._ready.told,
            warm_up=None if self._failure else self._warm_up,
            resumed=() if self._failure else tuple(self._resumed),
        )

    def end(self) -> None:
        """Ends the process and what it started, whatever they are doing."""
        if self._process.pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()  # it may not lead a group yet
        self._process.join()

    def _ask(self, wanted: Callable[[], Epoch] | None, patience: float) -> Any:
        """What the process answers; None where it fails, or has failed before."""
        if self._failure:
            return None
        with contextlib.suppress(BrokenPipeError):  # it has ended: its answer says so
            self._ours.send(wanted)
        return self._answer(patience)

    def _answer(self, patience: float) -> Any:
        """What the process says next; None where it fails."""
        answer = self._hear(patience)
        if not isinstance(answer, Failure):
            return answer
        self._failure = answer.reason
        self.end()
        return None

    def _hear(self, patience: float) -> Any:
        try:
            if self._ours.poll(patience):
                return self._ours.recv()
        except (EOFError, OSError):
            self._process.join(_ENDING)
            return Failure(f"failed: {self._ending()}")
        return Failure(f"failed: no answer in {patience:g} seconds")

    def _ending(self) -> str:
        """How the process ended, and the last that it printed."""
        code = self._process.exitcode or 0
        how = f"exit status {code}" if code >= 0 else signal.Signals(-code).name
        printed = self._log.read_text("utf-8", errors="replace") if self._log.exists() else ""
        last = [line.strip() for line in printed.splitlines() if line.strip()][-1:]
        return ": ".join([f"its process ended with {how}", *last])
