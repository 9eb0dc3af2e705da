"""The demo page, in Chromium, as visitors use it; its training also in Node."""

import base64
import io
import json
import pathlib
import re
import subprocess
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import mmdata
from tests.web.server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

_HERE = pathlib.Path(__file__).parent
_SAMPLES = _HERE.parents[1] / "sample_data"
_TFJS = "@tensorflow/tfjs/dist/tf.min.js"
_PHONE = {"width": 375, "height": 700}


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, node_modules: pathlib.Path
) -> Callable[[str], pathlib.Path]:
    """Exports a few sample pictures with the page, once for each task."""
    exported: dict[str, pathlib.Path] = {}

    def export(task: str) -> pathlib.Path:
        if task in exported:
            return exported[task]
        folder = exported[task] = tmp_path_factory.mktemp(task)
        table = "attributes.csv" if task == "classification" else "captions"
        column = None if task == "classification" else "auto"
        pairs = mmdata.read(_SAMPLES / "images", _SAMPLES / table, caption_column=column)
        arguments: dict[str, Any] = {"task": task, "sequence_length": 24, "text": "word"}
        if task == "classification":
            arguments = {"task": mmdata.Classification(column="colour")}
        tfjs = node_modules / _TFJS
        few = pairs.sample(80).split()
        mmdata.export_web(
            few, folder, demo=True, tfjs=tfjs, image_size=16, batch_size=8, **arguments
        )
        return folder

    return export


@pytest.fixture
def visit(browser: "Browser") -> Iterator[Callable[..., "Page"]]:
    """Opens an address in a new page; no page may make errors or requests elsewhere."""
    problems: list[str] = []
    contexts = []

    def visit_page(url: str, *, allow: str = "$^", **options: Any) -> "Page":
        def note(text: str) -> None:
            if not re.search(allow, text):
                problems.append(text)

        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.on("pageerror", lambda error: note(str(error)))
        page.on("console", lambda message: note(message.text) if message.type == "error" else None)
        own = url.split("/")[2]
        page.on("request", lambda request: note(request.url) if own not in request.url else None)
        page.goto(url)
        return page

    yield visit_page
    for context in contexts:
        context.close()
    assert problems == []


def _step(page: "Page") -> int:
    return int(page.inner_text("#step").replace(",", ""))


def _train(page: "Page", steps: int) -> None:
    """Trains for at least `steps` more, by keyboard."""
    last = _step(page) + steps
    page.focus("#train")
    page.keyboard.press("Enter")
    page.wait_for_function(
        "last => document.getElementById('step').textContent.replace(',', '') >= last", arg=last
    )
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.getElementById('train').textContent === 'Continue'")
    assert page.inner_text("#error") == ""


def _losses(page: "Page") -> tuple[float, float]:
    """The first loss, and the mean of the last ones."""
    label = page.get_attribute("#curve", "aria-label") or ""
    first, now = re.findall(r"(\d+\.\d{3})", label)
    return float(first), float(now)


def _kept(page: "Page", change: str = "") -> Any:
    """What the page keeps: the step and the losses so far.

    Args:
      change: "set aside" also copies it; "put back" first replaces it by this copy.
    """
    return page.evaluate(
        """async (change) => {
          const load = (name) => import(new URL(name, document.baseURI));
          const [{ open }, kept, { keyOf }] = await Promise.all(
            ["mmdata.js", "demo/kept.js", "demo/training.js"].map(load),
          );
          const key = keyOf(await open(new URL(".", document.baseURI), { tokenizer: false }));
          if (change === "set aside") await kept.keep("aside", await kept.load(key));
          if (change === "put back") await kept.keep(key, await kept.load("aside"));
          const { step, losses } = await kept.load(key);
          return { step, losses };
        }""",
        change,
    )


def _picture(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((20, 30, 3), 200, np.uint8)).save(file, kind)
    return file.getvalue()


