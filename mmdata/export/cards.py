"""Describes `Pairs` for others: Croissant metadata, and a card for the Hugging Face Hub."""

import functools
import hashlib
import importlib.resources
import json
import os
import pathlib
import re
import statistics
import urllib.parse
from collections import Counter
from collections.abc import Sequence
from glob import escape
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
from markupsafe import Markup
from PIL import Image

from mmdata.optional import require
from mmdata.pairs.columns import Column
from mmdata.pairs.findings import describe
from mmdata.pairs.pairs import Pairs
from mmdata.pairs.strings import Strings
from mmdata.printable import printable
from mmdata.storage.atomic import replacing, sweep, write

if TYPE_CHECKING:
    from _typeshed import StrPath

_TEMPLATE = importlib.resources.files("mmdata.export") / "templates" / "card.md"
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_BOUNDS = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
_UPRIGHT = 4
"""EXIF orientations above it turn an image on its side."""

_TABLE, _FILES = "table", "files"
_IMAGES, _ROWS, _PAIRS = "images", "captions", "pairs"
_PICTURE = "image"


def to_croissant(
    pairs: Pairs, path: "StrPath", name: str | None, description: str | None, licence: str | None
) -> None:
    """See `Pairs.to_croissant`."""
    croissant = require("mlcroissant", extra="card")
    target = _target(path, ".json", "to_croissant")
    if pairs.blobs is not None:
        raise ValueError(
            "Pairs.to_croissant(...) describes image files; got images in shards. Unpack the "
            "shards, and read their files."
        )
    if _PICTURE in pairs.columns:
        raise ValueError(
            f"Pairs.to_croissant(...) names the images {_PICTURE!r}; got a column of that name. "
            f"Pairs.drop({_PICTURE!r}) removes it."
        )
    prefix = _prefix(pairs.root, target)
    table = target.with_suffix(".pairs.parquet")  # a name that no table of the user has
    if table.is_dir():
        raise IsADirectoryError(f"Pairs.to_croissant(...) writes {table}; got a folder there.")
    with replacing(target) as document, replacing(table) as new_table:
        try:
            pairs.to_parquet(new_table)
        except ValueError as err:
            raise ValueError(str(err).replace(str(new_table), str(target))) from err
        metadata = croissant.Metadata(
            name=_name(name, target),
            description=_description(pairs) if description is None else description,
            license=None if licence is None else [licence],
            distribution=_distribution(croissant, pairs, new_table, prefix),
            record_sets=_record_sets(croissant, pairs, prefix),
        )
        document.write_text(json.dumps(metadata.to_json(), indent=2) + "\n", "ascii")
        digest = _sha256(new_table)
        # Next the table is renamed, then the document. A kill in between must leave no document,
        # since the old one would describe another table.
        target.unlink(missing_ok=True)
    if _sha256(table) != digest:
        target.unlink(missing_ok=True)
        raise OSError(
            f"{table}: another export wrote it at the same time, so {target.name} was removed. "
            "Export again."
        )


def to_card(
    pairs: Pairs, path: "StrPath", name: str | None, description: str | None, licence: str | None
) -> None:
    """See `Pairs.to_card`."""
    target = _target(path, ".md", "to_card")
    sweep(target.parent)
    if target.is_file():
        raise FileExistsError(
            f"Pairs.to_card(...) must not replace a file that may have been filled in; "
            f"got {target}, which exists. Move it first."
        )
    scan, pairs = pairs.scanned()
    seen = (scan.heights > 0) & (scan.widths > 0)
    sizes = np.stack([scan.heights, scan.widths], axis=1)[seen]
    sideways = scan.orientations[seen] > _UPRIGHT
    sizes[sideways] = sizes[sideways, ::-1]
    text = _template().render(
        name=_name(name, target),
        license="unknown" if licence is None else licence,
        description=_description(pairs) if description is None else description,
        size_category=_size_category(len(pairs)),
        images={
            "count": len(pairs),
            "suffixes": _suffixes(pairs),
            "heights": sizes[:, 0].tolist(),
            "widths": sizes[:, 1].tolist(),
        },
        captions={
            "count": pairs.pair_count,
            "an_image": np.diff(pairs.offsets).tolist(),
            "words": [len(caption.split()) for caption in pairs.captions],
            "characters": [len(caption) for caption in pairs.captions],
        },
        weights=[] if pairs.weights is None else pairs.weights.tolist(),
        columns=[(column, _kind(values)) for column, values in pairs.columns.items()],
        fingerprint=pairs.fingerprint,
        splits=_splits(pairs),
        layout=pairs.report.layout,
        findings=describe([*pairs.report.findings, *pairs.leaks()]),
        code=_code(pairs),
    )
    write(target, text.encode("utf-8", "backslashreplace"))


