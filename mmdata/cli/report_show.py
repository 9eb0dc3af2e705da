"""`mmdata report` and `mmdata show`: a page about the data, and a picture of a batch."""

import json
import pathlib
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
    pixels,
    pixels_for,
    quiet_tensorflow,
    seed,
    sequence_length,
    task,
    text,
    together,
)
from mmdata.cli.sources import sources
from mmdata.explore.files import save, writable

if TYPE_CHECKING:
    from mmdata.pairing.problems import OnProblem
    from mmdata.tasks import TaskName

_STAGES = {"crop": "RandomCrop", "flip": "Flip", "color": "Color", "grayscale": "Grayscale"}


_batch_options = together(
    pixels,
    image_size(
        None, "Height and width of the model's images in pixels. Default: that of --pixels."
    ),
    text,
    sequence_length,
)
"""Options for how batches are made."""


@click.command()
@sources
@_batch_options
@click.option(
    "--gallery",
    type=click.IntRange(0),
    default=400,
    show_default=True,
    help="Number of images to show.",
)
@click.option(
    "-o",
    "--output",
    type=PATH,
    help="HTML file to write; it needs no other file and no network. Default: report.html, or none "
    "with --json.",
)
@as_json
def report(
    read: Read,
    gallery: int,
    output: pathlib.Path | None,
    as_json: bool,
    **batch: Any,
) -> None:
    """Write a page about the data, to read before training.

    It shows problems, a searchable gallery, sizes, lengths, words and duplicates, and what a model
    gets with these options. Decodes every image that has captions.
    """
    if output is None and not as_json:
        output = pathlib.Path("report.html")
    with failing():
        if output is not None:
            writable(output)  # before the work
    pairs = read("drop")
    with quiet_tensorflow():
        from mmdata.explore.report import report as report_on

        batch["pixels"] = batch["pixels"] or "unit"
        page = report_on(pairs, gallery=gallery, **batch)
        if output is not None:
            page.save(output)
    counts = ", ".join(
        f"{page.figures[what]:,} {what}" for what in ("images", "captions", "problems")
    )
    echo(json.dumps(page.figures, indent=2) if as_json else f"wrote {output}: {counts}")


@click.command()
@sources
@_batch_options
@task
@click.option(
    "--augment",
    "stages",
    type=click.Choice(list(_STAGES)),
    multiple=True,
    help="Random change of images; may be repeated.",
)
@seed
@click.option(
    "-n",
    "count",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="Number of images to draw.",
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
    task: "TaskName",
    stages: tuple[str, ...],
    seed: int,
    count: int,
    output: pathlib.Path,
    on_problem: "OnProblem",
    **batch: Any,
) -> None:
    """Draw what the model gets.

    These are the first images of an epoch, after resizing and augmentation, and the tokens of their
    captions.
    """
    if output.suffix.lower() != ".png":
        raise click.BadParameter(f"must end in .png; got {str(output)!r}.", param_hint="--output")
    with failing():
        writable(output)  # before the work
    batch["pixels"] = batch["pixels"] or pixels_for(task)
    pairs = read(on_problem).drop("split")  # all that was read
    with quiet_tensorflow():
        import mmdata

        augment = [getattr(mmdata, _STAGES[stage])() for stage in stages]
        ds = mmdata.build(
            pairs,
            task=task,
            augment=augment,
            seed=seed,
            batch_size=count,
            on_problem=on_problem,
            **batch,
        )
        save(mmdata.explore.plot_batch(ds, n=count).figure, output)
    echo(f"{ds}\nwrote {output}")
