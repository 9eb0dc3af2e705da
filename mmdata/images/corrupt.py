"""Records images that cannot be decoded while a pipeline runs, and reports why."""

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
    """Finds the image that a strict pipeline skipped because it failed; for `Dataset.scan`.

    step, row: int64 [b]; path: string [b]; place: int32 [b], 0, 1, 2, ... without missing examples;
    real, valid: bool [b]  ->  row, path, valid of the first example are those of the missing one

    Examples that fill up a batch count as valid. Each batch must end with one such example, which
    cannot fail, so that a gap is visible in its own batch. Batches after a gap are shifted.

    Args:
      look_up: Step, int64 [] -> `row` and `path` of its examples.
    """

    def __init__(self, look_up: Callable[[Any], Example]) -> None:
        self._look_up = look_up

    def __call__(self, missed: Any, example: Example) -> tuple[Any, tuple[Example, Any]]:
        """Takes whether an image was missed before this batch; returns whether one is by now.

        The second result is the batch, and `missed` unchanged.
        """
        gaps = tf.not_equal(example["place"], tf.range(tf.size(example["place"])))
        has_gap = tf.reduce_any(gaps)
        valid = example["valid"] | ~example["real"]
        first = {"row": example["row"][0], "path": example["path"][0], "valid": valid[0]}
        marked = tf.cond(has_gap, lambda: self._missing(example, gaps), lambda: first)
        example = {**example, "valid": valid}
        columns = {name: tf.concat([[marked[name]], example[name][1:]], 0) for name in marked}
        return missed | has_gap, ({**example, **columns}, missed)

    def _missing(self, example: Example, gaps: Any) -> Example:
        place = tf.argmax(gaps)
        expected = self._look_up(example["step"][tf.maximum(place - 1, 0)])
        return {
            "row": expected["row"][place],
            "path": expected["path"][place],
            "valid": tf.constant(False),
        }


class Corrupt:
    """A stage that records each row whose image is not valid, or raises and names the files.

    row: int64 [b], path: string [b], valid: bool [b]; image: uint8 [b, H, W, 3]
      ->  image: uint8 [b, H, W, 3], black where it is not valid

    Args:
      pairs: The pairs.
      scan: Their scan.
      allowed: How many images may be invalid; None means any number.

    Raises:
      tf.errors.InvalidArgumentError: More images than `allowed` are not valid.
    """

    def __init__(self, pairs: Pairs, scan: Scan, allowed: int | None) -> None:
        self._pairs = pairs
        self._scan = scan
        self._allowed = allowed
        with tf.device("CPU:0"):
            no_rows = tf.zeros(len(pairs), tf.bool)
            self._is_corrupt = tf.Variable(no_rows, trainable=False, name="corrupt")

    def __call__(self, example: Example) -> Example:
        bad = tf.logical_not(example["valid"])
        rows = tf.boolean_mask(example["row"], bad)
        update = tf.IndexedSlices(tf.ones_like(rows, tf.bool), rows)
        is_corrupt = self._is_corrupt.scatter_update(update)
        example = {**example, "image": _blacken_invalid(example["image"], example["valid"])}
        if self._allowed is None:
            return example
        paths = tf.boolean_mask(example["path"], bad)
        message = (
            f"cannot be decoded; {self._allowed:,} may be corrupt. Fix or remove the file, or pass "
            'on_problem="drop" to build(), which keeps its place with weight 0.'
        )
        # Batches run in parallel: one without corrupt images may see those of another batch first,
        # and would have no file to name.
        passes = (tf.size(rows) == 0) | (tf.math.count_nonzero(is_corrupt) <= self._allowed)
        stop = tf.debugging.Assert(passes, [paths, message], 5)
        with tf.control_dependencies([stop]):
            return {**example, "valid": tf.identity(example["valid"])}

    def of(self, pairs: Pairs, scan: Scan) -> "Corrupt":
        """A new stage for the same rows, with an updated scan."""
        return Corrupt(pairs, scan, self._allowed)

    def findings(self) -> list[Finding]:
        """A finding, with the reason, for each image that failed and is no problem of the scan."""
        rows = set(tf.where(self._is_corrupt)[:, 0].numpy().tolist()) - set(self._scan.problems)
        reasons = ((self._pairs.images[row], self._reason(row)) for row in sorted(rows))
        return [Finding("corrupt", image, reason) for image, reason in reasons]

    def _reason(self, row: int) -> str:
        why, _ = why_undecodable(self._pairs, self._scan, row)
        return why or "failed while the pipeline ran, and can be decoded now"


def _blacken_invalid(image: Any, valid: Any) -> Any:
    def blacken() -> Any:
        mask = tf.reshape(valid, [-1, *[1] * (image.shape.rank - 1)])
        return tf.where(mask, image, tf.zeros([], image.dtype))

    return tf.cond(tf.reduce_all(valid), lambda: image, blacken)


def report_corrupt(pairs: Pairs, scan: Scan, failed: Sequence[int], otherwise: str = "") -> Pairs:
    """The pairs, whose report says why the images of the rows `failed` cannot be decoded.

    The reasons are saved with the scan, so `build` knows them as long as the file does not change.
    An image that can be decoded by now is reported as `otherwise`, or not at all if that is "".
    """
    problems: dict[int, str] = {}
    lasting: dict[int, str] = {}
    for row in failed:
        why, was_read = why_undecodable(pairs, scan, row)
        if why or otherwise:
            problems[row] = why or otherwise
            if why and was_read:  # an unreadable file may be readable again, unchanged
                lasting[row] = why
    remember(pairs.root, list(pairs.images), pairs.blobs, lasting)
    return pairs.with_scan(scan.refuse(problems))


def why_undecodable(pairs: Pairs, scan: Scan, row: int) -> tuple[str | None, bool]:
    """Reads and decodes the image of a row.

    Returns:
      The reason why it cannot be decoded, or None; and whether the file could be read.
    """
    try:
        with pairs.open(row) as file:
            content = file.read()
    except OSError as err:
        return err.strerror or str(err), False
    return why_corrupt(content, Format(scan.formats[row])), True
