"""`mmdata.build`: sizes of many shapes, augmentation and formats, from files to batches."""

import collections
import functools
import io
import itertools
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from batches import assert_same, epoch_of, joined  # type: ignore[import-not-found]
from numpy.typing import NDArray
from pictures import encoded, oriented  # type: ignore[import-not-found]
from PIL import Image

import mmdata
from mmdata import Captioning, Classification, Pixels, Problems, Retrieval
from mmdata.sampling.size_buckets import aspect_buckets
from mmdata.stages.augment import Color, Flip, RandomCrop
from mmdata.stages.resize import Resize

Write = Callable[[pathlib.Path, Mapping[str, str | bytes]], pathlib.Path]
Size = tuple[int, int]
Array = NDArray[Any]

SIZES: tuple[Size, ...] = ((32, 64), (48, 48), (64, 32))
BACKGROUND = (1, 2, 3)
BATCH = 4


def made_picture(height: int, width: int, seed: int = 0) -> Image.Image:
    """Gradients and noise; no two sides, corners, channels or seeds alike."""
    y, x = np.mgrid[:height, :width].astype(float)
    blue = 255 * (x + y) / (height + width)
    noise = np.random.default_rng(seed).normal(0, 25, (height, width, 3))
    pixels = np.stack([255 * x / width, 255 * y / height, blue], -1) + noise
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def files() -> dict[str, tuple[bytes, Size | None]]:
    """Images of many shapes and formats by name: the file, and its upright size, if it tells."""
    shapes = [(60, 90), (90, 60), (70, 70), (40, 120), (120, 40), (64, 100), (100, 64), (75, 70)]
    shapes += [(50, 90), (33, 66), (66, 33), (80, 81)]
    made: dict[str, tuple[bytes, Size | None]] = {
        f"{i}.jpg": (encoded(made_picture(*shape, seed=i), "JPEG", quality=92), shape)
        for i, shape in enumerate(shapes)
    }
    for orientation, kind in [(3, "JPEG"), (6, "JPEG"), (8, "JPEG"), (5, "PNG")]:
        picture = made_picture(60, 110, seed=20 + orientation)
        shape = (60, 110) if orientation < 5 else (110, 60)
        made[f"turned {orientation}"] = encoded(picture, kind, exif=oriented(orientation)), shape
    wide, tall, square = (made_picture(h, w, h) for h, w in [(50, 101), (101, 50), (77, 78)])
    palette = wide.convert("P", palette=Image.Palette.ADAPTIVE)
    frames = {"save_all": True, "append_images": [square.rotate(90)]}
    made |= {
        "a.tiff": (encoded(tall, "TIFF"), (101, 50)),
        "b.avif": (encoded(wide, "AVIF"), (50, 101)),
        "c.bmp": (encoded(palette, "BMP"), (50, 101)),
        "d.webp": (encoded(square, "WEBP", lossless=True, **frames), (77, 78)),
        "e.gif": (encoded(palette, "GIF", transparency=3), (50, 101)),
        "cut.jpg": (encoded(made_picture(50, 99), "JPEG")[:-300], (50, 99)),
        "page.jpg": (b"<!doctype html>", None),
    }
    return {name if "." in name else f"{name}.jpg": made[name] for name in sorted(made)}


FILES = files()
NAMES = sorted(FILES)
CORRUPT = {"cut.jpg", "page.jpg"}
CAPTIONS = {name: [f"{name}, {i}" for i in range(1 + n % 3)] for n, name in enumerate(NAMES)}


def bucket_of(name: str) -> Size:
    height, width = FILES[name][1] or (1, 1)
    return min(SIZES, key=lambda size: abs(np.log(height / width * size[1] / size[0])))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory, write: Write) -> mmdata.Pairs:
    """`FILES` and `CAPTIONS`, with a column of numbers."""
    lines = [
        json.dumps({"file_name": name, "captions": CAPTIONS[name], "number": number})
        for number, name in enumerate(NAMES)
    ]
    table: dict[str, str | bytes] = {"metadata.jsonl": "\n".join(lines) + "\n"}
    root = write(
        tmp_path_factory.mktemp("shapes"), {n: file for n, (file, _) in FILES.items()} | table
    )
    return mmdata.read(root)


def build(pairs: Any, **options: Any) -> Any:
    """A dataset of uint8 images, short sequences of bytes and small batches."""
    defaults: dict[str, Any] = {
        "text": "byte",
        "sequence_length": 40,
        "batch_size": BATCH,
        "on_problem": Problems(corrupt="drop"),
    }
    return mmdata.build(pairs, **defaults | options)


