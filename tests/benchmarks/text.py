"""Times cleaning and tokenizing captions in batches of 256, on one core.

    python -m tests.benchmarks.text CAPTIONS [--captions 50000] [--rounds 5]

CAPTIONS is COCO's caption file, or a .txt file with one caption per line. Compares the ids of each
caption with mmdata's.
"""

import argparse
import json
import os
import pathlib
import statistics
import tempfile
from collections.abc import Callable, Sequence

import numpy as np

from tests.benchmarks import inputs, measuring
from tests.benchmarks import text_peers as peers
from tests.benchmarks.measuring import Peer, Result, ratio, spread, three_digits

_ONE_CORE = {
    "CUDA_VISIBLE_DEVICES": "",
    "KERAS_BACKEND": "tensorflow",
    "OMP_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
_VOCABULARY_SIZE = 8000


def write_wordpiece(folder: pathlib.Path, captions: pathlib.Path) -> peers.Work:
    """Learns a vocabulary from the captions, and writes it in BERT's form."""
    from mmdata.stages.clean import Clean
    from mmdata.tokenizers import WordPiece
    from mmdata.tokenizers.wordpiece import BERT_TOKENS

    work = peers.Work(captions=str(captions), vocabulary=str(folder / "vocab.txt"))
    clean = Clean.preset("bert")({"caption": work.texts()})["caption"]
    texts = (text.decode() for text in clean.numpy())
    learned = WordPiece.learn(texts, vocabulary_size=_VOCABULARY_SIZE, reserved_tokens=("[MASK]",))
    WordPiece((*BERT_TOKENS, *learned.vocabulary[len(BERT_TOKENS) :])).save(work.vocabulary)
    return work


def write_clip(folder: pathlib.Path, captions: pathlib.Path) -> peers.Work:
    """Writes CLIP's merges and vocabulary, in every format that the peers read.

    Raises:
      FileNotFoundError: The merges are not installed.
    """
    from mmdata.tokenizers import ClipBpe, find_merges

    clip = ClipBpe.load(find_merges())
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    ids = {token: place for place, token in enumerate(clip.vocabulary)}
    vocabulary.write_text(json.dumps(ids), "utf-8")
    clip.save(merges)
    clip.save(f"{merges}.gz")
    return peers.Work(captions=str(captions), vocabulary=str(vocabulary), merges=str(merges))


_OURS = (("mmdata", "tensorflow", "tensorflow_text"), "mmdata")
_RUST = (("tokenizers",), "tokenizers")
_HUGGING_FACE = (("transformers", "tokenizers"), "transformers")
_KERAS_HUB = (("keras_hub", "tensorflow_text"), "keras-hub")

Write = Callable[[pathlib.Path, pathlib.Path], peers.Work]
GROUPS: dict[str, tuple[Write, Sequence[Peer]]] = {
    "WordPiece": (
        write_wordpiece,
        (
            Peer("mmdata in tf.data", peers.mmdata_wordpiece, *_OURS),
            Peer("tokenizers", peers.tokenizers_wordpiece, *_RUST),
            Peer("tokenizers, no offsets", peers.tokenizers_wordpiece_fast, *_RUST),
            Peer("transformers", peers.transformers_wordpiece, *_HUGGING_FACE),
            Peer("KerasHub in tf.data", peers.keras_hub_wordpiece, *_KERAS_HUB),
        ),
    ),
    "CLIP": (
        write_clip,
        (
            Peer("mmdata in tf.data", peers.mmdata_clip, *_OURS),
            Peer("tokenizers, no offsets", peers.tokenizers_clip_fast, *_RUST),
            Peer("transformers", peers.transformers_clip, *_HUGGING_FACE),
            Peer("OpenCLIP", peers.open_clip, ("open_clip", "torch"), "open_clip_torch"),
            Peer("KerasHub in tf.data", peers.keras_hub_clip, *_KERAS_HUB),
        ),
    ),
}
"""Groups of peers with one vocabulary, mmdata first, and the function that writes it."""

LEGEND = """\
captions/CPU s: captions per second of CPU time of all threads; median of the rounds, and their
range. mmdata is x: mmdata's speed relative to the peer's in the same round, > 1 if mmdata is
faster. captions/s: in wall time. ids: number of captions with other ids than mmdata's."""


def compare(group: str, captions: Sequence[str], rounds: int) -> str:
    """Runs a group of peers, and returns its table."""
    write, compared = GROUPS[group]
    with tempfile.TemporaryDirectory(prefix="mmdata-bench-") as name:
        folder = pathlib.Path(name)
        file = folder / "captions.txt"
        file.write_text("\n".join(captions), "utf-8")
        try:
            work = write(folder, file)
        except FileNotFoundError as err:
            return f"not compared: {err}"
        results = measuring.measure(
            compared, work, count=len(captions), rounds=rounds, examine=peers.checksums
        )
    return measuring.table([row(result, results[0]) for result in results])


def row(result: Result, ours: Result) -> dict[str, str]:
    """A row of the table."""
    if result.failure:
        return {"peer": result.peer.name, "ids": result.failure}
    cpu, our_cpu = ([sample.cpu_ms for sample in one.samples] for one in (result, ours))
    rates = [1e3 / ms for ms in cpu]
    different = 0 if ours.failure else np.count_nonzero(result.examined != ours.examined)
    ids = f"{different:,} differ" if different else "same"
    return {
        "peer": result.peer.name,
        "captions/CPU s": three_digits(statistics.median(rates)),
        "min..max": spread(rates),
        "mmdata is x": three_digits(ratio(cpu, our_cpu)),
        "captions/s": three_digits(statistics.median(one.rate for one in result.samples)),
        "ids": "-" if ours.failure else ids,
        "versions": result.versions,
    }


def main() -> None:
    """Reads the options, and prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("captions", type=pathlib.Path)
    parser.add_argument("--captions", dest="count", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    os.environ |= _ONE_CORE
    captions = inputs.choose_captions(args.captions, args.count)
    words = statistics.median(len(caption.split()) for caption in captions)
    print(f"{args.count:,} captions of median {words:.0f} words, {args.rounds} round(s), in turn")
    print(measuring.machine())
    for group in GROUPS:
        print(f"\n{group}\n{compare(group, captions, args.rounds)}", flush=True)
    print(f"\n{LEGEND}")


if __name__ == "__main__":
    main()
