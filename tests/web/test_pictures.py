"""imageBatches, in Node and in Chromium, against mmdata.build on the same pictures."""

import base64
import functools
import http.server
import json
import pathlib
import re
import struct
import subprocess
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from pictures import encoded, oriented  # type: ignore[import-not-found]
from PIL import Image

import mmdata
from tests.web.test_picture_png import by_python, files

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

Pictures = NDArray[np.uint8]

_HERE = pathlib.Path(__file__).parent
_WEB = pathlib.Path(mmdata.__file__).parent / "web"
_SIZE = (64, 64)
_BACKGROUND = (250, 17, 100)
_COUNT = 100


class Photos(NamedTuple):
    """The same photos as files of several formats, and what the pipeline makes of them.

    Attributes:
      paths: Format -> files.
      built: (format, interpolation) -> uint8 [n, H, W, 3].
    """

    paths: dict[str, list[pathlib.Path]]
    built: dict[tuple[str, str], Pictures]


@pytest.fixture(scope="module")
def photos(coco: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Photos:
    folder = tmp_path_factory.mktemp("photos")
    originals = sorted(coco.glob("*2017/*.jpg"), key=lambda path: path.name)[:_COUNT]
    paths: dict[str, list[pathlib.Path]] = {"jpg": [], "png": []}
    for path in originals:
        for kind, found in paths.items():
            copy = folder / kind / f"{path.stem}.{kind}"
            copy.parent.mkdir(exist_ok=True)
            found.append(copy)
        paths["jpg"][-1].write_bytes(path.read_bytes())
        Image.open(path).convert("RGB").save(paths["png"][-1], compress_level=1)
    built = {
        (kind, interpolation): build(paths[kind], interpolation)
        for kind, interpolation in (("jpg", "bilinear"), ("png", "bilinear"), ("png", "bicubic"))
    }
    return Photos(paths, built)


def build(paths: Sequence[pathlib.Path], interpolation: str = "bilinear", **options: Any) -> Any:
    """What mmdata.build gives for image files of one folder, in their order."""
    pixels = mmdata.Pixels(
        size=_SIZE,
        interpolation=interpolation,  # type: ignore[arg-type]
        normalize="uint8",
        background=_BACKGROUND,
        **options,
    )
    table = pd.DataFrame({"image": [path.name for path in paths], "caption": "a picture"})
    ds = mmdata.build(paths[0].parent, table, text="byte", pixels=pixels, shuffle=False)
    assert [pathlib.Path(name).name for name in ds.pairs.images] == [*table.image]
    return np.concatenate([x["images"] for x, *_ in ds.as_numpy_iterator()])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The folder of a page, with mmdata's JavaScript in web/."""
    root = tmp_path_factory.mktemp("site")
    (root / "web").symlink_to(_WEB)
    (root / "index.html").write_text('<!doctype html><input type="file" multiple id="files">')
    return root


@pytest.fixture(scope="module")
def page(browser: "Browser", site: pathlib.Path) -> Iterator["Page"]:
    """A page with an input for files."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Prints nothing."""

    handler = functools.partial(Handler, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.evaluate(_LIBRARY)
        yield page
        page.close()
        server.shutdown()


_LIBRARY = """async () => {
  const { imageBatches } = await import("/web/pictures/pictures.js");
  const { decodePng } = await import("/web/pictures/png.js");
  const toText = (bytes) => {
    let text = "";
    for (const byte of bytes) text += String.fromCharCode(byte);
    return btoa(text);
  };
  const toBytes = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  window.joined = (batches) => ({
    images: batches.map(({ images }) => toText(images)),
    names: batches.flatMap(({ names }) => names),
    weights: batches.flatMap(({ weights }) => [...weights]),
    problems: batches.flatMap(({ problems }) => problems),
  });
  window.collect = async (options) => {
    const batches = [];
    const files = document.querySelector("#files").files;
    for await (const batch of imageBatches(files, options)) batches.push(batch);
    return joined(batches);
  };
  window.decodePngs = async (files, background) => {
    const decoded = [];
    for (const file of files) decoded.push(await decodePng(toBytes(file), background));
    return decoded.map(({ data }) => toText(data));
  };
}"""


def images_of(found: dict[str, Any]) -> Pictures:
    content = b"".join(map(base64.b64decode, found["images"]))
    return np.frombuffer(content, np.uint8).reshape(-1, *_SIZE, 3)


def in_node(
    node: str, folder: pathlib.Path, pictures: list[dict[str, Any]], **options: Any
) -> Pictures:
    options = {"imageSize": _SIZE, "background": _BACKGROUND, **options}
    (folder / "jobs.json").write_text(json.dumps({"pictures": pictures, "options": options}))
    subprocess.run([node, _HERE / "image_batches.js", folder], check=True, timeout=300)
    return np.fromfile(folder / "result.raw", np.uint8).reshape(-1, *_SIZE, 3)


def in_page(page: "Page", paths: Sequence[pathlib.Path], **options: Any) -> dict[str, Any]:
    """What imageBatches gives for files that are picked in a page, its batches joined."""
    page.locator("#files").set_input_files(paths)
    options = {"imageSize": _SIZE, "background": _BACKGROUND, **options}
    found: dict[str, Any] = page.evaluate("(options) => collect(options)", options)
    return found


def difference(found: Pictures, expected: Pictures) -> NDArray[np.int64]:
    assert found.shape == expected.shape
    off: NDArray[np.int64] = np.abs(found.astype(np.int64) - expected)
    return off


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_photos_in_node(
    node: str, photos: Photos, interpolation: str, tmp_path: pathlib.Path
) -> None:
    pngs = [{"path": str(path)} for path in photos.paths["png"]]
    found = in_node(node, tmp_path, pngs, interpolation=interpolation)
    raw = []
    for path in photos.paths["png"]:
        pixels = np.asarray(Image.open(path))
        copy = str(tmp_path / f"{path.stem}.raw")
        pixels.tofile(copy)
        raw.append({"path": copy, "height": pixels.shape[0], "width": pixels.shape[1]})
    assert np.array_equal(in_node(node, tmp_path, raw, interpolation=interpolation), found)
    off = difference(found, photos.built["png", interpolation])
    print(f"{interpolation}: at most {off.max()}, {np.mean(off > 0):.2%} of the values")
    if interpolation == "bilinear":
        assert off.max() <= 1


def test_every_kind_of_png_in_a_page(page: "Page") -> None:
    made = [file for key, file in files().items() if key[-1] == (13, 21)]
    texts = [base64.b64encode(file).decode() for file in made]
    decoded = page.evaluate("([files, back]) => decodePngs(files, back)", [texts, _BACKGROUND])
    assert len(decoded) == len(made) > 40
    for file, text in zip(made, decoded, strict=True):
        assert base64.b64decode(text) == by_python(file).tobytes()


@pytest.mark.parametrize(("kind", "worker"), [("png", False), ("png", True), ("jpg", False)])
def test_photos_in_a_page(page: "Page", photos: Photos, kind: str, worker: bool) -> None:
    found = in_page(page, photos.paths[kind], worker=worker)
    off = difference(images_of(found), photos.built[kind, "bilinear"])
    print(f"{kind}: at most {off.max()}, {np.mean(off > 0):.2%} of the values")
    assert off.max() <= 1


def pictures_of_browsers() -> dict[str, bytes]:
    """Files of formats that a browser decodes: transparent, and turned by EXIF."""
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (40, 70, 3), np.uint8)).resize((210, 120))
    alpha = Image.fromarray(rng.integers(0, 256, (120, 210), np.uint8))
    clear = noise.convert("RGBA")
    clear.putalpha(alpha)
    some = clear.copy()
    some.putalpha(alpha.point(lambda value: 255 * (value > 99)))
    turned = {
        f"{kind} {turn}": encoded(noise, kind, exif=oriented(turn))
        for kind in ("WEBP", "JPEG")
        for turn in range(1, 9)
    }
    return turned | {
        "lossless": encoded(clear, "WEBP", lossless=True, exact=True),
        "lossy": encoded(clear, "WEBP", quality=90),
        "gif": encoded(some, "GIF"),
        "opaque gif": encoded(noise, "GIF"),
        "bmp": encoded(noise, "BMP"),
        "avif": encoded(noise, "AVIF"),
        "grey": encoded(noise.convert("L"), "JPEG"),
        "cmyk": encoded(noise.convert("CMYK"), "JPEG"),
    }


