"""`mmdata caption`."""

import csv
import io
import json
import pathlib
import sys
from collections.abc import Mapping

import click

from mmdata.cli.options import PATH, echo, lines_for, quiet_tensorflow
from mmdata.explore.files import writable
from mmdata.storage.atomic import write

_ENDINGS = (".csv", ".jsonl")

model_argument = click.argument("model", type=PATH)
"""A model with its preprocessing."""

image_arguments = click.argument("images", type=PATH, nargs=-1, required=True)
"""New images."""

batch_size = click.option(
    "--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Images per batch."
)


def images_of(paths: tuple[pathlib.Path, ...]) -> list[str] | str:
    """The paths of a command as `mmdata.read` takes them: one may be a folder of shards."""
    return str(paths[0]) if len(paths) == 1 else [str(path) for path in paths]


@click.command()
@model_argument
@image_arguments
@click.option(
    "-o",
    "--output",
    type=PATH,
    help="CSV or JSONL file to write, with image and caption. Default: lines on stdout, the path, "
    "a tab and the caption.",
)
@batch_size
def caption(
    model: pathlib.Path,
    images: tuple[pathlib.Path, ...],
    output: pathlib.Path | None,
    batch_size: int,
) -> None:
    """Write a caption for each image.

    MODEL is a .keras file, or the folder that `mmdata train` wrote. IMAGES are files, folders,
    which are read with their subfolders, or .tar shards. Files that cannot be decoded are named on
    stderr, and the exit status is 1; all others get a caption.
    """
    if output is not None and output.suffix.lower() not in _ENDINGS:
        raise click.BadParameter(
            f"must end in .csv or .jsonl; got {str(output)!r}.", param_hint="--output"
        )
    with quiet_tensorflow():
        if output is not None:
            writable(output)  # before the work
        from mmdata.training.caption import captions_of, require_captioning
        from mmdata.training.new_images import FilesOfImages
        from mmdata.training.saved_models import load

        loaded = load(model, task="captioning")
        require_captioning(loaded.preprocessing)
        pixels = loaded.preprocessing.pixels
        new = FilesOfImages(images_of(images), pixels, batch_size=batch_size, on_problem="drop")
        captions = captions_of(loaded, loaded.preprocessing, new)
        if output is not None:
            write(output, _content(captions, output.suffix.lower()))
    if output is None:
        for path, text in captions.items():
            if text is not None:
                click.echo("\t".join(lines_for(sys.stdout, part) for part in (path, text)))
    else:
        echo(f"wrote {output}: {len(captions):,} images")
    report_problems(new.problems())


def report_problems(problems: Mapping[str, str]) -> None:
    """Names the images that could not be decoded on stderr; exits with 1 if there are any."""
    for path, why in problems.items():
        click.echo(lines_for(sys.stderr, f"{path}: cannot be decoded ({why})"), err=True)
    if problems:
        sys.exit(1)


def _content(captions: Mapping[str, str | None], ending: str) -> bytes:
    """A table of images and captions; an image without a caption has an empty one, or null."""
    if ending == ".csv":
        file = io.StringIO(newline="")
        rows = csv.writer(file)
        rows.writerow(["image", "caption"])
        rows.writerows(captions.items())
        return file.getvalue().encode("utf-8", "surrogateescape")
    return b"".join(_line(image=image, caption=text) for image, text in captions.items())


def _line(**record: str | None) -> bytes:
    try:
        return json.dumps(record, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # a path that is not UTF-8
        return json.dumps(record).encode() + b"\n"
