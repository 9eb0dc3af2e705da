"""`mmdata train`."""

import json
import pathlib
import shlex
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import click

from mmdata.cli.options import (
    Read,
    as_json,
    echo,
    image_size,
    on_problem,
    quiet_tensorflow,
    seed,
    with_options,
)
from mmdata.cli.sources import sources
from mmdata.optional import require

if TYPE_CHECKING:
    from mmdata.pairing.problems import OnProblem
    from mmdata.training.train import Outcome

_EXAMPLES = 8
_EXISTING_FILE = click.Path(path_type=pathlib.Path, exists=True, dir_okay=False)


@click.command()
@sources
@click.option(
    "--task",
    "tasks",
    type=click.Choice(["captioning", "retrieval"]),
    multiple=True,
    default=["captioning"],
    show_default=True,
    help="The model to train; may be given twice.",
)
@image_size("64", "Height and width in pixels, at least 32.")
@click.option(
    "--sequence-length",
    type=click.IntRange(3),
    default=24,
    show_default=True,
    help="Maximum tokens per caption.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Passes over the training images. Default: 30, or 40 for retrieval.",
)
@click.option(
    "--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Examples per step."
)
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, min_open=True),
    default=2e-3,
    show_default=True,
    help="The maximum learning rate.",
)
@seed
@click.option(
    "--attributes",
    type=_EXISTING_FILE,
    help="CSV file with the image in the first column, and a column for each attribute of what it "
    "shows; measures whether captions name them.",
)
@on_problem
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=pathlib.Path, file_okay=False),
    default="runs",
    show_default=True,
    help="Folder for the model, its vocabulary and a picture of examples.",
)
@as_json
def train(
    read: Read,
    tasks: tuple[str, ...],
    image_size: tuple[int, int],
    sequence_length: int,
    epochs: int | None,
    batch_size: int,
    learning_rate: float,
    seed: int,
    attributes: pathlib.Path | None,
    on_problem: "OnProblem",
    output: pathlib.Path,
    as_json: bool,
) -> None:
    """Train a small model, and evaluate it.

    Uses the splits "train" and "validation" of the source. If it has no splits, 80 % of the images
    are for training, 10 % for evaluation; which ones depends only on their content. Prints captions
    of unseen images next to a person's, and scores next to a baseline.
    """
    output_text = (lambda *_: None) if as_json else echo
    verbose = 0 if as_json else 1 if sys.stdout.isatty() else 2
    scores: dict[str, Any] = {}
    with quiet_tensorflow():
        from mmdata.training.attributes import Attributes
        from mmdata.training.train import EPOCHS, Settings, train_captioner, train_dual_encoder

        require("matplotlib.figure", extra="train")  # before the work
        pairs = read(on_problem).split()
        output_text(with_options(str(pairs.report)))
        output.mkdir(parents=True, exist_ok=True)
        named = None if attributes is None else Attributes.load(attributes)
        for task in tasks:
            settings = Settings(
                image_size=image_size,
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
            output_text(_summary(task, outcome))
            output_text(_saved(task, outcome, output))
            scores[task] = {
                name: {"model": score, "baseline": baseline}
                for name, (score, baseline) in outcome.scores.items()
            }
    if as_json:
        click.echo(json.dumps(scores, indent=2))


def _summary(task: str, outcome: "Outcome") -> str:
    """Examples of a model's output, and its scores."""
    examples = outcome.examples[:: max(len(outcome.examples) // _EXAMPLES, 1)]
    width = max(map(len, outcome.scores))
    return "\n".join(
        [
            f"\n{task}: some validation images",
            *(textwrap.indent(example, "  ") for example in examples),
            f"\n{task}: scores, times 100, on {len(outcome.examples)} validation images",
            f"  baseline: {outcome.baseline}",
            *(
                f"  {name:<{width}}  {100 * score:6.1f}   baseline {100 * baseline:5.1f}"
                for name, (score, baseline) in outcome.scores.items()
            ),
        ]
    )


def _saved(task: str, outcome: "Outcome", output: pathlib.Path) -> str:
    """Writes model, vocabulary and picture, each in one step; returns what to do with them."""
    from mmdata.explore.files import save
    from mmdata.storage.atomic import replacing

    with replacing(output / f"{task}-vocabulary.txt") as path:
        outcome.tokenizer.save(path)
    with replacing(output / f"{task}.keras") as path:
        outcome.model.save(path)
    save(outcome.picture, output / f"{task}.png")
    use = {"captioning": "caption {} NEW.jpg", "retrieval": "search {} PHOTOS 'some words'"}[task]
    return (
        f"\nwrote {task}.keras, {task}-vocabulary.txt and {task}.png to {output}\n"
        f"for new photos: mmdata {use.format(shlex.quote(str(output)))}"
    )
