"""Table files, in CSV, TSV, JSON Lines, JSON or Parquet -> columns.

Source: https://jsonlines.org for JSON Lines; see `delimited` for CSV.
"""

import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from mmdata.optional import require
from mmdata.pairing import texts
from mmdata.pairing.folders import extension
from mmdata.pairing.layouts.delimited import Record, delimiter_of, records, stray_quotes
from mmdata.pairing.layouts.documents import Document, decode, load, shown
from mmdata.pairing.layouts.table_columns import require_different, require_few
from mmdata.pairs.findings import Finding, PairingError


@dataclasses.dataclass(kw_only=True)
class Table:
    """The content of a table file, as columns.

    Attributes:
      path: The file, for errors.
      source: The file, for findings.
      cells: The columns, in the file's order; a column that was not read is empty.
      places: The place of each row, for `place`.
      place: Format of what follows `source` for a place.
      is_text: Whether all cells are text, because the format has only text.
      opaque: The types of the columns of which nothing was read, or only paths.
      classes: The names of a column of labels, in the order of their numbers.
      findings: Findings so far.
    """

    path: str
    source: str
    cells: Mapping[str, Sequence[Any]]
    places: Sequence[int]
    place: str = ":{}"
    is_text: bool = False
    opaque: Mapping[str, str] = dataclasses.field(default_factory=dict)
    classes: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    findings: list[Finding] = dataclasses.field(default_factory=list)

    def where(self, row: int) -> str:
        """The place of a row, e.g. "captions.csv:17"."""
        return self.source + self.place.format(self.places[row])


def read(
    path: str, source: str, decoder: texts.TextDecoder, document: Document | None = None
) -> Table:
    """Reads the columns of a table, in the format of its suffix.

    Args:
      path: The file.
      source: The file, for findings.
      decoder: Decodes text.
      document: Its content, if it is JSON and was read already.

    Raises:
      PairingError: The file is malformed, or not UTF-8, or two columns have the same name.
      OSError: The file cannot be read.
      ImportError: The file is Parquet, and pyarrow is not installed.
    """
    suffix = extension(path)
    if suffix == ".parquet":
        return _parquet(path, source)
    if suffix == ".json":
        return _json_list(load(path, decoder) if document is None else document)
    text, note = texts.read_text(path, decoder)
    if suffix in (".jsonl", ".ndjson"):
        table = _json_lines(path, source, text)
    else:
        lines = io.StringIO(text).readlines()
        delimiter = "\t" if suffix in (".tsv", ".tab") else delimiter_of(lines)
        table = _delimited(path, source, lines, delimiter)
    table.findings += texts.cut_off(text, source)
    if note:
        table.findings.insert(0, Finding("coerced", source, note))
    return table


def _delimited(path: str, source: str, lines: list[str], delimiter: str) -> Table:
    header, *found = records(lines, delimiter) or [Record(1, 1, (), "there is no row")]
    if header.fault:
        raise PairingError(f"{path}: the first row must name the columns; got: {header.fault}.")
    names = [name.strip() for name in header.cells]
    require_different(names, path)
    rows: list[Record] = []
    findings: list[Finding] = []
    for record in found:
        where = f"{source}:{record.first}"
        if record.fault:
            count = record.last - record.first + 1
            findings.append(Finding("malformed", where, record.fault, count))
        elif len(record.cells) == len(names):
            rows.append(record)
        else:
            detail = f"{len(record.cells):,} cells, the header has {len(names):,}"
            if record.last > record.first:
                detail += f"; the row ends at line {record.last:,}"
            count = record.last - record.first + 1
            findings.append(Finding("malformed", where, detail, count))
    cells = zip(*(record.cells for record in rows), strict=True) if rows else ([],) * len(names)
    return Table(
        path=path,
        source=source,
        cells=dict(zip(names, cells, strict=True)),
        places=[record.first for record in rows],
        is_text=True,
        findings=findings + stray_quotes(lines, rows, source),
    )


def _json_lines(path: str, source: str, text: str) -> Table:
    records: list[dict[str, Any]] = []
    places: list[int] = []
    findings: list[Finding] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line or line.isspace():
            continue
        try:
            record = decode(line)
        except (ValueError, RecursionError) as err:
            findings.append(Finding("malformed", f"{source}:{number}", f"not JSON: {err}"))
            continue
        if isinstance(record, dict):
            records.append(record)
            places.append(number)
        else:
            findings.append(Finding("malformed", f"{source}:{number}", _not_object(record)))
    cells = _by_key(records, path, findings)
    return Table(path=path, source=source, cells=cells, places=places, findings=findings)


