"""The command `mmdata`."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import click

from mmdata.cli.cache import cache
from mmdata.cli.caption import caption
from mmdata.cli.evaluate import evaluate
from mmdata.cli.export_web import export_web
from mmdata.cli.options import lines_for
from mmdata.cli.pair_verify import pair, verify
from mmdata.cli.report_show import report, show
from mmdata.cli.search import search
from mmdata.cli.train import train


class _Commands(click.Group):
    """Lists its commands in the order in which people need them; prints errors safely."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Runs what the shell asks for; on SIGTERM it cleans up as on Ctrl-C."""
        with _ending_on_sigterm():
            return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command; makes its error printable, which may name any file that `*` matches."""
        try:
            return super().invoke(ctx)
        except click.ClickException as err:
            err.message = lines_for(sys.stderr, err.message)  # type: ignore[misc]  # we print it
            raise


@contextlib.contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """SIGTERM ends the command by an exception, so that what is half-written is removed."""

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one does not stop the cleaning
        sys.exit(128 + signal.SIGTERM)

    main_thread = threading.current_thread() is threading.main_thread()
    if not main_thread or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield  # only the main thread gets signals; another handler, or none, was chosen
        return
    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


_EPILOG = """\b
Begin with:
  mmdata pair photos captions                what pairs, and what does not
  mmdata report photos captions              an HTML page about the data
  mmdata show photos captions -o batch.png   what a model gets
  mmdata train photos captions               a small model
  mmdata caption runs new.jpg                its caption for a new photo
  mmdata export-web photos captions -o site  the same data for JavaScript

Exit status: 0 for success; 1 if `pair`, `verify` or `cache verify` found a problem, if `caption`
or `search` could not read an image, if a command failed, with a message, or after Ctrl-C; 2 for
wrong options; 143 after SIGTERM. Files are written completely, or not at all. Progress bars and
messages go to stderr, bars only in a terminal.
"""


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_EPILOG,
)
@click.version_option(package_name="mmdata")
def main() -> None:
    """Check images with captions, make training data from them, train small models on them.

    IMAGES is a folder, read with its subfolders, or .tar shards of images and captions. CAPTIONS is
    a folder of .txt files with the same names, one caption per line; or a caption file of COCO,
    Karpathy or Flickr, or a table; leave it out if the captions are next to the images.
    """


for command in (
    *(pair, verify, report, show, train, evaluate, caption, search),
    *(export_web, cache),
):
    main.add_command(command)
