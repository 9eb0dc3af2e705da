"""Measures peers in turn, each in its own process. Linux only."""

import contextlib
import importlib
import itertools
import multiprocessing
import os
import pathlib
import platform
import re
import resource
import signal
import statistics
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from mmdata.progress import progress

Epoch = Callable[[], Iterable[Sized]]
"""Goes through all items once; returns batches."""

_FRESH = multiprocessing.get_context("spawn")  # nothing imported, no threads


class Peer(NamedTuple):
    """A library or method to compare.

    Attributes:
      name: Its name in the table.
      prepare: Takes the work and returns an epoch; imports what it needs. Can be pickled.
      modules: Names of its modules; each has a `__version__`.
      package: What `pip` installs to get them.
      note: What it computes, for the table.
      resumes: Whether `prepare` takes `start`, the first batch of its epochs.
    """

    name: str
    prepare: Callable[..., Epoch]
    modules: tuple[str, ...]
    package: str
    note: str = ""
    resumes: bool = False


class Sample(NamedTuple):
    """The cost of one epoch.

    Attributes:
      items: Number of images, or captions.
      cpu: CPU seconds of all threads and of child processes.
      wall: Seconds of wall time.
      peak: Peak memory of its largest process so far, in bytes.
      first: Seconds until the first batch.
    """

    items: int
    cpu: float
    wall: float
    peak: int
    first: float = 0.0

    @property
    def rate(self) -> float:
        """Items per second of wall time."""
        return self.items / self.wall

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of CPU time per item."""
        return 1e3 * self.cpu / self.items


@dataclass(kw_only=True)
class Result:
    """The measurements of a peer.

    Attributes:
      peer: The peer.
      failure: Why it was not measured; else "".
      versions: Versions of its modules.
      examined: What `examine` returned.
      warm_up: The epoch before the rounds.
      samples: One per round.
      resumed: Seconds to the first batch after resuming, one per round.
    """

    peer: Peer
    failure: str = ""
    versions: str = ""
    examined: Any = None
    warm_up: Sample | None = None
    samples: list[Sample] = field(default_factory=list)
    resumed: list[float] = field(default_factory=list)


class _Failure(NamedTuple):
    reason: str


def measure(
    peers: Sequence[Peer],
    work: Any,
    *,
    count: int,
    rounds: int,
    start: int | None = None,
    examine: Callable[[Epoch], Any] | None = None,
) -> list[Result]:
    """Runs one epoch of each peer, then the next; the first warms up.

    Peers run one at a time, so that they do not disturb each other; and in turn, so that other load
    on the machine slows all equally. A peer that fails is left out from then on, and named.

    Args:
      peers: The peers to compare.
      work: The argument of `prepare`.
      count: Items per epoch.
      rounds: Measured epochs of each peer.
      start: The batch at which peers resume, if they can. Resuming comes after the rounds, as its
        memory must not count for the epochs. None resumes nothing.
      examine: Called once with an epoch, before the rounds.
    """
    ways = [partial(peer.prepare, work) for peer in peers]
    resuming = [peer.resumes and start is not None for peer in peers]
    bar = progress(
        total=len(peers) * (rounds + 2) + sum(resuming) * rounds, what="measuring", unit="epoch"
    )
    with bar, contextlib.ExitStack() as stack:
        runs = [stack.enter_context(_Run(peer)) for peer in peers]

        def ask(run: _Run, *message: Any) -> Any:
            bar.set_description(run.result.peer.name)
            bar.update()
            return run.ask(*message)

        for run, prepare in zip(runs, ways, strict=True):
            if ready := ask(run, _prepare, prepare, examine):
                run.result.versions, run.result.examined = ready
        for number, run in itertools.product(range(rounds + 1), runs):
            sample = ask(run, take, count)
            if sample and number:
                run.result.samples.append(sample)
            elif sample:
                run.result.warm_up = sample
        late = list(itertools.compress(zip(runs, ways, strict=True), resuming))
        for _, (run, prepare) in itertools.product(range(rounds), late):
            if seconds := ask(run, resume, partial(prepare, start=start)):
                run.result.resumed.append(seconds)
    return [run.result for run in runs]


class _Run:
    """A peer in its own process, which ends at its first failure."""

    def __init__(self, peer: Peer) -> None:
        self.result = Result(peer=peer)
        self._ours, self._theirs = _FRESH.Pipe()
        self._process = _FRESH.Process(target=_serve, args=(self._theirs, peer))

    def __enter__(self) -> "_Run":
        self._process.start()
        self._theirs.close()  # so that reading fails when the process ends
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    def ask(self, *message: Any) -> Any:
        """Calls a function there; returns None if it fails, or failed before."""
        if self.result.failure:
            return None
        try:
            self._ours.send(message)
            answer = self._ours.recv()
        except (EOFError, OSError):
            self._process.join()
            answer = _Failure(f"failed: its process ended with {_ending(self._process.exitcode)}")
        if isinstance(answer, _Failure):
            self.result.failure = answer.reason
            self.__exit__()
            return None
        return answer


def _ending(code: int | None) -> str:
    return signal.Signals(-code).name if code and code < 0 else f"exit status {code}"


def _serve(connection: Connection, peer: Peer) -> None:
    """Calls received functions with the peer's state, and sends back the results."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback
    # This process was started by "spawn"; its workers must start as they do for users.
    multiprocessing.set_start_method(None, force=True)
    state = _State(peer)
    with contextlib.suppress(EOFError, BrokenPipeError):  # the parent has ended
        while True:
            function, *arguments = connection.recv()
            try:
                answer = function(state, *arguments)
            except Exception as err:  # any failure is the result of the peer
                answer = _Failure(_reason(err, peer))
            connection.send(answer)


