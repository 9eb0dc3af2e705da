"""`mmdata cache`: what is kept on disk."""

import json
import pathlib
import sys
import time
from typing import TYPE_CHECKING

import click

from mmdata.cli.options import PATH, as_json, echo, failing, lines_for
from mmdata.printable import printable

if TYPE_CHECKING:
    from mmdata.storage.shards import StoredSet


@click.group()
def cache() -> None:
    """See, check or clear what is kept on disk.

    These are decoded images, and features of images. PATH is what `build(cache=PATH)` or
    `precompute_features(path=PATH)` was given, or a folder in it; if it is left out, where `True`
    keeps them.
    """


def _pixels() -> pathlib.Path:
    from mmdata.storage.user_cache import user_cache

    return user_cache() / "pixels"


_cached = click.argument("path", type=PATH, default=_pixels)
"""The folder that holds what is kept."""


@cache.command("show")
@_cached
@as_json
def show_cache(path: pathlib.Path, as_json: bool) -> None:
    """Print what is kept, what was used last first."""
    from mmdata.storage.shards import contents

    found = contents(path)
    if as_json:
        click.echo(json.dumps([kept.to_dict() for kept in found], indent=2))
        return
    echo("\n\n".join(map(_shown, found)) or f"{path}: nothing is kept there.")


def _shown(kept: "StoredSet") -> str:
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(kept.used))
    row = f"{kept.dtype} {list(kept.shape)}"
    lines = [f"{kept.rows:,} rows of {row}, {kept.size / 1e9:,.2f} GB, last used {used}"]
    for name, value in kept.settings.items():
        lines.append(f"  {name}: {value if isinstance(value, str) else json.dumps(value)}")
    if not kept.is_read:
        lines.append("  kept by another version, and not read by this one")
    return "\n".join(map(printable, [*lines, f"  in {kept.folder}"]))


@cache.command("verify")
@_cached
def verify_cache(path: pathlib.Path) -> None:
    """Check all that is kept against its checksums. Exit status: 0; 1 if something was damaged.

    What is damaged is removed, to be computed again. Waits for processes that are filling.
    """
    from mmdata.storage.row_store import verify as verify_stores
    from mmdata.storage.shards import contents

    with failing():
        damaged = verify_stores(path)
    for sentence in damaged:
        echo(sentence)
    rows = sum(kept.rows for kept in contents(path) if kept.is_read)
    echo(f"{path}: {len(damaged):,} damaged files removed; {rows:,} rows are right.")
    sys.exit(1 if damaged else 0)


@cache.command("clear")
@_cached
@click.option("--yes", is_flag=True, help="Do not ask.")
def clear_cache(path: pathlib.Path, yes: bool) -> None:
    """Remove what is kept, and nothing else. Waits for processes that are filling."""
    from mmdata.storage.row_store import clear
    from mmdata.storage.shards import contents

    found = contents(path)
    what = f"{sum(k.rows for k in found):,} rows, {sum(k.size for k in found) / 1e9:,.2f} GB"
    if found and not yes:
        click.confirm(lines_for(sys.stdout, f"Remove {what}, from {path}?"), abort=True)
    with failing():
        clear(path)
    echo(f"{path}: removed {what}.")
