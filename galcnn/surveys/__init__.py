"""Sky position -> Cutout: one survey a file, each a plugin of the group `galcnn.surveys`.

`fetch` asks a survey for all galaxies of a catalog. The author of a survey needs `wanted`, `address`,
`get`, `fits_bytes`, `received` and `Limits`. Lazy, since `galcnn plugins` imports no survey.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from galcnn.surveys.batch import FetchSettings, fetch, planned
    from galcnn.surveys.checks import fits_bytes, received, wanted
    from galcnn.surveys.http import Limits, address, get
    from galcnn.surveys.simulated import SimulatedSurvey
    from galcnn.surveys.survey import Survey, open_survey

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

_HOME = {
    "FetchSettings": "batch",
    "Limits": "http",
    "SimulatedSurvey": "simulated",
    "Survey": "survey",
    "address": "http",
    "fetch": "batch",
    "fits_bytes": "checks",
    "get": "http",
    "open_survey": "survey",
    "planned": "batch",
    "received": "checks",
    "wanted": "checks",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"galcnn.surveys.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
