"""Reference models for captioning and retrieval, in Keras 3, on any backend."""

from mmdata.models.captioner import Captioner
from mmdata.models.dual_encoder import DualEncoder
from mmdata.models.recall import recall_at_k

__all__ = ["Captioner", "DualEncoder", "recall_at_k"]