def test_captioning_on_a_phone(
    site: Callable[[str], pathlib.Path], visit: Callable[..., "Page"]
) -> None:
    with Server(site("captioning")) as server:
        page = visit(f"{server.url}index.html", viewport=_PHONE)
        page.wait_for_selector("#trial:not([hidden])")
        labels = [
            item.get_attribute("aria-label") for item in page.query_selector_all("#gallery canvas")
        ]
        assert len(labels) == 12
        assert labels == [item.inner_text() for item in page.query_selector_all("#gallery p")]
        page.click("#next")
        page.wait_for_function("() => document.getElementById('page').textContent.startsWith('13')")

        _train(page, 12)
        assert page.evaluate("() => document.activeElement.matches(':focus-visible')")
        first, now = _losses(page)
        assert now < first

        page.set_input_files(
            "#picture", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": _picture("JPEG")}
        )
        page.wait_for_selector("#result .answer")
        page.evaluate("() => document.getElementById('result').replaceChildren()")
        transfer = page.evaluate_handle(
            """(text) => {
              const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
              const transfer = new DataTransfer();
              transfer.items.add(new File([bytes], "a.png", { type: "image/png" }));
              return transfer;
            }""",
            base64.b64encode(_picture("PNG")).decode(),
        )
        page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
        page.wait_for_selector("#result .answer")
        assert page.inner_text("#error") == ""
        assert page.evaluate("() => document.documentElement.scrollWidth") <= _PHONE["width"]


def test_a_reloaded_page_continues_with_the_next_batch(
    site: Callable[[str], pathlib.Path], visit: Callable[..., "Page"]
) -> None:
    with Server(site("captioning")) as server:
        page = visit(f"{server.url}index.html")
        page.wait_for_selector("#trial:not([hidden])")
        _train(page, 3)
        middle = _kept(page, "set aside")["step"]
        _train(page, 3)
        whole = _kept(page)["losses"]
        _kept(page, "put back")
        page.reload()
        page.wait_for_selector("#trial:not([hidden])")
        assert page.inner_text("#training-status") == f"Continues at step {middle}."
        _train(page, 3)
        again = _kept(page)["losses"]
    steps = min(len(whole), len(again))
    assert steps > middle
    np.testing.assert_allclose(again[:steps], whole[:steps], rtol=1e-3)


@pytest.mark.parametrize("task", ["classification", "retrieval"])
def test_other_tasks(
    task: str, site: Callable[[str], pathlib.Path], visit: Callable[..., "Page"]
) -> None:
    with Server(site(task)) as server:
        page = visit(f"{server.url}index.html", color_scheme="dark")
        page.wait_for_selector("#trial:not([hidden])")
        _train(page, 2)
        page.focus("#choices button")
        page.keyboard.press("Enter")
        page.wait_for_selector("#result .answer")
        assert len(page.query_selector_all("#result .answer")) == 3
        if task == "retrieval":
            page.fill("#query", "a red house")
            page.keyboard.press("Enter")
            page.wait_for_selector("#result .cards canvas")
            assert len(page.query_selector_all("#result .cards canvas")) == 6
        else:
            assert re.search(r": \d+ %", page.inner_text("#result"))


def test_without_tensorflow_js_the_page_says_where_to_get_it(
    site: Callable[[str], pathlib.Path], visit: Callable[..., "Page"], node_modules: pathlib.Path
) -> None:
    with Server(site("classification")) as server:
        for query in ("tfjs=nothing.js", "tfjs=https://example.org/tf.min.js"):
            page = visit(f"{server.url}index.html?{query}", allow="404")
            page.wait_for_selector("#no-tfjs:not([hidden])")
            assert "npm install @tensorflow/tfjs" in page.inner_text("#no-tfjs-text")
        page.set_input_files("#tfjs-file", node_modules / _TFJS)
        page.wait_for_selector("#trial:not([hidden])")


def test_errors_are_texts(
    site: Callable[[str], pathlib.Path], visit: Callable[..., "Page"]
) -> None:
    folder = site("classification")
    with Server(folder) as server:
        page = visit(f"{server.url}flip:image./index.html")
        page.wait_for_function("() => document.getElementById('error').textContent")
        assert ".png" in page.inner_text("#error")
    page = visit((folder / "index.html").as_uri(), allow=".*")
    page.wait_for_selector("#starting")
    assert "python -m http.server" in page.inner_text("#starting")


@pytest.mark.usefixtures("node_modules")
def test_training_in_node(site: Callable[[str], pathlib.Path], node: str) -> None:
    command = [node, str(_HERE / "train_in_node.js"), str(site("captioning")), "8"]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(result.stdout)
    assert np.mean(found["losses"][-2:]) < found["losses"][0]
    assert found["resumed"][0] == found["losses"][4]  # the weights and the batch are the same
    np.testing.assert_allclose(found["resumed"], found["losses"][4:], rtol=1e-4)
    assert len(found["captions"]) == len(found["rows"])
