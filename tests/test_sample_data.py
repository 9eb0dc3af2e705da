"""The sample pictures match their README."""

import pathlib

import mmdata
from mmdata.training.attributes import Attributes

SAMPLES = pathlib.Path(__file__).parents[1] / "sample_data"


def test_pictures_and_captions() -> None:
    pairs = mmdata.read(SAMPLES / "images", SAMPLES / "captions")
    assert len(pairs) == 640
    assert all(2 <= len(pairs.captions_of(row)) <= 5 for row in range(len(pairs)))
    files = [path for path in SAMPLES.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 4_000_000
    assert {path.suffix for path in (SAMPLES / "images").rglob("*.*")} == {".jpg", ".png", ".webp"}


def test_every_caption_names_its_object_and_colour_and_no_others() -> None:
    pairs = mmdata.read(SAMPLES / "images", SAMPLES / "captions")
    attributes = Attributes.load(SAMPLES / "attributes.csv")
    assert sorted(attributes.values) == pairs.images[:]
    wrong = [
        (image, caption)
        for row, image in enumerate(pairs.images)
        for caption in pairs.captions_of(row)
        if not attributes.named(image, caption)
    ]
    assert wrong == []
