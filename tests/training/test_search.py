"""Search for images by words, with and without an index, in Python and on the command line."""

import json
import pathlib
import shutil
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner, Result
from pictures import encoded  # type: ignore[import-not-found]
from PIL import Image

import mmdata
from mmdata.cli import main
from mmdata.pairs.findings import PairingError

COLOURS = {"red": (250, 20, 10), "green": (10, 240, 20), "blue": (20, 10, 245)}


@keras.saving.register_keras_serializable(package="tests")
class Colours(keras.Model):
    """Embeds an image by its mean colour, and a text by which colours it names."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        self.encoded = 0
        self.built = True

    def encode_images(self, images: Any) -> Any:
        self.encoded += len(images)
        return np.mean(images, axis=(1, 2)) * np.asarray(self.scale)

    def encode_text(self, token_ids: Any, padding_mask: Any) -> Any:
        texts = mmdata.tokenizers.Byte().detokenize(token_ids).numpy()
        assert (padding_mask.sum(axis=1) == [len(text) + 2 for text in texts]).all()
        return np.array([[name in text.decode() for name in COLOURS] for text in texts], float)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Photos in the three colours, one of them mixed, and a caption for each."""
    folder = tmp_path_factory.mktemp("library")
    for name, colour in COLOURS.items():
        Image.new("RGB", (20, 16), colour).save(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(f"all {name}")
    Image.new("RGB", (20, 16), (200, 200, 20)).save(folder / "yellow.jpg")
    (folder / "yellow.txt").write_text("red and green")
    return folder


@pytest.fixture
def photos(library: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return shutil.copytree(library, tmp_path / "photos")


@pytest.fixture(scope="module")
def saved(library: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    ds = mmdata.build(library, task="retrieval", text="byte", image_size=(8, 8), batch_size=4)
    path = tmp_path_factory.mktemp("models") / "retrieval.keras"
    mmdata.save(Colours(), path, dataset=ds)
    return path


@pytest.fixture
def model(saved: pathlib.Path) -> Any:
    return mmdata.load(saved)


def names(found: list[Any]) -> list[str]:
    return [pathlib.Path(image).stem for image, _ in found]


def test_the_best_images_come_first(model: Any, photos: pathlib.Path) -> None:
    found = mmdata.search(model, photos, "Something GREEN")
    assert names(found)[:2] == ["green", "yellow"]
    assert {*names(found)} == {*COLOURS, "yellow"}
    assert found[0].score == pytest.approx(240 / np.linalg.norm(COLOURS["green"]), abs=1e-6)
    assert found == sorted(found, key=lambda each: -each.score)
    assert names(mmdata.search(model, photos, "red and green", k=1)) == ["yellow"]


def test_images_in_memory_have_numbers(model: Any) -> None:
    images = [np.full([5, 9, 3], colour, np.uint8) for colour in COLOURS.values()]
    found = mmdata.search(model, images, "blue", k=2, batch_size=2)
    assert (found[0].image, len(found)) == (2, 2)
    with pytest.raises(ValueError, match=r"search\(index=\.\.\.\) needs files of images"):
        mmdata.search(model, images, "blue", index="index")


def test_an_index_computes_what_is_new(
    model: Any, saved: pathlib.Path, photos: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    def search(model: Any) -> tuple[list[Any], int]:
        """What is found, and how many images were embedded, besides a blank one."""
        model.encoded = 0
        found = mmdata.search(model, photos, "blue", index=tmp_path / "index")
        assert found == mmdata.search(mmdata.load(saved), photos, "blue")
        return found, model.encoded - 1

    assert search(model)[1] == 4
    assert search(model)[1] == 0
    assert search(mmdata.load(saved))[1] == 0
    Image.new("RGB", (20, 16), (0, 0, 255)).save(photos / "bluest.png")
    Image.new("RGB", (9, 9), (0, 9, 0)).save(photos / "green.png")
    (photos / "red.png").unlink()
    found, encoded = search(model)
    assert (names(found)[0], len(found), encoded) == ("bluest", 4, 2)
    model.scale.assign(2.0)
    assert search(model)[1] == 4


def test_other_pixels_have_their_own_index(
    model: Any, photos: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    for size in ((8, 8), (8, 9)):
        ds = mmdata.build(photos, task="retrieval", text="byte", image_size=size)
        model.encoded = 0
        mmdata.search(model, photos, "blue", index=tmp_path / "index", dataset=ds)
        assert model.encoded == 5
    assert len(list((tmp_path / "index").iterdir())) == 2


@pytest.mark.parametrize("index", [None, "index"])
def test_damaged_files(
    model: Any, photos: pathlib.Path, tmp_path: pathlib.Path, index: str | None
) -> None:
    cut = encoded(Image.effect_noise((40, 40), 90), "PNG")[:-90]
    (photos / "cut.png").write_bytes(cut)
    (photos / "text.png").write_text("no image")
    where: Any = None if index is None else tmp_path / index
    found = mmdata.search(model, photos, "blue", index=where, on_problem="drop")
    assert {*names(found)} == {*COLOURS, "yellow"}
    with pytest.raises(PairingError, match=r"text\.png"):
        mmdata.search(model, photos, "blue", index=where)


def test_our_dual_encoder(library: pathlib.Path, tmp_path: pathlib.Path) -> None:
    ds = mmdata.build(library, task="retrieval", text="byte", image_size=(32, 32), batch_size=4)
    model = mmdata.DualEncoder.from_dataset(ds, width=8, heads=1)
    found = mmdata.search(model, library, "all red", index=tmp_path / "index")
    model.save(tmp_path / "retrieval.keras")
    again = dict(mmdata.search(mmdata.load(tmp_path), library, "all red"))
    assert again == pytest.approx(dict(found), abs=1e-6)
    assert all(-1 <= each.score <= 1 for each in found)


def test_what_is_refused(model: Any, photos: pathlib.Path) -> None:
    with pytest.raises(ValueError, match=r"search\(k=\.\.\.\) must be an int of at least 1; got 0"):
        mmdata.search(model, photos, "blue", k=0)
    ds = mmdata.build(photos, text="byte", image_size=(32, 32))
    captioner = mmdata.Captioner.from_dataset(ds, width=8, heads=1)
    with pytest.raises(ValueError, match=r"A search needs a model with .* got a Captioner"):
        mmdata.search(captioner, photos, "blue")
    with pytest.raises(ValueError, match=r"search\(model\): this Colours does not know how"):
        mmdata.search(Colours(), photos, "blue")


# ---------------------------------------------------------------------------- the command line


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["search", *(str(word) for word in words)])


def test_the_command(saved: pathlib.Path, photos: pathlib.Path, tmp_path: pathlib.Path) -> None:
    result = run(saved.parent, photos, "a blue photo", "-n", 2, "--index", tmp_path / "index")
    assert result.exit_code == 0, result.output
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert lines[0][1] == str(photos / "blue.png")
    assert len(lines) == 2
    assert float(lines[0][0]) > 0.99 > float(lines[1][0])
    (photos / "text.png").write_text("no image")
    files = (photos / "red.png", photos / "text.png", photos / "blue.png")
    result = run(saved, *files, "blue", "--json", "--index", tmp_path / "index")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert [each["image"] for each in found] == [str(files[2]), str(files[0])]
    assert f"{files[1]}: cannot be decoded (" in result.stderr


def test_a_captioner_does_not_search(library: pathlib.Path, tmp_path: pathlib.Path) -> None:
    ds = mmdata.build(library, text="byte", image_size=(32, 32))
    mmdata.Captioner.from_dataset(ds, width=8, heads=1).save(tmp_path / "captioning.keras")
    result = run(tmp_path, library, "blue")
    assert result.exit_code == 1
    assert "must hold one model, retrieval.keras; got none of them" in result.output
    result = run(tmp_path / "captioning.keras", library, "blue")
    assert result.exit_code == 1
    assert "A search needs a model with the methods" in result.output