def pixels_of(fit: Any = "stretch", **fields: Any) -> Pixels:
    return Pixels(fit=fit, normalize="uint8", background=BACKGROUND, **fields)


CLASSES = Classification(column="number")


def images_of(pairs: Any, pixels: Pixels, **options: Any) -> dict[str, Array]:
    """Each image by its name, as a build for labels has it."""
    ds = build(pairs, pixels=pixels, task=CLASSES, **options)
    return {
        NAMES[label]: image
        for images, labels, _ in ds
        for image, label in zip(images.numpy(), labels.numpy(), strict=True)
    }


@pytest.fixture(scope="module")
def reference(pairs: mmdata.Pairs) -> Callable[..., Array]:
    """An image as a build for one size has it."""

    @functools.cache
    def at_one_size(fit: str, size: Size) -> dict[str, Array]:
        pixels = pixels_of(fit, size=size, max_crop=0.25 if fit == "crop" else None)
        return images_of(pairs, pixels, shuffle=False)

    return lambda fit, name, size: at_one_size(fit, size)[name]


Seen = tuple[str, str, Array, bool]
"""Of an example: the name of its image, its caption, its pixels, and whether it counts."""


def seen(ds: Any, batch: Any) -> list[Seen]:
    """What a batch of any task holds."""
    if isinstance(ds.task, Captioning):
        x, ids, weight = batch
        images, numbers, counts = x["images"], x["number"], tf.reduce_any(weight > 0, axis=1)
    elif isinstance(ds.task, Retrieval):
        images, numbers, ids = (batch[name] for name in ("images", "number", "token_ids"))
        counts = tf.reduce_any(batch["padding_mask"] > 0, axis=1)
    else:
        images, numbers, weight = batch
        ids, counts = None, weight > 0
    names = [NAMES[number] for number in numbers.numpy()]
    texts = [""] * len(names)
    if ids is not None:
        texts = [text.decode() for text in ds.tokenizer.detokenize(ids).numpy()]
    return list(zip(names, texts, images.numpy(), counts.numpy().tolist(), strict=True))


TASKS: dict[str, Any] = {
    "crop": Captioning(columns=("number",)),
    "pad": Retrieval(columns=("number",)),
    "stretch": CLASSES,
}


