"""Remembers the images that could not be decoded, while a pipeline runs."""

import tensorflow as tf

from mmdata.example import Example
from mmdata.headers import Format
from mmdata.pairing.findings import Finding
from mmdata.pairing.pairs import Pairs
from mmdata.scan import Scan
from mmdata.stages.images import why_corrupt


class Corrupt:
    """A stage that notes each row whose image is not valid; or stops, naming the files.

    row: int64 [b], path: string [b], valid: bool [b]  ->  unchanged

    Args:
      pairs: The pairs.
      scan: Their scan.
      allowed: How many images may be invalid; None is any number.

    Raises:
      tf.errors.InvalidArgumentError: More images are not valid than `allowed`.
    """

    def __init__(self, pairs: Pairs, scan: Scan, allowed: int | None) -> None:
        self._pairs = pairs
        self._scan = scan
        self._most = allowed
        with tf.device("CPU:0"):
            self._seen = tf.Variable(tf.zeros(len(pairs), tf.bool), trainable=False, name="corrupt")

    def __call__(self, example: Example) -> Example:
        bad = tf.logical_not(example["valid"])
        rows = tf.boolean_mask(example["row"], bad)
        noted = self._seen.scatter_update(tf.IndexedSlices(tf.ones_like(rows, tf.bool), rows))
        if self._most is None:
            return example
        paths = tf.boolean_mask(example["path"], bad)
        message = (
            f"cannot be decoded; {self._most:,} may be. Mend or remove it, or pass "
            'on_problem="drop" to build(), which keeps its place with weight 0.'
        )
        # A batch without one may come first to see what another has noted, and has no name to tell.
        passes = (tf.size(rows) == 0) | (tf.math.count_nonzero(noted) <= self._most)
        stop = tf.debugging.Assert(passes, [paths, message], 5)
        with tf.control_dependencies([stop]):
            return {**example, "valid": tf.identity(example["valid"])}

    def findings(self) -> list[Finding]:
        """A finding, with the reason, for each image that failed and that no scan had named."""
        rows = set(tf.where(self._seen)[:, 0].numpy().tolist()) - set(self._scan.problems)
        named = ((self._pairs.images[row], self._reason(row)) for row in sorted(rows))
        return [Finding("corrupt", image, reason) for image, reason in named]

    def _reason(self, row: int) -> str:
        why, _ = why_undecodable(self._pairs, self._scan, row)
        return why or "failed while the pipeline ran, and can be decoded now"


def why_undecodable(pairs: Pairs, scan: Scan, row: int) -> tuple[str | None, bool]:
    """Reads and decodes the image of a row.

    Returns:
      What speaks against it, or None; and whether it could be read.
    """
    try:
        with pairs.open(row) as file:
            content = file.read()
    except OSError as err:
        return err.strerror or str(err), False
    return why_corrupt(content, Format(scan.formats[row])), True
