"""Captions without tokens are errors, dropped or filled; never a row of only padding."""

import io
import json
import pathlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import mmdata
from mmdata import Clean, PairingError, Problems, References, Retrieval, Text
from mmdata.captions.cleaned import Cleaner
from mmdata.captions.empty import drop_empty
from mmdata.captions.token_counts import TokenCounts
from mmdata.pairing.problems import problems_of
from mmdata.pairs.pairs import Pairs, Row
from mmdata.tokenizers import Byte, Tokenizer, WordPiece
from mmdata.tokenizers.vocabulary_tokenizer import SPECIAL_TOKENS

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]

BARE = Text(tokenizer="byte", clean=Clean(punctuation="remove", markup="remove"))
PIECES = WordPiece((*SPECIAL_TOKENS, "a", "red", "boat"))


def folder_of(root: pathlib.Path, write: Write, rows: Mapping[str, Sequence[str]]) -> pathlib.Path:
    """Pictures by the names of `rows`, and a table of their captions and splits."""
    files: dict[str, str | bytes] = {}
    for shade, name in enumerate(rows):
        buffer = io.BytesIO()
        Image.new("L", (4, 4), shade).save(buffer, "PNG")
        files[name] = buffer.getvalue()
    table = [
        {
            "file_name": name,
            "captions": list(captions),
            "split": "validation" if name.startswith("v") else "train",
        }
        for name, captions in rows.items()
    ]
    return write(root, files | {"metadata.jsonl": "".join(json.dumps(r) + "\n" for r in table)})


def build(images: Any, **options: Any) -> Any:
    defaults: dict[str, Any] = {
        "text": BARE,
        "pixels": "uint8",
        "image_size": (2, 2),
        "batch_size": 2,
        "task": Retrieval(captions="all"),
        "shuffle": False,
    }
    return mmdata.build(images, **defaults | options)


def captions_of(pairs: Pairs) -> dict[str, list[str]]:
    return {image: pairs.captions_of(row) for row, image in enumerate(pairs.images)}


def found_in(ds: Any) -> list[tuple[str, str]]:
    findings = ds.report.findings
    return [(found.kind, found.path) for found in findings if found.kind != "other_split"]


MESS = {
    "a.png": ["a boat"],
    "sub/b.png": ["..."],
    "c.png": ["<br>", "a red boat", "!?"],
    "d.png": ["\0"],
    "e.png": ["<p></p> &", "\x01\x7f"],
    "va.png": ["boat"],
    "vb.png": ["-"],
}
EMPTIED = ["d.png", "e.png", "sub/b.png"]


@pytest.fixture(scope="module")
def mess(tmp_path_factory: pytest.TempPathFactory, write: Write) -> pathlib.Path:
    """`MESS`, where images whose name begins with "v" are for validation."""
    return folder_of(tmp_path_factory.mktemp("mess"), write, MESS)


def test_one_error_names_the_images_of_all_parts(mess: pathlib.Path) -> None:
    with pytest.raises(PairingError, match=r"got 4 problem\(s\) in .*, cleaned:") as error:
        build(mess, split=("train", "validation"))
    found = {(found.kind, found.path) for found in error.value.findings}
    assert found == {("empty_caption", path) for path in (*EMPTIED, "vb.png")}
    assert "'sub/b.png' (no token is left of '...')" in str(error.value)
    with pytest.raises(PairingError, match=r"got 1 problem\(s\)") as error:
        build(mess, split="validation")
    assert [found.path for found in error.value.findings] == ["vb.png"]


def test_dropped(mess: pathlib.Path) -> None:
    train, validation = build(mess, split=("train", "validation"), on_problem="drop")
    assert captions_of(train.pairs) == {"a.png": ["a boat"], "c.png": ["a red boat"]}
    assert captions_of(validation.pairs) == {"va.png": ["boat"]}
    assert found_in(train) == [
        *(("empty_caption", path) for path in EMPTIED),
        *(("blank_caption", "c.png") for _ in range(2)),
    ]
    assert found_in(validation) == [("empty_caption", "vb.png")]
    details = {found.detail for found in train.report.findings if found.path == "c.png"}
    assert details == {"no token is left of '<br>'", "no token is left of '!?'"}
    assert (train.report.images, train.report.pairs) == (2, 2)
    (batch,) = list(train)
    assert batch["padding_mask"].numpy().sum(1).tolist() == [8, 12]
    assert batch["images"].numpy()[:, 0, 0, 0].tolist() == [
        0,
        2,
    ]  # the pictures that they belong to


