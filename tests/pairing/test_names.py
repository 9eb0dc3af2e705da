"""Names in caption files: which file each name means, if any."""

import pathlib
import posixpath
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.pairing.folders import canonical
from mmdata.pairing.names import Names, plain, resolve

NFC, NFD = "caf\u00e9", "cafe\u0301"
ID = "000000000042"


def reported(names: Names) -> list[tuple[str, str, int]]:
    return [(found.kind, found.path, found.count) for found in names.findings]


# Names, files; which is which. SAME: each name is the file that is called so.

SAME = None
FOUND: dict[str, tuple[list[str], list[str], dict[str, str] | None]] = {
    "equal": (["a.jpg", "x/b.png"], ["x/b.png", "a.jpg"], SAME),
    "dots": (["photo v2.0.png"], ["photo v2.0.png", "photo v2.1.png"], SAME),
    "a dot in front": (["./x//a.jpg"], ["x/a.jpg"], {"./x//a.jpg": "x/a.jpg"}),
    "up and down again": (["x/../a.jpg"], ["a.jpg"], {"x/../a.jpg": "a.jpg"}),
    "NFC and NFD": ([f"{NFC}.jpg"], [f"{NFD}.jpg"], {f"{NFC}.jpg": f"{NFD}.jpg"}),
    "a backslash that is one": (["x\\a.jpg"], ["x\\a.jpg", "x/a.jpg"], SAME),
    "backslashes": (["x\\y\\a.jpg"], ["x/y/a.jpg"], {"x\\y\\a.jpg": "x/y/a.jpg"}),
    "case": (["X/A.jpg"], ["x/a.JPG"], {"X/A.jpg": "x/a.JPG"}),
    "case that changes the length": (
        ["STRASSE.jpg"],
        ["straße.jpg"],
        {"STRASSE.jpg": "straße.jpg"},
    ),
    "no extension": (["x/a"], ["x/a.jpg"], {"x/a": "x/a.jpg"}),
    "no extension, backslash": (["x\\a"], ["x/a.jpg", "y/a.jpg"], {"x\\a": "x/a.jpg"}),
    "no extension, dots": (["v2.0"], ["v2.0.png", "v2.png"], {"v2.0": "v2.0.png"}),
    "another folder": (["val2017/a.jpg"], ["images/A.jpg"], {"val2017/a.jpg": "images/A.jpg"}),
    "no folder": (["a.jpg"], ["deep/er/a.jpg"], {"a.jpg": "deep/er/a.jpg"}),
    "equal before case": (["a.jpg"], ["A.jpg", "a.jpg"], {"a.jpg": "a.jpg"}),
    "case before folder": (["x/A.jpg"], ["x/a.jpg", "y/A.jpg"], {"x/A.jpg": "x/a.jpg"}),
    "a file that is another name's": (["a.jpg", "A.jpg"], ["a.jpg"], {"a.jpg": "a.jpg"}),
    "each has its own": (["a.jpg", "A.jpg"], ["a.jpg", "A.jpg"], SAME),
    "what is left is clear": (
        ["x/a.jpg", "y/A.jpg"],
        ["x/a.jpg", "Y/a.jpg"],
        {"x/a.jpg": "x/a.jpg", "y/A.jpg": "Y/a.jpg"},
    ),
    "another extension": (["a.png"], ["a.jpg"], {}),
    "an extension behind another": (["a.png"], ["a.png.jpg"], {}),
    "a folder that is there": (["x/a.jpg"], ["x/b.jpg", "y/a.jpg"], {}),
    "a folder that is there, case": (["x/A.jpg"], ["x/b.jpg", "X/a.jpg"], {}),
    "another name has this stem": (["a", "a.jpg"], ["a.png"], {}),
    "nothing": ([], ["a.jpg"], {}),
    "no file": (["a.jpg"], [], {}),
    "an empty name": ([""], ["a.jpg"], {}),
    "a folder's name": (["x/", "."], ["x/a.jpg"], {}),
}


@pytest.mark.parametrize(("names", "files", "expected"), FOUND.values(), ids=FOUND.keys())
def test_found(names: list[str], files: list[str], expected: dict[str, str] | None) -> None:
    found = resolve(dict.fromkeys(names), files)
    assert found.files == (dict(zip(names, names, strict=True)) if expected is None else expected)
    assert not found.refused
    different = [file for name, file in found.files.items() if name != file]
    assert sum(count for _, _, count in reported(found)) == len(different)
    assert {kind for kind, _, _ in reported(found)} <= {"name_mismatch"}


# A name whose file is lost never takes a file that is not listed.

