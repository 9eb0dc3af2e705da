"""Table files, in CSV, TSV, JSON Lines, JSON or Parquet -> columns.

Source: RFC 4180 for CSV, https://jsonlines.org for JSON Lines.
"""

import csv
import dataclasses
import io
import json
import os
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmdata.optional import require
from mmdata.pairing import texts
from mmdata.pairing.findings import Finding, PairingError
from mmdata.pairing.layouts.table_columns import require_different


@dataclasses.dataclass(kw_only=True)
class Table:
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


def read(path: str, source: str, decoder: texts.TextDecoder) -> Table:
    """Reads the columns of a table, in the format that its suffix tells.

    Raises:
      PairingError: The file is not of its format, or not in UTF-8, or two columns have one name.
      OSError: The file cannot be read.
      ImportError: The file is Parquet, and pyarrow is not installed.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix == ".parquet":
        return _parquet(path, source)
    text, note = _decoded(path, decoder)
    if suffix in (".jsonl", ".ndjson"):
        table = _json_lines(path, source, text)
    elif suffix == ".json":
        table = _json_list(path, source, text)
    else:
        table = _delimited(path, source, text, is_tabbed=suffix in (".tsv", ".tab"))
    if note:
        table.findings.insert(0, Finding("coerced", source, note))
    return table


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


def _delimited(path: str, source: str, text: str, *, is_tabbed: bool) -> Table:
    lines = io.StringIO(text).readlines()
    head = next((line for line in lines if not line.isspace()), "")
    records = _records(lines, "\t" if is_tabbed else max(",;\t|", key=head.count))
    names = _header(records, path)
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
    return Table(
        path=path, source=source, cells=by_name, places=places, is_text=True, findings=findings
    )


def _header(records: Iterator[tuple[int, int, list[str] | str]], path: str) -> list[str]:
    given = (cells for _, _, cells in records if "".join(cells).strip())
    header = next(given, "there is no row")
    if isinstance(header, str):
        raise PairingError(f"{path}: the first row must name the columns; got none: {header}.")
    names = [name.strip() for name in header]
    require_different(names, path)
    return names


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


def _json_lines(path: str, source: str, text: str) -> Table:
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
    return Table(path=path, source=source, cells=_by_key(records), places=places, findings=findings)


def _json_list(path: str, source: str, text: str) -> Table:
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
    return Table(
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


def _parquet(path: str, source: str) -> Table:
    arrow = require("pyarrow", extra="parquet")
    parquet = require("pyarrow.parquet", extra="parquet")
    with open(path, "rb") as file:
        try:
            opened = parquet.ParquetFile(file)
            fields = {field.name: field.type for field in opened.schema_arrow}
            require_different(opened.schema_arrow.names, path)
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
    return Table(
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
