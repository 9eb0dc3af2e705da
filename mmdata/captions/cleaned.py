"""Cleans captions once, for the vocabulary and the token counts."""

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
    """Cleans captions and keeps the result, which the vocabulary and the token counts share.

    Args:
      clean: The cleaning stage; None leaves captions unchanged.
      rewording: Stages before `clean`, see `Task.rewording`.
    """

    def __init__(self, clean: Clean | None, rewording: Sequence[Stage] = ()) -> None:
        self.clean = clean
        self.rewording = tuple(rewording)
        self._cleaned: dict[str, Strings] = {}

    def to_dict(self) -> dict[str, Any]:
        """The stages, as plain data."""
        return {"rewording": plain(self.rewording), "clean": plain(self.clean)}

    def reworded(self, captions: Strings) -> Strings:
        """Captions after the stages of the task and cleaning, as the model sees them."""
        return self._run(captions, (*self.rewording, self.clean))

    def as_read(self, captions: Strings) -> Strings:
        """Captions after cleaning only: this decides whether a caption is empty."""
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
    """Batches of captions, string [b], b <= 4096, with a progress bar after two seconds."""
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
