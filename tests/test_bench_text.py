"""The command `mmdata bench text`: what it reads, and that its comparison is honest."""

import json
import multiprocessing
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from mmdata.benchmarks import table, text, text_peers
from mmdata.benchmarks.captions import Captions, choose
from mmdata.benchmarks.contending import Contender, Epoch, Peer, Sample
from mmdata.benchmarks.measuring import Result as Measured
from mmdata.benchmarks.text_peers import Work, checksums
from mmdata.cli import main

CAPTIONS = (
    "A dog runs on the beach.",
    "Two dogs are running, one of them barking!",
    "The man's café isn't open",
    "THE TRAIN ENGINE IS RED",
    "a surfer surfing a wave",
)


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["bench", "text", *map(str, words)])


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    file = tmp_path_factory.mktemp("lines") / "captions.txt"
    file.write_text("\n".join(CAPTIONS), "utf-8")
    return file


# What is read


def _coco(captions: Sequence[str]) -> str:
    annotations = [{"id": n, "image_id": 1, "caption": text} for n, text in enumerate(captions)]
    return json.dumps({"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": annotations})


def _karpathy(captions: Sequence[str]) -> str:
    image = {"filename": "a.jpg", "split": "train", "sentences": [{"raw": c} for c in captions]}
    return json.dumps({"images": [image]})


@pytest.mark.parametrize(
    ("files", "source"),
    [
        ({"captions.txt": "one dog\n\n  two\tdogs \r\nthree, dogs"}, "captions.txt"),
        ({"CAPTIONS.TXT": "\ufeffone dog\ntwo dogs\nthree, dogs\n"}, "CAPTIONS.TXT"),
        ({"coco.json": _coco(["one dog", " ", "two  dogs\n", "three, dogs"])}, "coco.json"),
        ({"karpathy.json": _karpathy(["one dog", "two dogs", "three, dogs"])}, "karpathy.json"),
        (
            {"flickr.txt": "a.jpg#0\tone dog\na.jpg#1\ttwo dogs\nb.jpg#0\tthree, dogs\n"},
            "flickr.txt",
        ),
        ({"t.csv": 'image,caption\na,one dog\nb,\nc,"two\ndogs"\nd,"three, dogs"\n'}, "t.csv"),
        ({"f/a.txt": "one dog\ntwo dogs", "f/b.jpg": "no", "f/below/c.txt": "three, dogs"}, "f"),
    ],
)
def test_choose_reads(tmp_path: pathlib.Path, files: dict[str, str], source: str) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content.encode())
    captions = choose(tmp_path / source, 9)
    assert captions == Captions(texts=("one dog", "two dogs", "three, dogs"), source=source)
    assert str(captions) == f"3 caption(s) of {source}, median 2 words"


@pytest.mark.parametrize(
    ("most", "places"), [(1, [0]), (2, [0, 4]), (3, [0, 2, 4]), (5, range(5)), (9, range(5))]
)
def test_choose_spreads(lines: pathlib.Path, most: int, places: Sequence[int]) -> None:
    assert choose(lines, most).texts == tuple(CAPTIONS[place] for place in places)


def test_captions_repeat_in_turn() -> None:
    captions = Captions(texts=("a", "b", "c"), source="")
    assert "".join(captions.repeated(7)) == "abcabca"


@pytest.mark.parametrize(
    ("name", "content", "arguments", "status", "words"),
    [
        ("a.txt", b" \n\n", [], 1, "which holds none"),
        ("a.txt", b"good\nbad \xff\n", [], 1, "a.txt: not text in UTF-8: byte 0xff at offset 9"),
        ("a.json", b"{", [], 1, "must be a JSON file"),
        ("a.json", b'{"images": []}', [], 1, "not COCO captions"),
        ("a.json", b'{"images": [], "annotations": []}', [], 1, "which holds none"),
        ("a.csv", b"x,y\n1,2\n", [], 1, "a.csv"),
        ("b.txt", b"good", [], 1, "captions=... must exist"),
        ("a.txt", b"good", ["--rounds", 0], 2, "--rounds"),
        ("a.txt", b"good", ["--captions", 0], 2, "--captions"),
    ],
)
def test_bad_arguments(
    tmp_path: pathlib.Path,
    name: str,
    content: bytes,
    arguments: list[object],
    status: int,
    words: str,
) -> None:
    (tmp_path / name).write_bytes(content)
    file = tmp_path / name if name != "b.txt" else tmp_path / "nowhere.txt"
    result = run(file, *arguments)
    assert result.exit_code == status
    assert words in result.output
    assert "Traceback" not in result.output


