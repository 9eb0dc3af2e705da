"""The command line, as a person would type it."""

import pathlib
import shutil

import pytest
from click.testing import CliRunner, Result

from mmdata.cli import main

SAMPLES = pathlib.Path(__file__).parents[1] / "sample_data"


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_help_names_every_command() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert "pair" in result.output
    assert "train" in result.output


def test_pair_prints_what_pairs() -> None:
    result = run("pair", SAMPLES / "images", SAMPLES / "captions")
    assert result.exit_code == 0
    assert "640 image" in result.output


def test_pair_exits_with_1_when_something_is_lost() -> None:
    result = run("pair", SAMPLES / "messy")
    assert result.exit_code == 1
    for name in ("IMG_2039.txt", "IMG_2042.jpg", "untitled.png"):
        assert name in result.output


@pytest.mark.parametrize("command", ["pair", "train"])
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


def test_train_prints_scores_and_writes_model_and_picture(tmp_path: pathlib.Path) -> None:
    for kind in ("images", "captions"):
        shutil.copytree(SAMPLES / kind / "night", tmp_path / kind)
    table = (SAMPLES / "attributes.csv").read_text("utf-8").replace("night/", "")
    (tmp_path / "attributes.csv").write_text(table, "utf-8")
    result = run(
        *("train", tmp_path / "images", tmp_path / "captions", "-o", tmp_path / "runs"),
        *("--task", "captioning", "--task", "retrieval", "--epochs", 1, "--image-size", 32),
        *("--batch-size", 16, "--attributes", tmp_path / "attributes.csv"),
    )
    assert result.exit_code == 0, result.output
    for words in ("BLEU-4", "all attributes right", "caption to image, recall@1", "baseline"):
        assert words in result.output
    written = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert written == [
        f"{task}{ending}"
        for task in ("captioning", "retrieval")
        for ending in ("-vocabulary.txt", ".keras", ".png")
    ]
