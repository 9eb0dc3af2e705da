"""`mmdata.read(fix_text=True)`: captions that were decoded wrongly, in every kind of source."""

import io
import json
import pathlib
import sys
import tarfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mmdata

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]

BROKEN = {
    "a.jpg": ["a cafÃ©", "a café"],
    "b.jpg": ["itâ€™s â€œredâ€\x9d", "\x1b[0m"],
    "c.jpg": ["è\x88¹ on 赤い海"],
}
FIXED = {
    "a.jpg": ["a café", "a café"],
    "b.jpg": ['it\'s "red"', "\x1b[0m"],  # nothing is left of the second, so it stays
    "c.jpg": ["船 on 赤い海"],
}
LINES = {image: "\n".join(captions) for image, captions in BROKEN.items()}


def sidecar(root: pathlib.Path, write: Write) -> tuple[Any, Any]:
    texts = {image.replace(".jpg", ".txt"): lines for image, lines in LINES.items()}
    return write(root, {**dict.fromkeys(BROKEN, b""), **texts}), None


def coco(root: pathlib.Path, write: Write) -> tuple[Any, Any]:
    images = [{"id": i, "file_name": image} for i, image in enumerate(BROKEN)]
    notes = [
        {"id": 10 * i + n, "image_id": i, "caption": caption}
        for i, captions in enumerate(BROKEN.values())
        for n, caption in enumerate(captions)
    ]
    content = json.dumps({"images": images, "annotations": notes})
    write(root, {**dict.fromkeys((f"images/{image}" for image in BROKEN), b""), "c.json": content})
    return root / "images", root / "c.json"


def table(root: pathlib.Path, write: Write) -> tuple[Any, Any]:
    rows = [(image, caption) for image, captions in BROKEN.items() for caption in captions]
    frame = pd.DataFrame(rows, columns=["file_name", "caption"])
    return write(root, dict.fromkeys(BROKEN, b"")), frame


def shards(root: pathlib.Path, write: Write) -> tuple[Any, Any]:
    write(root, {})
    with tarfile.open(root / "0.tar", "w") as shard:
        for image, lines in LINES.items():
            for name, content in ((image, b"jpeg"), (image.replace("jpg", "txt"), lines.encode())):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                shard.addfile(member, io.BytesIO(content))
    return root / "0.tar", None


@pytest.mark.parametrize("source", [sidecar, coco, table, shards])
def test_every_layout(
    source: Callable[..., tuple[Any, Any]], tmp_path: pathlib.Path, write: Write
) -> None:
    images, captions = source(tmp_path / "set", write)
    for fix_text, expected in ((False, BROKEN), (True, FIXED)):
        pairs = mmdata.read(images, captions, fix_text=fix_text, on_problem="drop")
        names = [image.rpartition("/")[2] for image in pairs.images]
        assert {name: pairs.captions_of(row) for row, name in enumerate(names)} == expected
        assert pairs.report.pairs == pairs.pair_count == 5


def test_without_ftfy(
    tmp_path: pathlib.Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, _ = sidecar(tmp_path / "set", write)
    monkeypatch.setitem(sys.modules, "ftfy", None)
    assert len(mmdata.read(images, on_problem="drop")) == 3
    with pytest.raises(ImportError, match=r'ftfy is required.*pip install "mmdata\[text\]"'):
        mmdata.read(images, fix_text=True, on_problem="drop")


def test_pairs_know_that_they_were_repaired(tmp_path: pathlib.Path, write: Write) -> None:
    images, _ = sidecar(tmp_path / "set", write)
    write(images, {image: f"content of {image}" for image in BROKEN})
    fixed = mmdata.read(images, fix_text=True, on_problem="drop")
    plain = mmdata.read(images, on_problem="drop")
    for pairs, expected in [(fixed, True), (plain, False)]:
        split = pairs.split({"train": 0.2, "test": 0.8})
        for same in (
            *(pairs, split, split.subset("train"), pairs.filter([True, False, True])),
            *(pairs.take(np.array([2, 0])), pairs.sample(1), mmdata.merge([pairs, pairs])),
        ):
            assert same.fix_text == expected
    assert mmdata.merge([fixed, plain]).fix_text
    assert mmdata.merge([plain, fixed]).fix_text
