"""Optional libraries."""

import importlib
from typing import Any


def require(module: str, *, extra: str) -> Any:
    """Imports a module that an extra of the package installs.

    Raises:
      ImportError: It is not installed; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as err:
        raise ImportError(
            f"{module.partition('.')[0]} is required here and is not installed. Install it with: "
            f'pip install "mmdata[{extra}]"'
        ) from err