@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_pictures_of_other_formats_in_a_page(
    page: "Page", fit: str, tmp_path: pathlib.Path
) -> None:
    made = pictures_of_browsers()
    paths = [tmp_path / f"{i:02}.jpg" for i in range(len(made))]
    for path, content in zip(paths, made.values(), strict=True):
        path.write_bytes(content)
    found = images_of(in_page(page, paths, fit=fit))
    for name, off in zip(made, difference(found, build(paths, fit=fit)), strict=True):
        print(f"{name}: at most {off.max()}")
        assert off.max() <= 1, name


_ELEMENTS = """async (worker) => {
  const { imageBatches } = await import("/web/pictures/pictures.js");
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [30, 20];
  const context = canvas.getContext("2d");
  context.fillStyle = "rgb(10 20 30)";
  context.fillRect(0, 0, 30, 20);
  const image = new Image();
  image.src = canvas.toDataURL("image/webp", 1);
  await image.decode();
  const blob = await (await fetch(canvas.toDataURL("image/png"))).blob();
  const pixels = context.getImageData(0, 0, 30, 20);
  const pictures = [canvas, image, blob, pixels, await createImageBitmap(canvas), "picture.png"];
  const found = [];
  for await (const { images } of imageBatches(pictures, { imageSize: 1, batchSize: 1, worker })) {
    found.push([...images]);
  }
  return found;
}"""


@pytest.mark.parametrize("worker", [False, True])
def test_pictures_of_the_page(page: "Page", site: pathlib.Path, worker: bool) -> None:
    Image.new("RGB", (4, 3), (10, 20, 30)).save(site / "picture.png")
    assert page.evaluate(_ELEMENTS, worker) == [[10, 20, 30]] * 6


