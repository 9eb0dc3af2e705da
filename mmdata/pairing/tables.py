"""Layout "metadata": tables with named columns, in CSV, TSV, JSON Lines, JSON or Parquet.

Source: https://huggingface.co/docs/datasets/image_dataset, "metadata.csv"; RFC 4180 for CSV,
https://jsonlines.org for JSON Lines.
"""

import ast
import csv
import dataclasses
import io
import itertools
import json
import math
import os
import re
import reprlib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mmdata.optional import require
from mmdata.pairing import texts
from mmdata.pairing.columns import column, parsed
from mmdata.pairing.findings import Finding, PairingError
from mmdata.pairing.listing import Listing

SUFFIXES = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".parquet", ".json")

_IMAGES = (
    "file_name",
    "image",
    "filename",
    "filepath",
    "file",
    "path",
    "image_path",
    "image_name",
    "img",
    "image_id",
    "image_file",
    "id",
)
_CAPTIONS = (
    "caption",
    "captions",
    "text",
    "sentence",
    "sentences",
    "description",
    "comment",
    "prompt",
    "raw",
)
_NUMBERED = re.compile(rf"({'|'.join(_CAPTIONS)})_?([0-9]{{1,4}})")
_QUOTED = r"'[^'\\]*(?:\\.[^'\\]*)*'|\"[^\"\\]*(?:\\.[^\"\\]*)*\""
_STRING = re.compile(_QUOTED)
# As `str` writes a list, or a NumPy array, which has no commas: Python would join its strings.
_WRITTEN = re.compile(rf"\[\s*(?:{_QUOTED})(?:(?:\s*,\s*|\s+)(?:{_QUOTED}))*\s*\]")
_SHOWN = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Columns:
    """Which columns of a table hold what.

    Attributes:
      image: The column that names the image; "auto" recognises it by its name.
      captions: The column of captions, or several; "auto" recognises them by their names. None: no
        captions are wanted.

    Raises:
      ValueError: A column is named twice, or no column is named.
    """

    image: str = "auto"
    captions: str | Sequence[str] | None = "auto"

    def __post_init__(self) -> None:
        if self.captions is not None and not self.captions:
            raise ValueError(
                f"caption_column=... must name a column or several; got {self.captions!r}."
            )
        named = [name for name in [self.image, *(self.named_captions or ())] if name != "auto"]
        if len(set(named)) < len(named):
            raise ValueError(
                f"image_column=... and caption_column=... must name different columns; "
                f"got {self.image!r} and {self.captions!r}."
            )

    @property
    def named_captions(self) -> tuple[str, ...] | None:
        """The columns of captions that were named; None where none were."""
        if self.captions is None or self.captions == "auto":
            return None
        return (self.captions,) if isinstance(self.captions, str) else tuple(self.captions)


@dataclasses.dataclass(kw_only=True)
class _Table:
    """What a file holds, as columns.

    Attributes:
      path: The file, for errors.
      source: The file, for findings.
      cells: The columns, in the file's order; a column that was not read is empty.
      places: Where each row stands.
      place: What is written behind `source` for a place.
      is_text: Whether all cells are text, because the format knows nothing else.
      opaque: The types of the columns of which nothing was read, or nothing but paths.
      findings: What was wrong so far.
    """

    path: str
    source: str
    cells: Mapping[str, Sequence[Any]]
    places: Sequence[int]
    place: str = ":{}"
    is_text: bool = False
    opaque: Mapping[str, str] = dataclasses.field(default_factory=dict)
    findings: list[Finding] = dataclasses.field(default_factory=list)


def read(path: str, *, columns: Columns, decoder: texts.TextDecoder, prefix: str = "") -> Listing:
    """Reads a table that names an image and its captions in each row.

    The suffix tells the format: .parquet, .jsonl or .ndjson (one object a line), .json (one list of
    objects), .tsv or .tab; all else is CSV with the delimiter that its header has most often. Of
    the columns neither of images nor of captions, `split` and `weight` have a meaning; all others
    come along. Names are not stripped, and looked for nowhere.

    Args:
      path: The file.
      columns: Which columns hold what.
      decoder: How text is decoded.
      prefix: What is put before every image's name, such as "train/".

    Returns:
      One entry a row; every row that makes none is a finding.

    Raises:
      PairingError: The file is not of its format, or not in UTF-8, or its columns are not those
        that were asked for.
      OSError: The file cannot be read.
      ImportError: The file is Parquet, and pyarrow is not installed.
    """
    source = prefix + os.path.basename(path)
    suffix = os.path.splitext(path)[1].lower()
    if suffix == ".parquet":
        table = _parquet(path, source)
    else:
        text, note = _decoded(path, decoder)
        if suffix in (".jsonl", ".ndjson"):
            table = _json_lines(path, source, text)
        elif suffix == ".json":
            table = _json_list(path, source, text)
        else:
            table = _delimited(path, source, text, is_tabbed=suffix in (".tsv", ".tab"))
        if note:
            table.findings.insert(0, Finding("coerced", source, note))
    return _listing(table, columns, prefix)


