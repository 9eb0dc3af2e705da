"""Symbolic links out of a folder: reported by each reader, read only if asked for, never copied."""

import json
import os
import pathlib
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import pytest

import mmdata
from mmdata.files.links import Boundary
from mmdata.pairs.findings import PairingError
from mmdata.pairs.pairs import Pairs

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]
SECRET = "the content of another file"
NAMES = ("k.jpg", "out.jpg", "folder/f.jpg")


def rows(pairs: Pairs) -> dict[str, list[str]]:
    return {image: pairs.captions_of(row) for row, image in enumerate(pairs.images)}


def outside(pairs: Pairs) -> list[str]:
    found = [finding for finding in pairs.report.problems if finding.kind == "outside"]
    assert all('links="follow"' in finding.detail for finding in found)
    return [finding.path for finding in found]


@pytest.fixture
def linked(tmp_path: pathlib.Path, write: Write) -> pathlib.Path:
    """A folder with a link to an image and one to a folder, both elsewhere."""
    far = write(tmp_path / "far", {"x.jpg": "x", "f/f.jpg": "f"})
    near = write(tmp_path / "near", {"k.jpg": "k"})
    (near / "out.jpg").symlink_to(far / "x.jpg")
    (near / "folder").symlink_to(far / "f", target_is_directory=True)
    return near


def caption_file(folder: pathlib.Path, layout: str) -> Any:
    """Captions of `NAMES` in one of the layouts that name images."""
    path = folder.parent / {"csv": "c.csv", "jsonl": "c.jsonl", "flickr": "c.token"}.get(
        layout, "c.json"
    )
    lines = {
        "csv": ["image,caption", *(f"{name},A" for name in NAMES)],
        "jsonl": [json.dumps({"image": name, "caption": "A"}) for name in NAMES],
        "flickr": [f"{name}#0\tA" for name in NAMES],
    }
    images = [{"id": n, "file_name": name} for n, name in enumerate(NAMES)]
    sentences = [{"filename": name, "sentences": [{"raw": "A"}]} for name in NAMES]
    documents: dict[str, Any] = {
        "coco": {
            "images": images,
            "annotations": [{"image_id": n, "caption": "A"} for n in range(len(NAMES))],
        },
        "karpathy": {"images": sentences},
        "list": [{"image": name, "caption": "A"} for name in NAMES],
    }
    if layout == "frame":
        return pd.DataFrame({"image": NAMES, "caption": ["A"] * len(NAMES)})
    content = "\n".join([*lines[layout], ""]) if layout in lines else json.dumps(documents[layout])
    path.write_text(content)
    return path


@pytest.mark.parametrize("layout", ["csv", "jsonl", "flickr", "coco", "karpathy", "list", "frame"])
def test_names_of_files_elsewhere(linked: pathlib.Path, layout: str) -> None:
    captions = caption_file(linked, layout)
    pairs = mmdata.read(linked, captions, on_problem="drop")
    assert rows(pairs) == {"k.jpg": ["A"]}
    assert outside(pairs) == ["folder/", "folder/f.jpg", "out.jpg"]
    assert rows(mmdata.read(linked, captions, links="follow")) == {name: ["A"] for name in NAMES}


@pytest.mark.parametrize("trees", [1, 2])
def test_files_beside(linked: pathlib.Path, write: Write, trees: int) -> None:
    write(linked.parent / "far", {"secret.txt": SECRET, "f/f.txt": "f"})
    texts = linked if trees == 1 else write(linked.parent / "texts", {})
    write(linked, {"s.jpg": ""})
    write(texts, {"k.txt": "k", "out.txt": "o"})
    (texts / "s.txt").symlink_to(linked.parent / "far" / "secret.txt")
    if trees == 2:
        (texts / "folder").symlink_to(linked.parent / "far" / "f", target_is_directory=True)
    pairs = mmdata.read(linked, None if trees == 1 else texts, on_problem="drop")
    assert rows(pairs) == {"k.jpg": ["k"]}
    assert set(outside(pairs)) == {"folder/", "out.jpg", "s.jpg"}
    followed = mmdata.read(linked, None if trees == 1 else texts, links="follow")
    assert rows(followed)["s.jpg"] == [SECRET]
    assert rows(followed)["folder/f.jpg"] == ["f"]


def test_an_unlisted_image_elsewhere(linked: pathlib.Path, write: Write) -> None:
    write(linked, {"c.csv": "image,caption\nk.jpg,A\n"})
    pairs = mmdata.read(linked, linked / "c.csv", on_problem="drop")
    assert outside(pairs) == ["folder/", "out.jpg"]
    assert "missing_caption" not in pairs.report.counts


