"""Layout "metadata": tables with named columns, in CSV, TSV, JSON Lines, JSON or Parquet.

Source: https://huggingface.co/docs/datasets/image_dataset, "metadata.csv".
"""

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any

from mmdata.pairing.layouts import cells, table_files
from mmdata.pairing.layouts.documents import Document
from mmdata.pairing.layouts.rejected import MARKS, rejected
from mmdata.pairing.layouts.table_columns import Columns, Roles, roles
from mmdata.pairing.layouts.table_files import Table
from mmdata.pairing.listing import Listing
from mmdata.pairing.texts import TextDecoder
from mmdata.pairs.columns import column, parsed
from mmdata.pairs.findings import Finding, Notes, PairingError


def read(
    path: str,
    *,
    columns: Columns,
    decoder: TextDecoder,
    prefix: str = "",
    document: Document | None = None,
) -> Listing:
    """Reads a table that names an image and its captions in each row.

    The suffix is the format: .parquet, .jsonl or .ndjson (one object per line), .json (one list of
    objects), .tsv or .tab; any other file is CSV with the most frequent delimiter of its header.
    Besides images and captions, the columns `split` and `weight` have a meaning; all others become
    further columns. Names are not stripped, and their files are not looked up.

    Args:
      path: The file.
      columns: The roles of columns.
      decoder: Decodes text.
      prefix: A prefix for the name of every image, such as "train/".
      document: The content of the file, if it is JSON and was read already.

    Returns:
      One entry per row; every row that cannot become one is a finding.

    Raises:
      PairingError: The file is malformed, or not UTF-8, or does not have the columns that the user
        named.
      OSError: The file cannot be read.
      ImportError: The file is Parquet, and pyarrow is not installed.
    """
    table = table_files.read(path, prefix + os.path.basename(path), decoder, document)
    return of_table(table, columns, prefix)


def of_table(table: Table, columns: Columns, prefix: str = "") -> Listing:
    """Reads a table that is already in memory, as `read` reads one in a file.

    Raises:
      PairingError: The table does not have the columns that the user named.
    """
    role = roles(columns, list(table.cells), table.path)
    _require_readable(table, role)

    faults: cells.Faults = {}
    names = cells.names(table.cells[role.image], role.image, faults)
    captions = _captions(table, role.captions, faults) if role.captions else None
    splits = None if role.split is None else cells.splits(table.cells[role.split], faults)
    weights = None if role.weight is None else cells.weights(table.cells[role.weight], faults)
    for name in role.others:
        cells.add_surrogate_faults(faults, table.cells[name], f"column {name!r}")

    left_out = _rejected(table)
    valid = [row not in faults and row not in left_out for row in range(len(names))]

    def kept(values: Sequence[Any]) -> list[Any]:
        return list(values if all(valid) else itertools.compress(values, valid))

    malformed = [Finding("malformed", table.where(row), why) for row, why in sorted(faults.items())]
    listing = Listing(
        layout="metadata",
        source=table.source,
        names=[prefix + name for name in kept(names)],
        captions=None if captions is None else kept(captions),
        places=table.places if all(valid) else kept(table.places),
        place=table.place,
        splits=None if splits is None else kept(splits),
        weights=None if weights is None else kept(weights),
        classes=dict(table.classes),
        findings=table.findings + malformed + _rejections(table, left_out),
    )
    for name in role.others:
        why = _add_column(listing, table, name, kept(table.cells[name]))
        if why:
            listing.findings.append(Finding("ignored", table.source, f"column {name!r}: {why}"))
    return listing


def _rejected(table: Table) -> dict[int, str]:
    """The rows whose caption is marked as rejected, and the mark of each."""
    marks = {
        mark: table.cells[mark]
        for mark in MARKS
        if mark in table.cells and mark not in table.opaque
    }
    rows = zip(*marks.values(), strict=True)
    found = (rejected(dict(zip(marks, row, strict=True))) for row in rows)
    return {row: mark for row, mark in enumerate(found) if mark is not None}


def _rejections(table: Table, left_out: Mapping[int, str]) -> list[Finding]:
    notes = Notes()
    for row, mark in sorted(left_out.items()):
        notes.count("rejected", f"marked as {mark}", table.where(row))
    return notes.findings()


def _require_readable(table: Table, role: Roles) -> None:
    """Raises unless the columns of images and of captions were read."""
    if role.image in table.opaque and not any(table.cells[role.image]):
        raise PairingError(
            f"{table.path}: the column {role.image!r} must name image files; got "
            f"{table.opaque[role.image]}. Images inside a table cannot be read: write them to "
            "files first, or pass image_column=... with a column that names files."
        )
    for name in role.captions:
        if name in table.opaque:
            raise PairingError(
                f"{table.path}: the column {name!r} must hold captions; got {table.opaque[name]}. "
                "Pass caption_column=... with a column of text."
            )


def _captions(table: Table, names: Sequence[str], faults: cells.Faults) -> list[list[str]]:
    read = cells.captions_in_text if table.is_text else cells.captions
    given = [read(table.cells[name], name, faults) for name in names]
    return given[0] if len(given) == 1 else list(map(_together, zip(*given, strict=True)))


def _together(given: Sequence[list[str]]) -> list[str]:
    """The captions of several columns: a blank one is kept only if there is no other."""
    captions = list(itertools.chain.from_iterable(given))
    return [caption for caption in captions if caption] or captions[:1]


def _add_column(listing: Listing, table: Table, name: str, values: list[Any]) -> str | None:
    """Adds a further column to the listing; or returns why it cannot be one."""
    if not name.strip():
        return "it has no name"
    if cells.has_surrogate(name):
        return "a lone surrogate in its name"
    if name in table.opaque:
        return f"it holds {table.opaque[name]}"
    if table.is_text:
        values = parsed([cell.strip() for cell in values])
    elif column(values) is None:
        return "not all of its values are text, numbers or bools"
    listing.columns[name] = values
    return None
