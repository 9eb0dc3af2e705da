"""New images for a trained model: files or images in memory -> batches of its pixels."""

import os
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from mmdata.dataset import Dataset
from mmdata.images.in_memory import images_in_memory, pixels_of
from mmdata.options import Pixels
from mmdata.pairing.problems import OnProblem
from mmdata.pipeline import build
from mmdata.tasks import Prediction


class NewImages(Protocol):
    """Images in a fixed order."""

    def __len__(self) -> int:
        """Number of images."""

    def batches(self) -> Iterator[NDArray[Any]]:
        """Batches of pixels, [b, H, W, 3]."""

    def with_values(self, values: Sequence[Any]) -> Any:
        """One value for each image, in the form that suits the images."""


class FilesOfImages:
    """Images of files.

    Args:
      images: What `mmdata.build(images, task="prediction")` takes.
      pixels: How images become numbers.
      batch_size: Images per batch.
      on_problem: See `mmdata.build`.

    Attributes:
      ds: The dataset that reads them.
      paths: Their files, in order.
    """

    def __init__(
        self, images: Any, pixels: Pixels, *, batch_size: int, on_problem: OnProblem
    ) -> None:
        self.ds: Dataset = build(
            images,
            task=Prediction(),
            pixels=pixels,
            batch_size=batch_size,
            on_problem=on_problem,
        )
        self.paths = self.ds.paths

    def __len__(self) -> int:
        return len(self.paths)

    def batches(self) -> Iterator[NDArray[Any]]:
        """Batches of pixels; black where an image cannot be decoded."""
        yield from self.ds.as_numpy_iterator()

    def problems(self) -> dict[str, str]:
        """Why images could not be decoded, by path; complete after the last batch."""
        findings = self.ds.report.findings
        root = self.ds.pairs.root
        return {os.path.join(root, f.path): f.detail for f in findings if f.kind == "corrupt"}

    def with_values(self, values: Sequence[Any]) -> dict[str, Any]:
        """The value of each path; None if the image could not be decoded."""
        problems = self.problems()
        named = zip(self.paths, values, strict=True)
        return {path: None if path in problems else value for path, value in named}


class ImagesInMemory:
    """Arrays or Pillow images, see `pixels_of`.

    Args:
      images: Single images.
      pixels: How images become numbers.
      batch_size: Images per batch.
      who: The caller, for messages.
    """

    def __init__(self, images: Sequence[Any], pixels: Pixels, *, batch_size: int, who: str) -> None:
        self._images = images
        self._pixels = pixels
        self._batch_size = batch_size
        self._who = who

    def __len__(self) -> int:
        return len(self._images)

    def batches(self) -> Iterator[NDArray[Any]]:
        """Batches of pixels."""
        for begin in range(0, len(self), self._batch_size):
            batch = self._images[begin : begin + self._batch_size]
            yield pixels_of(batch, self._pixels, self._who)

    def with_values(self, values: Sequence[Any]) -> list[Any]:
        """The values as a list."""
        return list(values)


def new_images(
    images: Any, pixels: Pixels, *, batch_size: int, on_problem: OnProblem, who: str
) -> NewImages:
    """Opens images: files, folders, shards, tables or `Pairs`; or images in memory."""
    in_memory = images_in_memory(images)
    if in_memory is None:
        return FilesOfImages(images, pixels, batch_size=batch_size, on_problem=on_problem)
    return ImagesInMemory(in_memory, pixels, batch_size=batch_size, who=who)
