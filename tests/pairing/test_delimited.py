"""Rows of CSV files: which rows a stray quote damages."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.pairing.layouts.delimited import delimiter_of, records, stray_quotes


def read(text: str, delimiter: str = ",") -> tuple[list[tuple[str, ...]], list[str]]:
    """The rows, and where a row is lost or has a stray quote."""
    lines = io.StringIO(text).readlines()
    found = list(records(lines, delimiter))
    rows = [record for record in found if not record.fault]
    lost = [f"{record.first}: {record.fault}" for record in found if record.fault]
    lost += [f"{finding.path} {finding.kind}" for finding in stray_quotes(lines, rows, "f")]
    return [record.cells for record in rows], lost


# Rows, those that are left, what is found.

UP_TO = "one row up to line"
STRAY: dict[str, tuple[str, list[tuple[str, ...]], list[str]]] = {
    "over names of images": (
        'a.jpg,"Stop in red letters\nb.jpg,second of b\nc.jpg,a board of 12"\nd.jpg,D\n',
        [("d.jpg", "D")],
        [f"1: {UP_TO} 3, which holds 'b.jpg': is a quote not closed?"],
    ),
    "over names in quotes": (
        'a.jpg,"Stop\n"b.jpg",B\n',
        [("b.jpg", "B")],
        ["1: not a row: ',' expected after '\"'"],
    ),
    "over names in the second column": (
        '"Stop,a.jpg\nB,b.jpg\nC,c"\nD,d.jpg\n',
        [("D", "d.jpg")],
        [f"1: {UP_TO} 3, which holds 'b.jpg': is a quote not closed?"],
    ),
    "over ids": (
        '0017,"Stop\n0018,B\n0019,C"\n',
        [],
        [f"1: {UP_TO} 3, which holds '0018': is a quote not closed?"],
    ),
    "over names without extension": (
        'img_7,"Stop\nimg_81,B\nimg_9,C"\n',
        [],
        [f"1: {UP_TO} 3, which holds 'img_81': is a quote not closed?"],
    ),
    "numbers that begin rows of their own": (
        '1,"1, 2, buckle"\n2,"Steps:\n1, open\n2, close"\n',
        [("1", "1, 2, buckle"), ("2", "Steps:\n1, open\n2, close")],
        [],
    ),
    "words before a comma": (
        'a,"Menu\nSoup, bread"\n',
        [("a", "Menu\nSoup, bread")],
        [],
    ),
    "inches in two cells": (
        'a.jpg,Sony 24" TV,a 24" TV\nb.jpg,12",8"\n',
        [("a.jpg", 'Sony 24" TV', 'a 24" TV'), ("b.jpg", '12"', '8"')],
        [],
    ),
    "to the end of the file": (
        'a.jpg,"Stop\nb.jpg,B\n',
        [("b.jpg", "B")],
        ["1: not a row: unexpected end of data"],
    ),
    "12 inches": (
        'a.jpg,a board of 12"\nb.jpg,B\n',
        [("a.jpg", 'a board of 12"'), ("b.jpg", "B")],
        ["f:1 stray_quote"],
    ),
    "a quote lost at the beginning": ('a.jpg,A"\n', [("a.jpg", 'A"')], ["f:1 stray_quote"]),
    "a quote in two cells": (
        'a.jpg,2"A dog, and so on"\nb.jpg,3,B\n',
        [("b.jpg", "3", "B")],
        ["1: a quote opens in one cell and closes in another"],
    ),
    "a delimiter lost before a quote": (
        'a.jpg,1,5"He said ""no"" twice"\n',
        [],
        ["1: a quoted text begins in the middle of a cell"],
    ),
    "words in quotes": ('a.jpg,the "A" word\n', [("a.jpg", 'the "A" word')], []),
    "lines in a caption": (
        'a.jpg,"one, two\nthree, four\n5 and 6"\nb.jpg,B\n',
        [("a.jpg", "one, two\nthree, four\n5 and 6"), ("b.jpg", "B")],
        [],
    ),
    "a sentence before a comma": (
        '0017,"Stop\nThe end, said he"\n',
        [("0017", "Stop\nThe end, said he")],
        [],
    ),
}


@pytest.mark.parametrize(("text", "rows", "lost"), STRAY.values(), ids=STRAY)
def test_stray_quotes(text: str, rows: list[tuple[str, ...]], lost: list[str]) -> None:
    assert read(text) == (rows, lost)


cells = st.text('ab1 ,;\t"\n', max_size=8)


@given(st.lists(st.tuples(cells.map("x".__add__), cells), max_size=5), st.sampled_from(",;\t"))
def test_what_csv_writes_reads_back(given: list[tuple[str, str]], delimiter: str) -> None:
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter).writerows(
        (f"{n}.jpg", *row) for n, row in enumerate(given)
    )
    text = file.getvalue().replace("\r\n", "\n")
    assert read(text, delimiter) == ([(f"{n}.jpg", *row) for n, row in enumerate(given)], [])


def test_delimiter() -> None:
    assert delimiter_of(["\n", " \n", "a;b,c;d\n", "1,2,3,4\n"]) == ";"
    assert delimiter_of([]) == ","
