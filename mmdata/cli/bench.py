"""`mmdata bench`: mmdata beside its peers."""

import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from mmdata.cli.options import PATH, as_json, failing, image_size, print_as, together

if TYPE_CHECKING:
    from mmdata.benchmarks import epochs, images, text


@click.group()
def bench() -> None:
    """Measure mmdata beside its peers, on this machine.

    Those who are compared run one at a time, in turn. One that is not installed, or fails, is
    named.
    """


_measured = together(
    click.option(
        "--rounds", type=click.IntRange(1), default=5, show_default=True, help="Epochs that count."
    ),
    as_json,
)
"""The options of all comparisons."""

_size = image_size("224", "Height and width to resize to, in pixels.")


@bench.command("images")
@click.argument("images", type=PATH)
@_size
@click.option(
    "--images",
    "most",
    type=click.IntRange(1),
    default=512,
    show_default=True,
    help="Files of a round, at most; fewer than 256 are repeated.",
)
@_measured
def bench_images(
    images: pathlib.Path, image_size: tuple[int, int], rounds: int, most: int, as_json: bool
) -> None:
    """Measure how fast JPEG files become batches of images of one size.

    IMAGES is a folder, searched with its subfolders; files that are no JPEG are left out.
    """
    from mmdata.benchmarks.images import compare

    _print_comparison(lambda: compare(images, size=image_size, rounds=rounds, most=most), as_json)


@bench.command("text")
@click.argument("captions", type=PATH)
@click.option(
    "--captions",
    "count",
    type=click.IntRange(1),
    default=50_000,
    show_default=True,
    help="Captions of a round; repeated where there are fewer.",
)
@_measured
def bench_text(captions: pathlib.Path, rounds: int, count: int, as_json: bool) -> None:
    """Measure how fast captions become ids, on one core.

    CAPTIONS is a .txt file of one caption a line, or a folder of such; or COCO's, Karpathy's or
    Flickr's caption file, or a table. Its images need not be there.
    """
    from mmdata.benchmarks.text import compare

    _print_comparison(lambda: compare(captions, rounds=rounds, count=count), as_json)


@bench.command("epochs")
@click.argument("images", type=PATH)
@click.argument("captions", type=PATH)
@_size
@click.option(
    "--images",
    "count",
    type=click.IntRange(1),
    default=2048,
    show_default=True,
    help="Files of a round, copies of the photos in turn; with caches, 2 MB of disk each.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=pathlib.Path, dir_okay=False, writable=True),
    help="PNG file to draw the images a second into.",
)
@_measured
def bench_epochs(
    images: pathlib.Path,
    captions: pathlib.Path,
    image_size: tuple[int, int],
    rounds: int,
    count: int,
    plot: pathlib.Path | None,
    as_json: bool,
) -> None:
    """Measure an epoch as a training sees it: from JPEG files and captions to batches.

    IMAGES is a folder, searched with its subfolders; files that are no JPEG are left out. CAPTIONS
    is read as by `bench text`; which image a caption belongs to is not asked. Takes minutes, and
    some 10 GB of memory, since all that are compared live as long.
    """
    from mmdata.benchmarks.epochs import compare
    from mmdata.benchmarks.plot import draw, require_drawable

    def compared() -> "epochs.Comparison":
        if plot is not None:
            require_drawable(plot)
        comparison = compare(images, captions, size=image_size, rounds=rounds, count=count)
        if plot is not None:
            draw(comparison, plot)
        return comparison

    _print_comparison(compared, as_json)


def _print_comparison(
    compare: "Callable[[], epochs.Comparison | images.Comparison | text.Comparison]", as_json: bool
) -> None:
    with failing():
        print_as(compare(), as_json)