def of_columns(cells: Mapping[str, Sequence[Any]], *, source: str, columns: Columns) -> Listing:
    """Reads columns of equal length that are in memory already, as `read` does those of a file.

    Args:
      cells: The columns by name; missing values are None.
      source: What findings and errors call them.
      columns: Which columns hold what.

    Raises:
      PairingError: The columns are not those that were asked for.
    """
    rows = max(map(len, cells.values()), default=0)
    table = _Table(path=source, source=source, cells=cells, places=range(rows), place=" row {}")
    return _listing(table, columns, "")


def _decoded(path: str, decoder: texts.TextDecoder) -> tuple[str, str | None]:
    with open(path, "rb") as file:
        content = file.read()
    try:
        return decoder.decode(content)
    except UnicodeDecodeError as err:
        raise PairingError(
            f"{path}: not UTF-8: {texts.explain(err)}. Pass encoding=... or "
            'encoding_errors="replace".'
        ) from err


# Formats


def _delimited(path: str, source: str, text: str, *, is_tabbed: bool) -> _Table:
    lines = io.StringIO(text).readlines()
    head = next((line for line in lines if not line.isspace()), "")
    records = _records(lines, "\t" if is_tabbed else max(",;\t|", key=head.count))
    given = (cells for _, _, cells in records if "".join(cells).strip())
    header = next(given, "there is no row")
    if isinstance(header, str):
        raise PairingError(f"{path}: the first row must name the columns; got none: {header}.")
    names = [name.strip() for name in header]
    _require_different(path, names)

    rows: list[tuple[str, ...]] = []  # the garbage collector looks at every list, again and again
    places: list[int] = []
    findings: list[Finding] = []
    for first, last, cells in records:
        if isinstance(cells, str):
            findings.append(Finding("malformed", f"{source}:{first}", f"not a row: {cells}"))
        elif len(cells) == len(names):
            rows.append(tuple(cells))
            places.append(first)
        elif not lines[first - 1].isspace():
            detail = f"{len(cells):,} cells, the header has {len(names):,}"
            if last > first:
                detail += f"; it runs on to line {last:,}"
            findings.append(Finding("malformed", f"{source}:{first}", detail, last - first + 1))
    by_name = dict(zip(names, zip(*rows, strict=True) if rows else ([],) * len(names), strict=True))
    return _Table(
        path=path, source=source, cells=by_name, places=places, is_text=True, findings=findings
    )


def _records(lines: list[str], delimiter: str) -> Iterator[tuple[int, int, list[str] | str]]:
    """The first and the last line, from 1, of each record; its cells, or why it has none.

    Of a record that csv refuses only the first line is lost: the others are read again, each by
    itself, so that a stray quote does not swallow the rest of the file.
    """
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    first = 1
    while True:
        try:
            for cells in reader:
                yield first, reader.line_num, cells
                first = reader.line_num + 1
            return
        except csv.Error as err:
            yield first, first, str(err)
            for line in range(first + 1, reader.line_num + 1):
                yield line, line, _record(lines[line - 1], delimiter)
            first = reader.line_num + 1


def _record(line: str, delimiter: str) -> list[str] | str:
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error as err:
        return str(err)


def _json_lines(path: str, source: str, text: str) -> _Table:
    records: list[dict[str, Any]] = []
    places: list[int] = []
    findings: list[Finding] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line or line.isspace():
            continue
        try:
            record = _JSON.decode(line)
        except (ValueError, RecursionError) as err:
            findings.append(Finding("malformed", f"{source}:{number}", f"not JSON: {err}"))
            continue
        if isinstance(record, dict):
            records.append(record)
            places.append(number)
        else:
            detail = f"not an object: {reprlib.repr(record)}"
            findings.append(Finding("malformed", f"{source}:{number}", detail))
    return _Table(
        path=path, source=source, cells=_by_key(records), places=places, findings=findings
    )


