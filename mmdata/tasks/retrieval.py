"""Tasks of models that find images by captions, and captions by images."""

import dataclasses

import tensorflow as tf

from mmdata.example import Example, Stage
from mmdata.tasks.captioned import Captioned, Captions
from mmdata.tasks.columns import extra_columns, raw_text, require_free
from mmdata.tasks.task import Task, refuse_augment


@dataclasses.dataclass(frozen=True, kw_only=True)
class Retrieval(Captioned):
    """Image and text towers: match each image with its caption among those of the batch.

    An epoch visits each image once, with one of its captions; by default, the next epoch takes the
    next caption. Copies of a file are one image, with the captions of all copies, so no batch holds
    an image twice. Ignores weights of rows. See `Captioned` for the fields. A batch is a dict:

      images: [b, H, W, 3], as `pixels` sets it.
      token_ids: int32 [b, t].
      padding_mask: int32 [b, t], 1 at real tokens, 0 at padding; all 0 if the image is corrupt.
      image_id: int32 [b], the row of the image in `ds.pairs`; copies of a file have that of the
        first copy.

    With `text=None`, `captions` (string [b]) replaces `token_ids` and `padding_mask`; if rows have
    weights or corrupt images are allowed, `weight` (float32 [b]) is 0 if the image is corrupt.

    With `captions="all"`, an epoch visits each pair, and a batch may hold an image with several of
    its captions: image i and caption j belong together where their `image_id` are equal. With
    `tf.distribute`, each replica gets a part of the batch, and has its negatives in this part.
    """

    captions: Captions = "cycle"

    @property
    def once_per_file(self) -> bool:
        """Whether copies of a file are one image."""
        return self.captions != "all"

    def __call__(self, example: Example) -> Example:
        return _towers(self, example)


@dataclasses.dataclass(frozen=True, kw_only=True)
class References(Task):
    """Each image once, with all its captions, to measure BLEU, CIDEr and recall@k.

    Copies of a file are one image, with the captions of all copies. Does not augment. A batch is a
    dict:

      images: [b, H, W, 3], as `pixels` sets it.
      references: string [b, n], ragged: the captions as they were read.
      token_ids: int32 [b, n, t], ragged in n: the captions, cleaned and packed.
      padding_mask: int32 [b, n, t], ragged in n: 1 at real tokens; all 0 if the image is corrupt.
      image_id: int32 [b], the row of the image in `ds.pairs`.

    With `text=None`, `captions` (string [b, n], ragged, cleaned) replaces `token_ids` and
    `padding_mask`, and there may be a `weight`, as in `Retrieval`.

    Attributes:
      columns: Numeric columns to add to the batch under their names, each [b].
      inputs: The features of x that batches keep, those that a model declares; () keeps all.
    """

    columns: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()

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
        """Raises a ValueError if images are augmented, or if length buckets would split a row."""
        refuse_augment(self, augment)
        if text_buckets:
            raise ValueError(
                "Text(buckets=...) must be empty with task=References(...); got "
                f"buckets={text_buckets!r}."
            )

    def __call__(self, example: Example) -> Example:
        return {**_towers(self, example), "references": example["references"]}


def _towers(task: Task, example: Example) -> Example:
    if "token_ids" not in example:
        return {**raw_text(task, example), "image_id": example["image_id"]}
    mask, valid = example["padding_mask"], tf.cast(example["valid"], tf.int32)
    if isinstance(mask, tf.RaggedTensor):
        mask = mask.with_values(mask.values * tf.gather(valid, mask.value_rowids())[:, tf.newaxis])
    else:
        mask = mask * valid[:, tf.newaxis]
    return {
        "images": example["image"],
        "token_ids": example["token_ids"],
        "padding_mask": mask,
        "image_id": example["image_id"],
        **extra_columns(task, example),
    }
