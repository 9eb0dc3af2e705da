"""The arguments and options of what to read: those of `mmdata.read`."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from mmdata.cli.options import PATH, failing, together
from mmdata.pairing.layouts import LAYOUTS

if TYPE_CHECKING:
    from mmdata.pairing.problems import OnProblem
    from mmdata.pairs.pairs import Pairs

_REPEATS = {"auto": "auto", "yes": True, "no": False}


class _List(click.ParamType):  # type: ignore[type-arg]
    """A list of a split: "validation=val.txt" -> ("validation", "val.txt")."""

    name = "NAME=FILE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Converts what the user typed."""
        name, equals, path = value.partition("=")
        if not (name.strip() and equals and path):
            self.fail(f"must be NAME=FILE, such as validation=val.txt; got {value!r}.", param, ctx)
        return name, path


def _choice(flag: str, values: list[str], text: str) -> Any:
    default = values[0]
    kind = click.Choice(values)
    return click.option(flag, type=kind, default=default, show_default=True, help=text)


_OPTIONS = (
    click.argument("images", type=PATH),
    click.argument("captions", type=PATH, required=False),
    _choice(
        "--layout",
        ["auto", *(name for name in LAYOUTS if name != "frame")],
        "The layout of the captions.",
    ),
    click.option("--split", multiple=True, help="Read only this split; may be repeated."),
    click.option(
        "--splits",
        type=_List(),
        multiple=True,
        help="A text file with the images of a split, one name a line; may be repeated.",
    ),
    click.option("--image-column", help="The column of a table that names the images."),
    click.option(
        "--caption-column",
        multiple=True,
        help="Its column of captions, or the key in shards; may be repeated.",
    ),
    click.option("--no-captions", is_flag=True, help="Read images without captions."),
    click.option("--weight-column", help="Its column of weights for the loss."),
    click.option("--no-weights", is_flag=True, help="Use no weights."),
    click.option(
        "--extensions",
        multiple=True,
        metavar="EXTENSION",
        help="Extension of caption files, such as .txt; may be repeated, the first one is used.",
    ),
    _choice(
        "--lines",
        ["auto", "each", "one"],
        "Whether each line of a caption file is a caption, or the whole file is one.",
    ),
    _choice(
        "--repeats",
        list(_REPEATS),
        "Whether a folder 10_name gives its images the weight 10.",
    ),
    _choice(
        "--key",
        ["last_dot", "first_dot"],
        "Where the common name of an image and its captions ends in shards.",
    ),
    _choice("--links", ["inside", "follow"], "Which symbolic links are read."),
    click.option("--encoding", help="The encoding of caption files that are not UTF-8."),
    _choice(
        "--encoding-errors",
        ["strict", "replace"],
        "Whether bytes that cannot be decoded are an error, or become U+FFFD.",
    ),
    click.option("--fix-text", is_flag=True, help="Repair captions that were decoded wrongly."),
)


_NAMES = [param.name for param in click.command()(together(*_OPTIONS)(lambda: None)).params]


def sources(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the arguments and options for what to read; the command gets a function `read`.

    These have the names of the arguments of `mmdata.read`, which they become.
    """

    @functools.wraps(command)
    def with_read(**options: Any) -> Any:
        given = {name: options.pop(name) for name in _NAMES}

        def read(on_problem: "OnProblem", *, makes_splits: bool = False) -> "Pairs":
            from mmdata.pairing.read import read as read_pairs
            from mmdata.pairs.merging import merge

            arguments = _arguments(given)
            names = arguments.pop("split", ()) if makes_splits else ()
            with failing():
                pairs = read_pairs(**arguments, on_problem=on_problem)
                if not names:
                    return pairs
                pairs = pairs.split()
                return merge([pairs.subset(name) for name in dict.fromkeys(names)])

        return command(read=read, **options)

    return together(*_OPTIONS)(with_read)


def _arguments(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `mmdata.read`; what was not given keeps its default."""
    for flag, column in (("no_captions", "caption_column"), ("no_weights", "weight_column")):
        if given[flag] and given[column]:
            names = f"--{flag.replace('_', '-')} excludes --{column.replace('_', '-')}"
            raise click.UsageError(f"{names}; got both.")
    lists = dict(given["splits"])
    if len(lists) < len(given["splits"]):
        raise click.UsageError(f"--splits must name each split once; got {given['splits']}.")
    columns = given["caption_column"]
    arguments = {name: value for name, value in given.items() if value not in (None, ())}
    arguments |= {
        "images": given["images"],
        "repeats": _REPEATS[given["repeats"]],
        "splits": lists or None,
    }
    if len(columns) == 1:
        arguments["caption_column"] = columns[0]
    if arguments.pop("no_captions"):
        arguments["caption_column"] = None
    if arguments.pop("no_weights"):
        arguments["weight_column"] = None
    return arguments