def test_a_folder_without_captions(tmp_path: pathlib.Path) -> None:
    result = run(tmp_path)
    assert (result.exit_code, "which holds none" in result.output) == (1, True)


# The comparison


def lengths(work: Work) -> Epoch:
    """Makes the numbers of letters of words the ids."""
    return text_peers._lists(work, lambda texts: [list(map(len, t.split())) for t in texts])


def sloppy(work: Work) -> Epoch:
    """Makes other ids of texts that begin with a small letter."""
    return text_peers._lists(
        work, lambda texts: [[0] * t[0].islower() + list(map(len, t.split())) for t in texts]
    )


def forgetful(_: Work) -> Epoch:
    return lambda: [[[1]]]


def missing(_: Work) -> Epoch:
    raise ModuleNotFoundError("No module named 'no_such_library'", name="no_such_library")


def write(folder: pathlib.Path, captions: pathlib.Path) -> Work:
    (folder / "vocab.txt").write_text("one")
    return Work(captions=str(captions), vocabulary=str(folder / "vocab.txt"))


def write_nothing(_: pathlib.Path, __: pathlib.Path) -> Work:
    raise FileNotFoundError("the merges are not there. Get them.")


NUMPY = (("numpy",), "numpy")
FAKES = (
    text.Group(
        "Fake",
        write,
        (
            Peer("ours", lengths, *NUMPY),
            Peer("sloppy", sloppy, *NUMPY),
            Peer("forgetful", forgetful, *NUMPY),
            Peer("missing", missing, ("no_such_library",), "a-package"),
        ),
    ),
    text.Group("Absent", write_nothing, (Peer("ours", lengths, *NUMPY),)),
    text.Group("Other", write, (Peer("ours", sloppy, *NUMPY), Peer("same", sloppy, *NUMPY))),
)


