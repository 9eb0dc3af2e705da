"""`mmdata evaluate`."""

import json
import pathlib
from typing import TYPE_CHECKING, Any, Literal

import click

from mmdata.cli.caption import batch_size, model_argument
from mmdata.cli.options import Read, as_json, echo, on_problem, quiet_tensorflow
from mmdata.cli.sources import sources

if TYPE_CHECKING:
    from mmdata.dataset import Dataset
    from mmdata.pairing.problems import OnProblem
    from mmdata.preprocessing import Preprocessing


@click.command()
@model_argument
@sources
@click.option(
    "--task",
    type=click.Choice(["captioning", "retrieval"]),
    help="Which model of a folder that holds both.",
)
@batch_size
@on_problem
@as_json
def evaluate(
    model: pathlib.Path,
    read: Read,
    task: Literal["captioning", "retrieval"] | None,
    batch_size: int,
    on_problem: "OnProblem",
    as_json: bool,
) -> None:
    """Measure a trained model on images with captions.

    MODEL is a .keras file, or the folder that `mmdata train` wrote. Prints BLEU, ROUGE-L and
    CIDEr-D of a captioning model, as coco-caption does, or the recalls of a retrieval model, all as
    fractions, over all captions of each image. If the source has no splits, --split takes those
    that `mmdata train` makes.
    """
    with quiet_tensorflow():
        from mmdata.training.evaluate import evaluate as evaluate_model
        from mmdata.training.saved_models import load

        loaded = load(model, task=task)
        pairs = read(on_problem, makes_splits=True)
        ds = _dataset(loaded.preprocessing, pairs, batch_size=batch_size, on_problem=on_problem)
        scores = evaluate_model(loaded, ds)
    if as_json:
        click.echo(json.dumps(scores, indent=2))
        return
    echo(f"{len(ds.pairs):,} images, {ds.pairs.pair_count:,} captions")
    width = max(map(len, scores))
    for name, score in scores.items():
        click.echo(f"{name:<{width}}  {score:.4f}")


def _dataset(preprocessing: "Preprocessing", pairs: Any, **options: Any) -> "Dataset":
    """The pairs with the preprocessing of training."""
    from mmdata.pipeline import build
    from mmdata.tasks import Captioning, Prefix, Retrieval

    task: Any = Captioning(template=preprocessing.template)
    if preprocessing.prompt:
        task = Prefix(template=preprocessing.template, prompt=preprocessing.prompt)
    elif preprocessing.task == "Retrieval":
        task = Retrieval(template=preprocessing.template)
    if preprocessing.text is None:
        raise ValueError(
            f"evaluate needs a model of captions; got one of task={preprocessing.task}."
        )
    ds: Dataset = build(
        pairs,
        task=task,
        pixels=preprocessing.pixels,
        text=preprocessing.text,
        shuffle=False,
        **options,
    )
    return ds