@pytest.mark.parametrize(("fit", "task"), TASKS.items(), ids=str)
def test_buckets(fit: str, task: Any, pairs: mmdata.Pairs, reference: Any) -> None:
    assert aspect_buckets((48, 48), step=16) == SIZES
    ds = build(pairs, task=task, pixels=pixels_of(fit, buckets=SIZES))
    assert ds.image_sizes == SIZES
    each = collections.Counter(
        (name, text)
        for name, texts in CAPTIONS.items()
        for text in (texts if isinstance(task, Captioning) else texts[:1])
    )
    members = collections.Counter(bucket_of(name) for name, _ in each)
    assert sum(count % BATCH > 0 for count in members.values()) >= 2  # some batches are short
    spec = ds.element_spec if isinstance(task, Retrieval) else ds.element_spec[0]
    spec = spec if isinstance(task, Classification) else spec["images"]
    assert spec == tf.TensorSpec([None, None, None, 3], tf.uint8)
    for epoch in range(2):
        assert len(ds) == sum(-(-count // BATCH) for count in members.values())
        batches = [seen(ds, batch) for batch in ds]
        examples = [example for batch in batches for example in batch]
        if isinstance(task, Captioning):
            assert collections.Counter((name, text) for name, text, _, _ in examples) == each
        else:
            assert sorted(name for name, _, _, _ in examples) == NAMES
        if isinstance(task, Retrieval):
            for name, text, _, _ in examples:
                texts = CAPTIONS[name]
                assert text == texts[(NAMES.index(name) + epoch) % len(texts)]
        lengths: dict[Size, list[int]] = {size: [] for size in SIZES}
        for batch in batches:
            (size,) = {bucket_of(name) for name, _, _, _ in batch}
            lengths[size].append(len(batch))
            for name, _, image, counts in batch:
                np.testing.assert_array_equal(image, reference(fit, name, size), name)
                assert counts == (name not in CORRUPT)
        for size, count in members.items():
            full, rest = divmod(count, BATCH)
            assert sorted(lengths[size], reverse=True) == [BATCH] * full + [rest] * (rest > 0)
        found = {f.path for f in ds.report.findings if f.kind == "corrupt"}
        assert found == CORRUPT  # and no other image of the batch, nor what fills it up


def test_corrupt_files_stop_a_strict_run_over_buckets(pairs: mmdata.Pairs) -> None:
    good = pairs.filter([name not in CORRUPT for name in NAMES])
    ds = build(good, pixels=pixels_of(buckets=SIZES), task=CLASSES, on_problem="error")
    assert sum(len(labels) for _, labels in ds) == len(NAMES) - 2
    cut = pairs.filter([name != "page.jpg" for name in NAMES])
    ds = build(cut, pixels=pixels_of(buckets=SIZES), task=CLASSES, on_problem="error")
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"cut\.jpg"):
        list(ds)


def test_what_fills_up_plain_photos_is_no_finding(tmp_path: pathlib.Path, write: Write) -> None:
    """All are upright JPEGs, and the last one of a short batch is cut off."""
    photos = {f"{i}.jpg": encoded(made_picture(20, 20, i), "JPEG") for i in range(5)}
    photos["4.jpg"] = photos["4.jpg"][:-90]
    write(tmp_path, photos | {f"{i}.txt": f"photo {i}" for i in range(5)})
    ds = build(tmp_path, pixels=pixels_of(buckets=((8, 8),)), shuffle=False)
    weights = [weight.numpy().any(axis=1).tolist() for _, _, weight in ds]
    assert weights == [[True] * 4, [False]]
    assert [f.path for f in ds.report.findings if f.kind == "corrupt"] == ["4.jpg"]


def test_the_same_batches_in_every_run_at_every_step_and_over_shards(pairs: mmdata.Pairs) -> None:
    options = {
        "task": CLASSES,
        "batch_size": 6,
        "pixels": Pixels(buckets=SIZES, fit="crop"),
        "augment": (Flip(captions_aware=False), Color(hue=0.1)),
    }
    ds = build(pairs, **options)
    first, second = epoch_of(ds), epoch_of(ds)
    assert [array.tobytes() for array in first[0]] != [array.tobytes() for array in second[0]]
    later = build(pairs, **options).at(len(ds) + 3)
    assert_same(epoch_of(later), second[3:])
    one_thread = tf.data.Options()
    one_thread.threading.private_threadpool_size = 1
    shards = [build(pairs, **options, shard=(k, 2)).with_options(one_thread) for k in range(2)]
    assert_same(joined(map(epoch_of, shards)), first)


def test_a_model_fits_over_buckets(pairs: mmdata.Pairs) -> None:
    ds = build(pairs, pixels=Pixels(buckets=SIZES), task=CLASSES)
    pool, dense = keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(len(NAMES))
    model = keras.Sequential([keras.Input((None, None, 3)), pool, dense])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # XLA would compile again for every size and number of images.
    model.compile(keras.optimizers.Adam(0.1), loss, jit_compile=False)
    losses = model.fit(ds, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("max_crop", "above", "below"), [(None, 2, 2), (0.25, 2, 2), (0.0, 6, 5), (1.0, 0, 0)]
)
def test_crops_at_most_a_quarter_into_buckets(
    max_crop: float | None, above: int, below: int, pairs: mmdata.Pairs
) -> None:
    # 40 x 120 covers 32 x 64 at 4/5, and then loses a third; at 0.71 a quarter, and is 28 high;
    # at 0.53 nothing, and is 21 high.
    alone = pairs.filter([name == "3.jpg" for name in NAMES])
    pixels = pixels_of("crop", buckets=SIZES, max_crop=max_crop)
    (image,) = images_of(alone, pixels).values()
    assert image.shape == (32, 64, 3)
    is_background = (image == BACKGROUND).all((1, 2))
    assert [len(list(run)) for _, run in itertools.groupby(is_background)] == (
        [above, 32 - above - below, below] if above else [32]
    )
    assert is_background[0] == bool(above)


# Formats that Pillow decodes.


@pytest.mark.parametrize(
    ("fit", "fields"),
    [("stretch", {"size": (40, 44)}), ("crop", {"buckets": SIZES}), ("pad", {"size": (40, 44)})],
    ids=["stretch", "crop, buckets", "pad"],
)
def test_formats_of_pillow_equal_a_png(
    fit: str, fields: dict[str, Any], tmp_path: pathlib.Path, write: Write
) -> None:
    """Bit for bit what the same pixels give as a PNG, which TensorFlow decodes."""
    names = ["a.tiff", "b.avif", "c.bmp", "d.webp", "e.gif"]
    for name in names:
        content = FILES[name][0]
        canvas = Image.new("RGBA", Image.open(io.BytesIO(content)).size, (*BACKGROUND, 255))
        canvas.alpha_composite(Image.open(io.BytesIO(content)).convert("RGBA"))
        png = encoded(canvas.convert("RGB"), "PNG")
        write(tmp_path, {name: content, f"{name[0]}.png": png})
    lines = [
        json.dumps({"file_name": file, "number": number})
        for number, file in enumerate(names + [f"{name[0]}.png" for name in names])
    ]
    write(tmp_path, {"metadata.jsonl": "\n".join(lines)})
    pairs = mmdata.read(tmp_path, caption_column=None)
    images = images_of(pairs, pixels_of(fit, **fields))  # the name of each number is any
    for number, name in enumerate(names):
        other = images[NAMES[number]]
        np.testing.assert_array_equal(other, images[NAMES[number + 5]], name)
        assert len(np.unique(other)) > 100


# quality="fast".

LARGE = made_picture(1200, 1600)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, write: Write) -> mmdata.Pairs:
    """One photo of 1200 x 1600, upright and lying, and small ones."""
    smooth = LARGE.resize((200, 150)).resize((1600, 1200), Image.Resampling.BICUBIC)
    images = {
        "0.jpg": encoded(smooth, "JPEG", quality=92),
        "1.jpg": encoded(smooth, "JPEG", quality=92, exif=oriented(6)),
        "2.jpg": encoded(made_picture(90, 110), "JPEG"),
        "3.png": encoded(made_picture(300, 500), "PNG"),
    }
    lines = [json.dumps({"file_name": n, "number": i}) for i, n in enumerate(images)]
    root = write(tmp_path_factory.mktemp("large"), images | {"metadata.jsonl": "\n".join(lines)})
    return mmdata.read(root, caption_column=None)


