"""What the README says works."""

import pathlib
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from typing import Any, get_args

import numpy as np
import pytest
from click.testing import CliRunner

import mmdata
from mmdata.cli import main
from mmdata.pairs.findings import Finding, Kind
from mmdata.training.train import EPOCHS

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
BENCHMARKS = (ROOT / "BENCHMARKS.md").read_text("utf-8")


SAMPLES = ROOT / "sample_data"


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The working directory of a user: a few pictures, under the names that recipes have."""
    pairs = mmdata.read(SAMPLES / "images", SAMPLES / "captions").sample(52)
    for name in ("images", "captions", "photos/train", "photos/val", "more"):
        (tmp_path / name).mkdir(parents=True)
    names = []
    for row in range(len(pairs)):
        path, (caption, *_) = pathlib.Path(pairs.path(row)), pairs.captions_of(row)
        names.append(path.name)
        if row < 40:
            shutil.copy(path, tmp_path / "images")
            (tmp_path / "captions" / f"{path.stem}.txt").write_text(caption)
        elif row < 48:
            beside = tmp_path / "photos" / ("val" if row < 42 else "train")
            shutil.copy(path, beside)
            (beside / f"{path.stem}.txt").write_text(caption)
        else:
            shutil.copy(path, tmp_path / "more")
            with (tmp_path / "more.csv").open("a") as table:
                table.write("" if table.tell() else "image,caption\n")
                table.write(f'{path.name},"{caption}"\n')
    (tmp_path / "train.txt").write_text("\n".join(names[:30]))
    (tmp_path / "val.txt").write_text("\n".join(names[30:40]))
    shutil.copy(SAMPLES / "messy" / "beach day.jpg", tmp_path / "new.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def code(heading: str, language: str = "py") -> str:
    """The code under a heading."""
    section = README.partition(f"\n### {heading}\n")[2].partition("\n##")[0]
    (block,) = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return str(block)


def run(block: str, folder: pathlib.Path) -> dict[str, Any]:
    """Runs code as a script; returns its variables."""
    script = folder / "script.py"
    script.write_text(block, "utf-8")
    return runpy.run_path(str(script))


@pytest.mark.slow
def test_quickstart_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    (quickstart,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in quickstart.splitlines() if line.strip()]) <= 12
    monkeypatch.chdir(ROOT)
    captions = run(quickstart, tmp_path)["captions"]
    assert len(captions) == 3
    assert len(set(captions.values())) > 1


@pytest.mark.slow
def test_own_model(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = run(code("Your own model"), folder)
    printed = capsys.readouterr().out
    assert "'cider_d': " in printed
    assert "{'new.jpg': " in printed
    assert int(names["model"].optimizer.iterations) == 10 * len(names["train"])
    new = mmdata.caption(mmdata.load("own.keras"), "new.jpg")
    assert str(new) in printed


@pytest.mark.slow
def test_own_folders(folder: pathlib.Path) -> None:
    *parts, last = code("Your own folders").split("\n\n")[1:]
    images = [run(f"import mmdata\n{part}", folder) for part in parts]
    counts = [[len(each[name].pairs) for name in ("train", "validation")] for each in images]
    assert counts == [[6, 2], [30, 10], [40, 4]]
    assert len(run(f"import mmdata\n{last}", folder)["pairs"]) == 44


@pytest.mark.slow
def test_new_photo(
    folder: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for task in EPOCHS:
        monkeypatch.setitem(EPOCHS, task, 1)
    outputs = []
    for line in code("A new photo", "sh").splitlines():
        done = CliRunner().invoke(main, shlex.split(line)[1:])
        assert done.exit_code == 0, done.output
        outputs.append(done.stdout)
    _, captioned, found, scores = outputs
    assert captioned.startswith("new.jpg\t")
    assert len(found.splitlines()) == 8
    assert "cider_d" in scores
    capsys.readouterr()
    run(code("A new photo"), folder)
    captions, best = capsys.readouterr().out.splitlines()[-2:]
    assert captions.count("photos/") == 8
    assert best.count("Found(") == 3


@pytest.mark.border
def test_keras_hub(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a small model of random weights in place of the preset, which would be downloaded."""
    keras_hub = pytest.importorskip("keras_hub")
    rust = pytest.importorskip("tokenizers")
    letters = sorted(rust.pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "in", "<|startoftext|>"]
    tokens = {word: place for place, word in enumerate([*words, "<|endoftext|>"])}
    tokenizer = keras_hub.tokenizers.CLIPTokenizer(tokens, merges=["i n"])
    small = {"hidden_dim": 16, "num_layers": 1, "num_heads": 2, "intermediate_dim": 16}
    image = keras_hub.models.CLIPVisionEncoder(patch_size=32, image_shape=(224, 224, 3), **small)
    text = keras_hub.models.CLIPTextEncoder(len(tokens), 16, max_sequence_length=77, **small)
    backbone = keras_hub.models.CLIPBackbone(image, text, projection_dim=8)
    for made in (tokenizer, backbone):
        monkeypatch.setattr(type(made), "from_preset", lambda _, made=made: made)
    train = run(code("KerasHub"), folder)["train"]
    assert int(backbone.optimizer.iterations) == 2 * len(train)
    assert "'text_to_image_recall_at_1': " in capsys.readouterr().out


