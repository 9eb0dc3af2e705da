"""The plots of `mmdata.explore`: what is drawn and where, and that nothing overlaps."""

import dataclasses
import itertools
import json
import pathlib
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.offsetbox import AnchoredOffsetbox, OffsetImage, PaddedBox, TextArea
from matplotlib.text import Text as Label
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageOps

import mmdata
from mmdata import Flip
from mmdata.explore import (
    augmentations,
    plot_augmentations,
    plot_batch,
    plot_lengths,
    plot_retrieval,
    plot_sizes,
)
from mmdata.explore.files import save
from mmdata.explore.lettering import drawable, shorten, width, wrap
from mmdata.explore.sheet import caption_sheet
from mmdata.explore.views import displayed
from mmdata.stages.normalize import NORMALIZATIONS, Normalize

SAMPLES = pathlib.Path(__file__).parents[2] / "sample_data"
BLUE, VERMILION, TINTED, PLAIN = "#0072b2", "#d55e00", "#bfddee", "#ebebeb"
SIDE = 96

Box = tuple[float, float, float, float]


@pytest.fixture(autouse=True)
def no_figure_stays_open() -> Iterator[None]:
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def pairs() -> mmdata.Pairs:
    everything = mmdata.read(SAMPLES / "images", SAMPLES / "captions")
    return everything.take(np.arange(0, 60, 5))


def build(pairs: Any, **options: Any) -> mmdata.Dataset:
    made: dict[str, Any] = {"image_size": (SIDE, SIDE), "text": KNOWN, "batch_size": 4}
    ds: mmdata.Dataset = mmdata.build(pairs, **made | {"shuffle": False} | options)
    return ds


@pytest.fixture(scope="module")
def plain(pairs: mmdata.Pairs) -> mmdata.Dataset:
    return build(pairs)


# What is drawn.


def sheet_of(ax: Axes) -> AnchoredOffsetbox:
    (sheet,) = (artist for artist in ax.artists if isinstance(artist, AnchoredOffsetbox))
    return sheet


def labels_of(ax: Axes) -> list[Label]:
    """All texts in the sheet, in order."""
    return [label for label in sheet_of(ax).findobj(Label) if isinstance(label, Label)]


def token_boxes_of(ax: Axes) -> list[PaddedBox]:
    return [box for box in sheet_of(ax).findobj(PaddedBox) if box.findobj(TextArea)]


def texts_of(ax: Axes) -> list[str]:
    """What is written into the picture, but for tokens."""
    boxed = [label for box in token_boxes_of(ax) for label in box.findobj(Label)]
    return [label.get_text() for label in labels_of(ax) if label not in boxed]


def tokens_of(ax: Axes) -> list[tuple[str, str]]:
    """Each token that is drawn, and the colour of its box."""
    return [
        (box.findobj(Label)[0].get_text(), to_hex(box.patch.get_facecolor()))
        for box in token_boxes_of(ax)
    ]


def images_of(ax: Axes) -> list[NDArray[Any]]:
    return [np.asarray(image.get_data()) for image in sheet_of(ax).findobj(OffsetImage)]


def boxes_of(ax: Axes) -> list[Box]:
    """Where pictures and texts are, in pixels: left, bottom, right, top; the title is the last."""
    ax.figure.figure.draw_without_rendering()
    drawn = [*sheet_of(ax).findobj(OffsetImage), *labels_of(ax), ax._left_title]  # type: ignore[attr-defined]
    shown = [artist for artist in drawn if not isinstance(artist, Label) or artist.get_text()]
    return [tuple(artist.get_window_extent().extents) for artist in shown]


def assert_nothing_covers_anything(ax: Axes) -> None:
    """Pictures and texts are within the axes and apart, the title among them."""
    *boxes, title = boxes_of(ax)
    frame = ax.get_window_extent().extents
    for left, bottom, right, top in boxes:
        assert left > frame[0] - 2
        assert right < frame[2] + 2
        assert bottom > frame[1] - 2
        assert top < frame[3] + 2
    for a, b in itertools.combinations([*boxes, title], 2):
        assert min(a[2], b[2]) - max(a[0], b[0]) <= 1 or min(a[3], b[3]) - max(a[1], b[1]) <= 1.5, (
            a,
            b,
        )


