"""mmdata turns images and captions on disk into `tf.data` pipelines for Keras.

    import mmdata

    ds = mmdata.build("images/", "captions/")
    model.fit(ds)

Nothing heavy is imported until it is used: TensorFlow loads with `build` and the models, pandas
with `Pairs.to_pandas()`.
"""

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmdata import explore, stages, tokenizers
    from mmdata.captions.length_report import LengthReport
    from mmdata.dataset import Dataset
    from mmdata.example import Example, Stage
    from mmdata.explore.report import report
    from mmdata.export.serving import ImageDecoder, TextEncoder, export_preprocessing
    from mmdata.export.web import export_web
    from mmdata.features import precompute_features
    from mmdata.images.verify import verify
    from mmdata.models import Captioner, DualEncoder, recall_at_k
    from mmdata.options import Batching, Blocks, Pixels, Text
    from mmdata.pairing.problems import Problems
    from mmdata.pairing.read import read
    from mmdata.pairs.findings import Finding, PairingError, PairingReport
    from mmdata.pairs.merging import merge
    from mmdata.pairs.pairs import Pairs
    from mmdata.pipeline import build
    from mmdata.preprocessing import Preprocessing
    from mmdata.sampling.size_buckets import aspect_buckets
    from mmdata.stages.augment import Color, Flip, Grayscale, RandomCrop
    from mmdata.stages.clean import Clean
    from mmdata.tasks import (
        Captioning,
        Classification,
        Prediction,
        Prefix,
        References,
        Retrieval,
        Task,
        TextToImage,
    )
    from mmdata.training.caption import caption
    from mmdata.training.evaluate import evaluate
    from mmdata.training.resume import Resume
    from mmdata.training.saved_models import load, save
    from mmdata.training.search import search

__version__ = importlib.metadata.version("mmdata")

__all__ = [
    "Batching",
    "Blocks",
    "Captioner",
    "Captioning",
    "Classification",
    "Clean",
    "Color",
    "Dataset",
    "DualEncoder",
    "Example",
    "Finding",
    "Flip",
    "Grayscale",
    "ImageDecoder",
    "LengthReport",
    "PairingError",
    "PairingReport",
    "Pairs",
    "Pixels",
    "Prediction",
    "Prefix",
    "Preprocessing",
    "Problems",
    "RandomCrop",
    "References",
    "Resume",
    "Retrieval",
    "Stage",
    "Task",
    "Text",
    "TextEncoder",
    "TextToImage",
    "aspect_buckets",
    "build",
    "caption",
    "evaluate",
    "explore",
    "export_preprocessing",
    "export_web",
    "load",
    "merge",
    "precompute_features",
    "read",
    "recall_at_k",
    "report",
    "save",
    "search",
    "stages",
    "tokenizers",
    "verify",
]

_HOMES = {
    "Batching": "mmdata.options",
    "Blocks": "mmdata.options",
    "Captioner": "mmdata.models",
    "Captioning": "mmdata.tasks",
    "Classification": "mmdata.tasks",
    "Clean": "mmdata.stages.clean",
    "Color": "mmdata.stages.augment",
    "Dataset": "mmdata.dataset",
    "DualEncoder": "mmdata.models",
    "Example": "mmdata.example",
    "Finding": "mmdata.pairs.findings",
    "LengthReport": "mmdata.captions.length_report",
    "Flip": "mmdata.stages.augment",
    "Grayscale": "mmdata.stages.augment",
    "ImageDecoder": "mmdata.export.serving",
    "PairingError": "mmdata.pairs.findings",
    "Pairs": "mmdata.pairs.pairs",
    "Pixels": "mmdata.options",
    "Prediction": "mmdata.tasks",
    "Prefix": "mmdata.tasks",
    "Preprocessing": "mmdata.preprocessing",
    "Problems": "mmdata.pairing.problems",
    "RandomCrop": "mmdata.stages.augment",
    "References": "mmdata.tasks",
    "PairingReport": "mmdata.pairs.findings",
    "Resume": "mmdata.training.resume",
    "Retrieval": "mmdata.tasks",
    "Stage": "mmdata.example",
    "Task": "mmdata.tasks",
    "Text": "mmdata.options",
    "TextEncoder": "mmdata.export.serving",
    "TextToImage": "mmdata.tasks",
    "aspect_buckets": "mmdata.sampling.size_buckets",
    "build": "mmdata.pipeline",
    "evaluate": "mmdata.training.evaluate",
    "caption": "mmdata.training.caption",
    "export_preprocessing": "mmdata.export.serving",
    "export_web": "mmdata.export.web",
    "load": "mmdata.training.saved_models",
    "merge": "mmdata.pairs.merging",
    "precompute_features": "mmdata.features",
    "read": "mmdata.pairing.read",
    "recall_at_k": "mmdata.models",
    "report": "mmdata.explore.report",
    "save": "mmdata.training.saved_models",
    "search": "mmdata.training.search",
    "verify": "mmdata.images.verify",
}


def __getattr__(name: str) -> Any:
    if name in ("explore", "stages", "tokenizers"):
        return importlib.import_module(f"mmdata.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'mmdata' has no attribute {name!r}; it has {', '.join(__all__)}.")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
