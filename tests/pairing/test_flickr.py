"""Layout "flickr": every published form, their known defects, and the lists of splits."""

import pathlib
import re
import tempfile
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.pairing.layouts import flickr
from mmdata.pairing.listing import Listing
from mmdata.pairing.texts import TextDecoder
from mmdata.pairs.findings import PairingError

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]
Entry = tuple[str, str]

A, B, C = "1000268201_693b08cb0e.jpg", "1001773457_577c3a7d70.jpg", "1002674143_1b742ab4b8.jpg"
CHILD, DOGS = "A child in a pink dress .", "Two dogs , black and white , play ."
TOKEN = f"{A}#0\t{CHILD}\n{A}#1\tA girl .\n{B}#0\t{DOGS}\n{C}#0\tA girl paints .\n"
RESULTS = "image_name| comment_number| comment\n"
BROKEN = "2199200615.jpg| 4   A dog runs across the grass ."
LATIN = f"{A}#0\tUn caf\xe9 .\n".encode("latin-1")


def read(path: pathlib.Path, decoder: TextDecoder | None = None) -> Listing:
    return flickr.read(str(path), decoder=decoder or TextDecoder())


def entries(listing: Listing) -> list[Entry]:
    assert listing.captions is not None
    return [
        (name, caption) for name, (caption,) in zip(listing.names, listing.captions, strict=True)
    ]


def splits(listing: Listing) -> dict[str, str | None]:
    assert listing.splits is not None
    return dict(zip(listing.names, listing.splits, strict=True))


def seen(listing: Listing) -> list[str]:
    return [f"{finding.kind} {finding.path}" for finding in listing.findings]


