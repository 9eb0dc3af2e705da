"""Captions of new images, from files and from memory, in Python and on the command line."""

import csv
import json
import os
import pathlib
import shutil
import zlib
from typing import Any

import hostile  # type: ignore[import-not-found]
import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner, Result
from pictures import encoded  # type: ignore[import-not-found]
from PIL import Image

import mmdata
from mmdata.cli import main
from mmdata.pairs.findings import PairingError

SAMPLES = pathlib.Path(__file__).parents[2] / "sample_data"
SIZE = (32, 40)


def checksum(image: Any) -> str:
    """What `Checksum` writes for an image."""
    return str(zlib.crc32(np.asarray(image, np.float32).tobytes())).rjust(10, "0")


@keras.saving.register_keras_serializable(package="tests")
class Checksum(keras.Model):
    """Writes a checksum of each image: its captions show every bit of the pixels that it gets."""

    def call(self, inputs: Any) -> Any:
        return inputs["images"]

    def generate(self, images: Any) -> Any:
        texts = [checksum(image) for image in images]
        return mmdata.tokenizers.Byte().tokenize(texts).to_tensor()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("photos")
    for number, path in enumerate(sorted((SAMPLES / "images" / "night").iterdir())[:6]):
        shutil.copy(path, folder / f"{number}{path.suffix}")
        (folder / f"{number}.txt").write_text(f"photo {number}")
    return folder


@pytest.fixture(scope="module")
def ds(photos: pathlib.Path) -> Any:
    return mmdata.build(
        photos, text="byte", image_size=SIZE, batch_size=4, shuffle=False, pixels="unit"
    )


@pytest.fixture(scope="module")
def expected(ds: Any) -> dict[str, str]:
    """Path -> what `Checksum` writes for the pixels of training."""
    images = np.concatenate([x["images"] for x, _, _ in ds.as_numpy_iterator()])
    return {path: checksum(image) for path, image in zip(ds.pairs.paths, images, strict=True)}


@pytest.fixture(scope="module")
def saved(ds: Any, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("models") / "checksum.keras"
    model = Checksum()
    model(next(iter(ds))[0])
    mmdata.save(model, path, dataset=ds)
    return path


@pytest.fixture(scope="module")
def model(saved: pathlib.Path) -> Any:
    return mmdata.load(saved)


@pytest.fixture
def damaged(photos: pathlib.Path, tmp_path: pathlib.Path) -> list[str]:
    """Photos with one that is cut off and one that is missing between them."""
    (tmp_path / "cut.png").write_bytes(encoded(Image.effect_noise((40, 40), 90), "PNG")[:-90])
    good = [path for path in sorted(photos.iterdir()) if path.suffix != ".txt"]
    paths = [good[0], tmp_path / "cut.png", tmp_path / "none.jpg", good[1]]
    return [str(path) for path in paths]


def test_a_folder(model: Any, photos: pathlib.Path, expected: dict[str, str]) -> None:
    captions = mmdata.caption(model, photos, batch_size=4)
    assert list(captions.items()) == list(expected.items())
    assert len({*captions.values()}) == 6


def test_files_in_any_order(model: Any, expected: dict[str, str]) -> None:
    files = sorted(expected, reverse=True)
    captions = mmdata.caption(model, files, batch_size=4)
    assert list(captions.items()) == [(file, expected[file]) for file in files]
    assert mmdata.caption(model, files[2]) == {files[2]: expected[files[2]]}


def test_images_in_memory(model: Any, expected: dict[str, str]) -> None:
    pictures = [Image.open(path) for path in expected]
    arrays = [np.asarray(picture.convert("RGB")) for picture in pictures]
    for images in (pictures, arrays):
        assert mmdata.caption(model, images, batch_size=4) == list(expected.values())
    stacked = np.stack([arrays[0]] * 3)
    assert mmdata.caption(model, stacked) == [*expected.values()][:1] * 3
    assert mmdata.caption(model, arrays[1]) == [*expected.values()][1:2]


def test_a_model_of_a_user_with_its_dataset(
    photos: pathlib.Path, ds: Any, expected: dict[str, str]
) -> None:
    images = keras.Input((*SIZE, 3), name="images")
    ids = keras.Input((31,), dtype="int32", name="token_ids")
    x = keras.layers.Embedding(ds.tokenizer.vocabulary_size, 4)(ids)
    x = x + keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(images))[:, None]
    out = keras.layers.Dense(ds.tokenizer.vocabulary_size)(x)
    model = keras.Model({"images": images, "token_ids": ids}, out)
    with pytest.raises(ValueError, match="this Functional does not know how its images became"):
        mmdata.caption(model, photos)
    file = next(iter(expected))
    captions = mmdata.caption(model, file, dataset=ds)
    assert isinstance(captions[file], str)


