"""`mmdata bench text`: from captions to ids."""

import dataclasses
import itertools
import json
import os
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from mmdata.benchmarks import machine, table
from mmdata.benchmarks import text_peers as peers
from mmdata.benchmarks.captions import Captions, choose
from mmdata.benchmarks.contending import Contender, Peer
from mmdata.benchmarks.figures import Figures, figures
from mmdata.benchmarks.measuring import Result, measure

_ONE_CORE = {
    "KERAS_BACKEND": "tensorflow",
    "OMP_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
_SIZE = 8000  # of the vocabulary


class Group(NamedTuple):
    """Those who do the same with the same vocabulary.

    Attributes:
      name: The kind of tokenizer.
      write: Writes what they need into a folder, for captions in a file; raises a FileNotFoundError
        where that is not to be had.
      peers: Who takes part, mmdata first.
    """

    name: str
    write: Callable[[pathlib.Path, pathlib.Path], peers.Work]
    peers: Sequence[Peer]


def write_wordpiece(folder: pathlib.Path, captions: pathlib.Path) -> peers.Work:
    """Learns a vocabulary from the captions, and writes it as BERT's are."""
    from mmdata.stages.clean import Clean
    from mmdata.tokenizers import WordPiece
    from mmdata.tokenizers.wordpiece import BERT_TOKENS

    work = peers.Work(captions=str(captions), vocabulary=str(folder / "vocab.txt"))
    clean = Clean.preset("bert")({"caption": work.texts()})["caption"]
    texts = (text.decode() for text in clean.numpy())
    learned = WordPiece.learn(texts, vocabulary_size=_SIZE, reserved_tokens=("[MASK]",))
    WordPiece((*BERT_TOKENS, *learned.vocabulary[len(BERT_TOKENS) :])).save(work.vocabulary)
    return work


def write_clip(folder: pathlib.Path, captions: pathlib.Path) -> peers.Work:
    """Writes CLIP's merges and vocabulary, in the forms that there are."""
    from mmdata.tokenizers import ClipBpe, find_merges

    clip = ClipBpe.load(find_merges())
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    ids = {token: place for place, token in enumerate(clip.vocabulary)}
    vocabulary.write_text(json.dumps(ids), "utf-8")
    clip.save(merges)
    clip.save(f"{merges}.gz")
    return peers.Work(captions=str(captions), vocabulary=str(vocabulary), merges=str(merges))


_OURS = (("mmdata", "tensorflow", "tensorflow_text"), "mmdata")
_RUST = (("tokenizers",), '"mmdata[text]"')
_HUGGING_FACE = (("transformers", "tokenizers"), "transformers")
_KERAS_HUB = (("keras_hub", "tensorflow_text"), "keras-hub")

GROUPS = (
    Group(
        "WordPiece",
        write_wordpiece,
        (
            Peer("mmdata in tf.data", peers.mmdata_wordpiece, *_OURS),
            Peer("tokenizers", peers.tokenizers_wordpiece, *_RUST),
            Peer("tokenizers, no offsets", peers.tokenizers_wordpiece_fast, *_RUST),
            Peer("transformers", peers.transformers_wordpiece, *_HUGGING_FACE),
            Peer("KerasHub in tf.data", peers.keras_hub_wordpiece, *_KERAS_HUB),
        ),
    ),
    Group(
        "CLIP",
        write_clip,
        (
            Peer("mmdata in tf.data", peers.mmdata_clip, *_OURS),
            Peer("tokenizers, no offsets", peers.tokenizers_clip_fast, *_RUST),
            Peer("transformers", peers.transformers_clip, *_HUGGING_FACE),
            Peer("OpenCLIP", peers.open_clip, ("open_clip", "torch"), "open_clip_torch"),
            Peer("KerasHub in tf.data", peers.keras_hub_clip, *_KERAS_HUB),
        ),
    ),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a group did.

    Attributes:
      group: Its name.
      results: A result a contender, mmdata's first; none where the group could not take part.
      failure: Why it could not; else "".
    """

    group: str
    results: Sequence[Result] = ()
    failure: str = ""

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "name": self.group,
            "failure": self.failure or None,
            "contenders": [
                {
                    "name": result.contender.name,
                    "versions": result.versions,
                    "figures": summary and _rates(summary),
                    "different_captions": different,
                    "failure": result.failure or None,
                }
                for result, summary, different in self._summaries()
            ],
        }

    def lines(self) -> list[str]:
        """The table."""
        if self.failure:
            return [f"{self.group}: not compared. {self.failure}"]
        head = (self.group, "captions/CPU s", "min..max", "mmdata is x", "ids", "versions")
        return table.lines(head, [_row(*summary) for summary in self._summaries()], figures=3)

    def _summaries(self) -> list[tuple[Result, Figures | None, int | None]]:
        """Each result, its figures, and the captions that have other ids than mmdata's."""
        if not self.results:
            return []
        ours = self.results[0]
        return [
            (result, None, None)
            if result.failure
            else (result, figures(result.samples, ours.samples), _different(result, ours))
            for result in self.results
        ]


def _different(result: Result, ours: Result) -> int | None:
    return None if ours.failure else int(np.count_nonzero(result.told != ours.told))


def _rates(summary: Figures) -> dict[str, float | None]:
    return {
        "captions_per_cpu_second": 1e3 / summary.cpu_ms,
        "captions_per_cpu_second_min": 1e3 / summary.cpu_ms_max,
        "captions_per_cpu_second_max": 1e3 / summary.cpu_ms_min,
        "mmdata_is_times_as_fast": summary.ratio,
        "peak_mb": summary.peak_mb,
    }


def _row(result: Result, summary: Figures | None, different: int | None) -> tuple[str, ...]:
    name = result.contender.name
    if summary is None:
        return name, result.failure
    return (
        name,
        f"{1e3 / summary.cpu_ms:,.0f}",
        f"{1e3 / summary.cpu_ms_max:,.0f}..{1e3 / summary.cpu_ms_min:,.0f}",
        "-" if summary.ratio is None else f"{summary.ratio:.2f}",
        "-" if different is None else f"{different:,} differ" if different else "same",
        result.versions,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """What was compared, on what, and the outcome.

    Attributes:
      machine: Processor, cores, system and Python.
      captions: What was tokenized.
      rounds: Epochs that count.
      count: Captions of an epoch; they repeat where there are fewer.
      outcomes: One a group.
    """

    machine: str
    captions: Captions
    rounds: int
    count: int
    outcomes: Sequence[Outcome]

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON; a contender has `figures` or a `failure`, and so has a group."""
        return {
            "machine": self.machine,
            "captions": {
                "source": self.captions.source,
                "count": len(self.captions.texts),
                "words": self.captions.words,
            },
            "rounds": self.rounds,
            "captions_per_round": self.count,
            "groups": [outcome.to_dict() for outcome in self.outcomes],
        }

    def __str__(self) -> str:
        """The tables, with what one needs to read them."""
        tables = [line for outcome in self.outcomes for line in (*outcome.lines(), "")]
        return "\n".join(
            [
                f"{self.captions}",
                f"cleaned and tokenized in batches of {peers.BATCH}, on one core; {self.rounds} "
                f"round(s) of {self.count:,} captions, each contender in turn",
                self.machine,
                "",
                *tables,
                _LEGEND,
            ]
        )


_LEGEND = """\
captions/CPU s: captions for each second of CPU time, of all threads; median of the rounds, and
their spread. mmdata is x: how many times as many mmdata does in the same round, > 1 where mmdata is
faster. ids: in how many captions of a round they differ from mmdata's."""


def compare(path: pathlib.Path, *, rounds: int, count: int) -> Comparison:
    """Runs mmdata and its peers on the same captions, with the same vocabularies, on one core.

    Args:
      path: Where the captions are; see `captions.choose`.
      rounds: Epochs of each contender that count.
      count: Captions of an epoch, >= 1; they repeat where there are fewer.

    Raises:
      FileNotFoundError: There is nothing at the path.
      ValueError: It holds no captions, or cannot be read.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # a vocabulary is learned in this process
    captions = choose(path, count)
    with tempfile.TemporaryDirectory(prefix="mmdata-bench-") as name:
        folder = pathlib.Path(name)
        file = folder / "captions.txt"
        file.write_bytes("\n".join(captions.repeated(count)).encode())
        outcomes = _outcomes(folder, file, count, rounds)
    return Comparison(
        machine=machine.describe(),
        captions=captions,
        rounds=rounds,
        count=count,
        outcomes=outcomes,
    )


def _outcomes(
    folder: pathlib.Path, captions: pathlib.Path, count: int, rounds: int
) -> list[Outcome]:
    """Measures all groups in the same rounds."""
    prepared = [_contenders(group, folder / group.name, captions, count) for group in GROUPS]
    contenders = [contender for own, _ in prepared for contender in own]
    results = iter(measure(contenders, rounds=rounds, folder=folder, environment=_ONE_CORE))
    return [
        Outcome(
            group=group.name,
            results=list(itertools.islice(results, len(own))),
            failure=failure,
        )
        for group, (own, failure) in zip(GROUPS, prepared, strict=True)
    ]


def _contenders(
    group: Group, folder: pathlib.Path, captions: pathlib.Path, count: int
) -> tuple[list[Contender], str]:
    """Those of a group; or none, and why."""
    folder.mkdir()
    try:
        work = group.write(folder, captions)
    except FileNotFoundError as err:
        return [], str(err)
    return [peer.contender(work, count, examine=peers.checksums) for peer in group.peers], ""
