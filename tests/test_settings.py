"""Options and stages as plain data: JSON can hold it, and different options give different data."""

import dataclasses
import importlib
import json
import pathlib
import pkgutil
from typing import Any

import numpy as np
import pytest

import mmdata
from mmdata import settings
from mmdata.images.decode_in_graph import Decode
from mmdata.stages import (
    augment,
    captions,
    clean,
    fill_up,
    normalize,
    pack,
    read_header,
    resize,
    select,
)
from mmdata.tokenizers import Byte

VALUES: list[Any] = [
    mmdata.Pixels(size=(8, 9), fit="crop"),
    mmdata.Text(tokenizer=Byte(), buckets=(8,)),
    mmdata.Batching(size=3),
    mmdata.Blocks(window=2),
    mmdata.Problems(budget=0.5),
    mmdata.Captioning(captions="random", template="a {caption}"),
    mmdata.Prefix(prompt="en "),
    mmdata.Retrieval(columns=("n",)),
    mmdata.References(),
    mmdata.TextToImage(dropout=0.1),
    mmdata.Classification(column="label", classes=("a", "b")),
    mmdata.Prediction(columns=("n",)),
    augment.RandomCrop(size=(4, 4)),
    augment.Flip(),
    augment.Color(),
    augment.Grayscale(),
    captions.TidyTags(),
    captions.ShuffleTags(keep=1),
    captions.Template(text="a {caption}"),
    captions.DropCaption(rate=0.5),
    captions.SplitCaptions(separator=b"\xff"),
    clean.Clean.preset("clip"),
    fill_up.FillUp(size=2),
    fill_up.Full(size=2),
    fill_up.CutBack(),
    normalize.Normalize(to="clip"),
    pack.Tokenize(tokenizer=Byte()),
    pack.Pack(length=9, start_id=1, end_id=2, pad_id=0),
    read_header.ReadHeader(),
    select.Select(keys=("images",)),
    resize.Resize(size=(3, 4)),
    resize.CenterCrop(size=(3, 4)),
    Decode(background=(1, 2, 3)),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_each_value_is_plain_data(value: Any) -> None:
    data = value.to_dict()
    assert data["type"] == type(value).__name__
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    shown = {field.name for field in dataclasses.fields(value) if field.repr}
    assert data.keys() == {"type", *shown}


def test_every_stage_and_option_is_among_them() -> None:
    names = [module.name for module in pkgutil.iter_modules(mmdata.stages.__path__)]
    modules = [importlib.import_module(f"mmdata.stages.{name}") for name in names]
    defined = [
        kind
        for module in [*modules, mmdata.options, mmdata.tasks]
        for kind in vars(module).values()
        if dataclasses.is_dataclass(kind) and isinstance(kind, type) and kind.__name__[0] != "_"
    ]
    tested = {type(value) for value in VALUES} | {mmdata.tasks.Captioned}
    ours = ("mmdata.stages.", "mmdata.options", "mmdata.tasks.")
    assert {kind for kind in defined if kind.__module__.startswith(ours)} <= tested


def own_stage(example: Any) -> Any:
    return example


@dataclasses.dataclass(frozen=True)
class OwnStage:
    scale: float
    table: Any = dataclasses.field(default=None)

    def __call__(self, example: Any) -> Any:
        return example


def test_stages_of_users() -> None:
    name = f"{__name__}.OwnStage"
    assert settings.plain(OwnStage(0.5)) == {"type": name, "scale": 0.5, "table": None}
    assert settings.plain(OwnStage(1.0, own_stage))["table"] == {"type": f"{__name__}.own_stage"}
    assert settings.plain(own_stage) == {"type": f"{__name__}.own_stage"}
    assert settings.plain(OwnStage(1.0, np.zeros(3)))["table"] == {"type": "numpy.ndarray"}


def test_numbers_that_javascript_cannot_hold_are_texts() -> None:
    assert settings.plain([2**53, 2**53 + 1, -(2**60)]) == [2**53, str(2**53 + 1), str(-(2**60))]
    assert settings.plain((np.float32(0.5), np.int64(3), pathlib.Path("a/b"))) == [0.5, 3, "a/b"]


def test_fingerprints_differ_where_settings_or_contents_do() -> None:
    made = [
        settings.fingerprint(*arguments)
        for arguments in (
            ({"a": 1},),
            ({"a": 2},),
            ({"a": "1"},),
            ({"a": 1}, b""),
            ({"a": 1}, b"x"),
            ({"a": 1}, b"x", b""),
            ({"a": 1}, b"", b"x"),
        )
    ]
    assert len({*made}) == len(made)
    assert settings.fingerprint({"a": 1, "b": 2}) == settings.fingerprint({"b": 2, "a": 1})
