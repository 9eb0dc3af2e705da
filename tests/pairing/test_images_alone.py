"""Images without captions: from a folder, files, a pattern or shards."""

import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import mmdata
from mmdata.pairs.findings import PairingError

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]

FILES = {
    "b.jpg": "",
    "a/2.png": "",
    "a/1.JPG": "",
    "a/1.txt": "A",
    "metadata.csv": "x",
    ".c.jpg": "",
}


@pytest.fixture
def photos(tmp_path: pathlib.Path, write: Write) -> pathlib.Path:
    return write(tmp_path / "photos", FILES)


def test_a_folder_with_its_subfolders(photos: pathlib.Path) -> None:
    pairs = mmdata.read(photos, layout="images")
    assert list(pairs.images) == ["a/1.JPG", "a/2.png", "b.jpg"]
    assert (pairs.pair_count, pairs.report.layout) == (0, "images")
    assert pairs.report.problems == ()
    ignored = {(found.path, found.count) for found in pairs.report.findings}
    assert ignored == {("a/1.txt", 1), ("metadata.csv", 1), (".", 1)}


def test_files_and_folders_keep_their_order_and_spelling(
    photos: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)
    given = ["photos/b.jpg", pathlib.Path("photos", "a"), "./photos/b.jpg", photos / "a" / "1.txt"]
    pairs = mmdata.read(given, caption_column=None)
    expected = ["photos/b.jpg", "photos/a/1.JPG", "photos/a/2.png", "./photos/b.jpg"]
    assert pairs.paths == [*expected, str(photos / "a" / "1.txt")]
    assert [found.path for found in pairs.report.findings] == ["photos/a/1.txt"]


def test_a_file_or_a_pattern(photos: pathlib.Path) -> None:
    assert mmdata.read(photos / "b.jpg", layout="images").paths == [str(photos / "b.jpg")]
    found = mmdata.read(f"{photos}/**/*.[jp]*", layout="images").paths
    assert found == [str(photos / name) for name in ("a/2.png", "b.jpg")]


def test_links_out_of_a_folder(photos: pathlib.Path) -> None:
    (photos / "in").mkdir()
    os.symlink(photos / "b.jpg", photos / "in" / "b.jpg")
    inside = mmdata.read(photos / "in", layout="images", links="follow")
    assert list(inside.images) == ["b.jpg"]
    with pytest.raises(PairingError, match=r"path.* that leave the folder of images") as caught:
        mmdata.read(photos / "in", layout="images")
    assert [found.path for found in caught.value.findings] == ["b.jpg"]
    assert mmdata.read([photos / "in" / "b.jpg"], layout="images").paths


@pytest.mark.parametrize("layout", ["images", "auto"])
def test_shards(photos: pathlib.Path, tmp_path: pathlib.Path, layout: Any) -> None:
    (photos / "metadata.csv").unlink()
    for image in ("b", "a/2"):
        (photos / f"{image}.txt").write_text("A")
    mmdata.read(photos).to_webdataset(tmp_path / "shards")
    pairs = mmdata.read(tmp_path / "shards", layout=layout, caption_column=None)
    assert (len(pairs), pairs.pair_count, pairs.blobs is None) == (3, 0, False)


def test_a_table_that_lists_images_still_does(photos: pathlib.Path) -> None:
    (photos / "metadata.csv").write_text("file_name,label\nb.jpg,boat\n")
    pairs = mmdata.read(photos, caption_column=None, on_problem="drop")
    assert (list(pairs.images), list(pairs.columns)) == (["b.jpg"], ["label"])


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        ("nowhere", FileNotFoundError, r"images=\.\.\. must exist; got '.*nowhere'"),
        ("*.gif", FileNotFoundError, r"images=\.\.\. must exist; got '.*\*\.gif'"),
        ("empty", PairingError, r"must hold image files \(.*\); got none in '.*empty'"),
        ([], PairingError, r"must hold image files \(.*\); got none in 0 file\(s\)"),
        (7, TypeError, r"images=\.\.\. must be a path"),
    ],
)
def test_what_is_refused(tmp_path: pathlib.Path, images: Any, error: Any, message: str) -> None:
    (tmp_path / "empty").mkdir()
    source = f"{tmp_path}/{images}" if isinstance(images, str) else images
    with pytest.raises(error, match=message):
        mmdata.read(source, layout="images")
