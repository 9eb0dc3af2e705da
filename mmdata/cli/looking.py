"""`mmdata pair`, `verify`, `report` and `show`: what is there, and what the model gets of it."""

import json
import pathlib
import sys
from typing import TYPE_CHECKING, Any

import click

from mmdata.cli.options import (
    PATH,
    Read,
    as_json,
    echo,
    failing,
    image_size,
    on_problem,
    print_as,
    seed,
    sources,
    tensorflow,
    together,
)
from mmdata.explore.files import save, writable
from mmdata.pairs.findings import PairingReport

if TYPE_CHECKING:
    from mmdata.pairing.problems import OnProblem

_TEXTS = ("wordpiece", "word", "character", "sentencepiece", "bytepair", "byte", "clip")
_STAGES = {"crop": "RandomCrop", "flip": "Flip", "color": "Color", "grayscale": "Grayscale"}
_TASKS = ("captioning", "retrieval", "text_to_image")

_made = together(
    click.option(
        "--pixels",
        help="What pixels become: a model's preset, such as clip, or a range; unit (0 to 1), or "
        "signed where the task wants it, if left out.",
    ),
    image_size(None, "Height and width of what the model gets; that of --pixels if left out."),
    click.option(
        "--text",
        type=click.Choice(_TEXTS),
        default="wordpiece",
        show_default=True,
        help="How captions become tokens.",
    ),
    click.option("--sequence-length", type=click.IntRange(3), help="Tokens of a caption."),
)
"""How batches are made."""


@click.command()
@sources
@as_json
def pair(read: Read, as_json: bool) -> None:
    """Print what pairs and what does not. Opens no image.

    Exits with 1 if something is lost or unreadable.
    """
    _print_report(read("drop").report, as_json)


@click.command()
@sources
@as_json
def verify(read: Read, as_json: bool) -> None:
    """Decode every image, and print what is lost.

    Exits with 1 if something is. What cannot be decoded is kept: training on unchanged files knows
    it beforehand.
    """
    pairs = read("drop")
    with tensorflow():
        from mmdata.images.verify import verify as verify_pairs

        _print_report(verify_pairs(pairs).report, as_json)


@click.command()
@sources
@_made
@click.option(
    "--gallery", type=click.IntRange(0), default=400, show_default=True, help="Images to show."
)
@click.option(
    "-o",
    "--output",
    type=PATH,
    help="HTML file to write, which needs no other file and no network; report.html, but none with "
    "--json, if left out.",
)
@as_json
def report(
    read: Read,
    gallery: int,
    output: pathlib.Path | None,
    as_json: bool,
    **made: Any,
) -> None:
    """Write a page to look at before training.

    It has what was found, a gallery to search, sizes, lengths, words and what repeats, and shows
    what a model gets that is trained with these options. Decodes every image that has captions.
    """
    if output is None and not as_json:
        output = pathlib.Path("report.html")
    with failing():
        if output is not None:
            writable(output)  # before the work
    pairs = read("drop")
    with tensorflow():
        from mmdata.explore.report import report as report_on

        made["pixels"] = made["pixels"] or "unit"
        page = report_on(pairs, gallery=gallery, **made)
        if output is not None:
            page.save(output)
    told = ", ".join(
        f"{page.figures[what]:,} {what}" for what in ("images", "captions", "problems")
    )
    echo(json.dumps(page.figures, indent=2) if as_json else f"wrote {output}: {told}")


@click.command()
@sources
@_made
@click.option(
    "--task",
    type=click.Choice(_TASKS),
    default="captioning",
    show_default=True,
    help="What the model is for.",
)
@click.option(
    "--augment",
    "stages",
    type=click.Choice(list(_STAGES)),
    multiple=True,
    help="Change images at random; may be repeated.",
)
@seed
@click.option(
    "-n", "count", type=click.IntRange(1), default=16, show_default=True, help="Images to draw."
)
@click.option(
    "-o",
    "--output",
    type=PATH,
    default="batch.png",
    show_default=True,
    help="PNG file to write.",
)
@on_problem
def show(
    read: Read,
    task: str,
    stages: tuple[str, ...],
    seed: int,
    count: int,
    output: pathlib.Path,
    on_problem: "OnProblem",
    **made: Any,
) -> None:
    """Draw what the model sees.

    The first images of an epoch, as they are after resizing and augmenting, with their captions in
    tokens.
    """
    if output.suffix.lower() != ".png":
        raise click.BadParameter(f"must end in .png; got {str(output)!r}.", param_hint="--output")
    with failing():
        writable(output)  # before the work
    if made["pixels"] is None:
        made["pixels"] = "signed" if task == "text_to_image" else "unit"
    pairs = read(on_problem)
    with tensorflow():
        import mmdata

        augment = [getattr(mmdata, _STAGES[stage])() for stage in stages]
        ds = mmdata.build(
            pairs,
            task=task,
            augment=augment,
            seed=seed,
            batch_size=count,
            on_problem=on_problem,
            **made,
        )
        save(mmdata.explore.plot_batch(ds, n=count).figure, output)
    echo(f"{ds}\nwrote {output}")


def _print_report(report: PairingReport, as_json: bool) -> None:
    print_as(report, as_json)
    sys.exit(1 if report.problems else 0)
