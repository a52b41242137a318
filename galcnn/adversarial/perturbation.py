"""Run attacks on cutouts: from a trained model and a target to Syntheses whose success is checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, is_dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from galcnn.adversarial.fooling_images import confidence_odds
from galcnn.adversarial.margins import Attack, log_odds, margins
from galcnn.adversarial.minimal import SmallestBudget
from galcnn.adversarial.pgd import PGD
from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.explain import Synthesis
from galcnn.explain.attribution import Prepared
from galcnn.explain.baselines import baseline_images, sky_level
from galcnn.model import Target, TrainedModel, images_from, planes_from, prepare
from galcnn.model.forward import outputs
from galcnn.photometry import DISPLAY

#: What pictures can hold.
_PICTURE = (0.0, 255.0)


Images = npt.NDArray[np.float32]


def away_from(name: str, classes: Sequence[str]) -> Target:
    """Target everything but one class.

    Parameters
    ----------
    name : str
        The class.
    classes : sequence of str
        The model's classes, in its order.

    Returns
    -------
    Target
        Weight -1 on `name`: it is reached where any other class comes first.

    Examples
    --------
    >>> away_from("spiral", ("elliptical", "spiral"))
    Target(name='not spiral', weights=(0.0, -1.0))
    """
    weights = Target.of_class(name, classes).weights
    return Target(f"not {name}", tuple(-weight or 0.0 for weight in weights))


def fool(
    trained: TrainedModel,
    cutouts: Sequence[Cutout],
    *,
    attacks: Sequence[Attack],
    targets: Target | Sequence[Target] | None = None,
    ids: Sequence[str] | None = None,
) -> list[tuple[Synthesis, ...]]:
    """Fool a model with some cutouts, and check that it is fooled.

    Attacks work in the flux (or display values) of the cutout. What they return is rounded to the
    float32 that FITS files hold and then classified anew, as any other cutout, one by one.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model; left as it is.
    cutouts : sequence of galcnn.cutout.Cutout
        In the model's bands, unit and shape, see `galcnn.model.prepare`.
    attacks : sequence of Attack
        The methods. Pictures (display values) are kept from 0 to 255 where an attack has no
        bounds of its own.
    targets : Target or sequence of Target, optional
        One for all, or one a cutout; by default away from the class that the model finds most
        probable, in the galaxy or in the blank sky.
    ids : sequence of str, optional
        They key the random streams; numbers by default.

    Returns
    -------
    list of tuple of Synthesis
        For each cutout, one for each attack, in order. Masked pixels keep their values.

    Raises
    ------
    ValueError
        A cutout or a target does not fit, or what an attack needs is not known.
    """
    names = [str(i) for i in range(len(cutouts))] if ids is None else [str(name) for name in ids]
    fitting = [prepare(cutout, trained.card.inputs) for cutout in cutouts]
    if isinstance(targets, Sequence) and len(targets) != len(fitting):
        raise ValueError(
            message(f"one target for each of {len(fitting)} cutouts", "", n_targets=len(targets))
        )
    seen = prepared_alike(trained, fitting, names)
    before = _logits(trained, seen.images)
    columns = [_fooled(seen, before, boxed(attack, trained), targets) for attack in attacks]
    return [tuple(row) for row in zip(*columns, strict=True)] if columns else [() for _ in fitting]


def prepared_alike(trained: TrainedModel, cutouts: Sequence[Cutout], ids: Sequence[str]) -> Prepared:
    """Prepare cutouts whose noise is known, or not known, alike: attacks count in it."""
    with_sigma = sum(cutout.sigma is not None for cutout in cutouts)
    if 0 < with_sigma < len(cutouts):
        raise ValueError(
            message(
                "the noise of every pixel of all cutouts, or of none",
                "Fool them apart.",
                with_sigma=with_sigma,
                n=len(cutouts),
            )
        )
    return Prepared.of(trained, cutouts, ids=ids)


def boxed(attack: Attack, trained: TrainedModel) -> Attack:
    """Keep an attack on pictures within what pictures can hold, where it has no bounds of its own."""
    if trained.card.inputs.unit != str(DISPLAY):
        return attack
    if isinstance(attack, SmallestBudget):
        bounds = boxed(attack.pgd, trained)
        return replace(attack, pgd=bounds) if isinstance(bounds, PGD) else attack
    if getattr(attack, "lower", 0) is None and getattr(attack, "upper", 0) is None:
        changed: Attack = replace(attack, lower=_PICTURE[0], upper=_PICTURE[1])  # type: ignore[type-var]
        return changed
    return attack


def _fooled(
    seen: Prepared,
    before: npt.NDArray[np.float32],
    attack: Attack,
    targets: Target | Sequence[Target] | None,
) -> list[Synthesis]:
    """Fool with one attack; `before` is what the model says of the cutouts."""
    trained = seen.trained
    if attack.from_sky:
        seen = _skies(seen, attack)
        before = _logits(trained, seen.images)
    chosen = _chosen(targets, before, trained.classes)
    made = attack(trained.model, seen.images, chosen, context=seen.context)
    changed = [
        replace(cutout, flux=np.where(cutout.mask, cutout.flux, planes))
        for cutout, planes in zip(seen.cutouts, planes_from(made), strict=True)
    ]
    after = _logits(trained, images_from(changed))
    weights = np.array([target.weights for target in chosen])
    if attack.confidence > 0.5:
        success = log_odds(after, weights) >= confidence_odds(attack.confidence)
    else:
        success = margins(after, weights) > 0
    settings: dict[str, Any] = asdict(attack) if is_dataclass(attack) and not isinstance(attack, type) else {}
    settings.pop("pattern", None)  # of a fixed perturbation: the difference shows it
    seed = settings.pop("seed", None)
    return [
        Synthesis(
            end.flux,
            start.flux,
            start.bands,
            attack.name,
            target,
            "flux",
            str(start.unit),
            float(new @ weight),
            float(old @ weight),
            bool(won),
            tuple(new.tolist()),
            tuple(old.tolist()),
            settings,
            seed,
            sigma=start.sigma,
        )
        for start, end, target, weight, old, new, won in zip(
            seen.cutouts, changed, chosen, weights, before, after, success, strict=True
        )
    ]


def _skies(seen: Prepared, attack: Attack) -> Prepared:
    """Blank skies with the level and noise that the frame of each image shows."""
    images, context = seen.images, seen.context
    seed = int(getattr(attack, "seed", 0))
    skies = baseline_images("sky", images, context=context, blur=0, seed=seed).astype(np.float32)
    known = context.sigma is not None
    noise = np.broadcast_to(sky_level(images, context)[1], images.shape).astype(np.float32)
    low, high = getattr(attack, "lower", None), getattr(attack, "upper", None)
    if low is not None or high is not None:
        skies = np.clip(skies, low, high)
    made = [
        replace(
            cutout,
            flux=np.where(cutout.mask, cutout.flux, sky),
            sigma=np.where(cutout.mask, cutout.sigma, sigma) if cutout.sigma is not None else None,
        )
        for cutout, sky, sigma in zip(seen.cutouts, planes_from(skies), planes_from(noise), strict=True)
    ]
    blank = replace(context, sigma=noise if known else None)
    return replace(seen, cutouts=tuple(made), images=images_from(made), context=blank)


def _logits(trained: TrainedModel, images: Images) -> npt.NDArray[np.float32]:
    """What the model says of each image by itself: by no way that an attack takes."""
    return np.concatenate([outputs(trained.model, images[i : i + 1]) for i in range(len(images))])


def _chosen(
    targets: Target | Sequence[Target] | None, logits: npt.NDArray[np.float32], classes: Sequence[str]
) -> list[Target]:
    if targets is None:
        return [away_from(classes[i], classes) for i in np.argmax(logits, axis=1)]
    return [targets] * len(logits) if isinstance(targets, Target) else list(targets)
