"""The command `mmdata`."""

import json
import os
import pathlib
import sys
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import click

from mmdata.pairing.findings import Report
from mmdata.pairing.problems import OnProblem
from mmdata.pairing.recognition import LAYOUTS, Layout

if TYPE_CHECKING:
    from mmdata.benchmarks import epochs, images, text
    from mmdata.pairing.pairs import Pairs
    from mmdata.training import Outcome

_EXAMPLES = 8
_PATH = click.Path(path_type=pathlib.Path)
_DRAWABLE = click.Path(path_type=pathlib.Path, exists=True, dir_okay=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="mmdata")
def main() -> None:
    """Turns images and captions on disk into training data, and trains small models on it.

    IMAGES is a folder, searched with its subfolders, or .tar shards of images and captions.
    CAPTIONS is a folder of .txt files with the same names, one caption a line; or COCO's,
    Karpathy's or Flickr's caption file, or a table; leave it out where captions lie beside the
    images.
    """


def _sources(command: Callable[..., None]) -> Callable[..., None]:
    """The arguments and options that say what to read."""
    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="Print the report as JSON."),
        click.option("--split", "splits", multiple=True, help="Only this split; may be repeated."),
        click.option(
            "--layout",
            type=click.Choice(["auto", *(name for name in LAYOUTS if name != "frame")]),
            default="auto",
            show_default=True,
            help="How the captions are laid out.",
        ),
        click.argument("captions", type=_PATH, required=False),
        click.argument("images", type=_PATH),
    ):
        command = decorate(command)
    return command


