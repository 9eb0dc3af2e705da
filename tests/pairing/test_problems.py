"""`Problems`: which problems stop, which are dropped or filled, and how many may be."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import numpy as np
import pytest

import mmdata
from mmdata import Problems
from mmdata.pairing.problems import Policy, problems_of
from mmdata.pairs.findings import Finding, Kind, PairingError

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]

PROBLEMS: tuple[Kind, ...] = (
    *("missing_caption", "missing_image", "empty_caption", "ambiguous", "disagreement"),
    *("encoding", "malformed", "outside", "unreadable", "unknown_name", "corrupt"),
)
NOTICES = sorted(set(get_args(Kind)) - set(PROBLEMS))
POLICIES: tuple[Policy, ...] = get_args(Policy)


def stops(problems: Problems, kind: Any, count: int = 1, rows: int = 1) -> bool:
    try:
        problems.check([Finding(kind, "a", count=count)], rows=rows, where="here")
    except PairingError as err:
        return [finding.kind for finding in err.findings] == [kind]
    return False


# The policy that governs a kind, and the policies that let it pass.

LENIENT: dict[Kind, tuple[str, set[str]]] = {
    "missing_caption": ("missing", {"drop", "blank", "folder", "file"}),
    "missing_image": ("missing", {"drop", "blank", "folder", "file"}),
    "empty_caption": ("empty", {"drop", "blank", "folder", "file"}),
    **dict.fromkeys(PROBLEMS[3:-1], ("missing", {"drop"})),
    "corrupt": ("corrupt", {"drop"}),
}


CASES = [(kind, policy) for kind in PROBLEMS[:-1] for policy in POLICIES]


@pytest.mark.parametrize(("kind", "policy"), [*CASES, ("corrupt", "error"), ("corrupt", "drop")])
@pytest.mark.parametrize("others", ["error", "drop"])
def test_policies(kind: Kind, policy: Policy, others: Any) -> None:
    field, lenient = LENIENT[kind]
    fields: dict[str, Any] = {"missing": others, "empty": others, "corrupt": others} | {
        field: policy
    }
    assert stops(Problems(**fields), kind) is (policy not in lenient)


@pytest.mark.parametrize("kind", NOTICES)
def test_notices_never_stop(kind: Kind) -> None:
    assert not stops(Problems(), kind, 99)
    assert stops(Problems(missing="blank", budget=98), kind, 99) is (kind == "filled")


@pytest.mark.parametrize(
    ("policy", "image", "caption"),
    [
        ("error", "x/a.jpg", None),
        ("drop", "x/a.jpg", None),
        ("blank", "x/a.jpg", ""),
        ("folder", "y/x/a.jpg", "x"),
        ("folder", "a.jpg", ""),
        ("file", "y/x/photo v2.0.png", "photo v2.0"),
        ("file", "a.jpg/b", "b"),
    ],
)
@pytest.mark.parametrize("kind", ["missing_caption", "empty_caption"])
def test_fill(
    policy: Policy,
    image: str,
    caption: str | None,
    kind: Literal["missing_caption", "empty_caption"],
) -> None:
    missing, empty = Problems(missing=policy), Problems(empty=policy)
    if kind == "empty_caption":
        missing, empty = empty, missing
    assert missing.fill(kind, image) == caption
    assert empty.fill(kind, image) is None


# A budget, images that pair, problems; whether they are too many. A share is one of all images.


@pytest.mark.parametrize(
    ("budget", "rows", "problems", "expected"),
    [
        (None, 1, 10**6, False),
        (0, 9, 0, False),
        (0, 9, 1, True),
        (3, 9, 3, False),
        (3, 9, 4, True),
        (0.0, 9, 1, True),
        (0.1, 90, 10, False),
        (0.1, 89, 10, True),
        (0.5, 1, 1, False),
        (0.29, 71, 29, False),
        (0.29, 70, 30, True),
        (0.07, 93, 7, False),
        (0.999, 1, 999, False),
        (np.float64(0.07), 93, 7, False),
        (1e-300, 10**6, 1, True),
    ],
)
@pytest.mark.parametrize("kind", ["missing_caption", "empty_caption", "encoding", "corrupt"])
def test_budget(budget: float | None, rows: int, problems: int, expected: bool, kind: Kind) -> None:
    lenient = Problems(missing="drop", empty="drop", corrupt="drop", budget=budget)
    paired = rows + problems if kind == "corrupt" else rows  # these pair
    assert stops(lenient, kind, problems, paired) is expected


@pytest.mark.parametrize("kind", ["missing_image", "malformed", "outside"])
def test_a_share_is_one_of_images(kind: Kind) -> None:
    lenient = Problems(missing="drop", budget=0.5)
    assert not stops(lenient, kind, 5, 10)
    assert stops(lenient, kind, 6, 10)


@pytest.mark.parametrize(
    ("corrupt", "budget", "expected"),
    [("error", None, 0), ("error", 9, 0), ("drop", None, None), ("drop", 9, 6), ("drop", 2, 0)],
)
def test_corrupt_allowed(
    corrupt: Literal["error", "drop"], budget: int | None, expected: int | None
) -> None:
    filled, other = Finding("filled", "a.jpg", "''", 2), Finding("ambiguous", "b.jpg")
    found = [filled, other, Finding("corrupt", "c.jpg")]
    problems = Problems(missing="drop", corrupt=corrupt, budget=budget)
    assert problems.corrupt_allowed(found, rows=100) == expected


def test_budget_counts_what_was_filled() -> None:
    findings = [Finding("filled", "a.jpg", "''", 2), Finding("ambiguous", "b.jpg")]
    lenient = Problems(missing="drop", budget=2)
    with pytest.raises(PairingError) as caught:
        lenient.check(findings, rows=9, where="here")
    assert str(caught.value) == "Problems(budget=2) allows 2 problem(s); got 3 problem(s) in here."
    assert caught.value.findings == tuple(findings)
    Problems(missing="drop", budget=3).check(findings, rows=9, where="here")


def test_budget_of_a_share_counts_filled_images_once() -> None:
    filled = [Finding("filled", "a.jpg", "''", 5)]
    Problems(missing="blank", budget=0.5).check(filled, rows=10, where="here")
    with pytest.raises(PairingError, match=r"budget=0\.5\) allows 4 problem"):
        Problems(missing="blank", budget=0.5).check(filled, rows=9, where="here")


def test_errors_come_before_the_budget() -> None:
    with pytest.raises(PairingError) as caught:
        Problems(empty="drop", budget=0).check(
            [Finding("empty_caption", "a.jpg"), Finding("missing_image", "b.txt")],
            rows=1,
            where="here",
        )
    assert [finding.kind for finding in caught.value.findings] == ["missing_image"]
    assert 'pass on_problem="drop"' in str(caught.value)


def test_without_errors() -> None:
    assert Problems(budget=3).without_errors() == problems_of("drop")
    filling = Problems(missing="folder", empty="blank", budget=0.1)
    assert filling.without_errors() == Problems(missing="folder", empty="blank", corrupt="drop")
    few = Problems(max_pixels=300)
    assert few.without_errors() == dataclasses.replace(problems_of("drop"), max_pixels=300)


@pytest.mark.parametrize("most", [1, 300, 178_956_970])
def test_max_pixels_that_are_taken(most: int) -> None:
    assert Problems(max_pixels=most).max_pixels == most
    assert Problems().max_pixels == problems_of("drop").max_pixels == 178_956_970


def test_named() -> None:
    mine = Problems(missing="file")
    assert problems_of(mine) is mine
    assert problems_of("error") == Problems()
    assert problems_of("drop") == Problems(missing="drop", empty="drop", corrupt="drop")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("missing", value) for value in ("Error", "", None, "skip", 1)),
        *(("empty", value) for value in ("Drop", "name", False)),
        *(("corrupt", value) for value in ("blank", "folder", "file", None, "")),
        *(("budget", value) for value in (-1, -0.1, 1.0, 1.5, True, "1", float("nan"))),
        *(("budget", value) for value in (float("inf"), [1])),
        *(("max_pixels", value) for value in (0, -1, 178_956_971, 1e6, None, "1000", [1])),
    ],
    ids=repr,
)
def test_arguments_out_of_range(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"Problems\({field}=\.\.\.\) must be .*; got ") as caught:
        Problems(**{field: value})
    assert str(caught.value).endswith(f"got {value!r}.")


# Through `mmdata.read`: the same images in two layouts.

FILES = {"x/full.jpg": "", "x/gone.jpg": "", "x/blank.jpg": ""}
TEXTS = {"x/full.txt": "a cat", "x/blank.txt": " \n", "x/orphan.txt": "a dog"}
TABLE = "image,caption\nx/full.jpg,a cat\nx/blank.jpg, \nx/orphan.jpg,a dog\n"
SOURCES = {"sidecar": TEXTS, "metadata": {"metadata.csv": TABLE}}


@pytest.mark.parametrize(
    ("missing", "empty", "captions"),
    [
        ("drop", "drop", {"full": "a cat"}),
        ("blank", "drop", {"full": "a cat", "gone": ""}),
        ("drop", "blank", {"full": "a cat", "blank": ""}),
        ("folder", "file", {"full": "a cat", "gone": "x", "blank": "blank"}),
        ("file", "folder", {"full": "a cat", "gone": "gone", "blank": "x"}),
        ("error", "drop", {"missing_caption", "missing_image"}),
        ("drop", "error", {"empty_caption"}),
        ("blank", "error", {"empty_caption"}),
        ("error", "error", {"missing_caption", "missing_image", "empty_caption"}),
    ],
)
@pytest.mark.parametrize("layout", SOURCES)
def test_read(
    tmp_path: pathlib.Path,
    write: Write,
    missing: Policy,
    empty: Policy,
    captions: dict[str, str] | set[str],
    layout: Literal["sidecar", "metadata"],
) -> None:
    write(tmp_path, {**FILES, **SOURCES[layout]})
    problems = Problems(missing=missing, empty=empty)
    if isinstance(captions, set):
        with pytest.raises(PairingError) as caught:
            mmdata.read(tmp_path, on_problem=problems)
        assert {finding.kind for finding in caught.value.findings} == captions
        return
    pairs = mmdata.read(tmp_path, on_problem=problems)
    assert pairs.report.layout == layout
    found = {image: pairs.captions_of(row) for row, image in enumerate(pairs.images)}
    assert found == {f"x/{name}.jpg": [text] for name, text in captions.items()}
    assert list(pairs.images) == sorted(pairs.images)
    filled = {(f.path, f.detail) for f in pairs.report.findings if f.kind == "filled"}
    assert filled == {(f"x/{n}.jpg", repr(t)) for n, t in captions.items() if n != "full"}
    assert sum(pairs.report.counts.values()) == 3
    mmdata.read(tmp_path, on_problem=Problems(missing=missing, empty=empty, budget=3))
    with pytest.raises(PairingError, match=r"allows 2 problem\(s\); got 3 problem\(s\)"):
        mmdata.read(tmp_path, on_problem=Problems(missing=missing, empty=empty, budget=2))


@pytest.mark.parametrize("policy", ["blank", "folder", "file"])
def test_images_alone_may_be_filled(tmp_path: pathlib.Path, write: Write, policy: Policy) -> None:
    write(tmp_path, {"cats/1.jpg": "", "dogs/2.jpg": ""})
    pairs = mmdata.read(tmp_path, on_problem=Problems(missing=policy))
    expected = {"blank": ["", ""], "folder": ["cats", "dogs"], "file": ["1", "2"]}
    assert list(pairs.captions) == expected[policy]
    assert pairs.report.counts == {"filled": 2}
