"""CSV and its like -> rows of cells; a quote that is not closed costs its own row alone.

Source: RFC 4180.
"""

import csv
import re
from collections.abc import Iterator
from typing import NamedTuple

from mmdata.pairing.findings import Finding
from mmdata.pairing.folders import is_image

_DIGITS, _LETTERS = re.compile(r"\d+"), re.compile(r"[^\W\d_]+")


class Record(NamedTuple):
    """One row of a file.

    Attributes:
      first: Its first line, from 1.
      last: Its last line.
      cells: What it holds.
      fault: Why it holds nothing, if so.
    """

    first: int
    last: int
    cells: tuple[str, ...]
    fault: str = ""


def delimiter_of(lines: list[str]) -> str:
    """The delimiter that the first line with text has most often."""
    head = next((line for line in lines if not line.isspace()), "")
    return max(",;\t|", key=head.count)


def records(lines: list[str], delimiter: str) -> Iterator[Record]:
    """The rows of a text, given by its lines, that are not blank.

    A row that cannot be read, or that runs over the beginning of other rows because a quote is not
    closed, loses its first line alone: its other lines are read again, each by itself.
    """
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    first = 1
    while True:
        try:
            for cells in reader:
                last = reader.line_num
                further = lines[first:last]
                swallowed = _swallowed(cells, further, delimiter) if further else None
                if swallowed is not None:
                    fault = f"a quote is not closed: the row runs on to line {last:,}, "
                    yield Record(first, first, (), f"{fault}over {swallowed!a}")
                    yield from _by_line(lines, first, last, delimiter)
                elif cells and not lines[first - 1].isspace():
                    yield _record(first, last, cells, lines[first - 1], delimiter)
                first = last + 1
            return
        except csv.Error as err:
            yield Record(first, first, (), f"not a row: {err}")
            yield from _by_line(lines, first, reader.line_num, delimiter)
            first = reader.line_num + 1


def stray_quotes(lines: list[str], found: list[Record], source: str) -> list[Finding]:
    """A notice for each row of one line that has an odd number of quotes."""
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
                yield _record(number, number, cells, line, delimiter)


def _record(first: int, last: int, cells: list[str], line: str, delimiter: str) -> Record:
    """A row, unless its quotes show that a delimiter was lost, or is one too many."""
    if first == last and line.count('"') > 1:
        whole = delimiter + line.rstrip("\r\n") + delimiter
        with_quote = (cell for cell in cells if '"' in cell[1:] and cell[0] != '"')
        bare = [cell for cell in with_quote if f"{delimiter}{cell}{delimiter}" in whole]
        if sum(cell.count('"') % 2 for cell in bare) > 1:
            return Record(first, last, (), "a quote opens in one cell and closes in another")
        if any('""' in cell for cell in bare):
            return Record(first, last, (), "a quoted text begins in the middle of a cell")
    return Record(first, last, tuple(cells))


def _swallowed(cells: list[str], lines: list[str], delimiter: str) -> str | None:
    """The image that begins one of the further lines of a row; None where no line is a row."""
    for line in lines:
        parts = [part.strip().strip('"') for part in line.split(delimiter)]
        named = next(filter(is_image, parts), None)
        if named is not None:
            return named
        if len(parts) == len(cells) > 1 and _shape(parts[0]) == _shape(cells[0]):
            return parts[0]
    return None


def _shape(name: str) -> str | None:
    """The name with its digits and letters made equal; None where it is not one word."""
    if not name or len(name.split()) != 1:
        return None
    return _LETTERS.sub("a", _DIGITS.sub("0", name))
