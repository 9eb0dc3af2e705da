"""Times an epoch of training data: from JPEG files with captions to batches.

    python -m tests.benchmarks.epochs IMAGES CAPTIONS [--images 2048] [--rounds 5] [--plot PNG]

IMAGES is a folder of JPEG files, which are copied and read. CAPTIONS is COCO's caption file, or a
.txt file with one caption per line; captions need not match the images. Takes minutes, 2 MB of disk
per image for the caches, and about 10 GB of memory, since all peers stay alive until the end.
"""

import argparse
import functools
import pathlib
import statistics
from collections.abc import Sequence
from typing import Any

from mmdata.optional import require
from tests.benchmarks import epoch_peers, measuring
from tests.benchmarks.images import (
    ALIASED,
    ALIASED_IN_ORDER,
    ANTIALIASED,
    BYTES,
    BYTES_IN_ORDER,
    DALI,
    FLOATS,
    FLOOR,
    KERAS,
    OURS,
    TENSORFLOW,
    TORCH,
    TUTORIAL,
    compare,
    ours,
    work_of,
)
from tests.benchmarks.measuring import Peer, Result

_AUGMENTED = "crop and flip"


def _copying(dtype: str) -> Peer:
    prepare = functools.partial(epoch_peers.copy_batches, dtype=dtype)
    return Peer(f"floor: copying {dtype}", prepare, ("numpy",), "numpy", f"no resizing, {dtype}")


FLOORS = (FLOOR, _copying("uint8"), _copying("float32"))
MMDATA = (
    ours("mmdata, uint8", BYTES, normalize="uint8"),
    ours("mmdata, captioning", FLOATS, task="captioning"),
    ours("mmdata, retrieval", FLOATS, task="retrieval"),
    ours(f"mmdata, {_AUGMENTED}", FLOATS, augmented=True),
    Peer("mmdata, filling a cache", epoch_peers.ours_filling, *OURS, f"{ANTIALIASED}, uint8"),
    ours("mmdata cached, uint8", BYTES, normalize="uint8", cached=True),
    ours("mmdata cached, float32", FLOATS, cached=True),
    ours("mmdata cached, captioning", FLOATS, task="captioning", cached=True),
    ours("mmdata cached, retrieval", FLOATS, task="retrieval", cached=True),
    ours(f"mmdata cached, {_AUGMENTED}", FLOATS, augmented=True, cached=True),
)
OTHERS = (
    TUTORIAL,
    Peer(
        f"tf.data, {_AUGMENTED}",
        epoch_peers.tf_augmented,
        *TENSORFLOW,
        ALIASED_IN_ORDER,
        resumes=True,
    ),
    Peer(
        f"tf.data, {_AUGMENTED}, antialias=True",
        functools.partial(epoch_peers.tf_augmented, antialias=True),
        *TENSORFLOW,
        f"{ANTIALIASED}, float32, in order",
        resumes=True,
    ),
    Peer(
        "tf.data, cache of uint8",
        epoch_peers.tf_cached_bytes,
        *TENSORFLOW,
        f"{ALIASED}, uint8, in order",
        resumes=True,
    ),
    Peer(
        "tf.data, cache of float32",
        epoch_peers.tf_cached_floats,
        *TENSORFLOW,
        f"{ALIASED}, float32, shuffled by 1,000",
        resumes=True,
    ),
    KERAS,
    TORCH,
    Peer(
        f"torch, {_AUGMENTED}",
        epoch_peers.torch_augmented,
        ("torchvision", "torch", "PIL"),
        "torchvision",
        f"{ANTIALIASED}, float32, in order",
        resumes=True,
    ),
    Peer(
        "Hugging Face datasets",
        epoch_peers.hugging_face,
        ("datasets", "torch", "PIL"),
        "datasets torch",
        BYTES_IN_ORDER,
        resumes=True,
    ),
    Peer(
        "WebDataset",
        epoch_peers.web_dataset,
        ("webdataset", "torch", "PIL"),
        "webdataset torch",
        f"{ANTIALIASED}, uint8, shards in turn",
    ),
    Peer("Grain", epoch_peers.grain, ("grain", "PIL"), "grain", BYTES, resumes=True),
    DALI,
)
_COLORS = {FLOORS: "#a8a8a8", MMDATA: "#1b6ca8", OTHERS: "#d98c3f"}


def draw(results: Sequence[Result]) -> Any:
    """Draws bars of images per second, on a logarithmic axis, for peers that did not fail."""
    drawn = [result for result in results if not result.failure]
    names = [result.peer.name for result in drawn]
    rates = [statistics.median(sample.rate for sample in result.samples) for result in drawn]
    figure = require("matplotlib.figure", extra="plot").Figure(
        figsize=(9, 1.5 + 0.3 * len(drawn)), layout="constrained"
    )
    axes = figure.add_subplot(title="Images per second, from JPEG files to batches", xscale="log")
    colors = {peer: color for peers, color in _COLORS.items() for peer in peers}
    bars = axes.barh(names, rates, color=[colors[result.peer] for result in drawn])
    notes = [f" {rate:,.0f}   {one.peer.note}" for rate, one in zip(rates, drawn, strict=True)]
    axes.bar_label(bars, notes, fontsize=7, color="dimgray")
    axes.invert_yaxis()
    axes.margins(x=0.3, y=0.02)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.supxlabel(measuring.machine(), fontsize=7, color="dimgray")
    return figure


def main() -> None:
    """Reads the options, and runs the peers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("images", type=pathlib.Path)
    parser.add_argument("captions", type=pathlib.Path)
    parser.add_argument("--images", dest="count", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--plot", type=pathlib.Path)
    args = parser.parse_args()
    with work_of(args.images, args.captions, args.count) as work:
        results = compare([*FLOORS, *MMDATA, *OTHERS], work, args.rounds)
    if args.plot:
        draw(results).savefig(args.plot, dpi=100)


if __name__ == "__main__":
    main()
