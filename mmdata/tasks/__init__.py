"""Tasks: a batch as `fit` wants it."""

from mmdata.tasks.captioned import Captioned
from mmdata.tasks.captioning import Captioning, Prefix
from mmdata.tasks.classification import Classification
from mmdata.tasks.retrieval import References, Retrieval
from mmdata.tasks.task import Task
from mmdata.tasks.text_to_image import TextToImage

TASKS: dict[str, Task] = {
    "captioning": Captioning(),
    "retrieval": Retrieval(),
    "references": References(),
    "text_to_image": TextToImage(),
}
"""The tasks that have a name."""

__all__ = [
    "TASKS",
    "Captioned",
    "Captioning",
    "Classification",
    "Prefix",
    "References",
    "Retrieval",
    "Task",
    "TextToImage",
]
