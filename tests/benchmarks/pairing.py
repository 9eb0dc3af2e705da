"""Times `mmdata.read` and the scan, relative to the minimum of work for the same files.

    python -m tests.benchmarks.pairing [--pairs 1000000] [--captions 600000] [--rounds 3]

Generates, in a temporary folder, nested folders with 500 images and `.txt` files each, and a COCO
captions file with its images. Prints medians, and ratios of CPU time and of wall time:

  sidecar  `mmdata.read`, relative to an `os.scandir` walk that reads the same files; and the memory
           after it and its peak, without the UTF-8 text of paths and captions
  scan     the first scan, and a scan of unchanged files, relative to reading 64 KiB of each file in
           threads
  coco     reading the captions file, and `mmdata.read` with its images, relative to `json.load`

Each measurement runs in its own process, so that they do not share a heap. The first round warms
the file cache, and does not count.
"""

import argparse
import gc
import json
import os
import pathlib
import shutil
import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import mmdata
from mmdata.files.scan import scan
from mmdata.pairing.layouts import coco
from mmdata.pairing.layouts.documents import load
from mmdata.pairing.texts import TextDecoder
from tests.benchmarks.inputs import SENTENCE
from tests.benchmarks.measuring import isolated, memory, ratio, timed

FOLDER = 500
LINKS = 50_000
"""Hard links to one file; some file systems allow 65,000."""

Figures = dict[str, float]


def generate(root: pathlib.Path, pairs: int, captions: int) -> None:
    """Writes images of 100 KB with one caption each, and a COCO dataset; none is decoded."""
    content = root / "content"
    root.mkdir(exist_ok=True)
    for number in range(pairs):
        if number % LINKS == 0:
            content = root / f"content-{number}"
            content.write_bytes(b"\xff\xd8\xff\xc0\0\x11\x08\1\0\1\0" + bytes(100_000))
        folder = root / "pairs" / f"{number // FOLDER // 100:03}" / f"{number // FOLDER % 100:03}"
        if number % FOLDER == 0:
            folder.mkdir(parents=True)
        os.link(content, folder / f"image-{number:07}.jpg")
        (folder / f"image-{number:07}.txt").write_text(SENTENCE.format(number))
    images = [f"{number:012}.jpg" for number in range(captions // 5)]
    (root / "coco").mkdir()
    for image in images:
        (root / "coco" / image).touch()
    (root / "coco.json").write_text(json.dumps(coco_document(images)))


def coco_document(images: list[str]) -> dict[str, list[dict[str, object]]]:
    """A COCO captions document with the published fields, and five captions per image."""
    url = "http://images.cocodataset.org/train2017/"
    return {
        "images": [
            {
                "license": 3,
                "file_name": image,
                "coco_url": url + image,
                "height": 480,
                "width": 640,
                "date_captured": "2013-11-14 11:18:45",
                "flickr_url": f"http://farm9.staticflickr.com/8186/{number:010}_z.jpg",
                "id": number,
            }
            for number, image in enumerate(images)
        ],
        "annotations": [
            {"image_id": number // 5, "id": number, "caption": SENTENCE.format(number)}
            for number in range(5 * len(images))
        ],
    }


def seconds(run: Callable[[], object]) -> Figures:
    """Seconds of CPU and of wall time that a call takes."""
    cpu, wall = timed(run)
    return {"cpu": cpu, "wall": wall}


def walk(root: str) -> Figures:
    """Walks with `os.scandir`, and reads each caption file."""

    def run() -> None:
        waiting, texts = [os.path.join(root, "pairs")], []
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir():
                        waiting.append(entry.path)
                    elif entry.name.endswith(".txt"):
                        with open(entry.path) as file:
                            texts.append(file.read())

    return seconds(run)


def sidecar(root: str) -> Figures:
    """Reads the pairs, and measures the memory of the process."""
    kept = []
    gc.collect()
    before, _ = memory()
    figures = seconds(lambda: kept.append(mmdata.read(os.path.join(root, "pairs"))))
    gc.collect()
    text = len(kept[0].images.data) + len(kept[0].captions.data)
    stay, peak = ((held - before - text) / len(kept[0]) for held in memory())
    return figures | {"stay": stay, "peak": peak}


def bare_reads(root: str) -> Figures:
    """Opens each image and reads 64 KiB, with as many threads as the scan."""

    def read(paths: list[str]) -> None:
        for path in paths:
            with open(path, "rb") as file:
                file.read(1 << 16)

    def run() -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(read, [paths[i : i + 256] for i in range(0, len(paths), 256)]))

    paths = mmdata.read(os.path.join(root, "pairs")).paths
    return seconds(run)


def first_scan(root: str) -> Figures:
    """Scans the images for the first time."""
    shutil.rmtree(os.environ["MMDATA_HOME"], ignore_errors=True)
    return later_scan(root)


def later_scan(root: str) -> Figures:
    """Scans the images again."""
    pairs = mmdata.read(os.path.join(root, "pairs"))
    images = list(pairs.images)
    return seconds(lambda: scan(pairs.root, images))


def json_load(root: str) -> Figures:
    """Parses the captions file."""
    with open(os.path.join(root, "coco.json")) as file:
        return seconds(lambda: json.load(file))


def coco_file(root: str) -> Figures:
    """Reads the captions file."""
    path = os.path.join(root, "coco.json")
    return seconds(lambda: coco.read(load(path, TextDecoder())))


def coco_pairs(root: str) -> Figures:
    """Reads the captions file and pairs it with its images."""
    images, captions = os.path.join(root, "coco"), os.path.join(root, "coco.json")
    return seconds(lambda: mmdata.read(images, captions))


COMPARED = {
    walk: (sidecar,),
    bare_reads: (first_scan, later_scan),
    json_load: (coco_file, coco_pairs),
}


def main() -> None:
    """Runs the rounds, in turn, and prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--captions", type=int, default=600_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MMDATA_HOME"] = os.path.join(folder, "home")
        generate(pathlib.Path(folder) / "data", args.pairs, args.captions)
        for base, others in COMPARED.items():
            compare(base, others, os.path.join(folder, "data"), args.rounds)


def compare(
    base: Callable[[str], Figures],
    others: tuple[Callable[[str], Figures], ...],
    root: str,
    rounds: int,
) -> None:
    """Prints the medians of some measurements, and their ratios to the first."""
    found = [{run: isolated(run, root) for run in (base, *others)} for _ in range(rounds + 1)][1:]
    for run in (base, *others):
        line = f"{run.__name__:>11}"
        for name in found[0][run]:
            line += f"  {name} {statistics.median(figures[run][name] for figures in found):8.2f}"
        for name in ("cpu", "wall"):
            ours, theirs = ([figures[one][name] for figures in found] for one in (run, base))
            line += f"  {name} ratio {ratio(ours, theirs):.2f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
