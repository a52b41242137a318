from .flags import BLANK as BLANK
from .flags import CHANGED as CHANGED
from .flags import MASKED as MASKED
from .flags import OUTSIDE as OUTSIDE
from .flags import UNANSWERED as UNANSWERED
from .flags import UNFIT as UNFIT
from .flags import UNREADABLE as UNREADABLE
from .logits import predict as predict
from .logits import predict_images as predict_images
from .prediction import Prediction as Prediction

__all__ = [
    "BLANK",
    "CHANGED",
    "MASKED",
    "OUTSIDE",
    "Prediction",
    "UNANSWERED",
    "UNFIT",
    "UNREADABLE",
    "predict",
    "predict_images",
]