@dataclass
class _State:
    peer: Peer
    epoch: Epoch = tuple


def _prepare(
    state: _State, prepare: Callable[[], Epoch], examine: Callable[[Epoch], Any] | None
) -> tuple[str, Any]:
    state.epoch = prepare()
    modules = {name: importlib.import_module(name) for name in state.peer.modules}
    versions = ", ".join(f"{name} {module.__version__}" for name, module in modules.items())
    return versions, examine and examine(state.epoch)


def take(state: _State, count: int) -> Sample:
    """Goes through an epoch of `count` items."""
    cpu, wall = _cpu(), time.perf_counter()
    seen, begun = _go_through(state.epoch)
    cpu, end = _cpu() - cpu, time.perf_counter()
    if seen != count:
        raise ValueError(f"an epoch must have {count:,} items; got {seen:,}.")
    return Sample(seen, cpu, end - wall, _peak(), begun - wall)


def _go_through(epoch: Epoch) -> tuple[int, float]:
    """Returns the number of items, and the time of the first batch.

    Deletes the iterator on return, since the CPU time of its processes counts only after they end.
    """
    batches = iter(epoch())
    seen = len(next(batches, ()))
    begun = time.perf_counter()
    return seen + sum(map(len, batches)), begun


def resume(_: object, prepare: Callable[[], Epoch]) -> float:
    """Seconds from the start of an epoch of a new peer to its first batch."""
    epoch = prepare()
    asked = time.perf_counter()
    batches = iter(epoch())
    next(batches)
    return time.perf_counter() - asked  # before the iterator is deleted, which takes time


def _reason(err: Exception, peer: Peer) -> str:
    if isinstance(err, ModuleNotFoundError) and _top(err.name) in map(_top, peer.modules):
        return f"not installed: pip install {peer.package}"
    last = traceback.format_exception_only(err)[-1].strip().splitlines()[-1].strip()
    return f"failed: {last}"


def _top(module: str | None) -> str:
    return (module or "").partition(".")[0]


def _cpu() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def _peak() -> int:
    return max(memory()[1], 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def memory() -> tuple[int, int]:
    """Current and peak memory of this process, in bytes."""
    status = pathlib.Path("/proc/self/status").read_text("utf-8")
    now, most = (re.findall(rf"{name}:\s+(\d+) kB", status)[0] for name in ("VmRSS", "VmHWM"))
    return 1024 * int(now), 1024 * int(most)


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """Seconds of CPU and of wall time that a call takes."""
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return time.process_time() - cpu, time.perf_counter() - wall


def isolated(run: Callable[..., Any], *arguments: Any) -> Any:
    """Runs a function in its own process, and returns its result."""
    with _FRESH.Pool(1) as pool:
        returned = pool.apply(run, arguments)
        pool.close()
        pool.join()  # it ends by itself; a killed process would leave locks behind
    return returned


def ratio(values: Iterable[float], others: Sequence[float]) -> float | None:
    """Median of the ratios of values of the same rounds; None if there are no others."""
    ratios = [value / other for value, other in zip(values, others, strict=bool(others))]
    return statistics.median(ratios) if ratios else None


def three_digits(value: float | None) -> str:
    """A number with three digits; "-" for None."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 99.95 else f"{value:#.3g}"


def spread(values: Sequence[float]) -> str:
    """The minimum and the maximum."""
    return f"{three_digits(min(values))}..{three_digits(max(values))}"


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Formats rows as lines; the first value is the name, and "-" is a missing value."""
    import pandas as pd  # not imported in the peers' processes

    name, *columns = max(rows, key=len)
    frame = pd.DataFrame(rows, columns=[name, *columns]).set_index(name).rename_axis(None)
    return frame.to_string(na_rep="-")


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def machine() -> str:
    """Processor, cores, system and Python."""
    found = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text("utf-8"))
    processor = found[1] if found else platform.machine()
    return (
        f"{processor}, {cores()} core(s), {platform.system()}, Python {platform.python_version()}"
    )
