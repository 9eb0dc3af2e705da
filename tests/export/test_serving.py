"""Served inputs equal the training inputs of `mmdata.build`, bit for bit."""

import dataclasses
import functools
import json
import pathlib
import subprocess
import sys
import unicodedata
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from pictures import encoded, oriented  # type: ignore[import-not-found]
from PIL import Image

import mmdata
from mmdata import Classification, Pixels, Text
from mmdata.export.serving import ImageDecoder, TextEncoder, export_preprocessing
from mmdata.stages.clean import Clean
from mmdata.tokenizers import (
    Byte,
    BytePair,
    Character,
    ClipBpe,
    SentencePiece,
    Tokenizer,
    Word,
    WordPiece,
)

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]
Array = NDArray[Any]

SIZE = (64, 48)
LENGTH = 14  # some captions are longer

LEARNED: dict[str, Callable[[list[str]], Tokenizer]] = {
    "word": lambda captions: Word.learn(captions, vocabulary_size=300),
    "wordpiece": lambda captions: WordPiece.learn(captions, vocabulary_size=300),
    "character": lambda captions: Character.learn(captions),
    "sentencepiece": lambda captions: SentencePiece.learn(captions, vocabulary_size=300),
    "bytepair": lambda captions: BytePair.learn(captions, vocabulary_size=400),
    "byte": lambda _: Byte(),
}
"""Tokenizers by name; each must be served by a process that never heard of mmdata."""

LOAD = """
import sys
import numpy as np
import tensorflow as tf
import tensorflow_text

given = np.load(sys.argv[1], allow_pickle=True)
images, captions = (tf.constant(given[name].tolist()) for name in ("images", "captions"))
found = {}
for path in sys.argv[3:]:
    signatures = tf.saved_model.load(path).signatures
    for name in (signatures if path == sys.argv[3] else ["serving_default"]):
        takes = {"images": images, "captions": captions}
        takes = takes if name == "serving_default" else {name: takes[name]}
        for key, value in signatures[name](**takes).items():
            found[f"{path} {name} {key}"] = value.numpy()
assert "mmdata" not in sys.modules
np.savez(sys.argv[2], **found)
"""


@pytest.fixture(scope="module")
def pairs(coco: pathlib.Path) -> mmdata.Pairs:
    """50 photos, four captions of each."""
    captions = coco / "annotations" / "captions_val2017.json"
    all_pairs = mmdata.read(coco / "val2017", captions, on_problem="drop")
    return all_pairs.filter(np.arange(len(all_pairs)) < 50)


@pytest.fixture(scope="module")
def rows(pairs: mmdata.Pairs) -> Array:
    """The row of each caption."""
    return np.repeat(np.arange(len(pairs)), np.diff(pairs.offsets))


@pytest.fixture(scope="module")
def tokenizers(pairs: mmdata.Pairs, open_clip: pathlib.Path) -> dict[str, Tokenizer]:
    captions = [caption.lower() for caption in pairs.captions]
    learned = {name: learn(captions) for name, learn in LEARNED.items()}
    return {**learned, "clip": ClipBpe.load(open_clip / "bpe_simple_vocab_16e6.txt.gz")}


def contents_of(pairs: mmdata.Pairs) -> list[bytes]:
    return [pathlib.Path(pairs.root, image).read_bytes() for image in pairs.images]


def trained(pairs: mmdata.Pairs, pixels: Pixels, tokenizer: Tokenizer) -> dict[str, Array]:
    """What training sees of each pair, in order; sequences are one token longer."""
    text = Text(tokenizer=tokenizer, length=LENGTH - 1)
    ds = mmdata.build(pairs, pixels=pixels, text=text, shuffle=False, batch_size=40)
    batches = list(ds)
    ids = [tf.concat([x["token_ids"][:, :1], y], 1) for x, y, _ in batches]
    mask = [
        tf.concat([x["padding_mask"][:, :1], tf.cast(w > 0, tf.int32)], 1) for x, _, w in batches
    ]
    images = [x["images"] for x, _, _ in batches]
    named = {"images": images, "token_ids": ids, "padding_mask": mask}
    return {name: np.concatenate(parts) for name, parts in named.items()}


