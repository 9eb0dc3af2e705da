"""Progress bars for slow work, in terminals and notebooks."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

_DELAY = 2


def progress(
    iterable: Iterable[Any] | None = None, *, total: int | None = None, what: str, unit: str
) -> Any:
    """Makes a progress bar on stderr that appears after two seconds and disappears when done.

    Only for a terminal and Jupyter: a log file gets no bars. Obeys tqdm's environment variables,
    such as `TQDM_DISABLE=1`.

    Args:
      iterable: The items, if the bar wraps an iterable.
      total: Number of units; None means the length of the iterable.
      what: The work, e.g. "decoding images".
      unit: Name of one unit, singular.

    Returns:
      A `tqdm`: iterate over it; or use it in a `with` statement, and call its `update(count)`.
    """
    return tqdm(
        iterable, total=total, desc=what, unit=unit, delay=_DELAY, leave=False, **_silence()
    )


def announced(what: str) -> Any:
    """Shows a line on stderr until the `with` statement ends, for work that reports no progress.

    It appears at once, and where `progress` would show a bar.
    """
    return tqdm(desc=what, bar_format="{desc} ...", leave=False, **_silence())


def _silence() -> dict[str, bool]:
    """The arguments of `tqdm` that show nothing; without "disable", the environment decides."""
    return {} if _is_watched() else {"disable": True}


def _is_watched() -> bool:
    """Whether stderr is a terminal, or a notebook's, whose `isatty` is False."""
    notebook = sys.modules.get("ipykernel.iostream")
    if notebook is not None and isinstance(sys.stderr, notebook.OutStream):
        return True
    return sys.stderr is not None and sys.stderr.isatty()
