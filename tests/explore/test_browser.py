"""The report in a browser: filters and links work, and scripts in captions do not run."""

import io
import pathlib
import re
import shutil
from collections.abc import Iterator

import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

import mmdata

pytestmark = pytest.mark.slow

HOSTILE = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>",
    '"><svg onload="window.hacked = 1"> {{ 7 * 7 }} </textarea></style>',
    "a javascript:alert(1) </script><script>window.hacked = 1</script>",
)
CAPTIONS = {
    "a small zebra.jpg": ["a zebra in the grass", "stripes"],
    "b.jpg": ["Café au lait, on a table"],
    "c.png": [HOSTILE[0]],
    "d.png": [HOSTILE[1], HOSTILE[2]],
    "e.jpg": ["two zebras by the water that drink for a very long time in the evening"],
    "f.png": ["a copy", "the same caption"],
    "g.png": ["the same caption"],
    "h.jpg": ["cut off"],
    "<b onclick=alert(1)>i.png": ["شجرة كبيرة"],
}
SIZES = {"a small zebra.jpg": (40, 30), "e.jpg": (300, 200), "b.jpg": (64, 200)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A few images; one is truncated, and one is a copy."""
    folder = tmp_path_factory.mktemp("photos")
    for seed, name in enumerate(CAPTIONS):
        image = Image.effect_noise(SIZES.get(name, (48, 48)), 10 + 9 * seed).convert("RGB")
        buffer = io.BytesIO()
        image.save(buffer, "JPEG" if name.endswith("jpg") else "PNG")
        content = buffer.getvalue()
        (folder / name).write_bytes(content[: len(content) // 2] if name == "h.jpg" else content)
    shutil.copy(folder / "f.png", folder / "g.png")
    return folder


@pytest.fixture(scope="module")
def report(folder: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a report on them."""
    rows = [
        {"image": name, "caption": caption, "split": "test" if name == "b.jpg" else "train"}
        for name, captions in CAPTIONS.items()
        for caption in captions
    ]
    pairs = mmdata.read(folder, pd.DataFrame(rows), on_problem="drop")
    path = tmp_path_factory.mktemp("report") / "report.html"
    mmdata.report(pairs).save(path)
    return path.as_uri()


@pytest.fixture
def page(browser: Browser, report: str) -> Iterator[Page]:
    """The report, open; it must log no message and request no other file."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    messages: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(report)
    yield page
    context.close()
    assert messages == []
    assert [url for url in requests if not url.startswith("data:")] == [report]


def names(page: Page) -> list[str]:
    """The images that the gallery shows, in its order."""
    cards = page.locator("#gallery > li:visible")
    return [card.get_attribute("data-name") or "" for card in cards.all()]


def test_gallery_shows_every_image(page: Page) -> None:
    assert names(page) == sorted(CAPTIONS)
    expect(page.locator("#shown")).to_have_text("9 of 9 shown")


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("zebra", ["a small zebra.jpg", "e.jpg"]),
        ("ZEBRA grass", ["a small zebra.jpg"]),
        ("cafe", ["b.jpg"]),
        ("onerror", ["c.png"]),
        ("train", []),  # a split; no caption holds the word
        ("شجرة", ["<b onclick=alert(1)>i.png"]),
        ("no such thing", []),
    ],
)
def test_typing_filters_at_once(page: Page, typed: str, found: list[str]) -> None:
    search = page.get_by_label("Search captions and names")
    search.press_sequentially(typed)
    assert names(page) == sorted(found)
    expect(page.locator("#shown")).to_have_text(f"{len(found)} of 9 shown")
    search.fill("")
    assert len(names(page)) == 9


def test_filters(page: Page) -> None:
    page.get_by_label("Split").select_option("test")
    assert names(page) == ["b.jpg"]
    page.get_by_role("button", name="Reset").click()
    expect(page.locator("#shown")).to_have_text("9 of 9 shown")
    page.get_by_label("Finding").select_option("corrupt")
    assert names(page) == ["h.jpg"]
    page.get_by_label("Finding").select_option("duplicate_image")
    assert names(page) == ["g.png"]
    page.get_by_label("Finding").select_option("")
    page.get_by_label("Minimum words").fill("10")
    assert "e.jpg" in names(page)
    assert "b.jpg" not in names(page)
    page.get_by_label("Minimum words").fill("")
    page.get_by_label("Maximum words").fill("2")
    assert names(page) == ["<b onclick=alert(1)>i.png", "h.jpg"]
    page.get_by_label("Maximum words").fill("")
    page.get_by_label("Minimum shorter side (px)").fill("64")
    assert names(page) == ["b.jpg", "e.jpg"]


def test_sorting(page: Page) -> None:
    order = page.get_by_label("Sort by")
    order.select_option("largest")
    assert names(page)[:2] == ["e.jpg", "b.jpg"]
    order.select_option("longest")
    assert names(page)[0] == "e.jpg"
    order.select_option("smallest")
    assert names(page)[0] == "a small zebra.jpg"
    order.select_option("name")
    assert names(page) == sorted(CAPTIONS)


def test_links_lead_to_their_sections(page: Page) -> None:
    page.get_by_role("link", name="Duplicates").click()
    expect(page.locator("#duplicates")).to_be_focused()
    expect(page.get_by_role("heading", name="Duplicates")).to_be_in_viewport()


def test_findings_expand_by_keyboard(page: Page) -> None:
    corrupt = page.locator("details[data-kind=corrupt]")
    listed = corrupt.locator("li")
    expect(listed).not_to_be_visible()
    corrupt.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(listed).to_be_visible()
    assert "h.jpg" in listed.inner_text()


def test_hostile_captions_are_text(page: Page) -> None:
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.scripts.length") == 1
    assert page.locator("svg[onload], img[onerror], b[onclick]").count() == 0
    for caption in HOSTILE:
        shown = page.locator("#gallery p").filter(has_text=re.compile(re.escape(caption)))
        assert shown.inner_text() == caption


def test_every_picture_has_alternative_text_and_a_size(page: Page) -> None:
    images = page.locator("#gallery img").all()
    assert len(images) == 8
    alts = {image.get_attribute("alt") for image in images}
    assert {"a zebra in the grass", HOSTILE[0], "شجرة كبيرة"} <= alts
    assert page.get_by_role("img", name="cut off").first.inner_text() == "no preview"
    for image in page.locator("img").all():
        assert int(image.get_attribute("width") or 0) > 0
        assert int(image.get_attribute("height") or 0) > 0


def test_without_scripts_the_search_form_is_hidden(browser: Browser, report: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report)
    assert not page.locator("#filters").is_visible()
    assert page.locator("#gallery > li").first.is_visible()
    context.close()


def test_nothing_moves_while_it_loads(browser: Browser, report: str) -> None:
    context = browser.new_context(viewport={"width": 900, "height": 700})
    page = context.new_page()
    page.add_init_script(
        "window.moved = 0; new PerformanceObserver((list) => list.getEntries().forEach("
        "(entry) => window.moved += entry.value)).observe({type: 'layout-shift', buffered: true});"
    )
    slow = context.new_cdp_session(page)  # so that the page is seen before its script has run
    slow.send("Emulation.setCPUThrottlingRate", {"rate": 30})
    page.goto(report)
    page.mouse.wheel(0, 4000)
    page.evaluate("Promise.allSettled([...document.images].map((image) => image.decode()))")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    assert page.evaluate("window.moved") < 0.01
    context.close()


NAMES = ("a\u202egpj.png", "b\u2069\u202etwice.png", "c\u2066.png", "\u05e9\u05dc\u05d5\u05dd.png")
"""These reverse the text after them, unless they are isolated."""


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a report on images with such names, captions and splits; all are truncated."""
    folder = tmp_path_factory.mktemp("turned")
    for seed, name in enumerate(NAMES):
        buffer = io.BytesIO()
        Image.effect_noise((48, 40), 10 + 9 * seed).save(buffer, "PNG")
        (folder / name).write_bytes(buffer.getvalue()[:-200])
    rows = {
        "image": NAMES,
        "caption": NAMES,
        "split": [name.removesuffix(".png") for name in NAMES],
    }
    pairs = mmdata.read(folder, pd.DataFrame(rows), on_problem="drop")
    path = tmp_path_factory.mktemp("report") / "report.html"
    mmdata.report(pairs, text="byte").save(path)
    return path.as_uri()


TURNED = """
() => {
  const turned = [];
  const left = (node, at) => {
    const range = document.createRange();
    range.setStart(node, at);
    range.setEnd(node, at + 1);
    return range.getBoundingClientRect();
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const isOurs = !node.parentElement.closest("bdi, [dir], script, style");
    const before = node.previousSibling;
    const line = [];
    for (let at = 0; isOurs && at < node.length; at++) {
      const place = left(node, at);
      if (place.width) line.push(place);
    }
    const turns = line.slice(1).some(
      (place, i) => place.top === line[i].top && place.left < line[i].left);
    const precedes = line.length && before?.getClientRects && [...before.getClientRects()].some(
      (box) => Math.abs(box.top - line[0].top) < box.height / 2 && line[0].left < box.left);
    if (turns || precedes) turned.push(node.data);
  }
  return turned;
}
"""
"""Texts of the page that do not run from left to right, or are not after what is before them."""


def test_names_and_captions_do_not_reverse_other_text(browser: Browser, turned: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(turned)
    for details in page.locator("details").all():
        details.locator("summary").click()
    assert page.locator("#gallery > li").count() == len(NAMES)
    assert page.locator("#gallery p", has_text=", 48x40").count() == len(NAMES)
    assert page.evaluate(TURNED) == []
    page.close()


CONTRAST = """
(selector) => {
  const light = (color) => {
    const parts = color.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255).map(
      (part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const ground = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return color === "rgba(0, 0, 0, 0)" ? ground(element.parentElement) : color;
  };
  return Math.min(...[...document.querySelectorAll(selector)].map((element) => {
    const style = getComputedStyle(element);
    const color = element instanceof SVGElement ? style.fill : style.color;
    const pair = [light(color), light(ground(element))].sort();
    return (pair[1] + 0.05) / (pair[0] + 0.05);
  }));
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_it_can_be_read_everywhere(
    browser: Browser, report: str, tmp_path: pathlib.Path, scheme: str, width: int
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 812},
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    page = context.new_page()
    page.goto(report)
    for details in page.locator("details").all():
        details.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") is (scheme == "light")
    text = "p, h1, h2, h3, a, li, dt, dd, summary, label, code, small, td, th, figcaption, svg text"
    assert page.evaluate(CONTRAST, text) >= 4.5
    page.screenshot(path=tmp_path / "report.png", full_page=True)
    with Image.open(tmp_path / "report.png") as picture:
        assert picture.width == width
    context.close()
