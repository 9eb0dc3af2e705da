"""The command line, as a person types it."""

import inspect
import io
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator

import click
import hostile  # type: ignore[import-not-found]
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import mmdata
from mmdata.cli import main
from mmdata.cli.options import ImageSize

SAMPLES = pathlib.Path(__file__).parents[2] / "sample_data"


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


COMMANDS = (
    *("pair", "verify", "report", "show", "train", "evaluate", "caption", "search"),
    *("export-web", "cache"),
)


def test_help_names_every_command_in_order() -> None:
    result = run("--help")
    assert result.exit_code == 0
    lines = result.output.partition("Commands:")[2].splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("  ")][: len(COMMANDS)]
    assert tuple(listed) == COMMANDS
    assert "..." not in "".join(lines)  # click cuts a text that is too long for a line
    assert "Exit status: 0 for success; 1" in result.output


def options(command: click.Command) -> Iterator[click.Option]:
    """All options of a command and of its subcommands."""
    yield from (option for option in command.params if isinstance(option, click.Option))
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            yield from options(inner)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_help(name: str) -> None:
    found = list(options(main.commands[name]))
    assert found
    assert [option.name for option in found if not option.help] == []
    flags = {flag: option.type for option in options(main) for flag in option.opts}
    for option in found:  # a name means the same in every command
        for flag in option.opts:
            assert type(flags[flag]) is type(option.type), flag


@pytest.mark.parametrize(
    ("typed", "size"), [("64", (64, 64)), ("48x96", (48, 96)), ("224X320", (224, 320))]
)
def test_image_size(typed: str, size: tuple[int, int]) -> None:
    assert ImageSize().convert(typed, None, None) == size


@pytest.mark.parametrize("typed", ["", "x", "0", "64x", "64x0", "6.5", "-3", "1x2x3", "big"])
def test_invalid_image_sizes(typed: str) -> None:
    result = run("show", SAMPLES / "messy", "--image-size", typed)
    assert result.exit_code == 2
    assert "--image-size" in result.output
    assert "must be N or HxW in pixels, such as 224 or 224x320" in result.output
    assert f"got {typed!r}." in result.output


def test_show_draws_what_the_model_sees(tmp_path: pathlib.Path) -> None:
    words = ("show", SAMPLES / "messy", "-n", 3, "--image-size", "32x48")
    result = run(*words, "-o", tmp_path / "batch.png")
    assert result.exit_code == 1  # something does not pair
    assert "IMG_2042.jpg" in result.output
    assert "pass --on-problem drop to" in result.output
    assert "on_problem=" not in result.output
    assert list(tmp_path.iterdir()) == []
    options = ("--on-problem", "drop", "--augment", "flip", "--augment", "crop")
    result = run(*words, *options, "-o", tmp_path / "batch.png")
    assert result.exit_code == 0, result.output
    assert "24 captions of 7 images" in result.output
    with Image.open(tmp_path / "batch.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 200


@pytest.mark.parametrize("command", ["report", "show"])
@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("nowhere/file.png", "no such folder"),
        ("folder.png", "must be a file; got a folder"),
        ("device.png", "is not a regular file"),
    ],
)
def test_what_cannot_be_written_is_reported_before_the_work(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, command: str, place: str, why: str
) -> None:
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "device.png")
    monkeypatch.setattr("mmdata.pairing.read.read", lambda *_, **__: pytest.fail("works first"))
    result = run(command, SAMPLES / "messy", "-o", tmp_path / place)
    assert result.exit_code == 1
    assert why in result.output


def test_show_writes_png_alone(tmp_path: pathlib.Path) -> None:
    result = run("show", SAMPLES / "messy", "-o", tmp_path / "batch.jpg")
    assert result.exit_code == 2
    assert "must end in .png" in result.output


def test_text_to_image_is_shown_with_its_own_pixels(tmp_path: pathlib.Path) -> None:
    words = ("show", SAMPLES / "messy", "--on-problem", "drop", "--image-size", 32, "-n", 2)
    result = run(*words, "--task", "text_to_image", "-o", tmp_path / "batch.png")
    assert result.exit_code == 0, result.output


