"""`mmdata export-web`."""

import dataclasses
import pathlib
import shlex
from typing import TYPE_CHECKING, Any

import click

from mmdata.cli.options import (
    PATH,
    Read,
    echo,
    image_size,
    on_problem,
    pixels,
    pixels_for,
    print_report,
    quiet_tensorflow,
    seed,
    sequence_length,
    task,
    text,
)
from mmdata.cli.sources import sources

if TYPE_CHECKING:
    from mmdata.export.web_shards import Encoding


@click.command("export-web")
@sources
@task
@pixels
@image_size("64", "Height and width of the images in pixels.")
@text
@sequence_length
@click.option(
    "--format",
    "image_format",
    type=click.Choice(["png", "npy"]),
    default="png",
    show_default=True,
    help="How images are stored: many in one PNG, or uncompressed, so that each is read alone.",
)
@click.option("--file-names", is_flag=True, help="Also write the names of the image files.")
@click.option(
    "--demo",
    is_flag=True,
    help="Also write index.html, a page that shows the data and trains a small model.",
)
@click.option("--tfjs", type=PATH, help="TensorFlow.js for this page: tf.min.js, from npm.")
@seed
@on_problem
@click.option(
    "-o",
    "--output",
    type=PATH,
    default="site",
    show_default=True,
    help="Folder to write; an earlier export in it is replaced.",
)
def export_web(
    read: Read,
    task: str,
    image_format: "Encoding",
    output: pathlib.Path,
    on_problem: Any,
    **options: Any,
) -> None:
    """Write images and captions for JavaScript.

    A page or Node reads them with mmdata.js, which is written beside them: the same images, ids and
    order as in Python. The folder may be public, on any static server. If the source has no splits,
    images are split 80/10/10, or all are in "train" if they are few; --split takes some of these
    splits.
    """
    options["pixels"] = options["pixels"] or pixels_for(task)
    with quiet_tensorflow():
        from mmdata.export.web import export_web as export
        from mmdata.storage.web_manifest import read_web_manifest

        pairs = read(on_problem, makes_splits=True)
        corrupt = export(
            pairs, output, encoding=image_format, task=task, on_problem=on_problem, **options
        )
        manifest = read_web_manifest(output)
    others = (found for found in pairs.report.findings if found.kind != "corrupt")
    print_report(dataclasses.replace(pairs.report, findings=(*others, *corrupt)), as_json=False)
    size = sum(file.bytes for file in manifest.files)
    splits = {name: split["rows"] for name, split in manifest.settings["splits"].items()}
    counts = ", ".join(f"{rows:,} {name}" for name, rows in splits.items())
    look = f"python -m http.server -d {shlex.quote(str(output))}"
    echo(f"wrote {manifest.rows:,} images ({counts}), {size / 1e6:,.2f} MB, to {output}: {look}")
