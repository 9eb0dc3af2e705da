"""Progress bars: for what takes long, and for who watches."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

_DELAY = 2


def progress(
    iterable: Iterable[Any] | None = None, *, total: int | None = None, what: str, unit: str
) -> Any:
    """Makes a progress bar on stderr, which shows after two seconds and goes when it is done.

    It shows in a terminal and in Jupyter, and nowhere else: a log file gets no bars. tqdm's own
    variables of the environment hold, such as `TQDM_DISABLE=1`.

    Args:
      iterable: What to go through, if the bar wraps it.
      total: How many units there are; None asks the iterable.
      what: What is done, e.g. "decoding images".
      unit: What is counted, singular.

    Returns:
      A `tqdm`: iterate over it; or open it by `with`, and call its `update(count)`.
    """
    silent = {} if _is_watched() else {"disable": True}  # else the environment may say it
    return tqdm(iterable, total=total, desc=what, unit=unit, delay=_DELAY, leave=False, **silent)


def _is_watched() -> bool:
    """Whether stderr is that of a terminal, or of a notebook, which says it is no terminal."""
    notebook = sys.modules.get("ipykernel.iostream")
    if notebook is not None and isinstance(sys.stderr, notebook.OutStream):
        return True
    return sys.stderr is not None and sys.stderr.isatty()
