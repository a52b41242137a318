"""Concepts of morphology: the same galaxies with a component and without it."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

from galcnn.cutout import Cutout
from galcnn.errors import did_you_mean, message
from galcnn.photometry import Observation
from galcnn.simulation.drawing import draw
from galcnn.simulation.galaxy import Galaxy, from_catalog
from galcnn.simulation.population import simulate_catalog
from galcnn.simulation.telescope import SIMULATED

#: The field of `Galaxy` that holds the share of flux of each concept's component, or the depth of dust.
CONCEPTS = {
    "arms": "arm_fraction",
    "bar": "bar_fraction",
    "dust": "dust_depth",
    "neighbour": "companion_fraction",
    "tail": "tidal_fraction",
}
_CHUNK = 60
#: Optical depth of dust, face-on: between those of the discs of Xilouris et al. (1999).
_DUST_DEPTH = 0.5


def concept_pairs(
    concept: str,
    n: int,
    *,
    seed: int,
    observation: Observation = SIMULATED,
    shape: tuple[int, int] = (64, 64),
) -> tuple[list[Cutout], list[Cutout]]:
    """Draw galaxies with a component, and the same galaxies without it.

    Without it, its flux goes to the main body, so that both have the same rest-frame r flux. A dust lane, of
    an edge-on galaxy, absorbs light: the brightness of both is the same behind it, and more is seen without
    it. Position and the random numbers of the noise are the same too.

    Parameters
    ----------
    concept : {"arms", "bar", "dust", "neighbour", "tail"}
        Component: spiral arms, bar, dust lane, companion galaxy, or tidal tail.
    n : int
        Number of galaxies, drawn from all classes that have the component.
    seed : int
        Seed of the population and of the noise.
    observation : Observation
        Pixel scale, bands, PSF and depth.
    shape : tuple of int
        Shape of the cutouts in pixels, (ny, nx).

    Returns
    -------
    with_it, without_it : list of Cutout
        Cutouts; those of one galaxy at the same place.

    Raises
    ------
    ValueError
        If the concept is unknown.
    ImportError
        If GalSim is not installed.
    """
    if concept not in CONCEPTS:
        raise ValueError(
            message(
                f"a concept among {', '.join(CONCEPTS)}", did_you_mean(concept, CONCEPTS), concept=concept
            )
        )
    share = CONCEPTS[concept]
    without: dict[str, Any] = {share: 0.0}
    found = []
    for size in count(_CHUNK, _CHUNK):  # a row is the same in a catalog of any length
        found = [_with_dust(one) if concept == "dust" else one for one in _population(size, seed)]
        found = [one for one in found if getattr(one, share) > 0]
        if len(found) >= n:
            break
    drawn: tuple[list[Cutout], list[Cutout]] = ([], [])
    for galaxy in found[:n]:
        for cutouts, one in zip(drawn, (galaxy, replace(galaxy, **without)), strict=True):
            cutouts.append(draw(one, seed=seed, observation=observation, shape=shape))
    return drawn


def _population(size: int, seed: int) -> list[Galaxy]:
    return from_catalog(simulate_catalog(size, seed=seed))


def _with_dust(galaxy: Galaxy) -> Galaxy:
    return replace(galaxy, dust_depth=_DUST_DEPTH) if galaxy.morphology == "edge_on" else galaxy