FORMS: dict[str, tuple[str | bytes, list[Entry], list[str]]] = {
    "token": (TOKEN, [(A, CHILD), (A, "A girl ."), (B, DOGS), (C, "A girl paints .")], []),
    "CRLF": (f"{A}#0\t{CHILD}\r\n\r\n{B}#0\t{DOGS}\r\n", [(A, CHILD), (B, DOGS)], []),
    "BOM": (f"\ufeff{A}#0\t{CHILD}\n", [(A, CHILD)], []),
    "cut off": (f"{A}#0\t{CHILD}\n{B}#0\tA d", [(A, CHILD), (B, "A d")], ["cut_off f.txt:2"]),
    "UTF-16": (f"{A}#0\t{CHILD}\n".encode("utf-16"), [(A, CHILD)], ["coerced f.txt"]),
    "white space": (f"{A}#0\t A \t girl\u2028. \n\n \n", [(A, "A girl .")], []),
    "token, quotes stay": (f'{A}#0\t"A ""stop"" sign"\n', [(A, '"A ""stop"" sign"')], []),
    "token, a blank caption": (f"{A}#0\t\n{B}#0\t \n", [(A, ""), (B, "")], []),
    "token, malformed": (
        f"{A}#0\t{CHILD}\n{A} A girl .\n{B}#0\t{DOGS}\n{C}#x\tA girl .\n{C}#0\ta#1\tb\n",
        [(A, CHILD), (B, DOGS), (C, "a#1 b")],
        ["malformed f.txt:2", "malformed f.txt:4"],
    ),
    "commas without quotes": (f"image,caption\n{B},{DOGS}\n", [(B, DOGS)], []),
    "commas in quotes": (f'image,caption\n{B},"{DOGS}"\n"{C}", "x"\n', [(B, DOGS), (C, "x")], []),
    "quotes in quotes": (f'image,caption\n{A},"""Go"", she says"\n', [(A, '"Go", she says')], []),
    "not a CSV field": (f'image,caption\n{A},"Go", says "he"\n', [(A, '"Go", says "he"')], []),
    "an open quote": (
        f'image,caption\n{A},"Go , he says\n',
        [(A, '"Go , he says')],
        ["stray_quote f.txt:2"],
    ),
    "a comma in the name": (
        "image,caption\na, b.jpg,c, d.jpg, e\n",
        [("a, b.jpg", "c, d.jpg, e")],
        [],
    ),
    "a comma in a name in quotes": ('image,caption\n"a, ""b"".jpg",c\n', [('a, "b".jpg', "c")], []),
    "no extension": ("image,caption\n17,c, d\n", [("17", "c, d")], []),
    "a blank caption": (f"image,caption\n{A},\n{B},{DOGS}\n", [(A, ""), (B, DOGS)], []),
    "malformed": (
        f"image,caption\n{A},{CHILD}\nA girl .\n ,x\n",
        [(A, CHILD)],
        ["malformed f.txt:3", "malformed f.txt:4"],
    ),
    "a header in quotes": (f'\n"Image_Name", "Comment"\n{A},{CHILD}\n', [(A, CHILD)], []),
    "numbers": (
        f'image_name,comment_number,comment\n{B},0,{DOGS}\n{B}, 1 ,"{DOGS}"\n{B},{DOGS}\n',
        [(B, DOGS), (B, DOGS)],
        ["malformed f.txt:4"],
    ),
    "results": (
        f'{RESULTS}{A}| 0| {CHILD}\n{A}| 1| "A | girl" |.\n{A}| 2|\n{A}|x|y\n{A}| 4\n{A}| 4 \n',
        [(A, CHILD), (A, '"A | girl" |.'), (A, "")],
        [f"malformed f.txt:{line}" for line in (5, 6, 7)],
    ),
    "results, the broken line": (
        f"{RESULTS}{A}| 0| {CHILD}\n{BROKEN}\n",
        [(A, CHILD), ("2199200615.jpg", "A dog runs across the grass .")],
        ["known_defect f.txt:3"],
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(tmp_path: pathlib.Path, write: Write, form: str) -> None:
    content, expected, found = FORMS[form]
    listing = read(write(tmp_path, {"f.txt": content}) / "f.txt")
    assert (entries(listing), seen(listing)) == (expected, found)
    assert (listing.layout, listing.splits, listing.defects) == ("flickr", None, {})
    head = TextDecoder().decode(content.encode() if isinstance(content, str) else content)[0]
    assert flickr.recognise(head)
    assert flickr.recognise(head[:90])  # which cuts a line


def test_places(tmp_path: pathlib.Path, write: Write) -> None:
    listing = read(write(tmp_path, {"f.txt": f"image,caption\n\n{A},a\nx\n{B},b"}) / "f.txt")
    assert [listing.where(entry) for entry in range(2)] == ["f.txt:3", "f.txt:5"]


OTHERS = {
    "nothing": " \n\n",
    "prose": "A dog runs across the grass.\nIt is image, caption #1\tof many.\n",
    "a caption a line": "A dog runs .\nTwo dogs, one of them black .\n",
    "a metadata CSV": "file_name,caption\na.jpg,A dog\n",
    "more columns": "image,caption,split\na.jpg,A dog,train\n",
    "a list of a split": f"{A}\n{B}\n",
    "judgements of Flickr8k": f"{A}\t{B}#2\t1\t1\t1\n{A}\t{C}#2\t1\t1\t2\n",
    "a table of tickets": "fix #1\tdone\nfix #2\topen\n",
    "one line of many": f"{A}#0\t{CHILD}\nand\nmore\n",
}


@pytest.mark.parametrize("content", OTHERS.values(), ids=OTHERS)
def test_other_files(tmp_path: pathlib.Path, write: Write, content: str) -> None:
    assert not flickr.recognise(content)
    with pytest.raises(PairingError, match=r"f\.txt: must hold captions; got .* Required: "):
        read(write(tmp_path, {"f.txt": content}) / "f.txt")


def test_no_line_in_form(tmp_path: pathlib.Path, write: Write) -> None:
    path = write(tmp_path, {"f.txt": "image,caption\nx\ny\n"}) / "f.txt"
    with pytest.raises(PairingError, match=r"must hold captions; got 2 line") as caught:
        read(path)
    assert [found.path for found in caught.value.findings] == ["f.txt:2", "f.txt:3"]


def test_numbered_names(tmp_path: pathlib.Path, write: Write) -> None:
    name = "2258277193_586949ec62.jpg"
    lines = "".join(f"{name}.1#{n}\tDogs {n} .\n" for n in range(2))
    files = {"f.txt": TOKEN + lines, "f.trainImages.txt": f"{A}\n{name}.1\n"}
    listing = read(write(tmp_path, files) / "f.txt")
    assert entries(listing)[-2:] == [(name, "Dogs 0 ."), (name, "Dogs 1 .")]
    assert list(listing.defects) == [name]
    assert listing.defects[name].startswith(f"f.txt:5 spells it '{name}.1'")
    assert splits(listing)[name] == "train"
    assert not listing.findings


def test_encoding(tmp_path: pathlib.Path, write: Write) -> None:
    path = write(tmp_path, {"f.txt": LATIN}) / "f.txt"
    with pytest.raises(
        PairingError, match=r"f\.txt: must be UTF-8; got byte 0xe9 .* Pass encoding="
    ):
        read(path)
    with pytest.raises(PairingError, match="must be UTF-8"):
        read(tmp_path)
    listing = read(tmp_path, TextDecoder("latin-1"))
    assert entries(listing) == [(A, "Un caf\xe9 .")]
    assert seen(listing) == ["coerced f.txt"]


def test_folder(tmp_path: pathlib.Path, write: Write) -> None:
    files = {"Flickr8k.token.txt": TOKEN, "ExpertAnnotations.txt": OTHERS["judgements of Flickr8k"]}
    others = {"readme.txt": OTHERS["prose"], "a.jpg": TOKEN, "deep/f.txt": TOKEN, ".f.txt": TOKEN}
    lemmas = {"Flickr8k.lemma.token.txt": TOKEN}
    root = write(tmp_path, {**files, **others, **lemmas})
    listing = read(root)
    assert (listing.source, len(listing.names)) == ("Flickr8k.token.txt", 4)
    assert sorted(seen(listing)) == [
        *("ignored ExpertAnnotations.txt", "ignored Flickr8k.lemma.token.txt"),
        "ignored readme.txt",
    ]
    write(root, {"more.token": TOKEN})
    with pytest.raises(PairingError, match=r"got 2: 'Flickr8k.token.txt', 'more.token'\. Pass"):
        read(root)
    assert read(write(tmp_path / "lemmas", lemmas)).source == "Flickr8k.lemma.token.txt"
    assert read(write(tmp_path / "as a list", {"train.txt": TOKEN})).findings == []
    with pytest.raises(PairingError, match=r"got 0\. Required"):
        read(write(tmp_path / "none", others))


LISTS: dict[str, tuple[dict[str, str], list[str | None] | None, list[str]]] = {
    "Flickr8k": (
        {
            f"Flickr_8k.{n}Images.txt": f"{x}\r\n"
            for n, x in (("train", A), ("dev", B), ("test", C))
        },
        ["train", "train", "validation", "test"],
        [],
    ),
    "Flickr30k": (
        {"train.txt": A[:-4], "val.txt": f"\n{B[:-4]} \n", "TEST.TXT": C},
        ["train", "train", "validation", "test"],
        [],
    ),
    "an image in none": ({"val.txt": f"{A}\n{A}"}, ["validation"] * 2 + [None, None], []),
    "two of one split": (
        {"xdevImages.txt": A, "xvalimages.txt": f"{A}\n{B}"},
        ["validation"] * 3 + [None],
        [],
    ),
    "an image in two": (
        {"train.txt": f"{A}\n{B}", "test.txt": f"{B[:-4]}\n{C}"},
        ["train", "train", "test"],
        [f"disagreement {B}"],
    ),
    "names without captions": (
        {"train.txt": f"{A}\n{B}\n{C}\nx.jpg\ny.jpg"},
        ["train"] * 4,
        ["known_defect train.txt"],
    ),
    "another file": ({"train.txt": f"{A}\nx.jpg"}, None, ["ignored train.txt"]),
    "an empty file": ({"train.txt": ""}, None, ["ignored train.txt"]),
    "other names": ({"mytrain.txt": A, "train.txt.bak": A, "train.txt/x": A}, None, []),
}


@pytest.mark.parametrize("case", LISTS)
def test_splits(tmp_path: pathlib.Path, write: Write, case: str) -> None:
    files, expected, found = LISTS[case]
    listing = read(write(tmp_path, {"f.txt": TOKEN, **files}) / "f.txt")
    assert (listing.splits, seen(listing)) == (expected, found)
    assert all(f.count == (2 if f.kind == "known_defect" else 1) for f in listing.findings)


VALID = [content.encode() for content, _, _ in FORMS.values() if isinstance(content, str)]


@given(st.data())
def test_nothing_gets_lost(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(VALID)))
    for _ in range(data.draw(st.integers(0, 5))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 9))] = data.draw(
            st.binary(max_size=4) | st.sampled_from([b"\n", b"\t", b'"', b"|", b",", b".1#2\t"])
        )
    with tempfile.TemporaryDirectory() as folder:
        (path := pathlib.Path(folder, "f.txt")).write_bytes(content)
        decoder = TextDecoder(errors="replace")
        try:
            listing = read(path, decoder)
        except PairingError:
            return
    lines = decoder.decode(bytes(content))[0].split("\n")
    lost = [int(f.path.rpartition(":")[2]) for f in listing.findings if f.kind == "malformed"]
    accounted = sorted([*listing.places, *lost])
    expected = [number for number, line in enumerate(lines, 1) if line.strip()]
    header = "image" in re.sub(r'[\s"]', "", lines[expected[0] - 1]).lower()
    assert all(listing.names)
    assert accounted == expected or (header and accounted == expected[1:])