def test_a_link_to_the_root_of_the_system_is_not_walked(
    tmp_path: pathlib.Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"k.jpg": "", "k.txt": "k"})
    (tmp_path / "all").symlink_to("/", target_is_directory=True)
    listed: list[str] = []
    scandir = os.scandir

    def noted(path: str) -> Any:
        listed.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", noted)
    pairs = mmdata.read(tmp_path, on_problem="drop")
    assert (rows(pairs), outside(pairs)) == ({"k.jpg": ["k"]}, ["all/"])
    assert set(listed) == {str(tmp_path)}


def test_links_inside_are_read(tmp_path: pathlib.Path, write: Write) -> None:
    write(tmp_path, {"a/x.jpg": "", "texts/x.txt": "A"})
    (tmp_path / "b.jpg").symlink_to("a/x.jpg")
    (tmp_path / "b.txt").symlink_to(tmp_path / "texts" / "x.txt")
    pairs = mmdata.read(tmp_path, on_problem="drop")
    assert (rows(pairs), outside(pairs)) == ({"b.jpg": ["A"]}, [])


def test_names_through_a_link_inside(tmp_path: pathlib.Path, write: Write) -> None:
    names = ("alias/a.jpg", "./alias/deep/a.jpg", "other/a.jpg", f"{tmp_path}/alias/c.jpg")
    table = "image,caption\n" + "".join(f"{name},{name}\n" for name in names)
    files = ("real/a.jpg", "real/deep/a.jpg", "other/a.jpg", "real/c.jpg")
    write(tmp_path, {**dict.fromkeys(files, ""), "c.csv": table})
    (tmp_path / "alias").symlink_to("real", target_is_directory=True)
    pairs = mmdata.read(tmp_path, tmp_path / "c.csv")
    assert rows(pairs) == {file: [name] for file, name in zip(files, names, strict=True)}


def test_a_frame_without_a_folder_names_each_file(tmp_path: pathlib.Path, write: Write) -> None:
    write(tmp_path, {"far/x.jpg": "x", "near/k.jpg": "k"})
    (tmp_path / "near" / "out.jpg").symlink_to(tmp_path / "far" / "x.jpg")
    names = [str(tmp_path / "near" / name) for name in ("k.jpg", "out.jpg")]
    pairs = mmdata.read(pd.DataFrame({"image": names, "caption": ["K", "O"]}))
    assert (rows(pairs), pairs.links) == ({"k.jpg": ["K"], "out.jpg": ["O"]}, "follow")
    pairs.to_csv(tmp_path / "c.csv")
    pairs.to_webdataset(tmp_path / "shards")
    assert len(mmdata.read(tmp_path / "shards")) == 2


def test_a_caption_file_elsewhere_in_a_folder_of_flickr(
    tmp_path: pathlib.Path, write: Write
) -> None:
    write(tmp_path, {"far/t.token.txt": "k.jpg#0\tA\n", "images/k.jpg": "", "texts/n.md": ""})
    (tmp_path / "texts" / "t.token.txt").symlink_to(tmp_path / "far" / "t.token.txt")
    both = tmp_path / "images", tmp_path / "texts"
    with pytest.raises(PairingError, match=r"'t\.token\.txt' is a link to .* links=\"follow\""):
        mmdata.read(*both, layout="flickr", on_problem="drop")
    assert len(mmdata.read(*both, layout="flickr", links="follow")) == 1


def test_a_pattern_of_shards(tmp_path: pathlib.Path, write: Write) -> None:
    mmdata.read(write(tmp_path / "images", {"a.jpg": "x", "a.txt": "A"})).to_webdataset(
        tmp_path / "far"
    )
    near = write(tmp_path / "near", {})
    (near / "0.tar").symlink_to(tmp_path / "far" / "shard-00000.tar")
    with pytest.raises(PairingError, match=r"'0\.tar' \(a link to"):
        mmdata.read(near / "*.tar")
    assert len(mmdata.read(near / "0.tar")) == len(mmdata.read(near / "*.tar", links="follow")) == 1


def test_a_file_that_becomes_a_link_is_not_copied(tmp_path: pathlib.Path, write: Write) -> None:
    write(tmp_path, {"secret": SECRET, "images/a.jpg": "x", "images/a.txt": "A"})
    pairs = mmdata.read(tmp_path / "images")
    (tmp_path / "images" / "a.jpg").unlink()
    (tmp_path / "images" / "a.jpg").symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match=r"a\.jpg: not copied, a link to"):
        pairs.to_webdataset(tmp_path / "shards")
    assert not (tmp_path / "shards").exists()


def test_a_root_that_is_a_link(tmp_path: pathlib.Path, write: Write) -> None:
    write(tmp_path / "real", {"k.jpg": "", "k.txt": "k"})
    (tmp_path / "link").symlink_to("real", target_is_directory=True)
    assert rows(mmdata.read(tmp_path / "link")) == {"k.jpg": ["k"]}


