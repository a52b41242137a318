"""Can a map be trusted? Checks with a stated null and limit, and one report of them.

Each check takes a network, an explainer and a `Sample`; what it gives is one value a galaxy, which
`galcnn.evaluation.judge` turns into *passes*, *fails*, *undecided* or *not judged*. Lazy, since Keras
is slow to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from galcnn.trust.controls import CONTROLS, Edges, Light, Noise
    from galcnn.trust.criteria import CRITERIA, criterion
    from galcnn.trust.deletion_insertion import removal
    from galcnn.trust.localisation import energy_density, half_light, pointing
    from galcnn.trust.map_attacks import FragilitySettings, attacked, fragility
    from galcnn.trust.parameter_randomisation import randomisation
    from galcnn.trust.sample import Sample, sample_of
    from galcnn.trust.significance import maps_in_noise, over_noise, over_null, over_seeds
    from galcnn.trust.stability import equivariance, sensitivity

_HOME = {
    "CONTROLS": "controls",
    "CRITERIA": "criteria",
    "criterion": "criteria",
    "FragilitySettings": "map_attacks",
    "Edges": "controls",
    "Light": "controls",
    "Noise": "controls",
    "Sample": "sample",
    "attacked": "map_attacks",
    "energy_density": "localisation",
    "equivariance": "stability",
    "fragility": "map_attacks",
    "half_light": "localisation",
    "maps_in_noise": "significance",
    "over_noise": "significance",
    "over_null": "significance",
    "over_seeds": "significance",
    "pointing": "localisation",
    "randomisation": "parameter_randomisation",
    "removal": "deletion_insertion",
    "sample_of": "sample",
    "sensitivity": "stability",
}

__all__ = [
    "CONTROLS",
    "CRITERIA",
    "FragilitySettings",
    "Edges",
    "Light",
    "Noise",
    "Sample",
    "attacked",
    "criterion",
    "energy_density",
    "equivariance",
    "fragility",
    "half_light",
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