LOST: dict[str, tuple[list[str], list[str], dict[str, str]]] = {
    "a basename that another name has": (
        ["A/0.png", "C/0.png"],
        ["A/0.png", "B/0.png"],
        {"A/0.png": "A/0.png"},
    ),
    "a basename that another file has": (
        ["A/0.png", "C/0.png"],
        ["A/0.png", "B/0.png", "D/0.png"],
        {"A/0.png": "A/0.png"},
    ),
    "case": (["a.jpg", "A.jpg"], ["a.jpg", "A.JPG"], {"a.jpg": "a.jpg"}),
    "extension": (["a", "a.jpg"], ["a.jpg", "a.png"], {"a.jpg": "a.jpg"}),
    "forms of a letter": (
        [f"x/{NFC}.jpg", f"y/{NFC}.jpg"],
        [f"x/{NFD}.jpg", f"z/{NFC}.jpg"],
        {f"x/{NFC}.jpg": f"x/{NFD}.jpg"},
    ),
    "a file at its place speaks against a change of folder": (
        ["x/A/0.png", "x/B/0.png", "B/0.png"],
        ["A/0.png", "B/0.png"],
        {"B/0.png": "B/0.png"},
    ),
}


@pytest.mark.parametrize(("names", "files", "expected"), LOST.values(), ids=LOST.keys())
def test_lost(names: list[str], files: list[str], expected: dict[str, str]) -> None:
    found = resolve(dict.fromkeys(names), files)
    assert found.files == expected
    assert not found.refused | found.ambiguous


def test_ids_are_trusted_only_if_matched_names_have_theirs() -> None:
    other = "000000000043"
    named = {f"{other}.jpg": ID, "gone.jpg": "000000000007"}
    assert resolve(named, [f"{other}.jpg", "x_000000000007.jpg"]).files == {
        f"{other}.jpg": f"{other}.jpg"
    }
    named = {f"{ID}.jpg": ID, "gone.jpg": "000000000007"}
    assert resolve(named, [f"{ID}.jpg", "x_000000000007.jpg"]).files == {
        f"{ID}.jpg": f"{ID}.jpg",
        "gone.jpg": "x_000000000007.jpg",
    }


# Names of another folder: file names that repeat, and one change of folder for all of them.

_EQUAL = [f"{folder}/{number}.png" for folder in "AB" for number in range(3)]
MOVED: dict[str, tuple[list[str], list[str], str, str]] = {
    "folders removed": ([f"data/x/{f}" for f in _EQUAL], _EQUAL, "data/x/", ""),
    "a folder added": (_EQUAL, [f"img/{f}" for f in _EQUAL], "", "img/"),
    "a folder replaced": ([f"x/{f}" for f in _EQUAL], [f"y/z/{f}" for f in _EQUAL], "x/", "y/z/"),
    "removed, some files lost": ([f"x/{f}" for f in _EQUAL], _EQUAL[2:], "x/", ""),
    "added, some files not listed": (_EQUAL[:4], [f"x/{f}" for f in _EQUAL], "", "x/"),
    "another machine": ([f"/nowhere/set/{f}" for f in _EQUAL], _EQUAL, "/nowhere/set/", ""),
    "another machine, files lost": ([f"/nowhere/{f}" for f in _EQUAL], _EQUAL[1:], "/nowhere/", ""),
    "Windows": ([f"D:\\set\\{f}".replace("/", "\\") for f in _EQUAL], _EQUAL, "D:/set/", ""),
    "a share": ([f"\\\\nas\\{f}".replace("/", "\\") for f in _EQUAL], _EQUAL, "//nas/", ""),
    "accents": ([f"x/{NFD}/{f}" for f in _EQUAL], [f"{NFC}/{f}" for f in _EQUAL], "x/", ""),
    "a folder replaced, not all folders removed": (
        ["old/0.png", "old/1.png"],
        ["0.png", "new/0.png", "new/1.png"],
        "old/",
        "new/",
    ),
    "the least change": (
        ["/nowhere/x/0.png", "/nowhere/x/1.png"],
        ["0.png", "x/0.png", "x/1.png"],
        "/nowhere/",
        "",
    ),
    "from the top": ([f"/nowhere/{f}" for f in _EQUAL], [f"nowhere/{f}" for f in _EQUAL], "/", ""),
    "below a folder of every machine": (
        [f"/usr/nowhere-{f}" for f in _EQUAL],
        [f"nowhere-{f}" for f in _EQUAL],
        "/usr/",
        "",
    ),
    "one name": (["/nowhere/x/a.jpg"], ["x/a.jpg", "y/a.jpg"], "/nowhere/", ""),
}


@pytest.mark.parametrize(("names", "files", "old", "new"), MOVED.values(), ids=MOVED.keys())
def test_moved(names: list[str], files: list[str], old: str, new: str) -> None:
    found = resolve(dict.fromkeys(names), files)
    paths = {name: canonical(new + name.replace("\\", "/").removeprefix(old)) for name in names}
    by_path = {canonical(file): file for file in files}
    assert found.files == {n: by_path[path] for n, path in paths.items() if path in by_path}
    assert not found.refused | found.ambiguous
    [finding] = found.findings
    assert (finding.kind, finding.count) == ("name_mismatch", len(found.files))
    assert all(ascii(folder) in finding.detail for folder in (old, new) if folder)