@pytest.mark.border
@pytest.mark.usefixtures("folder")
def test_other_backends() -> None:
    """Epochs are those of TensorFlow, though Keras reads a batch more."""
    pytest.importorskip("jax")
    block = code("JAX, PyTorch, several devices")
    done = subprocess.run(
        [sys.executable, "-c", f"{block}\nprint(ds.position.step)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Epoch 2/2" in done.stdout
    assert done.stdout.splitlines()[-1] == "4"


@pytest.mark.border
def test_torch_workers(folder: pathlib.Path) -> None:
    pytest.importorskip("torch")
    (folder / "workers.py").write_text(code("PyTorch workers"), "utf-8")
    done = subprocess.run(
        [sys.executable, "workers.py"], cwd=folder, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    pairs = mmdata.read(folder / "images", folder / "captions")
    assert len(lines) == 2 * 2 * (pairs.pair_count // 8)
    assert {line.partition(" torch")[0] for line in lines} == {"0", "1"}
    assert all("[4, 224, 224, 3]" in line for line in lines)


def test_stages_of_the_contributing_page(tmp_path: pathlib.Path) -> None:
    posterize, noise = re.findall(r"```python\n(.*?)```", CONTRIBUTING, re.DOTALL)
    names = run(f"{posterize}\n{noise}", tmp_path)
    pairs = mmdata.read(SAMPLES / "images", SAMPLES / "captions").sample(4)
    images = []
    for augment in ([], [names["Posterize"](bits=1)], [names["noise"]]):
        ds = mmdata.build(pairs, pixels="uint8", image_size=16, text="word", augment=augment)
        (x, *_) = ds.peek()
        images.append(x["images"].numpy().astype(int))
    plain, two_levels, noisy = images
    np.testing.assert_array_equal(two_levels, plain // 128 * 128)
    assert 4 < np.abs(noisy - plain).mean() < 8  # of a normal distribution: 6.4, less at 0 and 255


def test_commands_print_what_the_readme_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    ((words, output),) = re.findall(r"```\n\$ mmdata (.*?)\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(ROOT)
    assert CliRunner().invoke(main, words.split()).output == output


def test_every_kind_of_finding_is_explained() -> None:
    rows = re.findall(
        r"^\| (`[a-z_]+`(?:, `[a-z_]+`)*) \| (problem|notice) \| \w", README, re.MULTILINE
    )
    kinds = [(kind, what) for names, what in rows for kind in re.findall(r"[a-z_]+", names)]
    assert kinds == [
        (kind, "problem" if Finding(kind, "").is_problem else "notice") for kind in get_args(Kind)
    ]


def test_files_that_are_linked_exist() -> None:
    for page in (README, BENCHMARKS, CONTRIBUTING):
        links = re.findall(r"\]\(([^)#:]+)\)", page) + re.findall(r'src="([^":]+)"', page)
        assert [link for link in links if not (ROOT / link).exists()] == []


def test_headings_that_are_linked_exist() -> None:
    headings = re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = set(re.findall(r"\]\(#([^)]+)\)", README))
    assert links
    assert links - anchors == set()


def test_figures_of_speed_are_those_of_the_benchmarks() -> None:
    section = README.partition("\n## Speed\n")[2].partition("\n## ")[0]
    figures = re.findall(r"\d+,\d{3}", section)
    assert len(figures) == 3
    assert [figure for figure in figures if figure not in BENCHMARKS] == []
