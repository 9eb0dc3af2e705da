"""A contender's own process: it waits, runs an epoch when asked to, and tells what that took."""

import contextlib
import dataclasses
import functools
import importlib
import multiprocessing
import os
import pathlib
import re
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sized
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

Epoch = Callable[[], Iterable[Sized]]
"""Goes once through the items; gives batches of them."""

Examine = Callable[[Epoch], Any]
"""Tells something of what an epoch gives; can be pickled, as what it tells."""

_BYTES = 1 if sys.platform == "darwin" else 1024  # of a unit of ru_maxrss
_STATUS = pathlib.Path("/proc/self/status")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contender:
    """One of those that are compared.

    Attributes:
      name: What it is called.
      prepare: Makes it ready; can be pickled. Nothing that it needs is imported before.
      count: Items of an epoch.
      modules: What it runs on, as it is imported; each tells its `__version__`.
      package: What `pip` installs to have them.
      note: A word on what it computes.
      examine: What to find out before the rounds; None finds out nothing.
      resume: Makes one anew whose epoch begins late; None where that is not asked for.
    """

    name: str
    prepare: Callable[[], Epoch]
    count: int
    modules: tuple[str, ...]
    package: str
    note: str = ""
    examine: Examine | None = None
    resume: Callable[[], Epoch] | None = None


class Peer(NamedTuple):
    """A contender that has no work yet; fields as `Contender` has them.

    Attributes:
      prepare: Makes it ready for the work it is given.
      resumes: Whether `prepare` also takes `start`, the batch that its epoch begins with; what it
        takes to get there is done by the epoch.
    """

    name: str
    prepare: Callable[..., Epoch]
    modules: tuple[str, ...]
    package: str
    note: str = ""
    resumes: bool = False

    def contender(
        self, work: Any, count: int, examine: Examine | None = None, start: int | None = None
    ) -> Contender:
        """It, with work of so many items; where it can be resumed, it is, at the batch `start`."""
        resumed = functools.partial(self.prepare, work, start=start)
        return Contender(
            name=self.name,
            prepare=functools.partial(self.prepare, work),
            count=count,
            modules=self.modules,
            package=self.package,
            note=self.note,
            examine=examine,
            resume=resumed if self.resumes and start is not None else None,
        )


class Sample(NamedTuple):
    """What one epoch took.

    Attributes:
      items: How many images, or captions.
      cpu: Seconds, of all threads and of the processes that it started.
      wall: Seconds.
      peak: Bytes of memory that the largest of its processes has held so far.
      first: Seconds until the first batch.
    """

    items: int
    cpu: float
    wall: float
    peak: int
    first: float = 0.0


class Resumed(NamedTuple):
    """How long one that was made anew took, from being asked to its first batch, in seconds."""

    seconds: float


class Ready(NamedTuple):
    """It can begin; `versions` tells what it runs on, `told` what `examine` found out."""

    versions: str
    told: Any


class Failure(NamedTuple):
    """It cannot go on, and why."""

    reason: str


def work(
    connection: Connection, contender: Contender, log: str, environment: Mapping[str, str]
) -> None:
    """Serves the parent until it hangs up.

    Args:
      connection: Gives a `Ready`; then takes None as "run an epoch" and gives a `Sample`, or takes
        a `Contender.resume` and gives a `Resumed`. A `Failure` is the last.
      contender: Who works here.
      log: File for all that its libraries print.
      environment: Variables that they find.
    """
    _detach(log)
    # Started by "spawn", it would have its own workers start so, too: not what users get.
    multiprocessing.set_start_method(None, force=True)
    os.environ.update(environment)
    with contextlib.suppress(EOFError, BrokenPipeError):  # the parent is gone
        try:
            epoch = contender.prepare()
            told = contender.examine and contender.examine(epoch)
            connection.send(Ready(_versions(contender.modules), told))
            while True:
                resume = connection.recv()
                connection.send(_resumed(resume) if resume else _measure(epoch, contender.count))
        except (EOFError, BrokenPipeError):
            raise
        except Exception as err:  # whatever a peer fails with is its result
            connection.send(Failure(_reason(err, contender)))


def _detach(log: str) -> None:
    """Leaves the parent's terminal: its Ctrl-C is the parent's to handle, its screen the table's.

    As the leader of a group, it can be ended together with all that it starts.
    """
    os.setsid()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(file, stream)


def _measure(epoch: Epoch, count: int) -> Sample:
    cpu, wall = _cpu(), time.perf_counter()
    seen, begun = _run(epoch)
    taken = _cpu() - cpu, time.perf_counter() - wall
    if seen != count:
        raise ValueError(f"an epoch must have {count:,} items; got {seen:,}.")
    return Sample(seen, *taken, _peak(), begun - wall)


def _run(epoch: Epoch) -> tuple[int, float]:
    """Goes through an epoch; its items, and when the first batch was there.

    What the iterator holds ends with this: processes that have not ended have no time that counts.
    """
    batches = iter(epoch())
    seen = len(next(batches, ()))
    begun = time.perf_counter()
    return seen + sum(map(len, batches)), begun


def _resumed(resume: Callable[[], Epoch]) -> Resumed:
    epoch = resume()
    asked = time.perf_counter()
    batches = iter(epoch())
    next(batches)
    return Resumed(time.perf_counter() - asked)


def _cpu() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def _peak() -> int:
    ended = _BYTES * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    if _STATUS.exists():  # there, `ru_maxrss` is also that of the process that started this one
        own = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text("utf-8"))
        return max(ended, 1024 * int(own[1]) if own else 0)
    return max(ended, _BYTES * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _versions(modules: Iterable[str]) -> str:
    return ", ".join(f"{name} {importlib.import_module(name).__version__}" for name in modules)


def _reason(err: Exception, contender: Contender) -> str:
    if isinstance(err, ModuleNotFoundError) and _top(err.name) in map(_top, contender.modules):
        return f"not installed: pip install {contender.package}"
    last = traceback.format_exception_only(err)[-1].strip().splitlines()[-1].strip()
    return f"failed: {last}"


def _top(module: str | None) -> str:
    return (module or "").partition(".")[0]