CASES = [("clip", "clip"), ("unit", "wordpiece")]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*cuts")
def test_saved_model_gives_what_training_saw(
    pairs: mmdata.Pairs, rows: Array, tokenizers: dict[str, Tokenizer], tmp_path: pathlib.Path
) -> None:
    expected = {}
    for preset, name in CASES:
        pixels = Pixels.preset(preset).resized(SIZE)
        path = str(tmp_path / preset)
        expected[path] = trained(pairs, pixels, tokenizers[name])
        text = Text(tokenizer=tokenizers[name], length=LENGTH)
        images, captions = ImageDecoder(pixels), TextEncoder(text)
        export_preprocessing(path, images=images, captions=captions)
    contents = np.array(contents_of(pairs), object)
    given, found = tmp_path / "given.npz", tmp_path / "found.npz"
    np.savez(
        given, images=contents, captions=np.array([c.encode() for c in pairs.captions], object)
    )
    command = [sys.executable, "-c", LOAD, str(given), str(found), *expected]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    served = dict(np.load(found))
    assert len(rows) >= 200
    assert len(served) == 6 + 3 * (len(CASES) - 1)
    for key, value in served.items():
        path, _, name = key.split(" ")
        right = expected[path][name]
        assert value.dtype == right.dtype
        np.testing.assert_array_equal(value[rows] if name == "images" else value, right, key)
    for columns in expected.values():
        assert columns["padding_mask"].all(1).any()


@pytest.mark.parametrize("name", [*LEARNED, "clip"])
def test_captions_in_a_saved_model_a_dataset_and_a_model(
    name: str, pairs: mmdata.Pairs, tokenizers: dict[str, Tokenizer], tmp_path: pathlib.Path
) -> None:
    captions = [*pairs.captions, "", "Ünknown 犬!", "a\0b"]
    convert = TextEncoder(Text(tokenizer=tokenizers[name], length=LENGTH))
    expected = convert(captions)
    assert expected["token_ids"].shape == expected["padding_mask"].shape == (len(captions), LENGTH)
    assert (expected["token_ids"].dtype, expected["padding_mask"].dtype) == (tf.int32, tf.int32)
    module = tf.Module()
    module.convert = convert
    module.run = tf.function(convert.call, input_signature=[tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path)).run(tf.constant(captions))
    mapped = next(iter(tf.data.Dataset.from_tensors(captions).map(convert)))
    text = keras.Input((), dtype="string")
    by_model = keras.Model(text, convert(text)).predict_on_batch(tf.constant(captions))
    for found in (loaded, mapped, by_model):
        for key, value in expected.items():
            np.testing.assert_array_equal(found[key], value)


# Images of every format that is served.


def made_picture(height: int, width: int) -> Image.Image:
    """Gradients and noise; no two sides or corners alike."""
    y, x = np.mgrid[:height, :width].astype(float)
    noise = np.random.default_rng(0).normal(0, 20, (height, width, 3))
    pixels = np.stack([255 * x / width, 255 * y / height, 128 + 0 * x], -1) + noise
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def files() -> dict[str, bytes]:
    picture = made_picture(60, 90)
    rgba = picture.copy()
    rgba.putalpha(Image.fromarray(np.arange(60 * 90, dtype=np.uint8).reshape(60, 90)))
    grey_16 = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 250)
    made = {f"{n}.jpg": encoded(picture, "JPEG", exif=oriented(n)) for n in range(1, 9)}
    made |= {f"{n}.png": encoded(picture, "PNG", exif=oriented(n)) for n in (6, 7)}
    for side in (95, 96, 191, 192, 400):  # the last ones are decoded smaller if quality="fast"
        made[f"large {side}.jpg"] = encoded(made_picture(side, 2 * side), "JPEG", exif=oriented(6))
        made[f"wide {side}.jpg"] = encoded(made_picture(side, 2 * side), "JPEG")
    return made | {
        "grey.png": encoded(picture.convert("L"), "PNG"),
        "grey alpha.png": encoded(rgba.convert("LA"), "PNG"),
        "rgba.png": encoded(rgba, "PNG"),
        "16 bits.png": encoded(grey_16, "PNG"),
        "palette.png": encoded(picture.convert("P"), "PNG", transparency=3),
        "lossy.webp": encoded(picture, "WEBP"),
        "rgba.webp": encoded(rgba, "WEBP", exif=oriented(8)),
        "cmyk.jpg": encoded(picture.convert("CMYK"), "JPEG"),
    }


FILES = files()

