"""The checks of a report, each from a method to one value a galaxy and what else is worth keeping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from galcnn.evaluation.regions import Regions
from galcnn.explain import Explainer
from galcnn.explain.receptive import looked_at
from galcnn.trust.attacking import attacked, fragility
from galcnn.trust.placement import energy_density, pointing
from galcnn.trust.randomising import randomisation
from galcnn.trust.removing import reference_curves, removal
from galcnn.trust.sample import Sample, maps_of
from galcnn.trust.settings import TrustSettings
from galcnn.trust.significance import (
    Significance,
    maps_in_noise,
    over_noise,
    over_null,
    over_seeds,
    significant_share,
)
from galcnn.trust.stability import equivariance, sensitivity

__all__ = ["CHECKS", "Arrays", "Others", "Subject"]

Arrays = dict[str, npt.NDArray[Any]]
#: Other models, each with the same galaxies as it sees them.
Others = tuple[tuple[keras.Model, Sample], ...]


@dataclass(frozen=True, eq=False)
class Subject:
    """What a report is about.

    Attributes
    ----------
    network : keras.Model
        Ends in logits.
    sample : galcnn.trust.Sample
        The galaxies.
    half_light : tuple of Regions or None
        Where half of the light of each lies.
    settings : TrustSettings
        How.
    seeds, labels : tuple
        Models that differ from the network in their seed, and models of shuffled labels.
    """

    network: keras.Model
    sample: Sample
    half_light: tuple[Regions | None, ...]
    settings: TrustSettings
    seeds: Others = ()
    labels: Others = ()

    def attacked(self) -> Arrays:
        """Attack the maps of the galaxies.

        Returns
        -------
        dict of str to numpy.ndarray
            ``images``, see `galcnn.trust.attacked`.
        """
        return {"images": attacked(self.network, self.sample, attack=self.settings.attack)}

    def references(self) -> Arrays:
        """Delete and insert pixels in orders that need no method.

        Returns
        -------
        dict of str to numpy.ndarray
            See `galcnn.trust.removing.reference_curves`.
        """
        settings = self.settings
        own = reference_curves(self.network, self.sample, imputation=settings.imputation, seed=settings.seed)
        return dict(own)


def _randomisation(subject: Subject, explainer: Explainer, shared: Arrays) -> Arrays:
    del shared
    both = randomisation(subject.network, explainer, subject.sample, seed=subject.settings.seed)
    found: Arrays = {"stages": np.array(both["cascading"].stages)}
    for mode, similarities in both.items():
        for name in ("rank", "signed_rank", "ssim", "signed_ssim"):
            found[f"{mode}_{name}"] = getattr(similarities, name)
    return found | {"randomisation": found["cascading_rank"][-1]}


def _removal(subject: Subject, explainer: Explainer, shared: Arrays) -> Arrays:
    settings = subject.settings
    done = removal(
        subject.network,
        explainer,
        subject.sample,
        imputation=settings.imputation,
        seed=settings.seed,
        references=shared,
    )
    found: Arrays = {"fractions": done.fractions}
    for what, curves in (("deletion", done.deletion), ("insertion", done.insertion)):
        found |= {f"{what}_{name}_curve": curve for name, curve in curves.items()}
    found["deletion"], found["deletion-light"] = (
        done.gain("deletion", "random"),
        done.gain("deletion", "light"),
    )
    found["insertion"], found["insertion-light"] = (
        done.gain("insertion", "random"),
        done.gain("insertion", "light"),
    )
    return found


def _placement(subject: Subject, explainer: Explainer, shared: Arrays) -> Arrays:
    del shared
    maps = maps_of(subject.network, explainer, subject.sample)
    # Of a network that looks at the middle alone every map would lie on the galaxy, for being there.
    seen = looked_at(subject.network, maps.shape[1:3])
    maps = np.where(seen[:, :, np.newaxis], maps, np.float32(np.nan))
    return {
        "pointing": pointing(maps, subject.sample.regions),
        "energy": energy_density(maps, subject.sample.regions),
        "energy-re": energy_density(maps, subject.half_light),
    }


def _equivariance(subject: Subject, explainer: Explainer, shared: Arrays) -> Arrays:
    del shared
    errors = equivariance(subject.network, explainer, subject.sample)
    return {"errors": errors, "equivariance": errors.mean(axis=0)}


def _sensitivity(subject: Subject, explainer: Explainer, shared: Arrays) -> Arrays:
    del shared
    settings = subject.settings
    found = sensitivity(
        subject.network,
        explainer,
        subject.sample,
        noise=settings.noise,
        draws=settings.moves,
        seed=settings.seed,
    )
    return {"sensitivity": found}


def _fragility(subject: Subject, explainer: Explainer, shared: Arrays) -> Arrays:
    if "attack_refused" in shared:  # no noise to move pixels within
        raise ValueError(str(shared["attack_refused"]))
    found = fragility(
        subject.network, explainer, subject.sample, shared["images"], attack=subject.settings.attack
    )
    return {"fragility": found.attacked, "at_random": found.random, "shift": found.shift}


def _significance(subject: Subject, explainer: Explainer, shared: Arrays) -> Arrays:
    del shared
    settings = subject.settings
    maps = maps_of(subject.network, explainer, subject.sample)
    draws = maps_in_noise(
        subject.network, explainer, subject.sample, draws=settings.draws, seed=settings.seed
    )
    planes = slice(None) if explainer.per_band else slice(1)  # the others are the same
    maps, draws = maps[..., planes], draws[..., planes]
    found = _judged("significance", maps, over_noise(maps, draws), settings.layers)
    if subject.seeds:
        others = [maps_of(network, explainer, own)[..., planes] for network, own in subject.seeds]
        several = np.stack([maps, *others])
        found |= _judged("significance-seeds", several.mean(axis=0), over_seeds(several), settings.layers)
    if subject.labels:
        null = np.stack([maps_of(network, explainer, own)[..., planes] for network, own in subject.labels])
        found |= _judged("significance-labels", maps, over_null(maps, null), settings.layers)
    return found


def _judged(name: str, maps: npt.NDArray[Any], found: Significance, layers: int) -> Arrays:
    return {
        name: significant_share(maps, found),
        f"{name}_map": maps[:layers],
        f"{name}_ratio": found.ratio[:layers],
        f"{name}_q": found.q_value[:layers],
    }


_Check = Callable[[Subject, Explainer, Arrays], Arrays]
#: Check -> the function, and the criteria that it has values for.
CHECKS: Mapping[str, tuple[_Check, tuple[str, ...]]] = {
    "randomisation": (_randomisation, ("randomisation",)),
    "removal": (_removal, ("deletion", "deletion-light", "insertion", "insertion-light")),
    "placement": (_placement, ("pointing", "energy", "energy-re")),
    "equivariance": (_equivariance, ("equivariance",)),
    "sensitivity": (_sensitivity, ("sensitivity",)),
    "fragility": (_fragility, ("fragility",)),
    "significance": (_significance, ("significance", "significance-seeds", "significance-labels")),
}
