"""Stages: frozen values that map an example, a dict of tensors, to an example."""

from mmdata.stages.augment import Color, Flip, Grayscale, RandomCrop
from mmdata.stages.captions import DropCaption, ShuffleTags, SplitCaptions, Template, TidyTags
from mmdata.stages.clean import Clean
from mmdata.stages.normalize import Normalize
from mmdata.stages.pack import Pack, Tokenize
from mmdata.stages.resize import CenterCrop, Resize

__all__ = [
    "CenterCrop",
    "Clean",
    "Color",
    "DropCaption",
    "Flip",
    "Grayscale",
    "Normalize",
    "Pack",
    "RandomCrop",
    "Resize",
    "ShuffleTags",
    "SplitCaptions",
    "Template",
    "TidyTags",
    "Tokenize",
]
