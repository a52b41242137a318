"""Can a map be trusted? Checks with a stated null and limit, and one report of them.

Each check takes a network, an explainer and a `Sample`; what it gives is one value a galaxy, which
`judge` turns into *passes*, *fails*, *undecided* or *does not apply*. Lazy, since Keras is slow to
import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from galcnn.trust.attacking import Attack, attacked, fragility
    from galcnn.trust.controls import CONTROLS, Edges, Light, Noise
    from galcnn.trust.placement import energy_density, half_light, pointing
    from galcnn.trust.randomising import randomisation
    from galcnn.trust.removing import removal
    from galcnn.trust.sample import Sample, held_out, sample_of
    from galcnn.trust.significance import maps_in_noise, over_noise, over_null, over_seeds
    from galcnn.trust.stability import equivariance, sensitivity
    from galcnn.trust.verdicts import CRITERIA, Criterion, Finding, criterion, judge

_HOME = {
    "CONTROLS": "controls",
    "CRITERIA": "verdicts",
    "criterion": "verdicts",
    "Attack": "attacking",
    "Criterion": "verdicts",
    "Edges": "controls",
    "Finding": "verdicts",
    "Light": "controls",
    "Noise": "controls",
    "Sample": "sample",
    "attacked": "attacking",
    "energy_density": "placement",
    "equivariance": "stability",
    "fragility": "attacking",
    "half_light": "placement",
    "held_out": "sample",
    "judge": "verdicts",
    "maps_in_noise": "significance",
    "over_noise": "significance",
    "over_null": "significance",
    "over_seeds": "significance",
    "pointing": "placement",
    "randomisation": "randomising",
    "removal": "removing",
    "sample_of": "sample",
    "sensitivity": "stability",
}

__all__ = [
    "CONTROLS",
    "CRITERIA",
    "Attack",
    "Criterion",
    "Edges",
    "Finding",
    "Light",
    "Noise",
    "Sample",
    "attacked",
    "criterion",
    "energy_density",
    "equivariance",
    "fragility",
    "half_light",
    "held_out",
    "judge",
    "maps_in_noise",
    "over_noise",
    "over_null",
    "over_seeds",
    "pointing",
    "randomisation",
    "removal",
    "sample_of",
    "sensitivity",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"galcnn.trust.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
