"""`task="prediction"`: images alone, in order, as training makes them."""

import os
import pathlib
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import mmdata
from mmdata.pairs.findings import PairingError

SIZE = (8, 10)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Seven photos in two folders, with captions."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    for number in range(7):
        name = f"more/{number}" if number % 3 == 0 else f"{number}"
        picture = Image.effect_noise((20 + number, 16), 60).convert("RGB")
        picture.putpixel((0, 0), (255, number, 0))
        picture.save(folder / f"{name}.{'png' if number % 2 else 'jpg'}")
        (folder / f"{name}.txt").write_text(f"photo {number}")
    return folder


@pytest.fixture
def damaged(photos: pathlib.Path, tmp_path: pathlib.Path) -> list[pathlib.Path]:
    """Two photos; between them one that is cut off, one that is text, and one that is missing."""
    good = sorted(photos.glob("*.png"))
    (tmp_path / "cut.png").write_bytes(good[0].read_bytes()[:-90])
    (tmp_path / "text.jpg").write_text("not an image")
    return [good[0], *(tmp_path / name for name in ("cut.png", "text.jpg", "none.jpg")), good[1]]


def build(images: Any, *more: Any, **options: Any) -> Any:
    return mmdata.build(
        images, *more, **{"task": "prediction", "image_size": SIZE, "batch_size": 3, **options}
    )


def images_of(ds: Any) -> Any:
    return np.concatenate(list(ds.as_numpy_iterator()))


def test_batches_are_those_of_training_in_the_order_of_paths(photos: pathlib.Path) -> None:
    ds = build(photos, seed=4)
    assert (len(ds), ds.element_spec.shape.as_list()) == (3, [None, *SIZE, 3])
    assert ds.paths == sorted(map(str, [*photos.rglob("*.jpg"), *photos.rglob("*.png")]))
    assert [len(batch) for batch in ds] == [3, 3, 1]
    training = build(photos, task="retrieval", text="byte", shuffle=False)
    trained = np.concatenate([batch["images"] for batch in training.as_numpy_iterator()])
    np.testing.assert_array_equal(images_of(ds), trained)
    np.testing.assert_array_equal(images_of(ds), trained)
    assert ds.report.counts == {"ignored": 7}


def test_keras_predicts(photos: pathlib.Path) -> None:
    model = keras.Sequential([keras.Input((*SIZE, 3)), keras.layers.GlobalAveragePooling2D()])
    predicted = model.predict(build(photos), verbose=0)
    expected = build(photos).map(lambda images: tf.reduce_mean(images, [1, 2]))
    np.testing.assert_allclose(predicted, images_of(expected), atol=1e-5)


def test_any_order_of_files(photos: pathlib.Path) -> None:
    files = sorted(photos.glob("*.*g"), reverse=True)
    ds = build(files)
    assert ds.paths == [str(file) for file in files]
    for image, file in zip(images_of(ds), files, strict=True):
        np.testing.assert_array_equal(image, images_of(build(file))[0])


def test_shards_of_every_kind_keep_their_paths(
    photos: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    by_path = dict(zip(build(photos).paths, images_of(build(photos)), strict=True))
    for worker in (0, 1):
        ds = build(photos, batch_size=4, shard=(worker, 2))
        assert 3 <= len(ds.paths) <= 4
        np.testing.assert_array_equal(images_of(ds), [by_path[path] for path in ds.paths])
    mmdata.read(photos).to_webdataset(tmp_path / "shards")
    packed = build(tmp_path / "shards")
    assert [path.partition(".tar/")[2] for path in packed.paths] == [
        os.path.relpath(path, photos) for path in by_path
    ]
    np.testing.assert_array_equal(images_of(packed), list(by_path.values()))


def test_buckets_have_their_own_order(photos: pathlib.Path) -> None:
    pixels = mmdata.Pixels(fit="crop", buckets=((8, 10), (8, 13)))
    ds = build(photos, image_size=None, pixels=pixels)
    by_path = dict(zip(ds.paths, [image for batch in ds for image in batch], strict=True))
    assert {image.shape[1] for image in by_path.values()} == {10, 13}
    for path, image in by_path.items():
        (alone,) = build(path, image_size=None, pixels=pixels)
        np.testing.assert_array_equal(alone[0], image)


def test_columns_and_splits_of_a_table(photos: pathlib.Path, tmp_path: pathlib.Path) -> None:
    table = tmp_path / "photos.csv"
    rows = [f"{number}.{'png' if number % 2 else 'jpg'},{number},test" for number in (1, 2, 4)]
    table.write_text("\n".join(["image,number,split", *rows, "5.png,5,train", ""]))
    task = mmdata.Prediction(columns=("number",))
    ds = build(photos, table, task=task, split="test", on_problem="drop")
    (batch,) = ds
    assert batch["number"].numpy().tolist() == [1, 2, 4]
    assert [pathlib.Path(path).stem for path in ds.paths] == ["1", "2", "4"]


def test_corrupt_files_keep_their_place(damaged: list[pathlib.Path]) -> None:
    ds = build(damaged, on_problem="drop")
    images = images_of(ds)
    assert (images[1:4] == 0).all()
    assert images[0].any()
    assert images[4].any()
    corrupt = [found.path for found in ds.report.findings if found.kind == "corrupt"]
    assert corrupt == sorted(str(path) for path in damaged[1:4])


def test_corrupt_files_are_errors(damaged: list[pathlib.Path]) -> None:
    with pytest.raises(PairingError, match=r"2 problem\(s\) in 5 file\(s\)") as caught:
        build(damaged)
    assert {pathlib.Path(found.path).name for found in caught.value.findings} == {
        "text.jpg",
        "none.jpg",
    }
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"cut\.png"):
        list(build(damaged[:2]))


def test_what_is_refused(photos: pathlib.Path) -> None:
    with pytest.raises(ValueError, match=r"augment=\.\.\. must be empty with task=Prediction"):
        build(photos, augment=[mmdata.Flip()])
    with pytest.raises(AttributeError, match="has no text"):
        _ = build(photos).tokenizer
    with pytest.raises(AttributeError, match="shuffled Dataset has another order of paths"):
        _ = build(photos, task="retrieval", text="byte").paths
