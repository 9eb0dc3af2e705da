"""Arguments, options and error handling that commands share."""

import ast
import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from mmdata.pairing.interface import rewritten
from mmdata.pairs.findings import ALL_IN_FINDINGS
from mmdata.printable import printable_lines

if TYPE_CHECKING:
    from mmdata.pairing.problems import OnProblem
    from mmdata.pairs.findings import PairingReport
    from mmdata.pairs.pairs import Pairs

Command = TypeVar("Command", bound=Callable[..., Any])

_LARGEST_SIDE = 2**14
_TEXTS = ("wordpiece", "word", "character", "sentencepiece", "bytepair", "byte", "clip")
_WORDS = {"True": "yes", "False": "no"}
_OF_PYTHON = re.compile(r"(?:;| ?(?<=\.)) [^.;\n]*\bPairs\.\w+\([^)]*\)[^.;\n]*(?=[.;])")
"""Advice that names methods of `Pairs`, which no command has."""

PATH = click.Path(path_type=pathlib.Path)


class ImageSize(click.ParamType):  # type: ignore[type-arg]
    """Height and width in pixels: "224" -> (224, 224), "224x320" -> (224, 320)."""

    name = "image size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Converts what the user typed."""
        if isinstance(value, tuple):
            return value
        sides = value.lower().split("x")
        if len(sides) > 2 or not all(map(_is_side, sides)):
            self.fail(
                f"must be N or HxW in pixels, such as 224 or 224x320, at most {_LARGEST_SIDE:,}; "
                f"got {value!r}.",
                param,
                ctx,
            )
        return int(sides[0]), int(sides[-1])


def _is_side(text: str) -> bool:
    return text.isdecimal() and 0 < int(text) <= _LARGEST_SIDE


def image_size(default: str | None, help_text: str) -> Callable[[Command], Command]:
    """The option `--image-size`."""
    return click.option(
        "--image-size",
        type=ImageSize(),
        default=default,
        metavar="N or HxW",
        show_default=default is not None,
        help=help_text,
    )


def _known_pixels(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Checks the name of a preset before the work."""
    from mmdata.options import PRESETS

    if value is not None and value not in PRESETS:
        raise click.BadParameter(f"must be one of {', '.join(PRESETS)}; got {value!r}.")
    return value


pixels = click.option(
    "--pixels",
    callback=_known_pixels,
    help="A model's preset, such as clip, or the range of pixels. Default: unit (0 to 1), or "
    "signed (-1 to 1) if the task needs it.",
)

text = click.option(
    "--text",
    type=click.Choice(_TEXTS),
    default="wordpiece",
    show_default=True,
    help="The tokenizer for captions.",
)

sequence_length = click.option(
    "--sequence-length", type=click.IntRange(3), help="Maximum tokens per caption."
)

task = click.option(
    "--task",
    type=click.Choice(["captioning", "retrieval", "text_to_image"]),
    default="captioning",
    show_default=True,
    help="The task of the model.",
)


def pixels_for(task: str) -> str:
    """The preset of pixels if `--pixels` is not given."""
    return "signed" if task == "text_to_image" else "unit"


def together(*decorators: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Several arguments and options as one decorator, in the order in which help shows them."""

    def decorate(command: Command) -> Command:
        return functools.reduce(lambda inner, outer: outer(inner), reversed(decorators), command)

    return decorate


class Read(Protocol):
    """Reads the pairs of a command."""

    def __call__(self, on_problem: "OnProblem", *, makes_splits: bool = False) -> "Pairs":
        """Reads.

        Args:
          on_problem: What happens to files that do not pair.
          makes_splits: Whether `--split` takes splits that are made if the source has no splits.
        """


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")

seed = click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="The same seed gives the same order and random changes.",
)

on_problem = click.option(
    "--on-problem",
    type=click.Choice(["error", "drop"]),
    default="error",
    show_default=True,
    help="Stop at files that do not pair or cannot be decoded, or continue without them.",
)


@contextlib.contextmanager
def failing() -> Iterator[None]:
    """Reports an error without a traceback, in terms of the command's options, and exits with 1."""
    try:
        yield
    except (OSError, ValueError, TypeError, ImportError) as err:
        raise click.ClickException(with_options(str(err))) from err


def with_options(message: str) -> str:
    """Replaces the names of Python arguments by those of the command: `split=...` by `--split`."""
    flags = {
        flag.lstrip("-").replace("-", "_"): flag if flag.startswith("-") else flag.upper()
        for param in click.get_current_context().command.params
        for flag in param.opts
    }

    def option(name: str, value: str) -> str | None:
        if name not in flags:
            return None
        flag = flags[name]
        without = f"--no-{flag.removeprefix('--').replace('-column', 's')}"
        if value == "None":
            return (
                without if without.removeprefix("--").replace("-", "_") in flags else f"no {flag}"
            )
        if value == "...":
            return flag
        given = ast.literal_eval(value)
        words = given if isinstance(given, tuple) else [_WORDS.get(value, str(given))]
        return " ".join(f"{flag} {shlex.quote(word)}" for word in words)

    where_all = "The command `mmdata pair` lists all problems." if "on_problem" in flags else ""
    message = message.replace(ALL_IN_FINDINGS, where_all).rstrip()
    return rewritten(_OF_PYTHON.sub("", message), option)


def quiet_tensorflow() -> contextlib.AbstractContextManager[None]:
    """Reports errors as `failing` does, and stops TensorFlow from logging each bad file again."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return failing()


def echo(text: object) -> None:
    """Prints text that may come from files; its control characters become escapes."""
    click.echo(lines_for(sys.stdout, text))


def lines_for(stream: Any, text: object) -> str:
    """Printable lines, with escapes also for characters that the stream's encoding lacks."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return printable_lines(str(text)).encode(encoding, "backslashreplace").decode(encoding)


def print_report(report: "PairingReport", as_json: bool) -> None:
    """Prints a report as JSON or as text; its hints name the options of the command."""
    findings = (dataclasses.replace(f, detail=with_options(f.detail)) for f in report.findings)
    report = dataclasses.replace(report, findings=tuple(findings))
    echo(json.dumps(report.to_dict(), indent=2) if as_json else report)
