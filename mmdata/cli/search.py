"""`mmdata search`."""

import json
import pathlib
import sys

import click

from mmdata.cli.caption import (
    batch_size,
    image_arguments,
    images_of,
    model_argument,
    report_problems,
)
from mmdata.cli.options import PATH, as_json, lines_for, quiet_tensorflow


@click.command()
@model_argument
@image_arguments
@click.argument("words")
@click.option(
    "-n",
    "count",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="Number of images to find.",
)
@click.option(
    "--index",
    type=PATH,
    help="Folder for the embeddings of the images: another search computes only those of new or "
    "changed images.",
)
@batch_size
@as_json
def search(
    model: pathlib.Path,
    images: tuple[pathlib.Path, ...],
    words: str,
    count: int,
    index: pathlib.Path | None,
    batch_size: int,
    as_json: bool,
) -> None:
    """Find the images that fit some words best.

    MODEL is a .keras file of a retrieval model, or the folder that `mmdata train --task retrieval`
    wrote. IMAGES are files, folders, which are read with their subfolders, or .tar shards. Prints a
    line for each image, the best first: the cosine between image and words, a tab and the path.
    Files that cannot be decoded are named on stderr, and the exit status is 1.
    """
    with quiet_tensorflow():
        from mmdata.training.new_images import FilesOfImages
        from mmdata.training.saved_models import load
        from mmdata.training.search import best, require_retrieval

        loaded = load(model, task="retrieval")
        require_retrieval(loaded)
        pixels = loaded.preprocessing.pixels
        new = FilesOfImages(images_of(images), pixels, batch_size=batch_size, on_problem="drop")
        found = best(loaded, loaded.preprocessing, new, words, k=count, index=index)
    if as_json:
        click.echo(json.dumps([each._asdict() for each in found], indent=2))
    else:
        for image, score in found:
            click.echo(f"{score:.3f}\t{lines_for(sys.stdout, image)}")
    report_problems(new.problems())
