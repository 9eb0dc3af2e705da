"""The task of trained models: new images, without captions."""

import dataclasses
from typing import Any

from mmdata.example import Example, Stage
from mmdata.tasks.columns import extra_columns, require_free
from mmdata.tasks.task import Task, refuse_augment


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction(Task):
    """Images alone, for `keras.Model.predict`; captions are not read.

    An epoch visits each image once, in the order of `ds.paths`. Never shuffles and never augments,
    in any split. A batch is the `x` of `Classification`:

      images: [b, H, W, 3], as `pixels` sets it; with `columns`, a dict of "images" and the columns.
        Black if the image is corrupt: `ds.report` names these images.

    Attributes:
      columns: Numeric columns to add to the batch under their names, each [b].
      inputs: The features of x that batches keep, those that a model declares; () keeps all.
    """

    columns: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_free(self)

    @property
    def in_order(self) -> bool:
        """True: predictions belong to paths."""
        return True

    def check(
        self, *, normalize: str, text_buckets: tuple[int, ...], augment: tuple[Stage, ...]
    ) -> None:
        """Raises a ValueError if images are augmented."""
        refuse_augment(self, augment)

    def __call__(self, example: Example) -> Any:
        columns = extra_columns(self, example)
        return {"images": example["image"], **columns} if columns else example["image"]