NOT_MOVED: dict[str, tuple[list[str], list[str]]] = {
    "two changes would do": (["0.png", "1.png"], ["A/0.png", "A/1.png", "B/0.png", "B/1.png"]),
    "a file is missing where a folder is replaced": (
        [f"x/{f}" for f in _EQUAL],
        [f"y/{f}" for f in _EQUAL[1:]],
    ),
    "two changes find some": (["A/0.png", "A/7.png"], ["0.png", "B/0.png"]),
    "two changes find one": (["A/0.png"], ["0.png", "B/0.png"]),
    "two changes, deeper": (["data/0.png", "data/2.png"], ["0.png", "1.png", "thumbs/0.png"]),
    "no common folder": (["x/A/0.png", "y/A/0.png"], ["A/0.png", "B/0.png"]),
}


@pytest.mark.parametrize(("names", "files"), NOT_MOVED.values(), ids=NOT_MOVED.keys())
def test_not_moved(names: list[str], files: list[str]) -> None:
    found = resolve(dict.fromkeys(names), files)
    assert not any(posixpath.basename(name) == "0.png" for name in found.files)


def test_prefixes_of_existing_folders_are_not_replaced(tmp_path: pathlib.Path) -> None:
    names = [f"{tmp_path}/{file}" for file in _EQUAL]
    found = resolve(dict.fromkeys(names), _EQUAL)
    assert (found.files, found.refused) == ({}, set(names))
    assert {finding.kind for finding in found.findings} == {"outside"}
    assert len(resolve(dict.fromkeys(f"{tmp_path}/gone/{f}" for f in _EQUAL), _EQUAL).files) == 6


@pytest.mark.parametrize(
    ("name", "identity", "files", "expected"),
    [
        ("gone.jpg", ID, [f"COCO_val2014_{ID}.jpg"], f"COCO_val2014_{ID}.jpg"),
        (f"COCO_train2014_{ID}.jpg", ID, [f"x/{ID}.jpg"], f"x/{ID}.jpg"),
        ("a.jpg", ID, ["a.jpg", f"{ID}.jpg"], "a.jpg"),
        ("a.jpg", ID, ["y/a.jpg", f"{ID}.jpg"], "y/a.jpg"),
        ("a.jpg", ID, [f"9{ID}.jpg"], None),
        ("a.jpg", ID, ["42.jpg"], None),
        ("a.jpg", "abcdefghijkl", ["abcdefghijkl.jpg"], None),
        ("a.jpg", None, [f"{ID}.jpg"], None),
        (f"../{ID}.jpg", ID, [f"{ID}.jpg"], None),
    ],
)
def test_ids(name: str, identity: str | None, files: list[str], expected: str | None) -> None:
    assert resolve({name: identity}, files).files.get(name) == expected


AMBIGUOUS: dict[str, tuple[dict[str, str | None], list[str]]] = {
    "two files, one form": ({f"{NFC}.jpg": None}, [f"{NFC}.jpg", f"{NFD}.jpg"]),
    "two files, by case": ({"AB.jpg": None}, ["ab.jpg", "Ab.jpg"]),
    "two names, by case": ({"AB.jpg": None, "Ab.jpg": None}, ["ab.jpg"]),
    "two names, two forms": ({f"{NFC}.jpg": None, f"{NFD}.jpg": None}, [f"{NFC}.jpg"]),
    "two files, by extension": ({"a": None}, ["a.jpg", "a.png"]),
    "two names, by extension": ({"a": None, "A": None}, ["a.jpg"]),
    "two files, by folder": ({"a.jpg": None}, ["x/a.jpg", "y/a.jpg"]),
    "two names, by folder": ({"x/a.jpg": None, "y/a.jpg": None}, ["a.jpg"]),
    "two files, by id": ({"a.jpg": ID}, [f"x_{ID}.jpg", f"y_{ID}.jpg"]),
    "two names, by id": ({"a.jpg": ID, "b.jpg": ID}, [f"{ID}.jpg"]),
}


