"""Tables in plain text."""

from collections.abc import Sequence


def lines(head: Sequence[str], rows: Sequence[Sequence[str]], *, figures: int) -> list[str]:
    """Lays out a table: words to the left, figures to the right.

    Args:
      head: Names of the columns.
      rows: Their cells; a row of two has a name and a message, which takes the rest of its line.
      figures: How many columns hold figures; they stand behind the first.
    """
    whole = [row for row in (head, *rows) if len(row) > 2]
    widths = [max(map(len, column)) for column in zip(*whole, strict=True)]
    widths[0] = max(len(row[0]) for row in (head, *rows))
    return [_line(row, widths, figures) for row in (head, *rows)]


def _line(row: Sequence[str], widths: Sequence[int], figures: int) -> str:
    if len(row) == 2:
        return f"{row[0]:<{widths[0]}}  {row[1]}"
    cells = [
        f"{cell:>{width}}" if 1 <= place <= figures else f"{cell:<{width}}"
        for place, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()
