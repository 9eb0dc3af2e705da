"""`mmdata.search`: the images that fit a text best, by a trained retrieval model."""

from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from mmdata.dataset import Dataset
from mmdata.features import precompute_features
from mmdata.pairing.problems import OnProblem
from mmdata.preprocessing import Preprocessing
from mmdata.progress import progress
from mmdata.training.embedders import Embedders
from mmdata.training.new_images import FilesOfImages, NewImages, new_images
from mmdata.training.saved_models import preprocessing_of

if TYPE_CHECKING:
    from _typeshed import StrPath


class Found(NamedTuple):
    """An image that `search` found.

    Attributes:
      image: Its path; for images in memory, its index.
      score: The cosine between image and text, -1 to 1; higher is better.
    """

    image: str | int
    score: float


def search(
    model: Any,
    images: Any,
    words: str,
    *,
    k: int = 10,
    index: "StrPath | None" = None,
    dataset: Dataset | None = None,
    batch_size: int = 32,
    on_problem: OnProblem = "error",
) -> list[Found]:
    """Finds the images that fit a text best, with a progress bar after two seconds.

    Args:
      model: A retrieval model: from `mmdata.load`, `DualEncoder.from_dataset`, or any Keras model
        with methods `encode_images(images)` and `encode_text(token_ids, padding_mask)` that return
        embeddings [b, d]; KerasHub's CLIP or SigLIP; or a functional model with the outputs
        `image_embedding` and `text_embedding`.
      images: As in `caption`.
      words: A text, prepared as captions are in training.
      k: Number of images, >= 1; there may be fewer.
      index: A folder for the embeddings of the images: another search computes only those of new
        or changed images. Other pixels or other weights of the model are stored separately. Only
        for files. None stores nothing.
      dataset: As in `caption`.
      batch_size: Images per batch, without `index`.
      on_problem: "error" raises if a file is not an image; "drop" leaves it out.

    Returns:
      The best images, the best first.

    Raises:
      PairingError, tf.errors.InvalidArgumentError: A file cannot be decoded, and `on_problem` is
        "error".
      FileNotFoundError: There is no such file or folder.
      TypeError, ValueError: The model does not embed images and text, or its preprocessing is
        unknown; or an argument is out of range.
    """
    preprocessing = preprocessing_of(model, dataset, "search")
    embedders_of(model)  # before images are read
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"search(k=...) must be an int of at least 1; got {k!r}.")
    new = new_images(
        images,
        preprocessing.pixels,
        batch_size=batch_size,
        on_problem=on_problem,
        who="search",
    )
    return best(model, preprocessing, new, words, k=k, index=index)


def embedders_of(model: Any) -> Embedders:
    """The halves of a model that embed images and text.

    Raises:
      ValueError: It does not embed images and text.
    """
    found = Embedders.of(model)
    if found is None:
        raise ValueError(
            "A search needs a retrieval model, such as mmdata.DualEncoder, with methods "
            "encode_images and encode_text or outputs image_embedding and text_embedding; got a "
            f"{type(model).__name__}."
        )
    return found


def best(
    model: Any,
    preprocessing: Preprocessing,
    images: NewImages,
    words: str,
    *,
    k: int,
    index: "StrPath | None",
) -> list[Found]:
    """The `k` images that fit a text best, without those that cannot be decoded."""
    embedders = embedders_of(model)
    if index is None:
        embeddings = _embedded(embedders, images)
    else:
        embeddings = _indexed(model, embedders, images, index)
    tokens = preprocessing.tokenize([words])
    (text,) = embedders.text(tokens["token_ids"], tokens["padding_mask"])
    named = images.with_values((embeddings @ text).tolist())
    pairs = named.items() if isinstance(named, dict) else enumerate(named)
    found = [Found(image, score) for image, score in pairs if score is not None]
    return sorted(found, key=lambda each: -each.score)[:k]


def _embedded(embedders: Embedders, images: NewImages) -> NDArray[np.float32]:
    embeddings = []
    with progress(total=len(images), what="embedding images", unit="image") as bar:
        for batch in images.batches():
            embeddings.append(embedders.images(batch))
            bar.update(len(batch))
    return np.concatenate(embeddings)


def _indexed(
    model: Any, embedders: Embedders, images: NewImages, index: "StrPath"
) -> NDArray[np.float32]:
    """The embeddings of files; computes and stores those that are not in the index."""
    if not isinstance(images, FilesOfImages):
        raise ValueError("search(index=...) needs files of images; got images in memory.")
    images.ds = precompute_features(images.ds, _ImageTower(model, embedders), index)
    return np.concatenate([*images.batches()])


class _ImageTower(keras.layers.Layer):
    """The half of a retrieval model that embeds images, as a layer; only eagerly."""

    def __init__(self, model: Any, embedders: Embedders) -> None:
        super().__init__()
        self.model = model
        self.embedders = embedders
        self.built = True

    def call(self, images: Any) -> Any:
        return keras.ops.convert_to_tensor(self.embedders.images(images))

    def get_config(self) -> dict[str, Any]:
        return {"model": keras.saving.serialize_keras_object(self.model)}
