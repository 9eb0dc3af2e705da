"""`mmdata.caption`: captions of new images by a trained model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

from numpy.typing import NDArray

from mmdata.dataset import Dataset
from mmdata.pairing.problems import OnProblem
from mmdata.preprocessing import Preprocessing
from mmdata.progress import progress
from mmdata.training.generate import generate
from mmdata.training.new_images import NewImages, new_images
from mmdata.training.saved_models import preprocessing_of

if TYPE_CHECKING:
    from _typeshed import StrPath
    from PIL.Image import Image

_OTHERS = ("Retrieval", "TextToImage")
"""Tasks with text whose models do not write captions."""


@overload
def caption(
    model: Any,
    images: "StrPath | Sequence[StrPath]",
    *,
    dataset: Dataset | None = ...,
    batch_size: int = ...,
    on_problem: OnProblem = ...,
) -> dict[str, str | None]: ...


@overload
def caption(
    model: Any,
    images: "Image | Sequence[Image] | NDArray[Any] | Sequence[NDArray[Any]]",
    *,
    dataset: Dataset | None = ...,
    batch_size: int = ...,
    on_problem: OnProblem = ...,
) -> list[str]: ...


def caption(
    model: Any,
    images: Any,
    *,
    dataset: Dataset | None = None,
    batch_size: int = 32,
    on_problem: OnProblem = "error",
) -> Any:
    """Writes a caption for each new image, with a progress bar after two seconds.

    The model gets the pixels that training makes of the same file, bit-exact.

    Args:
      model: A captioning model: from `mmdata.load`, `Captioner.from_dataset`, or any Keras model
        that `generate` of `mmdata.training.generate` describes: it maps the `x` of a captioning
        batch to logits or probabilities [b, t, v], or has a method `generate(images)`.
      images: A folder, searched with its subfolders; a file; a pattern such as "photos/*.jpg"; tar
        shards; a list of files and folders; `Pairs`. Or images in memory: arrays uint8 [h, w, 3],
        RGB, as a list or [b, h, w, 3]; or Pillow images of any mode, whose EXIF orientation is
        applied.
      dataset: What the model was trained on; None if the model knows its preprocessing, as those of
        `mmdata.load` and `from_dataset` do.
      batch_size: Images per batch.
      on_problem: "error" raises if a file is not an image; with "drop", its caption is None.

    Returns:
      For files, a dict: path -> caption, in order. For images in memory, a list of captions.

    Raises:
      PairingError, tf.errors.InvalidArgumentError: A file cannot be decoded, and `on_problem` is
        "error".
      FileNotFoundError: There is no such file or folder.
      TypeError, ValueError: The model does not write captions, or its preprocessing is unknown; or
        an argument is out of range.
    """
    preprocessing = preprocessing_of(model, dataset, "caption")
    require_captioning(preprocessing)
    new = new_images(
        images,
        preprocessing.pixels,
        batch_size=batch_size,
        on_problem=on_problem,
        who="caption",
    )
    return captions_of(model, preprocessing, new)


def require_captioning(preprocessing: Preprocessing) -> None:
    """Raises ValueError unless a model was trained to write captions."""
    without = "" if preprocessing.text else " without a tokenizer"
    if without or preprocessing.task in _OTHERS:
        raise ValueError(
            'Captions need a model that was trained on task="captioning"; got one that was trained '
            f"on {preprocessing.task}(...){without}."
        )


def captions_of(model: Any, preprocessing: Preprocessing, images: NewImages) -> Any:
    """The captions of images, see `caption`."""
    captions: list[str] = []
    with progress(total=len(images), what="writing captions", unit="image") as bar:
        for batch in images.batches():
            captions += generate(
                model,
                batch,
                tokenizer=preprocessing.tokenizer,
                sequence_length=preprocessing.sequence_length,
                prompt=preprocessing.prompt,
            )
            bar.update(len(batch))
    return images.with_values(captions)