@pytest.fixture(scope="module")
def told(lines: pathlib.Path) -> dict[str, Any]:
    """What the command tells, as JSON, of five captions and peers that are there for this."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "GROUPS", FAKES)
        result = run(lines, "--rounds", 2, "--captions", 2000, "--json")
    assert result.exit_code == 0, result.output
    assert not multiprocessing.active_children()
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_the_json_says_what_was_compared(told: dict[str, Any]) -> None:
    assert told["captions"] == {"source": "captions.txt", "count": 5, "words": 5}
    assert (told["rounds"], told["captions_per_round"]) == (2, 2000)
    assert [group["name"] for group in told["groups"]] == ["Fake", "Absent", "Other"]


def test_the_json_says_whose_ids_differ(told: dict[str, Any]) -> None:
    fake, absent, other = told["groups"]
    assert [contender["different_captions"] for contender in fake["contenders"]] == [
        *(0, 2000 // 5, None, None)  # one caption of five begins with a small letter
    ]
    assert [contender["different_captions"] for contender in other["contenders"]] == [0, 0]
    assert (absent["contenders"], absent["failure"]) == ([], "the merges are not there. Get them.")
    assert (fake["failure"], other["failure"]) == (None, None)


def test_the_json_names_whoever_has_no_figures(told: dict[str, Any]) -> None:
    assert [contender["failure"] for contender in told["groups"][0]["contenders"]] == [
        None,
        None,
        "failed: ValueError: an epoch must have 2,000 items; got 1.",
        "not installed: pip install a-package",
    ]
    for group in told["groups"]:
        for contender in group["contenders"]:
            assert (contender["figures"] is None) == (contender["failure"] is not None)
            assert contender["failure"] or contender["versions"] == f"numpy {np.__version__}"


def test_the_json_gives_rates(told: dict[str, Any]) -> None:
    for group, contender in ((0, 0), (2, 0), (2, 1)):
        figures = told["groups"][group]["contenders"][contender]["figures"]
        rate, least, most = (
            figures[f"captions_per_cpu_second{end}"] for end in ("", "_min", "_max")
        )
        assert 1000 < least <= rate <= most
        assert (figures["mmdata_is_times_as_fast"] == 1) == (contender == 0)
        assert figures["peak_mb"] > 1


def _measured(
    name: str, cpu: Sequence[float] = (), ids: Sequence[int] = (), failure: str = ""
) -> Measured:
    contender = Contender(name=name, prepare=dict, count=1000, modules=(), package="")  # type: ignore[arg-type]
    samples = tuple(Sample(items=1000, cpu=seconds, wall=9, peak=10**6) for seconds in cpu)
    return Measured(
        contender=contender,
        versions="lib 1.0",
        samples=samples,
        failure=failure,
        told=np.array(ids, np.uint32),
    )


def test_the_table() -> None:
    ours = _measured("mmdata", (0.1, 0.2, 0.4), (1, 2, 3))
    theirs = _measured("a peer", (0.2, 1.0, 0.8), (1, 9, 9))
    absent = _measured("absent", failure="not installed: ...")
    broken = _measured("mmdata", failure="failed: ...")
    comparison = text.Comparison(
        machine="a machine",
        captions=Captions(texts=("a dog", "a cat"), source="some.json"),
        rounds=3,
        count=1000,
        outcomes=[
            text.Outcome(group="One", results=[ours, theirs, absent]),
            text.Outcome(group="Two", failure="no merges."),
            text.Outcome(group="Three", results=[broken, theirs]),
        ],
    )
    lines = [" ".join(line.split()) for line in str(comparison).splitlines()]
    assert lines[:13] == [
        "2 caption(s) of some.json, median 2 words",
        "cleaned and tokenized in batches of 256, on one core; 3 round(s) of 1,000 captions, each "
        "contender in turn",
        "a machine",
        "",
        "One captions/CPU s min..max mmdata is x ids versions",
        "mmdata 5,000 2,500..10,000 1.00 same lib 1.0",
        "a peer 1,250 1,000..5,000 2.00 2 differ lib 1.0",
        "absent not installed: ...",
        "",
        "Two: not compared. no merges.",
        "",
        "Three captions/CPU s min..max mmdata is x ids versions",
        "mmdata failed: ...",
    ]
    assert lines[13] == "a peer 1,250 1,000..5,000 - - lib 1.0"


def test_table_lines() -> None:
    rows = [
        ("ab", "1", "x", "right"),
        ("a long name", "fails for a reason"),
        ("c", "100", "yz", ""),
    ]
    assert table.lines(("name", "n", "word", "last"), rows, figures=1) == [
        "name           n  word  last",
        "ab             1  x     right",
        "a long name  fails for a reason",
        "c            100  yz",
    ]


# What they compute


@pytest.fixture(scope="module", params=text.GROUPS, ids=lambda group: group.name)
def group(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    open_clip: pathlib.Path,
) -> Any:
    """A group with its work: captions enough for two batches, the second of them short."""
    group: text.Group = request.param
    folder = tmp_path_factory.mktemp(group.name)
    captions = folder / "captions.txt"
    captions.write_text("\n".join((CAPTIONS * 60)[:290]), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(open_clip.parent)  # CLIP's merges, as if it were installed
        return group, group.write(folder, captions)


def test_ours_goes_through_all_captions_in_batches(group: Any) -> None:
    (_, _, (ours, *_)), work = group
    epoch = ours.prepare(work)
    batches: Any = list(epoch())
    assert list(map(len, batches)) == [256, 34]
    rows = [row for batch in batches for row in batch]
    assert rows[:34] == rows[30:64] == [rows[place % 5] for place in range(34)]
    assert len({tuple(row) for row in rows}) == 5
    assert np.array_equal(checksums(epoch), checksums(lambda: [rows]))


def test_the_vocabulary_is_bert_s(tmp_path: pathlib.Path, lines: pathlib.Path) -> None:
    tokens = pathlib.Path(text.write_wordpiece(tmp_path, lines).vocabulary).read_text().split("\n")
    assert tokens[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert "cafe" in tokens
    assert all(token.islower() for token in tokens[5:] if token.strip("#").isalpha())


@pytest.mark.parametrize("kind", ["tokenizers_wordpiece", "tokenizers_wordpiece_fast"])
def test_rust_makes_the_same_ids(tmp_path: pathlib.Path, lines: pathlib.Path, kind: str) -> None:
    work = text.write_wordpiece(tmp_path, lines)
    ours, theirs = (
        checksums(prepare(work))
        for prepare in (text_peers.mmdata_wordpiece, getattr(text_peers, kind))
    )
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("group", [text.GROUPS[1]], indirect=True, ids=["CLIP"])
def test_rust_makes_the_same_ids_of_clip(group: Any) -> None:
    _, work = group
    ours, theirs = (
        checksums(prepare(work))
        for prepare in (text_peers.mmdata_clip, text_peers.tokenizers_clip_fast)
    )
    np.testing.assert_array_equal(ours, theirs)


def test_checksums_tell_ids_apart() -> None:
    rows = [[1, 2], [2, 1], [1, 2, 0], [], [0], [1, 2]]
    sums = checksums(lambda: [rows[:2], rows[2:]])
    assert sums[0] == sums[5]
    assert len(set(sums.tolist())) == 5
