"""Models that find images by captions, and captions by images."""

import dataclasses
from typing import Any

import tensorflow as tf

from mmdata.example import Example, Stage
from mmdata.tasks.captioned import Captioned, Captions
from mmdata.tasks.columns import carried, require_free
from mmdata.tasks.task import Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class Retrieval(Captioned):
    """Image and text towers: match each image with its caption among those of the batch.

    An epoch visits each image once, with one of its captions; by default the next epoch takes the
    next one. Copies of a file are one image, with the captions of all of them: no batch holds an
    image twice. Weights of rows are not used. See `Captioned` for the fields. A batch is a dict:

      images: [b, H, W, 3], as `pixels` has it.
      token_ids: int32 [b, t].
      padding_mask: bool [b, t], True at real tokens; all False where the image is corrupt.
      image_id: int64 [b], equal for copies of a file.

    With `captions="all"` an epoch visits each pair, a batch may hold an image with several of its
    captions, and there is one feature more:

      positives: bool [b, b], whether image i and caption j belong together: True where both rows
        show the same image, and on the diagonal.
    """

    captions: Captions = "cycle"

    @property
    def once_per_file(self) -> bool:
        """Whether copies of a file are one image."""
        return self.captions != "all"

    def __call__(self, example: Example) -> Example:
        batch = _towers(example) | carried(self, example)
        if self.captions == "all":
            ids = example["image_id"]
            same = (ids[:, tf.newaxis] == ids) & (ids != 0)  # 0: files that could not be read
            batch["positives"] = same | tf.eye(tf.size(ids), dtype=tf.bool)
        return batch


@dataclasses.dataclass(frozen=True, kw_only=True)
class References(Task):
    """Each image once, with all its captions: what BLEU, CIDEr and recall@k are measured with.

    Copies of a file are one image, with the captions of all of them. Does not augment. A batch is a
    dict:

      images: [b, H, W, 3], as `pixels` has it.
      references: string [b, n], ragged: the captions as they were read.
      token_ids: int32 [b, n, t], ragged in n: the same, clean and packed.
      padding_mask: bool [b, n, t], ragged in n: True at real tokens; all False where the image is
        corrupt.
      image_id: int64 [b].

    Attributes:
      columns: Columns of numbers that come along under their names, each [b].
    """

    columns: tuple[str, ...] = ()

    captions = "list"

    def __post_init__(self) -> None:
        require_free(self)

    @property
    def once_per_file(self) -> bool:
        """True: the captions of all copies of a file are references of one image."""
        return True

    def check(
        self, *, normalize: str, text_buckets: tuple[int, ...], augment: tuple[Stage, ...]
    ) -> None:
        """Raises a ValueError where images are augmented, or captions of a row split up."""
        if augment:
            raise ValueError(
                f"augment=... must be empty with task=References(...); got {augment!r}."
            )
        if text_buckets:
            raise ValueError(
                "Text(buckets=...) must be empty with task=References(...); got "
                f"buckets={text_buckets!r}."
            )

    def __call__(self, example: Example) -> Example:
        batch = {**_towers(example), "references": example["references"]}
        return batch | carried(self, example)


def _towers(example: Example) -> dict[str, Any]:
    mask, valid = example["padding_mask"], example["valid"]
    if isinstance(mask, tf.RaggedTensor):
        seen = mask.with_values(mask.values & tf.gather(valid, mask.value_rowids())[:, tf.newaxis])
    else:
        seen = mask & valid[:, tf.newaxis]
    return {
        "images": example["image"],
        "token_ids": example["token_ids"],
        "padding_mask": seen,
        "image_id": example["image_id"],
    }
