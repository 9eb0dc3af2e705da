"""Tasks: they turn a batch into the form that `fit` takes."""

from typing import Literal

from mmdata.tasks.captioned import Captioned
from mmdata.tasks.captioning import Captioning, Prefix
from mmdata.tasks.classification import Classification
from mmdata.tasks.prediction import Prediction
from mmdata.tasks.retrieval import References, Retrieval
from mmdata.tasks.task import Task
from mmdata.tasks.text_to_image import TextToImage

TaskName = Literal["captioning", "retrieval", "references", "text_to_image", "prediction"]

TASKS: dict[str, Task] = {
    "captioning": Captioning(),
    "retrieval": Retrieval(),
    "references": References(),
    "text_to_image": TextToImage(),
    "prediction": Prediction(),
}
"""The tasks that `build(task=)` takes by name."""

__all__ = [
    "TASKS",
    "Captioned",
    "Captioning",
    "Classification",
    "Prediction",
    "Prefix",
    "References",
    "Retrieval",
    "Task",
    "TaskName",
    "TextToImage",
]