def by_number(pairs: Any, pixels: Pixels, **options: Any) -> list[Array]:
    ds = build(pairs, pixels=pixels, task=CLASSES, shuffle=False, **options)
    ((images, labels, _),) = list(ds)
    assert labels.numpy().tolist() == [0, 1, 2, 3]
    return list(images.numpy())


def decoded_at(path: str, ratio: int, size: Size, turns: int) -> Array:
    image = tf.io.decode_jpeg(
        tf.io.read_file(path), channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE"
    )
    resize = Resize(size=size, background=BACKGROUND)
    resized: Array = resize({"image": tf.image.rot90(image, turns)})["image"].numpy()
    return resized


@pytest.mark.parametrize(
    ("size", "ratios"), [((64, 64), (8, 8)), ((64, 250), (4, 2)), ((250, 64), (2, 4))], ids=str
)
def test_fast_decodes_large_photos_smaller(
    size: Size, ratios: tuple[int, int], large: mmdata.Pairs
) -> None:
    fast = by_number(large, pixels_of(size=size, quality="fast"))
    exact = by_number(large, pixels_of(size=size))
    for row, (ratio, turns) in enumerate(zip(ratios, (0, 3), strict=True)):
        made = {r: decoded_at(large.path(row), r, size, turns) for r in (1, 2, 4, 8)}
        assert len({image.tobytes() for image in made.values()}) == 4
        np.testing.assert_array_equal(fast[row], made[ratio])
        np.testing.assert_array_equal(exact[row], made[1])
        difference = np.abs(fast[row].astype(int) - exact[row])
        assert difference.max() <= 12
        assert difference.mean() < 1
    for row in (2, 3):
        np.testing.assert_array_equal(fast[row], exact[row])


def test_fast_looks_at_what_is_loaded_and_at_each_bucket(large: mmdata.Pairs) -> None:
    # 1200 x 1600 is 1.5 times 400 x 400 at 1/2 only, and 1.5 times 64 x 64 at 1/8.
    fast = by_number(large, pixels_of(size=(64, 64), load_size=(400, 400), quality="fast"))
    loaded = decoded_at(large.path(0), 2, (400, 400), 0)
    np.testing.assert_array_equal(fast[0], loaded[168:232, 168:232])
    sizes = ((64, 250), (250, 64))
    ds = build(large, pixels=pixels_of(buckets=sizes, quality="fast"), task=CLASSES)
    images = {
        label: image
        for batch, labels, _ in ds
        for image, label in zip(batch.numpy(), labels.numpy(), strict=True)
    }
    np.testing.assert_array_equal(images[0], decoded_at(large.path(0), 4, sizes[0], 0))
    np.testing.assert_array_equal(images[1], decoded_at(large.path(1), 4, sizes[1], 3))