def test_cache_of_hugging_face(tmp_path: pathlib.Path, write: Write) -> None:
    blobs = {"blobs/1": "x", "blobs/2": "image,caption\na.jpg,A\n", "blobs/3": "text"}
    repository = write(tmp_path / "datasets--me--cats", blobs)
    write(tmp_path / "datasets--you--dogs", {"blobs/4": "y"})
    snapshot = write(repository / "snapshots" / "0123", {})
    (snapshot / "a.jpg").symlink_to("../../blobs/1")
    (snapshot / "metadata.csv").symlink_to("../../blobs/2")
    assert rows(mmdata.read(snapshot)) == {"a.jpg": ["A"]}
    (snapshot / "b.jpg").symlink_to("../../../datasets--you--dogs/blobs/4")
    assert outside(mmdata.read(snapshot, on_problem="drop")) == ["b.jpg"]
    (snapshot / "metadata.csv").unlink()
    (snapshot / "a.txt").symlink_to("../../blobs/3")
    assert rows(mmdata.read(snapshot, on_problem="drop")) == {"a.jpg": ["text"]}


@pytest.mark.parametrize("folder", ["", "train"])
def test_metadata_elsewhere(tmp_path: pathlib.Path, write: Write, folder: str) -> None:
    far = write(tmp_path / "far", {"metadata.csv": "image,caption\nk.jpg,A\n"})
    near = tmp_path / "near"
    write(near / folder, {"k.jpg": ""})
    (near / folder / "metadata.csv").symlink_to(far / "metadata.csv")
    with pytest.raises(PairingError, match=r'a link to .* outside of .* links="follow"'):
        mmdata.read(near, on_problem="drop")
    assert len(mmdata.read(near, links="follow")) == 1


def test_lists_of_splits_elsewhere(tmp_path: pathlib.Path, write: Write) -> None:
    far = write(tmp_path / "far", {"train.txt": "k.jpg\n"})
    near = write(tmp_path / "near", {"k.jpg": "", "c.token": "k.jpg#0\tA\n"})
    (near / "train.txt").symlink_to(far / "train.txt")
    pairs = mmdata.read(near, near / "c.token", on_problem="drop")
    assert (outside(pairs), pairs.split_of) == (["train.txt"], None)
    followed = mmdata.read(near, near / "c.token", links="follow")
    assert followed.split_labels == ["train"]


def test_shards_elsewhere(tmp_path: pathlib.Path, write: Write) -> None:
    write(tmp_path / "images", {"a.jpg": "x", "a.txt": "A"})
    pairs = mmdata.read(tmp_path / "images")
    pairs.to_webdataset(tmp_path / "far")
    near = write(tmp_path / "near", {})
    shutil.copy(tmp_path / "far" / "shard-00000.tar", near / "0.tar")
    (near / "1.tar").symlink_to(tmp_path / "far" / "shard-00000.tar")
    found = mmdata.read(near, on_problem="drop")
    assert (list(found.images), outside(found)) == (["0.tar/a.jpg"], ["1.tar"])
    assert len(mmdata.read(near, links="follow")) == 2


def test_exports_copy_what_was_read(linked: pathlib.Path, write: Write) -> None:
    write(linked, {"k.txt": "k", "out.txt": "o"})
    mmdata.read(linked, on_problem="drop").to_webdataset(linked.parent / "shards")
    shard = (linked.parent / "shards" / "shard-00000.tar").read_bytes()
    assert b"k.jpg" in shard
    assert b"out.jpg" not in shard
    followed = mmdata.read(linked, links="follow", on_problem="drop")
    assert list(followed.images) == ["k.jpg", "out.jpg"]
    followed.to_csv(linked.parent / "followed.csv")
    csv = linked.parent / "followed.csv"
    again = mmdata.read(linked, csv, links="follow", on_problem="drop")
    assert rows(again) == {"k.jpg": ["k"], "out.jpg": ["o"]}


@pytest.mark.parametrize("links", ["outside", None, True])
def test_no_such_choice(tmp_path: pathlib.Path, links: Any) -> None:
    with pytest.raises(ValueError, match=r"links=\.\.\. must be one of \['inside', 'follow'\]"):
        mmdata.read(tmp_path, links=links)


def test_boundary(tmp_path: pathlib.Path) -> None:
    for name in ("a", "ab"):
        (tmp_path / name).mkdir()
    boundary = Boundary(str(tmp_path / "a"))
    assert boundary.outside(str(tmp_path / "a" / "gone.jpg")) is None
    assert boundary.outside(str(tmp_path / "ab" / "x.jpg")) == str(tmp_path / "ab" / "x.jpg")
    assert Boundary("/").outside(str(tmp_path)) is None
