"""Criteria for faithful maps, the checks that compute their values, and the settings of a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import keras
import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.evaluation import Criterion, Regions
from galcnn.explain import Explainer
from galcnn.faithfulness.deletion_insertion import Imputation, deletion_and_insertion, reference_curves
from galcnn.faithfulness.localisation import energy_density, pointing
from galcnn.faithfulness.map_attacks import FragilitySettings, attacked, fragility
from galcnn.faithfulness.parameter_randomisation import randomisation
from galcnn.faithfulness.sample import Sample, maps_of
from galcnn.faithfulness.significance import (
    Significance,
    maps_in_noise,
    over_noise,
    over_null,
    over_seeds,
    significant_share,
)
from galcnn.faithfulness.stability import equivariance, sensitivity
from galcnn.model import looked_at

CRITERIA: tuple[Criterion, ...] = (
    Criterion(
        "randomisation",
        "rank correlation of |map| with that of the network with all layers randomised: 1 for a map of the "
        "image only",
        null=1.0,
        limit=0.5,
        above=False,
    ),
    Criterion(
        "deletion",
        "area under the target's score as the highest-ranked pixels are replaced by sky, subtracted from "
        "that of random rankings, over the mean change of the score",
        null=0.0,
        limit=0.1,
    ),
    Criterion(
        "deletion-light",
        "the same, subtracted from that of a ranking by the brightness of the image",
        null=0.0,
        limit=0.0,
    ),
    Criterion(
        "insertion",
        "area under the score as the highest-ranked pixels are restored, minus that of random rankings, over "
        "the mean change of the score",
        null=0.0,
        limit=0.1,
    ),
    Criterion(
        "insertion-light",
        "the same, minus that of a ranking by the brightness of the image",
        null=0.0,
        limit=0.0,
    ),
    Criterion(
        "pointing",
        "whether the peak of |map| lies on the galaxy, minus the chance of a random pixel, over 1 minus that "
        "chance",
        null=0.0,
        limit=0.5,
    ),
    Criterion(
        "energy",
        "density of the squared map on the galaxy's segment, relative to the network's field of view",
        null=1.0,
        limit=2.0,
    ),
    Criterion(
        "energy-re",
        "the same within the half-light radius",
        null=1.0,
        limit=2.0,
    ),
    Criterion(
        "equivariance",
        "norm of the change of the map when the image is rotated or mirrored (and the map transformed back), "
        "over its norm; mean over orientations; 1.41 for an unrelated map of the same norm",
        null=float(np.sqrt(2)),
        limit=1.0,
        above=False,
    ),
    Criterion(
        "sensitivity",
        "largest norm of the change of the map when pixels change within one sigma of noise, over its norm",
        null=float(np.sqrt(2)),
        limit=1.0,
        above=False,
    ),
    Criterion(
        "fragility",
        "share of the map's top 5 % of pixels that stay in the top 5 % under an attack within one sigma that "
        "keeps the class",
        null=0.05,
        limit=0.5,
    ),
    Criterion(
        "significance",
        "share of the squared map on pixels that are significant relative to the standard deviation of the "
        "map under noise, with a false-discovery rate of 5 %",
        null=0.0,
        limit=0.5,
    ),
    Criterion(
        "significance-seeds",
        "the same for the mean map of several models, relative to its standard error from model to model",
        null=0.0,
        limit=0.5,
    ),
    Criterion(
        "significance-labels",
        "the same for the map, relative to the standard deviation between models trained on shuffled labels",
        null=0.0,
        limit=0.5,
    ),
)


def criterion(name: str) -> Criterion:
    """Return the criterion with a given name."""
    for one in CRITERIA:
        if one.name == name:
            return one
    raise ValueError(message(f"a criterion among {[one.name for one in CRITERIA]}", "", name=name))


@dataclass(frozen=True)
class FaithfulnessSettings:
    """Settings of the faithfulness checks.

    Attributes
    ----------
    target : str or None
        Target of the maps, see `galcnn.model.Target.parse`; if None, the predicted class of each
        galaxy against the runner-up.
    imputation : {"sky", "blurred"}
        Replacement of deleted pixels: blank sky, or the blurred image.
    epsilon : float
        Largest change of a pixel in the sensitivity check, in sigma of its noise.
    moves : int
        Number of random changes in the sensitivity check.
    draws : int
        Number of noise realisations in the significance check; at least three.
    attack : galcnn.faithfulness.map_attacks.FragilitySettings
        Settings of the attack in the fragility check.
    keep_layers : int
        Number of galaxies for which maps, ratios and adjusted p-values are written as FITS layers.
    seed : int
        Random seed of all checks but the attack.
    """

    target: str | None = None
    imputation: Imputation = "sky"
    epsilon: float = 1.0
    moves: int = 8
    draws: int = 16
    attack: FragilitySettings = field(default_factory=FragilitySettings)
    keep_layers: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        words = get_args(Imputation)
        if (
            self.draws < 3
            or self.moves < 1
            or self.epsilon <= 0
            or self.keep_layers < 0
            or self.imputation not in words
        ):
            raise ValueError(
                message(
                    f"at least three draws and one move, epsilon above 0, no negative keep_layers, and an "
                    f"imputation among {words}",
                    "",
                    draws=self.draws,
                    moves=self.moves,
                    epsilon=self.epsilon,
                    keep_layers=self.keep_layers,
                    imputation=self.imputation,
                )
            )


Arrays = dict[str, npt.NDArray[Any]]
#: Other networks, each with the sample of the same galaxies in its own preprocessing.
Others = tuple[tuple[keras.Model, Sample], ...]


@dataclass(frozen=True, eq=False)
class Subject:
    """Network, galaxies and settings of a report.

    Attributes
    ----------
    network : keras.Model
        Network that ends in logits.
    sample : galcnn.faithfulness.Sample
        The galaxies.
    half_light : tuple of Regions or None
        Regions within the half-light radius of each galaxy; None where it cannot be measured.
    settings : FaithfulnessSettings
        Settings of the checks.
    seeds, labels : tuple
        Networks trained with other seeds, and networks trained on shuffled labels, each with its
        sample.
    shared : dict of str to numpy.ndarray
        Arrays that the checks of all methods use, see `SHARED`.
    maps : numpy.ndarray or None
        Maps of the sample by the method that is checked, which all of its checks use; None if they cannot
        be made.
    """

    network: keras.Model
    sample: Sample
    half_light: tuple[Regions | None, ...]
    settings: FaithfulnessSettings
    seeds: Others = ()
    labels: Others = ()
    shared: Arrays = field(default_factory=dict)
    maps: npt.NDArray[np.float32] | None = None


def _attack(subject: Subject) -> Arrays:
    return {"images": attacked(subject.network, subject.sample, attack=subject.settings.attack)}


def _references(subject: Subject) -> Arrays:
    settings = subject.settings
    return dict(
        reference_curves(subject.network, subject.sample, imputation=settings.imputation, seed=settings.seed)
    )


#: Step -> function that computes, once, arrays used by the checks of every method.
SHARED: Mapping[str, Callable[[Subject], Arrays]] = {"attack": _attack, "references": _references}


def _maps(subject: Subject, explainer: Explainer) -> npt.NDArray[np.float32]:
    return maps_of(subject.network, explainer, subject.sample) if subject.maps is None else subject.maps


def _randomisation(subject: Subject, explainer: Explainer) -> Arrays:
    both = randomisation(
        subject.network, explainer, subject.sample, seed=subject.settings.seed, maps=subject.maps
    )
    found: Arrays = {"stages": np.array(both["cascading"].stages)}
    for mode, similarities in both.items():
        for name in ("rank", "signed_rank", "ssim", "signed_ssim"):
            found[f"{mode}_{name}"] = getattr(similarities, name)
    return found | {"randomisation": found["cascading_rank"][-1]}


def _deletion_insertion(subject: Subject, explainer: Explainer) -> Arrays:
    settings = subject.settings
    done = deletion_and_insertion(
        subject.network,
        explainer,
        subject.sample,
        imputation=settings.imputation,
        seed=settings.seed,
        references=subject.shared,
        maps=subject.maps,
    )
    found: Arrays = {"fractions": done.fractions}
    whats: tuple[Literal["deletion", "insertion"], ...] = ("deletion", "insertion")
    for what in whats:
        found |= {f"{what}_{name}_curve": curve for name, curve in getattr(done, what).items()}
        found |= {what: done.gain(what, "random"), f"{what}-light": done.gain(what, "light")}
    return found


def _localisation(subject: Subject, explainer: Explainer) -> Arrays:
    maps = _maps(subject, explainer)
    # Only the network's field of view counts: if it sees only the centre, every map would lie on the galaxy.
    seen = looked_at(subject.network, maps.shape[1:3])
    maps = np.where(seen[:, :, np.newaxis], maps, np.float32(np.nan))
    return {
        "pointing": pointing(maps, subject.sample.regions),
        "energy": energy_density(maps, subject.sample.regions),
        "energy-re": energy_density(maps, subject.half_light),
    }


def _equivariance(subject: Subject, explainer: Explainer) -> Arrays:
    errors = equivariance(subject.network, explainer, subject.sample, maps=subject.maps)
    return {"errors": errors, "equivariance": errors.mean(axis=0)}


def _sensitivity(subject: Subject, explainer: Explainer) -> Arrays:
    settings = subject.settings
    found = sensitivity(
        subject.network,
        explainer,
        subject.sample,
        epsilon=settings.epsilon,
        draws=settings.moves,
        seed=settings.seed,
        maps=subject.maps,
    )
    return {"sensitivity": found}


def _fragility(subject: Subject, explainer: Explainer) -> Arrays:
    shared = subject.shared
    if "attack_refused" in shared:  # for example because the images have no noise
        raise ValueError(str(shared["attack_refused"]))
    found = fragility(
        subject.network,
        explainer,
        subject.sample,
        shared["images"],
        attack=subject.settings.attack,
        maps=subject.maps,
    )
    keep = subject.settings.keep_layers
    maps = {"fragility_before": found.maps[0][:keep], "fragility_after": found.maps[1][:keep]}
    return {"fragility": found.attacked, "at_random": found.random, "shift": found.shift} | maps


def _significance(subject: Subject, explainer: Explainer) -> Arrays:
    settings = subject.settings
    maps = _maps(subject, explainer)
    draws = maps_in_noise(
        subject.network, explainer, subject.sample, draws=settings.draws, seed=settings.seed
    )
    planes = slice(None) if explainer.per_band else slice(1)  # the others are the same
    maps, draws = maps[..., planes], draws[..., planes]
    keep = settings.keep_layers
    found = _judged("significance", maps, over_noise(maps, draws), keep)
    if subject.seeds:
        others = [maps_of(network, explainer, own)[..., planes] for network, own in subject.seeds]
        several = np.stack([maps, *others])
        found |= _judged(
            "significance-seeds", several.mean(axis=0), over_seeds(several), settings.keep_layers
        )
    if subject.labels:
        null = np.stack([maps_of(network, explainer, own)[..., planes] for network, own in subject.labels])
        found |= _judged("significance-labels", maps, over_null(maps, null), keep)
    return found


def _judged(name: str, maps: npt.NDArray[Any], found: Significance, layers: int) -> Arrays:
    return {
        name: significant_share(maps, found),
        f"{name}_map": maps[:layers],
        f"{name}_ratio": found.ratio[:layers],
        f"{name}_q": found.q_value[:layers],
    }


_Check = Callable[[Subject, Explainer], Arrays]
#: Check -> its function, and the criteria for which it computes values.
CHECKS: Mapping[str, tuple[_Check, tuple[str, ...]]] = {
    "randomisation": (_randomisation, ("randomisation",)),
    "deletion_insertion": (
        _deletion_insertion,
        ("deletion", "deletion-light", "insertion", "insertion-light"),
    ),
    "localisation": (_localisation, ("pointing", "energy", "energy-re")),
    "equivariance": (_equivariance, ("equivariance",)),
    "sensitivity": (_sensitivity, ("sensitivity",)),
    "fragility": (_fragility, ("fragility",)),
    "significance": (_significance, ("significance", "significance-seeds", "significance-labels")),
}
