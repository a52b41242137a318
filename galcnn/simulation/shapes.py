"""Shapes of the six classes: random parameters of galaxies other than size and distance.

All ranges and shares are arbitrary. The classes overlap on purpose: arms may be faint, bars short or
foreshortened, discs nearly edge-on, ellipticals flat and blue, knots few and companions small.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

#: Sersic indices are multiples of this, since GalSim makes tables for each new index, which is slow.
SERSIC_STEP = 0.5

Rng = np.random.Generator


def shape(morphology: str, rng: Rng) -> dict[str, Any]:
    """Draw the shape of a galaxy of a class, as fields of `galcnn.simulation.Galaxy`."""
    return _SHAPES[morphology](rng)


def _elliptical(rng: Rng) -> dict[str, Any]:
    return {
        "axis_ratio": rng.uniform(0.4, 1.0),
        "sersic_n": _index(rng, 2.0, 5.0),
        "sed": _pick(rng, E=0.8, Sbc=0.2),
    }


def _spiral(rng: Rng) -> dict[str, Any]:
    return {**_disc(rng), **_arms(rng, rng.uniform(0, 360))}


def _barred_spiral(rng: Rng) -> dict[str, Any]:
    fields = {**_disc(rng), **_arms(rng, rng.uniform(0, 360))}
    fields["bulge_fraction"] *= 0.5
    fields["arm_fraction"] *= 0.8
    return {**fields, "bar_fraction": rng.uniform(0.14, 0.32), "bar_length": rng.uniform(0.8, 1.3)}


def _edge_on(rng: Rng) -> dict[str, Any]:
    inclination = math.degrees(math.acos(rng.uniform(0.0, math.cos(math.radians(75)))))
    thickness = rng.uniform(0.10, 0.18)
    cosine = math.cos(math.radians(inclination))
    return {
        **_populations(rng),
        # An oblate spheroid whose intrinsic axis ratio is the thickness, seen at an inclination.
        "axis_ratio": math.sqrt(cosine**2 + (thickness * math.sin(math.radians(inclination))) ** 2),
        "inclination": inclination,
        "thickness": thickness,
        "bulge_fraction": rng.uniform(0.0, 0.3),
    }


def _irregular(rng: Rng) -> dict[str, Any]:
    return {
        "axis_ratio": rng.uniform(0.5, 1.0),
        "sed": _pick(rng, Sbc=0.1, Scd=0.5, Im=0.4),
        "knot_fraction": rng.uniform(0.15, 0.5),
        "n_knots": int(rng.integers(4, 15)),
        "knot_offset": rng.uniform(0.0, 0.4),
    }


def _merger(rng: Rng) -> dict[str, Any]:
    tidal = rng.uniform(0.08, 0.3)
    ratio = rng.uniform(0.2, 1.0)
    return {
        "axis_ratio": rng.uniform(0.5, 1.0),
        "sersic_n": _index(rng, 1.0, 4.0),
        "sed": _pick(rng, E=0.2, Sbc=0.3, Scd=0.3, Im=0.2),
        "young_sed": _pick(rng, Sbc=0.3, Scd=0.4, Im=0.3),
        "companion_sed": _pick(rng, E=0.2, Sbc=0.3, Scd=0.3, Im=0.2),
        "companion_fraction": (1 - tidal) * ratio / (1 + ratio),
        "companion_distance": rng.uniform(0.9, 2.8),
        "companion_angle": rng.uniform(0, 360),
        "companion_axis_ratio": rng.uniform(0.5, 1.0),
        "companion_n": _index(rng, 1.0, 4.0),
        "tidal_fraction": tidal,
        "tidal_length": rng.uniform(1.2, 2.6),
        "tidal_swing": math.copysign(rng.uniform(40, 130), rng.uniform(-1, 1)),
    }


def _disc(rng: Rng) -> dict[str, Any]:
    return {
        **_populations(rng),
        # For randomly oriented discs, the cosine of the inclination is uniform.
        "axis_ratio": rng.uniform(0.3, 1.0),
        "bulge_fraction": rng.uniform(0.05, 0.40),
    }


def _populations(rng: Rng) -> dict[str, Any]:
    return {
        "sed": _pick(rng, E=0.2, Sbc=0.45, Scd=0.35),
        "bulge_size": rng.uniform(0.15, 0.3),
        "bulge_n": _index(rng, 1.0, 4.0),
    }


def _arms(rng: Rng, phase: float) -> dict[str, Any]:
    return {
        "arm_fraction": rng.uniform(0.10, 0.45),
        "n_arms": int(rng.choice([2, 2, 2, 3, 4])),
        "pitch_angle": math.copysign(rng.uniform(12, 30), rng.uniform(-1, 1)),
        "arm_phase": phase,
        "young_sed": _pick(rng, Scd=0.3, Im=0.7),
    }


def _index(rng: Rng, low: float, high: float) -> float:
    return SERSIC_STEP * round(rng.uniform(low, high) / SERSIC_STEP)


def _pick(rng: Rng, **weights: float) -> str:
    return str(rng.choice(list(weights), p=list(weights.values())))


_SHAPES = {
    "elliptical": _elliptical,
    "spiral": _spiral,
    "barred_spiral": _barred_spiral,
    "edge_on": _edge_on,
    "irregular": _irregular,
    "merger": _merger,
}