@pytest.mark.parametrize(("names", "files"), AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_ambiguous(names: dict[str, str | None], files: list[str]) -> None:
    found = resolve(names, files)
    assert (found.files, found.refused, found.ambiguous) == ({}, set(names), set(files))
    listed, same = (", ".join(map(ascii, sorted(some))) for some in (names, files))
    assert sorted(reported(found)) == [("ambiguous", file, 1) for file in sorted(files)]
    assert {finding.detail for finding in found.findings} == {
        f"listed as {listed}; the same name: {same}"
    }


def test_a_hundred_of_one_name_are_cut_at_five() -> None:
    found = resolve({"a.jpg": None}, [f"{n:03}/a.jpg" for n in range(1000)])
    assert len(found.findings) == 1000
    assert found.findings[0].detail.endswith("'003/a.jpg', '004/a.jpg', ... (1,000 in all)")
    assert "005" not in found.findings[0].detail


def test_same_sort_of_match_is_one_finding() -> None:
    found = resolve({f"{n}": None for n in range(9)}, [f"{n}.jpg" for n in range(9)])
    assert [(f.detail, f.count) for f in found.findings] == [
        ("matched by a name without extension, e.g. '0' is '0.jpg'", 9)
    ]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../a.jpg", "it leaves the folder by '..'"),
        ("x/../../a.jpg", "it leaves the folder by '..'"),
        ("..\\a.jpg", "it leaves the folder by '..'"),
        ("x\\..\\../a.jpg", "it leaves the folder by '..'"),
        ("./.././a.jpg", "it leaves the folder by '..'"),
        ("..", "it leaves the folder by '..'"),
        ("../images/a.jpg", "it leaves the folder by '..'"),
        ("/a.jpg", "an absolute path outside of the folder"),
        ("//host/a.jpg", "an absolute path outside of the folder"),
        ("\\a.jpg", "an absolute path outside of the folder"),
        ("\\\\host\\share\\a.jpg", "an absolute path outside of the folder"),
        ("C:\\a.jpg", "an absolute path outside of the folder"),
        ("c:/a.jpg", "an absolute path outside of the folder"),
        ("http://host/a.jpg", "a URL, not a relative path"),
        ("S3://bucket/a.jpg", "a URL, not a relative path"),
        ("file:///a.jpg", "a URL, not a relative path"),
        ("a\0.jpg", "a NUL in the name"),
    ],
)
def test_outside(name: str, why: str) -> None:
    found = resolve({name: ID, "b.jpg": None}, ["a.jpg", "b.jpg", "images/a.jpg", f"{ID}.jpg"])
    assert (found.files, found.refused) == ({"b.jpg": "b.jpg"}, {name})
    assert [(f.kind, f.path, f.detail) for f in found.findings] == [("outside", name, why)]


@pytest.mark.parametrize("name", ["..a.jpg", "a..jpg", "x../a.jpg", "C:.jpg", "a:b/c.jpg", "~/a"])
def test_strange_but_inside(name: str) -> None:
    assert resolve({name: None}, [name]).files == {name: name}


# Properties.

part = st.sampled_from(["a", "A", "b", "a.jpg", "A.JPG", "a.png", NFC, NFD, f"{ID}.jpg", ".."])
paths = st.lists(part, min_size=1, max_size=3).flatmap(
    lambda parts: st.sampled_from(["/", "\\"]).map(lambda slash: slash.join(parts))
)
files = st.lists(
    st.lists(part.filter(lambda p: p != ".."), min_size=1, max_size=2).map("/".join), unique=True
)
identities = st.sampled_from([None, ID])
wanted = st.dictionaries(paths | st.just("/a.jpg"), identities, max_size=6)


@given(wanted, files)
def test_every_name_has_one_fate(names: dict[str, str | None], files: list[str]) -> None:
    found = resolve(names, files)
    assert found.files.keys() | found.refused <= names.keys()
    assert not found.files.keys() & found.refused
    taken = list(found.files.values())
    assert len(set(taken)) == len(taken)
    assert set(taken) | found.ambiguous <= set(files)
    assert not set(taken) & found.ambiguous
    assert found.ambiguous == {f.path for f in found.findings if f.kind == "ambiguous"}
    details = "".join(f.detail for f in found.findings if f.kind == "ambiguous")
    outside = {f.path for f in found.findings if f.kind == "outside"}
    assert all(name in outside or ascii(name) in details for name in found.refused)
    assert len(outside) == sum(f.kind == "outside" for f in found.findings)


@given(wanted, files, st.randoms(use_true_random=False))
def test_order_does_not_matter(
    names: dict[str, str | None], files: list[str], shuffle: random.Random
) -> None:
    found = resolve(names, files)
    items = list(names.items())
    shuffle.shuffle(items)
    shuffle.shuffle(files)
    again = resolve(dict(items), files)
    assert (again.files, again.refused, again.ambiguous) == (
        *(found.files, found.refused),
        found.ambiguous,
    )
    assert set(again.findings) == set(found.findings)


@given(wanted, files)
def test_an_exact_match_wins(names: dict[str, str | None], files: list[str]) -> None:
    found = resolve(names, files)
    for name in names.keys() & set(files):
        rivals = [other for other in names if plain(other) == plain(name)]
        alike = [file for file in files if canonical(file) == canonical(name)]
        if len(rivals) == len(alike) == 1:
            assert found.files[name] == name