def test_json_alone_writes_no_page(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("report", SAMPLES / "messy", "--image-size", 32, "--json")
    assert json.loads(result.stdout)["images"] == 7
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["report", "show"])
def test_an_interrupt_leaves_nothing(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "written.png"
    path.write_text("before")
    monkeypatch.setattr(os, "replace", interrupt)
    words = (command, SAMPLES / "messy", "-o", path, "--image-size", "32")
    result = run(*words, *(("--on-problem", "drop") if command == "show" else ()))
    assert (result.exit_code, "Aborted!" in result.output) == (1, True)
    assert [file.name for file in tmp_path.iterdir()] == ["written.png"]
    assert path.read_text() == "before"


def test_pair_prints_what_pairs() -> None:
    result = run("pair", SAMPLES / "images", SAMPLES / "captions")
    assert result.exit_code == 0
    assert "640 image" in result.output


def test_pair_exits_with_1_if_something_does_not_pair() -> None:
    result = run("pair", SAMPLES / "messy")
    assert result.exit_code == 1
    for name in ("IMG_2039.txt", "IMG_2042.jpg", "untitled.png"):
        assert name in result.output


@pytest.fixture
def pictures(tmp_path: pathlib.Path) -> pathlib.Path:
    """Two pictures with captions; the second one is truncated."""
    buffer = io.BytesIO()
    Image.effect_noise((16, 16), 80).save(buffer, "PNG")
    for name, content in (("a.png", buffer.getvalue()), ("b.png", buffer.getvalue()[:-50])):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).with_suffix(".txt").write_text("a caption")
    return tmp_path


def test_verify_names_what_cannot_be_decoded(pictures: pathlib.Path) -> None:
    assert run("pair", pictures).exit_code == 0
    result = run("verify", pictures)
    assert result.exit_code == 1
    assert "1 image(s) that cannot be decoded (corrupt): 'b.png' (premature end" in result.output
    (pictures / "b.png").write_bytes((pictures / "a.png").read_bytes())
    result = run("verify", pictures)
    assert (result.exit_code, "corrupt" in result.output) == (0, False)
    assert "2 image(s) with 2 caption(s), layout sidecar" in result.output


def test_verify_reads_captions_from_a_table(pictures: pathlib.Path) -> None:
    for image in ("a", "b"):
        (pictures / f"{image}.txt").unlink()
    table = pictures / "captions.csv"
    table.write_text("file_name,caption,split\na.png,a caption,train\nb.png,another,test\n")
    assert run("verify", pictures, table).exit_code == 1
    assert run("verify", pictures, table, "--split", "train").exit_code == 0


@pytest.mark.parametrize(
    ("command", "counts"),
    [("pair", {"missing_caption": 1}), ("verify", {"missing_caption": 1, "corrupt": 1})],
)
def test_json(pictures: pathlib.Path, command: str, counts: dict[str, int]) -> None:
    shutil.copy(pictures / "a.png", pictures / "caf\u00e9.png")
    result = run(command, pictures, "--json")
    assert result.exit_code == 1
    report = json.loads(result.output)
    assert {k: n for k, n in report["counts"].items() if k != "duplicate_image"} == counts
    assert (report["layout"], report["images"], report["pairs"]) == ("sidecar", 2, 2)
    first = report["findings"][0]
    assert (first["kind"], first["path"]) == ("missing_caption", "caf\u00e9.png")
    (pictures / "caf\u00e9.png").unlink()
    (pictures / "b.png").write_bytes((pictures / "a.png").read_bytes())
    result = run(command, pictures, "--json")
    assert result.exit_code == 0
    assert json.loads(result.output)["images"] == 2


def test_errors_name_the_options_of_the_command(tmp_path: pathlib.Path) -> None:
    table = tmp_path / "captions.csv"
    table.write_text("file_name,caption,split\na.png,a caption,train\n")
    result = run("pair", tmp_path, table, "--split", "night")
    assert (result.exit_code, "--split must be among ['train']" in result.output) == (1, True)
    result = run("pair", tmp_path, "--layout", "coco")
    assert (result.exit_code, "--layout coco needs CAPTIONS, a file" in result.output) == (1, True)


@pytest.mark.parametrize("command", ["pair", "verify", "train"])
def test_a_folder_that_is_not_there(tmp_path: pathlib.Path, command: str) -> None:
    result = run(command, tmp_path / "nowhere")
    assert result.exit_code == 1
    assert "nowhere" in result.output
    assert "Traceback" not in result.output