PIXELS = {
    "pad": Pixels(size=(24, 32), fit="pad", background=(9, 99, 200), normalize="signed"),
    "fast": Pixels(
        size=(24, 28),
        load_size=(32, 32),
        fit="crop",
        max_crop=0.25,
        interpolation="bicubic",
        quality="fast",
        normalize="uint8",
    ),
}

converter = functools.cache(lambda name: ImageDecoder(PIXELS[name]))


@pytest.fixture(scope="module")
def formats(tmp_path_factory: pytest.TempPathFactory, write: Write) -> mmdata.Pairs:
    lines = [json.dumps({"file_name": name, "number": n}) for n, name in enumerate(sorted(FILES))]
    table: dict[str, str | bytes] = {"metadata.jsonl": "\n".join(lines) + "\n"}
    return mmdata.read(
        write(tmp_path_factory.mktemp("formats"), FILES | table), caption_column=None
    )


@pytest.mark.parametrize("name", PIXELS)
def test_every_served_format_equals_training(name: str, formats: mmdata.Pairs) -> None:
    pixels = PIXELS[name]
    task = Classification(column="number")
    ds = mmdata.build(formats, task=task, pixels=pixels, shuffle=False, batch_size=len(FILES))
    ((expected, labels),) = list(ds)
    assert labels.numpy().tolist() == list(range(len(FILES)))
    images = converter(name)(contents_of(formats))
    assert images.dtype == expected.dtype
    for path, image, right in zip(formats.images, images.numpy(), expected.numpy(), strict=True):
        np.testing.assert_array_equal(image, right, path)


@pytest.fixture(scope="module")
def convert() -> Any:
    return converter("pad")


def test_images_in_a_dataset_and_a_model(convert: Any) -> None:
    contents = list(FILES.values())
    expected = convert(contents)
    ds = tf.data.Dataset.from_tensor_slices(contents).batch(7).map(convert)
    assert ds.element_spec == tf.TensorSpec([None, 24, 32, 3], tf.float32)
    np.testing.assert_array_equal(np.concatenate(list(ds)), expected)
    images = keras.Input((), dtype="string")
    model = keras.Model(images, keras.layers.Flatten()(convert(images)))
    assert model.output_shape == (None, 24 * 32 * 3)
    by_model = model.predict(tf.constant(contents), batch_size=9, verbose=0)
    np.testing.assert_array_equal(by_model, tf.reshape(expected, [len(contents), -1]))


def test_error_names_images_that_cannot_be_decoded(convert: Any) -> None:
    good = FILES["1.jpg"]
    picture = made_picture(9, 9)
    webp = encoded(picture, "WEBP", save_all=True, append_images=[picture.rotate(90)])
    bad = [good, encoded(picture, "GIF"), good[:-300], webp, b""]
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        convert(bad)
    advice = ", which ImageDecoder does not decode: convert it to"
    assert (
        f"images[1]: a GIF{advice} JPEG, PNG or WebP; "
        "images[2]: damaged or truncated, cannot be decoded; "
        f"images[3]: an animated WebP{advice} a WebP of one image; "
        "images[4]: the file is empty (0 bytes)"
    ) in str(caught.value)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"images\[4\]: .* \.\.\.") as caught:
        convert([b""] * 6)
    assert "images[5]" not in str(caught.value)


def test_refuses_a_tokenizer_that_is_not_learned_yet() -> None:
    with pytest.raises(ValueError, match=r"^TextEncoder\(text=...\) must hold a Tokenizer"):
        TextEncoder(Text(tokenizer="word"))


def test_template_and_prompt_as_in_training(pairs: mmdata.Pairs) -> None:
    task = mmdata.Prefix(prompt="en: ", template="a photo: {caption}")
    text = Text(tokenizer=Byte(), length=60)
    ds = mmdata.build(pairs, task=task, text=text, image_size=(8, 8), shuffle=False, batch_size=16)
    convert = TextEncoder(ds.text, template=task.template, prompt=task.prompt)
    x, _, _ = next(iter(ds))
    served = convert(list(pairs.captions)[:16])
    np.testing.assert_array_equal(served["token_ids"][:, :-1], x["token_ids"][:, :-1])
    assert ds.text.cleaner == Text().cleaner
    assert ds.text.tokenizer == Byte()