@main.command()
@_sources
def pair(
    images: pathlib.Path,
    captions: pathlib.Path | None,
    layout: Layout | Literal["auto"],
    splits: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print what pairs and what does not. Exit status: 0; 1 if something is lost or unreadable."""
    _print_report(_read(images, captions, layout, splits).report, as_json)


@main.command()
@_sources
def verify(
    images: pathlib.Path,
    captions: pathlib.Path | None,
    layout: Layout | Literal["auto"],
    splits: tuple[str, ...],
    as_json: bool,
) -> None:
    """Decode every image that pairs, and print what is lost. Exit status: as `pair`.

    What cannot be decoded is kept: training on unchanged files knows it beforehand.
    """
    pairs = _read(images, captions, layout, splits)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow tells of each bad file, too
    from mmdata.verification import verify as verify_pairs

    _print_report(verify_pairs(pairs).report, as_json)


def _read(
    images: pathlib.Path,
    captions: pathlib.Path | None,
    layout: Layout | Literal["auto"],
    splits: tuple[str, ...],
) -> "Pairs":
    from mmdata.pairing.read import read

    try:
        return read(images, captions, layout=layout, split=splits or None, on_problem="drop")
    except (OSError, ValueError, ImportError) as err:
        raise click.ClickException(str(err)) from err


def _print_report(report: Report, as_json: bool) -> None:
    click.echo(json.dumps(report.to_dict(), indent=2) if as_json else report)
    sys.exit(1 if report.problems else 0)


@main.command()
@click.argument("images", type=_PATH)
@click.argument("captions", type=_PATH, required=False)
@click.option(
    "--task",
    "tasks",
    type=click.Choice(["captioning", "retrieval"]),
    multiple=True,
    default=["captioning"],
    show_default=True,
    help="What to train; may be given twice.",
)
@click.option(
    "--image-size", type=click.IntRange(32), default=64, show_default=True, help="Side, in pixels."
)
@click.option(
    "--sequence-length",
    type=click.IntRange(3),
    default=24,
    show_default=True,
    help="Tokens of a caption.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Passes over the training images; 30, or 40 for retrieval.",
)
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True)
@click.option(
    "--learning-rate", type=click.FloatRange(0, min_open=True), default=2e-3, show_default=True
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--attributes",
    type=_DRAWABLE,
    help="CSV file: image, then what it shows, a column each; measures whether captions name it.",
)
@click.option(
    "--on-problem",
    type=click.Choice(["error", "drop"]),
    default="error",
    show_default=True,
    help="Stop at files that do not pair or cannot be decoded, or go on without them.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=pathlib.Path, file_okay=False),
    default="runs",
    show_default=True,
    help="Folder for the model, its vocabulary and the picture of examples.",
)
def train(
    images: pathlib.Path,
    captions: pathlib.Path | None,
    tasks: tuple[str, ...],
    image_size: int,
    sequence_length: int,
    epochs: int | None,
    batch_size: int,
    learning_rate: float,
    seed: int,
    attributes: pathlib.Path | None,
    on_problem: OnProblem,
    output: pathlib.Path,
) -> None:
    """Train the reference model, and measure it on images it has not seen.

    80 % of the images are for training, 10 % for validation; which ones depends on their content
    alone. Prints validation captions beside their references, and scores beside a baseline.
    """
    from mmdata.evaluation import Attributes
    from mmdata.pairing.read import read
    from mmdata.training import EPOCHS, Settings, train_captioner, train_dual_encoder

    verbose = 1 if sys.stdout.isatty() else 2
    try:
        pairs = read(images, captions, on_problem=on_problem).split()
        click.echo(pairs.report)
        named = None if attributes is None else Attributes.load(attributes)
        for task in tasks:
            settings = Settings(
                image_size=(image_size, image_size),
                sequence_length=sequence_length,
                epochs=epochs or EPOCHS[task],
                batch_size=batch_size,
                learning_rate=learning_rate,
                seed=seed,
                on_problem=on_problem,
            )
            if task == "captioning":
                outcome = train_captioner(pairs, settings, named, verbose)
            else:
                outcome = train_dual_encoder(pairs, settings, verbose)
            _print(task, outcome)
            _save(task, outcome, output)
    except (OSError, ValueError, ImportError) as err:
        raise click.ClickException(str(err)) from err


def _print(task: str, outcome: "Outcome") -> None:
    click.echo(f"\n{task}: some validation images")
    for example in outcome.examples[:: max(len(outcome.examples) // _EXAMPLES, 1)]:
        click.echo(textwrap.indent(example, "  "))
    click.echo(f"\n{task}: scores on {len(outcome.examples)} validation images")
    click.echo(f"  baseline: {outcome.baseline}")
    width = max(map(len, outcome.scores))
    for name, (score, baseline) in outcome.scores.items():
        click.echo(f"  {name:<{width}}  {score:6.1f}   baseline {baseline:5.1f}")


def _save(task: str, outcome: "Outcome", output: pathlib.Path) -> None:
    from mmdata.pictures import save

    output.mkdir(parents=True, exist_ok=True)
    outcome.tokenizer.save(output / f"{task}-vocabulary.txt")
    outcome.model.save(output / f"{task}.keras")
    save(outcome.picture, output / f"{task}.png")
    click.echo(f"\nwrote {task}.keras, {task}-vocabulary.txt and {task}.png to {output}")


@main.group()
def bench() -> None:
    """Measure mmdata beside its peers, on this machine.

    Those who are compared run one at a time, in turn. One that is not installed, or fails, is
    named.
    """


def _measured(command: Callable[..., None]) -> Callable[..., None]:
    """The options of all comparisons."""
    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON."),
        click.option("--rounds", type=click.IntRange(1), default=5, show_default=True),
    ):
        command = decorate(command)
    return command


_SIZE = click.option(
    "--size",
    type=click.IntRange(1),
    nargs=2,
    default=(224, 224),
    metavar="H W",
    show_default=True,
    help="Height and width to resize to, in pixels.",
)


@bench.command("images")
@click.argument("images", type=_PATH)
@_SIZE
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
    images: pathlib.Path, size: tuple[int, int], rounds: int, most: int, as_json: bool
) -> None:
    """Measure how fast JPEG files become batches of images of one size.

    IMAGES is a folder, searched with its subfolders; files that are no JPEG are left out.
    """
    from mmdata.benchmarks.images import compare

    _print_comparison(lambda: compare(images, size=size, rounds=rounds, most=most), as_json)


@bench.command("text")
@click.argument("captions", type=_PATH)
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
@click.argument("images", type=_PATH)
@click.argument("captions", type=_PATH)
@_SIZE
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
    size: tuple[int, int],
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
        comparison = compare(images, captions, size=size, rounds=rounds, count=count)
        if plot is not None:
            draw(comparison, plot)
        return comparison

    _print_comparison(compared, as_json)


def _print_comparison(
    compare: "Callable[[], epochs.Comparison | images.Comparison | text.Comparison]", as_json: bool
) -> None:
    try:
        comparison = compare()
    except (OSError, ValueError, ImportError) as err:
        raise click.ClickException(str(err)) from err
    click.echo(json.dumps(comparison.to_dict(), indent=2) if as_json else comparison)


@main.group()
def cache() -> None:
    """See, check or clear decoded images, and features of images, that are kept on disk.

    PATH is what `build(cache=PATH)` or `features(path=PATH)` was given, or a folder in it; if it is
    left out, where `True` keeps them.
    """


def _pixels() -> pathlib.Path:
    from mmdata.home import home

    return home() / "pixels"


def _cached(command: Callable[..., None]) -> Callable[..., None]:
    """The folder that holds what is kept."""
    default = click.argument("path", type=_PATH, default=_pixels)
    return default(command)


@cache.command("show")
@_cached
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def show_cache(path: pathlib.Path, as_json: bool) -> None:
    """Print what is kept, what was used last first."""
    from mmdata.stores import contents

    found = contents(path)
    if as_json:
        click.echo(json.dumps([kept.to_dict() for kept in found], indent=2))
        return
    click.echo("\n\n".join(map(str, found)) or f"{path}: nothing is kept there.")


@cache.command("verify")
@_cached
def verify_cache(path: pathlib.Path) -> None:
    """Check all that is kept against its checksums. Exit status: 0; 1 if something was damaged.

    What is damaged is removed, to be computed anew. Waits for processes that are filling.
    """
    from mmdata.stores import contents
    from mmdata.stores import verify as verify_stores

    try:
        damaged = verify_stores(path)
    except OSError as err:
        raise click.ClickException(str(err)) from err
    for sentence in damaged:
        click.echo(sentence)
    rows = sum(kept.rows for kept in contents(path))
    click.echo(f"{path}: {len(damaged):,} damaged files removed; {rows:,} rows are right.")
    sys.exit(1 if damaged else 0)


@cache.command("clear")
@_cached
@click.option("--yes", is_flag=True, help="Do not ask.")
def clear_cache(path: pathlib.Path, yes: bool) -> None:
    """Remove what is kept, and nothing else. Waits for processes that are filling."""
    from mmdata.stores import clear, contents

    found = contents(path)
    told = f"{sum(k.rows for k in found):,} rows, {sum(k.size for k in found) / 1e9:,.2f} GB"
    if found and not yes:
        click.confirm(f"Remove {told}, from {path}?", abort=True)
    try:
        clear(path)
    except OSError as err:
        raise click.ClickException(str(err)) from err
    click.echo(f"{path}: removed {told}.")