def test_train_stops_at_a_mess(tmp_path: pathlib.Path) -> None:
    result = run("train", SAMPLES / "messy", "-o", tmp_path / "runs")
    assert result.exit_code == 1
    assert "IMG_2042.jpg" in result.output
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_train_prints_scores_and_writes_model_and_picture(tmp_path: pathlib.Path) -> None:
    for kind in ("images", "captions"):
        (tmp_path / kind).mkdir()
        for path in sorted((SAMPLES / kind / "night").iterdir())[:40]:
            shutil.copy(path, tmp_path / kind / f"{path.stem}\x1b[2J{path.suffix}")
    for path in (tmp_path / "captions").iterdir():
        path.write_text(f"\u202e\x9b31m {path.read_text('utf-8')}", "utf-8")
    table = (SAMPLES / "attributes.csv").read_text("utf-8").replace("night/", "")
    table = table.replace(".", "\x1b[2J.")
    (tmp_path / "attributes.csv").write_text(table, "utf-8")
    result = run(
        *("train", tmp_path / "images", tmp_path / "captions", "-o", tmp_path / "runs"),
        *("--task", "captioning", "--task", "retrieval", "--epochs", 1, "--image-size", 32),
        *("--batch-size", 16, "--attributes", tmp_path / "attributes.csv"),
    )
    assert result.exit_code == 0, result.output
    for words in ("bleu_4", "cider_d", "attributes_right", "text_to_image_recall_at_1", "baseline"):
        assert words in result.output
    assert re.search(r"\\x1b\[2J\.(jpg|png|webp)", result.output)
    assert r"person: \u202e\x9b31m " in result.output
    assert hostile.obeyed(result.output) == set()
    assert not list((tmp_path / "runs").glob(".*"))
    written = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert written == [
        f"{task}{ending}"
        for task in ("captioning", "retrieval")
        for ending in ("-vocabulary.txt", ".keras", ".png")
    ]
    for task, name in (("captioning", "bleu_1"), ("retrieval", "text_to_image_recall_at_1")):
        sources = (tmp_path / "runs", tmp_path / "images", tmp_path / "captions", "--task", task)
        measured = run("evaluate", *sources, "--split", "validation", "--json")
        printed = re.search(rf"{name} +([\d.]+) ", result.output)
        assert printed is not None
        assert f"{100 * json.loads(measured.stdout)[name]:.1f}" == printed[1]
    photo = shutil.copy(SAMPLES / "messy" / "beach day.jpg", tmp_path / "new.jpg")
    for command, more in (("caption", []), ("search", ["a day at the beach"])):
        assert f"mmdata {command} {shlex.quote(str(tmp_path / 'runs'))} " in result.output
        used = run(command, tmp_path / "runs", photo, *more)
        assert used.exit_code == 0, used.output
        assert len(used.stdout.splitlines()) == 1
        assert str(photo) in used.stdout


# Signals.


