"""Remembers the images that could not be decoded, while a pipeline runs."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from mmdata.example import Example
from mmdata.files.headers import Format
from mmdata.files.scan import Scan, remember
from mmdata.images.decode_in_graph import why_corrupt
from mmdata.pairs.findings import Finding
from mmdata.pairs.pairs import Pairs


class Missed:
    """Finds the image that a strict pipeline has passed over, since it failed; for `Dataset.scan`.

    step, row: int64 [b]; path: string [b]; place: int32 [b], 0, 1, 2, ... but for what is missing;
    real, valid: bool [b]  ->  row, path, valid of the first example: those of what is missing

    What fills a batch up counts as valid. Each batch must have one such example at its end, which
    cannot fail: by that a gap shows in its own batch. Those behind it are out of step.

    Args:
      look_up: From a step, int64 [], to `row` and `path` of its examples.
    """

    def __init__(self, look_up: Callable[[Any], Example]) -> None:
        self._look_up = look_up

    def __call__(self, missed: Any, example: Example) -> tuple[Any, tuple[Example, Any]]:
        """Takes whether an image was missed before; gives it, now, and then as it came, back."""
        gaps = tf.not_equal(example["place"], tf.range(tf.size(example["place"])))
        has_gap = tf.reduce_any(gaps)
        valid = example["valid"] | ~example["real"]
        first = {"row": example["row"][0], "path": example["path"][0], "valid": valid[0]}
        told = tf.cond(has_gap, lambda: self._missing(example, gaps), lambda: first)
        example = {**example, "valid": valid}
        seen = {name: tf.concat([[told[name]], example[name][1:]], 0) for name in told}
        return missed | has_gap, ({**example, **seen}, missed)

    def _missing(self, example: Example, gaps: Any) -> Example:
        place = tf.argmax(gaps)
        asked = self._look_up(example["step"][tf.maximum(place - 1, 0)])
        return {
            "row": asked["row"][place],
            "path": asked["path"][place],
            "valid": tf.constant(False),
        }


class Corrupt:
    """A stage that notes each row whose image is not valid; or stops, naming the files.

    row: int64 [b], path: string [b], valid: bool [b]; image: uint8 [b, H, W, 3]
      ->  image: uint8 [b, H, W, 3], black where it is not valid

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
        example = {**example, "image": _blackened(example["image"], example["valid"])}
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

    def of(self, pairs: Pairs, scan: Scan) -> "Corrupt":
        """The same for the same rows, of which more is known."""
        return Corrupt(pairs, scan, self._most)

    def findings(self) -> list[Finding]:
        """A finding, with the reason, for each image that failed and that no scan had named."""
        rows = set(tf.where(self._seen)[:, 0].numpy().tolist()) - set(self._scan.problems)
        named = ((self._pairs.images[row], self._reason(row)) for row in sorted(rows))
        return [Finding("corrupt", image, reason) for image, reason in named]

    def _reason(self, row: int) -> str:
        why, _ = why_undecodable(self._pairs, self._scan, row)
        return why or "failed while the pipeline ran, and can be decoded now"


def _blackened(image: Any, valid: Any) -> Any:
    def black() -> Any:
        shown = tf.reshape(valid, [-1, *[1] * (image.shape.rank - 1)])
        return tf.where(shown, image, tf.zeros([], image.dtype))

    return tf.cond(tf.reduce_all(valid), lambda: image, black)


def named(pairs: Pairs, scan: Scan, failed: Sequence[int], otherwise: str = "") -> Pairs:
    """The pairs, whose report says why the images of some rows cannot be decoded.

    What cannot be decoded is kept beside the scan, so that `build` knows it, today and as long as
    the file does not change. Of what can be decoded by now it says `otherwise`, or nothing.
    """
    problems: dict[int, str] = {}
    lasting: dict[int, str] = {}
    for row in failed:
        why, was_read = why_undecodable(pairs, scan, row)
        if why or otherwise:
            problems[row] = why or otherwise
            if why and was_read:  # what cannot be read today may be there tomorrow, unchanged
                lasting[row] = why
    remember(pairs.root, list(pairs.images), pairs.blobs, lasting)
    return pairs.with_scan(scan.refuse(problems))


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
