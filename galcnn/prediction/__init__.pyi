from .logits import predict as predict
from .logits import predict_images as predict_images
from .prediction import Prediction as Prediction
from .tables import BLANK as BLANK
from .tables import MASKED as MASKED
from .tables import OUTSIDE as OUTSIDE
from .tables import UNANSWERED as UNANSWERED
from .tables import UNFIT as UNFIT
from .tables import UNREADABLE as UNREADABLE
from .tables import prediction_table as prediction_table

__all__ = [
    "BLANK",
    "MASKED",
    "OUTSIDE",
    "Prediction",
    "UNANSWERED",
    "UNFIT",
    "UNREADABLE",
    "predict",
    "predict_images",
    "prediction_table",
]