def test_sigterm_cleans_up(tmp_path: pathlib.Path) -> None:
    code = """
import sys
import mmdata
from mmdata.cli import main
from mmdata.storage.atomic import replacing

@main.command()
def wait():
    with replacing(sys.argv[1]) as path:
        path.write_text("half")
        print("written", flush=True)
        sys.stdin.readline()

main(["wait"])
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "a")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        assert len(os.listdir(tmp_path)) == 1
        process.terminate()
        assert process.wait() == 128 + signal.SIGTERM
    assert os.listdir(tmp_path) == []


def test_the_handler_of_sigterm_is_that_of_before() -> None:
    def others(*_: object) -> None:
        raise AssertionError

    before = signal.getsignal(signal.SIGTERM)
    try:
        for handler in (signal.SIG_DFL, signal.SIG_IGN, others):
            signal.signal(signal.SIGTERM, handler)
            assert run("--help").exit_code == 0
            assert signal.getsignal(signal.SIGTERM) == handler
    finally:
        signal.signal(signal.SIGTERM, before)


# Every argument of `mmdata.read`.

READING = ("pair", "verify", "report", "show", "train", "export-web")
OTHER_PROBLEMS = {"pair", "verify", "report"}
"""These print all problems, so there is nothing to choose."""


@pytest.mark.parametrize("name", READING)
def test_a_command_has_every_option_of_read(name: str) -> None:
    wanted = set(inspect.signature(mmdata.read).parameters)
    wanted -= {"on_problem"} if name in OTHER_PROBLEMS else set()
    assert wanted <= {param.name for param in main.commands[name].params}


def write(root: pathlib.Path, files: dict[str, str | bytes]) -> pathlib.Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def placed(options: str, root: pathlib.Path) -> list[str]:
    """The words of a command, with the folder of files in them."""
    return re.sub(r"(?<==)[vw]\b|^c\.csv", lambda found: f"{root}/{found[0]}", options).split(" ")


PIC = "c.csv --image-column pic"
TABLE = "pic,words,more,w,split\na.png,A,B,2,val\nb.png,C,D,1,train\n"


@pytest.mark.parametrize(
    ("files", "options", "expected"),
    [
        ({"c.csv": TABLE}, f"{PIC} --caption-column words", 2),
        (
            {"c.csv": TABLE},
            "c.csv --image-column pic --caption-column words --caption-column more",
            4,
        ),
        ({"c.csv": TABLE}, f"{PIC} --no-captions --weight-column w", 0),
        ({"c.csv": TABLE}, f"{PIC} --caption-column words --split dev", 1),
        ({"a.txt": "A\nB", "b.txt": "C"}, "--lines one", 2),
        ({"a.txt": "A\nB", "b.txt": "C"}, "--lines each --layout sidecar", 3),
        ({"a.cap": "A", "b.cap": "B", "a.txt": "x"}, "--extensions .cap --extensions .txt", 2),
        ({"a.txt": b"caf\xe9", "b.txt": "B"}, "--encoding latin-1", 2),
        ({"a.txt": b"caf\xe9", "b.txt": "B"}, "--encoding-errors replace", 2),
        ({"a.txt": "A", "b.txt": "B", "v": "a"}, "--splits val=v --split validation", 1),
        ({"a.txt": "A", "b.txt": "B"}, "--repeats no --links follow", 2),
        ({"a.txt": "A", "b.txt": "B"}, "--fix-text", 2),
    ],
)
def test_options_of_read(
    tmp_path: pathlib.Path, files: dict[str, str | bytes], options: str, expected: int
) -> None:
    write(tmp_path, {"a.png": b"", "b.png": b"", **files})
    words = (
        options.replace("c.csv", f"{tmp_path}/c.csv").replace("=v ", f"={tmp_path}/v ").split(" ")
    )
    result = run("pair", tmp_path, *words, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["pairs"] == expected


FAULTS: dict[str, tuple[dict[str, str | bytes], str, str]] = {
    "no column of images": ({"c.csv": "x,caption\na,b\n"}, "c.csv", "Pass --image-column with"),
    "no captions": (
        {"c.csv": "image,x\na.png,b\n"},
        "c.csv",
        "Pass --caption-column with the one that does; --no-captions reads images without",
    ),
    "two columns": (
        {"c.csv": "image,caption,text\na.png,b,c\n"},
        "c.csv",
        "Pass one of them, such as --caption-column caption.",
    ),
    "no header": (
        {"c.csv": "a.png,a brown dog\nb.png,a cat\n"},
        "c.csv",
        "c.csv: the first row must name the columns; got a row of data. Add a first row such as",
    ),
    "a column": ({"c.csv": TABLE}, "c.csv --image-column n", "--image-column must name columns"),
    "encoding": ({"c.csv": b"image,caption\na.png,\xe9\n"}, "c.csv", "Pass --encoding or --enco"),
    "a layout": ({"a.txt": "A"}, "--key first_dot", "--key is for layout 'webdataset'; got 'first"),
    "extensions": ({"a.txt": "A"}, "--extensions txt", "--extensions must be a tuple such as"),
    "split": (
        {"a.txt": "A"},
        "--split test",
        "--split must name splits of the source; got ['test']",
    ),
    "splits": ({"a.txt": "A", "v": "x"}, "--splits val=v", "--splits must name images; got a list"),
    "no such list": ({"a.txt": "A"}, "--splits val=w", "--splits must exist; got"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_messages_name_flags(tmp_path: pathlib.Path, case: str) -> None:
    files, options, message = FAULTS[case]
    write(tmp_path, {"a.png": b"", **files})
    words = re.sub(r"(?<==)[vw]$|^c.csv", lambda found: f"{tmp_path}/{found[0]}", options).split(
        " "
    )
    result = run("pair", tmp_path, *words)
    assert (result.exit_code, message in result.output) == (1, True), result.output
    for python in ("=...", "Pairs.", "mmdata.read", "=None"):
        assert python not in result.output


def test_hints_in_reports_name_flags(tmp_path: pathlib.Path) -> None:
    files = {"10_a/a.txt": "A\nB", "10_a/b.txt": "B", "10_a/b.caption": "C"}
    write(tmp_path, {"10_a/a.png": b"", "10_a/b.png": b"", **files})
    for words in ((), ("--json",)):
        output = run("pair", tmp_path, *words).output.replace("\n", " ")
        for hint in (
            "; --lines one reads each file",
            "differ; --extensions .caption --extensions .txt uses the first",
            "; --repeats no ignores it",
        ):
            assert hint in output


def test_all_problems_are_where_the_command_line_lists_them(tmp_path: pathlib.Path) -> None:
    result = run("show", SAMPLES / "messy", "-o", tmp_path / "batch.png")
    assert "The command `mmdata pair` lists all problems." in result.output
    assert ".findings" not in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--caption-column", "x", "--no-captions"), "--no-captions excludes --caption-column"),
        (("--weight-column", "x", "--no-weights"), "--no-weights excludes --weight-column"),
        (("--splits", "val.txt"), "must be NAME=FILE, such as validation=val.txt; got 'val.txt'"),
        (("--splits", "val=a", "--splits", "val=b"), "--splits must name each split once"),
        (("--lines", "two"), "--lines"),
    ],
)
def test_wrong_options_exit_with_2(words: tuple[str, ...], message: str) -> None:
    result = run("pair", SAMPLES / "images", *words)
    assert (result.exit_code, message in result.output) == (2, True), result.output


@pytest.mark.parametrize("command", ["show", "report"])
def test_unknown_pixels_exit_with_2(command: str) -> None:
    result = run(command, SAMPLES / "images", "--pixels", "foo")
    assert result.exit_code == 2
    assert "--pixels" in result.output
    assert re.search(r"must be one of .*clip, siglip.*; got 'foo'\.", result.output)


def test_show_uses_all_splits_without_a_warning(
    tmp_path: pathlib.Path, recwarn: pytest.WarningsRecorder
) -> None:
    picture = min((SAMPLES / "images" / "night").iterdir())
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        shutil.copy(picture, tmp_path / split / f"a{picture.suffix}")
        (tmp_path / split / "a.txt").write_text(f"a photo of {split}")
    options = ("--image-size", "16", "-o", tmp_path / "batch.png")
    result = run("show", tmp_path, *options)
    assert result.exit_code == 0, result.output
    assert "2 captions of 2 images" in result.output
    assert not [warning for warning in recwarn if "split" in str(warning.message)]
    assert "1 captions of 1 images" in run("show", tmp_path, "--split", "dev", *options).output


def test_a_home_folder_is_expanded(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write(tmp_path, {"images/a.png": b"", "texts/a.txt": "A"})
    assert run("pair", "~/images", "~/texts").exit_code == 0


def test_an_export_says_what_it_wrote_and_how_to_look_at_it(tmp_path: pathlib.Path) -> None:
    words = ("--image-size", "8x12", "--text", "byte", "-o", tmp_path / "a site")
    failed = run("export-web", SAMPLES / "messy", *words)
    assert failed.exit_code == 1
    assert "pass --on-problem drop to" in failed.output
    assert list(tmp_path.iterdir()) == []
    options = ("--format", "npy", "--seed", 7, "--task", "retrieval", "--split", "test")
    result = run("export-web", SAMPLES / "images", SAMPLES / "captions", *words, *options)
    assert result.exit_code == 0, result.output
    folder = shlex.quote(str(tmp_path / "a site"))
    size, _, look = result.output.splitlines()[-1].partition(" MB, to ")
    assert re.fullmatch(r"wrote 56 images \(56 test\), 0\.\d\d", size)
    assert look == f"{tmp_path / 'a site'}: python -m http.server -d {folder}"
    manifest = json.loads((tmp_path / "a site" / "manifest.json").read_text())
    assert manifest["columns"]["image"] == {"kind": "fixed", "dtype": "|u1", "shape": [8, 12, 3]}
    assert manifest["settings"]["order"]["seed"] == "7"
    assert manifest["settings"]["task"]["name"] == "retrieval"
    assert "file_name" not in manifest["columns"]


def test_an_export_names_options_in_its_errors(tmp_path: pathlib.Path) -> None:
    words = ("export-web", SAMPLES / "images", SAMPLES / "captions", "-o", tmp_path / "site")
    result = run(*words, "--tfjs", "tf.js")
    assert result.exit_code == 1
    assert "--tfjs is for the page that --demo writes; got 'tf.js' without it." in result.output
    result = run(*words, "--split", "validation")
    assert result.exit_code == 1
    assert "--text wordpiece learns its vocabulary from the split 'train'" in result.output