def pixels_of(pairs: mmdata.Pairs, row: int, size: tuple[int, int]) -> NDArray[Any]:
    """An image as Pillow makes it."""
    with pairs.open(row) as file, Image.open(file) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
        return np.asarray(upright.resize(size[::-1], Image.Resampling.BILINEAR))


# Pixels, as they were.


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_displayed_undoes_each_normalization(name: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
    normalized = Normalize(to=name)({"image": tf.constant(pixels)})["image"]
    for images, expected in ((normalized, pixels), (normalized[0], pixels[0])):
        shown = displayed(images, name)
        assert shown.dtype == np.uint8
        np.testing.assert_array_equal(shown, expected)


def test_displayed_clips() -> None:
    assert displayed(np.array([[[-0.5, 0.5, 1.5]]]), "unit").tolist() == [[[0, 128, 255]]]
    assert displayed(np.array([[[-2, 0, 2]]]), "signed").tolist() == [[[0, 128, 255]]]


# Text that anyone may have written.

ODD = {
    "a dog": "a dog",
    "$x^2$ \\frac{a}{b} $": "$x^2$ \\frac{a}{b} $",
    "a\nb\tc\r\x00d\u2028e\u00a0f": "a b c \\x00d e f",
    "\u202eevil\u202c \u200bzero\ufeff": "\\u202eevil\\u202c \\u200bzero\\ufeff",
    "a \U0001f415\ufe0f\u200d\U0001f9ba dog": "a □\ufe0f\u200d□ dog",
    "一只狗": "□□□",
    "\udcff": "\\udcff",
    "\ue000": "□",
    "שלום": "שלום",
    "e\u0301": "e\u0301",
    "क\u094d": "□□",
    "": "",
}


@pytest.mark.parametrize(("text", "drawn"), ODD.items(), ids=ascii)
def test_drawable(text: str, drawn: str) -> None:
    assert drawable(text) == drawn


def test_drawable_takes_what_any_family_has() -> None:
    with pyplot.rc_context({"font.family": ["STIXGeneral", "no such font"]}):
        assert drawable("a\u05d0") == "a□"  # Hebrew is in DejaVu alone
    with pyplot.rc_context({"font.family": ["STIXGeneral", "sans-serif"]}):
        assert drawable("a\u05d0") == "a\u05d0"
    with pyplot.rc_context({"font.family": ["no such font"]}):
        assert drawable("a\u05d0") == "a\u05d0"  # matplotlib draws in DejaVu instead


WORDS = st.lists(st.text(st.characters(codec="utf-8"), max_size=30), max_size=12).map(" ".join)


@settings(max_examples=60)
@given(text=WORDS, room=st.floats(20, 300), most=st.integers(1, 5))
@example(text="a" * 300, room=50.0, most=5)
@example(text="aaa bbb ccc ddd", room=40.0, most=1)
def test_wrap(text: str, room: float, most: int) -> None:
    text = drawable(text)
    lines = wrap(text, room, 9, most)
    assert len(lines) <= most
    assert all(width(line, 9) <= room for line in lines)
    shown, whole = ("".join("".join(part).split()) for part in (lines, text))
    if shown != whole:
        assert lines[-1].endswith("…")
        assert whole.startswith(shown[:-1])
        assert width(text, 9) > room
    if width(text, 9) <= room:
        assert lines == [text][: len(text.split())]


def test_lines_are_nearly_full() -> None:
    text = "to be or not to be that is the question whether"
    assert wrap(text, 80, 9, 9) == ["to be or not to", "be that is the", "question", "whether"]
    assert wrap(text, 80, 9, 2) == ["to be or not to", "be that is the…"]
    assert shorten(text, 80, 9).endswith("…")
    assert 65 < width(shorten(text, 80, 9), 9) <= 80
    assert shorten("to be", 80, 9) == "to be"


def test_width_is_what_is_drawn() -> None:
    ax = pyplot.figure(dpi=72).add_subplot()
    for text in ("a dog", "wwwwWWWW", "iiii", "$a_b$"):
        drawn = ax.text(0, 0, text, fontsize=30, parse_math=False).get_window_extent().width
        assert drawn - 1 < width(text, 30) < 1.1 * drawn + 1


# Batches.

SPECIAL = ("[PAD]", "[UNK]", "[START]", "[END]")
KNOWN = mmdata.tokenizers.Word((*SPECIAL, "a", "dog", "cat", "two", "b", "c", ","))
CAPTIONS = [["a Dog runs", "two dogs"], ["a cat, asleep", "b", "c", "d", "e"], ["one"], ["a  $x$"]]
LABELS = ["b", "a", "b", "$a$"]
NUMBERS = mmdata.Classification(column="number")
TASKS: dict[str, dict[str, Any]] = {
    "captioning": {"task": mmdata.Captioning(captions="first"), "pixels": "caffe"},
    "prefix": {
        "task": mmdata.Prefix(prompt="say so\n", captions="first"),
        "text": mmdata.Text(tokenizer="bytepair", padding_side="left"),
    },
    "retrieval": {"task": "retrieval", "pixels": "uint8"},
    "references": {"task": "references"},
    "text_to_image": {
        "task": mmdata.TextToImage(captions="first"),
        "text": "character",
        "pixels": "signed",
    },
    "labels": {"task": mmdata.Classification(column="label", columns=("number",))},
    "numbers": {"task": NUMBERS},
}


@pytest.fixture(scope="module")
def four(pairs: mmdata.Pairs, tmp_path_factory: pytest.TempPathFactory) -> mmdata.Pairs:
    """Images with captions, labels and numbers; the second image is cut off."""
    folder = tmp_path_factory.mktemp("four")
    lines = []
    for row, (said, label) in enumerate(zip(CAPTIONS, LABELS, strict=True)):
        with pairs.open(row) as file:
            content = file.read()
        (folder / f"{row}.jpg").write_bytes(content[: len(content) // (2 if row == 1 else 1)])
        line = {"file_name": f"{row}.jpg", "captions": said, "label": label, "number": row}
        lines.append(json.dumps(line))
    (folder / "all.jsonl").write_text("\n".join(lines))
    return mmdata.read(folder, folder / "all.jsonl")


Below = tuple[list[str], list[tuple[str, str]]]


def below_image(ds: mmdata.Dataset, batch: Any, row: int) -> Below:
    """The words that are to be below an image, and the tokens with their colours."""
    features = batch[0] if isinstance(batch, tuple) else batch
    tokenizer = ds.tokenizer
    ids, mask = features["token_ids"][row].numpy(), features["padding_mask"][row].numpy() == 1
    said = features["response_mask"][row].numpy() if "response_mask" in features else mask
    captions = tokenizer.detokenize(features["token_ids"])[row]
    words, tokens = [], []
    shape = (-1, ids.shape[-1])
    sequences = zip(*(part.reshape(shape) for part in (ids, mask, said)), strict=True)
    for caption, sequence in list(zip(np.ravel(captions.numpy()), sequences, strict=True))[:3]:
        words += caption.decode().split()
        for token, is_real, is_said in zip(*sequence, strict=True):
            if is_real:
                tinted = token in (tokenizer.start_id, tokenizer.end_id) or not is_said
                fill = VERMILION if token == tokenizer.unknown_id else TINTED if tinted else PLAIN
                tokens.append((tokenizer.vocabulary[token].replace(" ", "␣"), fill))
        words += f"+ {np.sum(~sequence[1])} padding".split()
    if ids.ndim == 2 and len(ids) > 3:
        words += f"+ {len(ids) - 3} more captions".split()
    return words, tokens


@pytest.mark.parametrize("options", TASKS.values(), ids=TASKS.keys())
def test_a_batch_is_drawn_as_the_model_gets_it(four: mmdata.Pairs, options: dict[str, Any]) -> None:
    pairs, note = four, "not valid"
    if options["task"] == NUMBERS:  # a weight of 0 may have two causes
        pairs, note = dataclasses.replace(four, weights=np.full(4, 0.5, np.float32)), "weight 0"
    ds = build(pairs, batch_size=3, on_problem="drop", **options)
    ax = plot_batch(ds, 9)
    assert ds.position.begun == -1  # nothing was taken from it
    words: list[str] = []
    tokens: list[tuple[str, str]] = []
    places = [(batch, row) for batch, size in zip(ds, (3, 1), strict=True) for row in range(size)]
    for image, place, (batch, row) in zip(images_of(ax), range(4), places, strict=True):
        if place == 1:
            assert not image.any()
        else:
            difference = image - pixels_of(four, place, (SIDE, SIDE)).astype(int)
            assert np.abs(difference).max() <= 1
        below: Below = ([LABELS[place]], [])
        if ds.task.has_text:
            below = below_image(ds, batch, row)
        elif not ds.class_names:
            below = ([str(place)], [])
        words += note.split() * (place == 1)
        words += below[0]
        tokens += below[1]
    assert " ".join(texts_of(ax)).split() == words
    assert tokens_of(ax) == tokens
    name = type(ds.task).__name__
    assert ax.get_title(loc="left") == f"{name}, step 0: 4 example(s) as the model gets them"
    assert_nothing_covers_anything(ax)


BUCKETS: tuple[tuple[int, int], ...] = ((64, 96), (80, 80), (96, 64))


@pytest.fixture(scope="module")
def bucketed(pairs: mmdata.Pairs) -> mmdata.Dataset:
    pixels = mmdata.Pixels(fit="crop", buckets=BUCKETS)
    return build(pairs, task="retrieval", pixels=pixels, image_size=None, batch_size=3)


def test_buckets_short_batches_and_the_end_of_an_epoch(bucketed: mmdata.Dataset) -> None:
    ax = pyplot.figure(figsize=(10, 11)).add_axes((0, 0, 1, 0.95))
    assert plot_batch(bucketed, 99, step=1, ax=ax) is ax
    assert len(pyplot.get_fignums()) == 1
    assert len(images_of(ax)) == 12 - len(next(iter(bucketed))["images"])
    assert {image.shape[:2] for image in images_of(ax)} <= set(BUCKETS)
    assert len({image.shape for image in images_of(ax)}) > 1
    longer, middles = [], []
    for image, (left, bottom, right, top) in zip(images_of(ax), boxes_of(ax), strict=False):
        high, wide = image.shape[:2]
        assert (top - bottom) / (right - left) == pytest.approx(high / wide, rel=0.01)
        longer.append(max(top - bottom, right - left))
        middles.append((left + right) / 2)
    assert longer == pytest.approx([longer[0]] * len(longer), abs=1)
    assert middles[4:] == pytest.approx(middles[:-4], abs=1)  # those of its column
    assert_nothing_covers_anything(ax)


def test_lengths(plain: mmdata.Dataset) -> None:
    ax = pyplot.figure().add_subplot()
    assert plot_lengths(plain.length_report, ax=ax) is ax
    drawn = plot_lengths(plain)
    assert drawn.figure is not ax.figure
    assert drawn.get_title(loc="left") == ax.get_title(loc="left") != ""


def test_untrusted_captions(tmp_path: pathlib.Path) -> None:
    captions = ["$\\alpha$ $", "\\end{x} ^_%&#", "a\u2028b", "\U0001fae8 一只狗 שלום", "w" * 400]
    for row, caption in enumerate(captions):
        Image.new("RGB", (8, 8), (row, 0, 0)).save(tmp_path / f"{row}.png")
        (tmp_path / f"{row}.txt").write_text(f"{caption}\n", encoding="utf-8")
    text = mmdata.Text(tokenizer="character", clean=None, length=410)
    ds = build(tmp_path, task="retrieval", text=text, batch_size=5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax = plot_batch(ds)
        ax.figure.canvas.draw()
    shown = texts_of(ax)
    for caption in ("$\\alpha$ $", "\\end{x} ^_%&#", "a b", "□ □□□ שלום"):
        assert caption in shown
    assert ("□", PLAIN) in tokens_of(ax)
    assert re.fullmatch(r"(w{10,}\n){5}…", shown[-2])
    boxes = [text for text, _ in tokens_of(ax)]
    boxes = boxes[len(boxes) - boxes[::-1].index("[START]") :]  # of the last caption
    assert 50 < len(boxes) < 200
    assert shown[-1] == f"+ {402 - 1 - len(boxes)} more   + 8 padding"
    assert_nothing_covers_anything(ax)


def test_text_is_neither_mathematics_nor_tex() -> None:
    image = np.zeros((1, 4, 4, 3), np.float32)
    with pyplot.rc_context({"text.usetex": True}):
        (ax,) = caption_sheet(image, ["$a$"], ["$b$"], title="$c$").axes
    title = ax._left_title  # type: ignore[attr-defined]
    for text in (*labels_of(ax), title):
        assert re.fullmatch(r"\$[abc]\$", text.get_text())
        assert not text.get_parse_math()
        assert not text.get_usetex()


def test_features_cannot_be_drawn(pairs: mmdata.Pairs, tmp_path: pathlib.Path) -> None:
    ds = build(pairs.take(np.arange(2)))
    encoded = mmdata.precompute_features(ds, keras.layers.GlobalMaxPooling2D(), tmp_path)
    with pytest.raises(
        ValueError, match=r"must be a dataset of images; got features of an encoder"
    ):
        plot_batch(encoded)


# Sizes.


def scanned(sizes: ArrayLike, turned: Sequence[int] = ()) -> mmdata.Pairs:
    """Pairs of images of these heights and widths as stored, of which some lie on their side."""
    pairs = mmdata.read(SAMPLES / "messy", on_problem="drop")
    scan, _ = pairs.scanned()
    heights, widths = np.array(sizes, np.int32).T
    orientations = np.ones(len(heights), np.int8)
    orientations[list(turned)] = 6
    changes = {"heights": heights, "widths": widths, "orientations": orientations}
    return dataclasses.replace(pairs, scan=dataclasses.replace(scan, **changes))


def dots_of(ax: Axes) -> dict[tuple[float, float], float]:
    """Area by (width, height)."""
    (dots,) = ax.collections
    assert isinstance(dots, PathCollection)
    places = np.asarray(dots.get_offsets()).round(3).tolist()
    return dict(zip(map(tuple, places), dots.get_sizes().tolist(), strict=True))


def test_sizes() -> None:
    ax = plot_sizes(scanned([(480, 640)] * 8 + [(640, 480)] * 4 + [(480, 640)] * 4, [12, 13]))
    assert dots_of(ax) == {(640, 480): 500, (480, 640): 300}
    assert ax.get_title(loc="left") == "16 images, median height 480, median width 640"
    assert ax.get_xlabel() == "width in pixels"
    assert ax.get_xlim() == ax.get_ylim()
    assert 0 == ax.get_xlim()[0] < 640 < ax.get_xlim()[1] < 700


def test_sizes_that_are_near_are_one_dot_and_nothing_is_lost() -> None:
    sizes = [(500, 1000), (501, 1000), (502, 1000), (100, 200)]
    ax = plot_sizes(scanned(sizes))
    assert dots_of(ax) == {(1000, 501): 500, (200, 100): pytest.approx(500 / 3)}


def test_a_single_image_is_seen() -> None:
    ax = plot_sizes(scanned([(480, 640)] * 999 + [(100, 200)]))
    assert dots_of(ax) == {(640, 480): 500, (200, 100): 2}


def test_a_few_large_ones_lie_outside() -> None:
    ax = plot_sizes(scanned([(300, 400)] * 200 + [(9000, 30), (0, 0)]))
    assert dots_of(ax) == {(400, 300): 500}
    assert ax.get_xlabel().splitlines() == [
        "width in pixels",
        "(not drawn: 1 of up to 9,000 pixels a side)",
        "(not drawn: 1 of unknown size)",
    ]


def test_a_million_sizes() -> None:
    sides = np.random.default_rng(0).integers(100, 4000, (1_000_000, 2))
    ax = plot_sizes(scanned(sides))
    assert 75**2 < len(dots_of(ax)) < 81**2
    ax.figure.canvas.draw()


@pytest.mark.parametrize("given_as", ["buckets", "dataset", "both"])
def test_lines_of_buckets(bucketed: mmdata.Dataset, given_as: str) -> None:
    buckets = ((50, 100),) if given_as == "both" else BUCKETS
    ax = plot_sizes(
        bucketed.pairs if given_as == "buckets" else bucketed,
        buckets=() if given_as == "dataset" else buckets,
    )
    ends = [np.asarray(line.get_xydata())[-1] for line in ax.lines]
    assert [high / wide for wide, high in ends] == pytest.approx([h / w for h, w in buckets])
    assert [max(end) for end in ends] == pytest.approx([ax.get_xlim()[1]] * len(buckets))
    assert [text.get_text() for text in ax.texts] == [f"{h} x {w}" for h, w in buckets]


# Augmentations.


def test_augmentations_of_several_splits(pairs: mmdata.Pairs) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        plot_augmentations(pairs.take(np.arange(4)).split({"a": 0.5, "b": 0.5}), [Flip()], n=2)


def test_augmentations(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for row in range(7):
        Image.effect_noise((32, 32), 80).convert("RGB").save(tmp_path / f"{row}.png")
        (tmp_path / f"{row}.txt").write_text(f"Cat {row} on the left\nanother\n")
    (tmp_path / "4.png").write_bytes((tmp_path / "4.png").read_bytes()[:900])
    built: list[dict[str, Any]] = []

    def noted(*args: Any, **options: Any) -> Any:
        built.append(options)
        return mmdata.build(*args, **options)

    monkeypatch.setattr(augmentations, "build", noted)
    pairs = mmdata.read(tmp_path)
    ax = plot_augmentations(pairs, [Flip()], n=4, draws=3, image_size=(32, 32), seed=4)
    assert [options["seed"] for options in built] == [4, 4]
    assert [list(options["augment"]) for options in built] == [[], [Flip()]]
    drawn = np.array(images_of(ax)).reshape(4, 4, 32, 32, 3)
    texts = ["original", "epoch 0", "epoch 1", "epoch 2"]
    colors = ["#606060"] * 4
    mirrored = []
    for (plain, *epochs), row in zip(drawn, (0, 2, 4, 6), strict=True):
        assert plain.any() == (row != 4)
        if row == 4:
            texts += ["not valid"]
            colors += [VERMILION]
        else:
            pixels = pixels_of(pairs, row, (32, 32))
            np.testing.assert_array_equal(displayed(plain, "unit"), pixels)
        texts.append(f"Cat {row} on the left")
        colors.append("#000000")
        for image in epochs:
            if row == 4:
                texts += ["not valid"]
                colors += [VERMILION]
                continue
            mirrored.append(not np.array_equal(image, plain))
            np.testing.assert_array_equal(image, plain[:, ::-1] if mirrored[-1] else plain)
            texts += [f"Cat {row} on the right"] * mirrored[-1]
            colors += [VERMILION] * mirrored[-1]
    drawn_texts = [(text.get_text(), to_hex(text.get_color())) for text in labels_of(ax)]
    rest = [text for text in drawn_texts if "Cat 4" not in text[0]]
    assert rest == [text for text in zip(texts, colors, strict=True) if "Cat 4" not in text[0]]
    assert 0 < sum(mirrored) < 9
    assert len({tuple(mirrored[epoch::3]) for epoch in range(3)}) > 1  # epochs differ
    assert_nothing_covers_anything(ax)


# Retrieval.


@pytest.fixture
def found() -> dict[str, Any]:
    """Two captions and four images; the first caption's image comes second, the other's first."""
    return {
        "queries": [[1.0, 0.0], [0.0, 1.0]],
        "gallery": [[0.5, 0.0], [0.0, 0.9], [0.75, 0.25], [-1.0, 0.5]],
        "query_ids": [7, 8],
        "gallery_ids": [7, 8, 9, 10],
        "captions": ["first", "second"],
        "images": np.linspace(0, 1, 4)[:, None, None, None] * np.ones((1, 6, 4, 3)),
    }


def framed(ax: Axes) -> list[int]:
    """Which of the pictures have a frame."""
    pictures = [box for box in sheet_of(ax).findobj(PaddedBox) if box.findobj(OffsetImage)]
    frames = [number for number, box in enumerate(pictures) if box.patch.get_visible()]
    assert {to_hex(pictures[number].patch.get_edgecolor()) for number in frames} <= {BLUE}
    return frames


def test_retrieval(found: dict[str, Any]) -> None:
    ax = plot_retrieval(**found, k=3)
    shades = [float(image[0, 0, 0]) for image in images_of(ax)]
    assert shades == pytest.approx([2 / 3, 0, 1 / 3, 1 / 3, 1, 2 / 3])
    assert framed(ax) == [1, 3]
    assert texts_of(ax) == [
        *("first", "right image: rank 2", "0.750", "0.500", "0.000"),
        *("second", "right image: rank 1", "0.900", "0.500", "0.250"),
    ]
    assert ax.get_title(loc="left") == (
        "The nearest of 4 images; the right one is framed; recall@3 100.0 % of 2 captions"
    )
    pictures = boxes_of(ax)[:6]
    tops = [round(top) for _, _, _, top in pictures]
    lefts = [round(left) for left, *_ in pictures]
    assert tops[:3] == [tops[0]] * 3 > tops[3:] == [tops[3]] * 3
    assert lefts[:3] == lefts[3:] == sorted(lefts[:3])
    assert_nothing_covers_anything(ax)


@pytest.mark.parametrize("layout", [None, "constrained"])
def test_draws_where_it_is_asked_to(
    found: dict[str, Any], pairs: mmdata.Pairs, layout: Any
) -> None:
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(14, 5), layout=layout)
    assert plot_sizes(pairs, ax=right) is right
    assert plot_retrieval(**found, k=3, ax=left) is left
    assert pyplot.get_fignums() == [figure.number]
    assert_nothing_covers_anything(left)
    room = left.get_window_extent()
    *boxes, _ = boxes_of(left)
    begin, bottom = np.min(boxes, axis=0)[:2]
    end, top = np.max(boxes, axis=0)[2:]
    assert max((end - begin) / room.width, (top - bottom) / room.height) > 0.93
    assert relative_size(left) == pytest.approx(relative_size(plot_retrieval(**found, k=3)), 0.02)


def test_a_figure_that_becomes_smaller(found: dict[str, Any]) -> None:
    figure, ax = pyplot.subplots(figsize=(9, 5), layout="constrained")
    plot_retrieval(**found, k=3, ax=ax)
    assert_nothing_covers_anything(ax)
    figure.set_size_inches(7, 5)
    assert_nothing_covers_anything(ax)


def relative_size(ax: Axes) -> float:
    """Size of the first text as a share of the height of the first picture."""
    _, bottom, _, top = boxes_of(ax)[0]
    return float(labels_of(ax)[0].get_fontsize()) / (top - bottom)


def test_ties_never_count_in_favour(found: dict[str, Any]) -> None:
    found |= {"gallery": [[1.0, 0.0]] * 4, "gallery_ids": [9, 7, 7, 10]}
    ax = plot_retrieval(**found, k=4, n=1)
    assert framed(ax) == [2, 3]
    assert texts_of(ax)[1] == "right image: rank 3"
    assert "recall@4 50.0 %" in ax.get_title(loc="left")


def test_captions_come_from_all_over(found: dict[str, Any]) -> None:
    found |= {
        "queries": np.ones((7, 2)),
        "query_ids": [1] * 7,
        "captions": [f"caption {row}" for row in range(7)],
        "images": (255 * np.asarray(found["images"])).astype(np.uint8),
    }
    ax = plot_retrieval(**found, k=9, n=3)
    texts = texts_of(ax)
    assert [text for text in texts if "caption" in text] == ["caption 0", "caption 3", "caption 6"]
    assert not any("right image" in text for text in texts)
    assert ax.get_title(loc="left") == "The nearest of 4 images"
    assert len(images_of(ax)) == 12
    assert framed(ax) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": 0}, "k"),
        ({"n": 0}, r"plot_retrieval\(n=\.\.\.\) must be an int of at least 1; got 0"),
        ({"queries": [[1.0]]}, r"shapes \[q, d\] and \[g, d\]"),
        ({"gallery_ids": [7, 8]}, "gallery_ids"),
        ({"captions": ["one"]}, r"captions=\.\.\.\) must be one text per query, 2; got 1"),
        ({"images": np.zeros((4, 6, 4))}, r"shape \[4, H, W, 3\]; got \[4, 6, 4\]"),
        ({"images": np.zeros((3, 6, 4, 3))}, r"shape \[4, H, W, 3\]; got \[3, 6, 4, 3\]"),
        ({"images": np.full((4, 6, 4, 3), 200.0)}, r"from 0 to 1 .* got 200\.0 to 200\.0"),
        ({"images": np.full((4, 6, 4, 3), np.nan)}, r"from 0 to 1"),
        ({"queries": [[np.nan, 0.0], [0.0, 1.0]]}, "finite"),
    ],
    ids=str,
)
def test_what_retrieval_refuses(
    found: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plot_retrieval(**found | changes)


@pytest.mark.parametrize("n", [0, -1, 1.0, True, None])
def test_counts_are_positive_ints(plain: mmdata.Dataset, n: Any) -> None:
    calls: list[Callable[[], object]] = [
        lambda: plot_batch(plain, n),
        lambda: plot_augmentations(plain.pairs, [], n=n),
        lambda: plot_augmentations(plain.pairs, [], draws=n),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"=\.\.\.\) must be an int of at least 1; got"):
            call()


def test_what_else_is_refused(plain: mmdata.Dataset) -> None:
    with pytest.raises(ValueError, match=r"at\(step\)"):
        plot_batch(plain, step=-1)
    with pytest.raises(ValueError, match=r"plot_sizes\(buckets=\.\.\.\).*got size=\(0, 5\)"):
        plot_sizes(plain, buckets=[(0, 5)])
    with pytest.raises(ValueError, match="needs an image whose size is known"):
        plot_sizes(scanned([(0, 0)]))


# Sheets and files.


def test_caption_sheet(tmp_path: pathlib.Path) -> None:
    images = np.linspace(0, 1, 30 * 8 * 8 * 3, dtype=np.float32).reshape(30, 8, 8, 3)
    names = [f"caption {i}" for i in range(30)]
    before = pyplot.get_fignums()
    figure = caption_sheet(images, names, names[::-1], title="$A$ title")
    assert pyplot.get_fignums() == before
    (ax,) = figure.axes
    assert ax.get_title(loc="left") == "$A$ title"
    shown = [0, 3, 5, 8, 11, 13, 16, 18, 21, 24, 26, 29]
    assert texts_of(ax) == [f"caption {k}" for i in shown for k in (i, 29 - i)]
    for drawn, i in zip(images_of(ax), shown, strict=True):
        np.testing.assert_array_equal(drawn, images[i])
    assert_nothing_covers_anything(ax)
    save(figure, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.width > 800
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def test_without_matplotlib(plain: mmdata.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("font_manager", "offsetbox", "pyplot"):
        monkeypatch.setitem(sys.modules, f"matplotlib.{module}", None)
    image = np.zeros((1, 4, 4, 3))
    plots: list[Callable[[], object]] = [
        lambda: plot_sizes(plain),
        lambda: plot_lengths(plain),
        lambda: plot_retrieval([[1.0]], [[1.0]], [1], [1], captions=["a"], images=image),
    ]
    for plot in plots:
        with pytest.raises(ImportError, match=r'pip install "mmdata\[(plot|train)\]"'):
            plot()


def test_public_names() -> None:
    assert {"plot_batch", "plot_lengths", "plot_retrieval", "plot_sizes"} <= {*dir(mmdata.explore)}
    with pytest.raises(AttributeError, match="has no attribute 'plot'; it has"):
        mmdata.explore.plot  # noqa: B018


def test_a_batch_is_one_of_a_dataset(pairs: mmdata.Pairs) -> None:
    with pytest.raises(TypeError, match=r"dataset from mmdata\.build; got a Pairs"):
        plot_batch(pairs)  # type: ignore[arg-type]
