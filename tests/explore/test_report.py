"""The numbers of a report are correct, and it is one file."""

import io
import json
import pathlib
import re
import shutil
import sys
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import hostile  # type: ignore[import-not-found]
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

import mmdata
from mmdata.cli import main
from mmdata.explore.charts import histogram, scatter
from mmdata.explore.page import Page
from mmdata.explore.survey import Words

SAMPLES = pathlib.Path(__file__).parents[2] / "sample_data"


def photo(seed: int, size: tuple[int, int] = (64, 48), **options: object) -> bytes:
    """A picture that differs from those of other seeds."""
    colors = np.random.default_rng(seed).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(colors).resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> mmdata.Pairs:
    """Ten images in two splits: a copy, a similar one, a truncated one, repeated captions."""
    folder = tmp_path_factory.mktemp("photos")
    rows = []
    for seed in range(10):
        name = f"{seed}.jpg"
        content = {
            7: photo(0),
            8: photo(1, quality=85),
            9: photo(9)[:-300],
        }.get(seed, photo(seed, (64, 48) if seed % 2 else (40, 80)))
        (folder / name).write_bytes(photo(0) if seed == 0 else content)
        split = "train" if seed < 7 else "test"
        rows.append((name, f"a zebra number {seed}", split))
        rows.append((name, "The same  caption" if seed % 3 else "the same caption", split))
    table = pd.DataFrame(rows, columns=["image", "caption", "split"])
    (folder / "1.jpg").write_bytes(photo(1))
    return mmdata.read(folder, table, on_problem="drop")


@pytest.fixture(scope="module")
def page(pairs: mmdata.Pairs) -> Page:
    return mmdata.report(pairs)


