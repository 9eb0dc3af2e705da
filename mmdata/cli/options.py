"""Arguments, options and error handling that commands share."""

import contextlib
import functools
import json
import os
import pathlib
import re
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from mmdata.pairing.layouts import LAYOUTS, Layout
from mmdata.printable import printable_lines

if TYPE_CHECKING:
    from mmdata.pairing.problems import OnProblem
    from mmdata.pairs.pairs import Pairs

Command = TypeVar("Command", bound=Callable[..., Any])

_LARGEST_SIDE = 2**14
_QUOTES = "\"'"
_ARGUMENT = re.compile(r"""(?<![\w.(])(\w+)=(\.\.\.|"[^"]*"|'[^']*'|\d+|None)""")

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


def together(*decorators: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Several arguments and options as one decorator, in the order in which help shows them."""

    def decorate(command: Command) -> Command:
        return functools.reduce(lambda inner, outer: outer(inner), reversed(decorators), command)

    return decorate


layout = click.option(
    "--layout",
    type=click.Choice(["auto", *(name for name in LAYOUTS if name != "frame")]),
    default="auto",
    show_default=True,
    help="The layout of the captions.",
)

Read = Callable[["OnProblem"], "Pairs"]
"""Reads the pairs of a command; the argument says what happens to files that do not pair."""


def sources(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the arguments and options for what to read; the command gets a function `read`."""

    @functools.wraps(command)
    def with_read(
        images: pathlib.Path,
        captions: pathlib.Path | None,
        layout: Layout | Literal["auto"],
        splits: tuple[str, ...],
        **options: Any,
    ) -> Any:
        def read(on_problem: "OnProblem") -> "Pairs":
            from mmdata.pairing.read import read as read_pairs

            split = splits or None
            with failing():
                return read_pairs(
                    images, captions, layout=layout, split=split, on_problem=on_problem
                )

        return command(read=read, **options)

    decorate = together(
        click.argument("images", type=PATH),
        click.argument("captions", type=PATH, required=False),
        layout,
        click.option(
            "--split", "splits", multiple=True, help="Read only this split; may be repeated."
        ),
    )
    return decorate(with_read)


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
    except (OSError, ValueError, ImportError) as err:
        raise click.ClickException(_with_options(str(err))) from err


def _with_options(message: str) -> str:
    """Replaces the names of Python arguments by those of the command: `split=...` by `--split`."""
    flags = {
        flag.lstrip("-").replace("-", "_"): flag if flag.startswith("-") else flag.upper()
        for param in click.get_current_context().command.params
        for flag in param.opts
    }

    def option(match: re.Match[str]) -> str:
        name, value = match.groups()
        if name not in flags:
            return match[0]
        if value == "None":
            return f"no {flags[name]}"
        return flags[name] if value == "..." else f"{flags[name]} {value.strip(_QUOTES)}"

    return _ARGUMENT.sub(option, message)


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


def print_as(found: Any, as_json: bool) -> None:
    """Prints a value as JSON by its `to_dict`, or as text."""
    echo(json.dumps(found.to_dict(), indent=2) if as_json else found)
