"""Sensitivity of a trained model to concepts, drawn by the simulator or given by folders of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.table import Table

from galcnn._runtime.progress import Progress, silent
from galcnn.cutout import Cutout
from galcnn.dataset import InputFiles
from galcnn.dataset.reader import MAX_UNREADABLE
from galcnn.explain import ConceptSensitivity, concept_sensitivity
from galcnn.model import Target, TrainedModel, images_from, prepare
from galcnn.model.forward import outputs
from galcnn.simulation import SIMULATED, concept_pairs


@dataclass(frozen=True)
class ConceptSettings:
    """Settings of a test of concepts.

    Attributes
    ----------
    concepts : tuple of str
        Concepts: names of `galcnn.simulation.CONCEPTS`, or of concepts of your own.
    target : str
        Class, or ``class-class`` for a margin.
    network_layer : str
        Network layer; by default the last feature maps, see `galcnn.explain.concept_sensitivity`.
    examples : int
        Number of galaxies that are drawn for each simulated concept.
    n_random : int
        Number of random concepts.
    seed : int
        Seed of simulation and random concepts.
    """

    concepts: tuple[str, ...]
    target: str
    network_layer: str = ""
    examples: int = 60
    n_random: int = 999
    seed: int = 0


#: Images with a concept and without it, by its name.
OwnConcepts = Mapping[str, tuple[InputFiles, InputFiles]]


def concept_table(
    trained: TrainedModel,
    files: InputFiles,
    settings: ConceptSettings,
    *,
    own: OwnConcepts | None = None,
    max_unreadable: float = MAX_UNREADABLE,
    progress: Progress = silent,
) -> Table:
    """Test the sensitivity of a target to concepts, in images of galaxies.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    files : galcnn.dataset.InputFiles
        Images in which the target is asked for.
    settings : ConceptSettings
        Concepts, target and network layer.
    own : mapping of str to (InputFiles, InputFiles), optional
        Images with and without each concept of your own, at least 8 of each.
    max_unreadable : float
        Largest fraction of the images, and of those of each folder of your own, that are left out since they
        cannot be read or do not fit.
    progress : galcnn._runtime.progress.Progress
        Progress display; one step per concept.

    Returns
    -------
    astropy.table.Table
        One row per concept: TCAV score, slope, accuracy of the plane that separates the concept, p-value
        against random concepts, and `p_corrected`, the p-value times the number of concepts (Bonferroni).
        ``meta`` has `left_out`: ids of the images that cannot be used, after the concept if it is one of your
        own, with the reason.

    Raises
    ------
    galcnn.errors.UnreadableImageError, ValueError
        If a concept, class or network layer is unknown, there are too few examples, or more images cannot
        be used.
    """
    target = Target.parse(settings.target, trained.classes)
    left_out: dict[str, str] = {}

    def read(those: InputFiles, concept: str = "") -> tuple[Cutout, ...]:
        found = those.readable(trained.card.inputs, max_unreadable=max_unreadable)
        left_out.update({f"{concept} {name}".strip(): why for name, why in found.left_out.items()})
        return found.cutouts

    images = _seen(trained, read(files))
    examples = {concept: [read(those, concept) for those in pair] for concept, pair in (own or {}).items()}
    rows = []
    with progress("concepts", len(settings.concepts)) as step:
        for concept in settings.concepts:
            rows.append(_tested(trained, images, target, concept, settings, examples))
            step()
    table = Table(
        {
            "concept": [row.concept for row in rows],
            "score": [row.score for row in rows],
            "slope": [row.slope for row in rows],
            "accuracy": [row.accuracy for row in rows],
            "p_value": [row.p_value for row in rows],
            "p_corrected": [min(1.0, row.p_value * len(rows)) for row in rows],
        }
    )
    table.meta = {
        "model": trained.card.name,
        "target": target.name,
        "network_layer": rows[0].network_layer if rows else "",
        "n_images": len(images),
        "n_random": settings.n_random,
        "left_out": left_out,
    }
    return table


def _tested(
    trained: TrainedModel,
    images: npt.NDArray[np.float32],
    target: Target,
    concept: str,
    settings: ConceptSettings,
    own: Mapping[str, Sequence[Sequence[Cutout]]],
) -> ConceptSensitivity:
    drawn = concept not in own
    examples, others = _drawn(trained, concept, settings) if drawn else own[concept]
    return concept_sensitivity(
        trained.network,
        images,
        target,
        _seen(trained, examples),
        _seen(trained, others),
        concept=concept,
        network_layer=settings.network_layer,
        paired=drawn,
        n_random=settings.n_random,
        seed=settings.seed,
    )


def _drawn(
    trained: TrainedModel, concept: str, settings: ConceptSettings
) -> tuple[list[Cutout], list[Cutout]]:
    """Draw a concept as the model's survey would see it, or in the simulated one if that is not known."""
    spec = trained.card.inputs
    observation = SIMULATED
    if spec.pixel_scale is not None:
        observation = replace(observation, pixel_scale=spec.pixel_scale * u.arcsec)
    pairs = concept_pairs(
        concept, settings.examples, seed=settings.seed, observation=observation, shape=spec.shape
    )
    return _fitted(trained, pairs[0]), _fitted(trained, pairs[1])


def _fitted(trained: TrainedModel, cutouts: Sequence[Cutout]) -> list[Cutout]:
    return [prepare(cutout, trained.card.inputs, fit=True) for cutout in cutouts]


def _seen(trained: TrainedModel, cutouts: Sequence[Cutout]) -> npt.NDArray[np.float32]:
    """Return the images as the network sees them."""
    return outputs(trained.preprocessing, images_from(cutouts))