class Text(HTMLParser):
    """Tags, texts and attributes of a page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.words: list[str] = []
        self.sources: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)


def test_figures(page: Page, pairs: mmdata.Pairs) -> None:
    figures = page.figures
    assert (figures["images"], figures["captions"]) == (10, 20)
    assert figures["fingerprint"] == pairs.fingerprint
    assert figures["splits"] == {
        "train": {"images": 7, "captions": 14},
        "test": {"images": 3, "captions": 6},
    }
    assert figures["findings"] == {
        "corrupt": 1,
        "duplicate_image": 1,
        "leaked_image": 1,
        "leaked_caption": 1,
    }
    assert (figures["problems"], figures["notices"]) == (1, 3)
    assert (figures["copies"], figures["alike"]) == (1, 1)
    assert figures["captions_of_several_images"] == 1
    # "a zebra number N" and "the same caption"
    assert figures["words"]["in all"] == 10 * 4 + 10 * 3
    assert figures["words"]["different"] == 3 + 10 + 3
    assert figures["words"]["once"] == 10
    assert figures["fit"]["captions"] == 20
    assert json.loads(json.dumps(figures)) == figures


def test_the_page_shows_the_figures(page: Page) -> None:
    text = Text(page.html).text
    assert "10 images with 20 captions" in text
    assert "Groups of identical files: 1" in text
    assert "Groups of images that look alike: 1" in text
    assert "Captions of several images: 1" in text
    assert "1 images with the same content and 1 captions" in text
    assert "premature end of data" in text
    assert "sequence_length=32 cuts 0 of 20 captions" in text


def test_it_needs_no_other_file(page: Page) -> None:
    sources = Text(page.html).sources
    assert len(sources) > 10
    assert [source for source in sources if not source.startswith(("data:", "#"))] == []
    assert re.search(r"@import|url\(|https?:", page.html) is None


def test_similar_images_across_splits_are_counted(page: Page) -> None:
    assert "Also 1 groups of images that look alike." in Text(page.html).text


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A dog's life, isn't it?", ["a", "dog's", "life", "isn't", "it"]),
        ("wind-blown - 3,5 (two)", ["wind-blown", "3", "5", "two"]),
        (
            "\u092c\u093f\u0932\u094d\u0932\u0940 \u0939\u0948\u0964",
            ["\u092c\u093f\u0932\u094d\u0932\u0940", "\u0939\u0948"],
        ),
        ("\u0642\u0650\u0637\u0651\u064e\u0629", ["\u0642\u0650\u0637\u0651\u064e\u0629"]),
        ("Fu\u00dfball \u0130stanbul", ["fu\u00dfball", "i\u0307stanbul"]),
        ("\u201cthe dogs\u2019 ball\u201d", ["the", "dogs", "ball"]),
        ("-- !", []),
    ],
)
def test_words(caption: str, words: list[str]) -> None:
    assert list(Words.of([caption], None).counts) == words


def test_the_same_data_give_the_same_page(page: Page, pairs: mmdata.Pairs) -> None:
    assert mmdata.report(pairs).html == page.html


def test_pictures_of_some_images(pairs: mmdata.Pairs) -> None:
    page = mmdata.report(pairs, gallery=3)
    cards = re.findall(r'<li data-name="([^"]*)"', page.html)
    assert len(cards) == 3
    assert "9.jpg" in cards  # it has a finding
    assert page.figures["images"] == 10
    assert "3 of 10 images" in Text(page.html).text
    assert re.findall(r"<li data-name", mmdata.report(pairs, gallery=0).html) == []


def test_a_dataset_is_shown_as_it_is_made(pairs: mmdata.Pairs) -> None:
    ds = mmdata.build(
        pairs,
        split="train",
        on_problem="drop",
        pixels=mmdata.Pixels(fit="crop", buckets=((32, 64), (64, 32))),
        text="word",
        sequence_length=4,
    )
    page = mmdata.report(ds)
    assert page.figures["images"] == 7
    assert page.figures["fit"]["sequence_length"] == 4
    assert page.figures["fit"]["cut"] == 7
    text = Text(page.html).text
    assert "cuts 7 of 14 captions" in text
    assert "the 2 buckets" in text
    assert re.search(r"float32 \[(32, 64|64, 32), 3\]", text)


def test_tokens_have_their_ids(pairs: mmdata.Pairs) -> None:
    ds = mmdata.build(
        pairs, split="train", text="word", sequence_length=9, shuffle=False, on_problem="drop"
    )
    html = mmdata.report(ds).html
    strip = re.findall(r'<ol class="tokens".*?</ol>', html, re.DOTALL)[0]
    shown = re.findall(r"<li[^>]*><bdi>(.*?)</bdi><small>(\d+)</small>", strip)
    expected = ds.tokenizer.tokenize("a zebra number 0").numpy().tolist()
    assert [int(number) for _, number in shown[1 : 1 + len(expected)]] == expected
    assert [text for text, _ in shown[1 : 1 + len(expected)]] == ["a", "zebra", "number", "0"]


def test_images_without_text(pairs: mmdata.Pairs) -> None:
    table = pd.DataFrame({"image": [f"{seed}.jpg" for seed in range(4)], "label": [0, 1, 0, 1]})
    ds = mmdata.build(
        mmdata.read(pairs.root, table, caption_column=None, on_problem="drop"),
        task=mmdata.Classification(column="label"),
        image_size=(32, 32),
    )
    page = mmdata.report(ds)
    assert page.figures["captions"] == 0
    assert page.figures["fit"] is None
    assert "float32 [32, 32, 3]" in Text(page.html).text


def test_a_folder_as_people_leave_it() -> None:
    page = mmdata.report(mmdata.read(SAMPLES / "messy", on_problem="drop"))
    found = page.figures["findings"]
    assert found["missing_caption"] == found["missing_image"] == found["empty_caption"] == 1
    assert found["corrupt"] == 1
    assert Text(page.html).tags["script"] == 1


def test_real_photos(coco: pathlib.Path) -> None:
    captions = coco / "annotations" / "captions_val2017.json"
    page = mmdata.report(mmdata.read(coco / "val2017", captions, on_problem="drop"))
    assert (page.figures["images"], page.figures["captions"]) == (79, 395)
    assert page.figures["findings"]["missing_caption"] == 80
    assert len(page.html) < 5_000_000


def test_names_that_are_not_utf8(tmp_path: pathlib.Path) -> None:
    (tmp_path / "caf\udce9.jpg").write_bytes(photo(0))
    (tmp_path / "caf\udce9.txt").write_text("a <b>cup</b> & 'more'")
    page = mmdata.report(mmdata.read(tmp_path))
    page.save(tmp_path / "report.html")
    assert "a &lt;b&gt;cup&lt;/b&gt; &amp; &#39;more&#39;" in page.html
    assert (tmp_path / "report.html").read_text("utf-8") == page.html


def test_no_control_character_gets_into_a_page(tmp_path: pathlib.Path) -> None:
    rows = []
    for seed, (name, caption) in enumerate(zip(hostile.NAMES, hostile.CAPTIONS, strict=True)):
        content = photo(seed)
        (tmp_path / f"{name}.jpg").write_bytes(content[:-300] if seed == 0 else content)
        rows.append((f"{name}.jpg", caption, "train" if seed < 4 else "\u202ete\x1b[2Jst"))
    table = pd.DataFrame(rows, columns=["image", "caption", "split"], dtype=object)
    pairs = mmdata.read(tmp_path, table, on_problem="drop")
    text = mmdata.Text(tokenizer="character", clean=None)
    html = mmdata.report(pairs, text=text).html
    assert hostile.obeyed(html) == set()
    for words in (
        r"<dt><bdi>\u202ete\x1b[2Jst</bdi>: images / captions</dt>",
        r'<code dir="auto">a\x1b[2J.jpg</code>: <bdi>premature end',
        r'<code dir="auto">e\udcff.jpg</code>: <bdi>not in',
        r'<li data-name="f\u202egpj.jpg" data-split="\u202ete\x1b[2Jst"',
        r'<p dir="auto">closed \u2069\u202etwice</p>',
        r"<bdi>f\u202egpj.jpg</bdi>, 64x48",
        r'<option dir="auto">\u202ete\x1b[2Jst</option>',
        r"<bdi>\x1b</bdi><small>",  # a token
    ):
        assert words in html


def test_many_captions_are_folded(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photo(0))
    (tmp_path / "a.txt").write_text("\n".join(f"caption {i} {'long ' * 200}" for i in range(80)))
    html = mmdata.report(mmdata.read(tmp_path)).html
    shown, _, folded = html.partition("45 more captions")
    assert '<p dir="auto">caption 4 long' in shown
    assert '<p dir="auto">caption 5 long' in folded
    assert '<p dir="auto">caption 5 long' not in shown
    assert "and 30 more, not shown" in folded
    assert len(html) < 300_000


def test_without_the_libraries_for_look_alikes(
    pairs: mmdata.Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    page = mmdata.report(pairs, gallery=0)
    assert page.figures["alike"] is None
    assert 'pip install "mmdata[duplicates]"' in Text(page.html).text


def test_jupyter_shows_the_page_in_a_sandbox(page: Page) -> None:
    shown = page._repr_html_()
    frame = Text(shown)
    assert frame.tags == {"iframe": 1}
    assert 'sandbox="allow-scripts"' in shown


def test_saving_is_one_step(page: Page, tmp_path: pathlib.Path) -> None:
    page.save(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text("utf-8") == page.html
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        page.save(tmp_path / "nowhere" / "report.html")
    with pytest.raises(IsADirectoryError, match="must be a file; got a folder"):
        page.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("data", ["photos", None, 3])
def test_invalid_data(data: Any) -> None:
    with pytest.raises(TypeError, match=r"takes Pairs, .* or a Dataset"):
        mmdata.report(data)


def test_a_dataset_has_its_own_arguments(pairs: mmdata.Pairs) -> None:
    ds = mmdata.build(pairs, on_problem="drop")
    with pytest.raises(TypeError, match="takes no arguments of build; got \\['text'\\]"):
        mmdata.report(ds, text="byte")


@pytest.mark.parametrize("gallery", [-1, 2.0, True, "all"])
def test_wrong_gallery(pairs: mmdata.Pairs, gallery: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(f"got {gallery!r}")):
        mmdata.report(pairs, gallery=gallery)


def test_command(tmp_path: pathlib.Path) -> None:
    shutil.copytree(SAMPLES / "messy", tmp_path / "messy")
    path = tmp_path / "page.html"
    words = ["report", str(tmp_path / "messy"), "-o", str(path), "--image-size", "32x48"]
    result = CliRunner().invoke(main, words)
    assert f"wrote {path}: 7 images, 24 captions, 4 problems" in result.output
    path.unlink()
    result = CliRunner().invoke(main, [*words, "--json", "--sequence-length", "5"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert figures["images"] == 7
    assert figures["fit"]["sequence_length"] == 5
    assert "float32 [32, 48, 3]" in Text(path.read_text("utf-8")).text


def test_bars_hold_every_value() -> None:
    values = np.concatenate([np.arange(1000) % 37, [10**6]])
    chart = histogram(
        values,
        title="t",
        summary="",
        x_label="",
        y_label="",
        whole=True,
        limit=20,
        lines=[(20.5, "")],
    )
    counts = {shape.label.split(": ")[0]: int(shape.label.split(": ")[1]) for shape in chart.shapes}
    assert sum(counts.values()) == 1001
    assert counts["20"] == np.count_nonzero(values == 20)
    (line,) = (place for place, _ in chart.lines)
    assert all((shape.x >= line) is shape.marked for shape in chart.shapes)
    assert max(shape.height for shape in chart.shapes) == 150


@pytest.mark.parametrize("values", [[3.0], [0.0, 0.0], [1e-9, 1.0], [-2.5, 4.0, 1e9]])
@pytest.mark.parametrize("whole", [True, False])
def test_any_values_are_drawn_inside(values: list[float], whole: bool) -> None:
    numbers = np.round(np.abs(values)) if whole else np.array(values)
    chart = histogram(numbers, title="t", summary="", x_label="", y_label="", whole=whole)
    assert sum(int(shape.label.rsplit(": ", 1)[1].replace(",", "")) for shape in chart.shapes) == (
        len(values)
    )
    for shape in chart.shapes:
        assert -1 <= shape.x <= shape.x + shape.width <= 361
        assert 0 <= shape.y <= 150


def test_lines_are_inside_and_bars_beyond_the_limit_are_marked() -> None:
    chart = histogram(
        [0.1, 0.2], title="t", summary="", x_label="", y_label="", lines=[(-2.0, "a"), (3.0, "b")]
    )
    assert [round(place) for place, _ in chart.lines] == [0, 360]
    wide = histogram(
        np.arange(200), title="t", summary="", x_label="", y_label="", whole=True, limit=101
    )
    marked = {shape.label.split(":")[0]: shape.marked for shape in wide.shapes}
    assert (marked["96 to 99"], marked["100 to 103"]) == (False, True)


def test_dots_count_every_point() -> None:
    heights = np.repeat([100, 1000, 37], [5, 20, 1])
    chart = scatter(heights, heights * 2, title="t", summary="", x_label="", y_label="")
    counts = sorted(int(shape.label.rsplit(": ", 1)[1]) for shape in chart.shapes)
    assert counts == [1, 5, 20]
    assert sorted(shape.radius for shape in chart.shapes)[-1] == pytest.approx(9)
    assert all(0 <= shape.x <= 360 and 0 <= shape.y <= 150 for shape in chart.shapes)
