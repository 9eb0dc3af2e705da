"""CSV and similar formats -> rows of cells; stray quotes never move a caption to another image.

Source: RFC 4180.
"""

import csv
import re
from collections.abc import Container, Iterator, Sequence
from typing import NamedTuple

from mmdata.pairing.folders import is_image
from mmdata.pairs.findings import Finding

_OPENS = re.compile(r'"\w')
_DIGITS, _LETTERS = re.compile(r"\d+"), re.compile(r"[^\W\d_]+")


class Record(NamedTuple):
    """One row of a file.

    Attributes:
      first: Its first line, from 1.
      last: Its last line.
      cells: Its cells; empty if it has a fault.
      fault: Why it cannot be read, or "".
    """

    first: int
    last: int
    cells: tuple[str, ...]
    fault: str = ""


def delimiter_of(lines: list[str]) -> str:
    """The most frequent delimiter in the first line with text."""
    head = next((line for line in lines if not line.isspace()), "")
    return max(",;\t|", key=head.count)


def records(lines: list[str], delimiter: str) -> list[Record]:
    """The rows of a text, given by its lines, that are not blank.

    If a row cannot be read, its first line is a fault, and its other lines are read again one by
    one. A row over several lines that contains the beginning of another row is a fault as a whole:
    either a quote was not closed, or a caption has lines like rows, which cannot be distinguished.
    """
    found = list(_parsed(lines, delimiter))
    names = {record.cells[0] for record in found if record.cells}
    for place, (first, last, cells, _) in enumerate(found):
        fault = None
        if last > first:
            fault = _contained_row(found[place], lines, delimiter, names)
        elif '"' in "".join(cells):
            fault = _misplaced_quote(cells, lines[first - 1], delimiter)
        if fault is not None:
            found[place] = Record(first, last, (), fault)
    return found


def _parsed(lines: list[str], delimiter: str) -> Iterator[Record]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    first = 1
    while True:
        try:
            for cells in reader:
                if cells and not lines[first - 1].isspace():
                    yield Record(first, reader.line_num, tuple(cells))
                first = reader.line_num + 1
            return
        except csv.Error as err:
            yield Record(first, first, (), f"not a row: {err}")
            yield from _by_line(lines, first, reader.line_num, delimiter)
            first = reader.line_num + 1


def stray_quotes(lines: list[str], found: list[Record], source: str) -> list[Finding]:
    """A notice for each row on one line that has an odd number of quotes."""
    return [
        Finding("stray_quote", f"{source}:{record.first}", lines[record.first - 1].strip())
        for record in found
        if record.first == record.last and lines[record.first - 1].count('"') % 2
    ]


def _by_line(lines: list[str], first: int, last: int, delimiter: str) -> Iterator[Record]:
    for number in range(first + 1, last + 1):
        line = lines[number - 1]
        try:
            cells = next(csv.reader([line], delimiter=delimiter, strict=True))
        except csv.Error as err:
            yield Record(number, number, (), f"not a row: {err}")
        else:
            if not line.isspace():
                yield Record(number, number, tuple(cells))


def _misplaced_quote(cells: Sequence[str], line: str, delimiter: str) -> str | None:
    """How quotes in unquoted cells show a missing or an extra delimiter; None if they do not."""
    whole = delimiter + line.rstrip("\r\n") + delimiter
    with_quote = (cell for cell in cells if '"' in cell[1:] and cell[0] != '"')
    bare = [cell for cell in with_quote if f"{delimiter}{cell}{delimiter}" in whole]
    odd = [cell for cell in bare if cell.count('"') % 2]
    if len(odd) > 1 and _OPENS.search(odd[0]) and odd[-1].rstrip().endswith('"'):
        return "a quote opens in one cell and closes in another"
    if any('""' in cell for cell in bare):
        return "a quoted text begins in the middle of a cell"
    return None


def _contained_row(
    record: Record, lines: list[str], delimiter: str, names: Container[str]
) -> str | None:
    """Why a row over several lines seems to contain another row; None if it does not.

    The other row begins with the name of an image; or with a word like this row's own name that is
    not in `names`, the first cells of all rows.
    """
    first, last, cells, _ = record
    for line in lines[first:last]:
        parts = [part.strip().strip('"') for part in line.split(delimiter)]
        name = next(filter(is_image, parts), None)
        if name is None and len(parts) == len(cells) > 1 and parts[0] not in names:
            name = parts[0] if _are_alike(parts[0], cells[0]) else None
        if name is not None:
            return f"one row up to line {last:,}, which holds {name!a}: is a quote not closed?"
    return None


def _are_alike(name: str, other: str) -> bool:
    """Whether two words with digits are equal except for their digits and letters."""
    return _shape(name) is not None and _shape(name) == _shape(other)


def _shape(name: str) -> str | None:
    """The name with equal digits and equal letters; None if it is not a word with digits."""
    if len(name.split()) != 1 or not _DIGITS.search(name):
        return None
    return _LETTERS.sub("a", _DIGITS.sub("0", name))