# load_size and RandomCrop.


def test_the_middle_of_what_is_loaded(pairs: mmdata.Pairs, reference: Any) -> None:
    images = images_of(pairs, pixels_of("pad", size=(20, 47), load_size=(32, 64)))
    assert sorted(images) == NAMES
    for name, image in images.items():
        whole = reference("pad", name, (32, 64))
        np.testing.assert_array_equal(image, whole[6:26, 8:55], name)


@pytest.mark.parametrize(
    ("fields", "loaded"),
    [
        ({}, (256, 256)),
        ({"size": (100, 49)}, (115, 56)),
        ({"size": (100, 49), "load_size": (100, 60)}, (100, 60)),
    ],
    ids=str,
)
def test_random_crop_takes_from_what_is_loaded(
    fields: dict[str, Any], loaded: Size, pairs: mmdata.Pairs
) -> None:
    shapes = []

    def look(example: dict[str, Any]) -> dict[str, Any]:
        shapes.append(tuple(example["image"].shape))
        return example

    pixels = pixels_of(**fields)
    images = images_of(pairs, pixels, augment=(look, RandomCrop()))
    assert set(shapes) == {(*loaded, 3)}
    assert {image.shape for image in images.values()} == {(*pixels.size, 3)}


def test_random_crop_of_the_whole_is_what_was_loaded(pairs: mmdata.Pairs, reference: Any) -> None:
    whole = RandomCrop(size=(32, 64), scale=(1, 1), ratio=(2, 2))
    pixels = pixels_of("pad", size=(32, 64), load_size=(32, 64))
    images = images_of(pairs, pixels, augment=(whole,))
    for name, image in images.items():
        np.testing.assert_array_equal(image, reference("pad", name, (32, 64)), name)


def test_random_crop_and_buckets_exclude_each_other(pairs: mmdata.Pairs) -> None:
    for stage in (RandomCrop(), RandomCrop(size=(32, 64))):
        with pytest.raises(ValueError, match=r"augment=.* RandomCrop.*buckets=\.\.\.\); got \(\("):
            build(pairs, pixels=pixels_of(buckets=SIZES), augment=(Flip(), stage))


# Which splits are augmented.


def inverted(example: dict[str, Any]) -> dict[str, Any]:
    return {**example, "image": 255 - example["image"]}


def test_what_measures_is_not_augmented(pairs: mmdata.Pairs) -> None:
    good = pairs.filter([name not in CORRUPT for name in NAMES])
    shares = {"train": 0.4, "validation": 0.3, "test": 0.3}
    split = good.split(shares)
    plain = images_of(good, pixels_of(size=(8, 8)))

    def are_inverted(ds: Any) -> set[bool]:
        marks = set()
        for images, labels, *_ in ds:
            for image, label in zip(images.numpy(), labels.numpy(), strict=True):
                before = plain[NAMES[label]]
                is_inverted = np.array_equal(image, 255 - before)
                assert is_inverted or np.array_equal(image, before)
                marks.add(is_inverted)
        return marks

    def augmented(splits: Any) -> Any:
        pixels = pixels_of(size=(8, 8))
        return build(split, split=splits, pixels=pixels, task=CLASSES, augment=(inverted,))

    validation, train, test = augmented(("validation", "train", "test"))
    assert [are_inverted(ds) for ds in (train, validation, test)] == [{True}, {False}, {False}]
    assert {name for ds in (train, validation, test) for name in ds.pairs.images} == set(plain)
    assert are_inverted(augmented("validation")) == {False}
    assert are_inverted(augmented("train")) == {True}
    assert are_inverted(augmented(None)) == {True}


@pytest.mark.parametrize("augment", [Flip(), [Flip], (Flip(), None), "flip"], ids=repr)
def test_what_is_no_sequence_of_stages(augment: Any, pairs: mmdata.Pairs) -> None:
    with pytest.raises(ValueError, match=r"augment=\.\.\. must be a sequence of stages.*; got"):
        build(pairs, augment=augment)


@pytest.mark.parametrize(
    "crops",
    [(RandomCrop(size=(16, 16)),), (RandomCrop(), RandomCrop())],
    ids=["another size", "two of them"],
)
def test_crops_that_are_refused(crops: Any, pairs: mmdata.Pairs) -> None:
    message = r"may hold one RandomCrop, with size=None or the size of the pixels, \(32, 32\); got"
    with pytest.raises(ValueError, match=message):
        build(pairs, pixels=pixels_of(size=(32, 32)), augment=crops)


