from .batch import FetchSettings as FetchSettings
from .batch import fetch as fetch
from .batch import planned as planned
from .checks import fits_bytes as fits_bytes
from .checks import received as received
from .checks import wanted as wanted
from .http import Limits as Limits
from .http import address as address
from .http import get as get
from .simulated import SimulatedSurvey as SimulatedSurvey
from .survey import Survey as Survey
from .survey import open_survey as open_survey

__all__ = [
    "FetchSettings",
    "Limits",
    "SimulatedSurvey",
    "Survey",
    "address",
    "fetch",
    "fits_bytes",
    "get",
    "open_survey",
    "planned",
    "received",
    "wanted",
]
