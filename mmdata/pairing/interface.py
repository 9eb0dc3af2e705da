"""Messages about arguments of `mmdata.read`, in the words of the interface that the caller uses."""

import contextlib
import re
from collections.abc import Callable, Iterator

from mmdata.pairs.findings import PairingError

_ARGUMENT = re.compile(
    r"""(?<![\w.("'])(\w+)=(\.\.\.|"[^"]*"|'[^']*'|\d+|None|True|False|\((?:\s*['"][^'"]*['"],?)+\))"""
)

Replace = Callable[[str, str], str | None]
"""The name of an argument and its value, as a message has them -> their replacement, or None."""


def rewritten(message: str, replace: Replace) -> str:
    """A message with other names for arguments; those for which `replace` returns None stay."""

    def of(match: re.Match[str]) -> str:
        return replace(match[1], match[2]) or match[0]

    return _ARGUMENT.sub(of, message)


@contextlib.contextmanager
def rewriting(rewrite: Callable[[str], str]) -> Iterator[None]:
    """Raises the errors of the block again, with rewritten messages; others pass unchanged."""
    try:
        yield
    except (ValueError, TypeError, OSError) as err:
        message = rewrite(str(err))
        if len(err.args) != 1 or message == str(err):
            raise
        if isinstance(err, PairingError):
            raise PairingError(message, err.findings) from err
        raise type(err)(message) from err
