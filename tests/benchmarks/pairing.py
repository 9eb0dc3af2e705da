"""Times `mmdata.read` and the scan beside the least that any program must do for the same files.

    python tests/benchmarks/pairing.py [--pairs 1000000] [--captions 600000] [--rounds 3]

Generates, in a temporary folder, nested folders of 500 images and `.txt` files each, and a COCO
captions file with its images. Prints medians, and ratios of CPU and of wall time:

  sidecar  `mmdata.read` to a bare `os.scandir` walk that reads the same files by `open().read()`;
           and the memory that stays, above the UTF-8 text of paths and captions, with the peak
  scan     the first scan, and one of unchanged files, to opening each and reading 64 KiB in threads
  coco     reading the captions file, and `mmdata.read` with its images, to `json.load`

Each measurement has a process of its own, so that none warms another's heap; a first round, which
warms the file cache, does not count.
"""

import argparse
import gc
import json
import multiprocessing
import os
import pathlib
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import mmdata
from mmdata.files.scan import scan
from mmdata.pairing.layouts import coco
from mmdata.pairing.layouts.documents import load
from mmdata.pairing.texts import TextDecoder

FOLDER = 500
LINKS = 50_000
"""Names of one file; some file systems allow 65,000."""

CAPTION = "A brown dog number {} runs along the beach behind a red ball."
Figures = dict[str, float]


def generate(root: pathlib.Path, pairs: int, captions: int) -> None:
    """Writes images of 100 KB, which nobody decodes, with a caption each; and a COCO dataset."""
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
        (folder / f"image-{number:07}.txt").write_text(CAPTION.format(number))
    images = [f"{number:012}.jpg" for number in range(captions // 5)]
    (root / "coco").mkdir()
    for image in images:
        (root / "coco" / image).touch()
    (root / "coco.json").write_text(json.dumps(coco_document(images)))


def coco_document(images: list[str]) -> dict[str, list[dict[str, object]]]:
    """A COCO captions document with the fields of the published ones and five captions an image."""
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
            {"image_id": number // 5, "id": number, "caption": CAPTION.format(number)}
            for number in range(5 * len(images))
        ],
    }


def timed(run: Callable[[], object]) -> Figures:
    """Seconds of CPU and of wall time that a call takes."""
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}


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

    return timed(run)


def sidecar(root: str) -> Figures:
    """Reads the pairs, and looks at the memory of the process."""
    kept = []
    gc.collect()
    before = resident()
    figures = timed(lambda: kept.append(mmdata.read(os.path.join(root, "pairs"))))
    gc.collect()
    text = len(kept[0].images.data) + len(kept[0].captions.data)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stay = (resident() - before - text) / len(kept[0])
    return figures | {"stay": stay, "peak": (peak - before - text) / len(kept[0])}


def resident() -> int:
    """Bytes of memory that the process holds. Linux only."""
    pages = pathlib.Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def bare_reads(root: str) -> Figures:
    """Opens each image and reads 64 KiB, on as many threads as the scan has."""

    def read(paths: list[str]) -> None:
        for path in paths:
            with open(path, "rb") as file:
                file.read(1 << 16)

    def run() -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(read, [paths[i : i + 256] for i in range(0, len(paths), 256)]))

    paths = mmdata.read(os.path.join(root, "pairs")).paths
    return timed(run)


def first_scan(root: str) -> Figures:
    """Scans the images, of which nothing is known."""
    shutil.rmtree(os.environ["MMDATA_HOME"], ignore_errors=True)
    return later_scan(root)


def later_scan(root: str) -> Figures:
    """Scans the images again."""
    pairs = mmdata.read(os.path.join(root, "pairs"))
    images = list(pairs.images)
    return timed(lambda: scan(pairs.root, images))


def json_load(root: str) -> Figures:
    """Parses the captions file."""
    with open(os.path.join(root, "coco.json")) as file:
        return timed(lambda: json.load(file))


def coco_file(root: str) -> Figures:
    """Reads the captions file."""
    path = os.path.join(root, "coco.json")
    return timed(lambda: coco.read(load(path, TextDecoder())))


def coco_pairs(root: str) -> Figures:
    """Reads the captions file and pairs it with its images."""
    images, captions = os.path.join(root, "coco"), os.path.join(root, "coco.json")
    return timed(lambda: mmdata.read(images, captions))


COMPARED = {
    walk: (sidecar,),
    bare_reads: (first_scan, later_scan),
    json_load: (coco_file, coco_pairs),
}


def measure(run: Callable[[str], Figures], root: str) -> Figures:
    """Runs a measurement in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(run, (root,))


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
    found = [{run: measure(run, root) for run in (base, *others)} for _ in range(rounds + 1)][1:]
    for run in (base, *others):
        line = f"{run.__name__:>11}"
        for name in found[0][run]:
            line += f"  {name} {statistics.median(figures[run][name] for figures in found):8.2f}"
        for name in ("cpu", "wall"):
            ratios = [figures[run][name] / figures[base][name] for figures in found]
            line += f"  {name} ratio {statistics.median(ratios):.2f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