@pytest.mark.parametrize("fix_text", [True, False])
def test_warns_that_it_does_not_repair_text(
    pairs: mmdata.Pairs, convert: Any, fix_text: bool, tmp_path: pathlib.Path
) -> None:
    columns = ["file_name", "caption"]
    rows = [(image, pairs.captions_of(row)[0]) for row, image in enumerate(pairs.images[:4])]
    frame = pd.DataFrame(rows, columns=columns)
    read = mmdata.read(pairs.root, frame, fix_text=fix_text, on_problem="drop")
    split_of = np.array([0, 0, 1, 1], np.int8)
    read = dataclasses.replace(read, split_names=("train", "test"), split_of=split_of)
    text = Text(tokenizer=Byte(), length=200)
    splits = mmdata.build(read, text=text, split=("train", "test"), image_size=(8, 8))
    assert [ds.text.fix_text for ds in splits] == [fix_text] * 2
    assert repr(splits[0].text) == repr(dataclasses.replace(text, clean=Clean.preset("lower")))
    captions = TextEncoder(splits[1].text)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        export_preprocessing(tmp_path / "model", images=convert, captions=captions)
    messages = [str(found.message) for found in caught if found.filename == __file__]
    assert len(messages) == fix_text
    assert all("Call ftfy.fix_text on each caption" in message for message in messages)


def test_composed_and_decomposed_text_are_one(tokenizers: dict[str, Tokenizer]) -> None:
    captions = ["Café in Việt Nam, 한국", "Ångström"]
    convert = TextEncoder(Text(tokenizer=tokenizers["clip"]))
    composed, apart = (
        convert([unicodedata.normalize(form, caption) for caption in captions])["token_ids"]
        for form in ("NFC", "NFD")
    )
    np.testing.assert_array_equal(composed, apart)


def test_takes_pixels_by_name() -> None:
    assert ImageDecoder("clip").pixels == Pixels.preset("clip")


def test_refuses_buckets() -> None:
    with pytest.raises(ValueError, match=r"^ImageDecoder\(pixels=...\) must have one size"):
        ImageDecoder(Pixels(buckets=((32, 64), (64, 32))))


def test_needs_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match=r"^ImageDecoder needs Keras' backend .*'jax'"):
        ImageDecoder(Pixels())
    with pytest.raises(RuntimeError, match=r"^TextEncoder needs Keras' backend"):
        TextEncoder(Text(tokenizer=Byte()))


def test_writes_all_or_nothing(
    convert: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new" / "model"
    with monkeypatch.context() as patch:
        patch.setattr(tf.saved_model, "save", half_written)
        with pytest.raises(OSError, match="disk is full"):
            export_preprocessing(path, images=convert)
    assert not path.parent.exists()
    export_preprocessing(path, images=convert)
    assert [*path.parent.iterdir()] == [path]
    signatures = tf.saved_model.load(str(path)).signatures
    assert sorted(signatures) == ["images", "serving_default"]
    content = [FILES["1.jpg"]]
    images = signatures["serving_default"](images=tf.constant(content))["images"]
    np.testing.assert_array_equal(images, convert(content))
    with pytest.raises(FileExistsError, match="overwrite=True replaces"):
        export_preprocessing(path, images=convert)
    (path / "mark").touch()
    with monkeypatch.context() as patch:
        patch.setattr(tf.saved_model, "save", half_written)
        with pytest.raises(OSError, match="disk is full"):
            export_preprocessing(path, images=convert, overwrite=True)
    assert (path / "mark").exists()
    captions = TextEncoder(Text(tokenizer=Byte()))
    export_preprocessing(path, images=convert, captions=captions, overwrite=True)
    assert not (path / "mark").exists()
    assert sorted(tf.saved_model.load(str(path)).signatures) == [
        *("captions", "images", "serving_default")
    ]
    assert [*path.parent.iterdir()] == [path]


def test_overwrites_nothing_but_a_saved_model(convert: Any, tmp_path: pathlib.Path) -> None:
    photo = tmp_path / "photos" / "a.jpg"
    photo.parent.mkdir()
    photo.write_bytes(FILES["1.jpg"])
    for path in (photo.parent, photo):
        with pytest.raises(FileExistsError, match="is not a SavedModel"):
            export_preprocessing(path, images=convert, overwrite=True)
    assert photo.read_bytes() == FILES["1.jpg"]


def half_written(_: Any, path: str, signatures: Any) -> None:
    assert signatures
    pathlib.Path(path).mkdir()
    pathlib.Path(path, "saved_model.pb").write_bytes(b"half")
    raise OSError("the disk is full")
