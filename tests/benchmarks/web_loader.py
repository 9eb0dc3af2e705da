"""Times `mmdata.js` in Node, and in Chromium beside the usual code for TensorFlow.js.

    python -m tests.benchmarks.web_loader IMAGES [--images 4096] [--rounds 3] [--size 64]

IMAGES is a folder of JPEG files. Their copies, resized, are the pictures of two exports, `.npy`
rows and PNG sprites. Node reads them from the disk, in batches of 32. A page reads them as tensors
from a local server; the usual code there reads one PNG for each picture. Needs `npm ci` in
tests/web.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import tempfile
from typing import Any

import numpy as np
from PIL import Image

import mmdata
from tests.benchmarks import inputs, measuring
from tests.benchmarks.measuring import spread, three_digits
from tests.web.many_shards import Images, write_shards
from tests.web.server import Server

HERE = pathlib.Path(__file__).parent
TFJS = HERE.parent / "web/node_modules/@tensorflow/tfjs/dist/tf.min.js"
SHARD = 2**22
INFLATE = "zlib's inflate of all sprites"
USUAL = "tf.data.generator, fromPixels"

Rounds = dict[str, list[dict[str, float]]]


def write_site(site: pathlib.Path, images: Images, alone: int) -> None:
    """Writes both exports, `mmdata.js`, a page, and `alone` of the pictures as files."""
    rows = max(SHARD // images[0].size, 1)
    shards = [images[begin : begin + rows] for begin in range(0, len(images), rows)]
    write_shards(site / "png", shards, "png")
    write_shards(site / "npy", shards, "npy")
    shutil.copytree(pathlib.Path(mmdata.__file__).parent / "web", site / "mmdata")
    shutil.copy(HERE / "web_loader_page.js", site)
    shutil.copy(TFJS, site)
    (site / "index.html").write_text("<!doctype html><script src=tf.min.js></script>")
    (site / "pictures").mkdir()
    for number, image in enumerate(images[:alone]):
        Image.fromarray(image).save(site / f"pictures/{number}.png")


def in_node(site: pathlib.Path, rounds: int) -> Rounds:
    """Times the cases of `web_loader_node.js`."""
    command = ["node", str(HERE / "web_loader_node.js"), str(site), str(rounds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: Rounds = json.loads(done.stdout)
    return found


def in_chromium(site: pathlib.Path, alone: int, rounds: int) -> Rounds:
    """Times the cases of `web_loader_page.js`."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    with Server(site) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(0)
        page.goto(server.url)
        found: Rounds = page.evaluate(
            """async ([alone, rounds]) => {
                const { measure } = await import("./web_loader_page.js");
                return measure(alone, rounds);
            }""",
            [alone, rounds],
        )
        browser.close()
    return found


def rows(found: Rounds, reference: str, count: int) -> list[dict[str, str]]:
    """The rows of a table; "x" is the speed relative to a reference of the same round."""
    table = []
    for name, each in found.items():
        rates = [(result["images"] or count) / result["seconds"] for result in each]
        others = [(result["images"] or count) / result["seconds"] for result in found[reference]]
        ratio = statistics.median(np.divide(rates, others).tolist())
        median = three_digits(statistics.median(rates))
        table.append(
            {"": name, "images/s": median, "min..max": spread(rates), "x": three_digits(ratio)}
        )
    return table


def main() -> None:
    """Reads the options, and prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("images", type=pathlib.Path)
    parser.add_argument("--images", dest="count", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=64)
    args = parser.parse_args()
    photos = inputs.choose_photos(args.images, args.count)
    print(f"{args.count:,} copies, {args.size} x {args.size}\n{measuring.machine()}", flush=True)
    small = [resized(path, args.size) for path in photos]
    images = np.stack([small[number % len(small)] for number in range(args.count)])
    alone = min(args.count, 1024)
    with tempfile.TemporaryDirectory(prefix="mmdata-bench-") as name:
        site = pathlib.Path(name)
        write_site(site, images, alone)
        tables: Any = {
            f"Node; x: speed relative to {INFLATE}": (in_node(site, args.rounds), INFLATE),
            f"Chromium; x: speed relative to {USUAL}": (
                in_chromium(site, alone, args.rounds),
                USUAL,
            ),
        }
    for title, (found, reference) in tables.items():
        print(f"\n{title}\n{measuring.table(rows(found, reference, args.count))}")


def resized(path: pathlib.Path, size: int) -> Images:
    """A photo as RGB, uint8 [size, size, 3]."""
    with Image.open(path) as photo:
        return np.asarray(photo.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))


if __name__ == "__main__":
    main()
