"""Thumbnails and captions as HTML."""

import base64
import io
import os
import pathlib
import re
import tempfile
from html.parser import HTMLParser

import hostile  # type: ignore[import-not-found]
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mmdata.pairs import notebook
from mmdata.printable import printable

RED, BLUE = (255, 0, 0), (0, 0, 255)


class Page(HTMLParser):
    """What a browser takes from the HTML: tags, attributes and text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.alts: list[str | None] = []
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.alts += [value for name, value in attrs if name == "alt"]

    def handle_data(self, data: str) -> None:
        self.text += data


def thumbnails(source: str) -> list[Image.Image]:
    found = re.findall(r'src="data:image/webp;base64,([^"]*)"', source)
    return [Image.open(io.BytesIO(base64.b64decode(data, validate=True))) for data in found]


def is_near(got: object, wanted: tuple[int, int, int]) -> bool:
    assert isinstance(got, tuple)
    return all(abs(a - b) < 60 for a, b in zip(got, wanted, strict=True))


def picture(path: str, *captions: str) -> notebook.Picture:
    return path, lambda: open(path, "rb"), captions


@pytest.fixture
def photo(tmp_path: pathlib.Path) -> str:
    """An image of 400 x 200, red on the left and blue on the right."""
    image = Image.new("RGB", (400, 200), RED)
    image.paste(BLUE, (200, 0, 400, 200))
    image.save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


@pytest.mark.parametrize(
    "caption",
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a & b &amp; c", "it's <b>"],
)
@pytest.mark.parametrize("readable", [True, False])
def test_captions_are_escaped(photo: str, caption: str, readable: bool) -> None:
    page = Page(notebook.gallery([picture(photo if readable else "gone", caption, "second")]))
    picture_tags = ["img"] if readable else ["em", "bdi"]
    assert page.tags == ["div", "figure", *picture_tags, "figcaption", "bdi", "br", "bdi"]
    assert page.alts == ([caption] if readable else [])
    assert page.text == ("" if readable else f"unreadable: {caption}") + caption + "second"


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_a_browser_shows_every_caption(captions: list[str]) -> None:
    page = Page(notebook.gallery([picture("gone", *captions)]))
    lines = ["bdi"] + ["br", "bdi"] * (len(captions) - 1)
    assert page.tags == ["div", "figure", "em", "bdi", "figcaption", *lines]
    shown = list(map(printable, captions))
    assert page.text == f"unreadable: {shown[0]}" + "".join(shown)


@pytest.mark.parametrize("caption", [*hostile.CAPTIONS, "two\nlines", "\udcff", "\u200fe\u0301"])
@pytest.mark.parametrize("readable", [True, False])
def test_no_caption_controls_what_is_around_it(photo: str, caption: str, readable: bool) -> None:
    source = notebook.gallery([picture(photo if readable else "gone", caption, "second")])
    assert hostile.obeyed(source) == set()
    assert f"<bdi>{printable(caption)}</bdi><br><bdi>second</bdi>" in source


def test_image_without_captions_is_named(photo: str) -> None:
    assert Page(notebook.gallery([picture(photo)])).alts == [photo]
    assert Page(notebook.gallery([picture("a<b>.jpg")])).text == "unreadable: a<b>.jpg"


def test_gallery_of_nothing() -> None:
    assert notebook.gallery([]) == "<div></div>"


# Where red and blue are, as Pillow numbers the orientations: left, top, right, bottom.
@pytest.mark.parametrize(
    ("orientation", "red"),
    [
        *((1, "left"), (2, "right"), (3, "right"), (4, "left")),
        *((5, "top"), (6, "top"), (7, "bottom"), (8, "bottom")),
    ],
)
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_thumbnails_are_upright(
    photo: str, tmp_path: pathlib.Path, orientation: int, red: str, format_: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(photo) as image:
        image.save(tmp_path / "turned", format_, exif=exif)
    (thumbnail,) = thumbnails(notebook.gallery([picture(str(tmp_path / "turned"), "c")]))
    assert thumbnail.size == ((144, 72) if red in ("left", "right") else (72, 144))
    middle = {"left": (9, 36), "right": (135, 36), "top": (36, 9), "bottom": (36, 135)}
    other = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
    assert is_near(thumbnail.getpixel(middle[red]), RED)
    assert is_near(thumbnail.getpixel(middle[other[red]]), BLUE)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_mode_is_shown(tmp_path: pathlib.Path, mode: str) -> None:
    Image.new(mode, (7, 300)).save(tmp_path / "image.tif")
    (thumbnail,) = thumbnails(notebook.gallery([picture(str(tmp_path / "image.tif"), "c")]))
    assert (thumbnail.mode, thumbnail.size) == ("RGB", (3, 144))


def test_one_bad_file_costs_no_other(photo: str, tmp_path: pathlib.Path) -> None:
    content = pathlib.Path(photo).read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.jpg").write_text("not an image")
    (tmp_path / "empty.jpg").touch()
    files = [photo, *(str(tmp_path / name) for name in ("cut.png", "text.jpg", "empty.jpg", "no"))]
    source = notebook.gallery(
        [picture(path, f"caption {n}") for n, path in enumerate([*files, photo])]
    )
    assert len(thumbnails(source)) == 2
    assert re.findall(r"<em>(.*?)</em>", source) == [
        f"unreadable: <bdi>caption {n}</bdi>" for n in range(1, 5)
    ]


@pytest.mark.parametrize("module", ["mmdata.images.decode", "mmdata.images.thumbnails"])
def test_bomb_is_unreadable(photo: str, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    with Image.open(photo) as image:
        image.save(f"{photo}.jpg")
    path = photo if module == "mmdata.images.decode" else f"{photo}.jpg"
    assert "<img" in notebook.gallery([picture(path, "c")])
    monkeypatch.setattr(f"{module}.MAX_PIXELS", 10_000)
    assert "<em>unreadable: <bdi>c</bdi></em>" in notebook.gallery([picture(path, "c")])


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
@given(
    format_=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]),
    changes=st.lists(st.tuples(st.integers(0, 250), st.integers(0, 255)), max_size=8),
    length=st.integers(0, 1000),
)
def test_whatever_the_bytes(format_: str, changes: list[tuple[int, int]], length: int) -> None:
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif} if format_ in ("JPEG", "PNG", "WEBP") else {}
    Image.new("RGB", (9, 5), RED).save(buffer, format_, **options)
    content = bytearray(buffer.getvalue()[: length or None])
    for position, value in changes:
        content[position % len(content)] = value
    file, path = tempfile.mkstemp()
    try:
        with open(file, "wb") as opened:
            opened.write(content)
        source = notebook.gallery([picture(path, "c")])
    finally:
        os.remove(path)
    assert ("<em>unreadable: <bdi>c</bdi></em>" in source) is (not thumbnails(source))