def _json_list(path: str, source: str, text: str) -> _Table:
    advice = "A file of one object a line is named .jsonl."
    try:
        records = _JSON.decode(text)
    except (ValueError, RecursionError) as err:
        raise PairingError(f"{path}: must be a JSON list of objects; got {err}. {advice}") from err
    if not isinstance(records, list):
        got = type(records).__name__
        raise PairingError(f"{path}: must be a JSON list of objects; got one {got}. {advice}")
    for index, record in enumerate(records):
        if not isinstance(record, dict):
            raise PairingError(
                f"{path}: must be a JSON list of objects; got {reprlib.repr(record)} at [{index}]."
            )
    return _Table(
        path=path,
        source=source,
        cells=_by_key(records),
        places=range(len(records)),
        place="[{}]",
    )


def _object(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) < len(items):
        raise ValueError("an object has a key twice")
    return found


_JSON = json.JSONDecoder(object_pairs_hook=_object)


def _by_key(records: list[dict[str, Any]]) -> dict[str, list[Any]]:
    keys: dict[str, None] = {}
    for record in records:
        if record.keys() - keys.keys():
            keys.update(dict.fromkeys(record))
    return {key: [record.get(key) for record in records] for key in keys}


def _parquet(path: str, source: str) -> _Table:
    arrow = require("pyarrow", extra="parquet")
    parquet = require("pyarrow.parquet", extra="parquet")
    with open(path, "rb") as file:
        try:
            opened = parquet.ParquetFile(file)
            fields = {field.name: field.type for field in opened.schema_arrow}
            _require_different(path, opened.schema_arrow.names)
            opaque = {
                name: str(kind) for name, kind in fields.items() if not _is_plain(arrow, kind)
            }
            paths = {name for name in opaque if _has_path(arrow, fields[name])}
            wanted = [f"{name}.path" if name in paths else name for name in fields]
            skipped = opaque.keys() - paths
            table = opened.read(columns=[name for name in wanted if name not in skipped])
            rows = opened.metadata.num_rows
            if table.column_names and table.num_rows != rows:
                raise ValueError(f"it holds {table.num_rows:,} of {rows:,} rows")
            cells = {
                name: [] if name in skipped else table.column(name).to_pylist() for name in fields
            }
            for name in paths:
                cells[name] = [cell and cell["path"] for cell in cells[name]]
        except PairingError:
            raise
        except (arrow.ArrowException, OSError, ValueError) as err:
            raise PairingError(f"{path}: not a readable Parquet file: {err}") from err
    return _Table(
        path=path, source=source, cells=cells, places=range(rows), place=" row {}", opaque=opaque
    )


def _is_plain(arrow: Any, kind: Any) -> bool:
    """Whether a column is of bools, numbers, texts, or lists of texts."""
    types = arrow.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return bool(_is_string(types, kind.value_type))
    return bool(
        types.is_null(kind)
        or types.is_boolean(kind)
        or types.is_integer(kind)
        or types.is_floating(kind)
        or _is_string(types, kind)
    )


def _has_path(arrow: Any, kind: Any) -> bool:
    """Whether a column is as Hugging Face keeps images: a struct with their bytes and path."""
    return bool(
        arrow.types.is_struct(kind)
        and kind.get_field_index("path") >= 0
        and _is_string(arrow.types, kind.field("path").type)
    )