def _json_list(document: Document) -> Table:
    value, path = document.value, document.path
    if not isinstance(value, list):
        raise PairingError(
            f"{path}: must be a JSON list of objects; got {shown(value)}. Is its layout 'coco' or "
            "'karpathy'?"
        )
    records = [record for record in value if isinstance(record, dict)]
    malformed = [
        Finding("malformed", f"{document.source}[{index}]", _not_object(record))
        for index, record in enumerate(value)
        if not isinstance(record, dict)
    ]
    return Table(
        path=path,
        source=document.source,
        cells=_by_key(records, path, malformed),
        places=[index for index, record in enumerate(value) if isinstance(record, dict)],
        place="[{}]",
        findings=document.findings + malformed,
    )


def _not_object(value: Any) -> str:
    return f"must be an object with each key once; got {shown(value)}"


def _by_key(
    records: list[dict[str, Any]], path: str, malformed: list[Finding]
) -> dict[str, list[Any]]:
    """The records as columns.

    Raises:
      PairingError: There are no records, or they have too many keys.
    """
    if not records:
        found = "none"
        if malformed:
            first = malformed[0]
            found = f"{len(malformed):,} malformed one(s), e.g. {first.path}: {first.detail}"
        raise PairingError(f"{path}: must hold an object for each image; got {found}.", malformed)
    keys: dict[str, None] = {}
    for record in records:
        if not record.keys() <= keys.keys():
            keys.update(dict.fromkeys(record))
    require_few(len(keys), path)
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
            paths = {
                name
                for name in opaque
                if _has_path(arrow, fields[name])
                and not any(_is_filled(opened, leaf) for leaf in _bytes(arrow, fields[name], name))
            }
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
            classes = _classes(opened.schema_arrow.metadata or {})
            for name in classes.keys() & cells.keys():
                cells[name] = labelled(cells[name], classes[name])
        except PairingError:
            raise
        except (arrow.ArrowException, OSError, ValueError) as err:
            raise PairingError(f"{path}: not a readable Parquet file: {err}") from err
    return Table(
        path=path,
        source=source,
        cells=cells,
        places=range(rows),
        place=" row {}",
        opaque=opaque,
        classes=classes,
    )


def labelled(values: Sequence[Any], names: Sequence[str]) -> list[str | None]:
    """The names of labels, int or None; None for -1, which Hugging Face writes for no label."""
    return [names[v] if type(v) is int and 0 <= v < len(names) else None for v in values]


def _classes(metadata: Mapping[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """The names of labels that the library `datasets` writes into the metadata of a schema."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        labels = {name: f for name, f in features.items() if f.get("_type") == "ClassLabel"}
        return {name: tuple(map(str, feature["names"])) for name, feature in labels.items()}
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        return {}


def _bytes(arrow: Any, kind: Any, name: str) -> list[str]:
    """The parts of a column that can hold the bytes of images."""
    is_bytes = arrow.types.is_binary, arrow.types.is_large_binary
    return [f"{name}.{field.name}" for field in kind if any(test(field.type) for test in is_bytes)]


def _is_filled(opened: Any, leaf: str) -> bool:
    """Whether a part of a column has a value in any row."""
    for number in range(opened.metadata.num_row_groups):
        group = opened.metadata.row_group(number)
        for column in (group.column(place) for place in range(group.num_columns)):
            if column.path_in_schema != leaf:
                continue
            if column.statistics is not None and column.statistics.has_null_count:
                holds = column.statistics.null_count < column.num_values
            else:
                images = opened.read_row_group(number, columns=[leaf]).column(0).to_pylist()
                key = leaf.rpartition(".")[2]
                holds = any(image and image[key] is not None for image in images)
            if holds:
                return True
    return False


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
    """Whether a column holds images as Hugging Face does: a struct with their bytes and path."""
    return bool(
        arrow.types.is_struct(kind)
        and kind.get_field_index("path") >= 0
        and _is_string(arrow.types, kind.field("path").type)
    )


def _is_string(types: Any, kind: Any) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind))
