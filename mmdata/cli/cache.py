"""`mmdata cache`: lists, checks and clears caches."""

import json
import pathlib
import sys
import time
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from mmdata.cli.options import PATH, as_json, echo, failing, lines_for
from mmdata.printable import printable

if TYPE_CHECKING:
    from mmdata.storage.shards import StoredSet


@click.group()
def cache() -> None:
    """List, check or clear caches on disk.

    Caches hold decoded images, and features of images. PATH is the folder that was passed to
    `build(cache=PATH)` or `precompute_features(path=PATH)`, or a folder in it. By default, it is
    the folder of `build(cache=True)`.
    """


def _pixels() -> pathlib.Path:
    from mmdata.storage.user_cache import user_cache

    return user_cache() / "pixels"


def _existing(ctx: click.Context, param: click.Parameter, path: pathlib.Path) -> pathlib.Path:
    """The folder; one that the user named must be there."""
    path = path.expanduser()
    given = ctx.get_parameter_source(str(param.name)) != ParameterSource.DEFAULT
    if given and not path.is_dir():
        got = "a file" if path.exists() else "nothing there"
        raise click.BadParameter(f"must be a folder; got {got}: {str(path)!r}.")
    return path


_cached = click.argument("path", type=PATH, default=_pixels, callback=_existing)
"""The folder of caches."""


@cache.command("show")
@_cached
@as_json
def show_cache(path: pathlib.Path, as_json: bool) -> None:
    """List caches, most recently used first."""
    from mmdata.storage.shards import contents

    found = contents(path)
    if as_json:
        click.echo(json.dumps([stored.to_dict() for stored in found], indent=2))
        return
    echo("\n\n".join(map(_shown, found)) or f"{path}: no caches there.")


def _shown(stored: "StoredSet") -> str:
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(stored.used))
    row = f"{stored.dtype} {list(stored.shape)}"
    lines = [f"{stored.rows:,} rows of {row}, {stored.size / 1e9:,.2f} GB, last used {used}"]
    for name, value in stored.settings.items():
        lines.append(f"  {name}: {value if isinstance(value, str) else json.dumps(value)}")
    if not stored.is_read:
        lines.append("  written by another version; this version does not read it")
    return "\n".join(map(printable, [*lines, f"  in {stored.folder}"]))


@cache.command("verify")
@_cached
def verify_cache(path: pathlib.Path) -> None:
    """Check caches against their checksums. Exit status: 0; 1 if something was damaged.

    Damaged files are removed, and computed again at the next use. Waits for processes that are
    filling a cache.
    """
    from mmdata.storage.row_store import verify as verify_stores
    from mmdata.storage.shards import contents

    with failing():
        damaged = verify_stores(path)
    for sentence in damaged:
        echo(sentence)
    rows = sum(stored.rows for stored in contents(path) if stored.is_read)
    echo(f"{path}: {len(damaged):,} damaged files removed; {rows:,} rows are right.")
    sys.exit(1 if damaged else 0)


@cache.command("clear")
@_cached
@click.option("--yes", is_flag=True, help="Do not ask.")
def clear_cache(path: pathlib.Path, yes: bool) -> None:
    """Remove caches, and nothing else. Waits for processes that are filling a cache."""
    from mmdata.storage.row_store import clear
    from mmdata.storage.shards import contents

    found = contents(path)
    what = f"{sum(k.rows for k in found):,} rows, {sum(k.size for k in found) / 1e9:,.2f} GB"
    if found and not yes:
        click.confirm(lines_for(sys.stdout, f"Remove {what}, from {path}?"), abort=True)
    with failing():
        clear(path)
    echo(f"{path}: removed {what}.")
