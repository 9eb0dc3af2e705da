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
    from mmdata import explore, tokenizers
    from mmdata.arguments import Batches, Blocks, Pixels, Text
    from mmdata.dataset import Dataset
    from mmdata.encoding import features
    from mmdata.explore.report import report
    from mmdata.fit_report import FitReport
    from mmdata.models import Captioner, DualEncoder, captioner, dual_encoder, recall_at_k
    from mmdata.pairing.findings import Finding, PairingError, Report
    from mmdata.pairing.pairs import Pairs
    from mmdata.pairing.problems import Problems
    from mmdata.pairing.read import read
    from mmdata.pipeline import build
    from mmdata.resume import Resume
    from mmdata.serving import ImageConverter, TextConverter, export_preprocessing
    from mmdata.shapes import aspect_buckets
    from mmdata.stages.augment import Color, Flip, Grayscale, RandomCrop
    from mmdata.stages.text import Clean
    from mmdata.tasks import (
        Captioning,
        Classification,
        Prefix,
        References,
        Retrieval,
        TextToImage,
    )
    from mmdata.verification import verify

__version__ = importlib.metadata.version("mmdata")

__all__ = [
    "Batches",
    "Blocks",
    "Captioner",
    "Captioning",
    "Classification",
    "Clean",
    "Color",
    "Dataset",
    "DualEncoder",
    "Finding",
    "FitReport",
    "Flip",
    "Grayscale",
    "ImageConverter",
    "PairingError",
    "Pairs",
    "Pixels",
    "Prefix",
    "Problems",
    "RandomCrop",
    "References",
    "Report",
    "Resume",
    "Retrieval",
    "Text",
    "TextConverter",
    "TextToImage",
    "aspect_buckets",
    "build",
    "captioner",
    "dual_encoder",
    "explore",
    "export_preprocessing",
    "features",
    "read",
    "recall_at_k",
    "report",
    "tokenizers",
    "verify",
]

_HOMES = {
    "Batches": "mmdata.arguments",
    "Blocks": "mmdata.arguments",
    "Captioner": "mmdata.models",
    "Captioning": "mmdata.tasks",
    "Classification": "mmdata.tasks",
    "Clean": "mmdata.stages.text",
    "Color": "mmdata.stages.augment",
    "Dataset": "mmdata.dataset",
    "DualEncoder": "mmdata.models",
    "Finding": "mmdata.pairing.findings",
    "FitReport": "mmdata.fit_report",
    "Flip": "mmdata.stages.augment",
    "Grayscale": "mmdata.stages.augment",
    "ImageConverter": "mmdata.serving",
    "PairingError": "mmdata.pairing.findings",
    "Pairs": "mmdata.pairing.pairs",
    "Pixels": "mmdata.arguments",
    "Prefix": "mmdata.tasks",
    "Problems": "mmdata.pairing.problems",
    "RandomCrop": "mmdata.stages.augment",
    "References": "mmdata.tasks",
    "Report": "mmdata.pairing.findings",
    "Resume": "mmdata.resume",
    "Retrieval": "mmdata.tasks",
    "Text": "mmdata.arguments",
    "TextConverter": "mmdata.serving",
    "TextToImage": "mmdata.tasks",
    "aspect_buckets": "mmdata.shapes",
    "build": "mmdata.pipeline",
    "captioner": "mmdata.models",
    "dual_encoder": "mmdata.models",
    "export_preprocessing": "mmdata.serving",
    "features": "mmdata.encoding",
    "read": "mmdata.pairing.read",
    "recall_at_k": "mmdata.models",
    "report": "mmdata.explore.report",
    "verify": "mmdata.verification",
}


def __getattr__(name: str) -> Any:
    if name in ("explore", "tokenizers"):
        return importlib.import_module(f"mmdata.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'mmdata' has no attribute {name!r}; it has {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