def _target(path: "StrPath", suffix: str, method: str) -> pathlib.Path:
    """The file to write, with all symbolic links followed."""
    target = pathlib.Path(os.path.realpath(path))
    if target.suffix.lower() != suffix:
        raise ValueError(
            f"Pairs.{method}(...) takes a path that ends in {suffix}; got {os.fspath(path)!r}."
        )
    if target.is_dir():
        raise IsADirectoryError(
            f"Pairs.{method}(...) writes a file; got the folder {os.fspath(path)!r}."
        )
    return target


def _name(name: str | None, target: pathlib.Path) -> str:
    return target.parent.name if name is None else name


def _description(pairs: Pairs) -> str:
    return f"{len(pairs):,} image(s) with {pairs.pair_count:,} caption(s)."


def _suffixes(pairs: Pairs) -> list[tuple[str, int]]:
    """The extensions of the images with their counts, the most frequent first."""
    return Counter(os.path.splitext(image)[1] for image in pairs.images).most_common()


# Croissant.


def _prefix(root: str, target: pathlib.Path) -> str:
    """The path from the folder of `target` to the images: "", or it ends in `/`."""
    images = pathlib.Path(os.path.realpath(root))
    if not images.is_relative_to(target.parent):
        raise ValueError(
            "Pairs.to_croissant(...) takes a path in the folder of images or above it, as "
            f"Croissant's paths start there; got {str(target)!r}, and the images are in "
            f"{str(images)!r}."
        )
    prefix = images.relative_to(target.parent).as_posix()
    return "" if prefix == "." else f"{prefix}/"


def _distribution(croissant: Any, pairs: Pairs, table: pathlib.Path, prefix: str) -> list[Any]:
    """The table, and the images. Parquet keeps a text "007"; pandas reads 7 from other formats."""
    return [
        croissant.FileObject(
            id=_TABLE,
            name=table.name,
            content_url=table.name,
            content_size=f"{table.stat().st_size} B",
            encoding_formats=["application/x-parquet"],
            sha256=_sha256(table),
        ),
        croissant.FileSet(
            id=_FILES,
            name="image files",
            encoding_formats=sorted({_mime(suffix) for suffix, _ in _suffixes(pairs)}),
            includes=_includes(pairs, prefix),
        ),
    ]


def _includes(pairs: Pairs, prefix: str) -> list[str]:
    """Patterns that match the images; their paths if a pattern would match other files, too."""
    suffixes = {suffix for suffix, _ in _suffixes(pairs)}
    images = set(pairs.images)
    root = pathlib.Path(pairs.root)
    found = {
        path.relative_to(root).as_posix() for path in root.rglob("*") if path.suffix in suffixes
    }
    if found != images:
        return [escape(prefix + image) for image in pairs.images]
    patterns = ["*", "**/*"] if any("/" in image for image in images) else ["*"]
    return [
        escape(prefix) + pattern + escape(suffix)
        for suffix in sorted(suffixes)
        for pattern in patterns
    ]


def _mime(suffix: str) -> str:
    Image.init()
    return Image.MIME.get(Image.EXTENSION.get(suffix.lower(), ""), "application/octet-stream")


def _sha256(path: pathlib.Path) -> str:
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        for block in iter(functools.partial(file.read, 1 << 20), b""):
            digest.update(block)
        return digest.hexdigest()


def _record_sets(croissant: Any, pairs: Pairs, prefix: str) -> list[Any]:
    """The image files, the rows of the table, and the rows with their images."""

    def file(file_property: Any, transforms: Sequence[Any] = ()) -> Any:
        extract = croissant.Extract(file_property=file_property)
        return croissant.Source(file_set=_FILES, extract=extract, transforms=list(transforms))

    def cell(name: str) -> Any:
        return croissant.Source(file_object=_TABLE, extract=croissant.Extract(column=name))

    def field(record_set: str, name: str) -> Any:
        return croissant.Source(field=_id(record_set, name))

    types, properties = croissant.DataType, croissant.FileProperty
    below = croissant.Transform(regex=re.escape(prefix) + r"([\s\S]*)")  # names may hold line ends
    images = {
        "file_name": {"data_types": [types.TEXT], "source": file(properties.fullpath, [below])},
        _PICTURE: {"data_types": [types.IMAGE_OBJECT], "source": file(properties.content)},
    }
    rows = {
        name: {"data_types": [kind], "source": cell(name), "repeated": name == "captions" or None}
        for name, kind in _data_types(types, pairs).items()
    }
    joined = {name: {**each, "source": field(_ROWS, name)} for name, each in rows.items()}
    joined["file_name"]["references"] = field(_IMAGES, "file_name")
    joined[_PICTURE] = {**images[_PICTURE], "source": field(_IMAGES, _PICTURE)}
    return [
        croissant.RecordSet(
            id=name,
            name=name,
            key=[_id(name, "file_name")],
            fields=[croissant.Field(id=_id(name, n), name=n, **fields[n]) for n in fields],
        )
        for name, fields in ((_IMAGES, images), (_ROWS, rows), (_PAIRS, joined))
    ]


