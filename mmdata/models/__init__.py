"""Reference models for captioning and retrieval, in Keras 3 and on any of its backends."""

from mmdata.models.captioner import Captioner, captioner
from mmdata.models.dual_encoder import DualEncoder, dual_encoder
from mmdata.models.recall import recall_at_k

__all__ = ["Captioner", "DualEncoder", "captioner", "dual_encoder", "recall_at_k"]
