"""Captions, cleaned in one pass for all that is learned and counted before training."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mmdata.example import Stage, chain
from mmdata.pairs.strings import Strings
from mmdata.progress import progress
from mmdata.settings import fingerprint, plain
from mmdata.stages.clean import Clean

_BATCH = 4096


class Cleaner:
    """Cleans captions, and keeps the result: the vocabulary and the token counts need the same.

    Args:
      clean: What cleans; None leaves captions as they are.
      rewording: Stages before it, see `Task.rewording`.
    """

    def __init__(self, clean: Clean | None, rewording: Sequence[Stage] = ()) -> None:
        self.clean = clean
        self.rewording = tuple(rewording)
        self._cleaned: dict[str, Strings] = {}

    def to_dict(self) -> dict[str, Any]:
        """What captions go through, as plain data."""
        return {"rewording": plain(self.rewording), "clean": plain(self.clean)}

    def reworded(self, captions: Strings) -> Strings:
        """Captions in the words of the task, cleaned: what the model sees."""
        return self._run(captions, (*self.rewording, self.clean))

    def as_read(self, captions: Strings) -> Strings:
        """Captions, cleaned, in their own words: what is left of them is judged by this."""
        return self._run(captions, (self.clean,))

    def _run(self, captions: Strings, stages: Sequence[Stage | None]) -> Strings:
        stages = [stage for stage in stages if stage is not None]
        if not stages:
            return captions
        name = fingerprint(plain(stages), captions.offsets.tobytes(), captions.data)
        if name not in self._cleaned:
            self._cleaned[name] = _run(captions, chain(stages))
        return self._cleaned[name]


def batches(captions: Strings) -> Iterator[Any]:
    """Captions some thousands at a time, string [b], with a progress bar after two seconds."""
    with progress(total=len(captions), what="reading captions", unit="caption") as bar:
        for begin in range(0, len(captions), _BATCH):
            offsets = captions.offsets[begin : begin + _BATCH + 1]
            data = captions.data[offsets[0] : offsets[-1]]
            yield tf.strings.substr(data, offsets[:-1] - offsets[0], np.diff(offsets))
            bar.update(len(offsets) - 1)


def _run(captions: Strings, clean: Stage) -> Strings:
    parts: list[bytes] = []
    lengths: list[int] = [0]
    for batch in batches(captions):
        texts = clean({"caption": batch})["caption"].numpy()
        parts.append(b"".join(texts))
        lengths += map(len, texts)
    return Strings(b"".join(parts), np.cumsum(lengths, dtype=np.int64))