def _is_string(types: Any, kind: Any) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _require_different(path: str, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise PairingError(
            f"{path}: columns must have different names; got {_shown(twice)} more than once."
        )


# Columns


def _image_column(table: _Table, columns: Columns) -> str:
    named = columns.named_captions or ()
    if columns.image != "auto":
        _require_columns(table, "image_column", [columns.image])
        return columns.image
    found = [name for name in table.cells if _key(name) in _IMAGES and name not in named]
    if not found:
        raise PairingError(
            f"{table.path}: one column must name the images, such as 'file_name' or 'image'; got "
            f"{_shown(table.cells)}. Pass image_column=... with the one that does."
        )
    return min(found, key=lambda name: _IMAGES.index(_key(name)))


def _caption_columns(table: _Table, columns: Columns, image: str) -> tuple[str, ...]:
    if columns.captions is None:
        return ()
    if columns.named_captions:
        _require_columns(table, "caption_column", columns.named_captions)
        return columns.named_captions
    candidates = _caption_candidates(name for name in table.cells if name != image)
    if not candidates:
        raise PairingError(
            f"{table.path}: one column must hold the captions, such as 'caption' or 'text'; got "
            f"{_shown(table.cells)}. Pass caption_column=... with the one that does."
        )
    if len(candidates) > 1:
        names = itertools.chain.from_iterable(candidates)
        first = candidates[0]
        advice = f'"{first[0]}"' if len(first) == 1 else str(first)
        raise PairingError(
            f"{table.path}: only one column must look like captions; got {_shown(names)}. Pass the "
            f"one that is meant, such as caption_column={advice}."
        )
    return candidates[0]


def _caption_candidates(names: Iterable[str]) -> list[tuple[str, ...]]:
    """The columns that look like captions; numbered ones of one word are one candidate."""
    found: list[tuple[str, ...]] = []
    families: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        numbered = _NUMBERED.fullmatch(_key(name))
        if numbered:
            families.setdefault(numbered[1], []).append((int(numbered[2]), name))
        elif _key(name) in _CAPTIONS:
            found.append((name,))
    return found + [tuple(name for _, name in sorted(family)) for family in families.values()]


def _require_columns(table: _Table, argument: str, names: Sequence[str]) -> None:
    for name in names:
        if name not in table.cells:
            raise PairingError(
                f"{argument}=... must name columns of {table.path}; got {name!r}, and they are "
                f"{_shown(table.cells)}."
            )


def _key(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _shown(names: Iterable[str]) -> str:
    some = list(names)
    return ", ".join(map(repr, some[:_SHOWN])) + (", ..." if len(some) > _SHOWN else "")


# Cells


def _listing(table: _Table, columns: Columns, prefix: str) -> Listing:
    image = _image_column(table, columns)
    caption_columns = _caption_columns(table, columns, image)
    rest = [name for name in table.cells if name not in (image, *caption_columns)]
    split = next((name for name in rest if _key(name) == "split"), None)
    weight = next((name for name in rest if _key(name) == "weight"), None)

    faults: dict[int, str] = {}
    names = _names(table, image, faults)
    captions = _captions(table, caption_columns, faults) if caption_columns else None
    splits = None if split is None else _splits(table.cells[split], faults)
    weights = None if weight is None else _weights(table.cells[weight], faults)
    extras = {name: table.cells[name] for name in rest if name not in (split, weight)}
    for name, cells in extras.items():
        _blame(faults, _unencodable(cells), f"a lone surrogate in column {name!r}")

    good = [row not in faults for row in range(len(names))]

    def kept(values: Sequence[Any]) -> list[Any]:
        return list(itertools.compress(values, good) if faults else values)

    malformed = [
        Finding("malformed", table.source + table.place.format(table.places[row]), why)
        for row, why in sorted(faults.items())
    ]
    listing = Listing(
        layout="metadata",
        source=table.source,
        names=[prefix + name for name in kept(names)],
        captions=None if captions is None else kept(captions),
        places=kept(table.places) if faults else table.places,
        place=table.place,
        splits=None if splits is None else kept(splits),
        weights=None if weights is None else kept(weights),
        findings=table.findings + malformed,
    )
    for name, cells in extras.items():
        why = _add_column(listing, table, name, kept(cells))
        if why:
            listing.findings.append(Finding("ignored", table.source, f"column {name!r}: {why}"))
    return listing


def _names(table: _Table, image: str, faults: dict[int, str]) -> list[str]:
    cells = table.cells[image]
    if image in table.opaque and not any(cells):
        raise PairingError(
            f"{table.path}: the column {image!r} must name image files; got "
            f"{table.opaque[image]}. Images inside of a table cannot be read from there: write "
            "them out as files first, or pass image_column=... with a column that names files."
        )
    names = [str(cell) if type(cell) is int else cell for cell in cells]
    for row, name in enumerate(names):
        if not isinstance(name, str) or not name or name.isspace():
            faults[row] = f"no image in column {image!r}: {reprlib.repr(name)}"
        elif "\0" in name:
            faults[row] = f"a NUL character in column {image!r}"
    _blame(faults, _unencodable(names), f"a lone surrogate in column {image!r}")
    return names


def _captions(table: _Table, names: Sequence[str], faults: dict[int, str]) -> Sequence[list[str]]:
    given = [_column_captions(table, name, faults) for name in names]
    return given[0] if len(given) == 1 else [_together(row) for row in zip(*given, strict=True)]


def _column_captions(table: _Table, name: str, faults: dict[int, str]) -> list[list[str]]:
    if name in table.opaque:
        raise PairingError(
            f"{table.path}: the column {name!r} must hold captions; got {table.opaque[name]}. "
            "Pass caption_column=... with a column of text."
        )
    cells = table.cells[name]
    if table.is_text:
        stripped = map(str.strip, cells)
        captions = [_listed(cell) if cell[:1] == "[" else [cell] for cell in stripped]
    else:
        captions = []
        for row, cell in enumerate(cells):
            of_cell = _of_value(cell)
            if of_cell is None:
                faults.setdefault(row, f"no text in column {name!r}: {reprlib.repr(cell)}")
            captions.append(of_cell or [])
    joined = list(map("".join, captions))
    _blame(faults, _unencodable(joined), f"a lone surrogate in column {name!r}")
    return captions


def _together(given: Iterable[list[str]]) -> list[str]:
    """The captions of several columns: a blank one counts only where there is no other."""
    captions = list(itertools.chain.from_iterable(given))
    return [caption for caption in captions if caption] or captions[:1]


def _of_value(cell: Any) -> list[str] | None:
    """The captions in a cell that may hold any value; None where it holds something else."""
    if isinstance(cell, str):
        return [cell.strip()]
    if isinstance(cell, np.ndarray):
        cell = cell.tolist()
    if isinstance(cell, list) and all(isinstance(text, str) for text in cell):
        return [text.strip() for text in cell]
    return [] if cell is None else None


def _listed(cell: str) -> list[str]:
    """The captions in a list of strings as JSON, Python or NumPy write it; else the cell itself."""
    strings = _STRING.findall(cell) if _WRITTEN.fullmatch(cell) else []
    if strings and "\\" not in cell:
        return [string[1:-1].strip() for string in strings]
    try:
        captions = json.loads(cell)
    except (ValueError, RecursionError):
        captions = _evaluated(strings)
    is_list = isinstance(captions, list) and all(isinstance(text, str) for text in captions)
    return [text.strip() for text in captions] if is_list else [cell]


def _evaluated(strings: list[str]) -> list[str] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an escape that Python does not know stays as it is
            return [ast.literal_eval(string) for string in strings] or None
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _splits(cells: Sequence[Any], faults: dict[int, str]) -> list[str | None]:
    for row, cell in enumerate(cells):
        if cell is not None and not isinstance(cell, str):
            faults.setdefault(row, f"a split must be text; got {reprlib.repr(cell)}")
    _blame(faults, _unencodable(cells), "a lone surrogate in the split")
    return [cell.strip() if isinstance(cell, str) else None for cell in cells]


def _weights(cells: Sequence[Any], faults: dict[int, str]) -> list[float]:
    weights = [_weight(cell) for cell in cells]
    for row, weight in enumerate(weights):
        if not (weight >= 0 and math.isfinite(weight)):
            got = reprlib.repr(cells[row])
            faults.setdefault(row, f"a weight must be a finite number >= 0; got {got}")
    return weights


def _weight(cell: Any) -> float:
    """The weight in a cell, 1 in an empty one; NaN where it holds no number."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return 1.0
    if isinstance(cell, bool):
        return math.nan
    try:
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _add_column(listing: Listing, table: _Table, name: str, cells: list[Any]) -> str | None:
    """Adds a further column to the listing; or says why it cannot be one."""
    if not name.strip():
        return "it has no name"
    if _unencodable([name]):
        return "a lone surrogate in its name"
    if name in table.opaque:
        return f"it holds {table.opaque[name]}"
    if table.is_text:
        listing.columns[name] = parsed([cell.strip() for cell in cells])
        return None
    try:
        packed = column(cells)
    except OverflowError:
        packed = None
    if packed is None:
        return "it holds neither text, nor numbers, nor bools throughout"
    listing.columns[name] = cells
    return None


def _unencodable(cells: Sequence[Any]) -> list[int]:
    """The rows of the texts that UTF-8 cannot spell: JSON can write half of a character."""
    try:
        "".join([cell for cell in cells if isinstance(cell, str)]).encode()
    except UnicodeEncodeError:
        return [row for row, cell in enumerate(cells) if isinstance(cell, str) and _is_broken(cell)]
    return []


def _is_broken(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _blame(faults: dict[int, str], rows: Iterable[int], why: str) -> None:
    for row in rows:
        faults.setdefault(row, why)
