"""Text from files is printed without control characters."""

import os
import pathlib
import subprocess
import sys

import hostile  # type: ignore[import-not-found]
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import mmdata
from mmdata.cli import main
from mmdata.pairs.findings import Finding, PairingReport
from mmdata.printable import printable, printable_lines
from mmdata.storage.row_store import Store
from mmdata.storage.user_cache import save_arrays


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("\x9b31m \x07\r\n\t\x7f\0", r"\x9b31m \x07\r\n\t\x7f\x00"),
        ("evil \u202egnp \u2066\u2069", r"evil \u202egnp \u2066\u2069"),
        ("\u2028\u2029\ufeff\u200b\xad", r"\u2028\u2029\ufeff\u200b\xad"),
        ("caf\udce9 \ufffe", r"caf\udce9 \ufffe"),
    ],
)
def test_what_is_obeyed_becomes_escapes(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Fu\u00dfball, \u00e9 e\u0301 \u4e2d\u6587\u3000\u3042",
        "\u0939\u093f \u05e9\u05dc\u05d5\u05dd",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with a non-joiner
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f \U0001f44d\U0001f3fd",
        "10\xa0000 \\x1b 'quoted'",
    ],
)
def test_what_people_write_stays(text: str) -> None:
    assert printable(text) == text


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_is_printable(text: str) -> None:
    shown = printable(text)
    assert hostile.obeyed(shown) == set()
    assert "\n" not in shown
    shown.encode()  # raises nothing
    assert printable(shown) == shown
    assert printable_lines(f"{text}\nb").split("\n") == [*map(printable, text.split("\n")), "b"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Images whose names and captions are hostile, and one more without a caption."""
    folder = tmp_path_factory.mktemp("photos")
    for seed, name in enumerate([*hostile.NAMES, "lost\x1b[2J\udcff"]):
        Image.effect_noise((48, 40), 20 + seed).convert("RGB").save(folder / f"{name}.png")
        if seed < len(hostile.CAPTIONS):
            (folder / f"{name}.txt").write_text(hostile.CAPTIONS[seed] + "\n", "utf-8")
    return folder


@pytest.mark.parametrize(
    ("words", "status", "shown"),
    [
        (("pair", "."), 1, r"'lost\x1b[2J\udcff.png'"),
        (("pair", ".", "no\x1b[2J\udcff"), 1, r"no\x1b[2J\udcff"),
        (("pair", "a\x1b[2J.png", "b", "c\x9bJ\udcff"), 2, r"c\x9bJ\udcff"),  # as * passes them
        (("show", ".", "-n", 2, "-o", "{}/\x1b[2J\udcff.png"), 1, r"'lost\x1b[2J\udcff.png'"),
        (
            ("show", ".", "-n", 2, "-o", "{}/\x1b[2J\udcff.png", *("--on-problem", "drop")),
            0,
            r"wrote",
        ),
        (
            ("report", ".", "-o", "{}/\u202e\udcff.html", "--image-size", 32),
            0,
            r"\u202e\udcff.html",
        ),
        (("cache", "show", "gone\x1b[2J"), 2, r"gone\x1b[2J"),
        (("cache", "show", "none\x1b[2J"), 0, r"none\x1b[2J: no caches"),
        (("cache", "verify", "none\x1b[2J"), 0, r"none\x1b[2J: 0 damaged"),
        (("cache", "clear", "none\x1b[2J"), 0, r"none\x1b[2J: removed"),
    ],
)
def test_no_command_prints_what_a_terminal_obeys(
    folder: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[object, ...],
    status: int,
    shown: str,
) -> None:
    monkeypatch.chdir(folder)
    if words[0] == "cache":
        (tmp_path / "none\x1b[2J").mkdir()
        monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, [str(word).format(tmp_path) for word in words])
    assert result.exit_code == status, result.output
    assert shown in result.output
    assert hostile.obeyed(result.output) == set()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_every_encoding_of_a_terminal(folder: pathlib.Path, encoding: str) -> None:
    command = [sys.executable, "-c", "import mmdata.cli; mmdata.cli.main()", "pair", "."]
    (folder / "\u732b.png").write_bytes(b"")
    result = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"LC_ALL": "C", "PYTHONIOENCODING": encoding},
        capture_output=True,
    )
    output = result.stdout.decode(encoding)
    assert (result.returncode, result.stderr) == (1, b"")
    assert ("'\u732b.png'" if encoding == "utf-8" else r"'\u732b.png'") in output
    assert hostile.obeyed(output) == set()


def test_what_a_file_says_is_printable_in_a_report() -> None:
    finding = Finding("malformed", "a\x1b[2J.csv:3", "not a row: \x1b[2J \u202e\udcff")
    shown = str(PairingReport("table", 1, 1, (finding,)))
    assert r"'a\x1b[2J.csv:3' (not a row: \x1b[2J \u202e\udcff)" in shown
    assert hostile.obeyed(shown) == set()


def test_what_jupyter_shows(folder: pathlib.Path) -> None:
    pairs = mmdata.read(folder, on_problem="drop")
    for shown in (pairs._repr_html_(), pairs.report._repr_html_(), repr(pairs), str(pairs.report)):
        assert hostile.obeyed(shown) == set()
    assert r"<bdi>evil \u202egnp.exe</bdi>" in pairs._repr_html_()


def test_settings_of_caches(tmp_path: pathlib.Path) -> None:
    settings = {"st\x1b[2J": "ag\n\u202ee", "n": 5}
    store = Store(tmp_path, settings=settings, shape=(2,), dtype=np.dtype(np.uint8))
    row, files = np.zeros((1, 2), np.uint8), np.zeros((1, 2), np.int64)
    store.fill(files, lambda places: [(places, row)], lambda places: places + 1, what="test")
    result = CliRunner().invoke(main, ["cache", "show", str(tmp_path)])
    assert r"  st\x1b[2J: ag\n\u202ee" in result.output.splitlines()
    assert hostile.obeyed(result.output) == set()


def test_filling_a_cache_is_announced(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path / "\x1b[2J", settings={}, shape=(2,), dtype=np.dtype(np.uint8))
    row = np.zeros((1, 2), np.uint8)
    files = np.zeros((1, 2), np.int64)
    store.fill(files, lambda places: [(places, row)], lambda places: places + 1, what="test")
    printed = capsys.readouterr().err
    assert r"\x1b[2J" in printed
    assert hostile.obeyed(printed) == set()


def test_warnings(tmp_path: pathlib.Path) -> None:
    (tmp_path / "no\x1b[2J").write_text("a file where a folder is needed")
    with pytest.warns(UserWarning, match=r"no\\x1b\[2J.a.npz: cannot be kept") as found:
        save_arrays(tmp_path / "no\x1b[2J" / "a.npz", {})
    assert hostile.obeyed(str(found[0].message)) == set()
