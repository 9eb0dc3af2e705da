"""Arguments and options that commands share, and how they fail."""

import contextlib
import functools
import json
import os
import pathlib
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

_MOST = 2**14

PATH = click.Path(path_type=pathlib.Path)


class ImageSize(click.ParamType):  # type: ignore[type-arg]
    """Height and width in pixels: "224" -> (224, 224), "224x320" -> (224, 320)."""

    name = "image size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Reads what was typed."""
        if isinstance(value, tuple):
            return value
        sides = value.lower().split("x")
        if len(sides) > 2 or not all(map(_is_side, sides)):
            self.fail(f"{value!r} is no size; give 224, or HEIGHTxWIDTH as in 224x320.", param, ctx)
        return int(sides[0]), int(sides[-1])


def _is_side(text: str) -> bool:
    return text.isdecimal() and 0 < int(text) <= _MOST


def image_size(default: str | None, told: str) -> Callable[[Command], Command]:
    """The option `--image-size`."""
    return click.option(
        "--image-size",
        type=ImageSize(),
        default=default,
        metavar="N or HxW",
        show_default=default is not None,
        help=told,
    )


def together(*decorators: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Several arguments and options as one decorator, in the order in which help shows them."""

    def decorate(command: Command) -> Command:
        return functools.reduce(lambda made, one: one(made), reversed(decorators), command)

    return decorate


layout = click.option(
    "--layout",
    type=click.Choice(["auto", *(name for name in LAYOUTS if name != "frame")]),
    default="auto",
    show_default=True,
    help="How the captions are laid out.",
)

Read = Callable[["OnProblem"], "Pairs"]
"""Reads the pairs that a command is about, given what happens to what does not pair."""


def sources(command: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments and options that say what to read; the command gets them as `read`."""

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
        click.option("--split", "splits", multiple=True, help="Only this split; may be repeated."),
    )
    return decorate(with_read)


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")

seed = click.option(
    "--seed", type=int, default=0, show_default=True, help="Same seed, same order and chances."
)

on_problem = click.option(
    "--on-problem",
    type=click.Choice(["error", "drop"]),
    default="error",
    show_default=True,
    help="Stop at files that do not pair or cannot be decoded, or go on without them.",
)


@contextlib.contextmanager
def failing() -> Iterator[None]:
    """Says what went wrong in one line, without a traceback, and exits with 1."""
    try:
        yield
    except (OSError, ValueError, ImportError) as err:
        raise click.ClickException(str(err)) from err


def tensorflow() -> contextlib.AbstractContextManager[None]:
    """What stands around all that imports TensorFlow, which else tells of each bad file, too."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return failing()


def echo(text: object) -> None:
    """Prints lines in which there may be text from files: the terminal obeys none of it."""
    click.echo(lines_for(sys.stdout, text))


def lines_for(stream: Any, text: object) -> str:
    """Printable lines, in which what the stream's encoding lacks becomes escapes, too."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return printable_lines(str(text)).encode(encoding, "backslashreplace").decode(encoding)


def print_as(found: Any, as_json: bool) -> None:
    """Prints something that has both forms: `to_dict` and text."""
    echo(json.dumps(found.to_dict(), indent=2) if as_json else found)
