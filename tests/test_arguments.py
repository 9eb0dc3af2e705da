"""Wrong arguments of `build` are one sentence, and what is meant clearly is accepted."""

import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import mmdata

SAMPLES = pathlib.Path(__file__).parents[1] / "sample_data"


@pytest.fixture(scope="module")
def pairs() -> mmdata.Pairs:
    return mmdata.read(SAMPLES / "images", SAMPLES / "captions").sample(4)


def build(pairs: Any, **options: Any) -> mmdata.Dataset:
    settings = {"image_size": 16, "sequence_length": 100, "text": "byte", "batch_size": 2}
    ds: mmdata.Dataset = mmdata.build(pairs, **{**settings, **options})
    return ds


WRONG: list[tuple[dict[str, Any], str]] = [
    *(
        ({"image_size": value}, r"image_size=\.\.\. must be one positive int, or two \(height, wid")
        for value in (0, (16,), [16, 16, 3], (16, 16.5), "16", True, -16)
    ),
    *(
        ({"seed": value}, r"seed=\.\.\. must be an int from 0 to 2\*\*63 - 1; got ")
        for value in (None, 1.5, 2**70, -1, True, "0")
    ),
    *(
        ({"shard": value}, r"shard=\.\.\. must be \(index, count\)")
        for value in (4, (0,), (0, 1, 2), (2, 2), ("0", 1), (0.0, 1), None, (True, 2))
    ),
    *(({"batch_size": value}, r"batch_size=\.\.\. must be an int") for value in (0, 1.5, True)),
    *(({"sequence_length": value}, r"sequence_length=\.\.\.") for value in (2, 7.5, "9", True)),
    ({"text": "vocab.txt"}, r"Is it a file\? See tokenizers.WordPiece.load\('vocab.txt'\)"),
    *(({"shuffle": value}, r"shuffle=\.\.\. must be True, False") for value in ("yes", 3, None)),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=str)
def test_wrong_arguments(pairs: mmdata.Pairs, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        build(pairs, **arguments)
    assert len(str(caught.value)) < 350


@pytest.mark.parametrize("size", [16, [16, 16], (16, 16), np.int64(16)], ids=repr)
def test_image_sizes(pairs: mmdata.Pairs, size: Any) -> None:
    ds = build(pairs, image_size=size)
    assert ds.pixels.size == (16, 16)
    assert ds.settings == build(pairs).settings
    assert mmdata.Pixels(size=size) == mmdata.Pixels(size=(16, 16))
    assert mmdata.Pixels(size=size, load_size=[20, 20]).load_size == (20, 20)  # type: ignore[arg-type]


def test_shard_as_a_list_and_numpy_numbers(pairs: mmdata.Pairs) -> None:
    ds = build(pairs, shard=[np.int64(1), 2], batch_size=10, seed=np.int32(3))
    assert (ds.config.shard, ds.config.seed) == ((1, 2), 3)


@pytest.mark.parametrize("ids", ["a", ["a", "b"], 3, [1.5]], ids=repr)
def test_detokenize_takes_ids(ids: Any) -> None:
    with pytest.raises(ValueError, match=r"detokenize\(ids\) takes ids, ints of shape "):
        mmdata.tokenizers.Byte().detokenize(ids)


def test_image_decoder_takes_bytes(pairs: mmdata.Pairs) -> None:
    decode = mmdata.ImageDecoder(mmdata.Pixels(size=16))  # type: ignore[arg-type]
    path = str(SAMPLES / "images" / pairs.images[0])
    with pytest.raises(ValueError, match=r"takes the bytes of image files; got the path "):
        decode([path])
    with pytest.raises(ValueError, match=r"bytes of several files, string \[b\]; got shape \[\]"):
        decode(path)
    assert decode([tf.io.read_file(path)]).shape == (1, 16, 16, 3)
