"""mmdata turns images and captions on disk into `tf.data` pipelines for Keras.

    import mmdata

    ds = mmdata.build("images/", "captions/")
    model.fit(ds)

Nothing heavy is imported until it is used: TensorFlow loads with `build` and the models, pandas
with `Pairs.frame`.
"""

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmdata import tokenizers
    from mmdata.arguments import Pixels, Text
    from mmdata.dataset import Dataset
    from mmdata.models import Captioner, DualEncoder, captioner, dual_encoder, recall_at_k
    from mmdata.pairing.findings import Finding, PairingError, Report
    from mmdata.pairing.pairs import Pairs
    from mmdata.pairing.problems import Problems
    from mmdata.pairing.read import read
    from mmdata.pipeline import build
    from mmdata.shapes import aspect_buckets
    from mmdata.stages.augment import Color, Flip, Grayscale, RandomCrop
    from mmdata.tasks import Captioning, Classification, Retrieval
    from mmdata.verification import verify

__version__ = importlib.metadata.version("mmdata")

__all__ = [
    "Captioner",
    "Captioning",
    "Classification",
    "Color",
    "Dataset",
    "DualEncoder",
    "Finding",
    "Flip",
    "Grayscale",
    "PairingError",
    "Pairs",
    "Pixels",
    "Problems",
    "RandomCrop",
    "Report",
    "Retrieval",
    "Text",
    "aspect_buckets",
    "build",
    "captioner",
    "dual_encoder",
    "read",
    "recall_at_k",
    "tokenizers",
    "verify",
]

_HOMES = {
    "Captioner": "mmdata.models",
    "Captioning": "mmdata.tasks",
    "Classification": "mmdata.tasks",
    "Color": "mmdata.stages.augment",
    "Dataset": "mmdata.dataset",
    "DualEncoder": "mmdata.models",
    "Finding": "mmdata.pairing.findings",
    "Flip": "mmdata.stages.augment",
    "Grayscale": "mmdata.stages.augment",
    "PairingError": "mmdata.pairing.findings",
    "Pairs": "mmdata.pairing.pairs",
    "Pixels": "mmdata.arguments",
    "Problems": "mmdata.pairing.problems",
    "RandomCrop": "mmdata.stages.augment",
    "Report": "mmdata.pairing.findings",
    "Retrieval": "mmdata.tasks",
    "Text": "mmdata.arguments",
    "aspect_buckets": "mmdata.shapes",
    "build": "mmdata.pipeline",
    "captioner": "mmdata.models",
    "dual_encoder": "mmdata.models",
    "read": "mmdata.pairing.read",
    "recall_at_k": "mmdata.models",
    "verify": "mmdata.verification",
}


def __getattr__(name: str) -> Any:
    if name == "tokenizers":
        return importlib.import_module("mmdata.tokenizers")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'mmdata' has no attribute {name!r}; it has {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
