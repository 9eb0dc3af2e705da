"""Where mmdata keeps what it learned once: `$MMDATA_HOME`, else the user's cache folder."""

import os
import pathlib

import platformdirs


def home() -> pathlib.Path:
    """The folder of learned vocabularies; it need not exist yet."""
    chosen = os.environ.get("MMDATA_HOME")
    return pathlib.Path(chosen) if chosen else platformdirs.user_cache_path("mmdata")