def test_splits_that_are_not_augmented_are_not_loaded_larger(pairs: mmdata.Pairs) -> None:
    split = pairs.split({"train": 0.5, "validation": 0.5})
    options = {"split": ("train", "validation"), "pixels": pixels_of(size=(24, 24))}
    _, plain = build(split, task=CLASSES, shuffle=False, **options)
    _, other = build(split, task=CLASSES, shuffle=False, augment=(RandomCrop(),), **options)
    assert_same(epoch_of(plain), epoch_of(other))


def test_captions_turn_with_their_pictures(tmp_path: pathlib.Path, write: Write) -> None:
    """A red half and a blue one: over many epochs captions always name the side of the red."""
    halves = np.zeros((16, 16, 3), np.uint8)
    halves[:, :8], halves[:, 8:] = (255, 0, 0), (0, 0, 255)
    left, right = (encoded(Image.fromarray(image), "PNG") for image in (halves, halves[:, ::-1]))
    captions = {
        "a": "the red half is on the left\nthe LEFT half is red, the right half is blue",
        "b": "the red half is on the right\nthe RIGHT half is red, the left half is blue",
        "sign": "a sign says that the red half is on the left",
    }
    for copy in range(12):
        write(tmp_path / str(copy), {"a.png": left, "b.png": right, "sign.png": left})
        texts = {f"{name}.txt": text + "\n" for name, text in captions.items()}
        write(tmp_path / str(copy), texts)
    pixels = pixels_of(buckets=((16, 16), (8, 32)))
    ds = build(tmp_path, pixels=pixels, sequence_length=80, augment=(Flip(),), batch_size=16)
    counts: collections.Counter[str] = collections.Counter()
    for x, y, _ in [*ds, *ds, *ds]:
        decoded = ds.tokenizer.detokenize(y).numpy()
        for image, text in zip(x["images"].numpy(), decoded, strict=True):
            red_is_left = image[8, 2].tolist() == [255, 0, 0]
            assert red_is_left != (image[8, 13].tolist() == [255, 0, 0])
            words = text.decode()
            side, other = ("left", "right") if red_is_left else ("right", "left")
            assert words in (
                f"the red half is on the {side}",
                f"the {side} half is red, the {other} half is blue",
                captions["sign"],
            )
            counts[words] += 1
    assert counts.pop(captions["sign"]) == 36
    assert len(counts) == 4
    assert min(counts.values()) >= 20  # 36 on average, of 72


# Problems(max_pixels=).


@pytest.mark.parametrize("as_pairs", [False, True])
def test_larger_images_are_corrupt(tmp_path: pathlib.Path, write: Write, as_pairs: bool) -> None:
    shapes = {"a.png": (10, 10), "b.png": (20, 20), "c.jpg": (10, 30), "d.tiff": (1, 301)}
    kinds = {"png": "PNG", "jpg": "JPEG", "tiff": "TIFF"}
    write(
        tmp_path,
        {n: encoded(made_picture(*s), kinds[n.split(".")[1]]) for n, s in shapes.items()},
    )
    write(tmp_path, {name.split(".")[0] + ".txt": "a picture" for name in shapes})
    images = mmdata.read(tmp_path) if as_pairs else tmp_path
    ds = build(images, on_problem=Problems(corrupt="drop", max_pixels=300), shuffle=False)
    ((x, _, weight),) = list(ds)
    assert weight.numpy().any(axis=1).tolist() == [True, False, True, False]
    assert x["images"].numpy().any(axis=(1, 2, 3)).tolist() == [True, False, True, False]
    found = {f.path: f.detail for f in ds.report.findings if f.kind == "corrupt"}
    assert found == {
        "b.png": "20 x 20 pixels, more than 300 in all",
        "d.tiff": "1 x 301 pixels, more than 300 in all",
    }
    with pytest.raises(mmdata.PairingError, match=r"b\.png") as caught:
        build(images, on_problem=Problems(max_pixels=300))
    assert [f.path for f in caught.value.findings] == ["b.png", "d.tiff"]
    with pytest.raises(mmdata.PairingError, match=r"allows 1 problem\(s\); got 2 problem"):
        build(images, on_problem=Problems(corrupt="drop", budget=1, max_pixels=300))
    ds = build(images, on_problem="error", shuffle=False)
    ((_, _, weight),) = list(ds)
    assert weight.numpy().any(axis=1).all()
    assert not ds.report.findings