def test_a_caption_beside_others_is_no_error(tmp_path: pathlib.Path, write: Write) -> None:
    ds = build(folder_of(tmp_path, write, {name: MESS[name] for name in ("a.png", "c.png")}))
    assert captions_of(ds.pairs) == {"a.png": ["a boat"], "c.png": ["a red boat"]}
    assert found_in(ds) == [("blank_caption", "c.png")] * 2


@pytest.mark.parametrize(
    ("empty", "filled"),
    [
        ("blank", {"d.png": "", "e.png": "", "sub/b.png": ""}),
        ("folder", {"d.png": "", "e.png": "", "sub/b.png": "sub"}),
        ("file", {"d.png": "d", "e.png": "e", "sub/b.png": "b"}),
    ],
)
def test_filled(mess: pathlib.Path, empty: Any, filled: dict[str, str]) -> None:
    ds = build(mess, split="train", on_problem=Problems(empty=empty))
    kept = {"a.png": ["a boat"], "c.png": ["a red boat"]}
    assert captions_of(ds.pairs) == kept | {name: [text] for name, text in filled.items()}
    assert found_in(ds) == [
        *(("filled", path) for path in EMPTIED),
        *(("blank_caption", "c.png") for _ in range(2)),
    ]
    texts = [text for captions in captions_of(ds.pairs).values() for text in captions]
    assert ds.length_report.token_counts.tolist() == [len(text) + 2 for text in texts]


@pytest.mark.parametrize(
    ("empty", "budget", "passes"),
    [
        *(("drop", 2, False), ("drop", 0.6, True), ("drop", 0.59, False)),
        *(("blank", 3, True), ("blank", 2, False)),
    ],
)
def test_budget_counts_them(mess: pathlib.Path, budget: Any, passes: bool, empty: Any) -> None:
    problems = Problems(empty=empty, budget=budget)
    if passes:
        ds = build(mess, split="train", on_problem=problems)
        assert len(ds.pairs) == (2 if empty == "drop" else 5)
        return
    with pytest.raises(PairingError, match=r"Problems\(budget=.*\) allows 2 problem\(s\); got 3"):
        build(mess, split="train", on_problem=problems)


def test_share_of_a_budget_is_one_of_all_that_was_read(
    tmp_path: pathlib.Path, write: Write
) -> None:
    """A few images of "train" without a caption do not stop a small split."""
    rows: dict[str, list[str]] = {f"{n}.png": ["a boat"] if n else [] for n in range(20)}
    root = folder_of(tmp_path, write, rows | {f"v{n}.png": ["a boat"] for n in range(5)})
    problems = Problems(missing="drop", budget=0.1)
    for split, count in (("train", 19), ("validation", 5)):
        ds = build(root, text="word", split=split, on_problem=problems)
        assert len(ds.pairs) == count


def test_blanks_that_were_asked_for_stay(tmp_path: pathlib.Path, write: Write) -> None:
    rows = {"a.png": ["boat"], "b.png": [" "], "c.png": []}
    root = folder_of(tmp_path, write, rows)
    ds = build(root, on_problem=Problems(missing="blank", empty="blank"))
    assert captions_of(ds.pairs) == {"a.png": ["boat"], "b.png": [""], "c.png": [""]}
    assert found_in(ds) == [("filled", "b.png"), ("filled", "c.png")]
    assert ds.length_report.token_counts.tolist() == [6, 2, 2]


def test_references(mess: pathlib.Path) -> None:
    (batch,) = list(build(mess, split="train", task=References(), on_problem="drop"))
    assert batch["references"].to_list() == [[b"a boat"], [b"a red boat"]]
    assert batch["padding_mask"].values.numpy().sum(1).tolist() == [8, 12]


