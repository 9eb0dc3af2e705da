"""The command `mmdata`."""

import sys
from typing import Any

import click

from mmdata.cli.cache import cache
from mmdata.cli.options import lines_for
from mmdata.cli.pair_verify import pair, verify
from mmdata.cli.report_show import report, show
from mmdata.cli.train import train


class _Commands(click.Group):
    """Lists its commands in the order in which people need them; prints errors safely."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command; makes its error printable, which may name any file that `*` matches."""
        try:
            return super().invoke(ctx)
        except click.ClickException as err:
            err.message = lines_for(sys.stderr, err.message)  # type: ignore[misc]  # we print it
            raise


_EPILOG = """\b
Begin with:
  mmdata pair photos captions                what pairs, and what does not
  mmdata report photos captions              an HTML page about the data
  mmdata show photos captions -o batch.png   what a model gets

Exit status: 0 for success; 1 if `pair`, `verify` or `cache verify` found a problem, if a command
failed, with a message, or after Ctrl-C; 2 for wrong options. Files are written completely, or not
at all. Progress bars and messages go to stderr, bars only in a terminal.
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


for command in (pair, verify, report, show, train, cache):
    main.add_command(command)