def test_our_captioner_before_and_after_saving(ds: Any, tmp_path: pathlib.Path) -> None:
    model = mmdata.Captioner.from_dataset(ds, width=8, heads=1)
    image = np.full([50, 60, 3], 99, np.uint8)
    before = mmdata.caption(model, image)
    model.save(tmp_path / "captioning.keras")
    assert mmdata.caption(mmdata.load(tmp_path), image) == before
    assert mmdata.caption(keras.models.load_model(tmp_path / "captioning.keras"), image) == before


def test_damaged_files(model: Any, damaged: list[str], expected: dict[str, str]) -> None:
    with pytest.raises(PairingError, match=r"none\.jpg"):
        mmdata.caption(model, damaged)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"cut\.png"):
        mmdata.caption(model, damaged[:2])
    captions = mmdata.caption(model, damaged, on_problem="drop")
    wanted = [expected.get(path) for path in damaged]
    assert list(captions.items()) == list(zip(damaged, wanted, strict=True))
    assert wanted.count(None) == 2


@pytest.mark.parametrize("task", ["retrieval", mmdata.Prediction()])
def test_a_model_that_writes_no_captions(photos: pathlib.Path, task: Any) -> None:
    other = mmdata.build(photos, task=task, text="byte", image_size=SIZE)
    with pytest.raises(ValueError, match=r"Captions need a model that was trained on task=.capt"):
        mmdata.caption(Checksum(), photos, dataset=other)


# ---------------------------------------------------------------------------- the command line


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["caption", *(str(word) for word in words)])


def test_the_command_prints_a_line_for_each_image(
    saved: pathlib.Path, photos: pathlib.Path, expected: dict[str, str]
) -> None:
    result = run(saved, photos)
    assert result.exit_code == 0, result.output
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert lines == [[path, text] for path, text in expected.items()]


def test_the_command_writes_tables(
    saved: pathlib.Path, expected: dict[str, str], tmp_path: pathlib.Path
) -> None:
    files = list(expected)[:3]
    for name in ("a.csv", "a.jsonl"):
        result = run(saved, *files, "-o", tmp_path / name)
        assert result.exit_code == 0, result.output
        assert result.stdout == f"wrote {tmp_path / name}: 3 images\n"
    wanted = [{"image": file, "caption": expected[file]} for file in files]
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as table:
        assert list(csv.DictReader(table)) == wanted
    lines = (tmp_path / "a.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == wanted
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.jsonl"]


def test_the_command_names_what_it_cannot_read(
    saved: pathlib.Path, damaged: list[str], expected: dict[str, str], tmp_path: pathlib.Path
) -> None:
    result = run(saved, *damaged)
    assert result.exit_code == 1
    lines = [f"{path}\t{expected[path]}" for path in damaged if path in expected]
    assert result.stdout.splitlines() == lines
    assert f"{damaged[1]}: cannot be decoded (premature end of data" in result.stderr
    assert f"{damaged[2]}: cannot be decoded (No such file" in result.stderr
    result = run(saved, *damaged, "-o", tmp_path / "a.jsonl")
    assert result.exit_code == 1
    read = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text("utf-8").splitlines()]
    assert [record["caption"] for record in read] == [expected.get(path) for path in damaged]


def test_names_that_are_no_text(
    saved: pathlib.Path, expected: dict[str, str], tmp_path: pathlib.Path
) -> None:
    photo, text = next(iter(expected.items()))
    name = f"{tmp_path}/a\x1b[2J\udcff{pathlib.Path(photo).suffix}"
    shutil.copy(photo, name)
    result = run(saved, name)
    assert result.exit_code == 0, result.output
    assert hostile.obeyed(result.output) == {"\t"}
    assert result.stdout.endswith(f"\t{text}\n")
    for ending in ("csv", "jsonl"):
        assert run(saved, name, "-o", tmp_path / f"a.{ending}").exit_code == 0
    assert os.fsencode(f"{name},{text}") in (tmp_path / "a.csv").read_bytes()
    assert json.loads((tmp_path / "a.jsonl").read_text("utf-8"))["image"] == name


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["none.keras", "."], 1, "none.keras: no such model"),
        (["MODEL", "nowhere"], 1, "IMAGES must exist; got 'nowhere'"),
        (["MODEL"], 2, "Missing argument 'IMAGES...'"),
        (["MODEL", ".", "-o", "a.txt"], 2, "must end in .csv or .jsonl; got 'a.txt'"),
        (["MODEL", ".", "-o", "nowhere/a.csv"], 1, "no such folder"),
    ],
)
def test_what_the_command_refuses(
    saved: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*(saved if word == "MODEL" else word for word in words))
    assert (result.exit_code, message in result.output) == (code, True), result.output