UNSEEN = ["\u200b", "\ufeff\u200d", "\x02", "\u200e \u200f", "\u2060\x1f", "\u00ad"]
ODD = [*UNSEEN, "...", "<b>", "a", "&#0;", "\ufffd", "\u0301"]
ODD_ROWS = {f"{place:02}.png": [text] for place, text in enumerate(ODD)} | {"all.png": ODD}


@pytest.mark.parametrize("tokenizer", [PIECES, Byte()], ids=repr)
@pytest.mark.parametrize("clean", ["lower", "clip", None, "bert", BARE.clean], ids=str)
def test_no_caption_without_a_token_is_left(clean: Any, tokenizer: Tokenizer) -> None:
    """What a tokenizer skips is as empty as what cleaning removes."""
    text, pairs = Text(tokenizer=tokenizer, clean=clean), pairs_of(*ODD_ROWS.items())
    empty = TokenCounts.of(pairs.captions, Cleaner(text.cleaner), tokenizer).empty
    left, findings = drop_empty(pairs, empty, problems_of("drop"))
    captions = tf.constant([*left.captions])
    if text.cleaner is not None:
        captions = text.cleaner({"caption": captions})["caption"]
    assert tokenizer.tokenize(captions).row_lengths().numpy().min() >= 1
    kept = left.captions_of(len(left) - 1)
    assert [*left.captions] == sorted(kept, key=ODD.index) * 2  # each alone, and beside the others
    assert Counter(found.kind for found in findings) == Counter(
        {kind: len(ODD) - len(kept) for kind in ("empty_caption", "blank_caption") if kept != ODD}
    )
    assert "a" in kept


def test_no_row_is_all_padding(tmp_path: pathlib.Path, write: Write) -> None:
    ds = build(folder_of(tmp_path, write, ODD_ROWS), text=PIECES, on_problem="drop", batch_size=50)
    (batch,) = list(ds)
    tokens = batch["padding_mask"].numpy().sum(1)
    assert len(tokens) == ds.pairs.pair_count == 2 * (len(ODD) - len(UNSEEN))
    assert tokens.min() == 3


def test_nothing_left_is_an_error_that_says_so(tmp_path: pathlib.Path, write: Write) -> None:
    root = folder_of(tmp_path, write, {"a.png": ["..."], "b.png": ["!"]})
    for on_problem in ("error", "drop"):
        with pytest.raises(PairingError, match=r"(?s)no token is left of '\.\.\.'.*Nothing pairs"):
            build(root, on_problem=on_problem)


def pairs_of(*rows: tuple[str, list[str]]) -> Pairs:
    return Pairs.of_rows("/x", (Row(*row) for row in rows), layout="sidecar")


def test_nothing_empty_changes_nothing() -> None:
    pairs = pairs_of(("a", ["1", ""]), ("b", ["2"]))
    left, findings = drop_empty(pairs, np.zeros(3, np.bool_), problems_of("error"))
    assert left is pairs
    assert findings == []


@pytest.mark.parametrize("on_problem", ["error", "drop"])
def test_columns_go_with_their_rows(on_problem: Any) -> None:
    """Does not check whether they are errors."""
    pairs = pairs_of(("a", ["1", "2"]), ("b", ["3", "4"]), ("c", ["5"]), ("d", ["6", "7", "8"]))
    empty = np.array([0, 1, 1, 1, 0, 1, 1, 0], np.bool_)
    left, findings = drop_empty(pairs, empty, problems_of(on_problem))
    assert captions_of(left) == {"a": ["1"], "c": ["5"], "d": ["8"]}
    assert left.offsets.tolist() == [0, 1, 2, 3]
    assert left.offsets.dtype == np.int64
    reported = [(found.kind, found.path, found.detail) for found in findings]
    assert reported == [
        ("blank_caption", "a", "no token is left of '2'"),
        ("empty_caption", "b", "no token is left of '3'"),
        ("blank_caption", "d", "no token is left of '6'"),
        ("blank_caption", "d", "no token is left of '7'"),
    ]
    assert (left.report.layout, left.report.images, left.report.pairs) == ("sidecar", 3, 3)
    assert left.report.counts == {"empty_caption": 1, "blank_caption": 3}