_REFUSED = {
    "text": (b"hello, this is text", "not a readable picture"),
    "page": (b"<!doctype html>", "not a readable picture"),
    "empty": (b"", "the file is empty"),
    "large": (b"GIF89a" + struct.pack("<HH", 30_000, 30_000), "178,956,970"),
}
"""Names of files -> contents, and parts of messages."""


def test_pictures_that_a_page_refuses(page: "Page", photos: Photos, tmp_path: pathlib.Path) -> None:
    jpg = photos.paths["jpg"][0].read_bytes()
    cut = {"cut": (jpg[: len(jpg) // 2], "JPEG picture .*cannot decode")}
    for name, (content, message) in (_REFUSED | cut).items():
        (tmp_path / name).write_bytes(content)
        found = in_page(page, [tmp_path / name], onProblem="continue")
        assert found["weights"] == [0]
        assert found["problems"][0]["name"] == name
        assert re.search(message, found["problems"][0]["message"])


def memory(page: "Page") -> dict[int, int]:
    """The most bytes that each process of a page ever had in memory, by process."""
    session = page.context.browser.new_browser_cdp_session()  # type: ignore[union-attr]
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    renderers = [process["id"] for process in processes if process["type"] == "renderer"]
    statuses = {pid: pathlib.Path(f"/proc/{pid}/status").read_text() for pid in renderers}
    return {
        pid: 1024 * int(status.partition("VmHWM:")[2].split()[0])
        for pid, status in statuses.items()
    }


def live(page: "Page") -> int:
    """The bytes that a page has in memory and still uses."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    usage = session.send("Runtime.getHeapUsage")
    session.detach()
    return int(usage["usedSize"] + usage["backingStorageSize"])


@pytest.fixture(scope="module")
def picked(photos: Photos, tmp_path_factory: pytest.TempPathFactory) -> list[pathlib.Path]:
    """500 files: photos repeated, and a broken one among them."""
    folder = tmp_path_factory.mktemp("picked")
    paths = [folder / f"{i:03} photo.jpg" for i in range(500)]
    for i, path in enumerate(paths):
        path.hardlink_to(photos.paths["jpg"][i % _COUNT])
    paths[77].unlink()
    paths[77].write_bytes(b"\xff\xd8\xff and no photo")
    return paths


_PICKED = """async (options) => {
  const longTasks = [];
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) longTasks.push(duration);
  });
  observer.observe({ entryTypes: ["longtask"] });
  let [open, most] = [0, 0];
  const [create, close] = [window.createImageBitmap, ImageBitmap.prototype.close];
  window.createImageBitmap = async (...args) => {
    const bitmap = await create(...args);
    most = Math.max(most, ++open);
    return bitmap;
  };
  ImageBitmap.prototype.close = function () {
    open--;
    close.call(this);
  };
  const { imageBatches } = await import("/web/pictures/pictures.js");
  try {
    const [batches, start] = [[], performance.now()];
    const files = document.querySelector("#files").files;
    for await (const batch of imageBatches(files, options)) batches.push(batch);
    const seconds = (performance.now() - start) / 1000;
    longTasks.push(...observer.takeRecords().map(({ duration }) => duration));
    observer.disconnect();
    return { ...joined(batches), seconds, longTasks, open, most };
  } catch (error) {
    return { message: error.message };
  } finally {
    window.createImageBitmap = create;
    ImageBitmap.prototype.close = close;
  }
}"""


@pytest.mark.parametrize("worker", [False, True])
def test_500_picked_files(
    page: "Page", photos: Photos, picked: list[pathlib.Path], worker: bool
) -> None:
    options = {"imageSize": _SIZE, "concurrency": 4, "worker": worker, "onProblem": "continue"}
    in_page(page, picked[:100], **options)
    before, live_before = memory(page), live(page)
    page.locator("#files").set_input_files(picked)
    found = page.evaluate(_PICKED, options)
    after = memory(page)
    grown = max(after[pid] - before[pid] for pid in after.keys() & before.keys())
    print(
        f"worker {worker}: {500 / found['seconds']:.0f} photos/s, {grown / 2**20:.1f} MiB more, at "
        f"most {found['most']} open, long tasks {[round(task) for task in found['longTasks']]}"
    )
    assert found["names"] == [path.name for path in picked]
    assert [problem["name"] for problem in found["problems"]] == ["077 photo.jpg"]
    assert found["weights"] == [float(i != 77) for i in range(500)]
    expected = np.tile(photos.built["jpg", "bilinear"], (5, 1, 1, 1))
    expected[77] = 0
    assert difference(images_of(found), expected).max() <= 1
    # All photos together are 450 MB of pixels. The peak holds what the browser has yet to collect.
    assert grown < 450e6 / 2
    assert live(page) - live_before < 2**25
    assert found["open"] == 0
    assert found["most"] <= 4
    found = page.evaluate(_PICKED, options | {"onProblem": "error"})
    assert found["message"].startswith("imageBatches: 077 photo.jpg cannot be used: not a readable")
