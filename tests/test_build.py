"""`mmdata.build`, end to end, on real photos and on the sample pictures."""

import collections
import inspect
import pathlib
import shutil
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import mmdata
from mmdata.tokenizers import Word

SAMPLES = pathlib.Path(__file__).parents[1] / "sample_data"
SMALL: dict[str, Any] = {"image_size": (32, 32), "sequence_length": 24, "text": "word"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Twelve sample pictures with their captions beside them."""
    root = tmp_path_factory.mktemp("pictures")
    for image in sorted((SAMPLES / "images" / "night").iterdir())[:12]:
        shutil.copy(image, root)
        shutil.copy((SAMPLES / "captions" / "night" / image.stem).with_suffix(".txt"), root)
    return root


def pictures_of(batches: Any) -> list[bytes]:
    """The bytes of every image, in order, of a dataset for captioning."""
    return [image.tobytes() for x, _, _ in batches for image in x["images"].numpy()]


def texts_of(ds: mmdata.Dataset, batches: Any) -> list[str]:
    """Every caption, in order, of a dataset for captioning."""
    ids = [row for _, y, _ in batches for row in y.numpy()]
    return [text.decode() for text in ds.tokenizer.detokenize(tf.stack(ids)).numpy()]


@pytest.fixture(scope="module")
def fives(folder: pathlib.Path) -> mmdata.Dataset:
    """Batches of five."""
    ds: mmdata.Dataset = mmdata.build(folder, batch_size=5, **SMALL)
    return ds


@pytest.fixture(scope="module")
def epochs(fives: mmdata.Dataset) -> list[list[str]]:
    """The captions of its first three epochs."""
    ds = fives.at(0)
    return [texts_of(ds, ds) for _ in range(3)]


def test_signature_is_pinned() -> None:
    parameters = inspect.signature(mmdata.build).parameters
    assert {name: p.default for name, p in parameters.items() if p.default is not p.empty} == {
        "captions": None,
        "task": "captioning",
        "split": None,
        "pixels": "unit",
        "image_size": None,
        "text": "wordpiece",
        "sequence_length": None,
        "augment": (),
        "batch_size": 32,
        "shuffle": True,
        "seed": 0,
        "shard": (0, 1),
        "cache": None,
        "on_problem": "error",
    }
    keyword_only = [n for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY]
    assert list(parameters) == ["images", "captions", *keyword_only]


class TestRealPhotos:
    """79 photos with 395 captions, and 80 photos without."""

    def test_strict_by_default(self, coco: pathlib.Path) -> None:
        captions = coco / "annotations" / "captions_val2017.json"
        with pytest.raises(mmdata.PairingError, match="80 image") as caught:
            mmdata.build(coco / "val2017", captions)
        assert [found.kind for found in caught.value.findings] == ["missing_caption"] * 80
        assert sum(found.path in str(caught.value) for found in caught.value.findings) == 5

    def test_drop_visits_each_pair_once_an_epoch_and_fits(self, coco: pathlib.Path) -> None:
        captions = coco / "annotations" / "captions_val2017.json"
        ds = mmdata.build(coco / "val2017", captions, on_problem="drop", **SMALL)
        assert (len(ds.pairs), ds.pairs.pair_count) == (79, 395)
        assert ds.report.counts == {"missing_caption": 80}
        batches = list(ds.at(0))
        seen = collections.Counter(pictures_of(batches))
        assert len(seen) == 79
        assert sorted(seen.values()) == sorted(np.diff(ds.pairs.offsets))
        clean = mmdata.Text().cleaner
        assert clean is not None
        cleaned = clean({"caption": tf.constant(list(ds.pairs.captions))})["caption"].numpy()
        ids = ds.tokenizer.tokenize(cleaned)[:, :23]
        expected = [text.decode() for text in ds.tokenizer.detokenize(ids).numpy()]
        assert sorted(texts_of(ds, batches)) == sorted(expected)

        model = mmdata.Captioner.from_dataset(ds, width=16, depth=1, heads=1)
        history = model.fit(ds, epochs=2, verbose=0).history
        assert history["loss"][1] < history["loss"][0]

    def test_text_files_give_the_same_examples(
        self, coco: pathlib.Path, tmp_path: pathlib.Path
    ) -> None:
        images = coco / "val2017"
        captions = coco / "annotations" / "captions_val2017.json"
        from_json = mmdata.build(images, captions, on_problem="drop", **SMALL)
        pairs = from_json.pairs
        for row in range(len(pairs)):
            text = "\n".join(pairs.captions_of(row)) + "\n"
            (tmp_path / pairs.images[row]).with_suffix(".txt").write_text(text, "utf-8")
        from_text = mmdata.build(images, tmp_path, on_problem="drop", **SMALL)
        for (x, y, w), (x_text, y_text, w_text) in zip(from_json, from_text, strict=True):
            for name, tensor in x.items():
                np.testing.assert_array_equal(tensor, x_text[name])
            np.testing.assert_array_equal(y, y_text)
            np.testing.assert_array_equal(w, w_text)


class TestMess:
    """A folder as people leave it."""

    MESS = SAMPLES / "messy"

    def test_fails_by_default_and_says_what_to_do(self) -> None:
        with pytest.raises(mmdata.PairingError) as caught:
            mmdata.build(self.MESS)
        message = str(caught.value)
        for words in ("IMG_2039.txt", "IMG_2042.jpg", "untitled.png", 'on_problem="drop"'):
            assert words in message

    def test_drop_names_and_counts_what_is_lost(self) -> None:
        ds = mmdata.build(self.MESS, on_problem="drop", batch_size=4, **SMALL)
        assert {"photo v2.0.png", "cafe\u0301 mug.jpg"} <= set(ds.pairs.images)
        for _ in range(2):
            weights = [float(w.sum()) for _, _, weight in ds for w in weight.numpy()]
            truncated = ds.pairs.images[:].index("download (1).jpg")
            assert weights.count(0.0) == len(ds.pairs.captions_of(truncated)) > 0
            assert len(weights) == ds.pairs.pair_count
        assert ds.report.counts == {
            "missing_caption": 1,
            "missing_image": 1,
            "empty_caption": 1,
            "corrupt": 1,
            "name_mismatch": 1,
            "several_lines": 7,
        }
        (corrupt,) = (found for found in ds.report.findings if found.kind == "corrupt")
        assert corrupt.path == "download (1).jpg"
        assert "premature end of data" in corrupt.detail

    def test_corrupt_image_stops_a_strict_run_by_name(self, folder: pathlib.Path) -> None:
        with_bad = folder.parent / "with_bad"
        shutil.copytree(folder, with_bad)
        bad = sorted(with_bad.glob("*.jpg"))[0]
        bad.write_bytes(bad.read_bytes()[:-400])
        ds = mmdata.build(with_bad, **SMALL)
        with pytest.raises(tf.errors.InvalidArgumentError, match=bad.name):
            list(ds)

    def test_what_is_no_image_is_named_before_training(self, tmp_path: pathlib.Path) -> None:
        for name, content in {"page.jpg": b"<html>", "none.png": b"", "x.webp": b"RIFF"}.items():
            (tmp_path / name).write_bytes(content)
            (tmp_path / name).with_suffix(".txt").write_text("a caption")
        for images in (tmp_path, mmdata.read(tmp_path), mmdata.read(tmp_path).scanned()[1]):
            with pytest.raises(mmdata.PairingError) as caught:
                mmdata.build(images)
            assert [(f.kind, f.path) for f in caught.value.findings] == [
                ("corrupt", "none.png"),
                ("corrupt", "page.jpg"),
                ("corrupt", "x.webp"),
            ]


class TestOrder:
    """Every iteration is the next epoch."""

    def test_three_orders_each_complete_and_the_same_again(
        self, folder: pathlib.Path, epochs: list[list[str]]
    ) -> None:
        assert len({tuple(epoch) for epoch in epochs}) == 3
        assert len({tuple(sorted(epoch)) for epoch in epochs}) == 1
        again = mmdata.build(folder, batch_size=5, **SMALL)
        assert len(epochs[0]) == again.pairs.pair_count
        assert [texts_of(again, again) for _ in range(3)] == epochs

    def test_another_seed_is_another_order(
        self, folder: pathlib.Path, epochs: list[list[str]]
    ) -> None:
        ds = mmdata.build(folder, batch_size=5, seed=1, **SMALL)
        order = texts_of(ds, ds)
        assert order not in epochs
        assert sorted(order) == sorted(epochs[0])

    def test_without_shuffling_rows_come_in_order(self, folder: pathlib.Path) -> None:
        ds = mmdata.build(folder, shuffle=False, text=mmdata.Text(tokenizer="byte", length=200))
        assert texts_of(ds, ds) == [text.lower() for text in ds.pairs.captions]

    def test_at_a_step_is_the_rest_of_its_epoch(
        self, fives: mmdata.Dataset, epochs: list[list[str]]
    ) -> None:
        steps = len(fives)
        later = fives.at(steps + 2)
        assert len(later) == steps - 2
        assert texts_of(fives, later) == epochs[1][10:]
        assert texts_of(fives, later) == epochs[2]
        with pytest.raises(ValueError, match="at least 0"):
            fives.at(-1)

    def test_shards_join_to_the_whole(self, folder: pathlib.Path) -> None:
        whole = mmdata.build(folder, batch_size=4, task="retrieval", **SMALL)
        shards = [
            mmdata.build(folder, batch_size=4, task="retrieval", shard=(k, 2), **SMALL)
            for k in range(2)
        ]
        for batch, *parts in zip(whole, *shards, strict=True):
            for name, tensor in batch.items():
                joined = np.concatenate([part[name] for part in parts])
                np.testing.assert_array_equal(tensor, joined)

    def test_is_a_dataset_that_fits(self, folder: pathlib.Path) -> None:
        ds = mmdata.build(folder, batch_size=8, **SMALL)
        assert isinstance(ds, tf.data.Dataset)
        assert len(list(ds.take(2))) == 2
        steps: list[int] = []

        class Count(keras.callbacks.Callback):
            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                steps.append(batch)

        model = mmdata.Captioner.from_dataset(ds, width=16, depth=1, heads=1)
        model.fit(ds, epochs=3, validation_data=ds.at(0), verbose=0, callbacks=[Count()])
        assert steps == [*range(len(ds))] * 3


class TestBatches:
    """What `fit` gets."""

    def test_captioning(self, fives: mmdata.Dataset) -> None:
        x, y, weight = next(iter(fives.at(0)))
        assert {name: (t.shape[1:], t.dtype) for name, t in x.items()} == {
            "images": ((32, 32, 3), tf.float32),
            "token_ids": ((24,), tf.int32),
            "padding_mask": ((24,), tf.int32),
        }
        np.testing.assert_array_equal(x["token_ids"][:, 1:], y[:, :-1])
        np.testing.assert_array_equal(x["token_ids"][:, 0], [fives.tokenizer.start_id] * 5)
        np.testing.assert_array_equal(weight, tf.cast(y != 0, tf.float32))
        np.testing.assert_array_equal(x["padding_mask"], x["token_ids"] != 0)
        assert np.all(np.sum(y == fives.tokenizer.end_id, axis=1) == 1)
        assert float(np.min(x["images"])) >= 0
        assert 0.5 < float(np.max(x["images"])) <= 1

    def test_retrieval_takes_each_image_once_and_its_captions_in_turn(
        self, folder: pathlib.Path
    ) -> None:
        ds = mmdata.build(folder, task="retrieval", batch_size=5, **SMALL)
        captions: dict[int, list[str]] = collections.defaultdict(list)
        most = int(np.diff(ds.pairs.offsets).max())
        for _ in range(most):
            ids = []
            for batch in ds:
                ids += batch["image_id"].numpy().tolist()
                texts = ds.tokenizer.detokenize(batch["token_ids"]).numpy()
                for image_id, text in zip(batch["image_id"].numpy(), texts, strict=True):
                    captions[image_id].append(text.decode())
            assert len(set(ids)) == len(ids) == len(ds.pairs)
        counts = sorted(len(set(texts)) for texts in captions.values())
        assert counts == sorted(np.diff(ds.pairs.offsets))

    @pytest.mark.parametrize("captions", ["cycle", "all"])
    def test_retrieval_knows_copies_and_masks_corrupt_images(
        self, folder: pathlib.Path, tmp_path: pathlib.Path, captions: Any
    ) -> None:
        mess = tmp_path / "mess"
        shutil.copytree(folder, mess)
        first, second, *_ = sorted(mess.glob("*.jpg"))
        shutil.copy(first, mess / "copy.jpg")
        (mess / "copy.txt").write_text("the same picture again")
        second.write_bytes(second.read_bytes()[:700])
        ds = mmdata.build(
            mess,
            task=mmdata.Retrieval(captions=captions),
            shuffle=False,
            on_problem="drop",
            batch_size=12,
            **SMALL,
        )
        batches = list(ds)
        ids = np.concatenate([batch["image_id"] for batch in batches])
        assert len(set(ids.tolist())) == 12
        assert len(ids) == (12 if captions == "cycle" else ds.pairs.pair_count)
        masked = [bool(mask.any()) for b in batches for mask in b["padding_mask"].numpy()]
        corrupt = list(ds.pairs.images).index(second.name)
        assert masked == [row != corrupt for row in ids]
        if captions == "cycle":
            assert all(
                len({*batch["image_id"].numpy()}) == len(batch["images"]) for batch in batches
            )

    def test_augmentation_is_a_function_of_seed_and_epoch(self, folder: pathlib.Path) -> None:
        def darken(example: dict[str, Any]) -> dict[str, Any]:
            share = tf.random.stateless_uniform([], example["seed"])
            pixels = tf.cast(tf.cast(example["image"], tf.float32) * share, tf.uint8)
            return {**example, "image": pixels}

        def epochs(seed: int) -> list[list[bytes]]:
            ds = mmdata.build(
                folder, augment=[darken], seed=seed, shuffle=False, task="captioning", **SMALL
            )
            return [pictures_of(ds) for _ in range(2)]

        first, again, other = epochs(1), epochs(1), epochs(2)
        assert first == again
        assert first[0] != first[1]
        assert first[0] != other[0]
        assert len(set(first[0])) == len(first[0])


class TestSplits:
    """Splits by content, and a vocabulary that knows the training captions alone."""

    def test_splits_share_nothing_but_the_vocabulary(self) -> None:
        train, validation = mmdata.build(
            SAMPLES / "images", SAMPLES / "captions", split=("train", "validation"), **SMALL
        )
        assert train.tokenizer is validation.tokenizer
        assert not set(train.pairs.images) & set(validation.pairs.images)
        assert 0.7 * 640 < len(train.pairs) < 0.9 * 640
        alone = mmdata.build(train.pairs, **SMALL)
        assert alone.tokenizer == train.tokenizer

    def test_a_word_of_validation_alone_is_unknown(
        self, folder: pathlib.Path, tmp_path: pathlib.Path
    ) -> None:
        copy = shutil.copytree(folder, tmp_path / "copy")
        pairs = mmdata.read(copy).split({"train": 0.5, "validation": 0.5})
        rare = pairs.subset("validation").path(0)
        pathlib.Path(rare).with_suffix(".txt").write_text("a zebra")
        pairs = mmdata.read(copy).split({"train": 0.5, "validation": 0.5})
        ds = mmdata.build(pairs, split="validation", **SMALL)
        assert "zebra" not in ds.tokenizer.vocabulary

    def test_the_second_build_does_not_learn_again(
        self, fives: mmdata.Dataset, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise AssertionError("learned again")

        monkeypatch.setattr(Word, "learn", fail)
        assert mmdata.build(fives.pairs, **SMALL).tokenizer == fives.tokenizer

    def test_an_unknown_split_is_refused(self, folder: pathlib.Path) -> None:
        pairs = mmdata.read(folder).split({"train": 0.5, "rest": 0.5})
        with pytest.raises(ValueError, match=r"'train', 'rest'.*'validation'"):
            mmdata.build(pairs, split="validation", **SMALL)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"on_problem": "ignore"}, "on_problem"),
        ({"cache": 7}, "cache"),
        ({"shuffle": "windows"}, "shuffle"),
        ({"shuffle": "blocks", "text": mmdata.Text(buckets=(8,))}, "blocks.*buckets"),
        ({"task": "classify"}, "task"),
        ({"pixels": "imagenette"}, "pixels"),
        ({"text": "sentence"}, "text"),
        ({"image_size": (0, 8)}, "size"),
        ({"sequence_length": 2}, "sequence_length"),
        ({"batch_size": 0}, "batch_size"),
        ({"shard": (2, 2)}, "shard"),
        ({"captions": "captions"}, "captions"),
    ],
)
def test_bad_arguments(folder: pathlib.Path, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        mmdata.build(mmdata.read(folder), **arguments)


def test_jupyter_shows_pictures_captions_and_figures(fives: mmdata.Dataset) -> None:
    page = fives._repr_html_()
    assert page.count("<img ") == 8
    assert fives.pairs.captions_of(0)[0] in page
    assert f"{fives.pairs.pair_count} captions of 12 images" in page


def test_photo_in_a_batch_equals_pillow(coco: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """All eight orientations, from file to batch, against Pillow."""
    photos = sorted((coco / "val2017").glob("*.jpg"))[:8]
    for orientation, photo in enumerate(photos, start=1):
        with Image.open(photo) as image:
            exif = Image.Exif()
            exif[0x0112] = orientation
            image.convert("RGB").save(tmp_path / photo.name, quality=90, exif=exif)
        (tmp_path / photo.name).with_suffix(".txt").write_text("a photo")
    ds = mmdata.build(tmp_path, pixels="uint8", image_size=(160, 224), shuffle=False)
    ((x, _, _),) = list(ds)
    from PIL import ImageOps

    for row, pixels in enumerate(x["images"].numpy()):
        with Image.open(ds.pairs.path(row)) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        expected = np.asarray(upright.resize((224, 160), Image.Resampling.BILINEAR), np.int16)
        assert np.abs(pixels - expected).max() <= 1
