"""Tests of what mmdata meets in use, with libraries that `.[test]` does not install."""

import importlib.util
import os
import pathlib

import pytest

MISSING = [name for name in ("jax", "keras_hub", "torch") if importlib.util.find_spec(name) is None]


def pytest_ignore_collect(collection_path: pathlib.Path, config: pytest.Config) -> bool | None:
    """Collects nothing for `-m "not slow"` and `-m slow`: not even the modules are imported."""
    if config.option.markexpr not in ("", "border"):
        return True
    if MISSING and "CI" in os.environ:
        raise pytest.UsageError(f"{collection_path} needs {', '.join(MISSING)}: see .ci/run.")
    return None