def _data_types(types: Any, pairs: Pairs) -> dict[str, Any]:
    """The type of each column of the table; for `captions`, of each caption."""
    kinds = {"b": types.BOOL, "i": types.INTEGER, "f": types.FLOAT}
    named = {"file_name": types.TEXT}
    if pairs.pair_count:
        named["captions"] = types.TEXT
    if pairs.split_of is not None:
        named["split"] = types.TEXT
    if pairs.weights is not None:
        named["weight"] = types.FLOAT
    return named | {
        name: types.TEXT if isinstance(column, Strings) else kinds[column.dtype.kind]
        for name, column in pairs.columns.items()
    }


def _id(record_set: str, name: str) -> str:
    """The name of a field's node: a part of a URL."""
    return f"{record_set}/{urllib.parse.quote(name, safe='')}"


# The card.


@functools.cache
def _template() -> jinja2.Template:
    """The card's template. Values are escaped, unless a filter returns `Markup`."""
    environment = jinja2.Environment(
        finalize=_shown,
        keep_trailing_newline=True,
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "block": _block,
        "line": _line,
        "markdown": Markup,
        "range": _range,
        "yaml": _yaml,
    }
    return environment.from_string(_TEMPLATE.read_text("utf-8"))


def _shown(value: Any) -> str:
    """A value of the template as Markdown: numbers with separators, strings in code spans."""
    if isinstance(value, Markup):
        return value
    if not isinstance(value, str):
        return f"{value:,}"
    text = printable(value)
    fence, pad = _fence(text), "" if text and text.strip(" `") == text else " "
    return f"{fence}{pad}{text}{pad}{fence}"


def _fence(text: str, least: int = 1) -> str:
    """A run of backticks that does not occur in the text."""
    return "`" * max(least, 1 + max(map(len, re.findall("`+", text)), default=0))


def _block(lines: Sequence[str], language: str) -> str:
    text = "\n".join(map(printable, lines))
    fence = _fence(text, 3)
    return Markup(f"{fence}{language}\n{text}\n{fence}")


def _line(text: str) -> str:
    return Markup(_PUNCTUATION.sub(r"\\\1", printable(text)))


def _yaml(text: str) -> str:
    """A string as YAML: JSON strings are YAML, except for characters that YAML forbids."""
    return Markup(json.dumps(printable(text), ensure_ascii=False))


def _range(values: Sequence[float]) -> str:
    least, middle, most = (
        f"{value:,}" if isinstance(value, int) else f"{value:g}"
        for value in (min(values), statistics.median_low(values), max(values))
    )
    return Markup(f"{least} to {most}, median {middle}" if least != most else least)


def _size_category(count: int) -> str:
    """The Hub's name for a number of examples.

    Source: https://huggingface.co/docs/hub/datasets-cards, `size_categories`.
    """
    place = max(len(str(count)) - 3, 0)
    return f"{_BOUNDS[place - 1]}<n<{_BOUNDS[place]}" if place else f"n<{_BOUNDS[0]}"


def _kind(column: Column) -> str:
    if isinstance(column, Strings):
        return "text"
    return {"b": "true or false", "i": "whole numbers", "f": "numbers"}[column.dtype.kind]


def _splits(pairs: Pairs) -> list[tuple[str, int, int]]:
    """Each split with its numbers of images and captions; last, images without a split."""
    if pairs.split_of is None:
        return []
    counts = np.diff(pairs.offsets)
    parts = [(name, pairs.split_of == place) for place, name in enumerate(pairs.split_names)]
    if (pairs.split_of < 0).any():
        parts.append((Markup("no split"), pairs.split_of < 0))
    return [(name, int(rows.sum()), int(counts[rows].sum())) for name, rows in parts]


def _code(pairs: Pairs) -> list[str]:
    source = '"images/", "captions/"' if pairs.blobs is None else '"shards/"'
    return [
        "import mmdata",
        "",
        f"pairs = mmdata.read({source})  # the folders of your copy",
        "ds = mmdata.build(pairs)",
    ]
